//! What happened in one interval of a run, and a line of JSON of it (`--interval`). The table for
//! people is [`table`](super::table)'s.

use ringbench_measure::{Counters, Errors, Histogram};
use serde::{Deserialize, Serialize};

use super::json::parts::{ErrorCounts, Machine};
use super::json::rounded;
use super::observed::MachineUse;

/// What happened in one interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// From the start of the run to the end of the interval.
    pub elapsed_us: u64,
    /// The actual length of the interval.
    pub length_us: u64,
    /// Complete responses.
    pub requests: u64,
    /// Bytes received.
    pub bytes_read: u64,
    /// Failures, by kind.
    pub errors: Errors,
    /// Connections opened in it.
    pub opened: u64,
    /// Connections that ended in it.
    pub closed: u64,
    /// Connections open at its end.
    pub open_connections: u64,
    /// Latencies of the responses, if there were any.
    pub latency: Option<IntervalLatency>,
    /// CPU time that the shards used in it.
    pub loader_cpu_ns: u64,
    /// The server's process in it, if it is watched.
    pub server: Option<ServerInterval>,
    /// The machine in it, if it is watched.
    pub machine: Option<MachineUse>,
}

/// What the server's process did in an interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ServerInterval {
    /// CPU time it used.
    pub cpu_ns: u64,
    /// Resident memory at its end.
    pub rss_bytes: u64,
    /// Threads at its end.
    pub threads: u64,
    /// Context switches, voluntary and not.
    pub switches: u64,
}

/// The latencies of one interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntervalLatency {
    /// Median.
    pub p50_ns: u64,
    /// 90th percentile.
    pub p90_ns: u64,
    /// 99th percentile.
    pub p99_ns: u64,
    /// 99.9th percentile.
    pub p999_ns: u64,
    /// Largest.
    pub max_ns: u64,
}

impl Interval {
    /// An interval from the counters at its two ends and the latencies recorded in it.
    pub fn new(
        elapsed_us: u64,
        length_us: u64,
        before: &Counters,
        after: &Counters,
        latency: &Histogram,
    ) -> Self {
        let counted = after.since(before);
        Self {
            elapsed_us,
            length_us,
            requests: counted.requests,
            bytes_read: counted.bytes_read,
            errors: counted.errors,
            opened: counted.opened,
            closed: counted.closed,
            open_connections: after.open(),
            latency: (!latency.is_empty()).then(|| IntervalLatency {
                p50_ns: latency.percentile_ns(50.0),
                p90_ns: latency.percentile_ns(90.0),
                p99_ns: latency.percentile_ns(99.0),
                p999_ns: latency.percentile_ns(99.9),
                max_ns: latency.max_ns(),
            }),
            loader_cpu_ns: 0,
            server: None,
            machine: None,
        }
    }

    /// Complete responses per second of the interval.
    pub fn requests_per_sec(&self) -> f64 {
        if self.length_us == 0 { 0.0 } else { self.requests as f64 * 1e6 / self.length_us as f64 }
    }

    /// The interval as one line of JSON.
    ///
    /// # Errors
    ///
    /// None that is known: every value has a JSON form.
    pub fn json_line(&self) -> serde_json::Result<String> {
        let mut line = serde_json::to_string(&Line::of(self))?;
        line.push('\n');
        Ok(line)
    }
}

/// An interval in JSON, on a line of its own and in the report.
#[derive(Serialize, Deserialize)]
pub(super) struct Line {
    elapsed_us: u64,
    interval_us: u64,
    requests: u64,
    requests_per_sec: f64,
    bytes_read: u64,
    /// Null where no response was completed.
    latency_us: Option<LatencyLine>,
    errors: u64,
    open_connections: u64,
    opened: u64,
    closed: u64,
    #[serde(with = "ErrorCounts")]
    errors_by_kind: Errors,
    loader_cpu_ns: u64,
    server: Option<ServerLine>,
    machine: Option<Machine>,
}

#[derive(Serialize, Deserialize)]
struct LatencyLine {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ServerInterval")]
struct ServerFields {
    cpu_ns: u64,
    rss_bytes: u64,
    threads: u64,
    switches: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct ServerLine(#[serde(with = "ServerFields")] ServerInterval);

impl Line {
    pub(super) fn of(interval: &Interval) -> Self {
        Self {
            elapsed_us: interval.elapsed_us,
            interval_us: interval.length_us,
            requests: interval.requests,
            requests_per_sec: rounded(interval.requests_per_sec()),
            bytes_read: interval.bytes_read,
            latency_us: interval.latency.map(|latency| {
                let us = |ns: u64| ns as f64 / 1_000.0;
                LatencyLine {
                    p50: us(latency.p50_ns),
                    p90: us(latency.p90_ns),
                    p99: us(latency.p99_ns),
                    p999: us(latency.p999_ns),
                    max: us(latency.max_ns),
                }
            }),
            errors: interval.errors.total(),
            open_connections: interval.open_connections,
            opened: interval.opened,
            closed: interval.closed,
            errors_by_kind: interval.errors,
            loader_cpu_ns: interval.loader_cpu_ns,
            server: interval.server.map(ServerLine),
            machine: interval.machine.map(Machine::from),
        }
    }

    pub(super) fn restore(self) -> Interval {
        Interval {
            elapsed_us: self.elapsed_us,
            length_us: self.interval_us,
            requests: self.requests,
            bytes_read: self.bytes_read,
            errors: self.errors_by_kind,
            opened: self.opened,
            closed: self.closed,
            open_connections: self.open_connections,
            latency: self.latency_us.map(|latency| {
                let ns = |us: f64| (us * 1_000.0).round() as u64;
                IntervalLatency {
                    p50_ns: ns(latency.p50),
                    p90_ns: ns(latency.p90),
                    p99_ns: ns(latency.p99),
                    p999_ns: ns(latency.p999),
                    max_ns: ns(latency.max),
                }
            }),
            loader_cpu_ns: self.loader_cpu_ns,
            server: self.server.map(|server| server.0),
            machine: self.machine.map(Into::into),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::report) fn busy() -> Interval {
        Interval {
            elapsed_us: 1_000_250,
            length_us: 500_000,
            requests: 56_170,
            bytes_read: 9_155_710,
            errors: Errors { read: 2, status: 1, ..Errors::default() },
            opened: 2,
            closed: 2,
            open_connections: 64,
            latency: Some(IntervalLatency {
                p50_ns: 243_199,
                p90_ns: 400_000,
                p99_ns: 526_000,
                p999_ns: 900_000,
                max_ns: 1_500_000_000,
            }),
            loader_cpu_ns: 400_000_000,
            server: None,
            machine: None,
        }
    }

    pub(in crate::report) fn stalled() -> Interval {
        Interval { elapsed_us: 3_661_000_000, requests: 0, bytes_read: 0, latency: None, ..busy() }
    }

    #[test]
    fn json_lines() {
        assert_eq!(
            busy().json_line().unwrap(),
            concat!(
                r#"{"elapsed_us":1000250,"interval_us":500000,"requests":56170,"#,
                r#""requests_per_sec":112340.0,"bytes_read":9155710,"#,
                r#""latency_us":{"p50":243.199,"p90":400.0,"p99":526.0,"p999":900.0,"#,
                r#""max":1500000.0},"errors":3,"open_connections":64,"opened":2,"closed":2,"#,
                r#""errors_by_kind":{"connect":0,"read":2,"write":0,"timeout":0,"status":1},"#,
                r#""loader_cpu_ns":400000000,"server":null,"machine":null}"#,
                "\n"
            )
        );
        let value: serde_json::Value =
            serde_json::from_str(&stalled().json_line().unwrap()).unwrap();
        assert!(value["latency_us"].is_null());
        assert_eq!(value["requests_per_sec"], 0.0);
    }

    #[test]
    fn an_interval_is_the_difference_of_its_ends() {
        let mut before = Counters { opened: 10, closed: 1, bytes_read: 100, ..Counters::default() };
        before.count_response(200);
        let mut after = Counters { opened: 12, bytes_read: 350, ..before };
        after.count_response(200);
        after.count_response(500);
        after.errors.timeout = 4;
        let mut latency = Histogram::new();
        latency.record(2_000);
        latency.record(1_000_000);

        let interval = Interval::new(2_000_000, 1_000_000, &before, &after, &latency);
        assert_eq!((interval.requests, interval.bytes_read, interval.errors.total()), (2, 250, 5));
        assert_eq!(interval.open_connections, 11);
        let latency = interval.latency.unwrap();
        assert!((2_000..2_128).contains(&latency.p50_ns), "{latency:?}");
        assert_eq!(latency.max_ns, 1_000_000);

        let empty = Interval::new(0, 0, &after, &after, &Histogram::new());
        assert_eq!((empty.requests, empty.latency), (0, None));
    }
}
