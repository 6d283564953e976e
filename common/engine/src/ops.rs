//! What a handler may ask of its shard.
//!
//! [`Ops`] only records: output is appended to one area for the whole batch, connects and closes
//! go on lists. The back end carries all of it out at the end of the batch, which is what makes one
//! syscall per batch possible, and what lets the same handler run on every back end.

use std::net::SocketAddr;

use crate::slots::{Backlog, NO_SEGMENT, Phase, Slots};
use crate::timers::Wheel;
use crate::{ConnId, EngineStats, Target};

/// How long a closing connection may take to hand over its last bytes, and how long the other side
/// may take to finish after a half-close, before the connection is dropped. nginx's
/// `lingering_timeout` is 5 s, its `lingering_time` 30 s.
pub(crate) const CLOSE_TIMEOUT_NS: u64 = 5_000_000_000;

/// When a connection's unsent output passes this, its input is paused until it is drained.
pub(crate) const HIGH_WATER_BYTES: usize = 256 * 1024;

/// A place to connect to, registered with [`Ops::add_target`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetId(pub(crate) u32);

/// A stretch of the outbox that belongs to one connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) conn: ConnId,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// The output of one batch: all connections' bytes in one area.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) bytes: Vec<u8>,
    pub(crate) segments: Vec<Segment>,
}

impl Outbox {
    /// Memory above this is given back when a batch has used little of it.
    const KEPT_BYTES: usize = 1 << 20;

    pub(crate) fn clear(&mut self) {
        if self.bytes.capacity() > Self::KEPT_BYTES.max(8 * self.bytes.len()) {
            self.bytes.shrink_to(Self::KEPT_BYTES);
        }
        self.bytes.clear();
        self.segments.clear();
    }
}

/// The services of a shard, as its handler sees them.
#[derive(Debug)]
pub struct Ops {
    pub(crate) now_ns: u64,
    pub(crate) slots: Slots,
    pub(crate) wheel: Wheel,
    pub(crate) alarm_ns: Option<u64>,
    pub(crate) outbox: Outbox,
    /// Whether something was written since the last flush, to the outbox or behind a backlog.
    pub(crate) written: bool,
    /// The connection whose segment is the last of the outbox and may still grow.
    open_segment: Option<ConnId>,
    pub(crate) targets: Vec<Target>,
    pub(crate) connects: Vec<(ConnId, TargetId)>,
    /// Connections that the handler closed or aborted since the last flush.
    pub(crate) closes: Vec<ConnId>,
    /// Connections whose handler asked to be told when their output is gone, since the last flush.
    pub(crate) drain_asks: Vec<ConnId>,
    /// Connections whose input the handler held or let go again, since the last flush.
    pub(crate) input_changes: Vec<ConnId>,
    /// Who is at the other end, by index; `None` unless the back end was asked to find out.
    peers: Option<Vec<Option<SocketAddr>>>,
    /// Bytes written to connections that are gone end here and are dropped.
    scrap: Vec<u8>,
    pub(crate) stopping: bool,
    pub(crate) draining: bool,
    pub(crate) stats: EngineStats,
}

impl Ops {
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            now_ns,
            slots: Slots::default(),
            wheel: Wheel::new(now_ns),
            alarm_ns: None,
            outbox: Outbox::default(),
            written: false,
            open_segment: None,
            targets: Vec::new(),
            connects: Vec::new(),
            closes: Vec::new(),
            drain_asks: Vec::new(),
            input_changes: Vec::new(),
            peers: None,
            scrap: Vec::new(),
            stopping: false,
            draining: false,
            stats: EngineStats::default(),
        }
    }

    /// Monotonic time in nanoseconds, taken once per batch: when the completions that are being
    /// delivered were picked up. All shards of a process share its origin.
    #[inline]
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// The area to append output for `conn` to. Append only: what stands before belongs to other
    /// connections. Everything appended during one batch leaves in one send. Bytes for a
    /// connection that is closed or gone are dropped.
    #[inline]
    pub fn output(&mut self, conn: ConnId) -> &mut Vec<u8> {
        if self.open_segment == Some(conn) {
            return &mut self.outbox.bytes;
        }
        self.begin_segment(conn)
    }

    fn begin_segment(&mut self, conn: ConnId) -> &mut Vec<u8> {
        self.seal();
        let segments = &mut self.outbox.segments;
        let bytes = &mut self.outbox.bytes;
        let Some(slot) = self.slots.get_mut(conn).filter(|slot| slot.phase == Phase::Open) else {
            self.scrap.clear();
            return &mut self.scrap;
        };
        self.written = true;
        if let Some(backlog) = &mut slot.backlog {
            return &mut backlog.pending;
        }
        let start = bytes.len();
        if slot.segment != NO_SEGMENT {
            // It wrote earlier in this batch, and another connection wrote since. Two sends at a
            // time could be reordered, so its bytes move to the end, where they can grow.
            let earlier = &mut segments[slot.segment as usize];
            bytes.extend_from_within(earlier.start..earlier.end);
            earlier.end = earlier.start;
        }
        slot.segment = segments.len() as u32;
        segments.push(Segment { conn, start, end: start });
        self.open_segment = Some(conn);
        bytes
    }

    /// Writes down where the growing segment ends.
    pub(crate) fn seal(&mut self) {
        if self.open_segment.take().is_some() {
            let end = self.outbox.bytes.len();
            if let Some(last) = self.outbox.segments.last_mut() {
                debug_assert!(last.start <= end, "a handler cut the output area");
                last.end = end;
            }
        }
    }

    /// Takes the batch's output out for the back end to send, putting `empty` in its place.
    pub(crate) fn take_outbox(&mut self, empty: Outbox) -> Outbox {
        self.seal();
        for segment in &self.outbox.segments {
            if let Some(slot) = self.slots.get_mut(segment.conn) {
                slot.segment = NO_SEGMENT;
            }
        }
        std::mem::replace(&mut self.outbox, empty)
    }

    /// The kernel did not take `rest` of what was sent for `conn`. Puts it, and whatever was
    /// written since, into the connection's backlog. False if the connection is gone.
    pub(crate) fn push_back(&mut self, conn: ConnId, rest: &[u8]) -> bool {
        self.seal();
        let Some(slot) = self.slots.get_mut(conn) else {
            return false;
        };
        let mut backlog = Backlog { in_flight: rest.to_vec(), ..Backlog::default() };
        if slot.segment != NO_SEGMENT {
            let segment = &mut self.outbox.segments[slot.segment as usize];
            backlog.pending.extend_from_slice(&self.outbox.bytes[segment.start..segment.end]);
            segment.end = segment.start;
            slot.segment = NO_SEGMENT;
        }
        debug_assert!(slot.backlog.is_none(), "two sends were under way");
        slot.backlog = Some(Box::new(backlog));
        true
    }

    /// The kernel took `count` more bytes of what is in flight of a backlog. True while something
    /// is left to send; when nothing is, the backlog is gone.
    pub(crate) fn backlog_sent(&mut self, conn: ConnId, count: usize) -> bool {
        let Some(slot) = self.slots.get_mut(conn) else { return false };
        let Some(backlog) = slot.backlog.as_deref_mut() else { return false };
        if count > 0 && slot.phase != Phase::Open {
            // A close may take its time as long as it gets on.
            self.wheel.set(conn.index, self.now_ns + CLOSE_TIMEOUT_NS);
        }
        backlog.sent += count;
        if backlog.sent < backlog.in_flight.len() {
            return true;
        }
        backlog.sent = 0;
        backlog.in_flight.clear();
        std::mem::swap(&mut backlog.in_flight, &mut backlog.pending);
        if backlog.in_flight.is_empty() {
            slot.backlog = None;
        }
        slot.backlog.is_some()
    }

    /// Bytes written for `conn` that a full socket has kept from leaving.
    pub fn backlog_bytes(&self, conn: ConnId) -> usize {
        self.slots
            .get(conn)
            .and_then(|slot| slot.backlog.as_deref())
            .map_or(0, |backlog| backlog.in_flight.len() - backlog.sent + backlog.pending.len())
    }

    /// Asks for one call of [`Handler::drained`](crate::Handler::drained) when everything written
    /// to `conn` has been taken by the kernel: the way to stream a body of any size. Before
    /// `connected`, and after a close, it does nothing.
    pub fn notify_drained(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.get_mut(conn)
            && slot.phase == Phase::Open
            && !slot.notify_drained
        {
            slot.notify_drained = true;
            self.drain_asks.push(conn);
        }
    }

    /// Holds the input of `conn` back: what the peer sends stays in the kernel, and in the end with
    /// the peer. Some more may still come that was received before. A connection that is held does
    /// not hear of its end of input either. Before `connected` it does nothing.
    pub fn hold_input(&mut self, conn: ConnId) {
        self.set_held(conn, true);
    }

    /// Lets input come again after [`Ops::hold_input`].
    pub fn resume_input(&mut self, conn: ConnId) {
        self.set_held(conn, false);
    }

    fn set_held(&mut self, conn: ConnId, held: bool) {
        if let Some(slot) = self.slots.get_mut(conn)
            && slot.phase == Phase::Open
            && slot.held != held
        {
            slot.held = held;
            self.input_changes.push(conn);
        }
    }

    /// Where the peer of an accepted connection is, if the engine was started with
    /// [`peer_addresses`](crate::EngineConfig::peer_addresses).
    pub fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.slots.get(conn)?;
        *self.peers.as_ref()?.get(conn.index())?
    }

    /// Whether peers are wanted. To be called before the first connection.
    pub(crate) fn keep_peers(&mut self, wanted: bool) {
        self.peers = wanted.then(Vec::new);
    }

    /// Whether the back end is to find out who connects.
    pub(crate) fn wants_peers(&self) -> bool {
        self.peers.is_some()
    }

    /// Notes who is at the other end of a new connection.
    pub(crate) fn set_peer(&mut self, conn: ConnId, peer: Option<SocketAddr>) {
        if let Some(peers) = &mut self.peers {
            if peers.len() <= conn.index() {
                peers.resize(conn.index() + 1, None);
            }
            peers[conn.index()] = peer;
        }
    }

    /// Registers a place to connect to. Do it once, not per connection.
    pub fn add_target(&mut self, target: impl Into<Target>) -> TargetId {
        self.targets.push(target.into());
        TargetId(self.targets.len() as u32 - 1)
    }

    /// Starts a connection to `target`; `connected` or `closed` follows, unless the shard is at its
    /// end.
    pub fn connect(&mut self, target: TargetId) -> ConnId {
        let conn = self.slots.alloc(Phase::Connecting);
        self.connects.push((conn, target));
        conn
    }

    /// Closes `conn` after everything written to it has been sent, or when that has made no progress
    /// for a few seconds. The peer sees an end of file; unread input may turn it into a reset, see
    /// [`Ops::close_lingering`].
    pub fn close(&mut self, conn: ConnId) {
        self.begin_close(conn, Phase::Closing);
    }

    /// Closes `conn` in stages (RFC 9112 9.6): sends what was written, half-closes, then reads and
    /// discards until the peer is done or a few seconds have passed. For answers given while input
    /// may still be on its way, which a plain close would turn into a reset that eats the answer.
    pub fn close_lingering(&mut self, conn: ConnId) {
        self.begin_close(conn, Phase::ClosingLinger);
    }

    /// Drops `conn` at once, unsent output included. What the kernel has taken it still tries to
    /// deliver.
    pub fn abort(&mut self, conn: ConnId) {
        self.begin_close(conn, Phase::Closed);
    }

    /// As [`Ops::abort`], but what the kernel has taken goes, too, and the peer sees a reset: for one
    /// that does not read, whose last megabytes the kernel would else keep for minutes. (With
    /// `io_uring` on a kernel before 6.7, which cannot set `SO_LINGER` from the ring, it is an abort.)
    pub fn reset(&mut self, conn: ConnId) {
        if let Some(slot) = self.slots.get_mut(conn).filter(|slot| slot.phase.is_live()) {
            slot.resets = true;
            self.begin_close(conn, Phase::Closed);
        }
    }

    fn begin_close(&mut self, conn: ConnId, phase: Phase) {
        self.seal();
        let Some(slot) = self.slots.get_mut(conn).filter(|slot| slot.phase.is_live()) else {
            return;
        };
        slot.phase = if slot.phase == Phase::Connecting { Phase::Closed } else { phase };
        slot.notify_drained = false;
        // What comes while it closes is thrown away, so that its end is seen.
        slot.held = false;
        if slot.phase == Phase::Closed && slot.segment != NO_SEGMENT {
            let segment = &mut self.outbox.segments[slot.segment as usize];
            segment.end = segment.start;
        }
        self.wheel.set(conn.index, self.now_ns + CLOSE_TIMEOUT_NS);
        self.closes.push(conn);
    }

    /// Sets the connection's one deadline, replacing the one before: `deadline` is called at the
    /// first millisecond tick at or after `at_ns`. Cheap enough to do for every request.
    #[inline]
    pub fn set_deadline(&mut self, conn: ConnId, at_ns: u64) {
        if self.slots.get(conn).is_some_and(|slot| slot.phase.is_live()) {
            self.wheel.set(conn.index, at_ns);
        }
    }

    /// Forgets the connection's deadline.
    #[inline]
    pub fn clear_deadline(&mut self, conn: ConnId) {
        if self.slots.get(conn).is_some_and(|slot| slot.phase.is_live()) {
            self.wheel.clear(conn.index);
        }
    }

    /// Sets the shard's one alarm, to the nanosecond: the wait for completions ends then and
    /// [`Handler::alarm`](crate::Handler::alarm) is called. `None` clears it.
    pub fn set_alarm(&mut self, at_ns: Option<u64>) {
        self.alarm_ns = at_ns;
    }

    /// How many connections the shard has, those that are connecting or closing included.
    pub fn connections(&self) -> usize {
        self.slots.len()
    }

    /// Whether a drain was asked for: no new connections are accepted.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Ends the shard: what is open is dropped at the end of the turn.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// What the engine has counted so far.
    pub fn stats(&self) -> &EngineStats {
        &self.stats
    }
}
