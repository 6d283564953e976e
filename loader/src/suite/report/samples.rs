//! The machine in time, as dstat shows it: the samples of the runs that were picked, for people, and
//! those of all runs as CSV.

use super::csv::{Line, share};
use super::digest::{Measured, Scenario};
use super::table::{Column, Field, Table};
use super::words::{self, NONE};
use crate::report::html::words as numbers;
use crate::suite::results::{Sample, SuiteResults};

/// The machine's shares that have their place; others follow them by name.
const SHARES: [&str; 8] = ["user", "nice", "system", "irq", "softirq", "steal", "iowait", "idle"];
/// More rows than this help nobody; the CSV has all.
const ROWS: usize = 30;

/// The names of shares that occur in samples.
fn names<'a>(samples: impl Iterator<Item = &'a Sample>) -> Vec<String> {
    let mut all: Vec<&str> = Vec::new();
    for sample in samples {
        let new = sample.machine.keys().map(String::as_str);
        let new: Vec<&str> = new.filter(|name| !all.contains(name)).collect();
        all.extend(new);
    }
    let place = |name: &str| SHARES.iter().position(|known| *known == name);
    all.sort_by_key(|name| (place(name).unwrap_or(SHARES.len()), *name));
    all.into_iter().map(str::to_owned).collect()
}

/// A sample with the time since the one before.
fn timed(samples: &[Sample]) -> impl Iterator<Item = (u64, &Sample)> {
    let before = std::iter::once(0).chain(samples.iter().map(|sample| sample.at_ms));
    before.zip(samples).map(|(before, sample)| (sample.at_ms.saturating_sub(before), sample))
}

/// The cores that a server used since the sample before.
fn cores(length_ms: u64, sample: &Sample) -> Option<f64> {
    (length_ms > 0).then(|| sample.server_cpu_ns as f64 / (length_ms as f64 * 1e6))
}

/// A table for each server of a cell whose picked run has samples.
pub(super) fn tables(scenario: &Scenario<'_>, cell: usize) -> Vec<Table> {
    let with_samples =
        scenario.measured(cell).filter(|(_, found)| !found.run.usage.samples.is_empty());
    with_samples.map(|(server, found)| table(&server.name, found)).collect()
}

fn table(server: &str, found: &Measured<'_>) -> Table {
    let samples = &found.run.usage.samples;
    let names = names(samples.iter());
    let every = samples.len().div_ceil(ROWS);
    let mut columns = vec![Column::name("At")];
    columns.extend(["Server, cores", "RSS", "PSS", "Threads"].map(Column::number));
    columns.extend(names.iter().map(Column::number));
    let bytes = |bytes: u64| numbers::bytes(bytes as f64);
    let rows = timed(samples).step_by(every).map(|(length_ms, sample)| {
        let mut row: Vec<Field> = vec![
            numbers::time_us(sample.at_ms as f64 * 1_000.0).into(),
            words::or_none(cores(length_ms, sample), |cores| format!("{cores:.2}")).into(),
            bytes(sample.server_rss_bytes).into(),
            words::or_none(sample.server_pss_bytes, bytes).into(),
            numbers::count(sample.server_threads).into(),
        ];
        let shares = names.iter().map(|name| sample.machine.get(name));
        row.extend(shares.map(|share| {
            share.map_or_else(|| NONE.into(), |share| Field::from(numbers::percent(*share)))
        }));
        row
    });
    let thinned = if every > 1 { format!(" (each {every}th sample)") } else { String::new() };
    Table { title: format!("{server}{thinned}"), columns, rows: rows.collect(), notes: Vec::new() }
}

/// The columns of the samples' CSV before those of the machine.
pub(super) const COLUMNS: [&str; 9] = [
    "server",
    "cell",
    "repeat",
    "at_ms",
    "server_cpu_ns",
    "server_cores",
    "server_rss_bytes",
    "server_pss_bytes",
    "server_threads",
];

/// All samples of all runs: a line of names, then a line for each sample.
pub(super) fn csv(results: &SuiteResults) -> String {
    let all = results.runs.iter().flat_map(|run| &run.usage.samples);
    let mut names: Vec<String> = names(all);
    // The usual ones are always there, so that the columns of two suites are the same.
    names.retain(|name| !SHARES.contains(&name.as_str()));
    let usual = SHARES.map(str::to_owned);
    let names: Vec<String> = usual.into_iter().chain(names).collect();
    let mut head = Line::default();
    COLUMNS.iter().for_each(|name| head.text(name));
    names.iter().for_each(|name| head.text(&format!("machine_{name}_share")));
    let mut text = head.end();
    for run in &results.runs {
        for (length_ms, sample) in timed(&run.usage.samples) {
            let mut line = Line::default();
            line.text(&run.server);
            line.text(&run.cell);
            line.value(run.repeat);
            line.value(sample.at_ms);
            line.value(sample.server_cpu_ns);
            line.maybe(cores(length_ms, sample).map(share));
            line.value(sample.server_rss_bytes);
            line.maybe(sample.server_pss_bytes);
            line.value(sample.server_threads);
            for name in &names {
                line.maybe(sample.machine.get(name).copied().map(share));
            }
            text.push_str(&line.end());
        }
    }
    text
}
