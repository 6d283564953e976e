//! Reports for the tests of gates and searches.

use std::time::Duration;

use ringbench_measure::{Counters, Errors, Histogram, RateSamples};

use crate::report::observed::Observed;
use crate::report::{EngineCounts, Extent, RunReport, Unanswered};

/// A healthy run of 2 s: 100,000 responses with latencies from 0.1 to 100 ms in equal steps.
pub(crate) fn healthy() -> RunReport {
    let (mut latency, mut rates) = (Histogram::new(), RateSamples::new());
    for step in 1..=100_000 {
        latency.record(step * 1_000);
    }
    for per_sec in [24_000, 25_000, 25_000, 26_000] {
        rates.record(per_sec);
    }
    RunReport {
        url: "http://127.0.0.1:8080/".to_owned(),
        started_unix_ms: 1_795_000_000_000,
        engine_name: "uring".to_owned(),
        shards: 2,
        connections_wanted: 64,
        connections_peak: 64,
        connections_answered: 64,
        all_open_us: Some(2_500),
        closes: Vec::new(),
        extent: Extent::Time(Duration::from_secs(2)),
        duration_us: 2_000_000,
        interrupted: false,
        pipeline_depth: 1,
        requests_per_connection: None,
        show_latency: true,
        show_spectrum: false,
        show_uncorrected: false,
        open_loop: None,
        corrected: None,
        latency,
        rates,
        counters: Counters {
            requests: 100_000,
            bytes_read: 16_300_000,
            bytes_written: 4_500_000,
            opened: 64,
            status_classes: [0, 100_000, 0, 0, 0],
            ..Counters::default()
        },
        unanswered: Unanswered { count: 64, oldest_us: 20_000 },
        loader_cpu_ns: Some(750_000_000),
        shard_core_shares: vec![0.36, 0.39],
        shard_run_delay_shares: Vec::new(),
        engine: EngineCounts { enters: 5_000, completions: 103_000, enobufs: 0, cq_overflows: 0 },
        intervals: Vec::new(),
        machines: Vec::new(),
        observed: Observed::default(),
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

/// A run in which nothing came back.
pub(crate) fn silent() -> RunReport {
    RunReport {
        latency: Histogram::new(),
        rates: RateSamples::new(),
        counters: Counters {
            errors: Errors { connect: 64, ..Errors::default() },
            ..Counters::default()
        },
        connections_peak: 0,
        connections_answered: 0,
        unanswered: Unanswered::default(),
        shard_core_shares: Vec::new(),
        shard_run_delay_shares: Vec::new(),
        loader_cpu_ns: None,
        engine: EngineCounts::default(),
        ..healthy()
    }
}
