//! A comparison as it is told: what was done, what was seen in each round, and what follows.
//!
//! [`AbReport`] holds all of it; the writers make text ([`text`]), JSON ([`json`]), Markdown
//! ([`markdown`]) and a page of HTML ([`html`]) of it, and do no I/O. Sentences are those of
//! [`words`] in all of them.

use std::collections::BTreeMap;

use serde::Serialize;

use super::arm::ArmSetup;
use super::metric::Metric;
use super::netns::ListenLosses;
use super::plan::{Arm, Mode, Place};
use super::run::Comparison;
use super::settings::Applied;
use super::stats::{self, Finding, Rules, Verdict, median};

#[cfg(test)]
pub(crate) mod fixtures;
pub mod html;
pub mod json;
pub mod markdown;
mod remarks;
pub mod text;
pub mod words;

/// An arm as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArmTold {
    /// The name of its profile.
    pub profile: String,
    /// Its server, as it could be typed.
    pub server: String,
    /// Its load, as it could be typed.
    pub load: String,
    /// What became of its settings in its first run.
    pub settings: Vec<Applied>,
    /// Where a later run differed from that.
    pub drift: Vec<String>,
    /// Files of the profile that were not applied.
    pub left_out: Vec<String>,
    #[serde(skip)]
    has_run: bool,
}

impl ArmTold {
    /// Of an arm that has not run yet.
    pub fn new(arm: &ArmSetup) -> Self {
        Self {
            profile: arm.profile.name.clone(),
            server: arm.shown_server(),
            load: arm.shown_load(),
            settings: Vec::new(),
            drift: Vec::new(),
            left_out: arm.profile.left_out.clone(),
            has_run: false,
        }
    }

    /// Takes what became of its settings in a run.
    pub(super) fn take(&mut self, round: usize, applied: Vec<Applied>) {
        if !self.has_run {
            (self.settings, self.has_run) = (applied, true);
            return;
        }
        let differs = |(first, now): &(&Applied, &Applied)| {
            (&first.outcome, &first.now) != (&now.outcome, &now.now)
        };
        let differing = self.settings.iter().zip(&applied).filter(differs);
        let told = differing.map(|(_, now)| format!("round {round}: {}", now.words()));
        self.drift.extend(told.collect::<Vec<_>>());
    }
}

/// A run as it was.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRecord {
    /// Who.
    pub arm: Arm,
    /// On which of the places.
    pub place: usize,
    /// In the order of [`Metric::ALL`]; `None` where the run had no such figure.
    pub values: [Option<f64>; Metric::ALL.len()],
    /// Complete responses.
    pub requests: u64,
    /// Failures by kind.
    pub errors: BTreeMap<String, u64>,
    /// Requests without an answer at the end.
    pub unanswered: u64,
    /// Connections that listeners lost.
    pub listen: Option<ListenLosses>,
    /// CPU time of server and load together.
    pub cpu_ns: Option<u64>,
    /// ringload's own reasons for distrust.
    pub warnings: Vec<String>,
}

impl RunRecord {
    /// All failures.
    pub fn errors_total(&self) -> u64 {
        self.errors.values().sum()
    }
}

/// What ran at the same time, and what else the machine did.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotRecord {
    /// Of all cores' time, what a hypervisor gave to others.
    pub steal_share: Option<f64>,
    /// Of all cores' time, what anyone but the arms used.
    pub foreign_share: Option<f64>,
    /// The runs.
    pub runs: Vec<RunRecord>,
}

/// A round.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundRecord {
    /// In the order in which they ran.
    pub slots: Vec<SlotRecord>,
}

impl RoundRecord {
    /// The value of an arm in this round, and that of A to compare it with: of the same slot where A
    /// is in it.
    fn pair(&self, arm: Arm, metric: usize) -> Option<(f64, f64)> {
        let of = |slot: &SlotRecord, arm| {
            slot.runs.iter().find(|run| run.arm == arm).map(|run| run.values[metric])
        };
        let slot = self.slots.iter().find(|slot| of(slot, arm).is_some())?;
        let a = of(slot, Arm::A).or_else(|| self.slots.iter().find_map(|slot| of(slot, Arm::A)))?;
        Some((a?, of(slot, arm)??))
    }

    /// All its runs.
    pub fn runs(&self) -> impl Iterator<Item = &RunRecord> {
        self.slots.iter().flat_map(|slot| &slot.runs)
    }
}

/// A metric of an arm beside A's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Compared {
    /// What.
    pub metric: Metric,
    /// The median of A, over rounds.
    pub a: f64,
    /// The median of the other.
    pub other: f64,
    /// What can be said.
    pub finding: Finding,
}

/// A comparison that was done.
#[derive(Clone, Debug, PartialEq)]
pub struct AbReport {
    /// How rounds were arranged.
    pub mode: Mode,
    /// How many were planned, and done.
    pub rounds: usize,
    /// How findings were judged.
    pub rules: Rules,
    /// The cores of each place.
    pub places: Vec<Place>,
    /// A and B.
    pub arms: [ArmTold; 2],
    /// B beside A.
    pub findings: Vec<Compared>,
    /// The control, A once more, beside A.
    pub control: Vec<Compared>,
    /// All rounds.
    pub records: Vec<RoundRecord>,
    /// Reasons to doubt it, and what should be known of it.
    pub warnings: Vec<String>,
}

impl AbReport {
    /// Judges what was seen.
    pub fn new(
        comparison: &Comparison,
        places: &[Place],
        arms: [ArmTold; 2],
        records: Vec<RoundRecord>,
    ) -> Self {
        let rules = comparison.rules;
        let (findings, control) = judge(&records, &rules);
        let mut report = Self {
            mode: comparison.mode,
            rounds: comparison.rounds,
            rules,
            places: places.to_vec(),
            arms,
            findings,
            control,
            records,
            warnings: Vec::new(),
        };
        report.warnings = remarks::warnings(&report);
        report
    }

    /// Metrics in which A differs from itself: with any of them, no other difference can be
    /// believed.
    pub fn void_because(&self) -> impl Iterator<Item = &Compared> {
        self.control.iter().filter(|compared| compared.finding.verdict == Verdict::Different)
    }

    /// Whether there is no answer.
    pub fn is_void(&self) -> bool {
        self.void_because().next().is_some()
    }

    /// Tests that were made together.
    pub fn tests(&self) -> usize {
        self.findings.len() + self.control.len()
    }
}

/// With fewer rounds there is no test to speak of: two chances in 2^5 are more than one in twenty.
const FEWEST_PAIRS: usize = 6;

/// B and the control beside A, all tested together.
fn judge(records: &[RoundRecord], rules: &Rules) -> (Vec<Compared>, Vec<Compared>) {
    let mut sources = Vec::new();
    for arm in [Arm::B, Arm::Control] {
        for (place, metric) in Metric::ALL.into_iter().enumerate() {
            let pairs: Vec<(f64, f64)> =
                records.iter().filter_map(|round| round.pair(arm, place)).collect();
            // What few rounds have is not tested; that it is missing is a warning.
            if pairs.len() >= FEWEST_PAIRS {
                sources.push((arm, metric, pairs));
            }
        }
    }
    let ratios = |pairs: &[(f64, f64)]| pairs.iter().map(|(a, other)| (other / a).ln()).collect();
    let tested: Vec<Vec<f64>> = sources.iter().map(|(_, _, pairs)| ratios(pairs)).collect();
    let judged = stats::compare(&tested, rules);
    let (mut findings, mut control) = (Vec::new(), Vec::new());
    for ((arm, metric, pairs), finding) in sources.into_iter().zip(judged) {
        let middle = |of: fn(&(f64, f64)) -> f64| {
            median(&pairs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default()
        };
        let compared =
            Compared { metric, a: middle(|pair| pair.0), other: middle(|pair| pair.1), finding };
        if arm == Arm::B { &mut findings } else { &mut control }.push(compared);
    }
    (findings, control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arm_is_compared_with_the_a_that_ran_beside_it() {
        let report = fixtures::report(0.0, 0.0);
        let round = &report.records[0];
        // The two duets are of different speed; the ratio is within each.
        let (a, b) = round.pair(Arm::B, 0).expect("there");
        let (a_of_control, control) = round.pair(Arm::Control, 0).expect("there");
        assert!((a / a_of_control - 1.0).abs() > 0.1, "{a} {a_of_control}");
        assert!((b / a - 1.0).abs() < 0.05 && (control / a_of_control - 1.0).abs() < 0.05);
    }

    #[test]
    fn interleaved_rounds_have_one_a() {
        let slot = |arm, value| SlotRecord {
            steal_share: None,
            foreign_share: None,
            runs: vec![RunRecord { values: [Some(value); 7], ..fixtures::run(arm, 0) }],
        };
        let slots = vec![slot(Arm::Control, 3.0), slot(Arm::A, 1.0), slot(Arm::B, 2.0)];
        let round = RoundRecord { slots };
        assert_eq!(round.pair(Arm::B, 6), Some((1.0, 2.0)));
        assert_eq!(round.pair(Arm::Control, 0), Some((1.0, 3.0)));
    }

    #[test]
    fn a_difference_of_the_control_makes_it_void() {
        assert!(!fixtures::report(0.03, 0.0).is_void());
        let void = fixtures::report(0.03, 0.03);
        assert!(void.is_void());
        assert_eq!(
            void.void_because().next().map(|compared| compared.metric),
            Some(Metric::RequestsPerSec)
        );
    }

    #[test]
    fn what_no_round_has_is_not_tested_but_told() {
        let report = fixtures::report_without(Metric::ServerCpu);
        assert_eq!((report.findings.len(), report.control.len(), report.tests()), (6, 6, 12));
        assert!(report.warnings.iter().any(|warning| warning.contains("server CPU/request")));
    }

    #[test]
    fn settings_that_change_later_are_told() {
        use crate::ab::settings::{Outcome, Setting};
        let [mut arm, _] = fixtures::report(0.0, 0.0).arms;
        let setting =
            Setting { key: "net.x".to_owned(), path: "net/x".to_owned(), value: "1".to_owned() };
        let applied = |outcome| Applied {
            setting: setting.clone(),
            before: Some("0".to_owned()),
            now: Some("1".to_owned()),
            outcome,
        };
        arm.take(1, vec![applied(Outcome::Applied)]);
        arm.take(2, vec![applied(Outcome::Applied)]);
        assert_eq!(arm.drift, [""; 0]);
        arm.take(3, vec![applied(Outcome::Absent)]);
        assert_eq!(arm.drift, ["round 3: net.x: this kernel has no such key"]);
    }
}
