//! Numbers on the page, for people.

use ringbench_measure::units;

/// A number and its unit apart, held together by a space that does not break.
pub(super) fn spaced(text: &str) -> String {
    match text.find(|letter: char| letter.is_ascii_alphabetic()) {
        Some(at) if at > 0 => {
            let unit = if &text[at..] == "us" { "µs" } else { &text[at..] };
            format!("{}\u{a0}{unit}", &text[..at])
        }
        _ => text.to_owned(),
    }
}

/// A time: `12.50 ms`.
pub(crate) fn time_us(value_us: f64) -> String {
    spaced(&units::duration_us(value_us))
}

/// A time from nanoseconds.
pub(super) fn time_ns(value_ns: u64) -> String {
    time_us(value_ns as f64 / 1_000.0)
}

/// An amount of bytes: `17.76 GB`.
pub(crate) fn bytes(value: f64) -> String {
    spaced(&units::bytes(value))
}

/// A share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// A count with its digits in groups of three: `1,234,567`.
pub(crate) fn count(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// So many of something: `1 shard`, `2 shards`.
pub(crate) fn counted(value: u64, what: &str) -> String {
    format!("{} {what}{}", count(value), if value == 1 { "" } else { "s" })
}

/// The text of a tick of latencies.
pub(super) fn tick_us(value_us: f64) -> String {
    if value_us >= 999_999.0 {
        format!("{}\u{a0}s", short(value_us / 1e6))
    } else if value_us >= 999.9 {
        format!("{}\u{a0}ms", short(value_us / 1e3))
    } else {
        format!("{}\u{a0}µs", short(value_us))
    }
}

/// The text of a tick of counts: `50k`.
pub(super) fn tick_count(value: f64) -> String {
    for (scale, unit) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if value >= scale * 0.999 {
            return format!("{}{unit}", short(value / scale));
        }
    }
    short(value)
}

/// The text of a tick of bytes: decimal steps, so that ticks at round numbers have short texts.
pub(super) fn tick_bytes(value: f64) -> String {
    for (scale, unit) in [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")] {
        if value >= scale * 0.999 {
            return format!("{}\u{a0}{unit}", short(value / scale));
        }
    }
    format!("{}\u{a0}B", short(value))
}

/// The text of a tick of time.
pub(super) fn tick_s(value_s: f64) -> String {
    format!("{}\u{a0}s", short(value_s))
}

/// The text of a tick of cores.
pub(super) fn tick_plain(value: f64) -> String {
    short(value)
}

/// The text of a tick of shares, in percent.
pub(super) fn tick_percent(value: f64) -> String {
    format!("{}\u{a0}%", short(value))
}

/// The text of a tick at `1/(1-quantile)`: 1000 is 99.9 %.
pub(super) fn tick_quantile(inverse: f64) -> String {
    let nines = inverse.log10().round().max(0.0) as usize;
    match nines {
        0 => "0\u{a0}%".to_owned(),
        1 => "90\u{a0}%".to_owned(),
        2 => "99\u{a0}%".to_owned(),
        nines => format!("99.{}\u{a0}%", "9".repeat(nines - 2)),
    }
}

/// No more decimals than it takes.
fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(time_us(12_500.0), "12.50\u{a0}ms");
        assert_eq!((spaced("850"), time_us(7.5)), ("850".to_owned(), "7.50\u{a0}µs".to_owned()));
        assert_eq!([counted(1, "shard"), counted(0, "shard")], ["1 shard", "0 shards"]);
        assert_eq!(
            [0, 12, 123, 1_234, 1_234_567].map(count),
            ["0", "12", "123", "1,234", "1,234,567"]
        );
        assert_eq!(percent(0.1234), "12.3\u{a0}%");
    }

    #[test]
    fn ticks() {
        assert_eq!(
            [0.5, 20.0, 2_500.0, 1e6].map(tick_us),
            ["0.5\u{a0}µs", "20\u{a0}µs", "2.5\u{a0}ms", "1\u{a0}s"]
        );
        assert_eq!([0.0, 2_500_000.0].map(tick_bytes), ["0\u{a0}B", "2.5\u{a0}MB"]);
        assert_eq!([0.0, 50.0, 50_000.0, 1_200_000.0].map(tick_count), ["0", "50", "50k", "1.2M"]);
        assert_eq!(
            [1.0, 10.0, 100.0, 1_000.0, 100_000.0].map(tick_quantile),
            ["0\u{a0}%", "90\u{a0}%", "99\u{a0}%", "99.9\u{a0}%", "99.999\u{a0}%"]
        );
    }
}
