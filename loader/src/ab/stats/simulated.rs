//! The rules, tried on noise whose truth is known: how often is what is equal called different, and
//! how often is a difference found?

use super::{Finding, Rules, Verdict, compare};

/// Metrics of one comparison, and the same of its A/A arm.
const METRICS: usize = 7;
/// The standard deviation of ln(ratio) that was measured with both arms at the same time.
const STDEV: f64 = 0.025;
/// Fewer drawings than in earnest, for the time they take; they only blur the interval a little.
const RULES: Rules = Rules { margin: 0.01, resamples: 400, seed: 1 };

#[derive(Clone, Copy, Debug)]
enum Noise {
    Normal,
    /// One value in ten is five times as far out; as a whole it has the same standard deviation.
    Tailed,
}

impl Noise {
    fn draw(self, random: &mut fastrand::Rng) -> f64 {
        // Box and Muller's way to a normal distribution.
        let radius = (-2.0 * (1.0 - random.f64()).ln()).sqrt();
        let normal = radius * (std::f64::consts::TAU * random.f64()).cos();
        match self {
            Self::Normal => STDEV * normal,
            Self::Tailed => {
                // 0.9 * 1 + 0.1 * 25 = 3.4 times the variance of the usual ones.
                let usual = STDEV / 3.4_f64.sqrt();
                normal * usual * if random.u32(..10) == 0 { 5.0 } else { 1.0 }
            }
        }
    }
}

/// One comparison in which the first metric truly differs by `share`.
fn comparison(noise: Noise, rounds: usize, share: f64, random: &mut fastrand::Rng) -> Vec<Finding> {
    let mut tested: Vec<Vec<f64>> =
        (0..2 * METRICS).map(|_| (0..rounds).map(|_| noise.draw(random)).collect()).collect();
    tested[0].iter_mut().for_each(|ratio| *ratio += share.ln_1p());
    compare(&tested, &RULES)
}

fn is_different(finding: &Finding) -> bool {
    finding.verdict == Verdict::Different
}

#[test]
fn noise_has_the_deviation_that_it_should() {
    for noise in [Noise::Normal, Noise::Tailed] {
        let mut random = fastrand::Rng::with_seed(3);
        let drawn: Vec<f64> = (0..100_000).map(|_| noise.draw(&mut random)).collect();
        let stdev = super::power::stdev(&drawn);
        assert!((stdev / STDEV - 1.0).abs() < 0.03, "{noise:?}: {stdev}");
    }
}

/// As Holm's correction is over both arms, either of them is wrong about half as often as it may be,
/// and both together as often as it may: 5 % of 1,000, give or take three standard deviations.
#[test]
fn of_1000_comparisons_of_the_same_at_most_5_percent_are_called_different() {
    for (noise, rounds) in [(Noise::Normal, 20), (Noise::Tailed, 20), (Noise::Normal, 12)] {
        let mut random = fastrand::Rng::with_seed(20);
        let (mut different, mut void, mut either) = (0, 0, 0);
        for _ in 0..1_000 {
            let findings = comparison(noise, rounds, 0.0, &mut random);
            let (arm, control) = findings.split_at(METRICS);
            let wrong = [arm, control].map(|findings| findings.iter().any(is_different));
            different += u32::from(wrong[0]);
            void += u32::from(wrong[1]);
            either += u32::from(wrong[0] || wrong[1]);
        }
        let seen = format!("{noise:?}, {rounds} rounds: {different}, {void}, {either} of 1000");
        assert!(different <= 50 && void <= 50 && either <= 50 + 21, "{seen}");
    }
}

#[test]
fn a_true_3_percent_is_found_in_20_rounds_four_times_of_five() {
    for noise in [Noise::Normal, Noise::Tailed] {
        let mut random = fastrand::Rng::with_seed(21);
        let found =
            (0..500).filter(|_| is_different(&comparison(noise, 20, 0.03, &mut random)[0])).count();
        assert!(found >= 400, "{noise:?}: {found} of 500");
    }
}

/// The interval is not only right on average: it holds the truth as often as it says, nearly.
#[test]
fn intervals_hold_the_true_effect() {
    for noise in [Noise::Normal, Noise::Tailed] {
        let mut random = fastrand::Rng::with_seed(22);
        let (mut held, mut all) = (0, 0);
        for _ in 0..200 {
            for finding in comparison(noise, 20, 0.03, &mut random) {
                let truth = if all % (2 * METRICS) == 0 { 1.03 } else { 1.0 };
                held += u32::from(finding.interval.contains(truth));
                all += 1;
            }
        }
        let share = f64::from(held) / all as f64;
        assert!((0.92..=0.99).contains(&share), "{noise:?}: {share}");
    }
}

/// Where the smallest detectable difference is the true one, four of five are found: the formula
/// means what it says, before Holm's correction.
#[test]
fn the_smallest_detectable_difference_is_one() {
    let mut random = fastrand::Rng::with_seed(23);
    let share = super::power::detectable(STDEV, 20);
    let found = (0..2_000)
        .filter(|_| {
            let ratios: Vec<f64> =
                (0..20).map(|_| Noise::Normal.draw(&mut random) + share.ln_1p()).collect();
            super::signed_rank(&ratios).p < super::SIGNIFICANCE
        })
        .count();
    assert!((1_480..=1_700).contains(&found), "{found} of 2000");
}
