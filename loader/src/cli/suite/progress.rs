//! Tells on stderr how far a suite is: a bar on a terminal, a line for each run elsewhere.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use ringbench_measure::units;
use ringload::suite::plan::minutes;
use ringload::suite::results::{Outcome, Run};
use ringload::suite::{News, Standing};
use serde_json::Value;

/// Takes news in and shows it. Dropped, the bar goes away.
pub(super) struct Told {
    is_silent: bool,
    bar: Option<ProgressBar>,
    /// The run that goes on, when it began, and how long all was to take then.
    run: String,
    began: Instant,
    left: Duration,
}

impl Told {
    pub(super) fn new(is_silent: bool) -> Self {
        let is_terminal = io::stderr().is_terminal() && !is_silent;
        let bar = is_terminal.then(|| {
            let style = ProgressStyle::with_template("{bar:24} {pos}/{len}  {msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
            ProgressBar::new(0).with_style(style.progress_chars("=> "))
        });
        let (began, left) = (Instant::now(), Duration::ZERO);
        Self { is_silent, bar, run: String::new(), began, left }
    }

    pub(super) fn show(&mut self, news: News<'_>) {
        match news {
            News::Told(text) => self.line(&format!("ringload: {text}")),
            News::Begins(standing) => self.begins(&standing),
            News::Second => self.second(),
            News::Ended(run) if !self.is_silent => self.line(&ended(run)),
            News::Ended(_) => {}
        }
    }

    fn begins(&mut self, standing: &Standing<'_>) {
        (self.began, self.left) = (Instant::now(), standing.left);
        self.run = run_told(standing);
        match &self.bar {
            Some(bar) => {
                bar.set_length(standing.of as u64);
                bar.set_position(standing.number as u64 - 1);
                self.second();
            }
            None if self.is_silent => {}
            None => {
                let Standing { number, of, .. } = standing;
                let left = minutes(standing.left);
                self.line(&format!("{number} of {of}: {}, about {left} left", self.run));
            }
        }
    }

    fn second(&self) {
        if let Some(bar) = &self.bar {
            let left = minutes(self.left.saturating_sub(self.began.elapsed()));
            bar.set_message(format!("{}, about {left} left", self.run));
        }
    }

    /// Whoever closed stderr does not want to know.
    fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => {
                let _ = writeln!(io::stderr(), "{text}");
            }
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn run_told(standing: &Standing<'_>) -> String {
    let Standing { server, cell, repeat, repeats, .. } = standing;
    match repeats {
        1 => format!("{server}, {cell}"),
        _ => format!("{server}, {cell}, {repeat} of {repeats}"),
    }
}

/// What came of a run, in one line.
fn ended(run: &Run) -> String {
    // What happened, and the last that the server said.
    let ends = |told: &str| {
        let mut lines = told.lines();
        let first = lines.next().unwrap_or_default().to_owned();
        lines.next_back().map_or(first.clone(), |last| format!("{first} {last}"))
    };
    let told = match &run.outcome {
        Outcome::Measured => return format!("  {}, {}: {}", run.server, run.cell, figures(run)),
        Outcome::NotStarted { told } => format!("not started: {}", ends(told)),
        Outcome::WrongAnswer { told } => format!("wrong answer: {}", ends(told)),
        Outcome::Crashed { told } => format!("crashed: {}", ends(told)),
        Outcome::Hung { told } => format!("hangs: {}", ends(told)),
        Outcome::LoadFailed { told } => format!("the load failed: {}", ends(told)),
    };
    format!("  {}, {}: {told}", run.server, run.cell)
}

fn figures(run: &Run) -> String {
    let number = |pointer: &str| run.report.as_ref()?.pointer(pointer)?.as_f64();
    let rate = number("/requests_per_sec").map(|rate| format!("{} requests/s", units::count(rate)));
    let p99 = number("/latency_us/p99").map(|p99| format!("p99 {}", units::duration_us(p99)));
    let errors = run.report.as_ref().and_then(|report| report.get("errors")?.as_object().cloned());
    let errors: u64 = errors.iter().flat_map(|it| it.values()).filter_map(Value::as_u64).sum();
    let errors = (errors > 0).then(|| format!("{errors} errors"));
    [rate, p99, errors].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use ringload::suite::results::Usage;

    use super::*;

    #[test]
    fn runs_in_a_line() {
        let mut run = Run {
            server: "a".to_owned(),
            cell: "hello c=8".to_owned(),
            repeat: 1,
            started_unix_ms: 0,
            outcome: Outcome::Measured,
            usage: Usage::default(),
            report: Some(serde_json::json!({
                "requests_per_sec": 1234.5, "latency_us": {"p99": 900.0},
                "errors": {"read": 1, "timeout": 2},
            })),
        };
        assert_eq!(ended(&run), "  a, hello c=8: 1.23k requests/s, p99 0.90ms, 3 errors");
        run.outcome = Outcome::Crashed { told: "it ended; the last it said:\nno\nyes".to_owned() };
        assert_eq!(ended(&run), "  a, hello c=8: crashed: it ended; the last it said: yes");
    }

    #[test]
    fn a_run_has_its_repeat() {
        let standing = |repeats| Standing {
            number: 3,
            of: 9,
            server: "a",
            cell: "hello c=8",
            repeat: 2,
            repeats,
            left: Duration::from_secs(75),
        };
        assert_eq!(run_told(&standing(1)), "a, hello c=8");
        assert_eq!(run_told(&standing(5)), "a, hello c=8, 2 of 5");
    }
}
