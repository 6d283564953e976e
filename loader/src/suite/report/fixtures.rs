//! A suite without a machine, with one of each thing that reports have to tell.

use serde_json::{Value, json};

use crate::suite::results::{
    Cell, Outcome, Pick, Published, Run, Sample, Server, SuiteResults, ThreadUsage, Usage,
};

/// What the load of a run is to have seen.
struct Seen {
    per_sec: f64,
    p50_us: f64,
    timeouts: u64,
    server_errors: u64,
    /// Of an open loop.
    asked: Option<f64>,
}

impl Seen {
    fn closed(per_sec: f64, p50_us: f64) -> Self {
        Self { per_sec, p50_us, timeouts: 0, server_errors: 0, asked: None }
    }
}

const DURATION_S: f64 = 2.0;
const STARTED_MS: u64 = 1_795_000_000_000;

fn times(p50: f64) -> Value {
    let of = |factor: f64| (p50 * factor * 1_000.0).round() / 1_000.0;
    json!({
        "min": of(0.5), "mean": of(1.1), "stdev": of(0.3), "p50": p50, "p75": of(1.2),
        "p90": of(1.4), "p99": of(2.0), "p999": of(3.0), "p9999": of(5.0), "max": of(20.0),
        "count": 1000,
    })
}

/// A report, as far as it is used.
fn report(seen: &Seen) -> Value {
    let requests = (seen.per_sec * DURATION_S) as u64;
    let open = seen.asked.map(|asked| {
        json!({
            "schedule": "constant", "rate_asked": asked, "due": requests + 7, "shed": 3,
            "unsent": 4, "oldest_unsent_us": 100, "waited_for_connection": 0,
        })
    });
    json!({
        "requests": requests,
        "requests_per_sec": seen.per_sec,
        "transfer_bytes_per_sec": seen.per_sec * 163.0,
        "duration_us": (DURATION_S * 1e6) as u64,
        "errors": {
            "connect": 0, "read": 0, "write": 0, "timeout": seen.timeouts,
            "status": seen.server_errors,
        },
        "status": {
            "1xx": 0, "2xx": requests - seen.server_errors, "3xx": 0, "4xx": 0,
            "5xx": seen.server_errors,
        },
        "latency_us": times(seen.p50_us),
        "service_time_us": seen.asked.map(|_| times(seen.p50_us * 0.5)),
        "open_loop": open,
        "loader": { "cpu_us_per_request": 3.125, "cpu_ns": 1, "shard_core_shares": [0.5] },
        "verdict": {
            "limit": if seen.asked.is_some() { "rate" } else { "server" },
            "sure": seen.p50_us < 1_000.0,
            "line": "Limited by the <server>: its busiest thread used 99 % of a core",
            "evidence": [],
        },
        "warnings": if seen.timeouts > 0 { vec!["requests timed out"] } else { vec![] },
    })
}

fn usage(requests: f64, cpu_us_per_request: f64, idle_bytes: u64) -> Usage {
    let cpu_ns = (requests * cpu_us_per_request * 1_000.0) as u64;
    let thread = |tid, name: &str, share: f64| ThreadUsage {
        tid,
        name: name.to_owned(),
        cpu_ns: (cpu_ns as f64 * share) as u64,
    };
    Usage {
        rss_idle_bytes: Some(idle_bytes),
        pss_idle_bytes: Some(idle_bytes / 2),
        rss_max_bytes: Some(idle_bytes * 2),
        pss_max_bytes: Some(idle_bytes),
        cpu_ns: Some(cpu_ns),
        processes: Some(1),
        threads: Some(9),
        per_thread: vec![
            thread(11, "shard-0", 0.9),
            thread(12, "a<b>", 0.05),
            thread(13, "c", 0.01),
            thread(14, "d", 0.01),
            thread(15, "e", 0.01),
            thread(16, "f", 0.01),
            thread(17, "g", 0.005),
            thread(18, "h", 0.005),
        ],
        samples: Vec::new(),
    }
}

fn samples() -> Vec<Sample> {
    let sample = |at_ms, pss| Sample {
        at_ms,
        server_cpu_ns: 900_000_000,
        server_rss_bytes: 8_000_000,
        server_pss_bytes: pss,
        server_threads: 9,
        machine: [
            ("user", 0.25),
            ("system", 0.5),
            ("idle", 0.05),
            ("steal", 0.001),
            ("guest", 0.0),
        ]
        .map(|(name, share)| (name.to_owned(), share))
        .into(),
    };
    vec![sample(1_000, Some(4_000_000)), sample(2_000, None)]
}

fn measured(server: &str, cell: &str, repeat: u64, seen: &Seen, cpu_us: f64) -> Run {
    let idle_bytes = if server == "ringserve" { 4 << 20 } else { 30 << 20 };
    Run {
        outcome: Outcome::Measured,
        usage: usage(seen.per_sec * DURATION_S, cpu_us, idle_bytes),
        report: Some(report(seen)),
        ..failed(server, cell, repeat, Outcome::Measured)
    }
}

fn failed(server: &str, cell: &str, repeat: u64, outcome: Outcome) -> Run {
    Run {
        server: server.to_owned(),
        cell: cell.to_owned(),
        repeat,
        started_unix_ms: STARTED_MS + repeat * 1_000,
        outcome,
        usage: Usage::default(),
        report: None,
    }
}

fn server(name: &str, language: Option<&str>) -> Server {
    Server {
        name: name.to_owned(),
        language: language.map(str::to_owned),
        version: Some(format!("{name} 1.2.3")),
        command: format!("{name} --listen 127.0.0.1:{{port}}"),
        left_out: None,
    }
}

fn cell(scenario: &str, connections: u64, rate: Option<f64>) -> Cell {
    Cell {
        name: format!("{scenario} c={connections}"),
        scenario: scenario.to_owned(),
        request: "GET /".to_owned(),
        connections,
        threads: 4,
        rate,
        pipeline_depth: if connections == 100 { 16 } else { 1 },
        duration_ms: 2_000,
        repeats: 3,
        pick: if rate.is_some() { Pick::Median } else { Pick::Best },
        load: format!("ringload -t4 -c{connections} -d2s http://127.0.0.1:{{port}}/"),
    }
}

/// A name that must not get out of any form.
pub(super) const HOSTILE: &str = "h2o <b>\"1|2\"</b>, `x`";

fn crashed() -> Outcome {
    let told = "signal 11 (SIGSEGV) after 1.2 s; it said last:\n  thread 'main' panicked\n```";
    Outcome::Crashed { told: told.to_owned() }
}

/// The first scenario, a closed loop.
fn hello() -> Vec<Run> {
    let mut runs = Vec::new();
    for (repeat, per_sec) in (1..).zip([150_000.0, 160_000.0, 155_000.0]) {
        let seen = Seen::closed(per_sec, 60.0);
        runs.push(measured("ringserve", "hello c=10", repeat, &seen, 4.5));
        let seen = Seen::closed(per_sec * 1.25, 500.0);
        runs.push(measured("ringserve", "hello c=100", repeat, &seen, 4.0));
        // Quick only because it answers with errors.
        let faults = Seen { timeouts: 12, server_errors: 60_000, ..Seen::closed(170_000.0, 70.0) };
        runs.push(measured(HOSTILE, "hello c=10", repeat, &faults, 6.5));
        let seen = Seen::closed(per_sec, 1_100.0);
        runs.push(measured(HOSTILE, "hello c=100", repeat, &seen, 6.25));
        let seen = Seen::closed(per_sec - 500.0, 62.0);
        runs.push(match repeat {
            2 => failed("crasher", "hello c=10", 2, crashed()),
            _ => measured("crasher", "hello c=10", repeat, &seen, 7.0),
        });
        runs.push(failed("crasher", "hello c=100", repeat, crashed()));
    }
    let told = "expected the body `Hello, World!`, got `Hello`".to_owned();
    runs.push(failed("liar", "hello c=10", 1, Outcome::WrongAnswer { told: told.clone() }));
    runs.push(failed("liar", "hello c=100", 1, Outcome::WrongAnswer { told }));
    runs[0].usage.samples = samples();
    // The best of them.
    runs[6].usage.samples = samples();
    runs
}

/// The second, an open loop.
fn paced() -> Vec<Run> {
    let paced = |per_sec, p50_us| Seen { asked: Some(4_000.0), ..Seen::closed(per_sec, p50_us) };
    let mut runs: Vec<Run> = (1..)
        .zip([90.0, 95.0, 100.0])
        .map(|(repeat, p50_us)| {
            measured("ringserve", "paced c=400", repeat, &paced(4_000.0, p50_us), 9.0)
        })
        .collect();
    runs.push(measured(HOSTILE, "paced c=400", 1, &paced(3_500.0, 2_000.0), 20.0));
    let told = "no answer within 20 s".to_owned();
    runs.push(failed("crasher", "paced c=400", 1, Outcome::Hung { told }));
    runs
}

/// A suite that came to its end.
pub(super) fn full() -> SuiteResults {
    let left_out = "not installed: scripts/peers/setup.sh nginx".to_owned();
    SuiteResults {
        name: "fixture".to_owned(),
        title: "Hello & <world>".to_owned(),
        source: Some("a table of 2016".to_owned()),
        method: Some("wrk -t4 -c{10,100} -d2s GET /, best of three".to_owned()),
        misleads: vec!["Best of three is a maximum: it grows with the number of runs.".to_owned()],
        is_quick: false,
        started_unix_ms: STARTED_MS,
        ended_unix_ms: Some(STARTED_MS + 600_000),
        ringload_version: "0.1.0".to_owned(),
        machine: vec![
            ("CPU".to_owned(), "AMD EPYC".to_owned()),
            ("net.ipv4.tcp_tw_reuse".to_owned(), "2".to_owned()),
        ],
        server_cores: vec![0],
        load_cores: vec![1, 2],
        tuning: Some("documented".to_owned()),
        servers: vec![
            server("crasher", Some("C")),
            server(HOSTILE, Some("C|C++")),
            Server { left_out: Some(left_out), version: None, ..server("nginx", Some("C")) },
            server("ringserve", Some("Rust")),
            server("liar", None),
        ],
        cells: vec![
            cell("hello", 10, None),
            cell("hello", 100, None),
            cell("paced", 400, Some(4_000.0)),
        ],
        runs: [hello(), paced()].concat(),
        published: vec![Published {
            title: "As of 2016, on 8 cores".to_owned(),
            columns: ["framework", "c=10", "note"].map(str::to_owned).to_vec(),
            rows: vec![
                ["nginx", "64,000", "as it comes"].map(str::to_owned).to_vec(),
                ["node", "13,500"].map(str::to_owned).to_vec(),
            ],
        }],
        warnings: vec!["The server has one core only.".to_owned()],
    }
}

/// A quick suite that was killed before the second cell.
pub(super) fn broken_off() -> SuiteResults {
    let full = full();
    let told = "address already in use".to_owned();
    SuiteResults {
        is_quick: true,
        ended_unix_ms: None,
        source: None,
        method: None,
        misleads: Vec::new(),
        tuning: None,
        load_cores: vec![0],
        servers: vec![server("ringserve", Some("Rust")), server("late", None), server("b", None)],
        cells: vec![cell("hello", 10, None), cell("hello", 100, None)],
        runs: vec![
            measured("ringserve", "hello c=10", 1, &Seen::closed(50.25, 60.0), 4.5),
            failed("late", "hello c=10", 1, Outcome::NotStarted { told }),
            failed("late", "hello c=10", 2, Outcome::LoadFailed { told: "no\nports".to_owned() }),
        ],
        published: Vec::new(),
        warnings: Vec::new(),
        ..full
    }
}
