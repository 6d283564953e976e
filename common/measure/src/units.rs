//! Numbers as wrk writes them, and the arguments that wrk takes.
//!
//! wrk goes to the next unit from 85 % of it on: 850 us are `0.85ms`. It never reaches the last
//! unit of a table (999,999 us are `1000.00ms`, two hours are `120m`). Scripts read these numbers
//! back, so they are the same here.

use std::time::Duration;

/// A ladder of units, each `step` times the one before.
struct Ladder {
    step: f64,
    base: &'static str,
    above: &'static [&'static str],
}

const MICROSECONDS: Ladder = Ladder { step: 1_000.0, base: "us", above: &["ms"] };
const SECONDS: Ladder = Ladder { step: 60.0, base: "s", above: &["m"] };
const BINARY: Ladder = Ladder { step: 1_024.0, base: "", above: &["K", "M", "G", "T"] };
const METRIC: Ladder = Ladder { step: 1_000.0, base: "", above: &["k", "M", "G", "T"] };

impl Ladder {
    fn format(&self, value: f64, decimals: usize) -> String {
        let threshold = self.step * 0.85;
        let (mut amount, mut unit) = (value, self.base);
        for next in self.above {
            if amount < threshold {
                break;
            }
            amount /= self.step;
            unit = next;
        }
        format!("{amount:.decimals$}{unit}")
    }
}

/// A count or a rate: `850` is `0.85k`.
pub fn count(value: f64) -> String {
    METRIC.format(value, 2)
}

/// An amount of bytes in steps of 1024: `17.76GB`.
pub fn bytes(value: f64) -> String {
    BINARY.format(value, 2) + "B"
}

/// A time given in microseconds: `635.91us`, `0.89ms`, `1.00s`, `0.85m`.
pub fn duration_us(value_us: f64) -> String {
    if value_us >= 1_000_000.0 {
        SECONDS.format(value_us / 1_000_000.0, 2)
    } else {
        MICROSECONDS.format(value_us, 2)
    }
}

/// A time given in seconds, without decimals, as in wrk's title: `30s`, `120m`.
pub fn duration_s(value_s: f64) -> String {
    SECONDS.format(value_s, 0)
}

/// A formatted number in a right-aligned column of `width`, aligned on the digits: a unit of fewer
/// than two letters leaves blanks behind it.
///
/// Where wrk would cut off the end of a number that is too long for its column (`1000.00ms` to
/// `1000.00m`, which reads as minutes), the column grows instead.
pub fn cell(text: &str, width: usize) -> String {
    let letters = text.chars().rev().take(2).filter(char::is_ascii_alphabetic).count();
    let blanks = 2 - letters;
    let width = width.saturating_sub(blanks);
    format!("{text:>width$}{:blanks$}", "")
}

/// Why an argument is not a number with a unit. The text says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// Nothing, or something that does not start with a digit.
    #[error("`{text}` is not a number: expected {expected}")]
    NotANumber {
        /// What was given.
        text: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// A number with letters after it that are no unit.
    #[error("`{text}` has the unknown unit `{unit}`: expected {expected}")]
    UnknownUnit {
        /// What was given.
        text: String,
        /// Its part after the number.
        unit: String,
        /// What would have been right.
        expected: &'static str,
    },
    /// A count that is not whole.
    #[error("`{text}` is not a whole number")]
    NotWhole {
        /// What was given.
        text: String,
    },
    /// More than 64 bits hold.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

const DURATION_EXPECTED: &str = "a duration such as 500ms, 10s, 2m or 1h (us, ms, s, m or h; a \
                                 bare number is seconds)";
const COUNT_EXPECTED: &str = "a count such as 400, 10k or 1.5M (k, M, G or T, in steps of 1000)";

/// Reads a duration: a number, whole or with decimals, and `us`, `ms`, `s`, `m` or `h` in either
/// case; without a unit it is seconds.
///
/// # Errors
///
/// When the text is not such a number, or is too large.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let number = Number::split(text, DURATION_EXPECTED)?;
    let unit_ns: u64 = match number.unit.to_ascii_lowercase().as_str() {
        "us" => 1_000,
        "ms" => 1_000_000,
        "" | "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return Err(number.unknown_unit(DURATION_EXPECTED)),
    };
    // What lies below a nanosecond is dropped: no clock here could tell.
    number.times(unit_ns).map(|(whole_ns, _)| Duration::from_nanos(whole_ns))
}

/// Reads a count: a number and `k`, `M`, `G` or `T` in either case, in steps of 1000.
///
/// # Errors
///
/// When the text is not such a number, is not whole, or is too large.
pub fn parse_count(text: &str) -> Result<u64, UnitError> {
    let number = Number::split(text, COUNT_EXPECTED)?;
    let unit: u64 = match number.unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" => 1_000_000_000,
        "t" => 1_000_000_000_000,
        _ => return Err(number.unknown_unit(COUNT_EXPECTED)),
    };
    match number.times(unit)? {
        (whole, true) => Ok(whole),
        (_, false) => Err(UnitError::NotWhole { text: text.to_owned() }),
    }
}

/// An argument taken apart; all slices of it.
struct Number<'a> {
    text: &'a str,
    whole: &'a str,
    decimals: &'a str,
    unit: &'a str,
}

impl<'a> Number<'a> {
    fn split(text: &'a str, expected: &'static str) -> Result<Self, UnitError> {
        let not_a_number = || UnitError::NotANumber { text: text.to_owned(), expected };
        let (whole, rest) = split_digits(text.trim());
        let (decimals, unit) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        let dot_without_decimals = rest.starts_with('.') && decimals.is_empty();
        if whole.is_empty() || dot_without_decimals {
            return Err(not_a_number());
        }
        Ok(Self { text, whole, decimals, unit: unit.trim_start() })
    }

    /// The number times `unit`, rounded down, and whether nothing was lost by that. Decimal
    /// arithmetic: 0.1 s is 100,000,000 ns and not one less.
    fn times(&self, unit: u64) -> Result<(u64, bool), UnitError> {
        let too_large = || UnitError::TooLarge { text: self.text.to_owned() };
        let whole: u64 = self.whole.parse().map_err(|_| too_large())?;
        let significant = self.decimals.trim_end_matches('0');
        // 10^18 times the largest unit fits 128 bits; further decimals are below any unit's grain.
        let kept = &significant[..significant.len().min(18)];
        let fraction: u128 = if kept.is_empty() { 0 } else { kept.parse().unwrap_or(0) };
        let scale = 10_u128.pow(kept.len() as u32);
        let product = fraction * u128::from(unit);
        let total = u128::from(whole) * u128::from(unit) + product / scale;
        let exact = product.is_multiple_of(scale) && kept.len() == significant.len();
        u64::try_from(total).map(|total| (total, exact)).map_err(|_| too_large())
    }

    fn unknown_unit(&self, expected: &'static str) -> UnitError {
        UnitError::UnknownUnit { text: self.text.to_owned(), unit: self.unit.to_owned(), expected }
    }
}

fn split_digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_unit_comes_at_85_percent() {
        for (value, expected) in [
            (0.0, "0.00"),
            (849.0, "849.00"),
            (850.0, "0.85k"),
            (56_200.0, "56.20k"),
            (849_999.0, "850.00k"), // below the threshold, rounded after it
            (850_000.0, "0.85M"),
            (4.15e9, "4.15G"),
            (1e18, "1000000.00T"),
        ] {
            assert_eq!(count(value), expected);
        }
    }

    #[test]
    fn times_as_wrk_writes_them() {
        for (value_us, expected) in [
            (0.0, "0.00us"),
            (635.91, "635.91us"),
            (849.99, "849.99us"),
            (850.0, "0.85ms"),
            (12_920.0, "12.92ms"),
            (999_999.0, "1000.00ms"), // microseconds never become seconds by themselves
            (1e6, "1.00s"),
            (50.99e6, "50.99s"),
            (51e6, "0.85m"),
            (7_200e6, "120.00m"),
        ] {
            assert_eq!(duration_us(value_us), expected);
        }
        for (value_s, expected) in [(1.0, "1s"), (30.0, "30s"), (51.0, "1m"), (7_200.0, "120m")] {
            assert_eq!(duration_s(value_s), expected);
        }
    }

    #[test]
    fn bytes_as_wrk_writes_them() {
        for (value, expected) in [
            (0.0, "0.00B"),
            (870.0, "870.00B"),
            (871.0, "0.85KB"),
            (17.76 * 1_073_741_824.0, "17.76GB"),
            (606.33 * 1_048_576.0, "606.33MB"),
        ] {
            assert_eq!(bytes(value), expected);
        }
    }

    #[test]
    fn cells_align_the_digits() {
        assert_eq!(cell("635.91us", 8), "635.91us");
        assert_eq!(cell("0.85k", 8), "  0.85k ");
        assert_eq!(cell("0.00", 8), "  0.00  ");
        assert_eq!(cell("1.00s", 10), "    1.00s ");
        // wrk: "1000.00m".
        assert_eq!(cell("1000.00ms", 8), "1000.00ms");
    }

    #[test]
    fn durations() {
        for (text, expected_ns) in [
            ("30", 30_000_000_000),
            ("0", 0),
            ("1us", 1_000),
            ("250ms", 250_000_000),
            ("30s", 30_000_000_000),
            ("2m", 120_000_000_000),
            ("1h", 3_600_000_000_000),
            ("1H", 3_600_000_000_000),
            ("0.1s", 100_000_000),
            ("1.5", 1_500_000_000),
            ("0.0000000001s", 0),
            ("0.3333333333333333333333h", 1_199_999_999_999),
            (" 10 s ", 10_000_000_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(expected_ns)), "{text}");
        }
    }

    #[test]
    fn counts() {
        for (text, expected) in [
            ("0", 0),
            ("400", 400),
            ("10k", 10_000),
            ("1M", 1_000_000),
            ("1.5m", 1_500_000),
            ("2G", 2_000_000_000),
            ("1T", 1_000_000_000_000),
            ("1.50k", 1_500),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse_count(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        let duration = |text| parse_duration(text).unwrap_err().to_string();
        let count = |text| parse_count(text).unwrap_err().to_string();
        assert_eq!(
            duration("10x"),
            "`10x` has the unknown unit `x`: expected a duration such as 500ms, 10s, 2m or 1h (us, \
             ms, s, m or h; a bare number is seconds)"
        );
        for text in ["", "s", "-1s", ".5s", "5.s", "five", "+1"] {
            let message = duration(text);
            assert!(message.starts_with(&format!("`{text}` is not a number")), "{message}");
        }
        assert!(duration("1 2").contains("unknown unit `2`"));
        assert!(duration("1é").contains("unknown unit `é`"));
        assert_eq!(duration("6000000h"), "`6000000h` is too large"); // past 2^64 ns, 584 years
        assert!(count("10kb").contains("unknown unit `kb`: expected a count such as 400, 10k"));
        assert_eq!(count("1.2345k"), "`1.2345k` is not a whole number");
        assert_eq!(
            count("1.0000000000000000001T"),
            "`1.0000000000000000001T` is not a whole number"
        );
        assert_eq!(count("18446744073709551616"), "`18446744073709551616` is too large");
        assert_eq!(count("99999999999T"), "`99999999999T` is too large");
    }

    proptest! {
        #[test]
        fn no_text_makes_a_parser_panic(text in ".{0,24}") {
            let _: (Result<_, _>, Result<_, _>) = (parse_duration(&text), parse_count(&text));
        }

        #[test]
        fn counts_read_back(value in 0_u64..1_000_000, unit in prop::sample::select(vec![("", 1), ("k", 1_000), ("M", 1_000_000_u64)])) {
            prop_assert_eq!(parse_count(&format!("{value}{}", unit.0)), Ok(value * unit.1));
        }
    }
}
