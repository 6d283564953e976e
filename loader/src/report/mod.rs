//! What a run has measured, and the writers that turn it into text.
//!
//! Writers are pure: a [`RunReport`] goes in, text comes out, and printing it is the caller's.
//!
//! | module | what it writes |
//! |---|---|
//! | [`wrk`] | wrk's report, line by line |
//! | [`text`] | the same from a [`RunReport`], followed by what Ringbench adds |
//! | [`json`] | one JSON object with stable keys (`--format json`) |
//! | [`interval`] | one line per interval while a run goes on (`--interval`) |
//! | [`remarks`] | reasons not to trust a run, for all of them |

use std::time::Duration;

use ringbench_measure::{Counters, Histogram, RateSamples};

pub mod interval;
pub mod json;
pub mod remarks;
pub mod text;
pub mod wrk;

#[cfg(test)]
mod fixtures;

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

/// All that is known at the end of a run; shards merged.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// The URL as it was given.
    pub url: String,
    /// Shards, which are wrk's threads.
    pub shards: usize,
    /// Connections asked for.
    pub connections_wanted: u64,
    /// The most connections that were open at once.
    pub connections_peak: u64,
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
    /// Latencies of all complete responses.
    pub latency: Histogram,
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
    /// What the engines did.
    pub engine: EngineCounts,
    /// Reasons for distrust that only the caller can know; [`remarks`] finds the others.
    pub warnings: Vec<String>,
    /// What a reader of the figures should know, but which is no reason for distrust.
    pub notes: Vec<String>,
}

impl RunReport {
    /// Complete responses per second of the actual duration.
    pub fn requests_per_sec(&self) -> f64 {
        self.per_sec(self.counters.requests)
    }

    /// Bytes received per second of the actual duration.
    pub fn transfer_bytes_per_sec(&self) -> f64 {
        self.per_sec(self.counters.bytes_read)
    }

    /// What a response cost the load generator, where its CPU time is known.
    pub fn cpu_us_per_request(&self) -> Option<f64> {
        match (self.loader_cpu_ns, self.counters.requests) {
            (None, _) | (_, 0) => None,
            (Some(cpu_ns), requests) => Some(cpu_ns as f64 / 1_000.0 / requests as f64),
        }
    }

    fn per_sec(&self, amount: u64) -> f64 {
        if self.duration_us == 0 { 0.0 } else { amount as f64 * 1e6 / self.duration_us as f64 }
    }
}
