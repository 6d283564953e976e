//! The report as one page of HTML that needs nothing else: no network, no script. It follows the
//! reader's choice of light or dark, and is as wide as the screen.

use std::fmt::{self, Display};
use std::time::{Duration, UNIX_EPOCH};

use ringbench_measure::units;

pub(crate) use self::escape::Escaped;
use super::remarks::Remarks;
use super::{Judgement, RunReport};

mod chart;
mod escape;
mod latency;
mod scale;
mod tables;
mod timeline;
pub(crate) mod words;

pub(crate) const STYLE: &str = include_str!("style.css");

/// Writes a report, with a verdict on it if there is one.
pub fn page(report: &RunReport, judgement: Option<&Judgement>) -> String {
    Page { report, judgement, remarks: Remarks::of(report) }.to_string()
}

struct Page<'a> {
    report: &'a RunReport,
    judgement: Option<&'a Judgement>,
    remarks: Remarks,
}

impl Display for Page<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Escaped(&self.report.url);
        writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<title>ringload: {url}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>")?;
        writeln!(out, "<main>\n<header><h1>{url}</h1>")?;
        writeln!(out, "<p class=\"muted\">{}</p></header>", Escaped(&self.subtitle()))?;
        if let Some(Judgement { line, .. }) = self.judgement {
            writeln!(out, "<p class=\"verdict\"><strong>Verdict:</strong> {}</p>", Escaped(line))?;
        }
        self.write_warnings(out)?;
        self.write_figures(out)?;
        self.write_charts(out)?;
        self.write_tables(out)?;
        writeln!(out, "</main>\n</body>\n</html>")
    }
}

impl Page<'_> {
    fn subtitle(&self) -> String {
        let report = self.report;
        let began = UNIX_EPOCH.checked_add(Duration::from_millis(report.started_unix_ms));
        let kind = match &report.open_loop {
            None => "Closed loop".to_owned(),
            Some(open) => format!("Open loop, {}", open.schedule),
        };
        format!(
            "{kind}; {}, {}, {}; began {}",
            words::counted(report.connections_wanted, "connection"),
            words::counted(report.shards as u64, "shard"),
            report.engine_name,
            began.map_or_else(String::new, httpdate::fmt_http_date),
        )
    }

    fn write_warnings(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.remarks.warnings.is_empty() {
            return Ok(());
        }
        writeln!(out, "<section class=\"warnings\"><h2>Reasons for distrust</h2><ul>")?;
        for warning in &self.remarks.warnings {
            writeln!(out, "<li>{}</li>", Escaped(warning))?;
        }
        writeln!(out, "</ul></section>")
    }

    /// The figures that are asked for first.
    fn write_figures(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        let (latency, errors) = (report.latency.summary(), report.counters.errors.total());
        let rate = units::count(report.requests_per_sec());
        let asked = report.open_loop.as_ref().map_or_else(String::new, |open| {
            format!("of {} asked for", units::count(open.rate_asked))
        });
        let of = if report.open_loop.is_some() { "from the intended start" } else { "" };
        let transfer = format!("{}/s", words::bytes(report.transfer_bytes_per_sec()));
        let total = words::bytes(report.counters.bytes_read as f64);
        let lasted = format!("in {}", words::time_us(report.duration_us as f64));
        let requests = words::count(report.counters.requests);
        let failures = words::count(errors);
        writeln!(out, "<dl class=\"figures\">")?;
        for (name, value, beside) in [
            ("Requests per second", rate, asked),
            ("Median latency", words::time_us(latency.p50), of.to_owned()),
            ("99th percentile", words::time_us(latency.p99), of.to_owned()),
            ("99.9th percentile", words::time_us(latency.p999), of.to_owned()),
            ("Largest latency", words::time_us(latency.max), of.to_owned()),
            ("Responses", requests, lasted),
            ("Failures", failures, String::new()),
            ("Received", transfer, format!("{total} in all")),
        ] {
            let bad = if name == "Failures" && errors > 0 { " class=\"bad\"" } else { "" };
            let (value, beside) = (Escaped(&value), Escaped(&beside));
            writeln!(
                out,
                "<div><dt>{name}</dt><dd{bad}>{value}<small>{beside}</small></dd></div>"
            )?;
        }
        writeln!(out, "</dl>")
    }

    fn write_charts(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        if report.latency.is_empty() {
            return writeln!(out, "<h2>Latency</h2><p class=\"muted\">No response came.</p>");
        }
        writeln!(out, "<h2>Latency</h2>\n<div class=\"charts\">")?;
        for chart in [latency::by_percentile(report), latency::distribution(report)] {
            chart.map_or(Ok(()), |chart| write!(out, "{chart}"))?;
        }
        writeln!(out, "</div>\n<h2>The run in time</h2>")?;
        let charts = timeline::charts(report);
        if charts.is_empty() {
            return writeln!(
                out,
                "<p class=\"muted\">There are no intervals of this run; --interval asks for them.</p>"
            );
        }
        writeln!(out, "<div class=\"charts\">")?;
        charts.iter().try_for_each(|chart| write!(out, "{chart}"))?;
        writeln!(out, "</div>")
    }

    fn write_tables(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.report;
        writeln!(out, "<h2>All latencies</h2>\n{}", tables::latencies(report))?;
        out.write_str(&tables::machines(report))?;
        writeln!(out, "<h2>The rest</h2>\n<div class=\"cards\">")?;
        for card in [
            tables::ledger(report),
            tables::schedule(report),
            tables::outcomes(report),
            tables::loader(report),
            tables::server(report),
            tables::machine(report),
            tables::settings(report),
        ] {
            write!(out, "{card}")?;
        }
        writeln!(out, "</div>")?;
        if !self.remarks.notes.is_empty() {
            writeln!(out, "<h2>Notes</h2>\n<ul class=\"notes\">")?;
            for note in &self.remarks.notes {
                writeln!(out, "<li>{}</li>", Escaped(note))?;
            }
            writeln!(out, "</ul>")?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::Value;

    use super::*;
    use crate::report::fixtures;

    fn full() -> String {
        let line = "the server's <core> was the limit".to_owned();
        page(&fixtures::full(), Some(&Judgement { line, object: Value::Null }))
    }

    #[test]
    fn the_page_needs_nothing_else() {
        let text = full();
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
            // The URL of the run is the only one, as text.
            let found = text.replace("http://127.0.0.1:8080/", "").contains(outside);
            assert!(!found, "{outside}");
        }
        assert!(text.contains("prefers-color-scheme: dark") && text.contains("width=device-width"));
    }

    #[test]
    fn all_is_on_it() {
        let text = full();
        let remarks = Remarks::of(&fixtures::full());
        let escaped = |line: &String| format!("<li>{}</li>", Escaped(line));
        for line in remarks.warnings.iter().chain(&remarks.notes).map(escaped) {
            assert!(text.contains(&line), "{line}");
        }
        for part in [
            "<strong>Verdict:</strong> the server&#39;s &lt;core&gt; was the limit",
            "Open loop, constant 50000/s; 64 connections, 2 shards, uring; began ",
            "<h3>Latency by percentile</h3>",
            "<h3>Latency histogram</h3>",
            "<h3>Throughput</h3>",
            "<h3>CPU</h3>",
            "Service time</li>",
            "\u{2013} reset by the server (ECONNRESET)",
            "<td>a&lt;b&gt;.json</td>",
            "nginx (4711)",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf\""), "a number that is none");
    }

    /// Every element that is opened is closed, in the right order.
    pub(crate) fn assert_nested(text: &str) {
        let mut open: Vec<&str> = Vec::new();
        for tag in text.split('<').skip(1) {
            let tag = tag.split_once('>').expect("a tag ends").0;
            let name = tag.split([' ', '/']).next().unwrap_or_default();
            if let Some(closed) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(closed));
            } else if !tag.ends_with('/') && !["!doctype", "meta"].contains(&name) {
                open.push(name);
            }
        }
        assert_eq!(open, [""; 0]);
    }

    #[test]
    fn elements_are_nested() {
        for report in [fixtures::full(), fixtures::healthy(), fixtures::silent()] {
            assert_nested(&page(&report, None));
        }
    }

    #[test]
    fn a_run_without_responses_has_a_page() {
        let text = page(&fixtures::silent(), None);
        assert!(text.contains("No response came.") && !text.contains("<svg"), "{text}");
    }
}
