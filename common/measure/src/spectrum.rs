//! The steps in which HdrHistogram's libraries print a distribution: finer towards its end.

use crate::histogram::Histogram;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentileStep {
    /// The share of all values that the step stands for, 0 to 1.
    pub quantile: f64,
    /// The value that so many stay at or below.
    pub value_ns: u64,
    /// How many values are at or below it.
    pub count: u64,
}

impl Histogram {
    /// The distribution in steps that halve with the distance from 100 %, `ticks` for each half, as
    /// HdrHistogram's percentile iterator makes them (wrk2 takes 5). The last is the largest value,
    /// at 100 %. None when nothing was recorded.
    pub fn percentile_steps(&self, ticks: u32) -> Vec<PercentileStep> {
        let (total, mut steps) = (self.count(), Vec::new());
        let (mut next_percent, mut count) = (0.0, 0);
        for (value_ns, in_bucket) in self.buckets() {
            count += in_bucket;
            let percent = 100.0 * count as f64 / total as f64;
            while next_percent <= percent {
                steps.push(PercentileStep { quantile: next_percent / 100.0, value_ns, count });
                // The number of halvings between 0 and here: 1 in the first half, 2 in the next.
                let halves = (100.0 / (100.0 - next_percent)).log2().floor() + 1.0;
                next_percent += 100.0 / (f64::from(ticks) * halves.exp2());
                if count == total {
                    break;
                }
            }
        }
        if total > 0 {
            steps.push(PercentileStep { quantile: 1.0, value_ns: self.max_ns(), count });
        }
        steps
    }

    /// How many times its range doubles, and into how many parts each doubling is cut: what
    /// HdrHistogram's tables give at their end.
    pub fn bucket_shape(&self) -> (u64, u64) {
        // The smallest power of two that tells 2 * 10^digits values apart.
        let parts = 2 * 10_u64.pow(self.buckets.sigfig().into());
        (self.buckets.buckets().into(), parts.next_power_of_two())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_nothing_and_of_one() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.percentile_steps(5), []);
        histogram.record(1_500);
        let step = |quantile| PercentileStep { quantile, value_ns: 1_500, count: 1 };
        assert_eq!(histogram.percentile_steps(5), [step(0.0), step(1.0)]);
    }

    /// The column of percentiles in every table of HdrHistogram with five ticks.
    #[test]
    fn steps_halve_towards_the_end() {
        let mut histogram = Histogram::new();
        for value in 1..=100_000 {
            histogram.record(value * 1_000);
        }
        let steps = histogram.percentile_steps(5);
        let expected = [
            0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.775, 0.8, 0.825, 0.85,
            0.875, 0.8875,
        ];
        for (step, expected) in steps.iter().zip(expected) {
            assert!((step.quantile - expected).abs() < 1e-9, "{step:?} is not at {expected}");
        }
        assert_eq!(
            steps.last().map(|step| (step.value_ns, step.count)),
            Some((100_000_000, 100_000))
        );
        for pair in steps.windows(2) {
            assert!(pair[0].quantile < pair[1].quantile, "{pair:?}");
            assert!(pair[0].value_ns <= pair[1].value_ns, "{pair:?}");
        }
        for step in &steps {
            assert!(step.count as f64 >= step.quantile * 1e5, "{step:?}");
            assert_eq!(step.value_ns, histogram.percentile_ns(step.quantile * 100.0), "{step:?}");
        }
    }

    /// The crate has an iterator of the same kind, by another formula.
    #[test]
    fn the_same_steps_as_the_crates() {
        let mut histogram = Histogram::new();
        for value in 1..=5_000_u64 {
            histogram.record(value * value * 10);
        }
        let ours = histogram.percentile_steps(5);
        let theirs: Vec<_> = histogram.buckets.iter_quantiles(5).collect();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(&theirs) {
            let distance = ours.quantile - theirs.quantile_iterated_to();
            assert!(distance.abs() < 1e-9, "{ours:?} {theirs:?}");
            // Where a share is met exactly, rounding makes it take the next bucket.
            let ahead_ns = theirs.value_iterated_to().min(histogram.max_ns()) - ours.value_ns;
            assert!(ahead_ns <= ours.value_ns / 500, "{ours:?} {theirs:?}");
        }
    }

    #[test]
    fn the_shape_of_the_buckets() {
        // 2048 parts of 128 ns reach 262 us; 24 doublings later it is more than an hour.
        let (buckets, parts) = Histogram::new().bucket_shape();
        assert_eq!(parts, 2_048);
        let reach_ns = (parts * Histogram::UNIT_NS) << (buckets - 1);
        assert!((Histogram::HIGHEST_NS..Histogram::HIGHEST_NS * 2).contains(&reach_ns));
    }
}
