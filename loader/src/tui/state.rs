//! What the dashboard knows of a run. Made from its news alone, so that tests can make any.

use std::sync::Arc;
use std::time::Duration;

use ringbench_measure::Counters;

use super::history::{History, Merge};
use crate::config::{Config, Ending};
use crate::report::interval::{Interval, IntervalLatency};
use crate::run::News;
use crate::schedule::Schedule;
use crate::verdict::{SoFar, so_far};

/// A run that is going on.
#[derive(Clone, Debug)]
pub struct State {
    pub(super) url: String,
    pub(super) settings: String,
    pub(super) shards: usize,
    pub(super) connections: usize,
    pub(super) ending: Ending,
    schedule: Option<Arc<Schedule>>,
    /// Without colours, brightness has to do.
    pub(super) colour: bool,
    /// It was asked to stop: what is under way is waited for.
    pub(super) stopping: bool,
    pub(super) elapsed: Duration,
    pub(super) counters: Counters,
    pub(super) last: Option<Interval>,
    /// Responses per second.
    pub(super) rates: History,
    /// Latencies in nanoseconds.
    pub(super) latencies: [Percentile; 4],
}

/// A percentile over the run.
#[derive(Clone, Debug)]
pub(super) struct Percentile {
    pub(super) name: &'static str,
    pub(super) of: fn(&IntervalLatency) -> u64,
    pub(super) history: History,
}

impl Percentile {
    fn new(name: &'static str, merge: Merge, of: fn(&IntervalLatency) -> u64) -> Self {
        Self { name, of, history: History::new(merge) }
    }
}

impl State {
    /// Of a run that has not begun.
    pub fn new(config: &Config, colour: bool) -> Self {
        Self {
            url: config.url.as_str().to_owned(),
            settings: settings(config),
            shards: config.threads,
            connections: config.connections,
            ending: config.ending,
            schedule: config.open_loop.as_ref().map(|open| Arc::clone(&open.schedule)),
            colour,
            stopping: false,
            elapsed: Duration::ZERO,
            counters: Counters::default(),
            last: None,
            rates: History::new(Merge::Mean),
            latencies: [
                Percentile::new("p50", Merge::Mean, |latency| latency.p50_ns),
                Percentile::new("p99", Merge::Largest, |latency| latency.p99_ns),
                Percentile::new("p99.9", Merge::Largest, |latency| latency.p999_ns),
                Percentile::new("max", Merge::Largest, |latency| latency.max_ns),
            ],
        }
    }

    /// Takes news of the run in.
    pub fn take(&mut self, news: &News) {
        match news {
            News::Standing { elapsed, counters } => {
                self.elapsed = *elapsed;
                self.counters = *counters;
            }
            News::Interval(interval) => {
                self.rates.push(Some(interval.requests_per_sec()));
                for percentile in &mut self.latencies {
                    let value = interval.latency.as_ref().map(percentile.of);
                    percentile.history.push(value.map(|ns| ns as f64));
                }
                self.last = Some(*interval);
            }
            News::Latencies { .. } => {}
        }
    }

    /// From now on what is under way is waited for.
    pub fn stop(&mut self) {
        self.stopping = true;
    }

    /// Complete responses per second, over the whole run.
    pub(super) fn mean_rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.counters.requests as f64 / seconds } else { 0.0 }
    }

    /// How much of the run is done, where its end is known: 0 to 1.
    pub(super) fn done(&self) -> f64 {
        let part = |done: f64, of: f64| if of > 0.0 { (done / of).min(1.0) } else { 0.0 };
        let Ending { duration, requests } = self.ending;
        let of_time =
            duration.map_or(0.0, |all| part(self.elapsed.as_secs_f64(), all.as_secs_f64()));
        // It ends at the first of both.
        requests.map_or(0.0, |all| part(self.counters.requests as f64, all as f64)).max(of_time)
    }

    /// How many intervals the run will have, if that is known.
    pub(super) fn expected_intervals(&self) -> Option<usize> {
        let length_us = self.last?.length_us.max(1) as f64;
        let duration = self.ending.duration.filter(|_| self.ending.requests.is_none())?;
        Some((duration.as_micros() as f64 / length_us).round() as usize)
    }

    /// Requests that an open loop had to send in the last interval.
    fn due(&self) -> Option<f64> {
        let (schedule, last) = (self.schedule.as_ref()?, self.last?);
        let at = |us: u64| schedule.requests_in(us.saturating_mul(1_000));
        Some(at(last.elapsed_us) - at(last.elapsed_us.saturating_sub(last.length_us)))
    }

    /// The rate that was asked for in the last interval, if one was.
    pub(super) fn rate_asked(&self) -> Option<f64> {
        let length_us = self.last?.length_us.max(1);
        self.due().map(|due| due * 1e6 / length_us as f64)
    }

    /// What limited the last interval.
    pub(super) fn verdict(&self) -> Option<SoFar> {
        self.last.as_ref().map(|last| so_far(last, self.shards, self.due()))
    }
}

/// The settings that matter most, in one line.
fn settings(config: &Config) -> String {
    let plural =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let mut parts =
        vec![plural(config.connections, "connection"), plural(config.threads, "thread")];
    parts.push(match &config.open_loop {
        Some(open) => format!("open loop {}", open.schedule),
        None => "closed loop".to_owned(),
    });
    if config.pipeline > 1 {
        parts.push(format!("pipelined x{}", config.pipeline));
    }
    if let Some(requests) = config.requests_per_connection {
        parts.push(format!("{requests} requests per connection"));
    }
    parts.join(", ")
}
