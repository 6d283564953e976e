//! Who is ahead, and whether that can be told: a sentence for each cell.

use std::fmt::Write as _;

use super::digest::{Measured, Scenario};
use super::words;
use crate::report::html::words as numbers;

/// A sentence for each cell in which at least two servers were measured.
pub(super) fn sentences(scenario: &Scenario<'_>) -> Vec<String> {
    let of = |cell: usize| {
        if scenario.is_open() { shortest(scenario, cell) } else { fastest(scenario, cell) }
    };
    (0..scenario.cells.len()).filter_map(of).collect()
}

/// A server's name and what was measured of it.
type Found<'a> = (&'a str, &'a Measured<'a>);

/// The two that are ahead by a figure of which less is better.
fn two<'a>(
    scenario: &'a Scenario<'a>,
    cell: usize,
    of: impl Fn(&Measured<'_>) -> Option<f64>,
) -> Option<[(Found<'a>, f64); 2]> {
    let mut all: Vec<(Found<'a>, f64)> = scenario
        .measured(cell)
        .filter_map(|(server, found)| Some(((server.name.as_str(), found), of(found)?)))
        .collect();
    all.sort_by(|(_, left), (_, right)| left.total_cmp(right));
    let mut all = all.into_iter();
    Some([all.next()?, all.next()?])
}

fn fastest(scenario: &Scenario<'_>, cell: usize) -> Option<String> {
    let [((first, best), most), ((second, other), next)] =
        two(scenario, cell, |found| Some(-found.figures.good_per_sec()))?;
    let (most, next) = (-most, -next);
    let column = words::column(scenario.cells[cell]);
    if most <= 0.0 {
        return Some(format!("{column}: nobody gave a good answer."));
    }
    let ahead =
        if next > 0.0 { format!("{:.2} times", most / next) } else { "ahead of".to_owned() };
    let certainty = if best.of < 2 || other.of < 2 {
        "without repeats, so that nothing is known of chance"
    } else if best.spread.0 > other.spread.1 {
        "their repeats do not overlap"
    } else {
        "their repeats overlap, so that the order of these two may be chance"
    };
    let mut told = format!(
        "{column}: most requests/s: {first} with {}, {ahead} {second} ({}); {certainty}.",
        words::rate(most),
        words::rate(next),
    );
    if let Some([((name, _), least), ((behind, _), more)]) = two(scenario, cell, server_cpu) {
        let (cost, other) = (words::cpu(least), words::cpu(more));
        // Writing into a string cannot fail.
        let _ = write!(
            told,
            " Least server CPU per request: {name} with {cost}, then {behind} with {other}."
        );
    }
    Some(told)
}

fn server_cpu(found: &Measured<'_>) -> Option<f64> {
    found.figures.server_cpu_us_per_request(found.run)
}

fn shortest(scenario: &Scenario<'_>, cell: usize) -> Option<String> {
    let p99 = |found: &Measured<'_>| found.figures.latency().map(|times| times.p99);
    let [((first, _), shortest), ((second, _), next)] = two(scenario, cell, p99)?;
    Some(format!(
        "{}: shortest p99 from the intended start: {first} with {}, then {second} with {}.",
        words::column(scenario.cells[cell]),
        numbers::time_us(shortest),
        numbers::time_us(next),
    ))
}
