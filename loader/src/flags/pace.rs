//! Flags of the open loop: when requests leave.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;

use super::conflict;
use super::parse::{
    parse_positive_duration, parse_positive_rate, parse_ramp, parse_spin, parse_stages,
};
use crate::config::{OpenLoopConfig, Sharing};
use crate::schedule::{Arrival, Schedule, Stage};

/// When requests leave. Without any of these: as soon as the last response is complete.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Open loop")]
pub struct PaceFlags {
    /// Send so many requests per second in all, whatever the server does, and measure from when
    /// each was due: wrk2's meaning.
    #[arg(short = 'R', long, value_name = "RATE", value_parser = parse_positive_rate,
          conflicts_with_all = ["ramp", "stages"])]
    pub rate: Option<f64>,

    /// Raise (or lower) the rate evenly over the run, from FROM to TO per second.
    #[arg(long, value_name = "FROM:TO", value_parser = parse_ramp, conflicts_with = "stages")]
    pub ramp: Option<(f64, f64)>,

    /// One rate after the other, as 10s@1k,30s@5k; 10s@1k-5k rises from one to the other.
    #[arg(long, value_name = "TIME@RATE,...", value_parser = parse_stages)]
    pub stages: Option<Stages>,

    /// How requests are spread over the time.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ArrivalFlag::Constant)]
    pub arrival: ArrivalFlag,

    /// Who sends a request that is due: any idle connection of its thread, or the one whose turn
    /// it is, as in wrk2.
    #[arg(long, value_enum, value_name = "HOW", default_value_t = ScheduleFlag::Shared)]
    pub schedule: ScheduleFlag,

    /// Never send a request that could not leave within this time of being due; it is counted as
    /// shed.
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration)]
    pub deadline: Option<Duration>,

    /// Stop sleeping this long before a request is due, and look for completions all the time
    /// instead: exact to about a microsecond, at the price of the core.
    #[arg(long, value_name = "TIME", value_parser = parse_spin, default_value = "0s",
          hide_default_value = true)]
    pub spin: Duration,

    /// Closed loop: also report latencies corrected as if a request had been expected at this
    /// interval on each connection. A guess; an open loop measures it.
    #[arg(long, value_name = "TIME", value_parser = parse_positive_duration,
          conflicts_with_all = ["rate", "ramp", "stages"])]
    pub expected_interval: Option<Duration>,
}

/// Stages, from a list such as `10s@1k,30s@5k`.
#[derive(Clone, Debug, PartialEq)]
pub struct Stages(pub Vec<Stage>);

/// How requests are spread over the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArrivalFlag {
    /// Evenly.
    Constant,
    /// At random, as independent users are.
    Poisson,
}

/// Who sends a request that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScheduleFlag {
    /// Any idle connection.
    Shared,
    /// The connection whose turn it is.
    PerConnection,
}

impl PaceFlags {
    /// Whether a rate was given.
    pub fn is_open_loop(&self) -> bool {
        self.rate.is_some() || self.ramp.is_some() || self.stages.is_some()
    }

    /// The open loop that is asked for, if one is, for a run of this duration, so many threads and
    /// bursts of so many requests.
    pub(super) fn open_loop(
        &self,
        duration: Option<Duration>,
        threads: usize,
        burst: NonZeroU32,
    ) -> Result<Option<OpenLoopConfig>, clap::Error> {
        let schedule = match (self.rate, self.ramp, &self.stages) {
            (Some(rate), ..) => Schedule::new([Stage::constant(None, rate)]),
            (None, Some((from, to)), _) => {
                if duration.is_none() {
                    return Err(conflict("--ramp needs -d/--duration: the time it is to take"));
                }
                Schedule::new([Stage { length: duration, from, to }])
            }
            (None, None, Some(Stages(stages))) => Schedule::new(stages.iter().copied()),
            (None, None, None) => return self.no_open_loop().map(|()| None),
        };
        check_peak(schedule.peak(), threads, burst)?;
        let poisson = self.arrival == ArrivalFlag::Poisson;
        if poisson && self.schedule == ScheduleFlag::PerConnection {
            return Err(conflict(
                "--arrival poisson cannot be combined with --schedule per-connection: arrivals \
                 are drawn for all connections of a thread together",
            ));
        }
        Ok(Some(OpenLoopConfig {
            schedule: Arc::new(schedule),
            arrival: if poisson { Arrival::Poisson } else { Arrival::Constant },
            sharing: match self.schedule {
                ScheduleFlag::Shared => Sharing::Shared,
                ScheduleFlag::PerConnection => Sharing::PerConnection,
            },
            deadline: self.deadline,
        }))
    }

    /// Flags that mean nothing without a rate are a mistake, not something to pass over.
    fn no_open_loop(&self) -> Result<(), clap::Error> {
        let named = [
            ("--arrival", self.arrival != ArrivalFlag::Constant),
            ("--schedule", self.schedule != ScheduleFlag::Shared),
            ("--deadline", self.deadline.is_some()),
            ("--spin", !self.spin.is_zero()),
        ];
        match named.into_iter().find(|(_, is_given)| *is_given) {
            Some((flag, _)) => Err(conflict(&format!(
                "{flag} is for the open loop: it needs -R/--rate, --ramp or --stages"
            ))),
            None => Ok(()),
        }
    }
}

/// Bursts per second that a thread can keep count of without falling behind, whether it can send
/// them or not.
const MOST_BURSTS_PER_SEC: f64 = 10e6;

fn check_peak(rate: f64, threads: usize, burst: NonZeroU32) -> Result<(), clap::Error> {
    let most = MOST_BURSTS_PER_SEC * threads as f64 * f64::from(burst.get());
    if rate <= most {
        return Ok(());
    }
    let whose = if threads == 1 { "1 thread" } else { &format!("{threads} threads") };
    Err(conflict(&format!(
        "a rate of {rate} is more than {whose} can keep up with, {most}: use more (-t/--threads), or \
         pipelining (-p/--pipeline)"
    )))
}
