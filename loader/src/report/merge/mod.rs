//! Several load machines that worked at the same time, put together as one.
//!
//! Counters, ledgers and histograms are added up, which is the same as if all had been recorded in
//! one place. Rates are added up too, each over its own machine's duration, as no clock is common
//! to the machines. What can neither be added nor chosen between is left out, and a note says so.

use ringbench_measure::Histogram;

use super::remarks::Remarks;
use super::{Corrected, EngineCounts, Extent, LoadMachine, OpenLoop, RunReport};
use crate::ledger::CloseLine;

mod intervals;
mod observed;

/// Why reports cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There is none.
    #[error("there is no report to put together")]
    Nothing,
    /// They are of runs that have not the same shape, so that their sum would mean nothing.
    #[error("{first_name} and {name} are runs of different kinds: {what} is {first} and {other}")]
    Different {
        /// What differs.
        what: &'static str,
        /// The file of the first report.
        first_name: String,
        /// What it is there.
        first: String,
        /// The file of the other.
        name: String,
        /// What it is there.
        other: String,
    },
}

/// Puts reports together; each comes with the name of its file. One alone stays as it is.
///
/// # Errors
///
/// When there is none, or when they are of runs of different kinds.
pub fn merge(mut reports: Vec<(String, RunReport)>) -> Result<RunReport, MergeError> {
    if let [_] = reports.as_slice() {
        return reports.pop().map(|(_, report)| report).ok_or(MergeError::Nothing);
    }
    let (first_name, first) = reports.first().ok_or(MergeError::Nothing)?;
    for (name, other) in &reports[1..] {
        same_kind((first_name, first), (name, other))?;
    }
    let mut notes = Vec::new();
    let merged = Merged { reports: &reports, notes: &mut notes }.report();
    Ok(RunReport { notes: [merged.notes, notes].concat(), ..merged })
}

/// Checks that the sum of two reports has a meaning.
fn same_kind(first: (&str, &RunReport), other: (&str, &RunReport)) -> Result<(), MergeError> {
    let kinds = |report: &RunReport| {
        let count = |number: Option<u64>| number.map_or("any number".to_owned(), |n| n.to_string());
        [
            ("the loop", if report.open_loop.is_some() { "open" } else { "closed" }.to_owned()),
            ("what ends it", ends_with(report.extent).to_owned()),
            ("the pipelining depth", report.pipeline_depth.to_string()),
            ("the requests per connection", count(report.requests_per_connection)),
        ]
    };
    for ((what, mine), (_, theirs)) in kinds(first.1).into_iter().zip(kinds(other.1)) {
        if mine != theirs {
            return Err(MergeError::Different {
                what,
                first_name: first.0.to_owned(),
                first: mine,
                name: other.0.to_owned(),
                other: theirs,
            });
        }
    }
    Ok(())
}

fn ends_with(extent: Extent) -> &'static str {
    match extent {
        Extent::Time(_) => "time",
        Extent::Requests(_) => "a number of requests",
        Extent::RequestsWithin(..) => "a number of requests or time",
    }
}

/// The work of putting together: what is read, and what is to be said about it.
struct Merged<'a> {
    reports: &'a [(String, RunReport)],
    notes: &'a mut Vec<String>,
}

impl<'a> Merged<'a> {
    fn each(&self) -> impl Iterator<Item = &'a RunReport> + use<'a> {
        self.reports.iter().map(|(_, report)| report)
    }

    fn sum(&self, of: impl Fn(&RunReport) -> u64) -> u64 {
        self.each().map(of).sum()
    }

    fn max(&self, of: impl Fn(&RunReport) -> u64) -> u64 {
        self.each().map(of).max().unwrap_or_default()
    }

    /// All different values in the order in which they come, in one text.
    fn all(&self, of: impl Fn(&'a RunReport) -> &'a str) -> String {
        let mut seen: Vec<&str> = Vec::new();
        for value in self.each().map(of) {
            if !seen.contains(&value) {
                seen.push(value);
            }
        }
        seen.join(", ")
    }

    fn histogram(&self, of: impl Fn(&RunReport) -> Option<&Histogram>) -> Histogram {
        let mut sum = Histogram::new();
        self.each().filter_map(of).for_each(|histogram| sum.merge(histogram));
        sum
    }

    fn report(&mut self) -> RunReport {
        let mut report = self.reports[0].1.clone();
        report.url = self.all(|report| &report.url);
        report.engine_name = self.all(|report| &report.engine_name);
        report.started_unix_ms = self.each().map(|it| it.started_unix_ms).min().unwrap_or_default();
        report.shards = self.each().map(|it| it.shards).sum();
        report.connections_wanted = self.sum(|it| it.connections_wanted);
        report.connections_peak = self.sum(|it| it.connections_peak);
        report.connections_answered = self.sum(|it| it.connections_answered);
        let all_open: Option<Vec<u64>> = self.each().map(|it| it.all_open_us).collect();
        report.all_open_us = all_open.and_then(|all| all.into_iter().max());
        report.closes = self.closes();
        report.extent = self.extent();
        report.duration_us = self.max(|it| it.duration_us);
        report.interrupted = self.each().any(|it| it.interrupted);
        report.show_latency = self.each().any(|it| it.show_latency);
        report.show_spectrum = self.each().any(|it| it.show_spectrum);
        report.show_uncorrected = self.each().any(|it| it.show_uncorrected);
        report.latency = self.histogram(|it| Some(&it.latency));
        report.open_loop = self.open_loop();
        report.corrected = self.corrected();
        for other in self.each().skip(1) {
            report.rates.merge(&other.rates);
            report.counters.merge(&other.counters);
        }
        report.unanswered.count = self.sum(|it| it.unanswered.count);
        report.unanswered.oldest_us = self.max(|it| it.unanswered.oldest_us);
        report.loader_cpu_ns = self.each().map(|it| it.loader_cpu_ns).sum();
        report.shard_core_shares =
            self.each().flat_map(|it| it.shard_core_shares.iter().copied()).collect();
        report.shard_run_delay_shares =
            self.each().flat_map(|it| it.shard_run_delay_shares.iter().copied()).collect();
        report.engine = self.engine();
        report.intervals = intervals::merge(self.reports, self.notes);
        report.observed = observed::merge(self.reports, self.notes);
        report.machines = self.reports.iter().flat_map(machines).collect();
        report.warnings = self.apart().into_iter().chain(self.remarks(|it| it.warnings)).collect();
        report.notes = self.remarks(|it| it.notes);
        report
    }

    fn closes(&self) -> Vec<CloseLine> {
        let mut sum: Vec<CloseLine> = Vec::new();
        for line in self.each().flat_map(|report| &report.closes) {
            let known = sum
                .iter_mut()
                .find(|known| (known.cause, &known.errno) == (line.cause, &line.errno));
            match known {
                Some(known) => known.count += line.count,
                None => sum.push(line.clone()),
            }
        }
        sum.sort_by_key(|line| (std::cmp::Reverse(line.count), line.cause));
        sum
    }

    fn extent(&self) -> Extent {
        let requests = self.sum(|it| it.extent.requests().unwrap_or_default());
        let time = self.each().filter_map(|it| it.extent.duration()).max().unwrap_or_default();
        match self.reports[0].1.extent {
            Extent::Time(_) => Extent::Time(time),
            Extent::Requests(_) => Extent::Requests(requests),
            Extent::RequestsWithin(..) => Extent::RequestsWithin(requests, time),
        }
    }

    fn open_loop(&self) -> Option<OpenLoop> {
        let open: Option<Vec<&OpenLoop>> = self.each().map(|it| it.open_loop.as_ref()).collect();
        let open = open?;
        let sum = |of: fn(&OpenLoop) -> u64| open.iter().map(|it| of(it)).sum();
        let histogram = |of: fn(&OpenLoop) -> &Histogram| {
            self.histogram(|report| report.open_loop.as_ref().map(of))
        };
        let schedules: Vec<&str> = open.iter().map(|it| it.schedule.as_str()).collect();
        Some(OpenLoop {
            schedule: schedules.join(" + "),
            rate_asked: open.iter().map(|it| it.rate_asked).sum(),
            due: sum(|it| it.due),
            shed: sum(|it| it.shed),
            unsent: sum(|it| it.unsent),
            oldest_unsent_us: open.iter().map(|it| it.oldest_unsent_us).max().unwrap_or_default(),
            waited_for_connection: sum(|it| it.waited_for_connection),
            service_time: histogram(|it| &it.service_time),
            send_lag: histogram(|it| &it.send_lag),
            own_lag: histogram(|it| &it.own_lag),
        })
    }

    fn corrected(&mut self) -> Option<Corrected> {
        let intervals: Vec<Option<u64>> = self
            .each()
            .map(|it| it.corrected.as_ref().map(|corrected| corrected.expected_interval_us))
            .collect();
        if intervals.iter().any(|interval| *interval != intervals[0]) {
            self.notes.push(
                "the corrected latencies are left out: the machines expected different intervals"
                    .to_owned(),
            );
            return None;
        }
        let expected_interval_us = intervals[0]?;
        let latency = self.histogram(|it| it.corrected.as_ref().map(|it| &it.latency));
        Some(Corrected { expected_interval_us, latency })
    }

    fn engine(&self) -> EngineCounts {
        EngineCounts {
            enters: self.sum(|it| it.engine.enters),
            completions: self.sum(|it| it.engine.completions),
            enobufs: self.sum(|it| it.engine.enobufs),
            cq_overflows: self.sum(|it| it.engine.cq_overflows),
        }
    }

    /// Rates of different times must not be added. Clocks differ by little between machines that
    /// keep them, so half of the shortest run is a generous bound.
    fn apart(&self) -> Option<String> {
        let starts = || self.each().map(|it| it.started_unix_ms);
        let spread_ms = starts().max()? - starts().min()?;
        let shortest_ms = self.each().map(|it| it.duration_us / 1_000).min()?;
        (spread_ms > shortest_ms / 2).then(|| {
            format!(
                "the runs began up to {spread_ms} ms apart and the shortest took {shortest_ms} ms: \
                 the load was not there all at once, and the sum of the rates is too high"
            )
        })
    }

    /// What is to be said of each machine, with its name in front.
    fn remarks(&self, which: fn(Remarks) -> Vec<String>) -> Vec<String> {
        let of = |(name, report): &(String, RunReport)| {
            let lines = which(Remarks::of(report));
            lines.into_iter().map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
        };
        self.reports.iter().flat_map(of).collect()
    }
}

/// A report as one of several; one that was put together is of several already.
fn machines((name, report): &(String, RunReport)) -> Vec<LoadMachine> {
    if !report.machines.is_empty() {
        return report.machines.clone();
    }
    vec![LoadMachine {
        name: name.clone(),
        started_unix_ms: report.started_unix_ms,
        duration_us: report.duration_us,
        shards: report.shards as u64,
        connections_wanted: report.connections_wanted,
        requests: report.counters.requests,
        bytes_read: report.counters.bytes_read,
        errors: report.counters.errors,
    }]
}

#[cfg(test)]
mod tests;
