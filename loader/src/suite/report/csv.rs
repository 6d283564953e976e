//! The runs as CSV (RFC 4180 but for its line ends): a line of names, then a line for each run. What
//! is not known is left empty. Units are the last part of a name.

use std::collections::HashSet;
use std::fmt::{Display, Write as _};

use super::digest::{Digest, Failure};
use super::figures::{Figures, Times};
use crate::suite::results::{Cell, Outcome, Run, Server};

/// The names, in the order of the cells.
pub(super) const COLUMNS: [&str; 56] = [
    "scenario",
    "cell",
    "connections",
    "threads",
    "pipeline_depth",
    "rate_asked_per_sec",
    "server",
    "language",
    "version",
    "repeat",
    "started_unix_ms",
    "outcome",
    "picked",
    "requests_per_sec",
    "requests",
    "duration_us",
    "transfer_bytes_per_sec",
    "latency_mean_us",
    "latency_stdev_us",
    "latency_p50_us",
    "latency_p75_us",
    "latency_p90_us",
    "latency_p99_us",
    "latency_p999_us",
    "latency_p9999_us",
    "latency_max_us",
    "service_time_mean_us",
    "service_time_p50_us",
    "service_time_p90_us",
    "service_time_p99_us",
    "service_time_p999_us",
    "service_time_max_us",
    "not_sent",
    "errors_connect",
    "errors_read",
    "errors_write",
    "errors_timeout",
    "errors_status",
    "status_1xx",
    "status_2xx",
    "status_3xx",
    "status_4xx",
    "status_5xx",
    "server_cpu_ns",
    "server_cpu_us_per_request",
    "loader_cpu_us_per_request",
    "rss_idle_bytes",
    "rss_max_bytes",
    "pss_idle_bytes",
    "pss_max_bytes",
    "server_threads",
    "server_processes",
    "limited_by",
    "limited_by_is_sure",
    "warnings",
    "told",
];

/// A line in the making.
#[derive(Default)]
pub(super) struct Line {
    text: String,
    is_begun: bool,
}

impl Line {
    /// Text, quoted where it has to be. A line stays a line: breaks become spaces.
    pub(super) fn text(&mut self, text: &str) {
        let text = text.replace(['\r', '\n'], " ");
        if text.contains([',', '"']) {
            self.value(format_args!("\"{}\"", text.replace('"', "\"\"")));
        } else {
            self.value(text);
        }
    }

    /// What needs no quotes.
    pub(super) fn value(&mut self, value: impl Display) {
        let comma = if std::mem::replace(&mut self.is_begun, true) { "," } else { "" };
        // Writing into a string cannot fail.
        let _ = write!(self.text, "{comma}{value}");
    }

    /// A value, or nothing between two commas.
    pub(super) fn maybe(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.value(value),
            None => self.value(""),
        }
    }

    /// The line with its end.
    pub(super) fn end(self) -> String {
        self.text + "\n"
    }
}

/// A share or a figure per request with as many digits as it is worth.
pub(super) fn share(value: f64) -> f64 {
    (value * 10_000.0).round() / 10_000.0
}

/// All runs, in the order in which they were made.
pub(super) fn render(digest: &Digest<'_>) -> String {
    let of = |run: &Run| (run.server.clone(), run.cell.clone(), run.repeat);
    let picked: HashSet<_> = digest.picked().map(|measured| of(measured.run)).collect();
    let mut text = COLUMNS.join(",") + "\n";
    let results = digest.results;
    for run in &results.runs {
        let cell = results.cells.iter().find(|cell| cell.name == run.cell);
        let server = results.servers.iter().find(|server| server.name == run.server);
        let mut line = Line::default();
        write_what(&mut line, run, cell, server);
        line.value(picked.contains(&of(run)));
        let figures = Figures::of(run).ok();
        write_load(&mut line, figures.as_ref());
        write_server(&mut line, run, figures.as_ref());
        text.push_str(&line.end());
    }
    text
}

/// Who, in what, and how it ended.
fn write_what(line: &mut Line, run: &Run, cell: Option<&Cell>, server: Option<&Server>) {
    line.text(cell.map_or("", |cell| &cell.scenario));
    line.text(&run.cell);
    line.maybe(cell.map(|cell| cell.connections));
    line.maybe(cell.map(|cell| cell.threads));
    line.maybe(cell.map(|cell| cell.pipeline_depth));
    line.maybe(cell.and_then(|cell| cell.rate));
    line.text(&run.server);
    line.text(server.and_then(|server| server.language.as_deref()).unwrap_or_default());
    line.text(server.and_then(|server| server.version.as_deref()).unwrap_or_default());
    line.value(run.repeat);
    line.value(run.started_unix_ms);
    line.value(match run.outcome {
        Outcome::Measured => "measured",
        Outcome::NotStarted { .. } => "not_started",
        Outcome::WrongAnswer { .. } => "wrong_answer",
        Outcome::Crashed { .. } => "crashed",
        Outcome::Hung { .. } => "hung",
        Outcome::LoadFailed { .. } => "load_failed",
    });
}

/// What the load saw.
fn write_load(line: &mut Line, figures: Option<&Figures>) {
    line.maybe(figures.map(|it| it.requests_per_sec));
    line.maybe(figures.map(|it| it.requests));
    line.maybe(figures.map(|it| it.duration_us));
    line.maybe(figures.map(|it| it.transfer_bytes_per_sec));
    let latency = figures.and_then(Figures::latency);
    let of: [fn(&Times) -> f64; 9] = [
        |it| it.mean,
        |it| it.stdev,
        |it| it.p50,
        |it| it.p75,
        |it| it.p90,
        |it| it.p99,
        |it| it.p999,
        |it| it.p9999,
        |it| it.max,
    ];
    of.iter().for_each(|of| line.maybe(latency.as_ref().map(of)));
    let service = figures.and_then(Figures::service_time);
    let of: [fn(&Times) -> f64; 6] =
        [|it| it.mean, |it| it.p50, |it| it.p90, |it| it.p99, |it| it.p999, |it| it.max];
    of.iter().for_each(|of| line.maybe(service.as_ref().map(of)));
    line.maybe(figures.and_then(Figures::not_sent));
    let errors = figures.map(|it| it.errors);
    line.maybe(errors.map(|it| it.connect));
    line.maybe(errors.map(|it| it.read));
    line.maybe(errors.map(|it| it.write));
    line.maybe(errors.map(|it| it.timeout));
    line.maybe(errors.map(|it| it.status));
    let status = figures.map(|it| it.status);
    line.maybe(status.map(|it| it.informational));
    line.maybe(status.map(|it| it.success));
    line.maybe(status.map(|it| it.redirection));
    line.maybe(status.map(|it| it.client_error));
    line.maybe(status.map(|it| it.server_error));
}

/// What was seen of the server, and what is thought of the run.
fn write_server(line: &mut Line, run: &Run, figures: Option<&Figures>) {
    let usage = &run.usage;
    line.maybe(usage.cpu_ns);
    line.maybe(figures.and_then(|it| it.server_cpu_us_per_request(run)).map(share));
    line.maybe(figures.and_then(|it| it.loader.cpu_us_per_request));
    line.maybe(usage.rss_idle_bytes);
    line.maybe(usage.rss_max_bytes);
    line.maybe(usage.pss_idle_bytes);
    line.maybe(usage.pss_max_bytes);
    line.maybe(usage.threads);
    line.maybe(usage.processes);
    let verdict = figures.and_then(|it| it.verdict.as_ref());
    line.text(verdict.map_or("", |it| &it.limit));
    line.maybe(verdict.map(|it| it.sure));
    line.text(&figures.map(|it| it.warnings.join("; ")).unwrap_or_default());
    line.text(&Failure::of(run).map(|failure| failure.told).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_where_it_has_to_be() {
        let mut line = Line::default();
        line.text("plain");
        line.text("a,b");
        line.text("say \"no\"\r\nand go");
        line.text("");
        line.maybe(None::<u64>);
        line.value(5);
        assert_eq!(line.end(), "plain,\"a,b\",\"say \"\"no\"\"  and go\",,,5\n");
    }

    #[test]
    fn all_columns_are_in_the_document() {
        let document = include_str!("../../../../docs/suite-reports.md");
        for column in COLUMNS.iter().chain(&super::super::samples::COLUMNS) {
            assert!(document.contains(&format!("`{column}`")), "{column}");
        }
    }
}
