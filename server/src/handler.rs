//! ringserve on a shard: connections come and go, bytes become answers, deadlines are kept.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringbench_engine::{CloseReason, ConnId, Control, Handler, Ops};
use ringbench_http::{EofOutcome, is_head_request};

use crate::access_log::{RequestLine, ShardLog};
use crate::admin::board::Publisher;
use crate::conn::{Connection, Pool, Timer};
use crate::counts::Counts;
use crate::prepared::Prepared;
use crate::reply::Persist;
use crate::rest::{PIECE_BYTES, Rest};
use crate::serve::{MAX_UNSENT_BYTES, Outcome, Served, Serving, StageLimits};
use crate::share::Share;
use crate::shared::{Settings, Shared};
use crate::site::Site;

/// Before a close, so much may be left to the engine, which gives a client a few seconds to take it.
/// For more we wait until it is taken, however slowly.
const SENT_AT_ONCE_BYTES: u32 = 64 * 1024;

/// While a request has to wait for the answer before it, so much of what comes behind it is kept;
/// then the rest stays with the client.
const MAX_WAITING_BYTES: usize = 64 * 1024;

/// Forgets so many bytes of memory, as a defect would, so that it can be shown to be found.
#[cold]
fn leak(bytes: usize) {
    // Written to, or the kernel would give no memory for it; and looked at by somebody the compiler
    // does not know, or it would find that nobody needs it.
    std::hint::black_box(vec![1_u8; bytes].leak());
}

/// The server on one shard.
#[derive(Debug)]
pub struct Server {
    /// By [`ConnId::index`].
    conns: Vec<Connection>,
    /// Connections that were not turned away.
    open: usize,
    shared: Shared,
    /// Where others see what is counted, if they want to.
    publisher: Option<Publisher>,
}

impl Server {
    /// A server without connections that answers from `site`.
    pub fn new(settings: Arc<Settings>, site: Site) -> Self {
        let shared = Shared {
            limits: StageLimits::new(&settings.limits, settings.max_upload_bytes),
            settings,
            site,
            prepared: Prepared::new(0, SystemTime::now()),
            pool: Pool::default(),
            counts: Counts::default(),
            share: Share::default(),
            draining: false,
            log: None,
        };
        Self { conns: Vec::new(), open: 0, shared, publisher: None }
    }

    /// The same, seen by others.
    #[must_use]
    pub(crate) fn observed(mut self, publisher: Option<Publisher>, log: Option<ShardLog>) -> Self {
        self.publisher = publisher;
        self.shared.log = log;
        self
    }

    /// Hands over what is left of the shard's access log.
    pub(crate) fn end_log(&mut self) {
        if let Some(mut log) = self.shared.log.take() {
            log.hand_over();
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

    /// Shows others what has been counted.
    #[inline]
    fn publish(&self, ops: &Ops) {
        if let Some(publisher) = &self.publisher {
            publisher.publish(&self.shared.counts, ops.stats());
        }
    }

    /// Works off what came in, with what was left over before it.
    #[inline]
    fn serve(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        let requests = self.shared.counts.requests;
        let (conn, shared) = (&mut self.conns[id.index()], &mut self.shared);
        let earlier = conn.partial.as_mut().filter(|partial| !partial.input.is_empty());
        let Served { written, outcome, .. } = if let Some(partial) = earlier {
            let mut input = mem::take(&mut partial.input);
            input.extend_from_slice(bytes);
            let served = Serving::new(ops, id, conn, shared, &input).run();
            input.drain(..served.consumed);
            if let Some(partial) = &mut conn.partial {
                partial.input = input;
            }
            served
        } else {
            let served = Serving::new(ops, id, conn, shared, bytes).run();
            let goes_on = matches!(served.outcome, Outcome::Open | Outcome::Suspended);
            if served.consumed < bytes.len() && goes_on {
                let partial = conn.partial.get_or_insert_with(|| shared.pool.take());
                partial.input.extend_from_slice(&bytes[served.consumed..]);
            }
            served
        };
        shared.counts.written_bytes += written as u64;
        conn.written_bytes = conn.written_bytes.saturating_add(written as u32);
        match outcome {
            Outcome::Open => {
                let answered = shared.counts.requests != requests;
                self.settle(ops, id, answered);
            }
            Outcome::Suspended => self.wait_for_rest(ops, id),
            Outcome::Close | Outcome::Linger => self.finish(ops, id, outcome),
        }
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
            Timer::Body => timeouts.body,
            Timer::Send => timeouts.send,
            Timer::Idle if self.shared.draining => self.shared.settings.drain_grace,
            Timer::Idle => timeouts.keepalive,
            Timer::Later => match self.conns[id.index()].rest.as_deref() {
                Some(Rest::Later(later)) => later.after,
                _ => Duration::ZERO,
            },
        };
        let conn = &mut self.conns[id.index()];
        conn.timer = timer;
        // A new wait: that as much was unsent at the end of an earlier one says nothing.
        conn.unsent_bytes = 0;
        ops.set_deadline(id, ops.now_ns() + time.as_nanos() as u64);
    }

    /// Sees to it that the rest of the last answer comes.
    #[cold]
    fn wait_for_rest(&mut self, ops: &mut Ops, id: ConnId) {
        if let Some(Rest::Later(_)) = self.conns[id.index()].rest.as_deref() {
            return self.arm(ops, id, Timer::Later);
        }
        ops.notify_drained(id);
        self.arm(ops, id, Timer::Send);
    }

    /// Keeps input that has to wait, and holds the client back when it is much.
    #[cold]
    fn keep_waiting(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        let (conn, shared) = (&mut self.conns[id.index()], &mut self.shared);
        let partial = conn.partial.get_or_insert_with(|| shared.pool.take());
        partial.input.extend_from_slice(bytes);
        if partial.input.len() > MAX_WAITING_BYTES && !conn.held {
            conn.held = true;
            ops.hold_input(id);
        }
    }

    /// What was written has left: the next piece of a long body, if this turn has room for it.
    fn go_on_with_rest(&mut self, ops: &mut Ops, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        let Some(Rest::Body(source)) = conn.rest.as_deref_mut() else {
            return self.rest_is_done(ops, id);
        };
        let is_called = mem::take(&mut conn.is_called);
        let room = if is_called { Some(PIECE_BYTES) } else { self.shared.share.admit(id) };
        let Some(piece_bytes) = room else { return };
        let out = ops.output(id);
        let before = out.len();
        if source.write_piece(out, piece_bytes).is_err() {
            // The length that was promised cannot be kept: only a close tells the client.
            self.release(id);
            return ops.abort(id);
        }
        self.shared.counts.written_bytes += (out.len() - before) as u64;
        if source.left() == 0 {
            return self.rest_is_done(ops, id);
        }
        ops.notify_drained(id);
        self.arm(ops, id, Timer::Send);
    }

    /// Gives an answer that was put off.
    fn answer_late(&mut self, ops: &mut Ops, id: ConnId) {
        let waiting_bytes = self.leftover_bytes(id);
        let (conn, shared) = (&mut self.conns[id.index()], &mut self.shared);
        if let Some(Rest::Later(later)) = conn.rest.as_deref() {
            if shared.draining && waiting_bytes == 0 {
                conn.exchange.persist = Persist::Close;
            }
            // Nothing came that would have renewed the date.
            shared.prepared.refresh(ops.now_ns(), SystemTime::now);
            let (persist, head_only) = (conn.exchange.persist, conn.exchange.head_only);
            let out = ops.output(id);
            let before = out.len();
            shared.prepared.answer_late(out, later, persist, head_only);
            shared.counts.written_bytes += (out.len() - before) as u64;
        }
        self.rest_is_done(ops, id);
    }

    /// The last answer is complete: goes on with what had to wait for it.
    fn rest_is_done(&mut self, ops: &mut Ops, id: ConnId) {
        let leftover = self.leftover_bytes(id) > 0;
        let conn = &mut self.conns[id.index()];
        let was_answer = !matches!(conn.rest.take().as_deref(), Some(Rest::Leaving));
        if was_answer && conn.exchange.persist == Persist::Close {
            let asked = conn.parser.is_closed() && !leftover;
            let outcome = if asked { Outcome::Close } else { Outcome::Linger };
            return self.finish(ops, id, outcome);
        }
        if leftover && ops.backlog_bytes(id) > MAX_UNSENT_BYTES {
            // Time alone has passed: the client may have read nothing.
            conn.rest = Some(Box::new(Rest::Leaving));
            return self.wait_for_rest(ops, id);
        }
        self.shared.prepared.refresh(ops.now_ns(), SystemTime::now);
        if leftover {
            self.serve(ops, id, &[]);
        } else {
            self.settle(ops, id, true);
        }
        let conn = &mut self.conns[id.index()];
        if conn.rest.is_some() || conn.closing.is_some() || conn.id.is_none() {
            return;
        }
        if mem::take(&mut conn.held) {
            ops.resume_input(id);
        }
        if conn.eof {
            self.end_of_input(ops, id);
        }
    }

    /// A half-close: what was received in full has been answered, so that only an unfinished
    /// request is left, whose sender may still read that it was one.
    fn end_of_input(&mut self, ops: &mut Ops, id: ConnId) {
        if self.conns[id.index()].parser.eof(self.leftover_bytes(id)) == EofOutcome::Truncated {
            self.shared.counts.refused += 1;
            self.give_up(ops, id, 400, "the connection was closed in the middle of the request");
        }
        self.finish(ops, id, Outcome::Close);
    }

    /// Answers an unfinished request with `status`, if one has begun.
    #[cold]
    fn give_up(&mut self, ops: &mut Ops, id: ConnId, status: u16, why: &str) {
        let (conn, shared) = (&self.conns[id.index()], &mut self.shared);
        let (head, input) =
            conn.partial.as_deref().map_or_else(Default::default, |p| (&p.head[..], &p.input[..]));
        let (head_only, raw) = if conn.parser.is_mid_body() {
            (conn.exchange.head_only, head)
        } else {
            (is_head_request(input), input)
        };
        // Nothing came that would have renewed the date.
        shared.prepared.refresh(ops.now_ns(), SystemTime::now);
        let out = ops.output(id);
        let before = out.len();
        let content_bytes = shared.prepared.refuse(out, status, why, head_only);
        shared.counts.written_bytes += (out.len() - before) as u64;
        shared.counts.count_status(status);
        shared.log_answer(ops, id, RequestLine::Raw(raw), status, content_bytes);
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
        conn.closing = Some(outcome);
        conn.parser.close();
        if wrote_much || ops.backlog_bytes(id) > 0 {
            ops.notify_drained(id);
            return self.arm(ops, id, Timer::Send);
        }
        match outcome {
            Outcome::Open | Outcome::Suspended => {}
            Outcome::Close => ops.close(id),
            Outcome::Linger => ops.close_lingering(id),
        }
    }

    /// One connection too many.
    #[cold]
    fn turn_away(&mut self, ops: &mut Ops, id: ConnId) {
        self.shared.counts.turned_away += 1;
        self.conns[id.index()].turned_away = true;
        self.give_up(ops, id, 503, "there are too many connections");
        ops.close_lingering(id);
    }

    /// A client that takes its answers too slowly, or not at all.
    fn unsent(&mut self, ops: &mut Ops, id: ConnId, moved: bool) {
        let timer = self.conns[id.index()].timer;
        if timer == Timer::Idle && self.shared.draining {
            return self.finish(ops, id, Outcome::Linger);
        }
        // The time to take answers begins when what was waited for before has not come.
        if moved || timer != Timer::Send {
            self.arm(ops, id, Timer::Send);
            self.conns[id.index()].unsent_bytes = ops.backlog_bytes(id);
            return;
        }
        self.shared.counts.send_timeouts += 1;
        self.release(id);
        ops.reset(id);
    }
}

impl Handler for Server {
    fn started(&mut self, ops: &mut Ops) {
        self.shared.prepared = Prepared::new(ops.now_ns(), SystemTime::now());
        if let Some(publisher) = &self.publisher {
            publisher.started();
        }
    }

    fn accepted(&mut self, ops: &mut Ops, id: ConnId) {
        if id.index() >= self.conns.len() {
            self.conns.resize_with(id.index() + 1, Connection::default);
        }
        self.conns[id.index()] = Connection { id: Some(id), ..Connection::default() };
        self.shared.counts.accepted += 1;
        if self.open >= self.shared.settings.max_connections {
            return self.turn_away(ops, id);
        }
        self.open += 1;
        self.arm(ops, id, if self.shared.draining { Timer::Idle } else { Timer::Head });
    }

    #[inline]
    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        self.shared.counts.received_bytes += bytes.len() as u64;
        let conn = &mut self.conns[id.index()];
        if conn.closing.is_some() {
            return;
        }
        if conn.rest.is_some() {
            return self.keep_waiting(ops, id, bytes);
        }
        if ops.backlog_bytes(id) > MAX_UNSENT_BYTES {
            conn.rest = Some(Box::new(Rest::Leaving));
            self.wait_for_rest(ops, id);
            return self.keep_waiting(ops, id, bytes);
        }
        self.shared.prepared.refresh(ops.now_ns(), SystemTime::now);
        self.serve(ops, id, bytes);
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        let conn = &mut self.conns[id.index()];
        conn.eof = true;
        if conn.closing.is_none() && conn.rest.is_none() {
            self.end_of_input(ops, id);
        }
    }

    fn drained(&mut self, ops: &mut Ops, id: ConnId) {
        match self.conns[id.index()].closing {
            Some(outcome) => self.finish(ops, id, outcome),
            None => self.go_on_with_rest(ops, id),
        }
    }

    fn deadline(&mut self, ops: &mut Ops, id: ConnId) {
        let unsent = ops.backlog_bytes(id);
        let conn = &mut self.conns[id.index()];
        let (timer, moved) = (conn.timer, unsent != mem::replace(&mut conn.unsent_bytes, unsent));
        if timer == Timer::Later {
            return self.answer_late(ops, id);
        }
        if unsent > 0 {
            // While our answers still move, however slowly, the client is not idle; and its input
            // may be paused by us.
            return self.unsent(ops, id, moved);
        }
        match timer {
            // The notice that all is sent is on its way, or it is the others' turn.
            Timer::Send if conn.rest.is_some() => return self.arm(ops, id, Timer::Send),
            Timer::Send => {
                return match conn.closing {
                    Some(outcome) => self.finish(ops, id, outcome),
                    // It has taken everything in the end: now for its next request.
                    None => self.settle(ops, id, true),
                };
            }
            Timer::Idle => {
                self.shared.counts.idle_timeouts += u64::from(!self.shared.draining);
                return self.finish(ops, id, Outcome::Close);
            }
            Timer::Body => self.shared.counts.body_timeouts += 1,
            Timer::Head | Timer::Later => self.shared.counts.header_timeouts += 1,
        }
        // Nobody waits for an answer to nothing.
        if timer == Timer::Body || self.leftover_bytes(id) > 0 {
            self.give_up(ops, id, 408, "the request did not come in full in time");
        }
        self.finish(ops, id, Outcome::Linger);
    }

    fn closed(&mut self, ops: &mut Ops, id: ConnId, why: CloseReason) {
        self.release(id);
        let conn = mem::take(&mut self.conns[id.index()]);
        self.open -= usize::from(!conn.turned_away);
        self.shared.counts.count_end(&why, conn.eof);
        if self.shared.settings.debug_leak_bytes > 0 {
            leak(self.shared.settings.debug_leak_bytes);
        }
        if self.shared.draining {
            // After the last connection there is no turn any more.
            self.publish(ops);
        }
    }

    fn alarm(&mut self, _: &mut Ops) {
        if let Some(log) = &mut self.shared.log {
            log.alarm();
        }
    }

    #[inline]
    fn turn(&mut self, ops: &mut Ops) {
        self.publish(ops);
        let conns = &mut self.conns;
        self.shared.share.begin_turn(|id| {
            let conn = &mut conns[id.index()];
            let is_wanted = conn.id == Some(id) && conn.closing.is_none();
            if is_wanted {
                conn.is_called = true;
                // Nothing is on its way, so that the call comes in the next turn.
                ops.notify_drained(id);
            }
            is_wanted
        });
        if let Some(log) = &mut self.shared.log
            && let Some(at_ns) = log.next_alarm_ns(ops.now_ns())
        {
            ops.set_alarm(Some(at_ns));
        }
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        let Control::Drain = control;
        self.shared.draining = true;
        for index in 0..self.conns.len() {
            let conn = &self.conns[index];
            let Some(id) = conn.id else { continue };
            let idle = conn.parser.is_idle() && conn.rest.is_none();
            if idle && self.leftover_bytes(id) == 0 {
                self.arm(ops, id, Timer::Idle);
            }
        }
    }
}
