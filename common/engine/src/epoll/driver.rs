//! The turn of a shard: flush, settle, wait, deliver.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::net::{Shutdown, shutdown};

use super::accept::Door;
use super::deliver::send_some;
use super::poll::{Poll, Source};
use super::wait::Bell;
use crate::ops::{CLOSE_TIMEOUT_NS, TargetId};
use crate::shard::now_ns;
use crate::slots::Phase;
use crate::socket;
use crate::turn::{Handover, Timers, end_connection, fire_timers, notify_or_ask_again};
use crate::{CloseReason, ConnId, Engine, EngineConfig, EngineError, Handler, Ops, ShardControl};

/// The most that one call receives, and with it the most that a connection gets in a turn.
const RECEIVE_BYTES: usize = 64 * 1024;

/// What this back end knows of a connection, beside its slot.
#[derive(Debug, Default)]
pub(super) struct Conn {
    /// None before there is a socket and after its close.
    pub(super) fd: Option<OwnedFd>,
    /// There may be input in the kernel: no later event need tell of it.
    pub(super) readable: bool,
    /// An end of the input, or an error, has been seen: behind the last byte there is something
    /// to receive that no event will tell of again.
    pub(super) ending: bool,
    /// In the list of those to receive from in the next turn.
    pub(super) queued: bool,
    /// Input is held back until the backlog is gone.
    pub(super) paused: bool,
    /// The peer has sent its last byte.
    pub(super) eof: bool,
    /// Closed and reported to the handler.
    pub(super) ended: bool,
}

pub(super) struct Driver {
    pub(super) ops: Ops,
    pub(super) poll: Poll,
    pub(super) conns: Vec<Conn>,
    pub(super) doors: Vec<Door>,
    control: Arc<ShardControl>,
    pub(super) bell: Bell,
    pub(super) spin_ns: u64,
    /// Where all connections receive.
    pub(super) buffer: Box<[u8]>,
    /// Connections that have input left, to go on with in the next turn.
    pub(super) ready: Vec<ConnId>,
    spare_ready: Vec<ConnId>,
    pub(super) handover: Handover,
    timers: Timers,
}

/// Names the call that failed.
pub(super) fn failed<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> EngineError {
    move |errno| EngineError::System { engine: Engine::Epoll, what, errno: errno.into() }
}

impl Driver {
    pub(super) fn new(
        config: &EngineConfig,
        listeners: Vec<TcpListener>,
        control: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        let poll = Poll::new().map_err(failed("epoll_create1"))?;
        let bell = Bell::new().map_err(failed("timerfd_create"))?;
        let added = "epoll_ctl";
        poll.add_input(control.wake_fd(), Source::Control).map_err(failed(added))?;
        poll.add_input(&bell.timer, Source::Bell).map_err(failed(added))?;
        for (position, listener) in listeners.iter().enumerate() {
            listener.set_nonblocking(true).map_err(failed("making a listener non-blocking"))?;
            poll.add_input(listener, Source::Listener(position as u32)).map_err(failed(added))?;
        }
        let mut ops = Ops::new(now_ns());
        ops.keep_peers(config.peer_addresses);
        Ok(Self {
            ops,
            poll,
            conns: Vec::new(),
            doors: listeners.into_iter().map(Door::new).collect(),
            control,
            bell,
            spin_ns: config.spin_ns,
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            ready: Vec::new(),
            spare_ready: Vec::new(),
            handover: Handover::default(),
            timers: Timers::default(),
        })
    }

    /// Turns until the handler stops the shard, somebody else does, or a drain is complete.
    pub(super) fn run<H: Handler>(&mut self, handler: &mut H) -> Result<(), EngineError> {
        handler.started(&mut self.ops);
        loop {
            handler.turn(&mut self.ops);
            self.flush(handler);
            let is_owed_a_turn = self.settle(handler);
            if self.ops.stopping || (self.ops.draining && self.ops.slots.len() == 0) {
                break;
            }
            self.wait(is_owed_a_turn)?;
            self.deliver(handler);
            self.fire(handler);
        }
        self.teardown(handler);
        Ok(())
    }

    /// Hands over what the handler has produced.
    fn flush<H: Handler>(&mut self, handler: &mut H) {
        if !self.ops.connects.is_empty() {
            self.connect_all();
        }
        while let Some(conn) = self.ops.input_changes.pop() {
            // One that is held is passed over when its input comes.
            self.queue(conn);
        }
        let conns = &self.conns;
        self.handover.flush(&mut self.ops, handler, |conn, bytes| {
            let fd = conns[conn.index()].fd.as_ref()?;
            Some(send_some(fd, bytes).map_err(Into::into))
        });
    }

    /// Starts the connections that the handler asked for.
    fn connect_all(&mut self) {
        let mut connects = std::mem::take(&mut self.ops.connects);
        for (conn, target) in connects.drain(..) {
            *self.conn_mut(conn) = Conn::default();
            if self.ops.slots.get(conn).is_none_or(|slot| slot.phase != Phase::Connecting) {
                // Given up at once; its close is seen to like any other.
                continue;
            }
            match self.connect(conn, target) {
                Ok(fd) => self.conns[conn.index()].fd = Some(fd),
                Err(errno) => {
                    self.handover.failures.push((conn, CloseReason::ConnectFailed(errno)));
                }
            }
        }
        self.ops.connects = connects;
        self.count_peak();
    }

    fn connect(&self, conn: ConnId, target: TargetId) -> io::Result<OwnedFd> {
        let fd = OwnedFd::from(self.ops.targets[target.0 as usize].route()?.begin()?);
        // Only now: a socket that is not connecting yet counts as hung up.
        self.poll.add_conn(&fd, conn)?;
        Ok(fd)
    }

    /// Sees to what waited for the output to be handed over. True if the handler may have something
    /// new to hand over, so that the next turn must not wait.
    fn settle<H: Handler>(&mut self, handler: &mut H) -> bool {
        let is_owed_a_turn = self.handover.is_awaited();
        while let Some((conn, why)) = self.handover.failures.pop() {
            self.end(handler, conn, why);
        }
        while let Some(conn) = self.handover.closing.pop() {
            self.close_when_sent(handler, conn);
        }
        while let Some(conn) = self.handover.awaiting_drain.pop() {
            notify_or_ask_again(&mut self.ops, handler, conn);
        }
        is_owed_a_turn
    }

    /// Goes on with a close, unless some of the output before it is still to be sent; then the end
    /// of the backlog comes back here.
    pub(super) fn close_when_sent<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        let Some(slot) = self.ops.slots.get_mut(conn) else { return };
        let is_sent = slot.backlog.is_none();
        let state = &self.conns[conn.index()];
        match slot.phase {
            Phase::Closed => self.end(handler, conn, CloseReason::Local),
            Phase::Closing if is_sent => self.end(handler, conn, CloseReason::Local),
            Phase::ClosingLinger if is_sent && state.eof => {
                self.end(handler, conn, CloseReason::Local);
            }
            // RFC 9112 9.6: half-close, then read until the peer has closed, too.
            Phase::ClosingLinger if is_sent => {
                if let Some(fd) = &state.fd {
                    // It fails if the peer is gone; receiving will say so.
                    let _ = shutdown(fd, Shutdown::Write);
                }
                slot.phase = Phase::Lingering;
                self.ops.wheel.set(conn.index, self.ops.now_ns + CLOSE_TIMEOUT_NS);
                self.queue(conn);
            }
            // Input that was held back until here is thrown away, lest the end stay hidden.
            Phase::ClosingLinger => self.queue(conn),
            _ => {}
        }
    }

    fn deliver<H: Handler>(&mut self, handler: &mut H) {
        // Taken before the events, so that no connection is received from twice in one turn.
        let mut reading = std::mem::replace(&mut self.ready, std::mem::take(&mut self.spare_ready));
        let mut events = std::mem::take(&mut self.poll.events);
        self.ops.stats.completions += (events.len() + reading.len()) as u64;
        for event in events.drain(..) {
            match Source::decode(event.data) {
                Source::Conn(conn) => self.happened(handler, conn, event.flags),
                Source::Listener(position) => {
                    if let Some(door) = self.doors.get_mut(position as usize) {
                        door.is_knocked = true;
                    }
                }
                Source::Control => self.woken(handler),
                Source::Bell => self.bell.rung(),
            }
        }
        self.poll.events = events;
        for conn in reading.drain(..) {
            self.go_on_receiving(handler, conn);
        }
        self.spare_ready = reading;
        self.accept(handler);
    }

    fn woken<H: Handler>(&mut self, handler: &mut H) {
        self.control.acknowledge();
        if self.control.stop_asked() {
            self.ops.stopping = true;
        }
        if self.control.drain_asked() && !self.ops.draining {
            self.drain(handler);
        }
    }

    /// Deadlines and the alarm.
    fn fire<H: Handler>(&mut self, handler: &mut H) {
        fire_timers(&mut self.ops, handler, &mut self.timers);
        while let Some(conn) = self.timers.stuck.pop() {
            self.end(handler, conn, CloseReason::Local);
        }
    }

    /// Ends what is open.
    fn teardown<H: Handler>(&mut self, handler: &mut H) {
        self.doors.clear();
        // Asked for after the last flush, they were never begun.
        for (conn, _) in std::mem::take(&mut self.ops.connects) {
            *self.conn_mut(conn) = Conn::default();
        }
        let open: Vec<ConnId> = self.ops.slots.ids().collect();
        for conn in open {
            self.end(handler, conn, CloseReason::Stopped);
        }
    }

    /// Closes a connection, whatever state it is in, and tells the handler, once.
    pub(super) fn end<H: Handler>(&mut self, handler: &mut H, conn: ConnId, why: CloseReason) {
        let state = &mut self.conns[conn.index()];
        if self.ops.slots.get(conn).is_none() || state.ended {
            return;
        }
        state.ended = true;
        if let Some(fd) = state.fd.take()
            && self.ops.slots.resets(conn)
        {
            socket::reset_by_close(&fd);
        }
        self.handover.dead.push(conn);
        end_connection(&mut self.ops, handler, conn, why);
    }

    /// This back end's part of a connection, made if the table is too short.
    pub(super) fn conn_mut(&mut self, conn: ConnId) -> &mut Conn {
        if conn.index() >= self.conns.len() {
            self.conns.resize_with(conn.index() + 1, Conn::default);
        }
        &mut self.conns[conn.index()]
    }

    pub(super) fn count_peak(&mut self) {
        let open = self.ops.slots.len() as u64;
        self.ops.stats.connections_peak = self.ops.stats.connections_peak.max(open);
    }
}
