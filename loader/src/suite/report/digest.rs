//! What is picked out of all the runs: for each server and cell the one that stands for its repeats,
//! and the order in which servers are told of.

use std::collections::HashMap;

use super::figures::Figures;
use crate::suite::results::{Cell, Outcome, Pick, Run, Server, SuiteResults};

/// A suite as reports tell it.
pub(super) struct Digest<'a> {
    pub(super) results: &'a SuiteResults,
    pub(super) scenarios: Vec<Scenario<'a>>,
}

/// A scenario: its cells, and the servers in the order in which they are told.
pub(super) struct Scenario<'a> {
    pub(super) name: &'a str,
    pub(super) cells: Vec<&'a Cell>,
    pub(super) rows: Vec<Row<'a>>,
    /// Servers that were not asked for it: what it asks for is nothing that they serve.
    pub(super) absent: Vec<&'a str>,
}

/// A server in a scenario.
pub(super) struct Row<'a> {
    pub(super) server: &'a Server,
    /// As many as the scenario has cells.
    pub(super) standings: Vec<Standing<'a>>,
    /// From 1; only of those that were measured wherever anyone was.
    pub(super) rank: Option<usize>,
}

/// What became of a server in a cell.
pub(super) enum Standing<'a> {
    /// It was measured.
    Measured(Box<Measured<'a>>),
    /// None of its runs was.
    Failed(Failure<'a>),
    /// It has no run, or not yet.
    NotRun,
    /// Nothing of the server was run.
    LeftOut,
}

/// The run that was picked.
pub(super) struct Measured<'a> {
    pub(super) run: &'a Run,
    pub(super) figures: Figures,
    /// The fewest and most requests per second of the runs that it was picked from.
    pub(super) spread: (f64, f64),
    /// How many it was picked from.
    pub(super) of: usize,
    /// How many there are, those with errors and those that failed included.
    pub(super) made: usize,
}

/// A run that was not measured.
#[derive(Clone)]
pub(super) struct Failure<'a> {
    pub(super) run: &'a Run,
    pub(super) word: &'static str,
    pub(super) told: String,
}

impl<'a> Failure<'a> {
    /// What kept a run from being measured; `None` if nothing did.
    pub(super) fn of(run: &'a Run) -> Option<Self> {
        let (word, told) = match &run.outcome {
            Outcome::Measured => ("no report", Figures::of(run).err()?),
            Outcome::NotStarted { told } => ("not started", told.clone()),
            Outcome::WrongAnswer { told } => ("wrong answer", told.clone()),
            Outcome::Crashed { told } => ("crashed", told.clone()),
            Outcome::Hung { told } => ("hung", told.clone()),
            Outcome::LoadFailed { told } => ("load failed", told.clone()),
        };
        Some(Self { run, word, told })
    }
}

impl<'a> Standing<'a> {
    pub(super) fn measured(&self) -> Option<&Measured<'a>> {
        match self {
            Self::Measured(measured) => Some(measured),
            _ => None,
        }
    }

    fn of(server: &Server, cell: &Cell, runs: &[&'a Run]) -> Self {
        if server.left_out.is_some() {
            return Self::LeftOut;
        }
        let measured: Vec<(&'a Run, Figures)> = runs
            .iter()
            .filter(|run| run.outcome == Outcome::Measured)
            .filter_map(|run| Figures::of(run).ok().map(|figures| (*run, figures)))
            .collect();
        if let Some(picked) = pick(measured, cell.pick, runs.len()) {
            return Self::Measured(Box::new(picked));
        }
        runs.iter().rev().find_map(|run| Failure::of(run)).map_or(Self::NotRun, Self::Failed)
    }
}

/// The one that stands for all: of those without errors, if there are any.
fn pick(all: Vec<(&Run, Figures)>, pick: Pick, made: usize) -> Option<Measured<'_>> {
    let (clean, rest): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|(_, figures)| figures.is_clean());
    let mut pool = if clean.is_empty() { rest } else { clean };
    pool.sort_by(|(_, left), (_, right)| left.requests_per_sec.total_cmp(&right.requests_per_sec));
    let (fewest, most) = (pool.first()?.1.requests_per_sec, pool.last()?.1.requests_per_sec);
    let of = pool.len();
    let place = match pick {
        Pick::Best => of - 1,
        Pick::Median => (of - 1) / 2,
    };
    let (run, figures) = pool.swap_remove(place);
    Some(Measured { run, figures, spread: (fewest, most), of, made })
}

impl<'a> Digest<'a> {
    pub(super) fn of(results: &'a SuiteResults) -> Self {
        let mut runs: HashMap<(&str, &str), Vec<&'a Run>> = HashMap::new();
        for run in &results.runs {
            runs.entry((run.server.as_str(), run.cell.as_str())).or_default().push(run);
        }
        let mut scenarios: Vec<Scenario<'a>> = Vec::new();
        for cell in &results.cells {
            match scenarios.iter_mut().find(|scenario| scenario.name == cell.scenario) {
                Some(scenario) => scenario.cells.push(cell),
                None => scenarios.push(Scenario {
                    name: &cell.scenario,
                    cells: vec![cell],
                    rows: Vec::new(),
                    absent: Vec::new(),
                }),
            }
        }
        for scenario in &mut scenarios {
            for server in &results.servers {
                let of = |cell: &&'a Cell| {
                    let runs = runs.get(&(server.name.as_str(), cell.name.as_str()));
                    Standing::of(server, cell, runs.map(Vec::as_slice).unwrap_or_default())
                };
                let standings: Vec<Standing<'a>> = scenario.cells.iter().map(of).collect();
                let is_absent =
                    standings.iter().all(|standing| matches!(standing, Standing::NotRun));
                if is_absent && results.ended_unix_ms.is_some() {
                    scenario.absent.push(&server.name);
                } else {
                    scenario.rows.push(Row { server, standings, rank: None });
                }
            }
            scenario.rank();
        }
        Self { results, scenarios }
    }

    /// All runs that were not measured, each server's together, in the order of the file.
    pub(super) fn failures(&self) -> Vec<Failure<'a>> {
        let all: Vec<Failure<'a>> = self.results.runs.iter().filter_map(Failure::of).collect();
        let of = |server: &'a Server| {
            let its = all.iter().filter(|failure| failure.run.server == server.name);
            its.cloned().collect::<Vec<_>>()
        };
        self.results.servers.iter().flat_map(of).collect()
    }

    /// The runs that stand for the others.
    pub(super) fn picked(&self) -> impl Iterator<Item = &Measured<'a>> {
        let rows = self.scenarios.iter().flat_map(|scenario| &scenario.rows);
        rows.flat_map(|row| &row.standings).filter_map(Standing::measured)
    }
}

impl<'a> Scenario<'a> {
    /// Whether its requests leave on a schedule.
    pub(super) fn is_open(&self) -> bool {
        self.cells.iter().all(|cell| cell.rate.is_some())
    }

    /// Whether there is any run of a cell.
    pub(super) fn is_begun(&self, cell: usize) -> bool {
        self.column(cell).any(|(_, standing)| !matches!(standing, Standing::NotRun))
    }

    /// Whether everybody's memory is known with shared pages split, so that all can be compared by it.
    pub(super) fn has_pss(&self) -> bool {
        let mut all = (0..self.cells.len()).flat_map(|cell| self.measured(cell));
        all.all(|(_, found)| found.run.usage.pss_max_bytes.is_some())
    }

    /// Each row with its standing in one of the cells, without the servers that were left out.
    pub(super) fn column(&self, cell: usize) -> impl Iterator<Item = (&Server, &Standing<'a>)> {
        self.rows
            .iter()
            .filter(|row| row.server.left_out.is_none())
            .map(move |row| (row.server, &row.standings[cell]))
    }

    /// Those of a cell that were measured.
    pub(super) fn measured(&self, cell: usize) -> impl Iterator<Item = (&Server, &Measured<'a>)> {
        self.column(cell)
            .filter_map(|(server, standing)| standing.measured().map(|found| (server, found)))
    }

    /// Puts the rows in order: measured everywhere, somewhere, failed, not run, left out. Within the
    /// first two it goes by merit, the geometric mean over cells, so that no single cell decides.
    fn rank(&mut self) {
        let best: Vec<f64> = (0..self.cells.len())
            .map(|cell| {
                let all = self.measured(cell).map(|(_, measured)| merit(measured));
                all.fold(0.0, f64::max)
            })
            .collect();
        let mut order: Vec<(usize, f64, Row<'a>)> = std::mem::take(&mut self.rows)
            .into_iter()
            .map(|row| {
                let (class, score) = row.class_and_score(&best);
                (class, score, row)
            })
            .collect();
        order.sort_by(|(class, score, _), (other_class, other, _)| {
            class.cmp(other_class).then(other.total_cmp(score))
        });
        let ranked = order
            .into_iter()
            .enumerate()
            .map(|(place, (class, _, row))| Row { rank: (class == 0).then_some(place + 1), ..row });
        self.rows = ranked.collect();
    }
}

impl Row<'_> {
    /// Where it belongs, and its merit there.
    fn class_and_score(&self, best: &[f64]) -> (usize, f64) {
        let (mut sum, mut count, mut missing) = (0.0, 0_usize, 0_usize);
        for (standing, best) in self.standings.iter().zip(best) {
            match standing.measured() {
                Some(measured) => {
                    // Whoever gave no good answer at all is behind everybody else.
                    let share = (merit(measured) / best).max(1e-12);
                    sum += if share.is_finite() { share.ln() } else { 0.0 };
                    count += 1;
                }
                // Nobody was measured there: that is no fault of this one.
                None if *best <= 0.0 && matches!(standing, Standing::NotRun) => {}
                None => missing += 1,
            }
        }
        let score = if count == 0 { 0.0 } else { (sum / count as f64).exp() };
        let class = match self.standings.iter().find(|it| it.measured().is_none()) {
            _ if count > 0 && missing == 0 => 0,
            _ if count > 0 => 1,
            Some(Standing::LeftOut) => 4,
            _ if self.standings.iter().any(|it| matches!(it, Standing::Failed(_))) => 2,
            _ => 3,
        };
        (class, score)
    }
}

/// More is better: good responses per second, or, where the rate was given, how short the 99th
/// percentile is.
fn merit(measured: &Measured<'_>) -> f64 {
    let figures = &measured.figures;
    match (&figures.open_loop, figures.latency()) {
        (Some(_), Some(latency)) => 1.0 / latency.p99.max(1e-3),
        (Some(_), None) => 0.0,
        (None, _) => figures.good_per_sec(),
    }
}
