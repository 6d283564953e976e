//! A shard's part in a run: opens connections, sends, measures, reopens what is lost.
//!
//! How one request goes: `Load::write` appends it to the shard's output and notes the connection;
//! `submitting` stamps all connections that wrote in this batch, right before the kernel gets it;
//! `received` parses the response where it lies and records the time since the stamp. On that way
//! nothing is allocated, locked or asked of a clock; everything else is done at the alarm.
//!
//! | module | what it does |
//! |---|---|
//! | this | the calls of the engine |
//! | `opening` | opens connections, and lets an open loop begin when they are there |
//! | `open_loop` | sends requests when they are due |
//! | `script` | lets a script have its say |
//! | `ends` | what comes of connections that end |
//!
//! With pipelining a burst of requests leaves in one send, and the next when all of it is answered,
//! as in wrk. The requests of a burst share their stamp; each has a latency of its own.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

use ringbench_engine::{
    CloseReason, ConnId, Control, Handler, Ops, Target, TargetId, thread_cpu_ns,
};
use ringbench_http::{EofOutcome, Limits};
use ringbench_measure::{RateSampler, SharedCounters};

use self::open_loop::OpenLoop;
use self::script::Delays;
use crate::config::Config;
use crate::connection::{Connection, Outcome, Phase};
use crate::intervals::{Message, Reporter};
use crate::opener::Opener;
use crate::pace::{Budget, Clock, Patience, clamp_ns, share};
use crate::source::{Material, Source};
use crate::tally::{Recorder, Tally, Trouble};

mod ends;
mod open_loop;
mod opening;
mod script;

/// How often a shard publishes its counters and samples its rate.
const TICK_NS: u64 = RateSampler::SLICE_NS;

/// What all shards of a run share. Nobody writes to it while they run, except that each shard
/// publishes its counters into a block of its own.
#[derive(Debug)]
pub struct Shared {
    config: Config,
    material: Material,
    /// Where connections lead, in turn: one for each local address that they come from.
    targets: Vec<Target>,
    clock: Clock,
    published: Vec<SharedCounters>,
    /// What the server's accept queue holds, where known.
    accept_queue: Option<u32>,
}

impl Shared {
    /// For a run that sends what `material` gives to `targets`, which are not empty.
    pub fn new(config: &Config, material: Material, targets: Vec<Target>) -> Self {
        let duration = config.ending.duration;
        Self {
            material,
            targets,
            clock: match &config.open_loop {
                None => Clock::new(duration),
                Some(_) => Clock::for_open_loop(duration, config.threads),
            },
            published: (0..config.threads).map(|_| SharedCounters::new()).collect(),
            accept_queue: None,
            config: config.clone(),
        }
    }

    /// Connections are opened as fast as a server may whose accept queue holds so many.
    #[must_use]
    pub fn with_accept_queue(mut self, accept_queue: Option<u32>) -> Self {
        self.accept_queue = accept_queue;
        self
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
    targets: Vec<TargetId>,
    next_target: usize,
    timeout_ns: u64,
    limits: Limits,
    source: Source,
    /// Requests that leave together.
    burst: u32,
    /// Requests that a connection carries before it is closed and replaced.
    per_connection: u64,
    open_loop: Option<OpenLoop>,
    conns: Vec<Connection>,
    /// Indices of the connections that wrote in this batch.
    wrote: Vec<u32>,
    /// Connections for which there was nothing to send. Some may have ended since.
    idle: VecDeque<ConnId>,
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
    /// Whether a script says how long to wait before each request, and who waits.
    has_delay: bool,
    delays: Delays,
    /// Whether a script is told of responses.
    tells_responses: bool,
}

impl Load {
    /// The part of `shard` in a run; what it has to say meanwhile goes to `messages`.
    pub fn new(run: Arc<Shared>, shard: usize, messages: Sender<Message>) -> Self {
        let (config, count) = (&run.config, run.published.len());
        let connections = share(config.connections as u64, count, shard) as usize;
        let per_connection = run.material.per_connection(config);
        let burst = per_connection.min(run.material.burst(config).into()) as u32;
        // A burst is not cut short for what is left of a connection where it is due as a whole, or
        // a script gives it.
        let is_whole =
            config.open_loop.is_some() || matches!(run.material, Material::Script { .. });
        let per_connection = if is_whole {
            per_connection - per_connection % u64::from(burst)
        } else {
            per_connection
        };
        let open_loop = config.open_loop.as_ref().map(|open_loop| {
            OpenLoop::new(open_loop, (shard, count), connections, burst, config.seed)
        });
        let mut source = run.material.source(shard, config);
        let script = source.script().map(|scripted| &scripted.script);
        let (has_delay, tells_responses) = script.map_or((false, false), |script| {
            // Where requests have a schedule there is nothing to wait for.
            (script.has_delay() && open_loop.is_none(), script.has_response())
        });
        let mut tally = Tally::new();
        tally.open_loop = open_loop.as_ref().map(|_| Box::default());
        Self {
            shard,
            targets: Vec::new(),
            // Shards begin at different ones.
            next_target: shard,
            timeout_ns: clamp_ns(config.timeout),
            limits: Limits::client(),
            source,
            burst,
            per_connection,
            open_loop,
            conns: Vec::with_capacity(connections),
            wrote: Vec::with_capacity(connections),
            idle: VecDeque::with_capacity(connections),
            spare: Vec::new(),
            opener: Opener::new(connections, count, opening::throttle(config, count))
                .with_accept_queue(run.accept_queue, count)
                .with_burst(config.connect.is_burst),
            budget: Budget::new(config.ending, count, shard),
            patience: Patience::new(config.ending, config.timeout),
            reporter: Reporter::new(shard, messages, config.keep_every.map(clamp_ns)),
            tally,
            open: 0,
            ended: 0,
            next_tick_ns: 0,
            over: false,
            has_delay,
            delays: Delays::default(),
            tells_responses,
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

    /// The connection can take a request: its first, or the one after those that are answered.
    #[inline]
    fn next(&mut self, ops: &mut Ops, id: ConnId) {
        match self.open_loop {
            None if self.has_delay => self.write_after_delay(ops, id),
            None => self.write(ops, id, self.burst),
            Some(_) => self.free(ops, id),
        }
    }

    /// Writes a burst of up to `wanted` requests, if anything is left to send.
    #[inline]
    fn write(&mut self, ops: &mut Ops, id: ConnId, wanted: u32) {
        let requests = self.budget.take(self.conns[id.index()].room_for(wanted));
        if requests == 0 {
            return self.rest(ops, id);
        }
        let (out, conn) = (ops.output(id), &mut self.conns[id.index()]);
        let before = out.len();
        let mut written = 0;
        let outcome = self.source.write(requests, out, |count, kind| {
            conn.sent(count, kind);
            written += count;
        });
        self.tally.counters.bytes_written += (out.len() - before) as u64;
        if written != requests || outcome.is_err() {
            return self.wrote_otherwise(ops, id, requests, written, outcome.err());
        }
        self.wrote(ops, id, requests);
    }

    #[inline]
    fn wrote(&mut self, ops: &mut Ops, id: ConnId, requests: u32) {
        ops.set_deadline(id, ops.now_ns().saturating_add(self.timeout_ns));
        self.wrote.push(id.index() as u32);
        self.tally.ledger.sent += u64::from(requests);
    }

    /// Nothing is left to send on this connection: the run is over, or others are still waiting.
    fn rest(&mut self, ops: &mut Ops, id: ConnId) {
        ops.clear_deadline(id);
        self.idle.push_back(id);
        self.finish_if_complete(ops);
    }

    /// Requests were lost and have come back into the budget: idle connections send them.
    fn wake_idle(&mut self, ops: &mut Ops) {
        while !self.over
            && !self.budget.is_empty()
            && let Some(id) = self.pop_idle()
        {
            self.write(ops, id, self.burst);
        }
    }

    /// When this shard has to be woken next.
    fn set_alarm(&mut self, ops: &mut Ops) {
        let has_idle = self.open_loop.is_some() && self.has_idle();
        let due_ns = match &self.open_loop {
            Some(open_loop) if !open_loop.is_started() => self.shared.clock.go_ns(),
            Some(open_loop) if !self.budget.is_empty() => open_loop.next_ns(has_idle),
            _ => None,
        };
        let times = [
            Some(self.next_tick_ns),
            Some(self.reporter.next_ns()),
            self.shared.clock.end_ns(),
            self.next_start_ns(ops.now_ns()),
            self.delays.next_ns(),
            due_ns,
        ];
        ops.set_alarm(times.into_iter().flatten().min());
    }

    fn publish(&self) {
        self.shared.published[self.shard].publish(&self.tally.counters);
    }

    fn tick(&mut self, now_ns: u64) {
        self.next_tick_ns = now_ns + TICK_NS;
        self.tally.rates.observe(now_ns, self.tally.counters.requests);
        self.opener.tick();
        self.publish();
        self.go_in_any_case(now_ns);
    }

    /// The load begins: what is measured counts from `start_ns`.
    fn begin(&mut self, start_ns: u64) {
        self.reporter.start(start_ns);
        self.tally.cpu_before_ns = thread_cpu_ns();
        self.tally.rates = RateSampler::new(start_ns);
        self.next_tick_ns = start_ns + TICK_NS;
        if let Some(patience) = &mut self.patience {
            patience.start(start_ns);
        }
    }
}

impl Handler for Load {
    fn started(&mut self, ops: &mut Ops) {
        let now_ns = ops.now_ns();
        let start_ns = self.shared.clock.start(now_ns);
        self.tally.rates = RateSampler::new(now_ns);
        self.next_tick_ns = now_ns + TICK_NS;
        if self.open_loop.is_none() {
            self.begin(start_ns);
            self.tally.rates = RateSampler::new(now_ns);
        }
        self.targets = self.shared.targets.iter().map(|to| ops.add_target(to.clone())).collect();
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
        if let Some(turn) = self.open_loop.as_mut().and_then(|open_loop| open_loop.take_turn(id)) {
            self.conns[id.index()].turn = turn;
        }
        if self.tally.ledger.all_open_ns.is_none() && self.opener.is_complete() {
            self.all_are_open(ops);
        }
        self.next(ops, id);
    }

    #[inline]
    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        if self.over {
            return;
        }
        let answered = self.tally.counters.requests;
        self.tally.counters.bytes_read += bytes.len() as u64;
        let outcome = if self.tells_responses {
            self.receive_for_script(ops, id, bytes)
        } else {
            let mut recorder = Recorder { tally: &mut self.tally, now_ns: ops.now_ns() };
            let conn = &mut self.conns[id.index()];
            conn.receive(bytes, &self.limits, &mut recorder, &mut self.spare)
        };
        if self.over {
            // A script has ended the run.
            return;
        }
        let conn = &self.conns[id.index()];
        if conn.newness.is_new() && self.tally.counters.requests > answered {
            self.prove(id);
        }
        match outcome {
            Outcome::Waiting => {}
            Outcome::Answered if self.conns[id.index()].is_spent() => self.close(ops, id),
            Outcome::Answered => self.next(ops, id),
            Outcome::Last => self.close(ops, id),
            Outcome::Malformed(error) => self.fail(ops, id, Trouble::Malformed(error)),
        }
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        if self.over {
            return;
        }
        let is_new = self.conns[id.index()].newness.is_new();
        let outcome = if self.tells_responses {
            self.eof_for_script(ops, id)
        } else {
            let mut recorder = Recorder { tally: &mut self.tally, now_ns: ops.now_ns() };
            self.conns[id.index()].eof(&mut recorder)
        };
        if self.over {
            return;
        }
        match outcome {
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
        if matches!(why, CloseReason::Stopped) {
            self.finish(ops);
        }
        self.gone(ops, id, why);
    }

    fn alarm(&mut self, ops: &mut Ops) {
        if self.over {
            return;
        }
        let now_ns = ops.now_ns();
        let Tally { latency, counters, .. } = &mut self.tally;
        self.reporter.observe(now_ns, latency, counters);
        let is_tick = now_ns >= self.next_tick_ns;
        if is_tick {
            self.tick(now_ns);
            if self.is_stopped_by_script() {
                return self.finish(ops);
            }
        }
        let requests = self.tally.counters.requests;
        let time_is_up = self.shared.clock.end_ns().is_some_and(|end_ns| now_ns >= end_ns);
        if self.patience.as_mut().is_some_and(|patience| patience.is_over(now_ns, requests)) {
            self.tally.gave_up = true;
        }
        if time_is_up || self.tally.gave_up {
            return self.finish(ops);
        }
        self.start_schedule(ops);
        self.send_due(ops, false);
        if self.has_delay {
            self.send_delayed(ops);
        }
        if is_tick {
            self.shed_what_is_late(now_ns);
            self.be_patient(now_ns);
        }
        // The last requests may have been shed just now.
        self.finish_if_complete(ops);
        if !self.over {
            self.set_alarm(ops);
        }
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
        if self.open_loop.is_none() && !self.idle.is_empty() {
            self.wake_idle(ops);
        }
        if !self.over && (self.open_loop.is_some() || self.has_delay) {
            // Connections that became idle in this batch may send what is due next, and others have
            // begun to wait.
            self.set_alarm(ops);
        }
    }

    #[inline]
    fn submitting(&mut self, now_ns: u64) {
        for index in self.wrote.drain(..) {
            let conn = &mut self.conns[index as usize];
            let times = conn.stamp(now_ns);
            if let Some(open_loop) = &mut self.tally.open_loop {
                open_loop.sent(times, conn.unanswered());
            }
        }
    }
}
