//! The dashboard's lines of text.

use ratatui::text::{Line, Span};
use ringbench_measure::{Errors, units};

use super::state::State;
use super::theme::{Tone, style};
use crate::report::interval::Interval;
use crate::verdict::Limit;

/// Columns of the names at the left.
const NAME_WIDTH: usize = 13;

/// The run's sums in one line.
pub(super) fn sums(state: &State) -> String {
    let requests = state.counters.requests;
    let mean = units::count(state.mean_rate());
    let seconds = state.elapsed.as_secs_f64().max(f64::MIN_POSITIVE);
    let bytes = units::bytes(state.counters.bytes_read as f64 / seconds);
    let asked = state
        .rate_asked()
        .map_or_else(String::new, |rate| format!(", asked for {}/s", units::count(rate)));
    format!("{requests} responses, {mean}/s, {bytes}/s{asked}")
}

/// One line each for errors, connections, ringload, the server, the machine and the verdict.
pub(super) fn lines(state: &State) -> Vec<Line<'static>> {
    let last = state.last.as_ref();
    let errors = state.counters.errors;
    let errors_tone = if errors.total() > 0 { Tone::Bad } else { Tone::Calm };
    let verdict = state.verdict();
    let verdict_tone = verdict.as_ref().map_or(Tone::Calm, |verdict| tone_of(verdict.limit));
    let verdict = verdict.map_or_else(nothing_yet, |verdict| {
        let unsure = !verdict.sure && verdict.limit != Limit::Unknown;
        format!("{}{}", if unsure { "probably " } else { "" }, verdict.line)
    });
    let named = |name: &str, text: String, tone: Tone| {
        Line::from(vec![
            Span::raw(format!("{name:<NAME_WIDTH$}")),
            Span::styled(text, style(tone, state.colour)),
        ])
    };
    let plain = |name: &str, text: String| Line::raw(format!("{name:<NAME_WIDTH$}{text}"));
    vec![
        named("errors", errors_text(errors), errors_tone),
        plain("connections", connections(state)),
        plain("ringload", last.map_or_else(nothing_yet, |last| loader(last, state.shards))),
        plain("server", last.map_or_else(nothing_yet, server)),
        plain("machine", last.map_or_else(nothing_yet, machine)),
        named("limited by", verdict, verdict_tone),
    ]
}

fn nothing_yet() -> String {
    "-".to_owned()
}

/// What a limit means for the run's figures.
fn tone_of(limit: Limit) -> Tone {
    match limit {
        Limit::Server | Limit::Rate => Tone::Good,
        Limit::Connections | Limit::Network | Limit::Unknown => Tone::Calm,
        Limit::Loader | Limit::ServerAndLoader | Limit::Machine | Limit::Ports => Tone::Doubt,
        Limit::Errors | Limit::Nothing => Tone::Bad,
    }
}

fn errors_text(errors: Errors) -> String {
    if errors.total() == 0 {
        return "none".to_owned();
    }
    let Errors { connect, read, write, timeout, status } = errors;
    let kinds = [
        ("connect", connect),
        ("read", read),
        ("write", write),
        ("timeout", timeout),
        ("status", status),
    ];
    let kinds = kinds.iter().filter(|(_, count)| *count > 0);
    kinds.map(|(kind, count)| format!("{kind} {count}")).collect::<Vec<_>>().join(", ")
}

fn connections(state: &State) -> String {
    let counters = &state.counters;
    format!(
        "{} of {} open, {} opened, {} closed",
        counters.open(),
        state.connections,
        counters.opened,
        counters.closed
    )
}

fn length_ns(interval: &Interval) -> f64 {
    (interval.length_us as f64 * 1e3).max(1.0)
}

fn loader(interval: &Interval, shards: usize) -> String {
    // Where the kernel keeps no run times there is no figure; a zero would be taken for one.
    if interval.loader_cpu_ns == 0 {
        return "not known".to_owned();
    }
    let share = interval.loader_cpu_ns as f64 / length_ns(interval) / shards.max(1) as f64;
    let cores = if shards == 1 { "its core".to_owned() } else { format!("each of {shards} cores") };
    format!("{:.0} % of {cores}", share * 100.0)
}

fn server(interval: &Interval) -> String {
    let Some(server) = interval.server else {
        return "not seen (on another machine, or not yours)".to_owned();
    };
    let threads = server.threads;
    format!(
        "{:.2} cores, {}, {threads} thread{}",
        server.cpu_ns as f64 / length_ns(interval),
        units::bytes(server.rss_bytes as f64),
        if threads == 1 { "" } else { "s" },
    )
}

fn machine(interval: &Interval) -> String {
    let Some(machine) = interval.machine else { return "not seen".to_owned() };
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    format!(
        "{} cores, idle {}, softirq {}, steal {}",
        machine.cores,
        percent(machine.idle),
        percent(machine.softirq),
        percent(machine.steal)
    )
}
