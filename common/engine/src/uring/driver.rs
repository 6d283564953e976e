//! The turn of a shard: flush, enter, drain, settle.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::pin::Pin;

use io_uring::{CompletionQueue, SubmissionQueue, Submitter};

use super::loans::Loans;
use super::pool::BufferPool;
use super::queue::{Queue, Wait};
use super::token::{Kind, Token};
use super::wait::Bell;
use super::{UringOptions, UringReport};
use crate::ops::{CLOSE_TIMEOUT_NS, Outbox};
use crate::shard::now_ns;
use crate::slots::{GENERATION_MASK, Phase, Slot};
use crate::target::Route;
use crate::timers::Wheel;
use crate::turn::{Timers, fire_timers, notify_or_ask_again};
use crate::{CloseReason, ConnId, EngineError, EngineStats, Handler, Ops, ShardControl};

/// How long the end of a shard waits for its cancelled operations.
const TEARDOWN_NS: u64 = 2_000_000_000;

/// The most that is given to one send; the kernel takes no more than about 2 GiB at a time.
pub(super) const MAX_SEND_BYTES: usize = 1 << 30;

/// What the ring knows of a connection, beside its slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Conn {
    /// Direct descriptor or file descriptor; -1 before there is a socket and after its close.
    pub(super) fd: i32,
    /// Operations whose last completion has not come. The slot is kept until they have.
    pub(super) in_kernel: u8,
    /// A receive is armed.
    pub(super) receiving: bool,
    /// Input is held back until the backlog is gone.
    pub(super) paused: bool,
    /// The peer has sent its last byte.
    pub(super) eof: bool,
    /// A half-close is under way, for which the descriptor must stay.
    pub(super) half_closing: bool,
    /// Closed and reported to the handler; the slot goes when `in_kernel` is zero.
    pub(super) ended: bool,
    /// On its way to be released.
    pub(super) buried: bool,
    /// Where a connection of ours leads: an index into the targets.
    pub(super) target: u32,
}

pub(super) const NO_CONN: Conn = Conn {
    fd: -1,
    in_kernel: 0,
    receiving: false,
    paused: false,
    eof: false,
    half_closing: false,
    ended: false,
    buried: false,
    target: 0,
};

/// A connection without a backlog costs no more memory of ours than this, and four bytes of the
/// free list: what counts when a shard has tens of thousands.
const CONN_BYTES: usize = 72;
const _: () = assert!(size_of::<Slot>() + size_of::<Conn>() + Wheel::NODE_BYTES <= CONN_BYTES);

/// Where a drain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draining {
    No,
    /// The accepts are being cancelled.
    Asked,
    /// Whoever connected before is being accepted, in rounds that begin with so many accepted.
    Sweeping(u64),
    Told,
}

/// The outbox that was handed over last, and the number that its sends carry.
pub(super) struct Submitted {
    pub(super) batch: u32,
    pub(super) outbox: Outbox,
    /// Sends that have not completed, where all are reported; else zero.
    pub(super) awaited: u32,
}

pub(super) struct Driver<'r> {
    pub(super) ops: Ops,
    pub(super) conns: Vec<Conn>,
    pub(super) queue: Queue<'r>,
    cq: CompletionQueue<'r>,
    pub(super) pool: &'r mut BufferPool,
    pub(super) options: &'r UringOptions,
    pub(super) min_wait: bool,
    pub(super) spin_ns: u64,
    pub(super) listeners: Vec<TcpListener>,
    pub(super) control: &'r ShardControl,
    pub(super) draining: Draining,
    /// Connections accepted before the drain.
    pub(super) swept_from: u64,
    /// Accepts whose last completion has not come.
    pub(super) armed_accepts: u32,
    /// The shard is at its end: whatever still comes is closed.
    pub(super) is_over: bool,
    /// Listeners whose accept is not armed, and when to try again.
    pub(super) resting_listeners: Vec<u32>,
    pub(super) accept_at_ns: u64,
    pub(super) bell: Bell,
    /// The way to each target, see `connect`.
    pub(super) routes: Vec<Option<Pin<Box<Route>>>>,
    /// Whether the kernel binds sockets from the ring.
    pub(super) can_bind: bool,
    batch: u32,
    /// Kept until the kernel has consumed every send and each that fell short has been seen: only
    /// then may the next batch leave, as two sends of one connection must not be under way.
    pub(super) submitted: Option<Submitted>,
    /// Output of at least so many bytes is lent to the kernel, see `loans`.
    pub(super) lend_from_bytes: usize,
    pub(super) loans: Loans,
    spare: Outbox,
    /// Closes and drain notices whose output is in `submitted`.
    pub(super) closing: Vec<ConnId>,
    pub(super) awaiting_drain: Vec<ConnId>,
    /// Connections whose receive found no buffer, to be armed again when there are some.
    pub(super) starved: Vec<ConnId>,
    /// Connections that are over but for `in_kernel`, which is zero.
    pub(super) dead: Vec<ConnId>,
    timers: Timers,
}

impl<'r> Driver<'r> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a ring, which are borrowed apart")]
    pub(super) fn new(
        options: &'r UringOptions,
        report: &UringReport,
        submitter: Submitter<'r>,
        sq: SubmissionQueue<'r>,
        cq: CompletionQueue<'r>,
        pool: &'r mut BufferPool,
        listeners: Vec<TcpListener>,
        control: &'r ShardControl,
    ) -> Self {
        Self {
            ops: Ops::new(now_ns()),
            conns: Vec::new(),
            queue: Queue::new(submitter, sq, report, options.buffer_size),
            cq,
            pool,
            options,
            min_wait: report.min_wait,
            spin_ns: 0,
            resting_listeners: Vec::new(),
            accept_at_ns: 0,
            bell: Bell::default(),
            listeners,
            control,
            draining: Draining::No,
            swept_from: 0,
            armed_accepts: 0,
            is_over: false,
            routes: Vec::new(),
            can_bind: report.bind,
            batch: 0,
            submitted: None,
            lend_from_bytes: match options.send_zc_bytes {
                0 => usize::MAX,
                bytes => bytes,
            },
            loans: Loans::default(),
            spare: Outbox::default(),
            closing: Vec::new(),
            awaiting_drain: Vec::new(),
            starved: Vec::new(),
            dead: Vec::new(),
            timers: Timers::default(),
        }
    }

    /// Turns until the handler stops the shard, somebody else does, or a drain is complete.
    pub(super) fn run<H: Handler>(&mut self, handler: &mut H) -> Result<(), EngineError> {
        self.watch();
        (0..self.listeners.len() as u32).for_each(|listener| self.arm_accept(listener));
        handler.started(&mut self.ops);
        loop {
            handler.turn(&mut self.ops);
            self.flush(handler);
            if self.ops.stopping || (self.ops.draining && self.ops.slots.len() == 0) {
                break;
            }
            self.enter()?;
            self.drain(handler);
            self.settle(handler);
            self.fire(handler);
        }
        self.teardown(handler)
    }

    /// Hands over what the handler has produced: connects and output. Closes wait in `closing`
    /// until that output has been taken.
    fn flush<H: Handler>(&mut self, handler: &mut H) {
        if !self.ops.connects.is_empty() {
            self.make_sockets();
        }
        if !self.starved.is_empty() {
            self.pool.publish();
            while let Some(conn) = self.starved.pop() {
                self.arm_receive(conn);
            }
        }
        while let Some(conn) = self.ops.input_changes.pop() {
            self.hold_or_resume(conn);
        }
        if self.submitted.is_some() {
            return;
        }
        if std::mem::take(&mut self.ops.written) {
            handler.submitting(now_ns());
            self.send();
        }
        self.closing.append(&mut self.ops.closes);
        self.awaiting_drain.append(&mut self.ops.drain_asks);
        // Only now, as nothing in the outbox names them any more.
        for conn in self.dead.drain(..) {
            self.ops.slots.release(conn);
        }
    }

    fn send(&mut self) {
        let outbox = self.ops.take_outbox(std::mem::take(&mut self.spare));
        self.batch = (self.batch + 1) & GENERATION_MASK;
        let own_from_bytes = self.lend_from_bytes.min(MAX_SEND_BYTES + 1);
        let mut at_once = 0;
        for (index, segment) in outbox.segments.iter().enumerate() {
            let bytes = &outbox.bytes[segment.start..segment.end];
            let slot = self.ops.slots.get(segment.conn);
            if bytes.is_empty() || slot.is_none_or(|slot| slot.phase == Phase::Closed) {
                continue;
            }
            self.ops.stats.sends += 1;
            // What is not sent in one go, or lent, needs memory of its own.
            if bytes.len() >= own_from_bytes {
                if self.ops.push_back(segment.conn, bytes) {
                    self.send_rest(segment.conn);
                }
                continue;
            }
            let fd = self.conns[segment.conn.index()].fd;
            let token =
                Token { kind: Kind::Send, generation: self.batch, index: index as u32 }.encode();
            // SAFETY: `bytes` lies in the outbox, which goes into `submitted` unchanged and stays
            // there until `sends_are_over`: the kernel has consumed the queue and every completion
            // has been seen, or, with a thread that submits, every one of these sends has completed.
            unsafe { self.queue.send_at_once(fd, bytes, token) };
            at_once += 1;
        }
        let awaited = if self.queue.sqpoll { at_once } else { 0 };
        self.submitted = Some(Submitted { batch: self.batch, outbox, awaited });
    }

    fn enter(&mut self) -> Result<(), EngineError> {
        self.pool.publish();
        if self.queue.sqpoll && self.has_completions() {
            // The thread does the rest; no syscall is needed.
            self.queue.hand_over();
        } else {
            let wait = self.wait();
            self.queue.enter(wait).map_err(EngineError::UringEnter)?;
        }
        self.count_enters();
        self.ops.now_ns = now_ns();
        Ok(())
    }

    fn has_completions(&mut self) -> bool {
        self.cq.sync();
        !self.cq.is_empty()
    }

    /// Whether completions of sends out of the outbox that was handed over last are to come.
    pub(super) fn awaits_sends(&self) -> bool {
        self.submitted.as_ref().is_some_and(|submitted| submitted.awaited > 0)
    }

    /// Whether the kernel is done with the outbox that was handed over last, and we have heard how
    /// each of its sends went. To be called when no completion is left in the queue.
    ///
    /// A send at once completes when it is submitted, in the syscall. So when that took everything
    /// and holds back no completion, we have seen whatever there was to report. A thread of the
    /// kernel submits when it likes, so there we count: every send posts a completion.
    fn sends_are_over(&self) -> bool {
        if self.queue.sqpoll { !self.awaits_sends() } else { self.queue.is_settled() }
    }

    /// Takes completions until there are none.
    fn drain<H: Handler>(&mut self, handler: &mut H) {
        for round in 0.. {
            self.cq.sync();
            if self.cq.is_empty() {
                break;
            }
            if round > 0 {
                // Without deferred task work completions also come while others are handled.
                self.ops.now_ns = now_ns();
            }
            self.ops.stats.completions += self.cq.len() as u64;
            while let Some(completion) = self.cq.next() {
                self.complete(handler, &completion);
            }
        }
    }

    /// With all completions seen: output that was taken is forgotten, and what waited for it done.
    fn settle<H: Handler>(&mut self, handler: &mut H) {
        if !self.sends_are_over() {
            return;
        }
        if let Some(Submitted { mut outbox, .. }) = self.submitted.take() {
            outbox.clear();
            self.spare = outbox;
        }
        if !self.closing.is_empty() {
            let mut closing = std::mem::take(&mut self.closing);
            closing.drain(..).for_each(|conn| self.close_when_sent(handler, conn));
            self.closing = closing;
        }
        if !self.awaiting_drain.is_empty() {
            let mut awaiting = std::mem::take(&mut self.awaiting_drain);
            for conn in awaiting.drain(..) {
                notify_or_ask_again(&mut self.ops, handler, conn);
            }
            self.awaiting_drain = awaiting;
        }
        if self.armed_accepts == 0 {
            self.go_on_draining(handler);
        }
    }

    /// Goes on with a close whose output has been submitted, unless some of it is still on its way;
    /// then the end of the backlog comes back here.
    pub(super) fn close_when_sent<H: Handler>(&mut self, handler: &mut H, conn: ConnId) {
        let Some(slot) = self.ops.slots.get_mut(conn) else {
            return;
        };
        let sent = slot.backlog.is_none();
        match slot.phase {
            Phase::Closed => self.end(handler, conn, CloseReason::Local),
            Phase::Closing if sent => self.end(handler, conn, CloseReason::Local),
            Phase::ClosingLinger if sent => {
                let state = &mut self.conns[conn.index()];
                if state.eof {
                    return self.end(handler, conn, CloseReason::Local);
                }
                state.half_closing = true;
                state.in_kernel += 1;
                self.queue.shutdown_write(state.fd, Token::conn(Kind::Shutdown, conn));
                slot.phase = Phase::Lingering;
                self.ops.wheel.set(conn.index, self.ops.now_ns + CLOSE_TIMEOUT_NS);
                self.arm_receive(conn);
            }
            // Input that was held back until here is thrown away: the peer may not read before it
            // has sent everything.
            Phase::ClosingLinger => self.arm_receive(conn),
            _ => {}
        }
    }

    /// Deadlines, the alarm, and the end of an accept pause.
    fn fire<H: Handler>(&mut self, handler: &mut H) {
        fire_timers(&mut self.ops, handler, &mut self.timers);
        while let Some(conn) = self.timers.stuck.pop() {
            self.end(handler, conn, CloseReason::Local);
        }
        if !self.resting_listeners.is_empty() && self.accept_at_ns <= self.ops.now_ns {
            let mut resting = std::mem::take(&mut self.resting_listeners);
            resting.drain(..).for_each(|listener| self.arm_accept(listener));
            self.resting_listeners = resting;
        }
    }

    /// Ends what is open and waits, for a while, until the kernel has let go of everything.
    fn teardown<H: Handler>(&mut self, handler: &mut H) -> Result<(), EngineError> {
        self.is_over = true;
        // Output may have been handed over since the last completions were seen.
        self.ops.now_ns = now_ns();
        self.listeners.clear();
        let open: Vec<ConnId> = self.ops.slots.ids().collect();
        for conn in open {
            self.end(handler, conn, CloseReason::Stopped);
        }
        let until_ns = now_ns() + TEARDOWN_NS;
        let mut swept = false;
        let mut left = usize::MAX;
        loop {
            // A client's answer to a lost connection is a new one; not any more.
            for (conn, _) in std::mem::take(&mut self.ops.connects) {
                if let Some(slot) = self.ops.slots.get_mut(conn) {
                    slot.phase = Phase::Closed;
                    *self.conn_mut(conn) = Conn { ended: true, buried: true, ..NO_CONN };
                    self.dead.push(conn);
                }
            }
            self.flush(handler);
            // What was cancelled stays in the kernel's list until its completion is made, and a
            // cancel of everything walks past it each time that it looks for the next: with 15,000
            // connections that took two seconds. So it comes when those with a cancel of their own
            // are gone, or do not get fewer any more.
            let before = std::mem::replace(&mut left, self.ops.slots.len());
            if !swept && (left == 0 || left == before) {
                swept = true;
                self.queue.cancel_all();
            }
            if now_ns() > until_ns {
                return Ok(());
            }
            // An accept may bring a connection until it has ended, and that is closed by an entry.
            let pending = self.ops.slots.len() > 0
                || self.armed_accepts > 0
                || !self.queue.is_settled()
                || !self.queue.is_empty()
                || self.awaits_sends();
            let until_ns = if pending { now_ns() + TEARDOWN_NS / 100 } else { 0 };
            self.pool.publish();
            let wait = Wait { want: 1, min_wait_us: 0, until_ns: Some(until_ns) };
            self.queue.enter(wait).map_err(EngineError::UringEnter)?;
            self.drain(handler);
            self.settle(handler);
            if !pending {
                return Ok(());
            }
        }
    }

    /// The counts, and whether the kernel has let go of all memory of ours. What it has not is
    /// left to it for good.
    pub(super) fn finish(mut self) -> (EngineStats, bool) {
        if !self.loans.is_empty() {
            // A peer that does not read could keep us waiting for minutes.
            std::mem::forget(std::mem::take(&mut self.loans));
        }
        let quiet = self.ops.slots.len() == 0 && self.submitted.is_none();
        if !quiet {
            std::mem::forget(std::mem::take(&mut self.submitted));
            std::mem::forget(std::mem::take(&mut self.routes));
            std::mem::forget(std::mem::take(&mut self.ops.slots));
        }
        self.count_enters();
        (self.ops.stats, quiet)
    }

    /// What the queue has counted, to where the handler can see it.
    fn count_enters(&mut self) {
        self.ops.stats.enters = self.queue.enters;
        self.ops.stats.cq_overflows = self.queue.overflows;
    }

    /// Has the shard's eventfd reported.
    pub(super) fn watch(&mut self) {
        let wake = Token { kind: Kind::Wake, generation: 0, index: 0 };
        self.queue.watch(self.control.wake_fd().as_raw_fd(), wake);
    }

    /// The ring's part of a connection, made if the table is too short.
    pub(super) fn conn_mut(&mut self, conn: ConnId) -> &mut Conn {
        if conn.index() >= self.conns.len() {
            self.conns.resize(conn.index() + 1, NO_CONN);
        }
        &mut self.conns[conn.index()]
    }

    pub(super) fn count_peak(&mut self) {
        let open = self.ops.slots.len() as u64;
        self.ops.stats.connections_peak = self.ops.stats.connections_peak.max(open);
    }
}
