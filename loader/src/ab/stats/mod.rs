//! What can be said of two arms from the ratios of their rounds. Nothing here knows what was
//! measured, or how.
//!
//! Per round there is l = ln(B/A). The effect is exp(median l), with a percentile bootstrap interval
//! over rounds ([`bootstrap`]); the test is Wilcoxon's signed-rank ([`wilcoxon`]), its p raised by
//! Holm's way for all that is tested together ([`holm()`]); [`power`] tells what so many rounds could
//! have found at all.
//!
//! ```
//! use ringload::ab::stats::{Rules, Verdict, compare};
//!
//! // Two metrics of 20 rounds: one that is 3 % up in each, give or take, and one that is not.
//! let up = (0..20).map(|round| 0.03 + 0.01 * f64::from(round % 3 - 1)).collect();
//! let even = (0..20).map(|round| 0.01 * f64::from(round % 2) - 0.005).collect();
//! let findings = compare(&[up, even], &Rules::default());
//! assert_eq!(findings[0].verdict, Verdict::Different);
//! assert_eq!(findings[1].verdict, Verdict::Equivalent);
//! ```

use serde::Serialize;

pub mod bootstrap;
mod holm;
pub mod power;
#[cfg(test)]
mod scipy;
#[cfg(test)]
mod simulated;
pub mod wilcoxon;

pub use bootstrap::{Interval, median};
pub use holm::{fewest_rounds, holm};
pub use wilcoxon::signed_rank;

/// Below this, p (Holm) is taken for a difference.
pub const SIGNIFICANCE: f64 = 0.05;
/// What share of such intervals hold the true effect.
pub const CONFIDENCE: f64 = 0.95;

/// How findings are judged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Differences up to this share do not matter: 0.01 for 1 %.
    pub margin: f64,
    /// Drawings of the bootstrap.
    pub resamples: usize,
    /// What its random numbers start from.
    pub seed: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { margin: 0.01, resamples: 10_000, seed: 1 }
    }
}

impl Rules {
    /// The ratios that do not matter: as far below 1 as above, as ratios are.
    pub fn equivalent(&self) -> Interval {
        Interval { low: 1.0 / (1.0 + self.margin), high: 1.0 + self.margin }
    }
}

/// What can be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// B is not as A is: p (Holm) is below [`SIGNIFICANCE`], and the interval excludes 1.
    Different,
    /// Whatever the difference, it is not larger than the margin: the interval lies within it.
    Equivalent,
    /// Neither.
    NotShown,
}

/// One metric of two arms.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// Rounds in which both arms have it.
    pub rounds: usize,
    /// B as a multiple of A.
    pub effect: f64,
    /// The interval of the effect.
    pub interval: Interval,
    /// Of the signed-rank test alone.
    pub p: f64,
    /// Raised for all that was tested together.
    pub p_holm: f64,
    /// Whether p was counted out, not approximated.
    pub is_exact: bool,
    /// Standard deviation of ln(B/A) over rounds.
    pub stdev_ln: f64,
    /// The smallest true difference that would have been found four times of five, as a share.
    pub detectable: f64,
    /// Rounds that would find one as large as the margin as often, and no fewer than can show
    /// anything; `None` with a margin of 0.
    pub rounds_needed: Option<u64>,
    /// What can be said.
    pub verdict: Verdict,
}

/// Judges all that was tested in one experiment, each given as ln(B/A) of its rounds.
///
/// # Panics
///
/// When one of them has no round: it was not tested, and does not belong here.
pub fn compare(tested: &[Vec<f64>], rules: &Rules) -> Vec<Finding> {
    let tests: Vec<_> = tested.iter().map(|ratios| signed_rank(ratios)).collect();
    let raised = holm(&tests.iter().map(|test| test.p).collect::<Vec<_>>());
    let fewest = fewest_rounds(tested.len(), SIGNIFICANCE);
    let mut findings = Vec::with_capacity(tested.len());
    for (place, ((ratios, test), p_holm)) in tested.iter().zip(tests).zip(raised).enumerate() {
        let seed = rules.seed.wrapping_add(place as u64);
        let drawn = bootstrap::median_interval(ratios, CONFIDENCE, rules.resamples, seed);
        let interval = Interval { low: drawn.low.exp(), high: drawn.high.exp() };
        let stdev_ln = power::stdev(ratios);
        findings.push(Finding {
            rounds: ratios.len(),
            effect: median(ratios).unwrap_or_default().exp(),
            interval,
            p: test.p,
            p_holm,
            is_exact: test.is_exact,
            stdev_ln,
            detectable: power::detectable(stdev_ln, ratios.len()),
            rounds_needed: (rules.margin > 0.0)
                .then(|| power::rounds_needed(stdev_ln, rules.margin).max(fewest.into())),
            verdict: judge(p_holm, &interval, rules),
        });
    }
    findings
}

fn judge(p_holm: f64, interval: &Interval, rules: &Rules) -> Verdict {
    if p_holm < SIGNIFICANCE && !interval.contains(1.0) {
        Verdict::Different
    } else if interval.is_within(&rules.equivalent()) {
        Verdict::Equivalent
    } else {
        Verdict::NotShown
    }
}

impl Finding {
    /// Whether it differs, but by less than matters.
    pub fn is_within_margin(&self, rules: &Rules) -> bool {
        self.interval.is_within(&rules.equivalent())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { margin: 0.01, resamples: 1_000, seed: 1 };

    #[test]
    fn a_difference_needs_both_p_and_interval() {
        let at = |low, high| Interval { low, high };
        assert_eq!(judge(0.049, &at(1.001, 1.1), &RULES), Verdict::Different);
        assert_eq!(judge(0.049, &at(0.9, 0.999), &RULES), Verdict::Different);
        assert_eq!(judge(0.05, &at(1.001, 1.1), &RULES), Verdict::NotShown);
        assert_eq!(judge(0.001, &at(1.0, 1.1), &RULES), Verdict::NotShown);
        assert_eq!(judge(0.9, &at(0.995, 1.01), &RULES), Verdict::Equivalent);
        assert_eq!(judge(0.9, &at(0.98, 1.005), &RULES), Verdict::NotShown);
        // Both: it differs, and does not matter.
        assert_eq!(judge(0.001, &at(1.002, 1.008), &RULES), Verdict::Different);
    }

    #[test]
    fn six_rounds_show_one_metric_but_not_seven() {
        let up = vec![0.05, 0.04, 0.06, 0.05, 0.045, 0.055];
        assert_eq!(compare(std::slice::from_ref(&up), &RULES)[0].verdict, Verdict::Different);
        let findings = compare(&vec![up; 7], &RULES);
        assert!(findings.iter().all(|finding| finding.verdict == Verdict::NotShown));
        let needed: Vec<_> = findings.iter().filter_map(|finding| finding.rounds_needed).collect();
        assert_eq!(needed, [9; 7], "the rounds that Holm takes");
    }

    #[test]
    fn rounds_without_any_difference_are_equivalent() {
        let finding = compare(&[vec![0.0; 8]], &RULES)[0];
        assert_eq!(finding.verdict, Verdict::Equivalent);
        assert!(finding.effect.to_bits() == 1.0_f64.to_bits() && finding.detectable.abs() < 1e-15);
        assert!(finding.is_within_margin(&RULES));
    }

    #[test]
    fn without_a_margin_nothing_is_equivalent_and_no_rounds_are_told() {
        let rules = Rules { margin: 0.0, ..RULES };
        let finding = compare(&[vec![0.01, -0.01, 0.02, -0.02, 0.0, 0.005]], &rules)[0];
        assert_eq!((finding.verdict, finding.rounds_needed), (Verdict::NotShown, None));
    }
}
