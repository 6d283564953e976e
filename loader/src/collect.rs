//! Puts what the shards leave behind together into one report.

use std::time::Duration;

use ringbench_engine::EngineStats;
use ringbench_measure::{Counters, Histogram, RateSamples};

use crate::config::{Config, Ending, OpenLoopConfig, Sharing};
use crate::ledger::{CloseCause, Closes};
use crate::pace::{Clock, clamp_ns};
use crate::report::observed::Observed;
use crate::report::{Corrected, EngineCounts, Extent, OpenLoop, RunReport, Unanswered};
use crate::schedule::Arrival;
use crate::tally::{Ledger, OpenTally, Tally, Trouble};

/// What one shard leaves behind.
#[derive(Debug)]
pub struct ShardResult {
    /// What it measured.
    pub tally: Tally,
    /// What its engine counted.
    pub engine: EngineStats,
}

/// All shards of a run in one.
#[derive(Debug)]
pub struct Collected {
    /// Counters, summed up.
    pub counters: Counters,
    /// Ledgers, summed up.
    pub ledger: Ledger,
    /// Why connections ended.
    pub closes: Closes,
    /// What open loops measured.
    pub open_loop: Option<Box<OpenTally>>,
    /// The first thing that went wrong on any shard.
    pub first_trouble: Option<Trouble>,
    latency: Histogram,
    rates: RateSamples,
    engine: EngineStats,
    cpu_ns: Vec<u64>,
    /// From the start until all connections were open.
    all_open_ns: Option<u64>,
    duration_ns: u64,
    gave_up: bool,
}

impl Collected {
    /// Merges the shards of a run with this clock. `latency` holds what they handed over before its
    /// end.
    pub fn new(shards: Vec<ShardResult>, clock: &Clock, latency: Histogram) -> Self {
        let started_ns = clock.started_ns().unwrap_or_default();
        let start_ns = clock.go_ns().unwrap_or(started_ns);
        // All are open when the last shard's are, so this begins with what changes nothing.
        let ledger = Ledger { all_open_ns: Some(0), ..Ledger::default() };
        let mut all = Self {
            counters: Counters::default(),
            ledger,
            closes: Closes::default(),
            open_loop: None,
            all_open_ns: None,
            first_trouble: None,
            latency,
            rates: RateSamples::new(),
            engine: EngineStats::default(),
            cpu_ns: Vec::new(),
            duration_ns: 0,
            gave_up: false,
        };
        let mut first_trouble: Option<(u64, Trouble)> = None;
        for ShardResult { tally, engine } in shards {
            let ended_ns = tally.ended_ns.unwrap_or(start_ns);
            all.duration_ns = all.duration_ns.max(ended_ns.saturating_sub(start_ns));
            all.rates.merge(&tally.rates.finish(ended_ns, tally.counters.requests));
            all.counters.merge(&tally.counters);
            all.ledger.merge(&tally.ledger);
            all.closes.merge(&tally.closes);
            if let Some(open_loop) = &tally.open_loop {
                all.open_loop.get_or_insert_default().merge(open_loop);
            }
            all.latency.merge(&tally.latency);
            all.engine.merge(&engine);
            // Without what opening the connections took, where the load began after that, and
            // without what closing them took.
            all.cpu_ns.push(tally.cpu_ns.unwrap_or(engine.cpu_ns));
            all.gave_up |= tally.gave_up;
            if let Some(trouble) = tally.first_trouble
                && first_trouble.as_ref().is_none_or(|first| trouble.0 < first.0)
            {
                first_trouble = Some(trouble);
            }
        }
        let all_open_ns = all.ledger.all_open_ns.filter(|at_ns| *at_ns > 0);
        all.all_open_ns = all_open_ns.map(|at_ns| at_ns.saturating_sub(started_ns));
        all.first_trouble = first_trouble.map(|(_, trouble)| trouble);
        all
    }

    /// The report. `warnings` come before those that follow from the figures.
    pub fn report(
        self,
        config: &Config,
        interrupted: bool,
        mut warnings: Vec<String>,
    ) -> RunReport {
        if self.gave_up {
            warnings.push("given up: no response came any more".to_owned());
        }
        warnings.extend(no_local_port(self.closes.of(CloseCause::NoLocalPort)));
        // The two clocks are not read at the same moment.
        let wall_ns = self.duration_ns.max(1) as f64;
        let share = |cpu_ns: &u64| (*cpu_ns as f64 / wall_ns).min(1.0);
        let duration_ns = self.duration_ns;
        let sent = self.ledger.sent;
        let open_loop = self.open_loop.map(|tally| open_loop(*tally, config, sent, duration_ns));
        let corrected = config.expected_interval.map(|interval| Corrected {
            expected_interval_us: interval.as_micros() as u64,
            latency: self.latency.corrected(clamp_ns(interval)),
        });
        RunReport {
            url: config.url.as_str().to_owned(),
            started_unix_ms: 0,
            engine_name: "uring".to_owned(),
            shards: config.threads,
            connections_wanted: config.connections as u64,
            connections_peak: self.ledger.peak,
            connections_answered: self.ledger.answered,
            all_open_us: self.all_open_ns.map(|ns| ns / 1_000),
            closes: self.closes.lines(),
            extent: extent(config.ending),
            duration_us: self.duration_ns / 1_000,
            interrupted,
            pipeline_depth: config.pipeline,
            requests_per_connection: config.requests_per_connection,
            show_latency: config.latency,
            show_spectrum: config.latency && open_loop.is_some(),
            show_uncorrected: config.uncorrected,
            open_loop,
            corrected,
            notes: notes(&self.ledger, config),
            counters: self.counters,
            unanswered: Unanswered {
                count: self.ledger.in_flight,
                oldest_us: self.ledger.oldest_in_flight_ns / 1_000,
            },
            latency: self.latency,
            rates: self.rates,
            loader_cpu_ns: Some(self.cpu_ns.iter().sum()),
            shard_core_shares: self.cpu_ns.iter().map(share).collect(),
            shard_run_delay_shares: Vec::new(),
            engine: EngineCounts {
                enters: self.engine.enters,
                completions: self.engine.completions,
                enobufs: self.engine.enobufs,
                cq_overflows: self.engine.cq_overflows,
            },
            intervals: Vec::new(),
            observed: Observed::default(),
            machines: Vec::new(),
            warnings,
        }
    }

    /// Why the run is a failure, if it is: it has no response, none that is no error, or it waited
    /// for the rest in vain.
    pub fn failure(&self, address: &str, timeout: Duration) -> Option<String> {
        let requests = self.counters.requests;
        let trouble = self.first_trouble.as_ref().map(|trouble| trouble.describe(address, timeout));
        if requests == 0 {
            let none = || "the run ended before the first response was complete".to_owned();
            return Some(trouble.unwrap_or_else(none));
        }
        if self.gave_up {
            let why = trouble.map_or_else(String::new, |trouble| format!("; first, {trouble}"));
            return Some(format!("given up after {requests} responses, no more came{why}"));
        }
        (self.counters.errors.status == requests).then(|| {
            format!("{address} gave nothing but errors: every response has a status above 399")
        })
    }
}

fn extent(ending: Ending) -> Extent {
    match (ending.requests, ending.duration) {
        (Some(requests), None) => Extent::Requests(requests),
        (Some(requests), Some(time)) => Extent::RequestsWithin(requests, time),
        (None, duration) => Extent::Time(duration.unwrap_or(Duration::ZERO)),
    }
}

/// What is reported of an open loop in which `sent` requests left in `duration_ns`.
fn open_loop(tally: OpenTally, config: &Config, sent: u64, duration_ns: u64) -> OpenLoop {
    let schedule = config.open_loop.as_ref().map(|open_loop| &open_loop.schedule);
    let seconds = duration_ns.max(1) as f64 / 1e9;
    OpenLoop {
        schedule: config.open_loop.as_ref().map_or_else(String::new, describe),
        rate_asked: schedule.map_or(0.0, |schedule| schedule.requests_in(duration_ns) / seconds),
        due: sent + tally.shed + tally.unsent,
        shed: tally.shed,
        unsent: tally.unsent,
        oldest_unsent_us: tally.oldest_unsent_ns / 1_000,
        waited_for_connection: tally.waited,
        service_time: tally.service_time,
        send_lag: tally.send_lag,
        own_lag: tally.own_lag,
    }
}

/// The schedule, for people.
fn describe(open_loop: &OpenLoopConfig) -> String {
    let mut text = open_loop.schedule.to_string();
    if open_loop.arrival == Arrival::Poisson {
        text += ", Poisson arrivals";
    }
    if open_loop.sharing == Sharing::PerConnection {
        text += ", each connection on its own";
    }
    if let Some(deadline) = open_loop.deadline {
        text = format!("{text}, shed after {deadline:?}");
    }
    text
}

/// A limit of this machine, not of the server: whoever closes first keeps the port, and that is
/// ringload where it ends its connections itself.
fn no_local_port(connects: u64) -> Option<String> {
    (connects > 0).then(|| {
        format!(
            "{connects} connects found no local port (EADDRNOTAVAIL): a port stays taken for a \
             minute after its connection was closed (TIME_WAIT); widen \
             net.ipv4.ip_local_port_range, set net.ipv4.tcp_tw_reuse=1 (ports are free after a \
             second; 2 is that for loopback only), or spread the load over more source addresses, \
             such as several machines or network namespaces"
        )
    })
}

/// What the ledger has to tell.
fn notes(ledger: &Ledger, config: &Config) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |count: u64, what: &str| {
        if count > 0 {
            notes.push(format!("{count} {what}"));
        }
    };
    note(ledger.lost, "requests went unanswered because their connection ended");
    if config.uring.batch_wait > 1 {
        notes.push(format!(
            "--batch-wait {}: responses were left waiting for others, up to {} us each, and the \
             latencies include that",
            config.uring.batch_wait, config.uring.batch_wait_us
        ));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::flags::Flags;

    const SECOND: u64 = 1_000_000_000;

    fn shard(responses: u64, ended_ns: u64) -> ShardResult {
        let mut tally = Tally::new();
        (0..responses).for_each(|_| tally.response(200, 1_000_000));
        tally.ended_ns = Some(ended_ns);
        tally.ledger.peak = 5;
        // The thread used more, before and after the load.
        tally.cpu_ns = Some(SECOND / 2);
        ShardResult { tally, engine: EngineStats { cpu_ns: SECOND, ..EngineStats::default() } }
    }

    fn clock(start_ns: u64) -> Clock {
        let clock = Clock::new(None);
        clock.start(start_ns);
        clock
    }

    fn config(args: &str) -> Config {
        let words = ["ringload"].into_iter().chain(args.split_whitespace());
        Flags::try_parse_from(words).and_then(Flags::config).unwrap()
    }

    #[test]
    fn shards_add_up_and_the_last_one_ends_the_run() {
        let shards = vec![shard(300, 10 + SECOND), shard(500, 10 + 2 * SECOND)];
        let mut handed_over = Histogram::new();
        handed_over.record(2_000_000);
        let all = Collected::new(shards, &clock(10), handed_over);
        let report = all.report(&config("-t 2 http://h"), false, Vec::new());
        assert_eq!((report.duration_us, report.counters.requests), (2_000_000, 800));
        assert_eq!((report.latency.count(), report.latency.max_ns()), (801, 2_000_000));
        assert_eq!((report.connections_peak, report.connections_wanted), (10, 10));
        assert_eq!(
            (report.loader_cpu_ns, report.shard_core_shares),
            (Some(SECOND), vec![0.25, 0.25])
        );
        assert_eq!(report.extent, Extent::Time(Duration::from_secs(10)));
    }

    #[test]
    fn the_earliest_trouble_explains_a_run_without_a_response() {
        let address = "127.0.0.1:1";
        let failure = |shards| {
            let all = Collected::new(shards, &clock(0), Histogram::new());
            all.failure(address, Duration::from_secs(2))
        };
        let (mut late, mut early) = (shard(0, SECOND), shard(0, SECOND));
        late.tally.trouble(7, Trouble::Truncated, 1);
        early.tally.trouble(5, Trouble::Timeout, 1);
        assert_eq!(failure(vec![late, early]).unwrap(), "127.0.0.1:1 gave no response in 2s");
        assert!(failure(vec![shard(0, 1)]).unwrap().contains("before the first response"));
        let mut partly = shard(1, SECOND);
        partly.tally.trouble(5, Trouble::Timeout, 1);
        assert_eq!(failure(vec![partly]), None);
    }

    #[test]
    fn nothing_but_errors_and_giving_up_are_failures() {
        let address = "127.0.0.1:1";
        let failure = |result| {
            let all = Collected::new(vec![result], &clock(0), Histogram::new());
            all.failure(address, Duration::from_secs(2))
        };
        let mut errors = shard(0, SECOND);
        (0..5).for_each(|_| errors.tally.response(503, 1_000));
        assert!(failure(errors).unwrap().contains("every response has a status above 399"));
        let mut partly = shard(1, SECOND);
        partly.tally.response(503, 1_000);
        assert_eq!(failure(partly), None);
        let mut silent = shard(7, SECOND);
        silent.tally.gave_up = true;
        silent.tally.trouble(5, Trouble::Timeout, 1);
        let said = failure(silent).unwrap();
        assert_eq!(
            said,
            "given up after 7 responses, no more came; first, 127.0.0.1:1 gave no response in 2s"
        );
    }

    #[test]
    fn a_machine_that_runs_out_of_ports_is_told_what_helps() {
        let mut short = shard(1, SECOND);
        let no_port = std::io::Error::from_raw_os_error(99);
        (0..7).for_each(|_| short.tally.closes.count(CloseCause::NoLocalPort, Some(&no_port)));
        let all = Collected::new(vec![short, shard(1, SECOND)], &clock(0), Histogram::new());
        let report = all.report(&config("--requests-per-connection 10 http://h"), false, vec![]);
        assert_eq!(report.requests_per_connection, Some(10));
        let [warning] = &report.warnings[..] else { panic!("{:?}", report.warnings) };
        for part in ["7 connects", "TIME_WAIT", "ip_local_port_range", "tcp_tw_reuse", "addresses"]
        {
            assert!(warning.contains(part), "{part}: {warning}");
        }
    }

    #[test]
    fn a_run_that_was_given_up_says_so() {
        let mut silent = shard(0, SECOND);
        silent.tally.gave_up = true;
        silent.tally.ledger.lost = 3;
        let all = Collected::new(vec![silent], &clock(0), Histogram::new());
        let report =
            all.report(&config("-n 5 --batch-wait 8 http://h"), true, vec!["first".into()]);
        assert_eq!(report.warnings, ["first", "given up: no response came any more"]);
        assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
        assert_eq!(report.extent, Extent::Requests(5));
        assert!(report.interrupted);
    }
}
