//! The outcome of a search as one JSON object on one line. Its keys are a contract: they are added
//! to, never renamed.

use serde::Serialize;

use super::confidence::{chance_at_least, chance_at_most};
use super::drive::{Finding, StepReport};
use super::machine::Confirmation;

/// Writes the outcome as one line of JSON.
///
/// # Errors
///
/// None that is known: every value has a JSON form.
pub fn render(finding: &Finding) -> serde_json::Result<String> {
    let mut line = serde_json::to_string(&Document::of(finding))?;
    line.push('\n');
    Ok(line)
}

#[derive(Serialize)]
struct Document {
    slos: Vec<String>,
    /// The rate that was found, or null.
    requests_per_sec: Option<f64>,
    reason: &'static str,
    confirmed: Option<Repeated>,
    failed: Option<Repeated>,
    precision: f64,
    step_duration_us: u64,
    steps: Vec<Line>,
}

/// Repeated runs at one rate, and the bounds of the chance to meet the objectives there, each with
/// 95 % confidence.
#[derive(Serialize)]
struct Repeated {
    requests_per_sec: f64,
    runs: u32,
    met: u32,
    chance_at_least: f64,
    chance_at_most: f64,
}

#[derive(Serialize)]
struct Line {
    number: u32,
    purpose: &'static str,
    asked_requests_per_sec: f64,
    achieved_requests_per_sec: f64,
    requests: u64,
    p50_us: f64,
    p99_us: f64,
    max_us: f64,
    met: bool,
    shortfall: Option<Short>,
    verdicts: Vec<Judged>,
}

#[derive(Serialize)]
struct Short {
    achieved_share: f64,
    loader_core_share: Option<f64>,
}

#[derive(Serialize)]
struct Judged {
    slo: String,
    met: bool,
    actual: Option<f64>,
    text: String,
}

impl Document {
    fn of(finding: &Finding) -> Self {
        let slos: Vec<String> = finding.slos.iter().map(ToString::to_string).collect();
        Self {
            requests_per_sec: finding.rate().map(rounded),
            reason: finding.found.reason.name(),
            confirmed: finding.found.confirmed.map(Repeated::of),
            failed: finding.found.failed.map(Repeated::of),
            precision: finding.limits.precision,
            step_duration_us: finding.step_duration.as_micros() as u64,
            steps: finding.steps.iter().map(|step| Line::of(step, &slos)).collect(),
            slos,
        }
    }
}

impl Repeated {
    fn of(of: Confirmation) -> Self {
        Self {
            requests_per_sec: rounded(of.rate),
            runs: of.runs,
            met: of.met,
            chance_at_least: rounded(chance_at_least(of.met, of.runs)),
            chance_at_most: rounded(chance_at_most(of.met, of.runs)),
        }
    }
}

impl Line {
    fn of(report: &StepReport, slos: &[String]) -> Self {
        let judged = slos.iter().zip(&report.verdicts).map(|(slo, verdict)| Judged {
            slo: slo.clone(),
            met: !verdict.breached,
            actual: verdict.actual.map(rounded),
            text: verdict.text.clone(),
        });
        Self {
            number: report.step.number,
            purpose: report.step.purpose.name(),
            asked_requests_per_sec: rounded(report.step.rate),
            achieved_requests_per_sec: rounded(report.achieved_rate),
            requests: report.requests,
            p50_us: rounded(report.p50_us),
            p99_us: rounded(report.p99_us),
            max_us: rounded(report.max_us),
            met: report.met(),
            shortfall: report.shortfall.map(|short| Short {
                achieved_share: rounded(short.achieved_share),
                loader_core_share: short.loader_share.map(rounded),
            }),
            verdicts: judged.collect(),
        }
    }
}

/// Three decimals, as in reports of runs.
fn rounded(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
