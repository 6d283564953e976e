//! What is run in which order: all of it is fixed before the first run, by a seed.

use std::time::Duration;

use super::results;
use super::spec::{ServerSpec, Suite, check_load, near};
use crate::ab::arm::PORT;
use crate::ab::tools::shown;

/// What a run takes beside its load, as long as nobody has seen one: the server's start, the check
/// of its answer, its end.
pub const OVERHEAD: Duration = Duration::from_millis(1_500);

/// A run that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Planned {
    /// The server's place in the suite.
    pub server: usize,
    /// The cell's place in the plan.
    pub cell: usize,
    /// Which of the repeats, from 1.
    pub repeat: u64,
}

/// A scenario at one number of connections.
#[derive(Clone, Debug, PartialEq)]
pub struct PlannedCell {
    /// As it is told.
    pub told: results::Cell,
    /// The scenario's place in the suite.
    pub scenario: usize,
    /// The flags of its load, but for the duration.
    pub load: Vec<String>,
    /// How long the server is warmed up.
    pub warm_up: Duration,
    /// How long it is loaded then.
    pub duration: Duration,
}

impl PlannedCell {
    /// How long the loads of a run take.
    pub fn load_time(&self) -> Duration {
        self.warm_up + self.duration
    }
}

/// All that is to be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The cells, in the order of the file.
    pub cells: Vec<PlannedCell>,
    /// The runs in their order.
    pub runs: Vec<Planned>,
}

impl Plan {
    /// Plans a suite: the first repeat of each server in each cell that it serves, in an order that
    /// `seed` shuffles, then the second, and so on. The load has so many cores.
    ///
    /// # Errors
    ///
    /// When ringload would refuse a load; the text names the scenario.
    pub fn new(suite: &Suite, load_cores: usize, seed: u64) -> Result<Self, String> {
        let cells = cells(suite, load_cores)?;
        let mut random = fastrand::Rng::with_seed(seed);
        let repeats = cells.iter().map(|cell| cell.told.repeats).max().unwrap_or_default();
        let mut runs = Vec::new();
        for repeat in 1..=repeats {
            let mut round = Vec::new();
            for (server, spec) in suite.servers.iter().enumerate() {
                let served = cells.iter().enumerate().filter(|(_, cell)| {
                    repeat <= cell.told.repeats && spec.has(&suite.scenarios[cell.scenario].needs)
                });
                round.extend(served.map(|(cell, _)| Planned { server, cell, repeat }));
            }
            random.shuffle(&mut round);
            runs.append(&mut round);
        }
        Ok(Self { cells, runs })
    }

    /// About how long runs take of which each takes so long beside its load.
    pub fn time(&self, runs: impl IntoIterator<Item = Planned>, overhead: Duration) -> Duration {
        runs.into_iter().map(|run| self.cells[run.cell].load_time() + overhead).sum()
    }

    /// The plan for people; servers have so many cores where they have none of their own.
    pub fn told(&self, servers: &[ServerSpec], server_cores: usize) -> String {
        use std::fmt::Write as _;
        let mut text = String::new();
        for cell in &self.cells {
            let told = &cell.told;
            // Writing to a string does not fail.
            let _ = writeln!(
                text,
                "{}: {}, {} x {:?} after {:?} of warm-up",
                told.name, told.request, told.repeats, cell.duration, cell.warm_up
            );
            let _ = writeln!(text, "    {}", told.load);
        }
        for (at, server) in servers.iter().enumerate() {
            let runs = self.runs.iter().filter(|run| run.server == at).count();
            let cores = server.cores.as_ref().map_or(server_cores, Vec::len);
            let _ = writeln!(text, "{}: {runs} runs of {}", server.name, server.shown(cores));
        }
        let time = self.time(self.runs.iter().copied(), OVERHEAD);
        let _ = writeln!(text, "{} runs, about {}", self.runs.len(), minutes(time));
        text
    }
}

/// A time for people who wait: `1h02m`, `12m30s`.
pub fn minutes(time: Duration) -> String {
    let whole = time.as_secs();
    let (hours, minutes, seconds) = (whole / 3_600, whole / 60 % 60, whole % 60);
    if hours > 0 { format!("{hours}h{minutes:02}m") } else { format!("{minutes}m{seconds:02}s") }
}

fn cells(suite: &Suite, load_cores: usize) -> Result<Vec<PlannedCell>, String> {
    let mut cells = Vec::new();
    for (at, scenario) in suite.scenarios.iter().enumerate() {
        for &connections in &scenario.connections {
            let load = scenario.load(connections, load_cores);
            let duration = ["-d".to_owned(), micros(scenario.duration)];
            let url = format!("http://127.0.0.1:{PORT}{}", scenario.path);
            let whole = [&load[..], &duration].concat();
            check_load(&whole, &url).map_err(|told| {
                format!("scenario `{}` at {connections} connections: {told}", scenario.name)
            })?;
            let told = results::Cell {
                name: format!("{} c={connections}", scenario.name),
                scenario: scenario.name.clone(),
                request: scenario.request.clone(),
                connections,
                threads: scenario.threads_at(connections, load_cores),
                rate: scenario.rate,
                pipeline_depth: scenario.pipeline,
                duration_ms: scenario.duration.as_millis() as u64,
                repeats: scenario.repeats,
                pick: scenario.pick,
                load: near(&format!("ringload {}", shown(&[&whole[..], &[url]].concat()))),
            };
            let (warm_up, duration) = (scenario.warm_up, scenario.duration);
            cells.push(PlannedCell { told, scenario: at, load, warm_up, duration });
        }
    }
    Ok(cells)
}

/// A duration as a flag takes it.
pub(super) fn micros(duration: Duration) -> String {
    match duration.as_micros() {
        whole if whole % 1_000_000 == 0 => format!("{}s", whole / 1_000_000),
        whole if whole % 1_000 == 0 => format!("{}ms", whole / 1_000),
        whole => format!("{whole}us"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use super::*;
    use crate::suite::spec::Suite;

    const SUITE: &str = r#"
name = "plan"
title = "Plan"
[defaults]
duration = "2s"
warm_up = "1s"
[[scenario]]
name = "hello"
path = "/"
connections = [1, 8]
repeats = 3
[[scenario]]
name = "orders"
path = "/orders"
connections = [8]
repeats = 2
[[server]]
name = "a"
command = "a {port}"
[[server]]
name = "b"
command = "b {port}"
serves = ["/"]
[[server]]
name = "c"
command = "c {port}"
"#;

    /// A suite out of its text; `name` tells this test from others.
    fn suite(name: &str, text: &str) -> (Suite, PathBuf) {
        let path =
            std::env::temp_dir().join(format!("ringload-plan-{name}-{}.toml", std::process::id()));
        std::fs::write(&path, text).expect("can be written");
        let suite = Suite::read(&path, false);
        std::fs::remove_file(&path).expect("it is there");
        (suite.expect("in order"), path)
    }

    fn plan(name: &str, seed: u64) -> Plan {
        Plan::new(&suite(name, SUITE).0, 1, seed).expect("in order")
    }

    #[test]
    fn every_run_is_in_it_once() {
        let plan = plan("once", 1);
        assert_eq!(plan.cells.len(), 3);
        // `a` and `c` in all cells, `b` only where it serves what is asked for.
        assert_eq!(plan.runs.len(), 2 * (3 + 3 + 2) + (3 + 3));
        assert_eq!(plan.runs.iter().collect::<BTreeSet<_>>().len(), plan.runs.len());
        assert!(plan.runs.iter().all(|run| run.server != 1 || run.cell < 2));
    }

    #[test]
    fn repeats_follow_each_other_and_each_is_shuffled() {
        let plan = plan("repeats", 1);
        let repeats: Vec<u64> = plan.runs.iter().map(|run| run.repeat).collect();
        assert!(repeats.is_sorted(), "{repeats:?}");
        let order = |repeat| -> Vec<_> {
            let round = plan.runs.iter().filter(|run| run.repeat == repeat);
            round.map(|run| (run.server, run.cell)).collect()
        };
        assert!(!order(1).is_sorted() && order(1) != order(2), "{:?}", plan.runs);
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(plan("seed", 5), plan("seed", 5));
        assert!((0..10).any(|seed| plan("seed", seed) != plan("seed", 5)));
    }

    #[test]
    fn a_cell_is_told_as_it_is_run() {
        let plan = plan("told", 1);
        let cell = &plan.cells[1].told;
        assert_eq!((cell.name.as_str(), cell.threads), ("hello c=8", 1));
        assert_eq!(cell.load, "ringload -c 8 -t 1 -d 2s http://127.0.0.1:8080/");
        assert_eq!(plan.cells[1].load, ["-c", "8", "-t", "1"]);
        let first = plan.time(plan.runs.iter().copied().take(2), OVERHEAD);
        assert_eq!(first, Duration::from_secs(9));
    }

    #[test]
    fn a_load_that_would_be_refused_is_told_before_anything_runs() {
        let text = SUITE.replace("connections = [8]", "connections = [8, 99999999]");
        let told = Plan::new(&suite("refused", &text).0, 1, 1).expect_err("too many");
        assert!(told.starts_with("scenario `orders` at 99999999 connections: "), "{told}");
        assert!(told.contains("--connections"), "{told}");
    }

    #[test]
    fn times_for_people() {
        assert_eq!(minutes(Duration::from_secs(75)), "1m15s");
        assert_eq!(minutes(Duration::from_secs(3_725)), "1h02m");
        assert_eq!(micros(Duration::from_secs(2)), "2s");
        assert_eq!(micros(Duration::from_micros(1_500)), "1500us");
        assert_eq!(micros(Duration::from_millis(1_500)), "1500ms");
    }
}
