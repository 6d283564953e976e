//! Reports for the tests of the writers.

use std::time::Duration;

use ringbench_measure::{Counters, Errors, Histogram, RateSamples};

use crate::ledger::{CloseCause, CloseLine};

use super::interval::{Interval, IntervalLatency, ServerInterval};
use super::observed::{MachineUse, Observed, ServerUse, TcpUse};
use super::{Corrected, EngineCounts, Extent, LoadMachine, OpenLoop, RunReport, Unanswered};

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
        shard_run_delay_shares: vec![0.01, 0.02],
        engine: EngineCounts { enters: 5_000, completions: 103_000, enobufs: 0, cq_overflows: 0 },
        intervals: Vec::new(),
        observed: Observed::default(),
        machines: Vec::new(),
        warnings: Vec::new(),
        notes: Vec::new(),
    }
}

/// A run that nobody should quote.
pub(super) fn doubtful() -> RunReport {
    let mut latency = Histogram::new();
    latency.record(2_000_000);
    latency.record(3_000_000);
    RunReport {
        extent: Extent::Requests(1_000),
        duration_us: 1_500_000,
        interrupted: true,
        pipeline_depth: 16,
        requests_per_connection: Some(10),
        connections_peak: 60,
        connections_answered: 60,
        all_open_us: None,
        latency,
        rates: RateSamples::new(),
        counters: Counters {
            requests: 2,
            bytes_read: 400,
            bytes_written: 900,
            errors: Errors { connect: 4, read: 3, write: 0, timeout: 2, status: 1 },
            reconnects: 5,
            opened: 65,
            closed: 65,
            status_classes: [0, 1, 0, 0, 1],
        },
        unanswered: Unanswered { count: 9, oldest_us: 1_400_000 },
        shard_core_shares: vec![0.5, 0.97],
        engine: EngineCounts { enters: 10, completions: 30, enobufs: 7, cq_overflows: 1 },
        warnings: vec!["clock source is hpet: timestamps are slow".to_owned()],
        ..healthy()
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
        all_open_us: None,
        unanswered: Unanswered::default(),
        shard_core_shares: Vec::new(),
        shard_run_delay_shares: Vec::new(),
        loader_cpu_ns: None,
        engine: EngineCounts::default(),
        ..healthy()
    }
}

/// The healthy run as an open loop: what waits 50 us before it is sent, waits for ringload.
pub(super) fn open() -> RunReport {
    let (mut service_time, mut lag) = (Histogram::new(), Histogram::new());
    for step in 1..=100_000 {
        service_time.record(step * 1_000 - 500);
        lag.record(500 + step % 1_000 * 50);
    }
    RunReport {
        open_loop: Some(OpenLoop {
            schedule: "constant 50000/s".to_owned(),
            rate_asked: 50_000.0,
            due: 100_000,
            shed: 0,
            unsent: 0,
            oldest_unsent_us: 0,
            waited_for_connection: 0,
            service_time,
            own_lag: lag.clone(),
            send_lag: lag,
        }),
        ..healthy()
    }
}

/// An interval of a second, busier with each number.
pub(super) fn interval(number: u64) -> Interval {
    Interval {
        elapsed_us: number * 1_000_000,
        length_us: 1_000_000,
        requests: 40_000 + number * 1_000,
        bytes_read: 6_520_000,
        errors: Errors { read: number / 2, status: 1, ..Errors::default() },
        opened: number,
        closed: number,
        open_connections: 64,
        latency: Some(IntervalLatency {
            p50_ns: 50_000_127 + number,
            p90_ns: 90_000_000,
            p99_ns: 99_024_895,
            p999_ns: 99_900_001,
            max_ns: 100_000_000,
        }),
        loader_cpu_ns: 375_000_000,
        server: Some(ServerInterval {
            cpu_ns: 800_000_000,
            rss_bytes: 12_000_000,
            threads: 3,
            switches: 40_000,
        }),
        machine: Some(MachineUse { cores: 2, steal: 0.001, softirq: 0.25, idle: 0.1 }),
    }
}

/// All of a report that there can be: an open loop with everything watched.
pub(crate) fn full() -> RunReport {
    RunReport {
        closes: vec![
            CloseLine { cause: CloseCause::Reset, errno: Some("ECONNRESET".to_owned()), count: 5 },
            CloseLine { cause: CloseCause::ServerClosed, errno: None, count: 1 },
        ],
        corrected: Some(Corrected { expected_interval_us: 20, latency: healthy().latency }),
        intervals: vec![
            interval(1),
            Interval { latency: None, server: None, machine: None, ..interval(2) },
        ],
        observed: Observed {
            server: Some(ServerUse {
                pid: 4_711,
                name: "nginx".to_owned(),
                processes: 2,
                allowed_cores: 2,
                cpu_ns: 1_600_000_000,
                wall_ns: 2_000_000_000,
                busiest_thread_share: 0.45,
                run_delay_ns: 12_000_000,
                rss_max_bytes: 12_582_912,
                threads: 3,
                voluntary_switches: 80_000,
                involuntary_switches: 150,
            }),
            machine: Some(MachineUse { cores: 2, steal: 0.001, softirq: 0.253, idle: 0.104 }),
            tcp: Some(TcpUse {
                samples: 1_280,
                rtt_min_us: 11,
                rtt_p50_us: 24,
                rtt_p99_us: 180,
                rtt_max_us: 950,
                path_rtt_us: 9,
                segments_sent: 4_000,
                retransmits: 3,
                connections_with_retransmits: 2,
            }),
        },
        machines: vec![LoadMachine {
            name: "a<b>.json".to_owned(),
            started_unix_ms: 1_795_000_000_000,
            duration_us: 2_000_000,
            shards: 2,
            connections_wanted: 64,
            requests: 100_000,
            bytes_read: 16_300_000,
            errors: Errors { read: 1, ..Errors::default() },
        }],
        warnings: vec!["clock source is hpet: timestamps are slow".to_owned()],
        notes: vec!["a note of the caller's with \"quotes\" & <angles>".to_owned()],
        ..open()
    }
}
