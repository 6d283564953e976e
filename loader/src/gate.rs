//! Conditions on the figures of a run: `--fail-if 'p99>5ms'`, and the other way round
//! `--slo 'p99<1ms'`.
//!
//! A condition is `METRIC OP VALUE`. What cannot be known, such as a percentile of a run without a
//! response, never passes: a gate that opens because nothing was measured guards nothing.
//!
//! ```
//! let gate: ringload::gate::Gate = "p99.9 >= 20ms".parse()?;
//! assert_eq!(gate.to_string(), "p99.9 >= 20ms");
//! # Ok::<(), ringload::gate::GateError>(())
//! ```

mod metric;
mod value;

use std::fmt;
use std::str::FromStr;

use crate::report::RunReport;

pub use metric::Metric;
pub use value::{Kind, Quantity};

/// What all metrics are called, for messages and help.
pub const METRICS: &str = "min, mean, stdev, max, pN (as p50 or p99.9), also of service times and \
     of delays before the send in an open loop (service.p99, lag.p99); rps, transfer; errors, \
     timeouts, non2xx, unanswered, requests, connections, reconnects, shed, unsent; \
     server_cpu_us_per_request, loader_cpu_us_per_request, server_rss";

/// How a figure is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `>`
    Above,
    /// `>=`
    AtLeast,
    /// `<`
    Below,
    /// `<=`
    AtMost,
}

impl Op {
    fn holds(self, actual: f64, wanted: f64) -> bool {
        match self {
            Self::Above => actual > wanted,
            Self::AtLeast => actual >= wanted,
            Self::Below => actual < wanted,
            Self::AtMost => actual <= wanted,
        }
    }
}

/// Why a text is no condition. It says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GateError {
    /// No comparison in it.
    #[error("`{0}` compares nothing: write METRIC OP VALUE with >, >=, < or <=, as in p99>5ms")]
    NoOperator(String),
    /// A word that is no metric.
    #[error("`{0}` is no metric: there are {METRICS}")]
    Metric(String),
    /// A percentile that no distribution has.
    #[error("`{0}` is no percentile: write p and a number above 0 and up to 100, as in p99.9")]
    Percentile(String),
    /// A value that is none, or of another kind than the metric.
    #[error("`{value}` cannot be compared with {metric}: write {expected}")]
    Value {
        /// What was given.
        value: String,
        /// The metric.
        metric: String,
        /// What would have been right.
        expected: &'static str,
    },
}

/// A condition on the figures of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    text: String,
    metric: Metric,
    op: Op,
    quantity: Quantity,
}

/// What came of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether the run is to be called a failure: what was to fail it happened, what was to hold
    /// did not, or it cannot be known.
    pub breached: bool,
    /// The figure, in the base unit of its kind (microseconds, requests or bytes per second, a
    /// count, a percentage); `None` if it cannot be known.
    pub actual: Option<f64>,
    /// The same for people, such as `--fail-if p99>5ms: breached, p99 is 7.31ms`.
    pub text: String,
}

impl fmt::Display for Verdict {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl Gate {
    /// `--fail-if`: a run in which the condition holds is breached.
    pub fn check(&self, report: &RunReport) -> Verdict {
        self.judge(report, "--fail-if", |holds| holds, "not breached")
    }

    /// `--slo`: a run in which the condition does not hold is breached.
    pub fn require(&self, report: &RunReport) -> Verdict {
        self.judge(report, "--slo", |holds| !holds, "met")
    }

    /// What is compared.
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    fn judge(
        &self,
        report: &RunReport,
        flag: &str,
        is_breach: fn(bool) -> bool,
        passed: &str,
    ) -> Verdict {
        let (text, metric) = (&self.text, &self.metric);
        match metric.of(report, self.quantity.kind) {
            Ok(actual) => {
                let breached = is_breach(self.op.holds(actual, self.quantity.amount));
                let outcome = if breached { "breached" } else { passed };
                let figure = Quantity { amount: actual, kind: self.quantity.kind };
                let text = format!("{flag} {text}: {outcome}, {metric} is {figure}");
                Verdict { breached, actual: Some(actual), text }
            }
            Err(unknown) => Verdict {
                breached: true,
                actual: None,
                text: format!("{flag} {text}: breached, {metric} cannot be known: {unknown}"),
            },
        }
    }
}

impl FromStr for Gate {
    type Err = GateError;

    fn from_str(text: &str) -> Result<Self, GateError> {
        let text = text.trim();
        let at = text.find(['>', '<']).ok_or_else(|| GateError::NoOperator(text.to_owned()))?;
        let (name, rest) = text.split_at(at);
        let (op, value) = match (rest.strip_prefix(">="), rest.strip_prefix("<=")) {
            (Some(value), _) => (Op::AtLeast, value),
            (_, Some(value)) => (Op::AtMost, value),
            _ if rest.starts_with('>') => (Op::Above, &rest[1..]),
            _ => (Op::Below, &rest[1..]),
        };
        let metric: Metric = name.trim().parse()?;
        let quantity =
            value::parse(value.trim(), metric.kind(), metric.has_share()).ok_or_else(|| {
                GateError::Value {
                    value: value.trim().to_owned(),
                    metric: metric.to_string(),
                    expected: metric.kind().expected(metric.has_share()),
                }
            })?;
        Ok(Self { text: text.to_owned(), metric, op, quantity })
    }
}

/// As it was given.
impl fmt::Display for Gate {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests;
