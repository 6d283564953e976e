//! A simulated run, and what must hold of any.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use clap::Parser;
use ringbench_engine::sim::{Outcome, ShardId, Sim, SimOptions};
use ringload::handler::{Load, Shared};
use ringload::intervals::{Assembler, Message};
use ringload::ledger::CloseCause;
use ringload::plan::Plan;
use ringload::schedule::Arrival;
use ringload::source::Material;
use ringload::tally::{OpenTally, Tally};
use ringload::{Config, Flags};

use crate::site::Site;

pub(crate) const ADDRESS: &str = "10.0.0.1:80";
pub(crate) const MS: u64 = 1_000_000;

pub(crate) fn address() -> SocketAddr {
    ADDRESS.parse().unwrap()
}

/// A simulated run.
pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) server: Option<ShardId<Site>>,
    pub(crate) shards: Vec<ShardId<Load>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) messages: Receiver<Message>,
    pub(crate) config: Config,
}

impl World {
    pub(crate) fn new(options: SimOptions, args: &str, server: Option<Site>) -> Self {
        let url = format!("http://{ADDRESS}/");
        let words = ["ringload", url.as_str()].into_iter().chain(args.split_whitespace());
        let config = Flags::try_parse_from(words).and_then(Flags::config).expect("good flags");
        let plan = Material::Plan(Arc::new(Plan::new(&config).expect("a request")));
        let shared = Arc::new(Shared::new(&config, plan, vec![address().into()]));
        let mut sim = Sim::new(options);
        let server = server.map(|site| sim.add_server(address(), site));
        let (sender, messages) = channel();
        let shards = (0..config.threads)
            .map(|shard| sim.add_client(Load::new(Arc::clone(&shared), shard, sender.clone())))
            .collect();
        Self { sim, server, shards, shared, messages, config }
    }

    /// Runs to the end and checks what must hold of any run.
    pub(crate) fn run(&mut self) {
        let outcome = self.sim.run_until_idle(5_000_000);
        assert_eq!(outcome, Outcome::Idle, "it hangs");
        for &shard in &self.shards {
            assert!(self.sim.is_ended(shard));
            assert_eq!(self.sim.connections(shard), 0, "a leak");
            self.check_books(self.sim.handler(shard).tally());
        }
        self.check_schedule();
        assert!(self.totals().peak <= self.config.connections as u64, "more than were asked for");
        if let Some(server) = self.server {
            assert_eq!(self.sim.connections(server), 0, "the server was left with connections");
            let (site, all) = (self.sim.handler(server), self.totals());
            assert!(site.requests <= all.sent, "more requests came than were sent");
            assert!(all.requests <= site.answers, "more answers came than were given");
            assert!(all.closed_by_server <= site.closes, "it is blamed for what it did not do");
            let limit = self.config.requests_per_connection.unwrap_or(u64::MAX);
            assert!(site.asked.iter().all(|&asked| asked <= limit), "{:?}", site.asked);
        }
    }

    /// Each request that was sent went one way or the other.
    pub(crate) fn check_books(&self, tally: &Tally) {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        assert_eq!(
            ledger.sent,
            counters.requests + counters.errors.timeout + ledger.lost + ledger.in_flight,
            "{counters:?} {ledger:?}"
        );
        // Each end has one cause; some that were asked for have not come about at the end.
        let causes = CloseCause::ALL.into_iter().filter(|cause| cause.was_open());
        let ends: u64 = causes.map(|cause| tally.closes.of(cause)).sum();
        assert!(counters.closed <= ends && ends <= counters.opened, "{ends} {counters:?}");
        // Those that are open at the end are closed by it, which is not counted.
        let left = counters.opened - counters.closed;
        assert!(left <= ledger.peak, "{counters:?} {ledger:?}");
        assert!(ledger.in_flight > 0 || ledger.oldest_in_flight_ns == 0, "{ledger:?}");
        let is_open_loop = tally.open_loop.is_some();
        let oldest_ns = self.config.timeout.as_nanos() as u64 + 200 * MS;
        // What an open loop sent late is older than that.
        assert!(
            is_open_loop || ledger.oldest_in_flight_ns <= oldest_ns,
            "no time-out came in between"
        );
        assert!(counters.reconnects <= counters.opened);
        assert_eq!(counters.status_classes.iter().sum::<u64>(), counters.requests);
        let request_len = format!("GET / HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n").len() as u64;
        assert_eq!(counters.bytes_written, ledger.sent * request_len);
        if !tally.latency.is_empty() {
            assert!(tally.latency.min_ns() > 0, "an answer before its request was sent");
            let longest = self.config.timeout.as_nanos() as u64 + 200 * MS;
            let measured =
                tally.open_loop.as_ref().map_or(&tally.latency, |open| &open.service_time);
            assert!(measured.max_ns() <= longest, "no time-out came in between");
        }
        if let Some(open_loop) = &tally.open_loop {
            self.check_open_loop(tally, open_loop);
        }
    }

    /// Each request that was due left, was shed, or is known to have waited.
    pub(crate) fn check_open_loop(&self, tally: &Tally, open_loop: &OpenTally) {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        assert_eq!(open_loop.service_time.count(), counters.requests);
        // What is written to a connection that ends in the same batch does not leave any more.
        let left = open_loop.send_lag.count();
        assert!((ledger.sent - ledger.lost..=ledger.sent).contains(&left), "{left} {ledger:?}");
        assert_eq!(open_loop.own_lag.count() + open_loop.waited, left);
        assert!(open_loop.unsent > 0 || open_loop.oldest_unsent_ns == 0);
        let config = self.config.open_loop.as_ref().expect("it was asked for");
        assert!(config.deadline.is_some() || open_loop.shed == 0, "{open_loop:?}");
        if let (Some(deadline), false) = (config.deadline, open_loop.send_lag.is_empty()) {
            // What is not too late when it is written leaves when the batch before has left.
            let delays_ns = 3 * self.sim.options().max_delay_ns;
            let latest_ns = deadline.as_nanos() as u64 + delays_ns + MS;
            assert!(open_loop.send_lag.max_ns() <= latest_ns, "{}", open_loop.send_lag.max_ns());
        }
    }

    /// Over all shards, what was due by the closed form is what was counted.
    pub(crate) fn check_schedule(&self) {
        let Some(config) = &self.config.open_loop else { return };
        let Some(go_ns) = self.shared.clock().go_ns() else { return };
        if config.arrival == Arrival::Poisson || self.config.ending.requests.is_some() {
            return;
        }
        let tallies = self.shards.iter().map(|&shard| self.sim.handler(shard).tally());
        let (mut counted, mut fewest, mut most) = (0, 0.0, 0.0);
        let shards = self.shards.len() as f64;
        for tally in tallies {
            let open_loop = tally.open_loop.as_ref().expect("an open loop");
            counted += tally.ledger.sent + open_loop.shed + open_loop.unsent;
            let ended_ns = tally.ended_ns.expect("it ended");
            let due_by = |ns: u64| config.schedule.requests_in(ns.saturating_sub(go_ns)) / shards;
            // What was received together with the end may have set off what was due then.
            let end_ns = self.shared.clock().end_ns().unwrap_or(ended_ns).min(ended_ns);
            fewest += due_by(end_ns) - f64::from(self.config.pipeline) - 1.0;
            most += due_by(ended_ns) + f64::from(self.config.pipeline) + 1.0;
        }
        assert!((fewest..=most).contains(&(counted as f64)), "{counted}: {fewest} to {most}");
    }

    /// Requests that the server read on each connection that brought it any.
    pub(crate) fn asked(&self) -> Vec<u64> {
        let server = self.server.expect("there is one");
        self.sim.handler(server).asked.iter().copied().filter(|&asked| asked > 0).collect()
    }

    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for &shard in &self.shards {
            totals.add(&Totals::of(self.sim.handler(shard).tally()));
        }
        totals
    }

    /// The intervals that were told, and the latencies with them put back.
    pub(crate) fn latencies(&self) -> u64 {
        let every_ns = self.config.keep_every.map_or(u64::MAX, |every| every.as_nanos() as u64);
        let mut assembler = Assembler::new(self.config.threads, every_ns);
        let lines: u64 = self
            .messages
            .try_iter()
            .flat_map(|message| assembler.take(message))
            .map(|(line, _)| line.requests)
            .sum();
        let told = assembler.latency.count();
        assert_eq!(lines, told, "the lines say what was handed over");
        let rest = self.shards.iter().map(|&shard| self.sim.handler(shard).tally().latency.count());
        told + rest.sum::<u64>()
    }
}

#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) sent: u64,
    pub(crate) requests: u64,
    pub(crate) opened: u64,
    pub(crate) reconnects: u64,
    pub(crate) closed_by_server: u64,
    pub(crate) peak: u64,
    pub(crate) in_flight: u64,
    pub(crate) lost: u64,
    pub(crate) timeouts: u64,
    pub(crate) shed: u64,
    pub(crate) connect_errors: u64,
    pub(crate) socket_errors: u64,
    pub(crate) gave_up: bool,
}

impl Totals {
    pub(crate) fn of(tally: &Tally) -> Self {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        Self {
            sent: ledger.sent,
            requests: counters.requests,
            opened: counters.opened,
            reconnects: counters.reconnects,
            closed_by_server: tally.closes.of(CloseCause::ServerClosed),
            peak: ledger.peak,
            in_flight: ledger.in_flight,
            lost: ledger.lost,
            timeouts: counters.errors.timeout,
            shed: tally.open_loop.as_ref().map_or(0, |open_loop| open_loop.shed),
            connect_errors: counters.errors.connect,
            socket_errors: counters.errors.socket(),
            gave_up: tally.gave_up,
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.requests += other.requests;
        self.opened += other.opened;
        self.reconnects += other.reconnects;
        self.closed_by_server += other.closed_by_server;
        self.peak += other.peak;
        self.in_flight += other.in_flight;
        self.lost += other.lost;
        self.timeouts += other.timeouts;
        self.shed += other.shed;
        self.connect_errors += other.connect_errors;
        self.socket_errors += other.socket_errors;
        self.gave_up |= other.gave_up;
    }
}
