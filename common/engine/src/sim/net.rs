//! The simulated network: connections as pairs of bounded pipes, and the events on their way to
//! the shards.

use std::cmp::{Ordering, Reverse};
use std::collections::{BinaryHeap, VecDeque};
use std::net::SocketAddr;

use rustix::io::Errno;

use super::trace::Trace;
use super::{CONNECT_TIMEOUT_NS, Rng, SimOptions};
use crate::{Address, ConnId};

/// Something that happens to a shard.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// The shard is up.
    Started,
    /// A connection waits to be accepted; this is the server's end of it.
    Accept(End),
    Connected(ConnId),
    ConnectFailed(ConnId, i32),
    /// Bytes, an end of file or an error may be there to be received.
    Input(ConnId),
    /// The socket may take more of the connection's backlog.
    Writable(ConnId),
    /// What a turn handed over has been taken in part, in full or not at all: how much of the
    /// stretch of the outbox, or the error.
    Sent {
        conn: ConnId,
        start: usize,
        end: usize,
        taken: Result<usize, i32>,
    },
    /// There was nothing to send for a connection that wants to hear when all is sent.
    Drained(ConnId),
    /// The socket that the handler wanted closed is closed.
    Gone(ConnId),
    /// The last operation of an ended connection has come back.
    Release(ConnId),
    Drain,
    Stop,
}

/// An event in its queue. Those of one moment happen in the order in which they were made.
struct Scheduled {
    at_ns: u64,
    sequence: u64,
    event: Event,
}

impl Scheduled {
    /// The heap gives out its greatest: that is the earliest.
    fn urgency(&self) -> Reverse<(u64, u64)> {
        Reverse((self.at_ns, self.sequence))
    }
}

impl Ord for Scheduled {
    fn cmp(&self, other: &Self) -> Ordering {
        self.urgency().cmp(&other.urgency())
    }
}

impl PartialOrd for Scheduled {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Scheduled {
    fn eq(&self, other: &Self) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Scheduled {}

/// One end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    link: usize,
    side: usize,
}

impl End {
    fn peer(self) -> Self {
        Self { link: self.link, side: 1 - self.side }
    }
}

/// What receiving found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    Nothing,
    Bytes,
    Eof,
    Failed(i32),
}

/// One end's state: what comes in there, and who gets it.
#[derive(Debug, Default)]
struct Side {
    /// The shard and connection, once accepted.
    owner: Option<(usize, ConnId)>,
    /// Bytes on their way here and unread, oldest first.
    bytes: VecDeque<u8>,
    /// When how many of them arrive.
    arrivals: VecDeque<(u64, usize)>,
    last_arrival_ns: u64,
    fin_at_ns: Option<u64>,
    eof_read: bool,
    reset_at_ns: Option<u64>,
    /// Whether the reset takes what is unread with it.
    reset_drops_input: bool,
    /// Whether an `Input` event is under way.
    armed: bool,
    /// Whether its sender waits for the peer to read.
    waits_for_room: bool,
    closed: bool,
}

#[derive(Debug, Default)]
struct Link {
    sides: [Side; 2],
    /// After how many more bytes it is reset.
    reset_after_bytes: Option<u64>,
}

/// All links, and the queue of events of every shard.
pub(super) struct Net {
    pub(super) options: SimOptions,
    pub(super) rng: Rng,
    pub(super) trace: Trace,
    pub(super) listeners: Vec<(SocketAddr, usize)>,
    queues: Vec<BinaryHeap<Scheduled>>,
    /// Number of events so far.
    sequence: u64,
    links: Vec<Link>,
    free_links: Vec<usize>,
}

impl Net {
    pub(super) fn new(options: SimOptions) -> Self {
        Self {
            rng: Rng::new(options.seed),
            options,
            trace: Trace::default(),
            listeners: Vec::new(),
            queues: Vec::new(),
            sequence: 0,
            links: Vec::new(),
            free_links: Vec::new(),
        }
    }

    pub(super) fn add_queue(&mut self) {
        self.queues.push(BinaryHeap::new());
    }

    /// Nobody can connect to the shard any more.
    pub(super) fn unlisten(&mut self, shard: usize) {
        self.listeners.retain(|&(_, listening)| listening != shard);
    }

    pub(super) fn delay_ns(&mut self) -> u64 {
        self.rng.below(self.options.max_delay_ns + 1)
    }

    pub(super) fn schedule(&mut self, shard: usize, at_ns: u64, event: Event) {
        self.sequence += 1;
        let sequence = self.sequence;
        self.queues[shard].push(Scheduled { at_ns, sequence, event });
    }

    /// When the next event of a shard is due.
    pub(super) fn next_ns(&self, shard: usize) -> Option<u64> {
        self.queues[shard].peek().map(|next| next.at_ns)
    }

    /// Takes the shard's next event, if it is due.
    pub(super) fn pop(&mut self, shard: usize, now_ns: u64) -> Option<Event> {
        self.next_ns(shard).filter(|&at_ns| at_ns <= now_ns)?;
        self.queues[shard].pop().map(|next| next.event)
    }

    /// Takes the shard's next event, due or not.
    pub(super) fn pop_any(&mut self, shard: usize) -> Option<Event> {
        self.pop(shard, u64::MAX)
    }

    /// Starts a connection to `address` for a client. The outcome comes as an event. Nobody listens
    /// on a unix socket here, and all have the same source.
    pub(super) fn connect(
        &mut self,
        shard: usize,
        conn: ConnId,
        address: &Address,
        now_ns: u64,
    ) -> Option<End> {
        let (address, nobody) = match *address {
            Address::Tcp(address) => (Some(address), Errno::CONNREFUSED),
            Address::Unix(_) => (None, Errno::NOENT),
        };
        let there: Vec<usize> = self
            .listeners
            .iter()
            .filter_map(|&(local, shard)| (Some(local) == address).then_some(shard))
            .collect();
        let answer_ns = now_ns + self.delay_ns();
        if self.rng.chance(self.options.lost_connect_probability) {
            let event = Event::ConnectFailed(conn, Errno::TIMEDOUT.raw_os_error());
            self.schedule(shard, now_ns + CONNECT_TIMEOUT_NS, event);
            return None;
        }
        if there.is_empty() || self.rng.chance(self.options.refuse_probability) {
            let event = Event::ConnectFailed(conn, nobody.raw_os_error());
            self.schedule(shard, answer_ns, event);
            return None;
        }
        let server_shard = there[self.rng.below(there.len() as u64) as usize];
        let client = End { link: self.new_link(), side: 0 };
        self.side(client).owner = Some((shard, conn));
        self.schedule(shard, answer_ns, Event::Connected(conn));
        let accept_ns = now_ns + self.delay_ns();
        self.schedule(server_shard, accept_ns, Event::Accept(client.peer()));
        Some(client)
    }

    fn new_link(&mut self) -> usize {
        let doomed = self.rng.chance(self.options.reset_probability);
        let link = Link {
            reset_after_bytes: doomed.then(|| self.rng.size(64 * 1024) as u64 - 1),
            ..Link::default()
        };
        if let Some(index) = self.free_links.pop() {
            self.links[index] = link;
            return index;
        }
        self.links.push(link);
        self.links.len() - 1
    }

    fn side(&mut self, end: End) -> &mut Side {
        &mut self.links[end.link].sides[end.side]
    }

    /// Tells who gets what comes in at `end`.
    pub(super) fn attach(&mut self, end: End, shard: usize, conn: ConnId) {
        self.side(end).owner = Some((shard, conn));
    }

    /// Makes sure that an `Input` event comes when there is something to receive.
    pub(super) fn arm(&mut self, end: End, now_ns: u64) {
        let side = self.side(end);
        let Some((shard, conn)) = side.owner.filter(|_| !side.armed && !side.eof_read) else {
            return;
        };
        let data_ns = side.arrivals.front().map(|&(at_ns, _)| at_ns).or(side.fin_at_ns);
        let next_ns = match (data_ns, side.reset_at_ns) {
            (Some(data_ns), Some(reset_ns)) => data_ns.min(reset_ns),
            (data_ns, reset_ns) => match data_ns.or(reset_ns) {
                Some(at_ns) => at_ns,
                None => return,
            },
        };
        side.armed = true;
        self.schedule(shard, next_ns.max(now_ns), Event::Input(conn));
    }

    /// An `Input` event has been delivered; the next needs [`Net::arm`].
    pub(super) fn disarm(&mut self, end: End) {
        self.side(end).armed = false;
    }

    /// Receives what has arrived at `end` by now into `buffer`, or only a part of it.
    pub(super) fn receive(&mut self, end: End, now_ns: u64, buffer: &mut Vec<u8>) -> Input {
        let max = self.options.max_receive_bytes.max(1);
        let max = if self.rng.chance(self.options.short_receive_probability) {
            self.rng.size(max)
        } else {
            max
        };
        buffer.clear();
        let side = &mut self.links[end.link].sides[end.side];
        let reset_ns = side.reset_at_ns.unwrap_or(u64::MAX);
        let is_reset = reset_ns <= now_ns;
        if !(is_reset && side.reset_drops_input) {
            while let Some((at_ns, bytes)) = side.arrivals.front_mut()
                && *at_ns <= now_ns.min(reset_ns)
                && buffer.len() < max
            {
                let count = (*bytes).min(max - buffer.len());
                buffer.extend(side.bytes.drain(..count));
                *bytes -= count;
                if *bytes == 0 {
                    side.arrivals.pop_front();
                }
            }
        }
        if !buffer.is_empty() {
            self.make_room(end.peer(), now_ns);
            return Input::Bytes;
        }
        let fin_ns = side.fin_at_ns.unwrap_or(u64::MAX);
        if side.arrivals.is_empty() && fin_ns <= now_ns.min(reset_ns) && !side.eof_read {
            side.eof_read = true;
            return Input::Eof;
        }
        if is_reset { Input::Failed(Errno::CONNRESET.raw_os_error()) } else { Input::Nothing }
    }

    /// Bytes of `sender` were read: if it waits for room, there is some.
    fn make_room(&mut self, sender: End, now_ns: u64) {
        let side = self.side(sender);
        if std::mem::take(&mut side.waits_for_room)
            && let Some((shard, conn)) = side.owner
        {
            let at_ns = now_ns + self.delay_ns();
            self.schedule(shard, at_ns, Event::Writable(conn));
        }
    }

    /// Makes sure that a `Writable` event comes when the socket can take more.
    pub(super) fn wait_for_room(&mut self, end: End, now_ns: u64) {
        let is_full = self.side(end.peer()).bytes.len() >= self.options.socket_buffer_bytes;
        let side = self.side(end);
        side.waits_for_room = true;
        if !is_full || side.reset_at_ns.is_some() {
            self.make_room(end, now_ns);
        }
    }

    /// Sends `bytes` from `end` and says how many were taken, 0 if the socket is full.
    pub(super) fn send(&mut self, end: End, bytes: &[u8], now_ns: u64) -> Result<usize, i32> {
        if self.side(end).reset_at_ns.is_some_and(|at_ns| at_ns <= now_ns) {
            let seen = if self.rng.chance(0.5) { Errno::CONNRESET } else { Errno::PIPE };
            return Err(seen.raw_os_error());
        }
        let at_ns = now_ns + self.delay_ns();
        let back_ns = at_ns + self.delay_ns();
        if self.side(end.peer()).closed {
            // Nobody is there any more: the bytes are answered with a reset.
            self.reset(end, back_ns);
            return Ok(bytes.len());
        }
        let room =
            self.options.socket_buffer_bytes.saturating_sub(self.side(end.peer()).bytes.len());
        let mut count = bytes.len().min(room);
        if count == 0 || self.rng.chance(self.options.full_socket_probability) {
            return Ok(0);
        }
        if self.rng.chance(self.options.short_send_probability) {
            count = self.rng.size(count);
        }
        let link = &mut self.links[end.link];
        let peer = &mut link.sides[1 - end.side];
        // One connection's bytes arrive in order, whatever their delays.
        peer.last_arrival_ns = peer.last_arrival_ns.max(at_ns);
        peer.bytes.extend(&bytes[..count]);
        peer.arrivals.push_back((peer.last_arrival_ns, count));
        let is_over = link.reset_after_bytes.is_some_and(|left| left < count as u64);
        link.reset_after_bytes =
            link.reset_after_bytes.map(|left| left.saturating_sub(count as u64));
        self.arm(end.peer(), now_ns);
        if is_over {
            self.reset(end, back_ns);
            self.reset(end.peer(), at_ns);
        }
        Ok(count)
    }

    /// A reset arrives at `end`.
    fn reset(&mut self, end: End, at_ns: u64) {
        let drops = self.rng.chance(0.5);
        let side = self.side(end);
        if side.reset_at_ns.is_some() {
            return;
        }
        side.reset_at_ns = Some(at_ns);
        side.reset_drops_input = drops;
        if let Some((shard, conn)) = side.owner {
            // Whichever is under way finds it: a receive, or a send that waits.
            self.schedule(shard, at_ns, Event::Input(conn));
            self.schedule(shard, at_ns, Event::Writable(conn));
        }
    }

    /// Half-closes: the peer sees an end of file after what was sent.
    pub(super) fn shutdown(&mut self, end: End, now_ns: u64) {
        let at_ns = now_ns + self.delay_ns();
        let peer = self.side(end.peer());
        peer.last_arrival_ns = peer.last_arrival_ns.max(at_ns);
        peer.fin_at_ns.get_or_insert(peer.last_arrival_ns);
        self.arm(end.peer(), now_ns);
    }

    /// Closes the socket at `end`. As with a kernel's TCP, unread input turns the end of file that
    /// the peer would see into a reset (RFC 9293 3.6.1, RFC 9112 9.6).
    pub(super) fn close(&mut self, end: End, now_ns: u64) {
        let side = self.side(end);
        let has_unread = !side.bytes.is_empty();
        *side = Side { closed: true, ..Side::default() };
        if self.side(end.peer()).closed {
            self.free_links.push(end.link);
        } else if has_unread {
            let at_ns = now_ns + self.delay_ns();
            self.reset(end.peer(), at_ns);
        } else if self.side(end.peer()).reset_at_ns.is_none() {
            self.shutdown(end, now_ns);
        }
    }

    /// Closes the socket at `end`, of which the peer sees a reset: so goes a connection that nobody
    /// accepted, too.
    pub(super) fn close_with_reset(&mut self, end: End, now_ns: u64) {
        if !self.side(end.peer()).closed {
            let at_ns = now_ns + self.delay_ns();
            self.reset(end.peer(), at_ns);
        }
        self.close(end, now_ns);
    }
}
