//! Has the runs of a search made, and judges them.

use std::time::Duration;

use super::machine::{Found, Limits, LimitsError, Search, Step, StepResult};
use crate::gate::{Gate, Verdict};
use crate::report::RunReport;

/// A run that achieves less than this share of the rate it was asked for has failed: its latencies
/// are those of another load.
const ACHIEVED_SHARE: f64 = 0.99;

/// A shard that used more of its core than this was, or nearly was, the limit of the run.
const BUSY_CORE_SHARE: f64 = 0.90;

/// A search begins at this part of what a closed loop achieves: objectives are met at a half or
/// more of it on most servers, so that two or three steps lead past the limit.
const START_SHARE: f64 = 0.25;

/// A search, checked and complete.
#[derive(Clone, Debug)]
pub struct SearchConfig {
    search: Search,
    limits: Limits,
    slos: Vec<Gate>,
    step_duration: Duration,
    warm_up: Duration,
}

impl SearchConfig {
    /// A search for the highest rate at which all of `slos` hold, in runs of `step_duration`, each
    /// after one of `warm_up` that is not judged (zero if the runs warm up themselves).
    ///
    /// # Errors
    ///
    /// When the limits leave nothing to search.
    pub fn new(
        limits: Limits,
        slos: Vec<Gate>,
        step_duration: Duration,
        warm_up: Duration,
    ) -> Result<Self, LimitsError> {
        Ok(Self { search: Search::new(limits)?, limits, slos, step_duration, warm_up })
    }
}

/// Where to begin after a short probe with a closed loop: below what it achieved, within the
/// limits. Without a response it is where the limits say.
pub fn start_rate(probe: &RunReport, limits: &Limits) -> f64 {
    if probe.counters.requests == 0 {
        return limits.start_rate;
    }
    (probe.requests_per_sec() * START_SHARE).round().max(limits.min_rate).min(limits.max_rate)
}

/// A run that was slower than it was asked to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shortfall {
    /// The share of the requests that were due which were answered, or could not have been yet.
    pub achieved_share: f64,
    /// The share of its core that the busiest thread of the load generator used, if that was so
    /// much that ringload itself may be the reason.
    pub loader_share: Option<f64>,
}

/// A step that was made.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// What was asked for.
    pub step: Step,
    /// Complete responses per second.
    pub achieved_rate: f64,
    /// Complete responses.
    pub requests: u64,
    /// The median of the response times.
    pub p50_us: f64,
    /// Their 99th percentile.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
    /// What came of each objective, in their order.
    pub verdicts: Vec<Verdict>,
    /// That the rate was not achieved, if so.
    pub shortfall: Option<Shortfall>,
}

impl StepReport {
    /// Whether the rate was achieved and all objectives were met.
    pub fn met(&self) -> bool {
        self.shortfall.is_none() && self.verdicts.iter().all(|verdict| !verdict.breached)
    }

    fn of(step: Step, report: &RunReport, slos: &[Gate]) -> Self {
        let latency = &report.latency;
        Self {
            step,
            achieved_rate: report.requests_per_sec(),
            requests: report.counters.requests,
            p50_us: latency.percentile_ns(50.0) as f64 / 1e3,
            p99_us: latency.percentile_ns(99.0) as f64 / 1e3,
            max_us: latency.max_ns() as f64 / 1e3,
            verdicts: slos.iter().map(|slo| slo.require(report)).collect(),
            shortfall: shortfall(step.rate, report),
        }
    }
}

/// Whether fewer requests were answered than were due. Requests that were on their way when the run
/// ended do not count against the rate, but no more of them than the median service time explains:
/// a server that falls behind has ever more.
fn shortfall(rate: f64, report: &RunReport) -> Option<Shortfall> {
    let open = report.open_loop.as_ref();
    let due = open.map_or(rate * report.duration_us as f64 / 1e6, |open| open.due as f64);
    let service_time = open.map_or(&report.latency, |open| &open.service_time);
    let explained = match service_time.percentile_ns(50.0) {
        0 => 0.0,
        p50_ns => 1.0 + rate * p50_ns as f64 / 1e9,
    };
    let on_the_way = explained.min(report.unanswered.count as f64);
    let achieved_share = (report.counters.requests as f64 + on_the_way) / due.max(1.0);
    (achieved_share < ACHIEVED_SHARE).then(|| {
        let busiest = report.shard_core_shares.iter().copied().fold(0.0, f64::max);
        Shortfall { achieved_share, loader_share: (busiest > BUSY_CORE_SHARE).then_some(busiest) }
    })
}

/// The outcome of a search.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What was found.
    pub found: Found,
    /// All steps, in order.
    pub steps: Vec<StepReport>,
    /// The objectives.
    pub slos: Vec<Gate>,
    /// How far and how finely was searched.
    pub limits: Limits,
    /// How long each run was.
    pub step_duration: Duration,
}

impl Finding {
    /// The highest rate that was confirmed, in requests per second.
    pub fn rate(&self) -> Option<f64> {
        self.found.confirmed.map(|confirmed| confirmed.rate)
    }
}

/// Searches. `run_step` makes a run at a rate, in an open loop, for a time; `tell` hears of each
/// step that was judged. A run that was interrupted ends the search, and is not judged.
///
/// # Errors
///
/// The first error of `run_step`.
pub fn run_search<E>(
    config: &SearchConfig,
    mut run_step: impl FnMut(f64, Duration) -> Result<RunReport, E>,
    mut tell: impl FnMut(&StepReport),
) -> Result<Finding, E> {
    let mut search = config.search.clone();
    let mut steps = Vec::new();
    while let Some(step) = search.next_step() {
        let is_warm = config.warm_up.is_zero() || !run_step(step.rate, config.warm_up)?.interrupted;
        let report = if is_warm { Some(run_step(step.rate, config.step_duration)?) } else { None };
        let Some(report) = report.filter(|report| !report.interrupted) else {
            break;
        };
        let judged = StepReport::of(step, &report, &config.slos);
        tell(&judged);
        search.observe(StepResult { met: judged.met() });
        steps.push(judged);
    }
    Ok(Finding {
        found: search.finish(),
        steps,
        slos: config.slos.clone(),
        limits: config.limits,
        step_duration: config.step_duration,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;
    use crate::report::{OpenLoop, Unanswered};
    use ringbench_measure::Histogram;

    const STEP: Duration = Duration::from_secs(2);

    /// A run of two seconds in an open loop that answers up to `capacity` requests a second, in
    /// 1 ms up to `knee` and in 10 ms above.
    fn run(rate: f64, capacity: f64, knee: f64) -> RunReport {
        let mut report = fixtures::healthy();
        let mut times = Histogram::new();
        if capacity > 0.0 {
            times.record(if rate <= knee { 1_000_000 } else { 10_000_000 });
        }
        let due = (rate * 2.0) as u64;
        report.counters.requests = due.min((capacity * 2.0) as u64);
        report.unanswered =
            Unanswered { count: 64.min(due - report.counters.requests), oldest_us: 0 };
        report.latency = times.clone();
        report.open_loop = Some(OpenLoop {
            schedule: format!("constant {rate}/s"),
            rate_asked: rate,
            due,
            shed: 0,
            unsent: 0,
            oldest_unsent_us: 0,
            waited_for_connection: 0,
            service_time: times,
            send_lag: Histogram::new(),
            own_lag: Histogram::new(),
        });
        report
    }

    fn config(slos: &[&str], max_rate: f64, warm_up: Duration) -> SearchConfig {
        let slos = slos.iter().map(|slo| slo.parse().expect("a gate")).collect();
        let limits = Limits { max_rate, precision: 0.05, ..Limits::default() };
        SearchConfig::new(limits, slos, STEP, warm_up).expect("limits")
    }

    fn search(config: &SearchConfig, run: impl Fn(f64) -> RunReport) -> (Finding, Vec<u32>) {
        let mut told = Vec::new();
        let run = |rate, _| Ok::<_, ()>(run(rate));
        let finding = run_search(config, run, |step| told.push(step.step.number)).unwrap();
        (finding, told)
    }

    #[test]
    fn all_objectives_have_to_be_met() {
        let config = config(&["p99<5ms", "errors<1%"], 1e6, Duration::ZERO);
        let (finding, told) = search(&config, |rate| run(rate, 90_000.0, 40_000.0));
        let rate = finding.rate().unwrap();
        assert!((40_000.0 / 1.05..=40_000.0).contains(&rate), "{rate}");
        assert_eq!(told, (1..=finding.steps.len() as u32).collect::<Vec<_>>());
        let (finding, _) = search(&config, |rate| {
            let mut report = run(rate, 90_000.0, 40_000.0);
            report.counters.errors.status =
                if rate > 7_000.0 { report.counters.requests } else { 0 };
            report
        });
        let rate = finding.rate().unwrap();
        assert!((7_000.0 / 1.05..=7_000.0).contains(&rate), "{rate}");
    }

    #[test]
    fn a_rate_that_is_not_achieved_has_failed() {
        let config = config(&["p99<1s"], 1e6, Duration::ZERO);
        let (finding, _) = search(&config, |rate| run(rate, 20_000.0, 1e9));
        let rate = finding.rate().unwrap();
        assert!((20_000.0 / 1.05..=20_000.0 / 0.98).contains(&rate), "{rate}");
        let failed = finding.steps.iter().find(|step| !step.met()).unwrap();
        assert!(failed.verdicts.iter().all(|verdict| !verdict.breached));
        let shortfall = failed.shortfall.unwrap();
        assert!(shortfall.achieved_share < 0.99 && shortfall.loader_share.is_none());
    }

    #[test]
    fn requests_on_their_way_are_no_shortfall_but_a_backlog_is() {
        let mut report = run(100.0, 100.0, 0.0);
        // 10 ms at 100/s: one request is on its way, and one may be due any moment.
        report.counters.requests = 196;
        report.unanswered.count = 2;
        assert_eq!(shortfall(100.0, &report), None);
        report.counters.requests = 190;
        report.unanswered.count = 10;
        let found = shortfall(100.0, &report).unwrap();
        assert!((found.achieved_share - 0.96).abs() < 1e-9, "{found:?}");
        report.shard_core_shares = vec![0.2, 0.97];
        assert_eq!(shortfall(100.0, &report).unwrap().loader_share, Some(0.97));
        report.open_loop = None;
        assert!(shortfall(95.0, &report).is_none() && shortfall(100.0, &report).is_some());
    }

    #[test]
    fn warm_ups_are_not_judged() {
        let config = config(&["p99<5ms"], 2_000.0, Duration::from_secs(1));
        let mut durations = Vec::new();
        let run = |rate, duration| {
            durations.push(duration);
            // A cold server.
            Ok::<_, ()>(run(rate, 1e9, if duration == STEP { 1e9 } else { 0.0 }))
        };
        let finding = run_search(&config, run, |_| ()).unwrap();
        assert_eq!(finding.found.reason, crate::search::Reason::MaxRate);
        assert_eq!(durations, [Duration::from_secs(1), STEP].repeat(finding.steps.len()));
    }

    #[test]
    fn an_interruption_ends_the_search_and_an_error_is_passed_on() {
        let config = config(&["p99<5ms"], 1e6, Duration::ZERO);
        let mut left = 3;
        let run = |rate, _| {
            left -= 1;
            let mut report = run(rate, 1e9, 1e9);
            report.interrupted = left == 0;
            Ok::<_, ()>(report)
        };
        let finding = run_search(&config, run, |_| ()).unwrap();
        assert_eq!(finding.steps.len(), 2);
        assert_eq!((finding.found.reason, finding.rate()), (crate::search::Reason::Stopped, None));
        assert_eq!(run_search(&config, |_, _| Err("refused"), |_| ()).unwrap_err(), "refused");
    }

    #[test]
    fn a_probe_says_where_to_begin() {
        let limits = Limits::default();
        let start = |probe: &RunReport, limits: Limits| start_rate(probe, &limits) as u64;
        assert_eq!(start(&fixtures::healthy(), limits), 12_500);
        assert_eq!(start(&fixtures::silent(), limits), 1_000);
        assert_eq!(start(&fixtures::healthy(), Limits { max_rate: 9_000.0, ..limits }), 9_000);
        assert_eq!(start(&fixtures::healthy(), Limits { min_rate: 20_000.0, ..limits }), 20_000);
    }

    #[test]
    fn both_writers_say_what_was_found() {
        let config = config(&["p99<5ms"], 1e6, Duration::ZERO);
        let (finding, _) = search(&config, |rate| run(rate, 3_000.0, 1_500.0));
        let text = crate::search::Text(&finding).to_string();
        let expected = "\
Search for the highest rate that meets p99<5ms in runs of 2.00s
  Step  Purpose      Rate/s  Achieved/s       p50       p99       Max  Outcome
     1  rise           1000        1000    1.00ms    1.00ms    1.00ms  met
     2  rise           2000        2000   10.00ms   10.00ms   10.00ms  failed: p99 is 10.00ms
     3  bisect         1414        1414    1.00ms    1.00ms    1.00ms  met
     4  bisect         1682        1682   10.00ms   10.00ms   10.00ms  failed: p99 is 10.00ms
     5  bisect         1542        1542   10.00ms   10.00ms   10.00ms  failed: p99 is 10.00ms
     6  bisect         1477        1477    1.00ms    1.00ms    1.00ms  met
     7  confirm        1477        1477    1.00ms    1.00ms    1.00ms  met
     8  confirm        1477        1477    1.00ms    1.00ms    1.00ms  met
     9  confirm        1477        1477    1.00ms    1.00ms    1.00ms  met
    10  refute         1542        1542   10.00ms   10.00ms   10.00ms  failed: p99 is 10.00ms
Highest rate: 1477/s
  Confirmed  3 of 3 runs at 1477/s met the objectives; with 95 % confidence, at least 36 % of such runs do
  Above      1 of 1 repeated runs at 1542/s (+4.4 %) failed
";
        assert_eq!(text, expected);
        let json: serde_json::Value =
            serde_json::from_str(&crate::search::render_json(&finding).unwrap()).unwrap();
        assert_eq!(
            (&json["requests_per_sec"], &json["reason"]),
            (&1477.0.into(), &"bracketed".into())
        );
        assert_eq!(json["confirmed"]["chance_at_least"], 0.368);
        assert_eq!((&json["failed"]["runs"], &json["failed"]["met"]), (&1.into(), &0.into()));
        assert_eq!(json["steps"].as_array().unwrap().len(), 10);
        let step = &json["steps"][1];
        assert_eq!((&step["met"], &step["p99_us"]), (&false.into(), &10_000.0.into()));
        assert_eq!(step["verdicts"][0]["slo"], "p99<5ms");
        assert!(step["shortfall"].is_null());
    }

    #[test]
    fn what_is_not_found_is_said() {
        let text = |max_rate, capacity| {
            let config = config(&["p99<5ms"], max_rate, Duration::ZERO);
            let (finding, _) = search(&config, |rate| run(rate, capacity, 1e9));
            crate::search::Text(&finding).to_string()
        };
        let highest = text(3_000.0, 1e9);
        assert!(highest.contains("Highest rate: 3000/s\n  Confirmed  3 of 3 runs"), "{highest}");
        assert!(highest.contains("WARNING: the objectives are met up to the highest"), "{highest}");
        let lowest = text(3_000.0, 0.0);
        assert!(
            lowest.contains("Highest rate: none was confirmed\n  Failed     the run at 1.00/s")
        );
        assert!(
            lowest.contains("0.0 % of the rate achieved, the server did not keep up"),
            "{lowest}"
        );
        assert!(lowest.contains("p99 cannot be known: no response"), "{lowest}");
    }
}
