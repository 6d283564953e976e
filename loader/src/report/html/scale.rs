//! Axes: where a value lies on one, and where its ticks are.

/// An axis from 0 on, or a logarithmic one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Scale {
    /// From 0.
    Linear {
        /// The end of the axis.
        high: f64,
        /// The distance of its ticks.
        step: f64,
    },
    /// Both ends are above 0.
    Log {
        /// Its beginning.
        low: f64,
        /// Its end.
        high: f64,
    },
}

/// About so many ticks on a linear axis.
const TICKS: f64 = 4.0;

impl Scale {
    /// From 0 to the first round number that is not below `max`.
    pub(super) fn linear(max: f64) -> Self {
        let step = round_step(max / TICKS);
        Self::Linear { high: (max / step).ceil().max(1.0) * step, step }
    }

    /// From 0 to exactly `max`, for time, which needs no room above.
    pub(super) fn exact(max: f64) -> Self {
        Self::Linear { high: max.max(f64::MIN_POSITIVE), step: round_step(max / TICKS) }
    }

    /// From a round number that is not above `min` to one that is not below `max`.
    pub(super) fn log(min: f64, max: f64) -> Self {
        let low = one_two_five(min.max(1e-9));
        let reached = one_two_five(max.max(low));
        let high = if reached < max { next_one_two_five(reached) } else { reached };
        let high = if high <= low { next_one_two_five(low) } else { high };
        Self::Log { low, high }
    }

    /// Logarithmic where the largest value would press the usual ones to the bottom of a linear
    /// axis.
    pub(super) fn for_spread(min: f64, usual: f64, max: f64) -> Self {
        if max > usual * 20.0 && min > 0.0 { Self::log(min, max) } else { Self::linear(max) }
    }

    /// Where a value lies, from 0 to 1; values beyond an end lie at the end.
    pub(super) fn at(self, value: f64) -> f64 {
        let place = match self {
            Self::Linear { high, .. } => value / high,
            Self::Log { low, high } => (value.max(low) / low).ln() / (high / low).ln(),
        };
        place.clamp(0.0, 1.0)
    }

    /// Round values for ticks, in rising order.
    pub(super) fn ticks(self) -> Vec<f64> {
        match self {
            Self::Linear { high, step } => {
                // A tick that rounding pushed just past the end is still one.
                let last = (high / step * (1.0 + 1e-9)).floor() as u64;
                (0..=last).map(|number| number as f64 * step).collect()
            }
            Self::Log { low, high } => {
                let decades = (high / low).log10();
                let every: &[f64] = if decades > 3.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
                let first = low.log10().floor() as i32;
                let powers = first..=high.log10().ceil() as i32;
                powers
                    .flat_map(|power| every.iter().map(move |digit| digit * 10_f64.powi(power)))
                    .filter(|tick| (low * 0.999..=high * 1.001).contains(tick))
                    .collect()
            }
        }
    }
}

/// The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `raw`.
fn round_step(raw: f64) -> f64 {
    if raw <= 0.0 || !raw.is_finite() {
        return 1.0;
    }
    let power = 10_f64.powf(raw.log10().floor());
    let digit = [1.0, 2.0, 2.5, 5.0].into_iter().find(|digit| digit * power >= raw * (1.0 - 1e-9));
    digit.unwrap_or(10.0) * power
}

/// The largest of 1, 2, 5 times a power of ten that is not above `value`.
fn one_two_five(value: f64) -> f64 {
    let power = 10_f64.powf((value.log10() + 1e-9).floor());
    let digit = [5.0, 2.0].into_iter().find(|digit| digit * power <= value * (1.0 + 1e-9));
    digit.unwrap_or(1.0) * power
}

fn next_one_two_five(value: f64) -> f64 {
    // 1 -> 2, 2 -> 5 (by way of 5), 5 -> 10 (by way of 12.5).
    one_two_five(value * 2.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: &[f64], right: &[f64]) -> bool {
        left.len() == right.len()
            && left.iter().zip(right).all(|(left, right)| (left - right).abs() <= right * 1e-9)
    }

    #[test]
    fn linear_axes_end_at_round_numbers() {
        for (max, expected) in [
            (50_000.0, &[0.0, 20_000.0, 40_000.0, 60_000.0][..]),
            (1.0, &[0.0, 0.25, 0.5, 0.75, 1.0]),
            (0.8, &[0.0, 0.2, 0.4, 0.6, 0.8]),
            (0.0, &[0.0, 1.0]),
        ] {
            let ticks = Scale::linear(max).ticks();
            assert!(close(&ticks, expected), "{max}: {ticks:?}");
        }
        assert!(close(&Scale::exact(10.0).ticks(), &[0.0, 2.5, 5.0, 7.5, 10.0]));
        assert!(close(&Scale::exact(11.0).ticks(), &[0.0, 5.0, 10.0]));
    }

    #[test]
    fn logarithmic_axes_step_by_one_two_five() {
        let ticks = Scale::log(11.0, 950.0).ticks();
        assert!(close(&ticks, &[10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]), "{ticks:?}");
        let ticks = Scale::log(20.0, 1e6).ticks();
        assert!(close(&ticks, &[100.0, 1e3, 1e4, 1e5, 1e6]), "{ticks:?}");
        let one = Scale::log(1_000.0, 1_000.0).ticks();
        assert!(close(&one, &[1_000.0, 2_000.0]), "{one:?}");
    }

    #[test]
    fn places() {
        let log = Scale::log(1.0, 100.0);
        assert!((log.at(10.0) - 0.5).abs() < 1e-12);
        assert!((log.at(0.0), log.at(1e9)) == (0.0, 1.0));
        let linear = Scale::exact(8.0);
        assert!((linear.at(2.0) - 0.25).abs() < 1e-12 && linear.at(9.0) >= 1.0);
        assert!(matches!(Scale::for_spread(1.0, 2.0, 3.0), Scale::Linear { .. }));
        assert!(matches!(Scale::for_spread(1.0, 2.0, 50.0), Scale::Log { .. }));
    }
}
