//! The outcome of a search for people.

use std::fmt;

use ringbench_measure::units;

use super::confidence::chance_at_least;
use super::drive::{Finding, StepReport};
use super::machine::{Confirmation, Purpose, Reason};

/// The heads of the columns of [`StepLine`]s.
pub const STEP_HEADS: &str =
    "  Step  Purpose      Rate/s  Achieved/s       p50       p99       Max  Outcome";

impl Purpose {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rise => "rise",
            Self::Fall => "fall",
            Self::Bisect => "bisect",
            Self::Confirm => "confirm",
            Self::Refute => "refute",
        }
    }
}

impl Reason {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bracketed => "bracketed",
            Self::MaxRate => "max_rate",
            Self::MinRate => "min_rate",
            Self::Steps => "steps",
            Self::Stopped => "stopped",
        }
    }
}

/// One step as a line of the table, without its end.
#[derive(Clone, Copy, Debug)]
pub struct StepLine<'a>(pub &'a StepReport);

impl fmt::Display for StepLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        write!(
            out,
            "  {:>4}  {:<8}  {:>9}  {:>10}  {}  {}  {}  ",
            report.step.number,
            report.step.purpose.name(),
            rate(report.step.rate),
            rate(report.achieved_rate),
            units::cell(&units::duration_us(report.p50_us), 8),
            units::cell(&units::duration_us(report.p99_us), 8),
            units::cell(&units::duration_us(report.max_us), 8),
        )?;
        if report.met() {
            return out.write_str("met");
        }
        let reasons: Vec<String> = shortfall(report).into_iter().chain(breaches(report)).collect();
        write!(out, "failed: {}", reasons.join("; "))
    }
}

fn shortfall(report: &StepReport) -> Option<String> {
    let shortfall = report.shortfall?;
    let suspect = match shortfall.loader_share {
        Some(share) => format!(
            "ringload itself may be the limit, a thread used {:.0} % of its core",
            share * 100.0
        ),
        None => "the server did not keep up".to_owned(),
    };
    Some(format!("{:.1} % of the rate achieved, {suspect}", shortfall.achieved_share * 100.0))
}

fn breaches(report: &StepReport) -> impl Iterator<Item = String> {
    let breached = report.verdicts.iter().filter(|verdict| verdict.breached);
    // `--slo p99<1ms: breached, p99 is 2.00ms`: what follows the condition is news in each step.
    breached.map(|verdict| {
        let (_, told) = verdict.text.split_once(": breached, ").unwrap_or(("", &verdict.text));
        told.to_owned()
    })
}

/// A rate, whole where that is exact enough.
fn rate(rate: f64) -> String {
    if rate >= 100.0 { format!("{rate:.0}") } else { format!("{rate:.2}") }
}

/// All of it: `print!("{}", Text(&finding))`.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a>(pub &'a Finding);

impl fmt::Display for Text<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = self.0;
        writeln!(out, "{}", Title(finding))?;
        writeln!(out, "{STEP_HEADS}")?;
        for step in &finding.steps {
            writeln!(out, "{}", StepLine(step))?;
        }
        write!(out, "{}", Conclusion(finding))
    }
}

struct Title<'a>(&'a Finding);

impl fmt::Display for Title<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slos: Vec<String> = self.0.slos.iter().map(ToString::to_string).collect();
        let slos = if slos.is_empty() { "the rate itself".to_owned() } else { slos.join(" and ") };
        let step = units::duration_us(self.0.step_duration.as_secs_f64() * 1e6);
        write!(out, "Search for the highest rate that meets {slos} in runs of {step}")
    }
}

/// What was found, without the steps: for callers that have told of each already.
#[derive(Clone, Copy, Debug)]
pub struct Conclusion<'a>(pub &'a Finding);

impl fmt::Display for Conclusion<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let finding = self.0;
        match finding.rate() {
            Some(found) => writeln!(out, "Highest rate: {}/s", rate(found))?,
            None => writeln!(out, "Highest rate: none was confirmed")?,
        }
        if let Some(confirmed) = finding.found.confirmed {
            writeln!(out, "  Confirmed  {}", confirmation(confirmed))?;
        }
        if let Some(failed) = finding.found.failed {
            let label = if finding.rate().is_some() { "Above" } else { "Failed" };
            writeln!(out, "  {label:<9}  {}", failure(failed, finding.rate()))?;
        }
        if let Some(remark) = remark(finding) {
            writeln!(out, "  WARNING: {remark}")?;
        }
        Ok(())
    }
}

fn confirmation(confirmed: Confirmation) -> String {
    let Confirmation { rate: at, runs, met } = confirmed;
    format!(
        "{met} of {runs} runs at {}/s met the objectives; with 95 % confidence, at least {:.0} % of \
         such runs do",
        rate(at),
        // Rounded down: it is a promise.
        (chance_at_least(met, runs) * 100.0).floor(),
    )
}

fn failure(failed: Confirmation, found: Option<f64>) -> String {
    let Confirmation { rate: at, runs, met } = failed;
    let step =
        found.map_or_else(String::new, |found| format!(" ({:+.1} %)", (at / found - 1.0) * 100.0));
    if runs == 0 {
        return format!("the run at {}/s{step} failed", rate(at));
    }
    let failures = runs - met;
    format!("{failures} of {runs} repeated runs at {}/s{step} failed", rate(at))
}

fn remark(finding: &Finding) -> Option<String> {
    let limits = finding.limits;
    Some(match finding.found.reason {
        Reason::Bracketed => return None,
        Reason::MaxRate => format!(
            "the objectives are met up to the highest rate that may be tried, {}/s: the limit is \
             above it; raise --max-rate",
            rate(limits.max_rate)
        ),
        Reason::MinRate => format!(
            "the objectives are not met at the lowest rate that is tried, {}/s: no rate meets them",
            rate(limits.min_rate)
        ),
        Reason::Steps => format!(
            "the outcome did not settle in {} steps: runs at the same rate differ too much; make \
             them longer (--step-duration), or the machine quieter",
            limits.max_steps
        ),
        Reason::Stopped => "interrupted: the limit may be higher".to_owned(),
    })
}
