//! HdrHistogram's table of percentiles: what wrk2 prints as "Detailed Percentile spectrum" and what
//! plotters of HdrHistogram read from `.hgrm` files.

use std::fmt;

use ringbench_measure::Histogram;

/// Steps for each halving of the distance from 100 %, as in wrk2's table.
const TICKS: u32 = 5;

/// The unit of the values in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Microseconds,
    /// Milliseconds, wrk2's.
    Milliseconds,
}

impl Unit {
    fn of_ns(self, value_ns: f64) -> f64 {
        match self {
            Self::Microseconds => value_ns / 1e3,
            Self::Milliseconds => value_ns / 1e6,
        }
    }
}

/// A distribution as a table: `print!("{}", Table::new(&histogram, Unit::Milliseconds))`.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    histogram: &'a Histogram,
    unit: Unit,
}

impl<'a> Table<'a> {
    /// The table of a histogram with its values in this unit.
    pub fn new(histogram: &'a Histogram, unit: Unit) -> Self {
        Self { histogram, unit }
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { histogram, unit } = *self;
        let [value, percentile, count, inverse] =
            ["Value", "Percentile", "TotalCount", "1/(1-Percentile)"];
        writeln!(out, "{value:>12} {percentile:>12} {count:>12} {inverse:>12}\n")?;
        for step in histogram.percentile_steps(TICKS) {
            let (value, inverse) = (unit.of_ns(step.value_ns as f64), 1.0 / (1.0 - step.quantile));
            let (quantile, count) = (step.quantile, step.count);
            writeln!(out, "{value:>12.3} {quantile:>12.6} {count:>12} {inverse:>12.2}")?;
        }
        let (mean, stdev) = (unit.of_ns(histogram.mean_ns()), unit.of_ns(histogram.stdev_ns()));
        let (max, count) = (unit.of_ns(histogram.max_ns() as f64), histogram.count());
        let (buckets, parts) = histogram.bucket_shape();
        writeln!(out, "#[Mean    = {mean:>12.3}, StdDeviation   = {stdev:>12.3}]")?;
        writeln!(out, "#[Max     = {max:>12.3}, Total count    = {count:>12}]")?;
        writeln!(out, "#[Buckets = {buckets:>12}, SubBuckets     = {parts:>12}]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_four() {
        let mut histogram = Histogram::new();
        for value_ms in [1, 2, 3, 10] {
            histogram.record(value_ms * 1_000_000);
        }
        let expected = "
       Value   Percentile   TotalCount 1/(1-Percentile)

       1.000     0.000000            1         1.00
       1.000     0.100000            1         1.11
       1.000     0.200000            1         1.25
       2.001     0.300000            2         1.43
       2.001     0.400000            2         1.67
       2.001     0.500000            2         2.00
       3.000     0.550000            3         2.22
       3.000     0.600000            3         2.50
       3.000     0.650000            3         2.86
       3.000     0.700000            3         3.33
       3.000     0.750000            3         4.00
      10.000     0.775000            4         4.44
      10.000     1.000000            4          inf
#[Mean    =        4.000, StdDeviation   =        4.082]
#[Max     =       10.000, Total count    =            4]
#[Buckets =           25, SubBuckets     =         2048]
";
        assert_eq!(format!("\n{}", Table::new(&histogram, Unit::Milliseconds)), expected);
        let in_us = Table::new(&histogram, Unit::Microseconds).to_string();
        assert!(
            in_us.contains("\n   10000.000     1.000000            4          inf\n"),
            "{in_us}"
        );
    }

    #[test]
    fn a_table_of_nothing_has_no_row() {
        let table = Table::new(&Histogram::new(), Unit::Milliseconds).to_string();
        assert_eq!(table.lines().count(), 5, "{table}");
    }
}
