//! What k of n runs say about the chance that a run meets its objectives: exact bounds after
//! Clopper and Pearson (1934), which promise at least what they say, however few runs there were.

/// The largest p that can be claimed with 95 % confidence: if a run met its objectives with less
/// than this chance, `met` or more of `runs` would have done so in at most 5 % of all such series.
pub fn chance_at_least(met: u32, runs: u32) -> f64 {
    if met == 0 {
        return 0.0;
    }
    // P(X >= met) grows with p.
    solve(|p| at_least(met.min(runs), runs, p) >= 0.05)
}

/// The smallest p of which the same holds in the other direction.
pub fn chance_at_most(met: u32, runs: u32) -> f64 {
    1.0 - chance_at_least(runs.saturating_sub(met), runs)
}

/// The smallest p from 0 to 1 for which `holds`, which it does from there on.
fn solve(holds: impl Fn(f64) -> bool) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    // 53 halvings are all that a double can tell.
    for _ in 0..53 {
        let middle = f64::midpoint(low, high);
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// P(X >= k) of a binomial distribution.
fn at_least(k: u32, n: u32, p: f64) -> f64 {
    (k..=n).map(|i| choose(n, i) * p.powi(i as i32) * (1.0 - p).powi((n - i) as i32)).sum()
}

fn choose(n: u32, k: u32) -> f64 {
    (0..k).map(|i| f64::from(n - i) / f64::from(i + 1)).product()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-4, "{actual} is not {expected}");
    }

    #[test]
    fn bounds_are_those_of_the_tables() {
        // All of n: 0.05^(1/n).
        close(chance_at_least(3, 3), 0.05_f64.cbrt());
        close(chance_at_least(10, 10), 0.741_134);
        // One-sided 95 % bounds are the two-sided ones of 90 %: 8 of 10 is 0.4931 to 0.9632.
        close(chance_at_least(8, 10), 0.493_1);
        close(chance_at_most(8, 10), 0.963_2);
        close(chance_at_most(0, 3), 1.0 - 0.05_f64.cbrt());
    }

    #[test]
    fn nothing_is_claimed_of_nothing() {
        close(chance_at_least(0, 0), 0.0);
        close(chance_at_most(0, 0), 1.0);
        close(chance_at_least(0, 5), 0.0);
        close(chance_at_most(5, 5), 1.0);
    }

    #[test]
    fn more_runs_say_more() {
        let bounds: Vec<f64> = (1..20).map(|runs| chance_at_least(runs, runs)).collect();
        assert!(bounds.is_sorted(), "{bounds:?}");
    }
}
