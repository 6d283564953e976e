//! The state of a shard, and its turn: timers, flush, settle.

use std::os::fd::{AsRawFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Waker};

use futures_io::AsyncWrite;
use glommio::net::TcpStream;

use super::accept::Door;
use super::conn::send_some;
use crate::ops::CLOSE_TIMEOUT_NS;
use crate::shard::now_ns;
use crate::slots::Phase;
use crate::socket;
use crate::turn::{Handover, Timers, end_connection, fire_timers, notify_or_ask_again};
use crate::{CloseReason, ConnId, Control, Handler, Ops, Target};

/// The most that one call receives, and with it the most that a connection gets in a turn.
const RECEIVE_BYTES: usize = 64 * 1024;

/// What this back end knows of a connection, beside its slot.
#[derive(Debug, Default)]
pub(super) struct Conn {
    /// None before it is connected and after its close.
    pub(super) stream: Option<TcpStream>,
    /// Wakes its task. None before that has first been run and after the connection's end.
    pub(super) task: Option<Waker>,
    /// Input is held back until the backlog is gone.
    pub(super) paused: bool,
    /// The peer has sent its last byte.
    pub(super) eof: bool,
    /// Closed and reported to the handler.
    pub(super) ended: bool,
}

/// What the tasks of a shard share.
pub(super) struct Shard<H> {
    pub(super) handler: H,
    pub(super) ops: Ops,
    pub(super) conns: Vec<Conn>,
    pub(super) doors: Vec<Door>,
    /// Wakes the listeners' tasks that rest.
    pub(super) resting: Vec<Waker>,
    /// Nobody is accepted any more.
    pub(super) is_shut: bool,
    /// The shard is at its end: whatever still comes is closed.
    pub(super) is_over: bool,
    /// Something has happened since the last turn.
    pub(super) is_due: bool,
    /// Wakes the shard's own task.
    root: Option<Waker>,
    /// Connections to be made, each by a task that is still to be spawned.
    pub(super) dials: Vec<(ConnId, Target)>,
    /// Where all connections receive.
    pub(super) buffer: Box<[u8]>,
    handover: Handover,
    timers: Timers,
}

impl<H> Shard<H> {
    pub(super) fn new(handler: H, wants_peers: bool) -> Self {
        let mut ops = Ops::new(now_ns());
        ops.keep_peers(wants_peers);
        Self {
            handler,
            ops,
            conns: Vec::new(),
            doors: Vec::new(),
            resting: Vec::new(),
            is_shut: false,
            is_over: false,
            is_due: false,
            root: None,
            dials: Vec::new(),
            buffer: vec![0; RECEIVE_BYTES].into_boxed_slice(),
            handover: Handover::default(),
            timers: Timers::default(),
        }
    }

    /// Remembers how to wake the shard's own task.
    pub(super) fn keep_root(&mut self, waker: &Waker) {
        if !self.root.as_ref().is_some_and(|root| root.will_wake(waker)) {
            self.root = Some(waker.clone());
        }
    }

    /// Something has happened: it is time for a turn, after what else is ready.
    pub(super) fn begin(&mut self) {
        if !std::mem::replace(&mut self.is_due, true) {
            self.ops.now_ns = now_ns();
            if let Some(root) = &self.root {
                root.wake_by_ref();
            }
        }
    }

    /// Somebody outside wants the shard to end.
    pub(super) fn stop(&mut self) {
        self.ops.stopping = true;
        self.begin();
    }

    /// Has the task of a connection look at it again.
    fn wake(&self, conn: ConnId) {
        if let Some(task) = self.conns.get(conn.index()).and_then(|state| state.task.as_ref()) {
            task.wake_by_ref();
        }
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

impl<H: Handler> Shard<H> {
    pub(super) fn start(&mut self) {
        self.ops.now_ns = now_ns();
        self.handler.started(&mut self.ops);
    }

    /// One turn. True if it was the last.
    pub(super) fn turn(&mut self) -> bool {
        self.is_due = false;
        self.ops.stats.enters += 1;
        fire_timers(&mut self.ops, &mut self.handler, &mut self.timers);
        while let Some(conn) = self.timers.stuck.pop() {
            self.end(conn, CloseReason::Local);
        }
        self.handler.turn(&mut self.ops);
        self.flush();
        self.settle();
        self.ops.stopping || (self.ops.draining && self.ops.slots.len() == 0)
    }

    /// Hands over what the handler has produced.
    fn flush(&mut self) {
        if !self.ops.connects.is_empty() {
            self.connect_all();
        }
        while let Some(conn) = self.ops.input_changes.pop() {
            // The task of one that is held passes over its input.
            self.wake(conn);
        }
        let conns = &mut self.conns;
        self.handover.flush(&mut self.ops, &mut self.handler, |conn, bytes| {
            let Conn { stream, task, .. } = &mut conns[conn.index()];
            // If the socket is full it is the connection's task that goes on; one that has not run
            // yet looks at the backlog when it does.
            let mut cx = Context::from_waker(task.as_ref().unwrap_or(Waker::noop()));
            Some(send_some(stream.as_mut()?, &mut cx, bytes))
        });
    }

    /// Has the connections that the handler asked for be made.
    fn connect_all(&mut self) {
        let mut connects = std::mem::take(&mut self.ops.connects);
        for (conn, target) in connects.drain(..) {
            *self.conn_mut(conn) = Conn::default();
            // One that was given up at once has its close seen to like any other.
            if self.ops.slots.get(conn).is_some_and(|slot| slot.phase == Phase::Connecting) {
                self.dials.push((conn, self.ops.targets[target.0 as usize].clone()));
            }
        }
        self.ops.connects = connects;
        self.count_peak();
    }

    /// Sees to what waited for the output to be handed over.
    fn settle(&mut self) {
        if self.handover.is_awaited() {
            // The handler may have something new to hand over.
            self.begin();
        }
        while let Some((conn, why)) = self.handover.failures.pop() {
            self.end(conn, why);
        }
        while let Some(conn) = self.handover.closing.pop() {
            self.close_when_sent(conn);
        }
        while let Some(conn) = self.handover.awaiting_drain.pop() {
            notify_or_ask_again(&mut self.ops, &mut self.handler, conn);
        }
    }

    /// Goes on with a close, unless some of the output before it is still to be sent; then the end
    /// of the backlog comes back here.
    pub(super) fn close_when_sent(&mut self, conn: ConnId) {
        let Some(slot) = self.ops.slots.get_mut(conn) else { return };
        let is_sent = slot.backlog.is_none();
        let state = &mut self.conns[conn.index()];
        match slot.phase {
            Phase::Closed => self.end(conn, CloseReason::Local),
            Phase::Closing if is_sent => self.end(conn, CloseReason::Local),
            Phase::ClosingLinger if is_sent && state.eof => self.end(conn, CloseReason::Local),
            // RFC 9112 9.6: half-close, then read until the peer has closed, too.
            Phase::ClosingLinger if is_sent => {
                if let Some(stream) = &mut state.stream {
                    // Never pending. It fails if the peer is gone; receiving will say so.
                    let mut cx = Context::from_waker(Waker::noop());
                    let _ = Pin::new(stream).poll_close(&mut cx);
                }
                slot.phase = Phase::Lingering;
                self.ops.wheel.set(conn.index, self.ops.now_ns + CLOSE_TIMEOUT_NS);
                self.wake(conn);
            }
            // Input that was held back until here is thrown away, lest the end stay hidden.
            Phase::ClosingLinger => self.wake(conn),
            _ => {}
        }
    }

    /// Nobody is accepted any more: tells the handler.
    pub(super) fn tell_of_drain(&mut self) {
        if !self.is_over {
            self.begin();
            self.ops.draining = true;
            self.handler.control(&mut self.ops, Control::Drain);
        }
    }

    /// Ends what is open.
    pub(super) fn teardown(&mut self) {
        self.is_over = true;
        self.dials.clear();
        // Asked for after the last flush, they were never begun.
        for (conn, _) in std::mem::take(&mut self.ops.connects) {
            *self.conn_mut(conn) = Conn::default();
        }
        let open: Vec<ConnId> = self.ops.slots.ids().collect();
        for conn in open {
            self.end(conn, CloseReason::Stopped);
        }
        self.root = None;
    }

    /// Closes a connection, whatever state it is in, and tells the handler, once.
    pub(super) fn end(&mut self, conn: ConnId, why: CloseReason) {
        let state = &mut self.conns[conn.index()];
        if self.ops.slots.get(conn).is_none() || state.ended {
            return;
        }
        state.ended = true;
        if let Some(stream) = state.stream.take()
            && self.ops.slots.resets(conn)
        {
            // SAFETY: the stream, which owns the descriptor, is dropped after this.
            let descriptor = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
            socket::reset_by_close(&descriptor);
        }
        if let Some(task) = state.task.take() {
            task.wake();
        }
        self.handover.dead.push(conn);
        end_connection(&mut self.ops, &mut self.handler, conn, why);
    }
}
