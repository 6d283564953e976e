//! What `/metrics` answers: Prometheus' text exposition format, version 0.0.4.
//!
//! Numbers come in as arguments, text goes out into a buffer. A metric of the shards is a line in
//! [`SHARD_METRICS`].

use std::io::Write;

use super::board::Snapshot;
use super::process::Process;
use crate::access_log::LogCounts;

/// The media type of what [`write`] writes.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything there is to tell.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) shards: &'a [Snapshot],
    pub(super) process: Process,
    /// The name of the engine in use.
    pub(super) engine: &'a str,
    pub(super) draining: bool,
    pub(super) log: Option<LogCounts>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// A label's value, and the number that goes with it.
type Series = (&'static str, fn(&Snapshot) -> f64);

/// One metric of the shards: one series for each, or several told apart by a label.
struct ShardMetric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// The label's name; empty where there is one series.
    label: &'static str,
    series: &'static [Series],
}

impl ShardMetric {
    const fn one(
        kind: Kind,
        name: &'static str,
        help: &'static str,
        series: &'static [Series],
    ) -> Self {
        Self { name, kind, help, label: "", series }
    }
}

/// A series of whole numbers.
macro_rules! of {
    ($part:ident.$field:ident) => {
        |shard| shard.$part.$field as f64
    };
}

use Kind::{Counter, Gauge};

#[rustfmt::skip]
const SHARD_METRICS: &[ShardMetric] = &[
    ShardMetric::one(Counter, "ringserve_requests_total",
        "Requests answered.",
        &[("", of!(counts.requests))]),
    ShardMetric::one(Counter, "ringserve_requests_refused_total",
        "What was no valid request, or did not come whole, and was refused.",
        &[("", of!(counts.refused))]),
    ShardMetric {
        name: "ringserve_responses_total", kind: Counter, label: "class",
        help: "Answers and refusals by class of status.",
        series: &[
            ("2xx", of!(counts.status_2xx)),
            ("3xx", of!(counts.status_3xx)),
            ("4xx", of!(counts.status_4xx)),
            ("5xx", of!(counts.status_5xx)),
        ],
    },
    ShardMetric::one(Counter, "ringserve_received_bytes_total",
        "Bytes received from clients, heads included.",
        &[("", of!(counts.received_bytes))]),
    ShardMetric::one(Counter, "ringserve_written_bytes_total",
        "Bytes of answers, heads included.",
        &[("", of!(counts.written_bytes))]),
    ShardMetric::one(Counter, "ringserve_connections_accepted_total",
        "Connections accepted.",
        &[("", of!(counts.accepted))]),
    ShardMetric::one(Counter, "ringserve_connections_turned_away_total",
        "Connections accepted and answered with 503, as there were too many.",
        &[("", of!(counts.turned_away))]),
    ShardMetric {
        name: "ringserve_connections_closed_total", kind: Counter, label: "reason",
        help: "Connections that are gone: closed by the server (timeouts included) or by the \
               client, ended by an error such as a reset, or dropped at the end of the server.",
        series: &[
            ("server", of!(counts.closed_here)),
            ("client", of!(counts.closed_by_client)),
            ("error", of!(counts.failed)),
            ("stopped", of!(counts.stopped)),
        ],
    },
    ShardMetric::one(Gauge, "ringserve_connections_open",
        "Connections that are open.",
        &[("", |shard| shard.counts.open() as f64)]),
    ShardMetric::one(Gauge, "ringserve_connections_peak",
        "The most connections that were open at once.",
        &[("", of!(stats.connections_peak))]),
    ShardMetric {
        name: "ringserve_timeouts_total", kind: Counter, label: "kind",
        help: "Connections closed because a head, a body, the client's taking of answers, or the \
               next request took too long.",
        series: &[
            ("header", of!(counts.header_timeouts)),
            ("body", of!(counts.body_timeouts)),
            ("send", of!(counts.send_timeouts)),
            ("idle", of!(counts.idle_timeouts)),
        ],
    },
    ShardMetric::one(Counter, "ringserve_engine_enters_total",
        "System calls that waited for events (turns with glommio). Completions divided by this are the \
         mean batch.",
        &[("", of!(stats.enters))]),
    ShardMetric::one(Counter, "ringserve_engine_completions_total",
        "Completions of io_uring, or events of other engines, that were handled.",
        &[("", of!(stats.completions))]),
    ShardMetric::one(Counter, "ringserve_engine_sends_total",
        "Sends handed to the kernel, one for each connection and batch.",
        &[("", of!(stats.sends))]),
    ShardMetric::one(Counter, "ringserve_engine_sends_blocked_total",
        "Sends that found the socket full and had to wait.",
        &[("", of!(stats.sends_blocked))]),
    ShardMetric::one(Counter, "ringserve_engine_out_of_buffers_total",
        "Receives that ended because the provided buffers had run out (ENOBUFS).",
        &[("", of!(stats.enobufs))]),
    ShardMetric::one(Counter, "ringserve_engine_cq_overflows_total",
        "Times the completion queue was too short, so that completions came late.",
        &[("", of!(stats.cq_overflows))]),
    ShardMetric::one(Counter, "ringserve_engine_accept_errors_total",
        "Accepts that failed, such as for want of file descriptors; each is followed by a pause.",
        &[("", of!(stats.accept_errors))]),
    ShardMetric::one(Counter, "ringserve_shard_cpu_seconds_total",
        "CPU time of the shard's thread, user and system.",
        &[("", |shard| shard.stats.cpu_ns as f64 / 1e9)]),
];

/// Appends the whole exposition to `out`.
pub(super) fn write(out: &mut Vec<u8>, report: &Report<'_>) {
    for metric in SHARD_METRICS {
        begin(out, metric.name, metric.kind, metric.help);
        for (shard, snapshot) in report.shards.iter().enumerate() {
            for (value, series) in metric.series {
                let number = series(snapshot);
                // Writing to memory cannot fail.
                let _ = if metric.label.is_empty() {
                    writeln!(out, "{}{{shard=\"{shard}\"}} {number}", metric.name)
                } else {
                    let (name, label) = (metric.name, metric.label);
                    writeln!(out, "{name}{{shard=\"{shard}\",{label}=\"{value}\"}} {number}")
                };
            }
        }
    }
    if let Some(log) = &report.log {
        write_log(out, log);
    }
    write_process(out, report);
}

fn write_log(out: &mut Vec<u8>, log: &LogCounts) {
    let name = "ringserve_access_log_written_lines_total";
    single(out, name, Counter, "Lines that the access log has taken.", log.written as f64);
    let name = "ringserve_access_log_dropped_lines_total";
    let help = "Lines of the access log dropped, as the file took them too slowly.";
    single(out, name, Counter, help, log.dropped as f64);
    let name = "ringserve_access_log_failed_lines_total";
    let help = "Lines of the access log lost because writing them failed.";
    single(out, name, Counter, help, log.failed as f64);
}

/// The process, by the names that all Prometheus clients give it.
fn write_process(out: &mut Vec<u8>, report: &Report<'_>) {
    let Process { cpu_seconds, rss_bytes, threads, open_fds, max_fds, start_seconds } =
        report.process;
    let optional = [
        ("process_resident_memory_bytes", "Resident memory.", rss_bytes),
        ("process_threads", "Threads.", threads),
        ("process_open_fds", "Open file descriptors, without direct ones of rings.", open_fds),
        ("process_max_fds", "The limit on open file descriptors.", max_fds),
    ];
    let help = "CPU time of the process, user and system.";
    single(out, "process_cpu_seconds_total", Counter, help, cpu_seconds);
    for (name, help, value) in optional {
        if let Some(value) = value {
            single(out, name, Gauge, help, value as f64);
        }
    }
    let help = "When the process started, in seconds since 1970.";
    single(out, "process_start_time_seconds", Gauge, help, start_seconds);
    let help = "1 once the server is on its way to its end.";
    single(out, "ringserve_draining", Gauge, help, f64::from(u8::from(report.draining)));
    let name = "ringserve_build_info";
    begin(out, name, Gauge, "1, with the version of ringserve and the engine in use.");
    let (version, engine) = (env!("CARGO_PKG_VERSION"), report.engine);
    // Neither has anything in it that would have to be escaped.
    let _ = writeln!(out, "{name}{{version=\"{version}\",engine=\"{engine}\"}} 1");
}

fn single(out: &mut Vec<u8>, name: &str, kind: Kind, help: &str, value: f64) {
    begin(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

fn begin(out: &mut Vec<u8>, name: &str, kind: Kind, help: &str) {
    let kind = match kind {
        Counter => "counter",
        Gauge => "gauge",
    };
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_conventions() {
        let mut names = Vec::new();
        for metric in SHARD_METRICS {
            assert!(metric.name.starts_with("ringserve_"), "{}", metric.name);
            assert_eq!(metric.name.ends_with("_total"), metric.kind == Counter, "{}", metric.name);
            assert!(!metric.help.contains(['\n', '\\']), "{}", metric.name);
            assert_eq!(metric.label.is_empty(), metric.series.len() == 1, "{}", metric.name);
            assert!(!names.contains(&metric.name), "{} is there twice", metric.name);
            names.push(metric.name);
        }
    }

    #[test]
    fn the_text_has_a_series_for_each_shard_and_whole_numbers() {
        let mut shards = [Snapshot::default(); 2];
        shards[1].counts.status_4xx = 12_345_678_901_234_567;
        shards[1].stats.cpu_ns = 1_500_000_000;
        let process = Process { start_seconds: 1.5, rss_bytes: Some(4096), ..Process::default() };
        let log = Some(LogCounts { written: 1, dropped: 2, failed: 3 });
        let report = Report { shards: &shards, process, engine: "uring", draining: true, log };
        let mut out = Vec::new();
        write(&mut out, &report);
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with(
            "# HELP ringserve_requests_total Requests answered.\n\
             # TYPE ringserve_requests_total counter\n\
             ringserve_requests_total{shard=\"0\"} 0\n\
             ringserve_requests_total{shard=\"1\"} 0\n# HELP "
        ));
        for line in [
            "ringserve_responses_total{shard=\"1\",class=\"4xx\"} 12345678901234568",
            "ringserve_shard_cpu_seconds_total{shard=\"1\"} 1.5",
            "ringserve_access_log_dropped_lines_total 2",
            "process_resident_memory_bytes 4096",
            "process_start_time_seconds 1.5",
            "ringserve_draining 1",
            concat!(
                "ringserve_build_info{version=\"",
                env!("CARGO_PKG_VERSION"),
                "\",engine=\"uring\"} 1"
            ),
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert!(!text.contains("process_open_fds") && text.ends_with('\n'));
    }
}
