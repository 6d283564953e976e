//! ringserve on a shard: connections come and go, bytes become answers, deadlines are kept.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringbench_engine::{CloseReason, ConnId, Control, Handler, Ops};
use ringbench_http::{EofOutcome, Limits, is_head_request};

use crate::config::Timeouts;
use crate::conn::{Connection, Pool, Timer};
use crate::prepared::Prepared;
use crate::serve::{Outcome, Served, Serving};

/// In a drain, how long an idle connection stays open for a request that is already on its way: it
/// would be lost by a close, and its client could not know.
const DRAIN_GRACE: Duration = Duration::from_millis(100);

/// Before a close, so much may be left to the engine, which gives a client a few seconds to take it.
/// For more we wait until it is taken, however slowly.
const SENT_AT_ONCE_BYTES: u32 = 64 * 1024;

/// What all shards have in common.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What clients may send.
    pub limits: Limits,
    /// How long they may take.
    pub timeouts: Timeouts,
}

/// What a shard has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests answered.
    pub requests: u64,
    /// What was no valid request and was refused.
    pub refused: u64,
    /// Connections given up because nothing moved for too long.
    pub timed_out: u64,
}

impl Counts {
    /// Adds another shard's counts.
    pub fn merge(&mut self, other: &Self) {
        self.requests += other.requests;
        self.refused += other.refused;
        self.timed_out += other.timed_out;
    }
}

/// The parts of a shard that its connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) prepared: Prepared,
    pub(crate) pool: Pool,
    pub(crate) counts: Counts,
    pub(crate) draining: bool,
}

/// The server on one shard.
#[derive(Debug)]
pub struct Server {
    /// By [`ConnId::index`].
    conns: Vec<Connection>,
    shared: Shared,
}

impl Server {
    /// A server without connections.
    pub fn new(settings: Arc<Settings>) -> Self {
        let prepared = Prepared::new(0, SystemTime::now());
        let (pool, counts) = (Pool::default(), Counts::default());
        Self {
            conns: Vec::new(),
            shared: Shared { settings, prepared, pool, counts, draining: false },
        }
    }

    /// What has been counted so far.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Connections for which something is kept. None once all are closed.
    pub fn open_connections(&self) -> usize {
        self.conns.iter().filter(|conn| conn.id.is_some()).count()
    }

    /// Works off what came in, with what was left over before it.
    #[inline]
    fn serve(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) -> Served {
        let (conn, shared) = (&mut self.conns[id.index()], &mut self.shared);
        let earlier = conn.partial.as_mut().filter(|partial| !partial.input.is_empty());
        if let Some(partial) = earlier {
            let mut input = mem::take(&mut partial.input);
            input.extend_from_slice(bytes);
            let served = Serving::new(ops, id, conn, shared, &input).run();
            input.drain(..served.consumed);
            if let Some(partial) = &mut conn.partial {
                partial.input = input;
            }
            return served;
        }
        let served = Serving::new(ops, id, conn, shared, bytes).run();
        if served.consumed < bytes.len() && served.outcome == Outcome::Open {
            let partial = conn.partial.get_or_insert_with(|| shared.pool.take());
            partial.input.extend_from_slice(&bytes[served.consumed..]);
        }
        served
    }

    /// After a piece of input: gives back what is not needed and sets the deadline for what is
    /// waited for now.
    #[inline]
    fn settle(&mut self, ops: &mut Ops, id: ConnId, answered: bool) {
        let (conn, shared) = (&mut self.conns[id.index()], &mut self.shared);
        let timer = if conn.parser.is_mid_body() {
            Timer::Body
        } else if conn.partial.as_ref().is_some_and(|partial| !partial.input.is_empty()) {
            Timer::Head
        } else {
            if let Some(partial) = conn.partial.take() {
                shared.pool.put(partial);
            }
            Timer::Idle
        };
        // The time for a head counts from its start: more bytes of it do not extend it.
        if timer != Timer::Head || conn.timer != Timer::Head || answered {
            self.arm(ops, id, timer);
        }
    }

    /// Sets the deadline of a connection. Called once per piece of input at most.
    #[inline]
    fn arm(&mut self, ops: &mut Ops, id: ConnId, timer: Timer) {
        let timeouts = &self.shared.settings.timeouts;
        let time = match timer {
            Timer::Head => timeouts.header,
            Timer::Body | Timer::Send => timeouts.body,
            Timer::Idle if self.shared.draining => DRAIN_GRACE,
            Timer::Idle => timeouts.keepalive,
        };
        self.conns[id.index()].timer = timer;
        ops.set_deadline(id, ops.now_ns() + time.as_nanos() as u64);
    }

    /// Answers an unfinished request with `status`, if one has begun.
    #[cold]
    fn give_up(&mut self, ops: &mut Ops, id: ConnId, status: u16, why: &str) {
        let conn = &self.conns[id.index()];
        let head_only = if conn.parser.is_mid_body() {
            conn.exchange.head_only
        } else {
            conn.partial.as_ref().is_some_and(|partial| is_head_request(&partial.input))
        };
        // Nothing came that would have renewed the date.
        self.shared.prepared.refresh(ops.now_ns(), SystemTime::now);
        self.shared.prepared.refuse(ops.output(id), status, why, head_only);
    }

    fn leftover_bytes(&self, id: ConnId) -> usize {
        self.conns[id.index()].partial.as_ref().map_or(0, |partial| partial.input.len())
    }

    /// Gives back what a connection holds, which takes no more input.
    fn release(&mut self, id: ConnId) {
        if let Some(partial) = self.conns[id.index()].partial.take() {
            self.shared.pool.put(partial);
        }
    }

    /// Ends a connection, when all that was written to it has been sent.
    fn finish(&mut self, ops: &mut Ops, id: ConnId, outcome: Outcome) {
        self.release(id);
        let conn = &mut self.conns[id.index()];
        // Of what earlier input of this batch led to the backlog does not know yet; to count from
        // the connection's start costs no more than one notice when it ends.
        let wrote_much = mem::take(&mut conn.written_bytes) > SENT_AT_ONCE_BYTES;
        if wrote_much || ops.backlog_bytes(id) > 0 {
            conn.closing = Some(outcome);
            conn.parser.close();
            ops.notify_drained(id);
            return self.arm(ops, id, Timer::Send);
        }
        match outcome {
            Outcome::Open => {}
            Outcome::Close => ops.close(id),
            Outcome::Linger => ops.close_lingering(id),
        }
    }
}

impl Handler for Server {
    fn started(&mut self, ops: &mut Ops) {
        self.shared.prepared = Prepared::new(ops.now_ns(), SystemTime::now());
    }

    fn accepted(&mut self, ops: &mut Ops, id: ConnId) {
        if id.index() >= self.conns.len() {
            self.conns.resize_with(id.index() + 1, Connection::default);
        }
        self.conns[id.index()] = Connection { id: Some(id), ..Connection::default() };
        self.arm(ops, id, if self.shared.draining { Timer::Idle } else { Timer::Head });
    }

    #[inline]
    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        if self.conns[id.index()].closing.is_some() {
            return;
        }
        self.shared.prepared.refresh(ops.now_ns(), SystemTime::now);
        let requests = self.shared.counts.requests;
        let Served { written, outcome, .. } = self.serve(ops, id, bytes);
        let conn = &mut self.conns[id.index()];
        conn.written_bytes = conn.written_bytes.saturating_add(written as u32);
        if outcome == Outcome::Open {
            self.settle(ops, id, self.shared.counts.requests != requests);
        } else {
            self.finish(ops, id, outcome);
        }
    }

    /// A half-close: what was received in full has been answered, so that only an unfinished
    /// request is left, whose sender may still read that it was one.
    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        let conn = &self.conns[id.index()];
        if conn.closing.is_some() {
            return;
        }
        if conn.parser.eof(self.leftover_bytes(id)) == EofOutcome::Truncated {
            self.shared.counts.refused += 1;
            self.give_up(ops, id, 400, "the connection was closed in the middle of the request");
        }
        self.finish(ops, id, Outcome::Close);
    }

    fn drained(&mut self, ops: &mut Ops, id: ConnId) {
        if let Some(outcome) = self.conns[id.index()].closing {
            self.finish(ops, id, outcome);
        }
    }

    fn deadline(&mut self, ops: &mut Ops, id: ConnId) {
        let unsent = ops.backlog_bytes(id);
        let conn = &mut self.conns[id.index()];
        let (timer, moved) = (conn.timer, unsent != mem::replace(&mut conn.unsent_bytes, unsent));
        if unsent > 0 {
            // While our answers still move, however slowly, the client is not idle; and its input
            // may be paused by us.
            return match timer {
                Timer::Idle if self.shared.draining => self.finish(ops, id, Outcome::Linger),
                _ if moved => self.arm(ops, id, timer),
                _ => {
                    self.shared.counts.timed_out += 1;
                    self.release(id);
                    ops.abort(id);
                }
            };
        }
        if timer == Timer::Idle || timer == Timer::Send {
            return self.finish(ops, id, Outcome::Close);
        }
        self.shared.counts.timed_out += 1;
        // Nobody waits for an answer to nothing.
        if timer == Timer::Body || self.leftover_bytes(id) > 0 {
            self.give_up(ops, id, 408, "the request did not come in full in time");
        }
        self.finish(ops, id, Outcome::Linger);
    }

    fn closed(&mut self, _ops: &mut Ops, id: ConnId, _why: CloseReason) {
        self.release(id);
        self.conns[id.index()] = Connection::default();
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        let Control::Drain = control;
        self.shared.draining = true;
        for index in 0..self.conns.len() {
            let conn = &self.conns[index];
            let Some(id) = conn.id else { continue };
            if conn.parser.is_idle() && self.leftover_bytes(id) == 0 {
                self.arm(ops, id, Timer::Idle);
            }
        }
    }
}
