//! What Ringbench measures with: histograms and counters that each shard keeps for itself and that
//! are merged when they are read, samples of `/proc`, and wrk's way to write numbers.
//!
//! No clock, socket or thread is in here: times come in as arguments. What touches the
//! system are [`proc`], [`threads`] and [`machine`], which read files of `/proc`.
//!
//! | module | what it holds |
//! |---|---|
//! | [`histogram`] | [`Histogram`]: latencies in nanoseconds, bounded memory, exact mean and stdev |
//! | [`packed`] | [`Packed`]: a histogram as text (HdrHistogram V2) and back, nothing lost |
//! | [`spectrum`] | the steps of HdrHistogram's percentile tables |
//! | [`stats`] | [`Moments`] (exact running moments), [`RateSampler`] (the "Req/Sec" row) |
//! | [`counters`] | [`Counters`] of a shard and the [`SharedCounters`] it publishes them into |
//! | [`proc`] | CPU time, memory and context switches of a process |
//! | [`threads`] | the same of each of its threads, with run delays |
//! | [`machine`] | how all cores spend their time |
//! | [`units`] | wrk's formats for numbers, and parsers for its arguments |
//!
//! ```
//! use ringbench_measure::{Histogram, units};
//!
//! // Two shards record for themselves; the report merges.
//! let (mut a, mut b) = (Histogram::new(), Histogram::new());
//! a.record(180_000);
//! b.record(900_000);
//! a.merge(&b);
//! assert_eq!(a.count(), 2);
//! assert_eq!(units::duration_us(a.mean_ns() / 1_000.0), "540.00us");
//! assert_eq!(units::duration_us(a.max_ns() as f64 / 1_000.0), "0.90ms");
//! ```

#![forbid(unsafe_code)]

pub mod counters;
pub mod histogram;
pub mod machine;
pub mod packed;
pub mod proc;
pub mod spectrum;
pub mod stats;
pub mod threads;
pub mod units;

pub use counters::{Counters, Errors, SharedCounters};
pub use histogram::{Histogram, Summary};
pub use machine::MachineTimes;
pub use packed::{Packed, UnpackError};
pub use proc::{ProcError, ProcSample};
pub use spectrum::PercentileStep;
pub use stats::{Moments, RateSampler, RateSamples};
pub use threads::{ProcessThreads, ThreadSample, ThreadTimes};
pub use units::UnitError;
