//! What the page says in words and tables.

use std::fmt::{self, Display, Write as _};

use ringbench_measure::units;

use super::escape::Escaped;
use super::{latency, words};
use crate::report::{Extent, RunReport};

/// A card with a table of names and values. A card of nothing is not written.
pub(super) struct Card {
    title: &'static str,
    rows: Vec<(String, String)>,
}

impl Card {
    fn new(title: &'static str) -> Self {
        Self { title, rows: Vec::new() }
    }

    fn row(mut self, name: &str, value: impl Display) -> Self {
        self.rows.push((name.to_owned(), value.to_string()));
        self
    }

    fn maybe(self, name: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.row(name, value),
            None => self,
        }
    }
}

impl Display for Card {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.rows.is_empty() {
            return Ok(());
        }
        writeln!(out, "<div class=\"card\"><h3>{}</h3><table><tbody>", self.title)?;
        for (name, value) in &self.rows {
            let (name, value) = (Escaped(name), Escaped(value));
            writeln!(out, "<tr><th scope=\"row\">{name}</th><td class=\"n\">{value}</td></tr>")?;
        }
        writeln!(out, "</tbody></table></div>")
    }
}

/// What the run was asked to be.
pub(super) fn settings(report: &RunReport) -> Card {
    let extent = match report.extent {
        Extent::Time(time) => words::time_us(time.as_secs_f64() * 1e6),
        Extent::Requests(requests) => format!("{} requests", words::count(requests)),
        Extent::RequestsWithin(requests, time) => format!(
            "{} requests, at most {}",
            words::count(requests),
            words::time_us(time.as_secs_f64() * 1e6)
        ),
    };
    let schedule = report.open_loop.as_ref().map(|open| &open.schedule);
    let expected = report.corrected.as_ref().map(|it| it.expected_interval_us as f64);
    Card::new("Settings")
        .row("Loop", if schedule.is_some() { "open" } else { "closed" })
        .maybe("Schedule", schedule)
        .row("To last", extent)
        .row("Connections", words::count(report.connections_wanted))
        .row("Shards", report.shards)
        .row("Engine", &report.engine_name)
        .row("Pipelining depth", report.pipeline_depth)
        .maybe("Requests per connection", report.requests_per_connection.map(words::count))
        .maybe("Expected interval", expected.map(words::time_us))
}

/// What became of the schedule.
pub(super) fn schedule(report: &RunReport) -> Card {
    let card = Card::new("Schedule");
    let Some(open) = &report.open_loop else { return card };
    card.row("Asked for", format!("{:.2}/s", open.rate_asked))
        .row("Achieved", format!("{:.2}/s", report.requests_per_sec()))
        .row("Due", words::count(open.due))
        .row("Shed, too late to send", words::count(open.shed))
        .row("Unsent at the end", words::count(open.unsent))
        .row("Oldest unsent", words::time_us(open.oldest_unsent_us as f64))
        .row("Waited for a connection", words::count(open.waited_for_connection))
}

/// What became of connections.
pub(super) fn ledger(report: &RunReport) -> Card {
    let counters = &report.counters;
    let never = report.connections_peak < report.connections_wanted;
    let all_open = report
        .all_open_us
        .map(|us| format!("after {}", words::time_us(us as f64)))
        .or(never.then(|| "never".to_owned()));
    let mut card = Card::new("Connections")
        .row("Wanted", words::count(report.connections_wanted))
        .row("Open at once, at most", words::count(report.connections_peak))
        .maybe("All wanted open", all_open)
        .row("Opened", words::count(counters.opened))
        .row("Reconnects", words::count(counters.reconnects))
        .row("Closed", words::count(counters.closed));
    for line in &report.closes {
        let errno = line.errno.as_ref().map_or_else(String::new, |errno| format!(" ({errno})"));
        card = card.row(&format!("\u{2013} {}{errno}", line.cause), words::count(line.count));
    }
    card
}

/// Responses by status, failures by kind.
pub(super) fn outcomes(report: &RunReport) -> Card {
    let errors = report.counters.errors;
    let mut card = Card::new("Responses and failures");
    for (class, count) in (1..).zip(report.counters.status_classes) {
        if count > 0 {
            card = card.row(&format!("Status {class}xx"), words::count(count));
        }
    }
    card = card.row("Unanswered at the end", words::count(report.unanswered.count));
    for (kind, count) in [
        ("Failed to connect", errors.connect),
        ("Failed to read", errors.read),
        ("Failed to write", errors.write),
        ("Timed out", errors.timeout),
        ("Status above 399", errors.status),
    ] {
        card = card.row(kind, words::count(count));
    }
    card
}

/// What ringload itself used.
pub(super) fn loader(report: &RunReport) -> Card {
    let (engine, requests) = (report.engine, report.counters.requests);
    let per_request = |count: u64| {
        (count > 0 && requests > 0).then(|| format!("{:.3}", count as f64 / requests as f64))
    };
    let mut card = Card::new("Load generator")
        .maybe("CPU per request", report.cpu_us_per_request().map(words::time_us))
        .maybe("Enters per request", per_request(engine.enters))
        .maybe("Completions per request", per_request(engine.completions))
        .row("Out of buffers", words::count(engine.enobufs))
        .row("Queue overflows", words::count(engine.cq_overflows));
    for (shard, share) in report.shard_core_shares.iter().enumerate() {
        card = card.row(&format!("Core of shard {shard}"), words::percent(*share));
    }
    card
}

/// The server's process.
pub(super) fn server(report: &RunReport) -> Card {
    let card = Card::new("Server");
    let Some(server) = &report.observed.server else { return card };
    card.row("Process", format!("{} ({})", server.name, server.pid))
        .maybe("CPU per request", report.server_cpu_us_per_request().map(words::time_us))
        .row("Cores in use", format!("{:.2}", server.core_share()))
        .row("Busiest thread", words::percent(server.busiest_thread_share))
        .row("Waited for a core", words::time_ns(server.run_delay_ns))
        .row("Resident memory, at most", words::bytes(server.rss_max_bytes as f64))
        .row("Threads", words::count(server.threads))
        .row("Switches of its own", words::count(server.voluntary_switches))
        .row("Forced switches", words::count(server.involuntary_switches))
}

/// The machine and its network.
pub(super) fn machine(report: &RunReport) -> Card {
    let mut card = Card::new("Machine and TCP");
    if let Some(machine) = report.observed.machine {
        card = card
            .row("Cores", machine.cores)
            .row("Idle", words::percent(machine.idle))
            .row("Soft interrupts", words::percent(machine.softirq))
            .row("Stolen by a hypervisor", words::percent(machine.steal));
    }
    if let Some(tcp) = report.observed.tcp {
        let us = |value: u64| words::time_us(value as f64);
        card = card
            .row("Round trip, p50", us(tcp.rtt_p50_us))
            .row("Round trip, p99", us(tcp.rtt_p99_us))
            .row("Round trip, smallest", us(tcp.rtt_min_us))
            .row("Round trip, largest", us(tcp.rtt_max_us))
            .row("Samples", words::count(tcp.samples))
            .row("Segments sent again", words::count(tcp.retransmits))
            .row("On connections", words::count(tcp.connections_with_retransmits));
    }
    card
}

/// A table with a heading and right-aligned cells but for the first.
fn wide(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut text = String::from("<div class=\"card scroll\"><table><thead><tr>");
    let class = |column: usize| if column == 0 { "" } else { " class=\"n\"" };
    for (column, name) in heading.iter().enumerate() {
        let _ = write!(text, "<th scope=\"col\"{}>{}</th>", class(column), Escaped(name));
    }
    text.push_str("</tr></thead><tbody>\n");
    for row in rows {
        text.push_str("<tr>");
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(text, "<td{}>{}</td>", class(column), Escaped(cell));
        }
        text.push_str("</tr>\n");
    }
    text.push_str("</tbody></table></div>\n");
    text
}

/// All percentiles of all times.
pub(super) fn latencies(report: &RunReport) -> String {
    let all = latency::histograms(report);
    let heading: Vec<&str> = std::iter::once("").chain(all.iter().map(|(name, _)| *name)).collect();
    let summaries: Vec<_> = all.iter().map(|(_, histogram)| histogram.summary()).collect();
    let row = |name: &str, of: fn(&ringbench_measure::Summary) -> f64| -> Vec<String> {
        let cells = summaries.iter().map(|summary| words::time_us(of(summary)));
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    let counts = summaries.iter().map(|summary| words::count(summary.count));
    let rows = [
        row("Smallest", |it| it.min),
        row("Mean", |it| it.mean),
        row("Deviation", |it| it.stdev),
        row("p50", |it| it.p50),
        row("p75", |it| it.p75),
        row("p90", |it| it.p90),
        row("p99", |it| it.p99),
        row("p99.9", |it| it.p999),
        row("p99.99", |it| it.p9999),
        row("Largest", |it| it.max),
        std::iter::once("Count".to_owned()).chain(counts).collect(),
    ];
    wide(&heading, &rows)
}

/// The load machines of a report that was put together; empty where there was one.
pub(super) fn machines(report: &RunReport) -> String {
    if report.machines.is_empty() {
        return String::new();
    }
    let heading = ["Load machine", "Connections", "Responses", "Per second", "Failures"];
    let rows: Vec<Vec<String>> = report
        .machines
        .iter()
        .map(|machine| {
            vec![
                machine.name.clone(),
                words::count(machine.connections_wanted),
                words::count(machine.requests),
                units::count(machine.requests_per_sec()),
                words::count(machine.errors.total()),
            ]
        })
        .collect();
    format!("<h2>Load machines</h2>\n{}", wide(&heading, &rows))
}
