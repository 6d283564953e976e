//! The closed loop on one shard: opens connections, sends, measures, reopens what is lost.
//!
//! How one request goes: `Load::send` appends it to the shard's output and notes the connection;
//! `submitting` stamps all connections that wrote in this batch, right before the kernel gets it;
//! `received` parses the response where it lies and records the time since the stamp. On that way
//! nothing is allocated, locked or asked of a clock; everything else is done at the alarm.
//!
//! With pipelining a burst of requests leaves in one send, and the next when all of it is answered,
//! as in wrk. The requests of a burst share their stamp; each has a latency of its own.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use ringbench_engine::{CloseReason, ConnId, Control, Handler, Ops, TargetId};
use ringbench_http::{EofOutcome, Limits};
use ringbench_measure::{RateSampler, SharedCounters};

use crate::config::{Config, Ending};
use crate::connection::{Connection, Outcome, Phase};
use crate::intervals::{Message, Reporter};
use crate::opener::Opener;
use crate::pace::{Budget, Clock, Patience, clamp_ns, share};
use crate::plan::Plan;
use crate::tally::{Tally, Trouble};

/// How often a shard publishes its counters and samples its rate.
const TICK_NS: u64 = RateSampler::SLICE_NS;

/// What all shards of a run share. Nobody writes to it while they run, except that each shard
/// publishes its counters into a block of its own.
#[derive(Debug)]
pub struct Shared {
    plan: Plan,
    address: SocketAddr,
    connections: usize,
    pipeline: u32,
    timeout: Duration,
    ending: Ending,
    interval_ns: Option<u64>,
    clock: Clock,
    published: Vec<SharedCounters>,
}

impl Shared {
    /// For a run that sends `plan` to `address`.
    pub fn new(config: &Config, plan: Plan, address: SocketAddr) -> Self {
        Self {
            plan,
            address,
            connections: config.connections,
            pipeline: config.pipeline,
            timeout: config.timeout,
            ending: config.ending,
            interval_ns: config.interval.map(clamp_ns),
            clock: Clock::new(config.ending.duration),
            published: (0..config.threads).map(|_| SharedCounters::new()).collect(),
        }
    }

    /// The run's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// What each shard published last.
    pub fn published(&self) -> &[SharedCounters] {
        &self.published
    }
}

/// One shard of a run.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    shard: usize,
    target: Option<TargetId>,
    timeout_ns: u64,
    limits: Limits,
    conns: Vec<Connection>,
    /// Indices of the connections that wrote in this batch.
    wrote: Vec<u32>,
    /// Connections for which there was nothing left to send.
    idle: Vec<ConnId>,
    /// Memory for the beginnings of responses.
    spare: Vec<Vec<u8>>,
    opener: Opener,
    budget: Budget,
    patience: Option<Patience>,
    reporter: Reporter,
    tally: Tally,
    /// Connections that are open.
    open: u64,
    /// Open connections that ended and are to be replaced.
    ended: u64,
    next_tick_ns: u64,
    over: bool,
}

impl Load {
    /// The part of `shard` in a run; what it has to say meanwhile goes to `messages`.
    pub fn new(run: Arc<Shared>, shard: usize, messages: Sender<Message>) -> Self {
        let count = run.published.len();
        let connections = share(run.connections as u64, count, shard) as usize;
        Self {
            shard,
            target: None,
            timeout_ns: clamp_ns(run.timeout),
            limits: Limits::client(),
            conns: Vec::with_capacity(connections),
            wrote: Vec::with_capacity(connections),
            idle: Vec::new(),
            spare: Vec::new(),
            opener: Opener::new(connections, count),
            budget: Budget::new(run.ending, count, shard),
            patience: Patience::new(run.ending, run.timeout),
            reporter: Reporter::new(shard, messages, run.interval_ns),
            tally: Tally::new(),
            open: 0,
            ended: 0,
            next_tick_ns: 0,
            over: false,
            shared: run,
        }
    }

    /// What has been measured so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// What was measured.
    pub fn into_tally(self) -> Tally {
        self.tally
    }

    /// Sends the next burst, if anything is left to send.
    #[inline]
    fn send(&mut self, ops: &mut Ops, id: ConnId) {
        let wanted = self.conns[id.index()].room_for(self.shared.pipeline);
        let requests = self.budget.take(wanted);
        if requests == 0 {
            return self.rest(ops, id);
        }
        let bytes = self.shared.plan.requests(requests);
        ops.output(id).extend_from_slice(bytes);
        ops.set_deadline(id, ops.now_ns().saturating_add(self.timeout_ns));
        self.conns[id.index()].sent(requests, self.shared.plan.kind());
        self.wrote.push(id.index() as u32);
        self.tally.ledger.sent += u64::from(requests);
        self.tally.counters.bytes_written += bytes.len() as u64;
    }

    /// Nothing is left to send on this connection: the run is over, or others are still waiting.
    fn rest(&mut self, ops: &mut Ops, id: ConnId) {
        ops.clear_deadline(id);
        self.idle.push(id);
        self.finish_if_complete(ops);
    }

    /// Requests were lost and have come back into the budget: idle connections send them.
    fn wake_idle(&mut self, ops: &mut Ops) {
        while !self.budget.is_empty()
            && let Some(id) = self.idle.pop()
        {
            let conn = &self.conns[id.index()];
            if conn.phase == Phase::Open && conn.id == Some(id) && conn.unanswered() == 0 {
                self.send(ops, id);
            }
        }
    }

    fn open_missing(&mut self, ops: &mut Ops) {
        let Some(target) = self.target else { return };
        let now_ns = ops.now_ns();
        let count = if self.has_use_for_more() { self.opener.start(now_ns) } else { 0 };
        for _ in 0..count {
            let id = ops.connect(target);
            if self.conns.len() <= id.index() {
                self.conns.resize_with(id.index() + 1, Connection::vacant);
            }
            self.conns[id.index()].occupy(id, self.shared.plan.per_connection());
            ops.set_deadline(id, now_ns.saturating_add(self.timeout_ns));
        }
        if self.next_start_ns(now_ns).is_some() {
            self.set_alarm(ops);
        }
    }

    /// Without anything to send there is no use for a replacement; the first connections were
    /// asked for and are opened in any case.
    fn has_use_for_more(&self) -> bool {
        self.ended == 0 || !self.budget.is_empty()
    }

    fn next_start_ns(&self, now_ns: u64) -> Option<u64> {
        self.has_use_for_more().then(|| self.opener.next_start_ns(now_ns)).flatten()
    }

    fn set_alarm(&self, ops: &mut Ops) {
        let times = [
            Some(self.next_tick_ns),
            Some(self.reporter.next_ns()),
            self.shared.clock.end_ns(),
            self.next_start_ns(ops.now_ns()),
        ];
        ops.set_alarm(times.into_iter().flatten().min());
    }

    /// The connection's requests will not be answered: they go back into the budget. How many
    /// there were.
    fn take_unanswered(&mut self, id: ConnId) -> u32 {
        let unanswered = self.conns[id.index()].forget_unanswered();
        self.budget.give_back(unanswered);
        unanswered
    }

    /// Ends a connection because of what happened to it.
    fn fail(&mut self, ops: &mut Ops, id: ConnId, trouble: Trouble) {
        let unanswered = self.take_unanswered(id);
        self.tally.trouble(ops.now_ns(), trouble, unanswered);
        self.conns[id.index()].phase = Phase::Closing;
        ops.abort(id);
        // What broke the rules may have come after the last response.
        self.finish_if_complete(ops);
    }

    /// The connection has ended without fault, because all its requests are answered or by the
    /// server's wish, who may do that: what is unanswered is lost, but no error.
    fn close(&mut self, ops: &mut Ops, id: ConnId) {
        let unanswered = self.take_unanswered(id);
        let is_done = self.conns[id.index()].is_spent() && unanswered == 0;
        self.tally.ledger.lost += u64::from(unanswered);
        self.tally.ledger.closed_by_server += u64::from(!is_done);
        self.conns[id.index()].phase = Phase::Closing;
        ops.close(id);
        self.finish_if_complete(ops);
    }

    /// A connection could not be made.
    fn not_connected(&mut self, now_ns: u64, trouble: Trouble) {
        match &trouble {
            Trouble::Connect(error) if error.kind() == ErrorKind::ConnectionRefused => {
                self.tally.ledger.refused += 1;
            }
            Trouble::Connect(error) if error.kind() == ErrorKind::AddrNotAvailable => {
                self.tally.ledger.no_local_port += 1;
            }
            Trouble::ConnectTimeout => self.tally.ledger.connect_timeouts += 1,
            _ => {}
        }
        self.tally.trouble(now_ns, trouble, 0);
        self.opener.not_connected(now_ns);
    }

    /// An open connection broke.
    fn broken(
        &mut self,
        now_ns: u64,
        id: ConnId,
        error: io::Error,
        wrap: fn(io::Error) -> Trouble,
    ) {
        self.tally.ledger.resets += u64::from(error.kind() == ErrorKind::ConnectionReset);
        let unanswered = self.take_unanswered(id);
        // Where nothing was asked, nothing is lost.
        if unanswered > 0 {
            self.tally.trouble(now_ns, wrap(error), unanswered);
        }
    }

    /// The connection has completed its first response.
    #[cold]
    fn prove(&mut self, id: ConnId) {
        let newness = std::mem::take(&mut self.conns[id.index()].newness);
        self.opener.proven(newness);
    }

    fn finish_if_complete(&mut self, ops: &mut Ops) {
        if self.budget.total() == Some(self.tally.counters.requests) {
            self.finish(ops);
        }
    }

    /// Ends the shard's part. Requests that are in flight are neither counted nor errors, but how
    /// long the oldest of them has waited is kept: the latencies know nothing of it.
    fn finish(&mut self, ops: &mut Ops) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        let now_ns = ops.now_ns();
        // What was written in this batch has not waited at all.
        self.submitting(now_ns);
        let ledger = &mut self.tally.ledger;
        for conn in self.conns.iter().filter(|conn| conn.unanswered() > 0) {
            ledger.in_flight += u64::from(conn.unanswered());
            ledger.oldest_in_flight_ns =
                ledger.oldest_in_flight_ns.max(now_ns.saturating_sub(conn.sent_ns()));
        }
        self.tally.ended_ns = Some(now_ns);
        self.publish();
        self.reporter.done();
        ops.stop();
    }

    fn publish(&self) {
        self.shared.published[self.shard].publish(&self.tally.counters);
    }

    fn tick(&mut self, now_ns: u64) {
        self.next_tick_ns = now_ns + TICK_NS;
        self.tally.rates.observe(now_ns, self.tally.counters.requests);
        self.opener.tick();
        self.publish();
    }
}

impl Handler for Load {
    fn started(&mut self, ops: &mut Ops) {
        let now_ns = ops.now_ns();
        let start_ns = self.shared.clock.start(now_ns);
        self.reporter.start(start_ns);
        self.tally.rates = RateSampler::new(now_ns);
        self.next_tick_ns = now_ns + TICK_NS;
        if let Some(patience) = &mut self.patience {
            patience.start(now_ns);
        }
        self.target = Some(ops.add_target(self.shared.address));
        self.set_alarm(ops);
        // A shard whose share of the requests is none is done already.
        self.finish_if_complete(ops);
    }

    fn connected(&mut self, ops: &mut Ops, id: ConnId) {
        if self.over {
            return;
        }
        let conn = &mut self.conns[id.index()];
        conn.phase = Phase::Open;
        conn.newness = self.opener.connected();
        self.tally.counters.opened += 1;
        if self.ended > 0 {
            self.ended -= 1;
            self.tally.counters.reconnects += 1;
        }
        self.open += 1;
        self.tally.ledger.peak = self.tally.ledger.peak.max(self.open);
        self.send(ops, id);
    }

    #[inline]
    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        if self.over {
            return;
        }
        let conn = &mut self.conns[id.index()];
        let answered = self.tally.counters.requests;
        self.tally.counters.bytes_read += bytes.len() as u64;
        let outcome =
            conn.receive(bytes, &self.limits, ops.now_ns(), &mut self.tally, &mut self.spare);
        if conn.newness.is_new() && self.tally.counters.requests > answered {
            self.prove(id);
        }
        match outcome {
            Outcome::Waiting => {}
            Outcome::Answered if self.conns[id.index()].is_spent() => self.close(ops, id),
            Outcome::Answered => self.send(ops, id),
            Outcome::Last => self.close(ops, id),
            Outcome::Malformed(error) => self.fail(ops, id, Trouble::Malformed(error)),
        }
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        if self.over {
            return;
        }
        let conn = &mut self.conns[id.index()];
        let is_new = conn.newness.is_new();
        match conn.eof(ops.now_ns(), &mut self.tally) {
            EofOutcome::Clean => self.close(ops, id),
            EofOutcome::BodyEnd => {
                if is_new {
                    self.prove(id);
                }
                self.close(ops, id);
            }
            EofOutcome::Truncated => self.fail(ops, id, Trouble::Truncated),
        }
    }

    fn deadline(&mut self, ops: &mut Ops, id: ConnId) {
        if self.over {
            return;
        }
        let conn = &mut self.conns[id.index()];
        if conn.phase == Phase::Connecting {
            conn.phase = Phase::Abandoned;
            ops.abort(id);
        } else if conn.unanswered() > 0 {
            // A server that is merely slow gets its connections back at once.
            let newness = std::mem::take(&mut conn.newness);
            self.opener.no_longer_new(newness);
            self.fail(ops, id, Trouble::Timeout);
        }
    }

    fn closed(&mut self, ops: &mut Ops, id: ConnId, why: CloseReason) {
        let now_ns = ops.now_ns();
        if matches!(why, CloseReason::Stopped) {
            self.finish(ops);
        }
        let conn = &mut self.conns[id.index()];
        let phase = std::mem::replace(&mut conn.phase, Phase::Gone);
        let newness = std::mem::take(&mut conn.newness);
        conn.release(&mut self.spare);
        let was_open = matches!(phase, Phase::Open | Phase::Closing);
        if was_open {
            self.open -= 1;
        }
        // What the end of the run closes tells nothing of the server.
        if self.over {
            return;
        }
        self.tally.counters.closed += u64::from(was_open);
        match why {
            CloseReason::ConnectFailed(error) => {
                self.not_connected(now_ns, Trouble::Connect(error));
            }
            CloseReason::ReceiveFailed(error) => self.broken(now_ns, id, error, Trouble::Receive),
            CloseReason::SendFailed(error) => self.broken(now_ns, id, error, Trouble::Send),
            CloseReason::Local | CloseReason::Stopped if phase == Phase::Abandoned => {
                self.not_connected(now_ns, Trouble::ConnectTimeout);
            }
            CloseReason::Local | CloseReason::Stopped => {}
        }
        if was_open {
            self.ended += 1;
            self.opener.gone(newness, now_ns);
        }
    }

    fn alarm(&mut self, ops: &mut Ops) {
        if self.over {
            return;
        }
        let now_ns = ops.now_ns();
        let Tally { latency, counters, .. } = &mut self.tally;
        self.reporter.observe(now_ns, latency, counters);
        if now_ns >= self.next_tick_ns {
            self.tick(now_ns);
        }
        let requests = self.tally.counters.requests;
        let time_is_up = self.shared.clock.end_ns().is_some_and(|end_ns| now_ns >= end_ns);
        if self.patience.as_mut().is_some_and(|patience| patience.is_over(now_ns, requests)) {
            self.tally.gave_up = true;
        }
        if time_is_up || self.tally.gave_up {
            return self.finish(ops);
        }
        self.set_alarm(ops);
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        match control {
            Control::Drain => self.finish(ops),
        }
    }

    #[inline]
    fn turn(&mut self, ops: &mut Ops) {
        if self.over {
            return;
        }
        if self.opener.is_missing_any() {
            self.open_missing(ops);
        }
        if !self.idle.is_empty() {
            self.wake_idle(ops);
        }
    }

    #[inline]
    fn submitting(&mut self, now_ns: u64) {
        for index in self.wrote.drain(..) {
            self.conns[index as usize].stamp(now_ns);
        }
    }
}
