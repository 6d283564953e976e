//! What so many rounds can find, and how many it takes to find something.

/// Of the normal distribution: the quantile of 97.5 % (5 % two-sided) and that of 80 % (how often a
/// true difference is to be found), together.
const REACH: f64 = 2.8;

/// The sample standard deviation, 0 below two values.
pub fn stdev(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (squares / (count - 1.0)).sqrt()
}

/// The smallest true difference that so many rounds find in 80 % of comparisons, as a share: 0.01
/// for 1 %. `stdev` is that of the rounds' ln(ratio).
pub fn detectable(stdev: f64, rounds: usize) -> f64 {
    (REACH * stdev / (rounds as f64).sqrt()).exp_m1()
}

/// The rounds that find a true difference of `share` in 80 % of comparisons.
pub fn rounds_needed(stdev: f64, share: f64) -> u64 {
    // As a cast saturates, a difference of 0 takes all the rounds there are.
    (REACH * stdev / share.ln_1p()).powi(2).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_known_figures() {
        assert!(
            (stdev(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]) - (32.0_f64 / 7.0).sqrt()).abs()
                < 1e-12
        );
        assert!(stdev(&[1.0]).abs() < 1e-15 && stdev(&[]).abs() < 1e-15);
        // 2.8 * 0.025 / sqrt(20) = 0.01565.
        assert!((detectable(0.025, 20) - 0.015_776).abs() < 1e-5, "{}", detectable(0.025, 20));
        // (2.8 * 0.025 / 0.00995)^2 = 49.5.
        assert_eq!(rounds_needed(0.025, 0.01), 50);
        assert_eq!(rounds_needed(0.0, 0.01), 0);
    }

    #[test]
    fn the_two_are_each_others_inverse() {
        for rounds in [6, 20, 100] {
            let needed = rounds_needed(0.03, detectable(0.03, rounds));
            assert!((rounds as u64..=rounds as u64 + 1).contains(&needed), "{rounds} {needed}");
        }
    }
}
