//! What `done` is given: the summary, and the two objects with the figures.

use mlua::{Lua, MetaMethod, Table, UserData, UserDataFields, UserDataMethods};
use ringbench_measure::{Errors, Histogram, RateSamples};

/// The run in figures, for the script's `done`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How long the run took.
    pub duration_us: u64,
    /// Complete responses.
    pub requests: u64,
    /// Bytes received.
    pub bytes: u64,
    /// Failures.
    pub errors: Errors,
}

impl Summary {
    pub(super) fn to_table(self, lua: &Lua) -> mlua::Result<Table> {
        let Errors { connect, read, write, timeout, status } = self.errors;
        let errors = lua.create_table_from([
            ("connect", connect),
            ("read", read),
            ("write", write),
            ("status", status),
            ("timeout", timeout),
        ])?;
        let summary = lua.create_table_from([
            ("duration", self.duration_us),
            ("requests", self.requests),
            ("bytes", self.bytes),
        ])?;
        summary.set("errors", errors)?;
        Ok(summary)
    }
}

/// `latency` and `requests` in `done`: min, max, mean, stdev, percentile(p); `#` is the number of
/// distinct values, and a call with an index gives one of them and how often it was measured.
pub(super) struct Stats {
    min: u64,
    max: u64,
    mean: f64,
    stdev: f64,
    /// Distinct values in rising order, and their counts.
    values: Vec<(u64, u64)>,
    percentile: Box<dyn Fn(f64) -> u64 + Send + Sync>,
}

impl Stats {
    /// Latencies, in whole microseconds as in wrk.
    pub(super) fn of_latency(latency: &Histogram) -> Self {
        let mut values: Vec<(u64, u64)> = Vec::new();
        for (value_ns, count) in latency.buckets() {
            let value = whole_us(value_ns);
            match values.last_mut() {
                Some((last, counted)) if *last == value => *counted += count,
                _ => values.push((value, count)),
            }
        }
        let kept = latency.clone();
        Self {
            min: whole_us(latency.min_ns()),
            max: whole_us(latency.max_ns()),
            mean: latency.mean_ns() / 1_000.0,
            stdev: latency.stdev_ns() / 1_000.0,
            values,
            percentile: Box::new(move |percent| whole_us(kept.percentile_ns(percent))),
        }
    }

    /// Requests per second, sampled for each thread.
    pub(super) fn of_rates(rates: &RateSamples) -> Self {
        let moments = rates.moments();
        let kept = rates.clone();
        Self {
            min: moments.min(),
            max: moments.max(),
            mean: moments.mean(),
            stdev: moments.stdev(),
            values: rates.buckets().collect(),
            percentile: Box::new(move |percent| kept.percentile(percent)),
        }
    }
}

fn whole_us(value_ns: u64) -> u64 {
    value_ns.saturating_add(500) / 1_000
}

impl UserData for Stats {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        fields.add_field_method_get("min", |_, this| Ok(this.min));
        fields.add_field_method_get("max", |_, this| Ok(this.max));
        fields.add_field_method_get("mean", |_, this| Ok(this.mean));
        fields.add_field_method_get("stdev", |_, this| Ok(this.stdev));
    }

    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_method("percentile", |_, this, percent: f64| Ok((this.percentile)(percent)));
        methods.add_meta_method(MetaMethod::Len, |_, this, ()| Ok(this.values.len()));
        methods.add_meta_method(MetaMethod::Call, |_, this, index: f64| {
            let at = (index as usize).checked_sub(1);
            Ok(at.and_then(|at| this.values.get(at)).copied().unwrap_or_default())
        });
    }
}
