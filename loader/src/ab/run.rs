//! Does the rounds of a comparison, one slot after the other.

use std::time::{Duration, Instant};

use ringbench_engine::allowed_cores;
use ringbench_measure::MachineTimes;
use serde_json::Value;

use super::arm::ArmSetup;
use super::metric::Metric;
use super::plan::{Arm, Mode, Place, Round, Seat, Slot, TooFewCores, places, plan};
use super::report::{AbReport, ArmTold, RoundRecord, RunRecord, SlotRecord};
use super::seat::{Outcomes, Ready, SeatError, wait_for_load};
use super::settings::host::{self, HostError, HostGuard};
use super::settings::{Applied, HostScripts, Outcome};
use super::stats::Rules;
use super::tools::{MissingTool, Tools};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AbError {
    /// A program of the system is missing.
    #[error(transparent)]
    Tool(#[from] MissingTool),
    /// Too few cores.
    #[error(transparent)]
    Cores(#[from] TooFewCores),
    /// The host's settings.
    #[error(transparent)]
    Host(#[from] HostError),
    /// Two arms at the same time have one host.
    #[error("--host sets the whole host, for one arm at a time: it needs --mode interleaved")]
    HostInDuet,
    /// A run failed.
    #[error("round {round}, arm {arm:?}: {source}")]
    Run {
        /// Counted from 1.
        round: usize,
        /// Who.
        arm: Arm,
        /// Why.
        source: Box<SeatError>,
    },
    /// Someone wanted it to end.
    #[error("interrupted: no answer")]
    Interrupted,
}

/// What is to be compared, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// The first arm.
    pub a: ArmSetup,
    /// The second.
    pub b: ArmSetup,
    /// How rounds are arranged.
    pub mode: Mode,
    /// How many there are, whatever comes out on the way.
    pub rounds: usize,
    /// How findings are judged; its seed is that of the plan as well.
    pub rules: Rules,
    /// Whether settings of the whole host are set, too.
    pub sets_host: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The round that is going on, from 1.
    pub round: usize,
    /// All of them.
    pub rounds: usize,
    /// Time left, from the slots so far; `None` before there was one.
    pub left: Option<Duration>,
}

impl Comparison {
    /// Does all rounds and judges them. `is_over` ends it early, without an answer.
    ///
    /// # Errors
    ///
    /// When anything could not be done as planned: a comparison with rounds missing is none.
    pub fn run(
        &self,
        mut news: impl FnMut(Progress),
        is_over: &dyn Fn() -> bool,
    ) -> Result<AbReport, AbError> {
        let runner = Runner::new(self, is_over)?;
        let rounds = plan(self.mode, self.rounds, self.rules.seed);
        let slots = rounds.iter().map(|round| round.slots.len()).sum::<usize>();
        let (began, mut done) = (Instant::now(), 0_usize);
        let mut told = [ArmTold::new(&self.a), ArmTold::new(&self.b)];
        let mut records = Vec::with_capacity(rounds.len());
        for (number, Round { slots: planned }) in (1..).zip(&rounds) {
            let mut record = RoundRecord { slots: Vec::with_capacity(planned.len()) };
            for slot in planned {
                let per_slot = (done > 0).then(|| began.elapsed() / done as u32);
                let left = per_slot.map(|each| each * (slots - done) as u32);
                news(Progress { round: number, rounds: rounds.len(), left });
                let runs = runner.slot(slot, number)?;
                record.slots.push(runs.record);
                for (seat, applied) in slot.iter().zip(runs.applied) {
                    told[usize::from(seat.arm == Arm::B)].take(number, applied);
                }
                done += 1;
            }
            records.push(record);
        }
        Ok(AbReport::new(self, &runner.places, told, records))
    }

    fn setup_of(&self, arm: Arm) -> &ArmSetup {
        if arm == Arm::B { &self.b } else { &self.a }
    }
}

/// What all slots have in common.
struct Runner<'a> {
    comparison: &'a Comparison,
    tools: Tools,
    places: Vec<Place>,
    is_over: &'a dyn Fn() -> bool,
    /// Of A and B, where they are needed.
    scripts: [Option<HostScripts>; 2],
}

/// What came of a slot.
struct Ran {
    record: SlotRecord,
    applied: Vec<Vec<Applied>>,
}

impl<'a> Runner<'a> {
    fn new(comparison: &'a Comparison, is_over: &'a dyn Fn() -> bool) -> Result<Self, AbError> {
        if comparison.sets_host && comparison.mode == Mode::Duet {
            return Err(AbError::HostInDuet);
        }
        let scripts = [&comparison.a, &comparison.b].map(|arm| {
            let folder = arm.profile.folder.as_ref().filter(|_| comparison.sets_host);
            let folder = folder.filter(|_| host::is_needed(&arm.profile));
            folder.map(|folder| HostScripts::of(folder)).transpose()
        });
        let [of_a, of_b] = scripts;
        Ok(Self {
            comparison,
            tools: Tools::find()?,
            places: places(comparison.mode, &allowed_cores())?,
            is_over,
            scripts: [of_a?, of_b?],
        })
    }

    /// The host as this arm wants it, if it has wishes.
    fn host_for(&self, seat: Seat) -> Result<Option<HostGuard<'_>>, AbError> {
        let scripts = self.scripts[usize::from(seat.arm == Arm::B)].as_ref();
        let folder = self.comparison.setup_of(seat.arm).profile.folder.as_ref();
        let guard = scripts.zip(folder).map(|(scripts, folder)| scripts.apply(folder));
        Ok(guard.transpose()?)
    }

    /// Runs the arms of a slot at the same time.
    fn slot(&self, slot: &Slot, round: usize) -> Result<Ran, AbError> {
        // Only an interleaved slot, of one seat, has a host to itself.
        let guard = self.host_for(slot[0])?;
        let ran = self.runs(slot).map_err(|(arm, source)| match source {
            SeatError::Interrupted => AbError::Interrupted,
            source => AbError::Run { round, arm, source: Box::new(source) },
        });
        let had_host = guard.is_some();
        if let Some(guard) = guard {
            // An error of the runs is the worse one.
            match guard.revert() {
                Err(error) if ran.is_ok() => return Err(error.into()),
                _ => {}
            }
        }
        let mut ran = ran?;
        if had_host {
            mark_host(&mut ran.applied);
        }
        Ok(ran)
    }

    fn runs(&self, slot: &Slot) -> Result<Ran, (Arm, SeatError)> {
        let of = |seat: &Seat| (self.comparison.setup_of(seat.arm), &self.places[seat.place]);
        let mut ready = Vec::with_capacity(slot.len());
        for seat in slot {
            let (arm, place) = of(seat);
            let prepared = Ready::prepare(&self.tools, arm, place, self.is_over);
            ready.push(prepared.map_err(|error| (seat.arm, error))?);
        }
        ready.iter_mut().for_each(Ready::mark_cpu);
        let before = MachineTimes::now();
        let mut loads = Vec::with_capacity(slot.len());
        for (seat, ready) in slot.iter().zip(&ready) {
            let (arm, place) = of(seat);
            loads.push(ready.start_load(arm, place).map_err(|error| (seat.arm, error))?);
        }
        // All of them, before anything is done that costs those that still run.
        for (seat, load) in slot.iter().zip(&mut loads) {
            let (arm, _) = of(seat);
            wait_for_load(arm, load, self.is_over).map_err(|error| (seat.arm, error))?;
        }
        let machine = before.zip(MachineTimes::now()).map(|(before, now)| now.since(&before));
        let mut outcomes = Vec::with_capacity(slot.len());
        for ((seat, ready), load) in slot.iter().zip(&mut ready).zip(loads) {
            let (arm, _) = of(seat);
            let finished = ready.finish_load(arm, load);
            outcomes.push(finished.map_err(|error| (seat.arm, error))?);
        }
        let mut applied = Vec::with_capacity(slot.len());
        for (seat, mut ready) in slot.iter().zip(ready) {
            applied.push(std::mem::take(&mut ready.applied));
            ready.end().map_err(|error| (seat.arm, error))?;
        }
        let record = record_slot(slot, &outcomes, machine);
        Ok(Ran { record, applied })
    }
}

/// What the scripts have set is not left alone after all.
fn mark_host(applied: &mut [Vec<Applied>]) {
    for one in applied.iter_mut().flatten() {
        if one.outcome == Outcome::HostOnly {
            one.outcome = Outcome::AppliedToHost;
        }
    }
}

fn record_slot(slot: &Slot, outcomes: &[Outcomes], machine: Option<MachineTimes>) -> SlotRecord {
    let runs: Vec<RunRecord> =
        slot.iter().zip(outcomes).map(|(seat, outcomes)| record_run(*seat, outcomes)).collect();
    let own_ns = runs.iter().map(|run| run.cpu_ns).sum::<Option<u64>>();
    let foreign_share = machine.zip(own_ns).and_then(|(times, own_ns)| foreign(&times, own_ns));
    SlotRecord { steal_share: machine.map(|times| times.share(times.steal)), foreign_share, runs }
}

/// Of all cores' time, the share that was used by anyone but the arms; `None` of a time too short
/// for the kernel's ticks. The start of the loads is in it.
fn foreign(times: &MachineTimes, own_ns: u64) -> Option<f64> {
    /// A tick of /proc/stat.
    const TICK_NS: u64 = 10_000_000;
    if times.total == 0 {
        return None;
    }
    let busy = times.total.saturating_sub(times.idle + times.steal);
    let own = own_ns as f64 / TICK_NS as f64;
    Some(((busy as f64 - own) / times.total as f64).max(0.0))
}

fn record_run(seat: Seat, outcomes: &Outcomes) -> RunRecord {
    let report = &outcomes.report;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_u64);
    let errors = report.get("errors").and_then(Value::as_object);
    let errors = errors.into_iter().flatten();
    RunRecord {
        arm: seat.arm,
        place: seat.place,
        values: Metric::ALL.map(|metric| metric.of(report, outcomes.server_cpu_ns)),
        requests: number("/requests").unwrap_or_default(),
        errors: errors.map(|(kind, count)| (kind.clone(), count.as_u64().unwrap_or(0))).collect(),
        unanswered: number("/unanswered/count").unwrap_or_default(),
        listen: outcomes.losses,
        cpu_ns: outcomes
            .server_cpu_ns
            .zip(number("/loader/cpu_ns"))
            .map(|(server, loader)| server + loader),
        warnings: report
            .get("warnings")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(|warning| Some(warning.as_str()?.to_owned()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_is_what_is_busy_and_not_ours() {
        // Two cores for a second: 200 ticks, 40 idle, 10 stolen, 150 busy; ours are 1.4 s.
        let times = MachineTimes { cores: 2, total: 200, idle: 40, softirq: 0, steal: 10 };
        let share = foreign(&times, 1_400_000_000).expect("long enough");
        assert!((share - 0.05).abs() < 1e-9, "{share}");
        // Ticks are coarse: never less than nothing.
        assert_eq!(foreign(&times, 1_600_000_000), Some(0.0));
        assert_eq!(foreign(&MachineTimes::default(), 0), None);
    }

    #[test]
    fn a_run_is_recorded_as_it_was_reported() {
        let report = serde_json::json!({
            "requests": 10, "requests_per_sec": 5.0,
            "errors": {"connect": 0, "read": 2}, "unanswered": {"count": 1},
            "loader": {"cpu_ns": 12, "cpu_us_per_request": 1.2},
            "warnings": ["w"],
        });
        let seat = Seat { arm: Arm::B, place: 1 };
        let run = record_run(seat, &Outcomes { report, server_cpu_ns: Some(30_000), losses: None });
        assert_eq!((run.requests, run.unanswered, run.cpu_ns), (10, 1, Some(30_012)));
        assert_eq!((run.errors.get("read"), run.errors_total()), (Some(&2), 2));
        assert_eq!(run.warnings, ["w"]);
        let rates = [Some(5.0), Some(3.0), Some(1.2)];
        assert_eq!(run.values[..3], rates);
        assert_eq!(run.values[3..], [None; 4]);
    }
}
