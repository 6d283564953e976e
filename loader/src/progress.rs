//! What people see of a run while it goes on, on stderr.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ringbench_measure::{Counters, units};

use crate::config::Config;
use crate::flags::Format;
use crate::report::interval;
use crate::report::table::{Header, Row};
use crate::run::News;

/// Draws the progress bar, or writes a line per interval.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// A run that is bounded by a number of requests progresses with them, else with time.
    by_requests: bool,
    format: Format,
    header_due: bool,
    shows_intervals: bool,
    /// Whether the server and the machine are watched.
    watched: bool,
}

impl Progress {
    /// For a run with this configuration. Lines have the report's format.
    pub fn new(config: &Config, format: Format) -> Self {
        let visible =
            config.progress && config.interval.is_none() && std::io::stderr().is_terminal();
        let target =
            if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let length = match (config.ending.requests, config.ending.duration) {
            (Some(requests), _) => requests,
            (None, duration) => duration.unwrap_or_default().as_millis() as u64,
        };
        let style = ProgressStyle::with_template("{bar:32} {percent:>3}%  {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_bar())
            .progress_chars("=> ");
        Self {
            bar: ProgressBar::with_draw_target(Some(length), target).with_style(style),
            by_requests: config.ending.requests.is_some(),
            format,
            header_due: true,
            shows_intervals: config.interval.is_some(),
            watched: config.observe,
        }
    }

    /// Takes news of the run in.
    pub fn show(&mut self, news: &News) {
        match news {
            News::Standing { elapsed, counters } => {
                let done = elapsed.as_millis() as u64;
                self.bar.set_position(if self.by_requests { counters.requests } else { done });
                self.bar.set_message(standing(*elapsed, counters));
            }
            News::Latencies { .. } => {}
            News::Interval(interval) => {
                if self.shows_intervals {
                    self.write_interval(interval);
                }
            }
        }
    }

    fn write_interval(&mut self, interval: &interval::Interval) {
        let mut text = String::new();
        if self.format == Format::Json {
            text = interval.json_line().unwrap_or_default();
        } else {
            if std::mem::take(&mut self.header_due) {
                text = Header { watched: self.watched }.to_string();
            }
            text += &Row { interval, watched: self.watched }.to_string();
        }
        // Whoever closed stderr does not want to know.
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn standing(elapsed: Duration, counters: &Counters) -> String {
    let per_sec = counters.requests as f64 / elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let rate = units::count(per_sec);
    let errors = match counters.errors.total() {
        0 => String::new(),
        errors => format!(", {errors} errors"),
    };
    format!("{rate} requests/s, {} connections{errors}", counters.open())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standing_in_one_line() {
        let mut counters = Counters { opened: 12, closed: 2, ..Counters::default() };
        counters.requests = 50_000;
        let elapsed = Duration::from_millis(500);
        assert_eq!(standing(elapsed, &counters), "100.00k requests/s, 10 connections");
        counters.errors.timeout = 3;
        assert!(standing(elapsed, &counters).ends_with(", 3 errors"));
        assert!(standing(Duration::ZERO, &Counters::default()).starts_with("0.00 requests/s"));
    }
}
