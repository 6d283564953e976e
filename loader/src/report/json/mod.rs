//! The report as one JSON object on one line, and such an object read back. Its keys are a contract:
//! they are added to, never renamed; the unit is the last part of a name. They are explained in
//! `docs/json.md`.

use ringbench_measure::UnpackError;

use self::document::Document;
use super::{Judgement, RunReport};

mod document;
pub(super) mod parts;
#[cfg(test)]
mod schema;

/// Why text is no report that can be read back.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is no JSON, or another object.
    #[error("it is no JSON report of ringload: {0}")]
    Json(#[from] serde_json::Error),
    /// It has no histograms, so that nothing but its figures is known.
    #[error(
        "it has no histograms, only figures taken from them; it was written by an older ringload: \
         make it anew with this one"
    )]
    NoHistograms,
    /// It lacks something that its kind of run has.
    #[error("it has no `{0}`, which the rest of it asks for")]
    Missing(&'static str),
    /// A sum is no number.
    #[error("the histogram `{name}` has a sum that is no number: `{text}`")]
    Sum {
        /// The key of the histogram.
        name: &'static str,
        /// What stands there.
        text: String,
    },
    /// A histogram cannot be read.
    #[error("the histogram `{name}` cannot be read: {source}")]
    Histogram {
        /// Its key.
        name: &'static str,
        /// Why not.
        source: UnpackError,
    },
    /// A connection ended for a reason that is not known here.
    #[error(
        "it has connections that ended for a reason unknown here: `{0}`; was it written by a \
             newer ringload?"
    )]
    Cause(String),
}

/// Writes a report as one line of JSON.
///
/// # Errors
///
/// None that is known: every value has a JSON form.
pub fn render(report: &RunReport) -> serde_json::Result<String> {
    render_judged(report, None)
}

/// The same with what stands under `verdict`.
///
/// # Errors
///
/// None that is known, as before.
pub fn render_judged(
    report: &RunReport,
    judgement: Option<&Judgement>,
) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(&Document::of(report, judgement))?;
    line.push('\n');
    Ok(line)
}

/// Reads a report that [`render`] wrote. Verdicts and remarks that follow from the figures are left
/// out, as they are made anew whenever it is written; and it asks for no more than the latency
/// distribution where it is printed.
///
/// # Errors
///
/// When it is none, or cannot be restored as it was.
pub fn read(text: &str) -> Result<RunReport, ReadError> {
    serde_json::from_str::<Document>(text)?.restore()
}

/// Three decimals: nanoseconds where the unit is microseconds, and finer than any run repeats.
pub(super) fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::report::remarks::Remarks;
    use crate::report::{Extent, fixtures};

    /// All but the histograms, which stand at the end.
    #[test]
    fn a_healthy_run() {
        let expected = concat!(
            r#"{"url":"http://127.0.0.1:8080/","started_unix_ms":1795000000000,"#,
            r#""engine_name":"uring","shards":2,"loop":"closed","pipeline_depth":1,"#,
            r#""requests_per_connection":null,"requests":100000,"#,
            r#""errors":{"connect":0,"read":0,"write":0,"timeout":0,"status":0},"#,
            r#""bytes_read":16300000,"bytes_written":4500000,"duration_us":2000000,"#,
            r#""requested":{"duration_us":2000000,"requests":null},"interrupted":false,"#,
            r#""requests_per_sec":50000.0,"transfer_bytes_per_sec":8150000.0,"#,
            r#""latency_us":{"min":1.0,"mean":50000.5,"stdev":28867.658,"p50":50003.967,"#,
            r#""p75":75038.719,"p90":90046.463,"p99":99024.895,"p999":99942.399,"#,
            r#""p9999":100000.0,"max":100000.0,"count":100000},"#,
            r#""service_time_us":null,"send_lag_us":null,"own_lag_us":null,"open_loop":null,"#,
            r#""corrected_latency_us":null,"expected_interval_us":null,"#,
            r#""shard_requests_per_sec":{"mean":25000.0,"stdev":816.497,"max":26000,"#,
            r#""within_stdev_percent":50.0,"count":4},"#,
            r#""connections":{"wanted":64,"peak":64,"opened":64,"closed":0,"answered":64,"all_open_us":2500},"#,
            r#""reconnects":0,"closes":[],"#,
            r#""status":{"1xx":0,"2xx":100000,"3xx":0,"4xx":0,"5xx":0},"#,
            r#""unanswered":{"count":64,"oldest_us":20000},"#,
            r#""loader":{"cpu_us_per_request":7.5,"cpu_ns":750000000,"#,
            r#""shard_core_shares":[0.36,0.39],"shard_run_delay_shares":[0.01,0.02]},"#,
            r#""engine":{"enters":5000,"completions":103000,"enobufs":0,"cq_overflows":0},"#,
            r#""server":null,"machine":null,"tcp":null,"machines":[],"intervals":[],"#,
            r#""verdict":null,"warnings":[],"notes":[]"#,
        );
        let line = render(&fixtures::healthy()).unwrap();
        let (figures, histograms) = line.split_once(r#","histograms":"#).unwrap();
        assert_eq!(figures, expected);
        assert!(histograms.starts_with(r#"{"latency":{"unit":"ns","hdr_v2":"HISTFAAA"#));
        assert!(histograms.ends_with("}}\n") && line.lines().count() == 1);
    }

    #[test]
    fn an_open_loop_with_all_that_was_watched() {
        let value: serde_json::Value =
            serde_json::from_str(&render(&fixtures::full()).unwrap()).unwrap();
        let at = |pointer: &str| value.pointer(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        for (pointer, expected) in [
            ("/loop", json!("open")),
            (
                "/open_loop",
                json!({"schedule": "constant 50000/s", "rate_asked": 50_000.0, "due": 100_000,
                       "shed": 0, "unsent": 0, "oldest_unsent_us": 0, "waited_for_connection": 0}),
            ),
            ("/service_time_us/max", json!(99_999.5)),
            ("/send_lag_us/min", json!(0.5)),
            ("/own_lag_us/count", json!(100_000)),
            ("/corrected_latency_us/p50", json!(50_003.967)),
            ("/expected_interval_us", json!(20)),
            (
                "/closes",
                json!([{"cause": "reset", "errno": "ECONNRESET", "count": 5},
                       {"cause": "server_closed", "errno": null, "count": 1}]),
            ),
            ("/server/cpu_us_per_request", json!(16.0)),
            ("/server/core_share", json!(0.8)),
            ("/machine/softirq_share", json!(0.253)),
            ("/tcp/rtt_us", json!({"min": 11, "p50": 24, "p99": 180, "max": 950})),
            ("/machines/0/requests_per_sec", json!(50_000.0)),
            ("/intervals/0/requests", json!(41_000)),
            ("/intervals/0/latency_us/p50", json!(50_000.128)),
            ("/intervals/1/latency_us", json!(null)),
        ] {
            assert_eq!(at(pointer), &expected, "{pointer}");
        }
    }

    #[test]
    fn a_judgement_has_its_place() {
        let judgement =
            Judgement { line: "the server".to_owned(), object: json!({"limit": "server"}) };
        let line = render_judged(&fixtures::healthy(), Some(&judgement)).unwrap();
        assert!(line.contains(r#","verdict":{"limit":"server"},"warnings""#), "{line}");
        assert!(read(&line).is_ok());
    }

    #[test]
    fn what_was_written_is_read_back() {
        for report in
            [fixtures::healthy(), fixtures::doubtful(), fixtures::silent(), fixtures::full()]
        {
            let written = render(&report).unwrap();
            let restored = read(&written).unwrap();
            assert_eq!(render(&restored).unwrap(), written);
            assert_eq!((restored.warnings, restored.notes), (report.warnings, report.notes));
            assert_eq!(restored.intervals, report.intervals);
            assert_eq!(restored.observed, report.observed);
            assert_eq!((restored.extent, restored.counters), (report.extent, report.counters));
        }
    }

    /// No digit of a number is lost between writing and reading.
    #[test]
    fn awkward_numbers_come_back() {
        let mut report = fixtures::full();
        report.shard_core_shares = vec![0.1 + 0.2, 1.0 / 3.0, 5e-324];
        report.open_loop.as_mut().unwrap().rate_asked = 10_000.0 / 3.0;
        report.latency.record(u64::MAX);
        let written = render(&report).unwrap();
        let restored = read(&written).unwrap();
        assert_eq!(restored.shard_core_shares, report.shard_core_shares);
        assert_eq!(render(&restored).unwrap(), written);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let refused = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = serde_json::from_str(&render(&fixtures::full()).unwrap()).unwrap();
            change(&mut value);
            read(&value.to_string()).expect_err("not refused").to_string()
        };
        assert!(read("no JSON").unwrap_err().to_string().contains("no JSON report of ringload"));
        assert!(refused(&|value| value["requests"] = json!("many")).contains("invalid type"));
        assert!(refused(&|value| value["histograms"] = json!(null)).contains("older ringload"));
        assert!(refused(&|value| value["open_loop"] = json!(null)).contains("`open_loop`"));
        let lag = refused(&|value| value["histograms"]["send_lag"] = json!(null));
        assert!(lag.contains("`send_lag`"), "{lag}");
        let cause = refused(&|value| value["closes"][0]["cause"] = json!("ennui"));
        assert!(cause.contains("`ennui`"), "{cause}");
        let sum = refused(&|value| value["histograms"]["latency"]["sum"] = json!("1e3"));
        assert!(sum.contains("`latency` has a sum that is no number: `1e3`"), "{sum}");
        let torn = refused(&|value| value["histograms"]["latency"]["hdr_v2"] = json!("AAAA"));
        assert!(torn.contains("`latency` cannot be read: the buckets are no HdrH"), "{torn}");
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

    static WRITTEN: LazyLock<String> = LazyLock::new(|| render(&fixtures::full()).unwrap());

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// A damaged file is refused or read, but nothing panics, not even where it is written.
        #[test]
        fn no_text_makes_the_reader_panic(place in any::<prop::sample::Index>(), with in " -~") {
            let place = place.index(WRITTEN.len());
            let mut text = WRITTEN.clone();
            if text.is_char_boundary(place) && text.is_char_boundary(place + 1) {
                text.replace_range(place..=place, &with);
            }
            if let Ok(report) = read(&text) {
                prop_assert!(render(&report).is_ok());
            }
        }
    }
}
