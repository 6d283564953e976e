//! What a run has measured, and the writers that turn it into text.
//!
//! Writers are pure: a [`RunReport`] goes in, text comes out, and printing it is the caller's.
//!
//! | module | what it writes |
//! |---|---|
//! | [`wrk`] | wrk's report, line by line |
//! | [`text`] | the same from a [`RunReport`], followed by what Ringbench adds |
//! | [`wrk2`] | what wrk2 prints in an open loop: percentiles, spectrum |
//! | [`hgrm`] | HdrHistogram's table of percentiles |
//! | [`json`] | one JSON object with stable keys (`--format json`), and such an object read back |
//! | [`html`] | a page with charts |
//! | [`csv`] | the intervals of a run, a line each |
//! | [`hlog`] | an HDR log, a line with a histogram for each interval, while a run goes on |
//! | [`prometheus`] | metrics for Prometheus |
//! | [`merge`] | nothing: puts the reports of several load machines together, [`combine()`] files |
//! | [`interval`] | one line per interval while a run goes on (`--interval`) |
//! | [`table`] | the same for people |
//! | [`remarks`] | reasons not to trust a run, for all of them |

use std::time::Duration;

use ringbench_measure::{Counters, Errors, Histogram, RateSamples};

use crate::ledger::CloseLine;

use self::interval::Interval;
use self::observed::Observed;

pub mod combine;
pub mod csv;
pub mod hgrm;
pub mod hlog;
pub mod html;
pub mod interval;
pub mod json;
pub mod merge;
pub mod observed;
pub mod prometheus;
pub mod remarks;
pub mod table;
pub mod text;
pub mod wrk;
pub mod wrk2;

pub use self::combine::combine;

#[cfg(test)]
pub(crate) mod fixtures;

/// How long a run was meant to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// For a time (`-d`).
    Time(Duration),
    /// Until so many responses were complete (`-n`).
    Requests(u64),
    /// Until so many were, but no longer than this (`-n` with `-d`).
    RequestsWithin(u64, Duration),
}

impl Extent {
    /// How many responses were to be complete, if their number was to end the run.
    pub fn requests(self) -> Option<u64> {
        match self {
            Self::Time(_) => None,
            Self::Requests(requests) | Self::RequestsWithin(requests, _) => Some(requests),
        }
    }

    /// How long it was to go on at the most, if time was to end it.
    pub fn duration(self) -> Option<Duration> {
        match self {
            Self::Time(time) | Self::RequestsWithin(_, time) => Some(time),
            Self::Requests(_) => None,
        }
    }
}

/// What the engines of all shards did to get the load through, summed up. All zero where an engine
/// does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineCounts {
    /// Calls into the kernel to submit and to wait (`io_uring_enter`).
    pub enters: u64,
    /// Completions taken from the queues.
    pub completions: u64,
    /// Receives that ended because no provided buffer was left.
    pub enobufs: u64,
    /// Times that the kernel had to keep completions back because the queue was full.
    pub cq_overflows: u64,
}

/// Requests that were neither answered nor given up when the run ended. They are no errors, and the
/// latencies know nothing of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// How many there were.
    pub count: u64,
    /// How long the oldest had been waiting.
    pub oldest_us: u64,
}

/// What an open loop adds to a report. Latencies are response times there: they run from the
/// intended start, so that a request that had to wait for its turn counts its waiting.
#[derive(Clone, Debug)]
pub struct OpenLoop {
    /// The schedule as it was asked for, for people, such as `constant 5000/s`.
    pub schedule: String,
    /// The mean rate of the schedule over the run, in requests per second.
    pub rate_asked: f64,
    /// Requests that were due before the run ended.
    pub due: u64,
    /// Of those, requests that were never sent because their deadline had passed (`--deadline`).
    pub shed: u64,
    /// Of those, requests that were still waiting for a connection at the end.
    pub unsent: u64,
    /// How long the oldest of those had been waiting.
    pub oldest_unsent_us: u64,
    /// Of those that were sent, how many found no idle connection when they were due.
    pub waited_for_connection: u64,
    /// From the actual send to the end of the response: what a closed loop would have seen.
    pub service_time: Histogram,
    /// From the intended start to the actual send, of every request that was sent.
    pub send_lag: Histogram,
    /// The same of the requests that found an idle connection: how late ringload itself was.
    pub own_lag: Histogram,
}

/// `HdrHistogram`'s correction of a closed loop for coordinated omission: a guess at what was not
/// measured, never the default.
#[derive(Clone, Debug)]
pub struct Corrected {
    /// The interval at which a request was expected.
    pub expected_interval_us: u64,
    /// Latencies, with the guesses in them.
    pub latency: Histogram,
}

/// What somebody else made of the figures, to be written with them.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// For people, in a line.
    pub line: String,
    /// For programs: what stands under `verdict` in JSON.
    pub object: serde_json::Value,
}

/// What one of several load machines did that worked at the same time.
#[derive(Clone, Debug, PartialEq)]
pub struct LoadMachine {
    /// The name of the file that its report was in.
    pub name: String,
    /// When its run began, in milliseconds since 1970 by its own clock.
    pub started_unix_ms: u64,
    /// How long its run went on.
    pub duration_us: u64,
    /// Its shards.
    pub shards: u64,
    /// Connections asked of it.
    pub connections_wanted: u64,
    /// Responses that it completed.
    pub requests: u64,
    /// Bytes that it received.
    pub bytes_read: u64,
    /// Its failures.
    pub errors: Errors,
}

impl LoadMachine {
    /// Complete responses per second of its own duration.
    pub fn requests_per_sec(&self) -> f64 {
        per_sec(self.requests, self.duration_us)
    }

    /// Bytes received per second of its own duration.
    pub fn transfer_bytes_per_sec(&self) -> f64 {
        per_sec(self.bytes_read, self.duration_us)
    }
}

/// All that is known at the end of a run; shards merged.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The URL as it was given.
    pub url: String,
    /// When the run began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// The engine in use, such as `uring`.
    pub engine_name: String,
    /// Shards, which are wrk's threads.
    pub shards: usize,
    /// Connections asked for.
    pub connections_wanted: u64,
    /// The most connections that were open at once.
    pub connections_peak: u64,
    /// Connections that gave at least one response, reconnects included.
    pub connections_answered: u64,
    /// From the start of the run until all connections wanted were open at once; `None` if they
    /// never were.
    pub all_open_us: Option<u64>,
    /// Why connections ended or failed to begin, most frequent first.
    pub closes: Vec<CloseLine>,
    /// How long the run was meant to go on.
    pub extent: Extent,
    /// How long it went on, from the first send to the last response.
    pub duration_us: u64,
    /// Whether it was stopped from outside before its end.
    pub interrupted: bool,
    /// Requests in flight at once on a connection; 1 without pipelining.
    pub pipeline_depth: u32,
    /// Requests after which a connection was closed and replaced (`--requests-per-connection`);
    /// `None` for any number.
    pub requests_per_connection: Option<u64>,
    /// Whether the latency distribution is to be printed (`--latency`).
    pub show_latency: bool,
    /// Whether the detailed percentile spectrum is to be printed, in wrk2's layout (`-L` with `-R`).
    pub show_spectrum: bool,
    /// Whether service times are to be printed as wrk2's uncorrected latencies are (`-U`).
    pub show_uncorrected: bool,
    /// Latencies of all complete responses: from the actual send in a closed loop, from the intended
    /// start in an open one.
    pub latency: Histogram,
    /// What there is beside it in an open loop.
    pub open_loop: Option<OpenLoop>,
    /// In a closed loop, latencies with those added that a load with this expected interval would
    /// have seen (`--expected-interval`).
    pub corrected: Option<Corrected>,
    /// Request rates, per shard and 100 ms.
    pub rates: RateSamples,
    /// Counters of all shards.
    pub counters: Counters,
    /// Requests that were still waiting at the end.
    pub unanswered: Unanswered,
    /// CPU time of the load generator's shards during the run, where it could be had.
    pub loader_cpu_ns: Option<u64>,
    /// For each shard the share of the run that it used its core, 0 to 1; empty where unknown.
    pub shard_core_shares: Vec<f64>,
    /// For each shard the share of the run that it was ready to run but had no core, 0 to 1; empty
    /// where unknown.
    pub shard_run_delay_shares: Vec<f64>,
    /// What the engines did.
    pub engine: EngineCounts,
    /// The run in time, if somebody wanted to know.
    pub intervals: Vec<Interval>,
    /// What was seen of the server, the machine and TCP during the run.
    pub observed: Observed,
    /// The load machines that a [merged](merge) report is of; empty where there was one.
    pub machines: Vec<LoadMachine>,
    /// Reasons for distrust that only the caller can know; [`remarks`] finds the others.
    pub warnings: Vec<String>,
    /// What a reader of the figures should know, but which is no reason for distrust.
    pub notes: Vec<String>,
}

impl RunReport {
    /// Complete responses per second of the actual duration. Of several load machines it is the sum
    /// of their rates, each over its own duration.
    pub fn requests_per_sec(&self) -> f64 {
        self.rate(LoadMachine::requests_per_sec, self.counters.requests)
    }

    /// Bytes received per second of the actual duration, summed up like the requests.
    pub fn transfer_bytes_per_sec(&self) -> f64 {
        self.rate(LoadMachine::transfer_bytes_per_sec, self.counters.bytes_read)
    }

    /// What a response cost the load generator, where its CPU time is known.
    pub fn cpu_us_per_request(&self) -> Option<f64> {
        per_request_us(self.loader_cpu_ns?, self.counters.requests)
    }

    /// What a request cost the server, where its process was watched.
    pub fn server_cpu_us_per_request(&self) -> Option<f64> {
        per_request_us(self.observed.server.as_ref()?.cpu_ns, self.counters.requests)
    }

    fn rate(&self, of_machine: fn(&LoadMachine) -> f64, amount: u64) -> f64 {
        if self.machines.is_empty() {
            per_sec(amount, self.duration_us)
        } else {
            self.machines.iter().map(of_machine).sum()
        }
    }
}

fn per_sec(amount: u64, duration_us: u64) -> f64 {
    if duration_us == 0 { 0.0 } else { amount as f64 * 1e6 / duration_us as f64 }
}

fn per_request_us(cpu_ns: u64, requests: u64) -> Option<f64> {
    (requests > 0).then(|| cpu_ns as f64 / 1_000.0 / requests as f64)
}
