//! The back end of one simulated shard: delivers events to the handler, carries out its `Ops`.

mod output;

use std::any::Any;
use std::io;

use super::net::{End, Event, Input, Net};
use super::trace::Traced;
use crate::ops::{CLOSE_TIMEOUT_NS, HIGH_WATER_BYTES, Outbox};
use crate::slots::{NO_SEGMENT, Phase};
use crate::turn::{self, Timers};
use crate::{CloseReason, ConnId, Control, Handler, Ops};

/// A handler that can be had back with its own type.
pub(super) trait AnyHandler: Handler + Any {}

impl<T: Handler + Any> AnyHandler for T {}

/// What the back end knows of a connection beside its slot.
#[derive(Debug, Clone, Copy)]
struct Socket {
    conn: ConnId,
    /// Its end of a link, while there is one.
    end: Option<End>,
    /// Whether a send of the last turn has not been answered yet.
    sending: bool,
    /// Whether nothing is received because the backlog is too high.
    paused: bool,
    eof: bool,
    /// Whether the handler has been told of the end, or an event that will do so is under way.
    over: bool,
    /// Whether it has been told.
    told: bool,
}

/// One shard: its handler and what a back end keeps about it.
pub(super) struct Shard {
    id: usize,
    pub(super) ops: Ops,
    pub(super) handler: Box<dyn AnyHandler>,
    sockets: Vec<Socket>,
    /// What was handed over last. Before all of it is answered nothing else is: that keeps the
    /// sends of one connection apart, and the memory where it is.
    flying: Outbox,
    /// How many answers are still to come.
    unanswered: usize,
    /// Ended connections whose slots the next flush gives back.
    dead: Vec<ConnId>,
    /// The events of this turn.
    batch: Vec<Event>,
    /// Received bytes on their way to the handler.
    buffer: Vec<u8>,
    timers: Timers,
    /// When its last turn was over.
    pub(super) free_at_ns: u64,
    pub(super) ended: bool,
    pub(super) frozen: bool,
}

impl Shard {
    pub(super) fn new(id: usize, handler: Box<dyn AnyHandler>, now_ns: u64) -> Self {
        Self {
            id,
            ops: Ops::new(now_ns),
            handler,
            sockets: Vec::new(),
            flying: Outbox::default(),
            unanswered: 0,
            dead: Vec::new(),
            batch: Vec::new(),
            buffer: Vec::new(),
            timers: Timers::default(),
            free_at_ns: now_ns,
            ended: false,
            frozen: false,
        }
    }

    /// When its next turn is due, if anything is to happen to it.
    pub(super) fn wake_ns(&self, net: &Net) -> Option<u64> {
        if self.ended || self.frozen {
            return None;
        }
        [net.next_ns(self.id), turn::next_wake_ns(&self.ops)]
            .into_iter()
            .flatten()
            .min()
            .map(|at_ns| at_ns.max(self.free_at_ns))
    }

    /// One turn: a batch of events, then `inject` (what a test does in the handler's place), the
    /// timers, and the output.
    pub(super) fn turn(
        &mut self,
        net: &mut Net,
        now_ns: u64,
        inject: impl FnOnce(&mut dyn AnyHandler, &mut Ops),
    ) {
        self.ops.now_ns = now_ns;
        self.ops.stats.enters += 1;
        self.gather(net, now_ns);
        while let Some(event) = self.batch.pop() {
            self.ops.stats.completions += 1;
            self.deliver(net, event);
        }
        inject(&mut *self.handler, &mut self.ops);
        let mut traced =
            Traced { handler: &mut *self.handler, trace: &mut net.trace, shard: self.id };
        turn::fire_timers(&mut self.ops, &mut traced, &mut self.timers);
        while let Some(conn) = self.timers.stuck.pop() {
            self.end(net, conn, CloseReason::Local);
        }
        self.call(net, |handler, ops| handler.turn(ops));
        // The handler's own work takes time, too.
        let submit_ns = now_ns + 200 + net.rng.below(1000);
        self.flush(net, submit_ns);
        self.free_at_ns = submit_ns + 1;
        let in_use = self.ops.connections() as u64;
        self.ops.stats.connections_peak = self.ops.stats.connections_peak.max(in_use);
        if self.ops.stopping || (self.ops.draining && in_use == 0) {
            self.finish(net, submit_ns);
        }
    }

    /// Collects the turn's events in the order in which they are to be popped.
    fn gather(&mut self, net: &mut Net, now_ns: u64) {
        let most = net.rng.below(net.options.max_batch.max(1) as u64) + 1;
        for _ in 0..most {
            let Some(event) = net.pop(self.id, now_ns) else { break };
            self.batch.push(event);
            if matches!(event, Event::Started) {
                // Listeners are open before, but nothing is delivered before the handler is up.
                break;
            }
        }
        self.batch.reverse();
        if net.options.shuffle {
            // No event follows from another one in the same queue: what comes next on a connection
            // is scheduled when the one before is delivered. So any order is one that a kernel
            // might give.
            for last in (1..self.batch.len()).rev() {
                self.batch.swap(last, net.rng.below(last as u64 + 1) as usize);
            }
        }
        if !self.batch.is_empty() {
            net.trace.add(now_ns, self.id, None, "events", self.batch.len());
        }
    }

    /// Calls the handler, with a trace of it.
    fn call(&mut self, net: &mut Net, call: impl FnOnce(&mut Traced<'_>, &mut Ops)) {
        let mut traced =
            Traced { handler: &mut *self.handler, trace: &mut net.trace, shard: self.id };
        call(&mut traced, &mut self.ops);
    }

    fn socket(&mut self, conn: ConnId) -> Option<&mut Socket> {
        self.sockets.get_mut(conn.index()).filter(|socket| socket.conn == conn)
    }

    fn add_socket(&mut self, conn: ConnId, end: Option<End>) {
        let socket = Socket {
            conn,
            end,
            sending: false,
            paused: false,
            eof: false,
            over: false,
            told: false,
        };
        if conn.index() >= self.sockets.len() {
            self.sockets.resize(conn.index() + 1, socket);
        }
        self.sockets[conn.index()] = socket;
    }

    /// The phase of a connection for which events still count.
    fn phase(&self, conn: ConnId) -> Option<Phase> {
        let is_over = self.sockets.get(conn.index()).is_none_or(|s| s.conn != conn || s.over);
        if is_over { None } else { self.ops.slots.get(conn).map(|slot| slot.phase) }
    }

    fn has_segment(&self, conn: ConnId) -> bool {
        self.ops.slots.get(conn).is_some_and(|slot| slot.segment != NO_SEGMENT)
    }

    fn has_backlog(&self, conn: ConnId) -> bool {
        self.ops.slots.get(conn).is_some_and(|slot| slot.backlog.is_some())
    }

    fn deliver(&mut self, net: &mut Net, event: Event) {
        match event {
            Event::Started => self.call(net, |handler, ops| handler.started(ops)),
            Event::Accept(end) => self.accept(net, end),
            Event::Connected(conn) => self.connected(net, conn),
            Event::ConnectFailed(conn, errno) => {
                let error = io::Error::from_raw_os_error(errno);
                self.end(net, conn, CloseReason::ConnectFailed(error));
            }
            Event::Input(conn) => self.input(net, conn),
            Event::Writable(conn) => self.writable(net, conn),
            Event::Sent { conn, start, end, taken } => self.sent(net, conn, start, end, taken),
            Event::Drained(conn) => self.drained(net, conn),
            Event::Gone(conn) => self.gone(net, conn, CloseReason::Local),
            Event::Release(conn) => self.dead.push(conn),
            Event::Drain => {
                if !std::mem::replace(&mut self.ops.draining, true) {
                    net.unlisten(self.id);
                    self.call(net, |handler, ops| handler.control(ops, Control::Drain));
                }
            }
            Event::Stop => self.ops.stopping = true,
        }
    }

    fn accept(&mut self, net: &mut Net, end: End) {
        let now_ns = self.ops.now_ns;
        if self.ops.draining {
            net.close_with_reset(end, now_ns);
            return;
        }
        let conn = self.ops.slots.alloc(Phase::Open);
        self.add_socket(conn, Some(end));
        net.attach(end, self.id, conn);
        self.ops.stats.accepts += 1;
        self.call(net, |handler, ops| handler.accepted(ops, conn));
        self.arm(net, conn);
    }

    fn connected(&mut self, net: &mut Net, conn: ConnId) {
        if self.phase(conn) != Some(Phase::Connecting) {
            return;
        }
        if let Some(slot) = self.ops.slots.get_mut(conn) {
            slot.phase = Phase::Open;
        }
        self.call(net, |handler, ops| handler.connected(ops, conn));
        self.arm(net, conn);
    }

    /// Has the connection's input come in, now or when there is some.
    fn arm(&mut self, net: &mut Net, conn: ConnId) {
        let now_ns = self.ops.now_ns;
        if self.is_held(conn) {
            return;
        }
        // What is thrown away fills no memory.
        let open = self.phase(conn) == Some(Phase::Open);
        if let Some(end) = self.socket(conn).filter(|s| !(s.paused && open)).and_then(|s| s.end) {
            net.arm(end, now_ns);
        }
    }

    /// Whether the handler wants no input of it.
    fn is_held(&self, conn: ConnId) -> bool {
        self.ops.slots.get(conn).is_some_and(|slot| slot.held)
    }

    fn input(&mut self, net: &mut Net, conn: ConnId) {
        let Some(end) = self.socket(conn).and_then(|socket| socket.end) else { return };
        net.disarm(end);
        if self.is_held(conn) {
            return;
        }
        let discards = match self.phase(conn) {
            Some(Phase::Open) => false,
            Some(Phase::ClosingLinger | Phase::Lingering) => true,
            // Nobody reads on a connection that is about to be closed.
            _ => return,
        };
        if !discards && self.ops.backlog_bytes(conn) > HIGH_WATER_BYTES {
            self.sockets[conn.index()].paused = true;
            return;
        }
        let now_ns = self.ops.now_ns;
        let mut buffer = std::mem::take(&mut self.buffer);
        let found = net.receive(end, now_ns, &mut buffer);
        match found {
            Input::Nothing => {}
            Input::Bytes if discards => {}
            Input::Bytes => {
                self.call(net, |handler, ops| handler.received(ops, conn, &buffer));
            }
            Input::Eof => {
                self.sockets[conn.index()].eof = true;
                match self.phase(conn) {
                    Some(Phase::Open) => self.call(net, |handler, ops| handler.eof(ops, conn)),
                    Some(Phase::Lingering) => self.end(net, conn, CloseReason::Local),
                    // Closed as soon as all is sent.
                    _ => {}
                }
            }
            Input::Failed(errno) => {
                let error = io::Error::from_raw_os_error(errno);
                self.end(net, conn, CloseReason::ReceiveFailed(error));
            }
        }
        self.buffer = buffer;
        if found == Input::Bytes && self.batch.len() < net.options.max_batch && net.rng.chance(0.5)
        {
            // More of the same connection in the same turn, after some of the others.
            let place = net.rng.below(self.batch.len() as u64 + 1) as usize;
            self.batch.insert(place, Event::Input(conn));
        } else {
            self.arm(net, conn);
        }
    }

    /// Takes a connection that the handler closed one step further, if its output is all sent.
    fn close_when_sent(&mut self, net: &mut Net, conn: ConnId) {
        let Some(phase) = self.phase(conn) else { return };
        let now_ns = self.ops.now_ns;
        let Socket { end, eof, .. } = self.sockets[conn.index()];
        match phase {
            Phase::Closing if !self.is_sent(conn) => {}
            // Input that was held back until here is thrown away.
            Phase::ClosingLinger if !self.is_sent(conn) => self.arm(net, conn),
            // RFC 9112 9.6: half-close, then read until the peer has closed, too.
            Phase::ClosingLinger if !eof => {
                if let Some(end) = end {
                    net.shutdown(end, now_ns);
                }
                if let Some(slot) = self.ops.slots.get_mut(conn) {
                    slot.phase = Phase::Lingering;
                }
                self.ops.wheel.set(conn.index, now_ns + CLOSE_TIMEOUT_NS);
                self.sockets[conn.index()].paused = false;
                self.arm(net, conn);
            }
            Phase::Closing | Phase::ClosingLinger | Phase::Closed => {
                let at_ns = now_ns + net.delay_ns();
                self.detach(net, conn, Phase::Closed);
                net.schedule(self.id, at_ns, Event::Gone(conn));
            }
            Phase::Free | Phase::Connecting | Phase::Open | Phase::Lingering => {}
        }
    }

    /// Closes the socket of `conn`: no event of it counts from here on.
    fn detach(&mut self, net: &mut Net, conn: ConnId, phase: Phase) {
        let now_ns = self.ops.now_ns;
        if let Some(slot) = self.ops.slots.get_mut(conn) {
            slot.phase = phase;
        }
        let resets = self.ops.slots.resets(conn);
        let Some(socket) = self.socket(conn) else { return };
        socket.over = true;
        match socket.end.take() {
            Some(end) if resets => net.close_with_reset(end, now_ns),
            Some(end) => net.close(end, now_ns),
            None => {}
        }
    }

    /// Ends a connection that failed or got stuck.
    fn end(&mut self, net: &mut Net, conn: ConnId, found: CloseReason) {
        match self.phase(conn) {
            // One that was aborted in this very turn is seen to by the flush.
            None | Some(Phase::Closed) => {}
            Some(phase) => {
                self.detach(net, conn, phase);
                self.gone(net, conn, found);
            }
        }
    }

    /// Tells the handler that the connection is gone.
    fn gone(&mut self, net: &mut Net, conn: ConnId, found: CloseReason) {
        if let Some(socket) = self.socket(conn) {
            socket.told = true;
        }
        self.call(net, |handler, ops| turn::end_connection(ops, handler, conn, found));
        // What is still under way for the connection comes back in a later turn.
        let at_ns = self.ops.now_ns + 1 + net.delay_ns();
        net.schedule(self.id, at_ns, Event::Release(conn));
    }

    /// Ends the shard: what is open is dropped.
    fn finish(&mut self, net: &mut Net, now_ns: u64) {
        net.trace.add(now_ns, self.id, None, "ended, connections open:", self.ops.connections());
        net.unlisten(self.id);
        self.ended = true;
        while let Some(event) = net.pop_any(self.id) {
            if let Event::Accept(end) = event {
                net.close_with_reset(end, now_ns);
            }
        }
        let left: Vec<ConnId> = self.ops.slots.ids().collect();
        for &conn in &left {
            if self.socket(conn).is_none_or(|socket| socket.told) {
                continue;
            }
            if let Some(phase) = self.phase(conn) {
                self.detach(net, conn, phase);
            }
            self.gone(net, conn, CloseReason::Stopped);
        }
        // Nothing leaves any more: neither what was written meanwhile nor a new connection.
        self.ops.take_outbox(Outbox::default());
        let left: Vec<ConnId> = self.ops.slots.ids().collect();
        for conn in left {
            if let Some(slot) = self.ops.slots.get_mut(conn) {
                slot.phase = Phase::Closed;
            }
            self.ops.slots.release(conn);
        }
    }
}
