//! What is compared.

use serde_json::Value;

/// A figure of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Complete responses per second.
    RequestsPerSec,
    /// CPU time of the server per response.
    ServerCpu,
    /// CPU time of the load generator per response.
    LoaderCpu,
    /// Median latency.
    P50,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// Largest latency.
    Max,
}

impl Metric {
    /// All of them, in the order of reports.
    pub const ALL: [Self; 7] = [
        Self::RequestsPerSec,
        Self::ServerCpu,
        Self::LoaderCpu,
        Self::P50,
        Self::P99,
        Self::P999,
        Self::Max,
    ];

    /// Its name in JSON.
    pub fn key(self) -> &'static str {
        match self {
            Self::RequestsPerSec => "requests_per_sec",
            Self::ServerCpu => "server_cpu_us_per_request",
            Self::LoaderCpu => "loader_cpu_us_per_request",
            Self::P50 => "latency_p50_us",
            Self::P99 => "latency_p99_us",
            Self::P999 => "latency_p999_us",
            Self::Max => "latency_max_us",
        }
    }

    /// Its name for people.
    pub fn title(self) -> &'static str {
        match self {
            Self::RequestsPerSec => "requests/s",
            Self::ServerCpu => "server CPU/request",
            Self::LoaderCpu => "loader CPU/request",
            Self::P50 => "p50",
            Self::P99 => "p99",
            Self::P999 => "p99.9",
            Self::Max => "max",
        }
    }

    /// Where it stands in ringload's report (docs/json.md).
    fn pointer(self) -> &'static str {
        match self {
            Self::RequestsPerSec => "/requests_per_sec",
            Self::ServerCpu => "/requests",
            Self::LoaderCpu => "/loader/cpu_us_per_request",
            Self::P50 => "/latency_us/p50",
            Self::P99 => "/latency_us/p99",
            Self::P999 => "/latency_us/p999",
            Self::Max => "/latency_us/max",
        }
    }

    /// Its value in ringload's report, if it is there and has a logarithm. The server's CPU time is
    /// not the report's: samples that ringload takes while it runs miss too much of a short run.
    pub fn of(self, report: &Value, server_cpu_ns: Option<u64>) -> Option<f64> {
        let found = report.pointer(self.pointer())?.as_f64()?;
        let value = match self {
            Self::ServerCpu => server_cpu_ns? as f64 / 1_000.0 / found,
            _ => found,
        };
        (value > 0.0 && value.is_finite()).then_some(value)
    }

    /// What of B is told first when it has more, and when it has less.
    pub(super) fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::RequestsPerSec => ("is faster by", "is slower by"),
            _ => ("is higher by", "is lower by"),
        }
    }

    /// A value with its unit.
    pub(super) fn format(self, value: f64) -> String {
        match self {
            Self::RequestsPerSec => format!("{value:.0}/s"),
            Self::ServerCpu | Self::LoaderCpu => format!("{value:.2}us"),
            _ => ringbench_measure::units::duration_us(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_from_the_report_and_zero_is_none() {
        let report = serde_json::json!({
            "requests": 500,
            "requests_per_sec": 1000.5,
            "loader": {"cpu_us_per_request": 0.0},
            "latency_us": {"p50": 1.0, "p99": 2.0, "p999": 3.0, "max": 4},
        });
        let values = Metric::ALL.map(|metric| metric.of(&report, Some(4_000_000)));
        let expected = [Some(1000.5), Some(8.0), None, Some(1.0), Some(2.0), Some(3.0), Some(4.0)];
        assert_eq!(values, expected);
        assert_eq!(Metric::ServerCpu.of(&report, None), None);
        assert_eq!(Metric::ServerCpu.of(&serde_json::json!({"requests": 0}), Some(1)), None);
    }

    /// The pointers against the report that is really written.
    #[test]
    fn every_metric_is_in_the_report() {
        let report = crate::report::fixtures::full();
        let text = crate::report::json::render_judged(&report, None).expect("it can be written");
        let report: Value = serde_json::from_str(&text).expect("JSON");
        for metric in Metric::ALL {
            assert!(metric.of(&report, Some(1)).is_some(), "{metric:?}");
        }
    }
}
