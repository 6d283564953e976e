//! Intervals of several machines, put together by their number.

use super::super::RunReport;
use super::super::interval::{Interval, IntervalLatency};

/// Two intervals whose lengths differ by more than this part were not meant to be the same.
const LENGTH_TOLERANCE: f64 = 0.1;

/// Adds up the intervals as far as all machines have some of the same length.
pub(super) fn merge(reports: &[(String, RunReport)], notes: &mut Vec<String>) -> Vec<Interval> {
    let lists: Vec<&[Interval]> = reports.iter().map(|(_, it)| it.intervals.as_slice()).collect();
    let longest = lists.iter().map(|list| list.len()).max().unwrap_or_default();
    let mut merged = Vec::new();
    for index in 0..longest {
        let row: Option<Vec<&Interval>> = lists.iter().map(|list| list.get(index)).collect();
        let Some(row) = row.filter(|row| same_length(row)) else { break };
        merged.push(add(&row));
    }
    if merged.len() < longest {
        notes.push(format!(
            "of up to {longest} intervals {} could be put together: from there on the machines have \
             none, or none of the same length",
            merged.len(),
        ));
    }
    if !merged.is_empty() {
        notes.push(
            "percentiles of intervals are the highest of any machine, those of all together are at \
             most that"
                .to_owned(),
        );
    }
    merged
}

fn same_length(row: &[&Interval]) -> bool {
    let lengths = || row.iter().map(|interval| interval.length_us as f64);
    let (shortest, longest) = (lengths().fold(f64::MAX, f64::min), lengths().fold(0.0, f64::max));
    longest - shortest <= longest * LENGTH_TOLERANCE
}

/// Counts of the first, with the others' on top. A percentile of all is never above the highest
/// percentile of any.
fn add(row: &[&Interval]) -> Interval {
    let mut sum = *row[0];
    for other in &row[1..] {
        sum.elapsed_us = sum.elapsed_us.max(other.elapsed_us);
        sum.length_us = sum.length_us.max(other.length_us);
        sum.requests += other.requests;
        sum.bytes_read += other.bytes_read;
        sum.errors.connect += other.errors.connect;
        sum.errors.read += other.errors.read;
        sum.errors.write += other.errors.write;
        sum.errors.timeout += other.errors.timeout;
        sum.errors.status += other.errors.status;
        sum.opened += other.opened;
        sum.closed += other.closed;
        sum.open_connections += other.open_connections;
        sum.latency = match (sum.latency, other.latency) {
            (Some(mine), Some(theirs)) => Some(highest(mine, theirs)),
            (mine, theirs) => mine.or(theirs),
        };
        sum.loader_cpu_ns += other.loader_cpu_ns;
        // A server runs on one machine at the most; shares of different machines do not add up.
        sum.server = sum.server.or(other.server);
    }
    sum.machine = None;
    sum
}

fn highest(mine: IntervalLatency, theirs: IntervalLatency) -> IntervalLatency {
    IntervalLatency {
        p50_ns: mine.p50_ns.max(theirs.p50_ns),
        p90_ns: mine.p90_ns.max(theirs.p90_ns),
        p99_ns: mine.p99_ns.max(theirs.p99_ns),
        p999_ns: mine.p999_ns.max(theirs.p999_ns),
        max_ns: mine.max_ns.max(theirs.max_ns),
    }
}
