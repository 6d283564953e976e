//! Range requests (RFC 9110 section 14), of which those for one range are granted.

/// What of a representation is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it: no range is asked for, or one that a server may ignore.
    Whole,
    /// The bytes from `start` to before `end`.
    Some {
        /// The first byte.
        start: u64,
        /// Behind the last byte.
        end: u64,
    },
    /// What is asked for is not there: 416.
    None,
}

/// What the values of Range mean for `length` bytes.
///
/// Section 14.2: a server may ignore the field. We do for several ranges, which cost more than they
/// are worth, and must for what is not understood: other units, invalid ranges.
pub(super) fn part_of<'v>(mut values: impl Iterator<Item = &'v [u8]>, length: u64) -> Part {
    let (Some(value), None) = (values.next(), values.next()) else {
        return Part::Whole;
    };
    only_range(value).and_then(|range| resolve(range, length)).unwrap_or(Part::Whole)
}

/// The one range in the value of a Range field.
fn only_range(value: &[u8]) -> Option<&[u8]> {
    let (unit, set) = value.split_at_checked(b"bytes=".len())?;
    if !unit.eq_ignore_ascii_case(b"bytes=") {
        return None;
    }
    // Section 5.6.1.2: a list may have empty elements.
    let mut ranges =
        set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|range| !range.is_empty());
    let range = ranges.next()?;
    ranges.next().is_none().then_some(range)
}

fn resolve(range: &[u8], length: u64) -> Option<Part> {
    let dash = memchr::memchr(b'-', range)?;
    let (first, last) = (&range[..dash], &range[dash + 1..]);
    if first.is_empty() {
        return Some(match (number(last)?, length) {
            (0, _) => Part::None,
            // Section 14.1.2: it is satisfiable, yet Content-Range cannot say how.
            (_, 0) => Part::Whole,
            (count, _) => Part::Some { start: length.saturating_sub(count), end: length },
        });
    }
    let start = number(first)?;
    let end = if last.is_empty() { length } else { number(last)?.saturating_add(1).min(length) };
    if !last.is_empty() && number(last)? < start {
        // Section 14.1.1: invalid, whatever the length.
        return None;
    }
    Some(if start < length { Part::Some { start, end } } else { Part::None })
}

/// A decimal number. One that does not fit is beyond the end of every file.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |sum: u64, digit: &u8| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HUGE: &str = "99999999999999999999999";

    fn part(value: &str, length: u64) -> Part {
        part_of([value.as_bytes()].into_iter(), length)
    }

    #[test]
    fn one_range_is_resolved() {
        for (value, length, start, end) in [
            ("bytes=0-0", 10, 0, 1),
            ("bytes=0-9", 10, 0, 10),
            ("bytes=0-10", 10, 0, 10),
            ("bytes=0-", 10, 0, 10),
            ("bytes=9-", 10, 9, 10),
            ("bytes=3-5", 10, 3, 6),
            ("bytes=003-005", 10, 3, 6),
            ("bytes=-1", 10, 9, 10),
            ("bytes=-10", 10, 0, 10),
            ("bytes=-11", 10, 0, 10),
            ("BYTES=1-1", 10, 1, 2),
            ("bytes= 1-2 ", 10, 1, 3),
            ("bytes=,1-2,\t,", 10, 1, 3),
            ("bytes=0-18446744073709551615", 10, 0, 10),
            ("bytes=-18446744073709551615", 10, 0, 10),
            (&format!("bytes=5-{HUGE}"), 10, 5, 10),
            (&format!("bytes=-{HUGE}"), 10, 0, 10),
            ("bytes=18446744073709551613-", u64::MAX, u64::MAX - 2, u64::MAX),
        ] {
            assert_eq!(part(value, length), Part::Some { start, end }, "{value} of {length}");
        }
    }

    #[test]
    fn what_begins_behind_the_end_cannot_be_had() {
        for (value, length) in [
            ("bytes=10-", 10),
            ("bytes=10-20", 10),
            ("bytes=0-", 0),
            ("bytes=0-0", 0),
            ("bytes=-0", 10),
            ("bytes=-0", 0),
            (&format!("bytes={HUGE}-"), 10),
            (&format!("bytes={HUGE}-{HUGE}"), 10),
        ] {
            assert_eq!(part(value, length), Part::None, "{value} of {length}");
        }
    }

    #[test]
    fn what_is_not_understood_is_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=1",
            "bytes=1-a",
            "bytes=+1-2",
            "bytes=1 - 2",
            "bytes=1--2",
            "bytes=--1",
            "bytes=5-3",
            "bytes=50-30",
            "bytes=0-1,3-4",
            "bytes=0-0,-1",
            "bytes 0-1",
            "bytes =0-1",
            "lines=0-1",
            "0-1",
            "bytes=0x1-2",
        ] {
            assert_eq!(part(value, 10), Part::Whole, "{value}");
        }
        assert_eq!(part("bytes=-5", 0), Part::Whole);
        assert_eq!(part_of([].into_iter(), 10), Part::Whole);
        let twice: [&[u8]; 2] = [b"bytes=0-1", b"bytes=3-4"];
        assert_eq!(part_of(twice.into_iter(), 10), Part::Whole);
    }
}
