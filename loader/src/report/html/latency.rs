//! Charts of how latencies are distributed.

use ringbench_measure::Histogram;

use super::chart::{Axis, Bar, Chart, Line, Marks, Style};
use super::scale::Scale;
use super::words;
use crate::report::RunReport;

/// Steps for each halving of the distance from 100 %: a smooth line.
const TICKS: u32 = 12;
/// Bars of the histogram.
const BARS: f64 = 56.0;
/// A bar must be wider than a bucket of the histogram, or it would be empty for want of a bucket.
const BAR_RATIO: f64 = 1.004;

/// The histograms of a run that its latency charts and table show, with their names.
pub(super) fn histograms(report: &RunReport) -> Vec<(&'static str, &Histogram)> {
    let mut all = Vec::new();
    match &report.open_loop {
        None => all.push(("Latency", &report.latency)),
        Some(open) => {
            all.push(("Response time", &report.latency));
            all.push(("Service time", &open.service_time));
            all.push(("Send lag", &open.send_lag));
            all.push(("Own lag", &open.own_lag));
        }
    }
    if let Some(corrected) = &report.corrected {
        all.push(("Corrected (a guess)", &corrected.latency));
    }
    all
}

/// Latency by percentile; in an open loop response and service times in one chart, as the distance
/// between them is what waiting cost.
pub(super) fn by_percentile(report: &RunReport) -> Option<Chart> {
    let shown = |name: &str| !name.ends_with("lag");
    let lines: Vec<Line> = histograms(report)
        .into_iter()
        .filter(|(name, histogram)| shown(name) && !histogram.is_empty())
        .map(|(name, histogram)| Line {
            name: name.to_owned(),
            points: curve(histogram),
            style: if name.starts_with("Corr") { Style::Dashed } else { Style::Plain },
        })
        .collect();
    let count = report.latency.count();
    let values = || lines.iter().flat_map(|line| line.points.iter().flatten().map(|(_, y)| *y));
    let max = values().fold(0.0, f64::max);
    let min = values().fold(f64::MAX, f64::min);
    let median = report.latency.percentile_ns(50.0) as f64 / 1e3;
    let decades = (count.max(10) as f64).log10().ceil() as i32;
    (count > 0).then(|| Chart {
        title: "Latency by percentile",
        caption: "The share of responses that took no longer; each step to the right is ten times \
                  rarer"
            .to_owned(),
        x: Axis {
            scale: Scale::Log { low: 1.0, high: 10_f64.powi(decades) },
            label: words::tick_quantile,
        },
        y: Axis { scale: Scale::for_spread(min, median, max), label: words::tick_us },
        marks: Marks::Lines(lines),
    })
}

/// Points at 1/(1-quantile) and microseconds.
fn curve(histogram: &Histogram) -> Vec<Option<(f64, f64)>> {
    let count = histogram.count() as f64;
    let steps = histogram.percentile_steps(TICKS);
    let place = |quantile: f64| {
        // The largest is at 100 %, which lies at infinity; one of `count` is that rare.
        if quantile < 1.0 { (1.0 / (1.0 - quantile)).min(count) } else { count }
    };
    steps.iter().map(|step| Some((place(step.quantile), step.value_ns as f64 / 1e3))).collect()
}

/// How many responses took how long.
pub(super) fn distribution(report: &RunReport) -> Option<Chart> {
    let histogram = &report.latency;
    let (min, max) = (histogram.min_ns().max(1) as f64, histogram.max_ns().max(1) as f64);
    let spread = (max / min).max(BAR_RATIO);
    let bars = (spread.ln() / BAR_RATIO.ln()).floor().clamp(1.0, BARS);
    let ratio = spread.powf(1.0 / bars);
    let mut counts = vec![0_u64; bars as usize];
    for (value_ns, count) in histogram.buckets() {
        let place = ((value_ns.max(1) as f64 / min).ln() / ratio.ln()) as usize;
        counts[place.min(bars as usize - 1)] += count;
    }
    let total = histogram.count();
    let bars: Vec<Bar> = (0..)
        .zip(counts)
        .map(|(place, count)| {
            let edge = |place: i32| min * ratio.powi(place) / 1e3;
            let (from, to) = (edge(place), edge(place + 1));
            let title = format!(
                "{} to {}: {} responses",
                words::time_us(from),
                words::time_us(to),
                words::count(count)
            );
            Bar { from, to, height: count as f64 * 100.0 / total as f64, title }
        })
        .collect();
    let highest = bars.iter().map(|bar| bar.height).fold(0.0, f64::max);
    let of = if report.open_loop.is_some() { "response times" } else { "latencies" };
    (total > 0).then(|| Chart {
        title: "Latency histogram",
        caption: format!("The share of all {of}; what is rare is drawn a little higher than it is"),
        x: Axis { scale: Scale::log(min / 1e3, max / 1e3), label: words::tick_us },
        y: Axis { scale: Scale::linear(highest), label: words::tick_percent },
        marks: Marks::Bars(bars),
    })
}
