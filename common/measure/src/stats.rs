//! Running statistics of bounded size: exact moments, and the request rate per time slice.

use hdrhistogram::Histogram as Buckets;

use crate::histogram::rank_of;

/// Count, smallest, largest, sum and sum of squares of a series of integers, all exact.
///
/// Sums are kept as 128-bit integers, so mean and standard deviation do not drift however many
/// values come in, and merging gives the same as recording everything in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moments {
    count: u64,
    min: u64,
    max: u64,
    sum: u128,
    sum_squares: u128,
}

impl Default for Moments {
    fn default() -> Self {
        Self { count: 0, min: u64::MAX, max: 0, sum: 0, sum_squares: 0 }
    }
}

impl Moments {
    /// Takes one value in.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let wide = u128::from(value);
        self.count += 1;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += wide;
        // Only absurd values (centuries of nanoseconds) could overflow; a wrong stdev is better
        // than a panic in the middle of a run.
        self.sum_squares = self.sum_squares.saturating_add(wide * wide);
    }

    /// Takes one value in, so many times.
    #[inline]
    pub fn record_n(&mut self, value: u64, times: u64) {
        if times == 0 {
            return;
        }
        let (wide, many) = (u128::from(value), u128::from(times));
        self.count += times;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        self.sum += wide * many;
        self.sum_squares = self.sum_squares.saturating_add((wide * wide).saturating_mul(many));
    }

    /// Takes in all that `other` has seen.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.sum_squares = self.sum_squares.saturating_add(other.sum_squares);
    }

    /// How many values were recorded.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The smallest value, 0 when there is none.
    pub fn min(&self) -> u64 {
        if self.count == 0 { 0 } else { self.min }
    }

    /// The largest value, 0 when there is none.
    pub fn max(&self) -> u64 {
        self.max
    }

    /// The sum of all values.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The sum of the squares of all values.
    pub(crate) fn sum_squares(&self) -> u128 {
        self.sum_squares
    }

    /// What the getters gave, put together again.
    pub(crate) fn from_parts(count: u64, min: u64, max: u64, sum: u128, sum_squares: u128) -> Self {
        // Without a value the getters give 0 as the smallest; merging needs what is above all.
        let min = if count == 0 { u64::MAX } else { min };
        Self { count, min, max, sum, sum_squares }
    }

    /// The arithmetic mean, 0 when there is no value.
    pub fn mean(&self) -> f64 {
        if self.count == 0 {
            return 0.0;
        }
        let count = u128::from(self.count);
        // Whole part and remainder apart: a quotient of two large f64 would lose the fraction.
        (self.sum / count) as f64 + (self.sum % count) as f64 / self.count as f64
    }

    /// The sample standard deviation (divided by n-1, as wrk does), 0 below two values.
    pub fn stdev(&self) -> f64 {
        if self.count < 2 {
            return 0.0;
        }
        // sum((x - mean)^2) = sum(x^2) - sum^2 / n. With sum = q*n + r, sum^2 / n is
        // q*sum + q*r + r^2/n; the first two are integers that fit, so the cancellation that ruins
        // this formula in floating point happens exactly.
        let count = u128::from(self.count);
        let (quotient, rest) = (self.sum / count, self.sum % count);
        let integers = quotient.saturating_mul(self.sum).saturating_add(quotient * rest);
        let whole = self.sum_squares.saturating_sub(integers);
        let deviations = whole as f64 - (rest * rest) as f64 / self.count as f64;
        (deviations.max(0.0) / (self.count - 1) as f64).sqrt()
    }
}

/// Percentage of `buckets` that lies within one standard deviation of the mean, wrk's "+/- Stdev".
///
/// A bucket that the edge cuts through counts for the part of it that is inside, as if its values
/// were spread evenly.
pub(crate) fn within_stdev_percent(buckets: &Buckets<u64>, moments: &Moments) -> f64 {
    if moments.count() == 0 {
        return 0.0;
    }
    let (mean, stdev) = (moments.mean(), moments.stdev());
    let (lower, upper) = (mean - stdev, mean + stdev);
    let inside: f64 = buckets
        .iter_recorded()
        .map(|step| {
            // The exact extremes are finer than the buckets that hold them.
            let highest = step.value_iterated_to();
            let low = buckets.lowest_equivalent(highest).max(moments.min()) as f64;
            let high = highest.min(moments.max()) as f64;
            let share = if high > low {
                ((high.min(upper) - low.max(lower)) / (high - low)).clamp(0.0, 1.0)
            } else {
                f64::from(u8::from(lower <= low && low <= upper))
            };
            step.count_at_value() as f64 * share
        })
        .sum();
    inside * 100.0 / moments.count() as f64
}

/// Request rates of time slices, in requests per second: what the "Req/Sec" row is made of.
///
/// About 23 KiB, allocated once. Moments are exact; the share within one standard deviation is
/// sharp to 1 %.
#[derive(Clone, Debug)]
pub struct RateSamples {
    pub(crate) moments: Moments,
    pub(crate) buckets: Buckets<u64>,
}

impl RateSamples {
    /// Rates above this count as this where the share within one standard deviation is concerned.
    pub(crate) const HIGHEST_PER_SEC: u64 = 1_000_000_000;

    /// An empty set of samples.
    pub fn new() -> Self {
        let buckets = Buckets::new_with_bounds(1, Self::HIGHEST_PER_SEC, 2)
            .unwrap_or_else(|_| unreachable!("constant bounds: 1 < highest, 2 digits"));
        Self { moments: Moments::default(), buckets }
    }

    /// Takes in the rate of one time slice.
    pub fn record(&mut self, requests_per_sec: u64) {
        self.moments.record(requests_per_sec);
        let recorded = self.buckets.record(requests_per_sec.min(Self::HIGHEST_PER_SEC));
        debug_assert!(recorded.is_ok(), "clamped to the bounds");
    }

    /// Takes in all samples of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        let added = self.buckets.add(&other.buckets);
        debug_assert!(added.is_ok(), "all have the same bounds");
    }

    /// Count, mean, stdev, smallest and largest of the samples.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }

    /// Percentage of the samples within one standard deviation of their mean.
    pub fn within_stdev_percent(&self) -> f64 {
        within_stdev_percent(&self.buckets, &self.moments)
    }

    /// The rate that `percent` of the samples stay at or below (nearest rank): at most 1 % above
    /// the true one. 100 gives the exact maximum; 0 when there is no sample.
    pub fn percentile(&self, percent: f64) -> u64 {
        let rank = rank_of(percent, self.moments.count());
        let mut seen = 0;
        for (highest, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return highest;
            }
        }
        self.moments.max()
    }

    /// The buckets that are not empty, in rising order: the highest rate that the bucket stands
    /// for (never outside the exact smallest and largest) and its count.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let (min, max) = (self.moments.min(), self.moments.max());
        self.buckets.iter_recorded().map(move |step| {
            let highest = step.value_iterated_to();
            // The last bucket also holds all that is higher than the histogram reaches.
            let highest = if highest >= Self::HIGHEST_PER_SEC { max } else { highest };
            (highest.clamp(min, max), step.count_at_value())
        })
    }
}

impl Default for RateSamples {
    fn default() -> Self {
        Self::new()
    }
}

/// Cuts a shard's count of requests into slices of about 100 ms and samples the rate of each.
///
/// Like wrk, a slice without a response is not a sample of zero but makes the slice longer.
#[derive(Clone, Debug)]
pub struct RateSampler {
    samples: RateSamples,
    slice_start_ns: u64,
    slice_start_requests: u64,
}

impl RateSampler {
    /// The length of a slice, wrk's.
    pub const SLICE_NS: u64 = 100_000_000;

    /// Starts the first slice at `now_ns` with no request.
    pub fn new(now_ns: u64) -> Self {
        Self { samples: RateSamples::new(), slice_start_ns: now_ns, slice_start_requests: 0 }
    }

    /// To be called often (each turn of the loop) with the requests completed since the start;
    /// cheap when the slice is not over.
    #[inline]
    pub fn observe(&mut self, now_ns: u64, requests_total: u64) {
        if now_ns.saturating_sub(self.slice_start_ns) >= Self::SLICE_NS {
            self.end_slice(now_ns, requests_total);
        }
    }

    /// Ends the run and gives the samples. An unfinished slice is dropped, as in wrk, unless it is
    /// all there is.
    #[must_use]
    pub fn finish(mut self, now_ns: u64, requests_total: u64) -> RateSamples {
        self.observe(now_ns, requests_total);
        if self.samples.moments().count() == 0 {
            self.end_slice(now_ns, requests_total);
        }
        self.samples
    }

    fn end_slice(&mut self, now_ns: u64, requests_total: u64) {
        let requests = requests_total.saturating_sub(self.slice_start_requests);
        let elapsed_ns = now_ns.saturating_sub(self.slice_start_ns);
        if requests == 0 || elapsed_ns == 0 {
            return;
        }
        let per_sec = u128::from(requests) * 1_000_000_000 / u128::from(elapsed_ns);
        self.samples.record(per_sec as u64);
        self.slice_start_ns = now_ns;
        self.slice_start_requests = requests_total;
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "these figures are exact")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(values: &[u64]) -> Moments {
        let mut moments = Moments::default();
        for &value in values {
            moments.record(value);
        }
        moments
    }

    #[test]
    fn rates_have_percentiles() {
        let mut rates = RateSamples::new();
        assert_eq!((rates.percentile(50.0), rates.buckets().count()), (0, 0));
        for rate in [300, 100, 200, 200, 5_000_000_000] {
            rates.record(rate);
        }
        assert_eq!(rates.percentile(0.0), 100);
        let median = rates.percentile(50.0);
        assert!((200..=202).contains(&median), "{median}");
        assert_eq!(rates.percentile(100.0), 5_000_000_000, "the exact maximum");
        assert_eq!(rates.buckets().map(|(_, count)| count).collect::<Vec<_>>(), [1, 2, 1, 1]);
    }

    #[test]
    fn nothing_recorded_is_all_zero() {
        let moments = Moments::default();
        assert_eq!((moments.count(), moments.min(), moments.max()), (0, 0, 0));
        assert_eq!((moments.mean(), moments.stdev()), (0.0, 0.0));
    }

    #[test]
    fn stdev_is_the_samples_not_the_populations() {
        // 2,4,4,4,5,5,7,9: population stdev 2, sample stdev sqrt(32/7).
        let moments = of(&[2, 4, 4, 4, 5, 5, 7, 9]);
        assert_eq!(moments.mean(), 5.0);
        assert!((moments.stdev() - (32.0_f64 / 7.0).sqrt()).abs() < 1e-12);
        assert_eq!(of(&[7]).stdev(), 0.0);
    }

    #[test]
    fn a_small_spread_on_large_values_survives() {
        // In f64 the squares (1e30) would swallow a spread of 1 whole.
        let base = 1_000_000_000_000_000;
        let moments = of(&[base, base + 1, base + 2]);
        assert!((moments.stdev() - 1.0).abs() < 1e-12, "{}", moments.stdev());
        assert_eq!(moments.mean(), (base + 1) as f64);
    }

    #[test]
    fn the_largest_values_do_not_panic() {
        let moments = of(&[u64::MAX, u64::MAX, 0]);
        assert_eq!(moments.max(), u64::MAX);
        assert!(moments.stdev().is_finite());
    }

    #[test]
    fn a_slice_is_about_100_ms_of_actual_time() {
        let mut sampler = RateSampler::new(1_000);
        sampler.observe(50_000_000, 400); // too early
        sampler.observe(125_001_000, 1_000); // late: 1,000 in 125 ms
        sampler.observe(225_001_000, 1_500); // 500 in 100 ms
        let rates = sampler.finish(230_000_000, 1_900); // an unfinished slice is dropped
        let moments = rates.moments();
        assert_eq!((moments.count(), moments.max(), moments.min()), (2, 8_000, 5_000));
        assert_eq!(moments.mean(), 6_500.0);
    }

    #[test]
    fn a_stall_makes_the_slice_longer() {
        let mut sampler = RateSampler::new(0);
        sampler.observe(100_000_000, 0);
        sampler.observe(200_000_000, 0);
        sampler.observe(400_000_000, 100);
        assert_eq!(sampler.finish(400_000_000, 100).moments().max(), 250);
    }

    #[test]
    fn a_run_shorter_than_a_slice_is_one_sample() {
        let samples = RateSampler::new(0).finish(2_000_000, 100);
        assert_eq!((samples.moments().count(), samples.moments().max()), (1, 50_000));
        assert_eq!(RateSampler::new(0).finish(0, 0).moments().count(), 0);
    }

    #[test]
    fn within_stdev_of_rates() {
        let mut samples = RateSamples::new();
        assert_eq!(samples.within_stdev_percent(), 0.0);
        for rate in [50_000, 50_000, 50_000, 10_000] {
            samples.record(rate);
        }
        assert_eq!(samples.within_stdev_percent(), 75.0);
    }

    proptest! {
        #[test]
        fn moments_agree_with_two_passes(values in prop::collection::vec(0_u64..4_000_000_000_000, 2..200)) {
            let moments = of(&values);
            let count = values.len() as f64;
            let mean = values.iter().map(|&v| v as f64).sum::<f64>() / count;
            let squares: f64 = values.iter().map(|&v| (v as f64 - mean).powi(2)).sum();
            let stdev = (squares / (count - 1.0)).sqrt();
            prop_assert!((moments.mean() - mean).abs() <= mean.abs() * 1e-12);
            prop_assert!((moments.stdev() - stdev).abs() <= stdev * 1e-9 + 1e-6);
        }

        #[test]
        fn merged_is_the_same_as_recorded_in_one(
            left in prop::collection::vec(any::<u64>(), 0..50),
            right in prop::collection::vec(any::<u64>(), 0..50),
        ) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            prop_assert_eq!(merged, of(&[left, right].concat()));
        }
    }
}
