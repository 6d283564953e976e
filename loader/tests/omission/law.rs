//! What response times must be.

use ringbench_measure::Histogram;

/// A stall, as the requests of an open loop see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    /// How long the first request that came into it had to wait: S, but for the time from its
    /// beginning to that request, which is less than 1/R.
    pub(crate) longest_ns: u64,
    /// Between two requests: 1/R.
    pub(crate) gap_ns: u64,
}

impl Stall {
    /// The latency that `percent` of `requests` in the whole run stay at or below, in nanoseconds:
    /// (1 - p) * D is the number of those that waited longer, times the gap between them.
    pub(crate) fn latency_ns(self, percent: f64, requests: u64) -> u64 {
        // A percentage of a round number is one, but for the last digits of an f64.
        let longer = ((100.0 - percent) / 100.0 * requests as f64 + 1e-6) as u64;
        self.longest_ns.saturating_sub(longer * self.gap_ns)
    }

    /// Compares percentiles, of which none is below the stall's share of the run. They may be off
    /// by a share of the value, and by a time besides. Which is not as it should be, if one is not.
    pub(crate) fn check(
        self,
        latency: &Histogram,
        percents: &[f64],
        (share, besides_ns): (f64, u64),
    ) -> Result<(), String> {
        for &percent in percents {
            let expected_ns = self.latency_ns(percent, latency.count());
            assert!(expected_ns > 0, "p{percent} is not within the stall: {self:?}");
            let found_ns = latency.percentile_ns(percent);
            let allowed_ns = (share * expected_ns as f64) as u64 + besides_ns;
            if found_ns.abs_diff(expected_ns) > allowed_ns {
                return Err(format!(
                    "p{percent} is {found_ns} ns, not {expected_ns} ns, and may be off by \
                     {allowed_ns} ns"
                ));
            }
        }
        Ok(())
    }
}

#[test]
fn the_law_in_figures() {
    // 10 s with a stall of 1 s, 1,000 requests per second.
    let stall = Stall { longest_ns: 1_000_000_000, gap_ns: 1_000_000 };
    let ms = |percent| stall.latency_ns(percent, 10_000) / 1_000_000;
    assert_eq!([90.0, 95.0, 99.0, 99.9, 100.0].map(ms), [0, 500, 900, 990, 1_000]);
    assert_eq!(ms(50.0), 0);
}
