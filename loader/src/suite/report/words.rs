//! Numbers and sentences of the reports. Number and unit are held together by a space that does not
//! break; Markdown, which is read as text, too, makes ordinary ones of them.

use std::time::{Duration, UNIX_EPOCH};

use super::digest::{Digest, Measured, Scenario};
use super::figures::Figures;
use crate::report::html::words;
use crate::suite::results::{Cell, Pick, Server, SuiteResults};

/// What is not known.
pub(super) const NONE: &str = "\u{2013}";
/// What no report of a quick suite must lack.
pub(super) const QUICK: &str = "Quick mode: the runs were far shorter than the method asks for. \
    That shows that everything works; its figures are not to be quoted.";
/// Of a cell without a run.
pub(super) const NOT_BEGUN: &str = "Nothing of this was run.";
/// Above the tables of others.
pub(super) const ELSEWHERE: &str = "These figures are not ours: others measured them, on other \
    machines, with other kernels, versions and load generators. They stand here for their shape (who \
    is ahead of whom, and how that changes from column to column). A ratio of one of them to one of \
    ours says nothing.";

/// A rate: `197,327`, and `12.50` where whole numbers would hide much.
pub(super) fn rate(per_sec: f64) -> String {
    if per_sec < 100.0 { format!("{per_sec:.2}") } else { words::count(per_sec.round() as u64) }
}

/// CPU time per request: two decimals of a microsecond, so that columns can be compared.
pub(super) fn cpu(us_per_request: f64) -> String {
    format!("{us_per_request:.2}\u{a0}µs")
}

/// A date and a time of day.
pub(super) fn date(unix_ms: u64) -> String {
    let at = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    // A clock that is wrong beyond all calendars has no date to tell.
    let at = at.filter(|_| unix_ms < 253_402_300_800_000);
    at.map_or_else(|| NONE.to_owned(), httpdate::fmt_http_date)
}

/// A value or a dash.
pub(super) fn or_none<T>(value: Option<T>, words: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), words)
}

/// When it was, and by what.
pub(super) fn when(results: &SuiteResults) -> String {
    let ended = match results.ended_unix_ms {
        Some(ended) => format!("ended {}", date(ended)),
        None => "has not come to its end".to_owned(),
    };
    let began = date(results.started_unix_ms);
    format!("ringload {}; began {began}, {ended}", results.ringload_version)
}

/// Where it ran.
pub(super) fn cores(results: &SuiteResults) -> String {
    let list = |cores: &[usize]| {
        let numbers: Vec<String> = cores.iter().map(ToString::to_string).collect();
        if numbers.is_empty() { "any".to_owned() } else { numbers.join(", ") }
    };
    let shared = results.server_cores.iter().any(|core| results.load_cores.contains(core));
    let shared = if shared { "; server and load share cores" } else { "" };
    let place = results.tuning.as_ref().map_or_else(String::new, |profile| {
        format!("; in a network namespace with the tuning profile {profile}")
    });
    let (server, load) = (list(&results.server_cores), list(&results.load_cores));
    format!("server on {server}; load on {load}{shared}{place}")
}

/// Reasons for distrust, the gravest first.
pub(super) fn warnings(results: &SuiteResults) -> Vec<String> {
    let mut all = Vec::new();
    if results.is_quick {
        all.push(QUICK.to_owned());
    }
    if results.ended_unix_ms.is_none() {
        let runs = words::counted(results.runs.len() as u64, "run");
        all.push(format!(
            "The suite goes on or was broken off: this is what {runs} so far have shown."
        ));
    }
    all.extend(results.warnings.iter().cloned());
    all
}

/// A server with its version.
pub(super) fn server(server: &Server) -> String {
    let about: Vec<&str> =
        [&server.language, &server.version].into_iter().flatten().map(String::as_str).collect();
    if about.is_empty() {
        server.name.clone()
    } else {
        format!("{} ({})", server.name, about.join(", "))
    }
}

/// The heading of a scenario: its name and what is asked for.
pub(super) fn scenario(scenario: &Scenario<'_>) -> String {
    let request = scenario.cells.first().map_or("", |cell| &cell.request);
    format!("{}: {request}", scenario.name)
}

/// What was asked of everybody in a cell.
pub(super) fn cell(cell: &Cell) -> String {
    let mut told = vec![
        cell.request.clone(),
        words::counted(cell.connections, "connection"),
        words::counted(cell.threads, "thread"),
    ];
    if let Some(asked) = cell.rate {
        told.push(format!("open loop at {}/s", rate(asked)));
    }
    if cell.pipeline_depth > 1 {
        told.push(format!("{} requests in flight on each", cell.pipeline_depth));
    }
    told.push(format!(
        "{} of {}",
        words::counted(cell.repeats, "run"),
        words::time_us(cell.duration_ms as f64 * 1_000.0)
    ));
    told.push(pick(cell.pick).to_owned());
    told.join("; ")
}

/// Which of the repeats is shown.
fn pick(pick: Pick) -> &'static str {
    match pick {
        Pick::Best => "the one with the most requests/s is shown",
        Pick::Median => "the one in the middle by requests/s is shown",
    }
}

/// The heading of a cell's column.
pub(super) fn column(cell: &Cell) -> String {
    format!("c={}", words::count(cell.connections))
}

/// What a rate was picked from: `153,274 to 204,492 (5)`.
pub(super) fn spread(measured: &Measured<'_>) -> String {
    let (fewest, most) = measured.spread;
    let of = if measured.of == measured.made {
        measured.of.to_string()
    } else {
        format!("{} of {}", measured.of, measured.made)
    };
    if measured.of == 1 {
        return format!("one run ({of})");
    }
    format!("{} to {} ({of})", rate(fewest), rate(most))
}

/// What went wrong in a run: `timeout 12, 5xx 3`.
pub(super) fn faults(figures: &Figures) -> String {
    let (errors, status) = (figures.errors, figures.status);
    let all = [
        ("connect", errors.connect),
        ("read", errors.read),
        ("write", errors.write),
        ("timeout", errors.timeout),
        ("1xx", status.informational),
        ("3xx", status.redirection),
        ("4xx", status.client_error),
        ("5xx", status.server_error),
    ];
    let found = all.into_iter().filter(|(_, count)| *count > 0);
    let found: Vec<String> =
        found.map(|(kind, count)| format!("{kind} {}", words::count(count))).collect();
    found.join(", ")
}

/// What ringload thinks was the limit, in a word; a question mark where it is a conclusion.
pub(super) fn limit(figures: &Figures) -> String {
    or_none(figures.verdict.as_ref(), |verdict| {
        let doubt = if verdict.sure || verdict.limit == "unknown" { "" } else { "?" };
        let word = match verdict.limit.as_str() {
            "loader" => "ringload",
            "server_and_loader" => "server and ringload",
            other => other,
        };
        format!("{word}{doubt}")
    })
}

/// The busiest threads of a server, as shares of a core.
pub(super) fn threads(measured: &Measured<'_>) -> Option<String> {
    const SHOWN: usize = 6;
    let all = &measured.run.usage.per_thread;
    let wall_ns = measured.figures.duration_us as f64 * 1_000.0;
    if all.is_empty() || wall_ns <= 0.0 {
        return None;
    }
    let share = |cpu_ns: u64| words::percent(cpu_ns as f64 / wall_ns);
    let mut told: Vec<String> = all
        .iter()
        .take(SHOWN)
        .map(|thread| format!("{} {}", thread.name, share(thread.cpu_ns)))
        .collect();
    let rest = all.get(SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        let sum = rest.iter().map(|thread| thread.cpu_ns).sum();
        told.push(format!("{} more {}", words::count(rest.len() as u64), share(sum)));
    }
    Some(told.join(", "))
}

/// What ringload warned of in the runs that are shown: each warning once, with where it was given.
pub(super) fn run_warnings(digest: &Digest<'_>) -> Vec<String> {
    let mut all: Vec<(&str, Vec<String>)> = Vec::new();
    for measured in digest.picked() {
        let place = format!("{} in {}", measured.run.server, measured.run.cell);
        for warning in &measured.figures.warnings {
            match all.iter_mut().find(|(known, _)| known == warning) {
                Some((_, places)) => places.push(place.clone()),
                None => all.push((warning.as_str(), vec![place.clone()])),
            }
        }
    }
    all.into_iter().map(|(warning, places)| format!("{warning} ({})", some(&places))).collect()
}

/// A list that does not get long: `a, b, c and 4 more`.
pub(super) fn some(all: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = all[..all.len().min(SHOWN)].join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// How the tables are to be read, a line for each thing.
pub(super) fn how_to_read(digest: &Digest<'_>) -> Vec<&'static str> {
    let mut all = vec![
        "Requests/sec: complete responses per second of the run that is shown. Repeats: the fewest \
         and the most of the runs that it was picked from, and how many these are; runs with errors \
         are left out of the pick while there are others.",
        "The order is that of the geometric mean over a scenario's columns, of 2xx responses per \
         second as a share of the most in that column; in an open loop, of the lowest p99.",
    ];
    let (open, closed): (Vec<_>, Vec<_>) =
        digest.scenarios.iter().partition(|scenario| scenario.is_open());
    if !closed.is_empty() {
        all.push(
            "Latency in a closed loop is from the actual send to the end of the response. Whoever \
             answers late is asked less often meanwhile, so its percentiles look better than what \
             users would see (coordinated omission); it also falls as requests/s rise, for the \
             number of connections is fixed.",
        );
    }
    if !open.is_empty() {
        all.push(
            "Latency in an open loop is from the intended start, waiting for a connection included; \
             service time is from the actual send. Not sent: requests that were due, and given up or \
             still waiting at the end.",
        );
    }
    all.extend([
        "Server CPU per request: CPU time of all processes of the server while the load ran, kernel \
         time included, for each complete response. It holds where requests/s are shaken by the \
         load generator's own limit. Work that soft interrupts do is booked on whoever is running.",
        "RSS counts a page for each process that has it; PSS splits shared pages among those who \
         share them, and is the fairer figure for servers of many processes. Idle: after the start, \
         before any load. Max: the largest seen under load.",
        "Limited by: ringload's verdict on what kept the figure from being larger; with a question \
         mark where it follows by exclusion. Where that is not the server, the server might do more.",
        "Not started, wrong answer, crashed, hung: what the server did. Load failed: ringload could \
         not do the run, which is not the server's fault. Left out: it was not there to be measured.",
    ]);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        assert_eq!(
            [0.0, 99.994, 100.4, 1_234_567.8].map(rate),
            ["0.00", "99.99", "100", "1,234,568"]
        );
        assert_eq!(cpu(4.888), "4.89\u{a0}µs");
        assert_eq!(date(1_795_000_000_000), "Wed, 18 Nov 2026 11:06:40 GMT");
        assert_eq!(date(u64::MAX), NONE);
    }

    #[test]
    fn lists_do_not_get_long() {
        let all: Vec<String> = (1..=8).map(|number| number.to_string()).collect();
        assert_eq!(some(&all), "1, 2, 3, 4, 5, 6 and 2 more");
        assert_eq!(some(&all[..2]), "1, 2");
    }
}
