//! The figures of a run: out of its report (`docs/json.md`), and of what was seen of the server.

use serde::Deserialize;

use crate::suite::results::Run;

/// What is used of a report.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Figures {
    pub(super) requests: u64,
    pub(super) requests_per_sec: f64,
    pub(super) transfer_bytes_per_sec: f64,
    pub(super) duration_us: u64,
    pub(super) errors: Errors,
    pub(super) status: Statuses,
    /// In an open loop from the intended start.
    latency_us: Times,
    service_time_us: Option<Times>,
    pub(super) open_loop: Option<OpenLoop>,
    pub(super) loader: Loader,
    pub(super) verdict: Option<Verdict>,
    pub(super) warnings: Vec<String>,
}

/// Failures by kind.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Errors {
    pub(super) connect: u64,
    pub(super) read: u64,
    pub(super) write: u64,
    pub(super) timeout: u64,
    pub(super) status: u64,
}

/// Complete responses by class.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Statuses {
    #[serde(rename = "1xx")]
    pub(super) informational: u64,
    #[serde(rename = "2xx")]
    pub(super) success: u64,
    #[serde(rename = "3xx")]
    pub(super) redirection: u64,
    #[serde(rename = "4xx")]
    pub(super) client_error: u64,
    #[serde(rename = "5xx")]
    pub(super) server_error: u64,
}

/// Figures of a histogram, in microseconds.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Times {
    pub(super) mean: f64,
    pub(super) stdev: f64,
    pub(super) p50: f64,
    pub(super) p75: f64,
    pub(super) p90: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
    pub(super) p9999: f64,
    pub(super) max: f64,
    count: u64,
}

/// What became of a schedule.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct OpenLoop {
    pub(super) rate_asked: f64,
    shed: u64,
    unsent: u64,
}

/// What the load cost.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub(super) struct Loader {
    pub(super) cpu_us_per_request: Option<f64>,
}

/// What limited the run.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub(super) struct Verdict {
    pub(super) limit: String,
    pub(super) sure: bool,
    pub(super) line: String,
}

impl Figures {
    /// Those of a run; why there are none, else.
    pub(super) fn of(run: &Run) -> Result<Self, String> {
        let report = run.report.as_ref().ok_or("the run was measured, but left no report")?;
        Self::deserialize(report).map_err(|error| format!("its report cannot be read: {error}"))
    }

    /// Requests that came to nothing: what never got a whole response.
    pub(super) fn errors_total(&self) -> u64 {
        let Errors { connect, read, write, timeout, .. } = self.errors;
        connect + read + write + timeout
    }

    /// Responses with another status than 2xx.
    pub(super) fn non_2xx(&self) -> u64 {
        let Statuses { informational, redirection, client_error, server_error, .. } = self.status;
        informational + redirection + client_error + server_error
    }

    /// Whether all went well.
    pub(super) fn is_clean(&self) -> bool {
        self.errors_total() == 0 && self.non_2xx() == 0
    }

    /// 2xx responses per second: what counts when servers are ranked.
    pub(super) fn good_per_sec(&self) -> f64 {
        if self.requests == 0 {
            return 0.0;
        }
        self.requests_per_sec * self.status.success as f64 / self.requests as f64
    }

    /// Latencies; `None` where no response came.
    pub(super) fn latency(&self) -> Option<Times> {
        Some(self.latency_us).filter(|times| times.count > 0)
    }

    /// In an open loop the times from the actual send.
    pub(super) fn service_time(&self) -> Option<Times> {
        self.service_time_us.filter(|times| times.count > 0)
    }

    /// Requests of a schedule that were due but never sent.
    pub(super) fn not_sent(&self) -> Option<u64> {
        self.open_loop.map(|open| open.shed + open.unsent)
    }

    /// A server's CPU time per complete response, in microseconds.
    pub(super) fn server_cpu_us_per_request(&self, run: &Run) -> Option<f64> {
        let cpu_ns = run.usage.cpu_ns.filter(|_| self.requests > 0)?;
        Some(cpu_ns as f64 / 1_000.0 / self.requests as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Judgement, fixtures, json};
    use serde_json::{Value, json};

    fn run(report: Option<&Value>) -> Run {
        let run = json!({
            "server": "s", "cell": "c", "repeat": 1, "started_unix_ms": 0,
            "outcome": { "kind": "measured" },
            "usage": { "cpu_ns": 500_000_000_u64, "per_thread": [], "samples": [] },
            "report": report,
        });
        serde_json::from_value(run).expect("a run")
    }

    /// The reports that ringload writes are read, whatever is in them.
    #[test]
    fn ringloads_own_reports_are_read() {
        let judgement = Judgement {
            line: String::new(),
            object: json!({"limit": "server", "sure": true, "line": "l", "evidence": []}),
        };
        for report in [fixtures::healthy(), fixtures::full(), fixtures::silent()] {
            let text = json::render_judged(&report, Some(&judgement)).expect("JSON");
            let mut value: Value = serde_json::from_str(&text).expect("JSON");
            value.as_object_mut().expect("an object").remove("histograms");
            let run = run(Some(&value));
            let figures = Figures::of(&run).expect("figures");
            assert_eq!(figures.requests, report.counters.requests);
            assert_eq!(figures.open_loop.is_some(), report.open_loop.is_some());
            assert_eq!(figures.latency().is_some(), report.counters.requests > 0);
            assert_eq!(figures.verdict.map(|verdict| verdict.limit), Some("server".to_owned()));
        }
    }

    #[test]
    fn what_follows_from_them() {
        let text = json::render_judged(&fixtures::healthy(), None).expect("JSON");
        let run = run(Some(&serde_json::from_str(&text).expect("JSON")));
        let mut figures = Figures::of(&run).expect("figures");
        assert_eq!(figures.server_cpu_us_per_request(&run), Some(5.0));
        assert!(figures.is_clean() && (figures.good_per_sec() - 50_000.0).abs() < 1e-9);
        figures.status.success -= 25_000;
        figures.status.server_error += 25_000;
        assert!(!figures.is_clean() && figures.non_2xx() == 25_000);
        assert!((figures.good_per_sec() - 37_500.0).abs() < 1e-9);
        figures.requests = 0;
        assert_eq!(figures.server_cpu_us_per_request(&run), None);
        assert!(figures.good_per_sec().abs() < f64::EPSILON);
    }

    #[test]
    fn what_is_no_report_is_said() {
        assert_eq!(
            Figures::of(&run(None)).unwrap_err(),
            "the run was measured, but left no report"
        );
        let told = Figures::of(&run(Some(&json!({"requests": 1})))).unwrap_err();
        assert!(told.starts_with("its report cannot be read: missing field `"), "{told}");
    }
}
