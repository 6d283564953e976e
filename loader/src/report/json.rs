//! The report as one JSON object on one line. Its keys are a contract: they are added to, never
//! renamed; the unit is the last part of a name.

use ringbench_measure::{Errors, Histogram, Summary};
use serde::Serialize;

use super::remarks::Remarks;
use super::{Extent, RunReport};

/// Writes a report as one line of JSON.
///
/// # Errors
///
/// None that is known: every value has a JSON form.
pub fn render(report: &RunReport) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(&Document::of(report))?;
    line.push('\n');
    Ok(line)
}

#[derive(Serialize)]
struct Document<'a> {
    url: &'a str,
    shards: usize,
    r#loop: &'static str,
    pipeline_depth: u32,
    requests_per_connection: Option<u64>,
    requests: u64,
    errors: ErrorCounts,
    bytes_read: u64,
    bytes_written: u64,
    duration_us: u64,
    requested: Requested,
    interrupted: bool,
    requests_per_sec: f64,
    transfer_bytes_per_sec: f64,
    latency_us: Latency,
    shard_requests_per_sec: Rates,
    connections: Connections,
    reconnects: u64,
    status: Statuses,
    unanswered: Waiting,
    loader: Loader<'a>,
    engine: Engine,
    warnings: Vec<String>,
    notes: Vec<String>,
}

#[derive(Serialize)]
struct ErrorCounts {
    connect: u64,
    read: u64,
    write: u64,
    timeout: u64,
    status: u64,
}

/// What the run was to last; the one that was not asked for is null.
#[derive(Serialize)]
struct Requested {
    duration_us: Option<u64>,
    requests: Option<u64>,
}

#[derive(Serialize)]
pub(super) struct Latency {
    min: f64,
    mean: f64,
    stdev: f64,
    p50: f64,
    p75: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    p9999: f64,
    max: f64,
    count: u64,
}

#[derive(Serialize)]
struct Rates {
    mean: f64,
    stdev: f64,
    max: u64,
    within_stdev_percent: f64,
    count: u64,
}

#[derive(Serialize)]
struct Connections {
    wanted: u64,
    peak: u64,
    opened: u64,
    closed: u64,
}

#[derive(Serialize)]
struct Statuses {
    #[serde(rename = "1xx")]
    informational: u64,
    #[serde(rename = "2xx")]
    success: u64,
    #[serde(rename = "3xx")]
    redirection: u64,
    #[serde(rename = "4xx")]
    client_error: u64,
    #[serde(rename = "5xx")]
    server_error: u64,
}

/// What was in flight at the end.
#[derive(Serialize)]
struct Waiting {
    count: u64,
    oldest_us: u64,
}

#[derive(Serialize)]
struct Loader<'a> {
    cpu_us_per_request: Option<f64>,
    shard_core_shares: &'a [f64],
}

#[derive(Serialize)]
struct Engine {
    enters: u64,
    completions: u64,
    enobufs: u64,
    cq_overflows: u64,
}

impl<'a> Document<'a> {
    fn of(report: &'a RunReport) -> Self {
        let Remarks { warnings, notes } = Remarks::of(report);
        let counters = &report.counters;
        let [informational, success, redirection, client_error, server_error] =
            counters.status_classes;
        Self {
            url: &report.url,
            shards: report.shards,
            r#loop: "closed",
            pipeline_depth: report.pipeline_depth,
            requests_per_connection: report.requests_per_connection,
            requests: counters.requests,
            errors: ErrorCounts::of(counters.errors),
            bytes_read: counters.bytes_read,
            bytes_written: counters.bytes_written,
            duration_us: report.duration_us,
            requested: Requested::of(report.extent),
            interrupted: report.interrupted,
            requests_per_sec: rounded(report.requests_per_sec()),
            transfer_bytes_per_sec: rounded(report.transfer_bytes_per_sec()),
            latency_us: Latency::of(&report.latency),
            shard_requests_per_sec: Rates::of(report),
            connections: Connections {
                wanted: report.connections_wanted,
                peak: report.connections_peak,
                opened: counters.opened,
                closed: counters.closed,
            },
            reconnects: counters.reconnects,
            status: Statuses { informational, success, redirection, client_error, server_error },
            unanswered: Waiting {
                count: report.unanswered.count,
                oldest_us: report.unanswered.oldest_us,
            },
            loader: Loader {
                cpu_us_per_request: report.cpu_us_per_request().map(rounded),
                shard_core_shares: &report.shard_core_shares,
            },
            engine: Engine {
                enters: report.engine.enters,
                completions: report.engine.completions,
                enobufs: report.engine.enobufs,
                cq_overflows: report.engine.cq_overflows,
            },
            warnings,
            notes,
        }
    }
}

impl ErrorCounts {
    fn of(errors: Errors) -> Self {
        let Errors { connect, read, write, timeout, status } = errors;
        Self { connect, read, write, timeout, status }
    }
}

impl Requested {
    fn of(extent: Extent) -> Self {
        Self {
            duration_us: extent.duration().map(|time| time.as_micros() as u64),
            requests: extent.requests(),
        }
    }
}

impl Latency {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let Summary { min, mean, stdev, p50, p75, p90, p99, p999, p9999, max, count } =
            histogram.summary();
        let [min, mean, stdev] = [min, mean, stdev].map(rounded);
        Self { min, mean, stdev, p50, p75, p90, p99, p999, p9999, max, count }
    }
}

impl Rates {
    fn of(report: &RunReport) -> Self {
        let moments = report.rates.moments();
        Self {
            mean: rounded(moments.mean()),
            stdev: rounded(moments.stdev()),
            max: moments.max(),
            within_stdev_percent: rounded(report.rates.within_stdev_percent()),
            count: moments.count(),
        }
    }
}

/// Three decimals: nanoseconds where the unit is microseconds, and finer than any run repeats.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    #[test]
    fn a_healthy_run() {
        let expected = concat!(
            r#"{"url":"http://127.0.0.1:8080/","shards":2,"loop":"closed","pipeline_depth":1,"#,
            r#""requests_per_connection":null,"requests":100000,"#,
            r#""errors":{"connect":0,"read":0,"write":0,"timeout":0,"status":0},"#,
            r#""bytes_read":16300000,"bytes_written":4500000,"duration_us":2000000,"#,
            r#""requested":{"duration_us":2000000,"requests":null},"interrupted":false,"#,
            r#""requests_per_sec":50000.0,"transfer_bytes_per_sec":8150000.0,"#,
            r#""latency_us":{"min":1.0,"mean":50000.5,"stdev":28867.658,"p50":50003.967,"#,
            r#""p75":75038.719,"p90":90046.463,"p99":99024.895,"p999":99942.399,"#,
            r#""p9999":100000.0,"max":100000.0,"count":100000},"#,
            r#""shard_requests_per_sec":{"mean":25000.0,"stdev":816.497,"max":26000,"#,
            r#""within_stdev_percent":50.0,"count":4},"#,
            r#""connections":{"wanted":64,"peak":64,"opened":64,"closed":0},"reconnects":0,"#,
            r#""status":{"1xx":0,"2xx":100000,"3xx":0,"4xx":0,"5xx":0},"#,
            r#""unanswered":{"count":64,"oldest_us":20000},"#,
            r#""loader":{"cpu_us_per_request":7.5,"shard_core_shares":[0.36,0.39]},"#,
            r#""engine":{"enters":5000,"completions":103000,"enobufs":0,"cq_overflows":0},"#,
            r#""warnings":[],"notes":[]}"#,
            "\n"
        );
        assert_eq!(render(&fixtures::healthy()).unwrap(), expected);
    }

    #[test]
    fn the_contract_of_the_keys() {
        let value: serde_json::Value =
            serde_json::from_str(&render(&fixtures::doubtful()).unwrap()).unwrap();
        let number = |pointer: &str| {
            let found = value.pointer(pointer).and_then(serde_json::Value::as_f64);
            found.unwrap_or_else(|| panic!("no number at {pointer}"))
        };
        for key in
            ["requests", "bytes_read", "duration_us", "requests_per_sec", "transfer_bytes_per_sec"]
        {
            assert!(number(&format!("/{key}")) > 0.0, "{key}");
        }
        let errors = ["connect", "read", "write", "timeout", "status"]
            .map(|key| number(&format!("/errors/{key}")));
        assert_eq!(errors.map(|count| count as u64), [4, 3, 0, 2, 1]);
        for key in
            ["min", "mean", "stdev", "p50", "p75", "p90", "p99", "p999", "p9999", "max", "count"]
        {
            assert!(number(&format!("/latency_us/{key}")) > 0.0, "{key}");
        }
        assert_eq!(value["requested"], serde_json::json!({"duration_us": null, "requests": 1000}));
        assert_eq!(value["requests_per_connection"], 10);
        let remarks = Remarks::of(&fixtures::doubtful());
        assert_eq!(value["warnings"], serde_json::json!(remarks.warnings));
        assert_eq!(value["notes"], serde_json::json!(remarks.notes));
    }

    #[test]
    fn both_ends_of_a_run_are_kept() {
        let mut report = fixtures::healthy();
        report.extent = Extent::RequestsWithin(5_000, std::time::Duration::from_secs(1));
        let value: serde_json::Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
        let expected = serde_json::json!({"duration_us": 1_000_000, "requests": 5_000});
        assert_eq!((&value["requested"], &value["loop"]), (&expected, &"closed".into()));
    }

    #[test]
    fn what_is_unknown_is_null_and_nothing_is_nan() {
        let mut report = fixtures::silent();
        report.duration_us = 0;
        let value: serde_json::Value = serde_json::from_str(&render(&report).unwrap()).unwrap();
        assert!(value["loader"]["cpu_us_per_request"].is_null());
        assert_eq!(value["requests_per_sec"], 0.0);
        assert_eq!(value["latency_us"]["p99"], 0.0);
    }
}
