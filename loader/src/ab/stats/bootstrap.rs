//! The interval of a median, by drawing from the values again and again.

/// An interval.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies in it, ends included.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Whether it lies within another, ends included.
    pub fn is_within(&self, other: &Self) -> bool {
        other.low <= self.low && self.high <= other.high
    }
}

/// The median; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        count if count % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The percentile bootstrap interval of the median that holds `level` (such as 0.95) of the medians
/// of `resamples` drawings with replacement. The same seed gives the same interval.
///
/// # Panics
///
/// When there are no values or no drawings.
pub fn median_interval(values: &[f64], level: f64, resamples: usize, seed: u64) -> Interval {
    assert!(!values.is_empty() && resamples > 0, "an interval is of something");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut drawn = vec![0_usize; sorted.len()];
    let mut medians: Vec<f64> =
        (0..resamples).map(|_| drawn_median(&sorted, &mut drawn, &mut random)).collect();
    medians.sort_by(f64::total_cmp);
    let outside = (1.0 - level) / 2.0;
    Interval { low: quantile(&medians, outside), high: quantile(&medians, 1.0 - outside) }
}

/// The median of one drawing: counted by place, as the values are in order already.
fn drawn_median(sorted: &[f64], drawn: &mut [usize], random: &mut fastrand::Rng) -> f64 {
    let count = sorted.len();
    drawn.fill(0);
    for _ in 0..count {
        drawn[random.usize(..count)] += 1;
    }
    let (lower, upper) = ((count - 1) / 2, count / 2);
    let (mut seen, mut low) = (0, None);
    for (value, times) in sorted.iter().zip(drawn.iter()) {
        seen += times;
        if low.is_none() && seen > lower {
            low = Some(*value);
        }
        if seen > upper {
            return f64::midpoint(low.unwrap_or(*value), *value);
        }
    }
    unreachable!("as many were drawn as there are values")
}

/// Between the two nearest, in proportion: numpy's and `SciPy`'s default.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (sorted[above] - sorted[below]) * (place - below as f64)
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn quantiles_lie_between_their_neighbours() {
        let values = [0.0, 10.0, 20.0];
        assert_eq!(
            [0.0, 0.25, 0.5, 1.0].map(|share| quantile(&values, share)),
            [0.0, 5.0, 10.0, 20.0]
        );
        assert_eq!(quantile(&[7.0], 0.3), 7.0);
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let values: Vec<f64> = (0..21).map(f64::from).collect();
        let of = |seed| median_interval(&values, 0.95, 1_000, seed);
        assert_eq!(of(1), of(1));
        assert!(of(1).contains(10.0) && !of(1).contains(0.0));
    }

    #[test]
    fn a_single_value_is_its_own_interval() {
        let interval = median_interval(&[2.0], 0.95, 10, 1);
        assert_eq!((interval.low, interval.high), (2.0, 2.0));
        assert!(interval.is_within(&Interval { low: 2.0, high: 3.0 }));
        assert!(!interval.is_within(&Interval { low: 2.1, high: 3.0 }));
    }

    /// The median of a drawing of an odd count n is at most the k-th value when more than n/2 of the
    /// drawn are, which is binomial: the bootstrap must come out there.
    #[test]
    fn the_drawings_have_the_distribution_that_can_be_computed() {
        let (count, resamples) = (9_usize, 40_000);
        let sorted: Vec<f64> = (0..count).map(|k| k as f64).collect();
        let mut random = fastrand::Rng::with_seed(7);
        let mut drawn = vec![0; count];
        let mut at_most = vec![0_u32; count];
        for _ in 0..resamples {
            let place = drawn_median(&sorted, &mut drawn, &mut random) as usize;
            at_most[place..].iter_mut().for_each(|seen| *seen += 1);
        }
        for (place, seen) in at_most.iter().enumerate() {
            let share = (place + 1) as f64 / count as f64;
            let expected: f64 =
                (count.div_ceil(2)..=count).map(|k| binomial(count, k, share)).sum();
            let seen = f64::from(*seen) / f64::from(resamples);
            // Four standard errors at the worst.
            assert!((seen - expected).abs() < 0.01, "{place}: {seen} {expected}");
        }
    }

    fn binomial(count: usize, hits: usize, share: f64) -> f64 {
        let ways = (0..hits).map(|k| (count - k) as f64 / (k + 1) as f64).product::<f64>();
        ways * share.powi(hits as i32) * (1.0 - share).powi((count - hits) as i32)
    }
}
