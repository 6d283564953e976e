//! wrk2's distributions, line by line: what `-L` and `-U` add to wrk's report.

use std::fmt;

use ringbench_measure::{Histogram, units};

use super::hgrm::{Table, Unit};

/// What wrk2 calls latencies from the intended start.
pub const RECORDED: &str = "Recorded Latency";
/// What it calls latencies from the actual send.
pub const UNCORRECTED: &str =
    "Uncorrected Latency (measured without taking delayed starts into account)";

/// The line below a spectrum.
const RULE: &str = "----------------------------------------------------------";
/// The rows of a distribution.
const PERCENTILES: [f64; 8] = [50.0, 75.0, 90.0, 99.0, 99.9, 99.99, 99.999, 100.0];

/// A distribution in wrk2's layout.
#[derive(Clone, Copy, Debug)]
pub struct Distribution<'a> {
    /// The latencies.
    pub histogram: &'a Histogram,
    /// What they are, in its headline.
    pub of: &'a str,
    /// Whether the table of all percentiles follows, as in wrk2 it always does.
    pub spectrum: bool,
}

impl fmt::Display for Distribution<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "  Latency Distribution (HdrHistogram - {})", self.of)?;
        for percent in PERCENTILES {
            let value_us = self.histogram.percentile_ns(percent) as f64 / 1_000.0;
            let cell = units::cell(&units::duration_us(value_us), 10);
            writeln!(out, "{percent:>7.3}%{cell}")?;
        }
        if self.spectrum {
            let table = Table::new(self.histogram, Unit::Milliseconds);
            writeln!(out, "\n  Detailed Percentile spectrum:\n{table}{RULE}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_both_lengths() {
        let mut histogram = Histogram::new();
        for step in 1..=100_000 {
            histogram.record(step * 10_000);
        }
        histogram.record(2_000_000_000);
        let expected = "
  Latency Distribution (HdrHistogram - Recorded Latency)
 50.000%  500.17ms
 75.000%  750.26ms
 90.000%  900.20ms
 99.000%  990.38ms
 99.900%  999.29ms
 99.990%    1.00s\x20
 99.999%    1.00s\x20
100.000%    2.00s\x20
";
        let distribution = Distribution { histogram: &histogram, of: RECORDED, spectrum: false };
        assert_eq!(format!("\n{distribution}"), expected);
    }

    #[test]
    fn the_spectrum_ends_with_a_rule() {
        let mut histogram = Histogram::new();
        histogram.record(1_000_000);
        let expected = "
100.000%    1.00ms

  Detailed Percentile spectrum:
       Value   Percentile   TotalCount 1/(1-Percentile)

       1.000     0.000000            1         1.00
       1.000     1.000000            1          inf
#[Mean    =        1.000, StdDeviation   =        0.000]
#[Max     =        1.000, Total count    =            1]
#[Buckets =           25, SubBuckets     =         2048]
----------------------------------------------------------
";
        let text =
            Distribution { histogram: &histogram, of: UNCORRECTED, spectrum: true }.to_string();
        assert!(
            text.starts_with("  Latency Distribution (HdrHistogram - Uncorrected Latency (meas")
        );
        assert!(text.ends_with(expected), "{text}");
    }
}
