//! Conditional requests (RFC 9110 section 13): whether what the client has, or expects, is what
//! there is.

use std::time::UNIX_EPOCH;

use ringbench_http::Header;

use super::root::Representation;
use super::{single, values};

/// What becomes of a request that has conditions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is answered as without them.
    Proceed,
    /// The client has it already: 304.
    NotModified,
    /// It is not what the client expects: 412.
    Failed,
}

/// Judges the conditions of a GET or HEAD, in the order of RFC 9110 section 13.2.2.
pub(super) fn judge(headers: &[Header<'_>], current: &Representation) -> Verdict {
    let modified = current.modified.as_ref().map(|modified| modified.secs);
    // Section 13.1.1: only a strong comparison shows that it is the same, byte by byte.
    let expected = match any_tag(headers, "if-match", |tag| tag.is_strongly(&current.etag)) {
        Some(expected) => expected,
        // Section 13.1.4: ignored unless it is a date and ours is known.
        None => match (single(headers, "if-unmodified-since").and_then(parse_date), modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => true,
        },
    };
    if !expected {
        return Verdict::Failed;
    }
    // Section 13.1.2: the comparison is weak.
    let had = match any_tag(headers, "if-none-match", |tag| tag.opaque == &*current.etag) {
        Some(had) => had,
        // Section 13.1.3: likewise.
        None => match (single(headers, "if-modified-since").and_then(parse_date), modified) {
            (Some(date), Some(modified)) => modified <= date,
            _ => false,
        },
    };
    if had { Verdict::NotModified } else { Verdict::Proceed }
}

/// Whether a range may be granted: there is no If-Range, or it names what there is (RFC 9110 section
/// 13.1.5).
pub(super) fn may_be_partial(headers: &[Header<'_>], current: &Representation) -> bool {
    if values(headers, "if-range").next().is_none() {
        return true;
    }
    let Some(value) = single(headers, "if-range") else {
        return false;
    };
    if let Some(tag) = Tags(value).next() {
        return tag.is_strongly(&current.etag);
    }
    // Section 8.8.2.2: a date is a strong validator only when the file cannot have changed again
    // within its second.
    match (parse_date(value), &current.modified) {
        (Some(date), Some(modified)) => date == modified.secs && current.settled,
        _ => false,
    }
}

/// Whether `matches` is true of one of the tags in the fields called `name`, or one of these is `*`;
/// `None` if there are no such fields.
fn any_tag(
    headers: &[Header<'_>],
    name: &'static str,
    matches: impl Fn(Tag<'_>) -> bool,
) -> Option<bool> {
    let mut found = None;
    for value in values(headers, name) {
        let any = value == b"*" || Tags(value).any(&matches);
        found = Some(found == Some(true) || any);
    }
    found
}

/// An entity tag (RFC 9110 section 8.8.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tag<'a> {
    weak: bool,
    /// With its quotes.
    opaque: &'a [u8],
}

impl Tag<'_> {
    fn is_strongly(self, etag: &[u8]) -> bool {
        !self.weak && self.opaque == etag
    }
}

/// The tags of a list; it ends where it cannot be read.
struct Tags<'a>(&'a [u8]);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        // Section 5.6.1.2: a list may have empty elements.
        let start = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let rest = &self.0[start..];
        // Section 8.8.3: the W is case-sensitive.
        let (weak, rest) = rest.strip_prefix(b"W/").map_or((false, rest), |rest| (true, rest));
        self.0 = b"";
        // A tag may have commas in it, but no quotes.
        let end = memchr::memchr(b'"', rest.strip_prefix(b"\"")?)? + 2;
        self.0 = &rest[end..];
        Some(Tag { weak, opaque: &rest[..end] })
    }
}

/// A date in any of the three forms that there ever were (RFC 9110 section 5.6.7), in seconds since
/// 1970.
fn parse_date(value: &[u8]) -> Option<u64> {
    let date = httpdate::parse_http_date(str::from_utf8(value).ok()?).ok()?;
    Some(date.duration_since(UNIX_EPOCH).ok()?.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Sun, 06 Nov 1994 08:49:37 GMT`.
    const SECS: u64 = 784_111_777;

    fn representation(modified: Option<u64>, settled: bool) -> Representation {
        Representation::of_bytes(b"0123456789", "\"tag\"", modified, settled)
    }

    fn headers<'a>(fields: &[(&'a str, &'a str)]) -> Vec<Header<'a>> {
        fields.iter().map(|&(name, value)| Header { name, value: value.as_bytes() }).collect()
    }

    fn verdict(fields: &[(&str, &str)]) -> Verdict {
        judge(&headers(fields), &representation(Some(SECS), true))
    }

    #[test]
    fn tags_are_taken_apart() {
        let tags = |value: &'static str| {
            Tags(value.as_bytes())
                .map(|tag| (tag.weak, str::from_utf8(tag.opaque).unwrap()))
                .collect::<Vec<_>>()
        };
        assert_eq!(tags("\"a\""), [(false, "\"a\"")]);
        assert_eq!(
            tags("\"a\", W/\"b,c\" ,,\t\"\""),
            [(false, "\"a\""), (true, "\"b,c\""), (false, "\"\"")]
        );
        for none in ["", ",", "a", "\"a", "w/\"a\"", "W/a", "W/", "*", "W /\"a\""] {
            assert_eq!(tags(none), [], "{none}");
        }
        assert_eq!(tags("\"a\", b, \"c\""), [(false, "\"a\"")]);
    }

    #[test]
    fn if_none_match_is_weak_and_takes_lists() {
        for value in ["\"tag\"", "W/\"tag\"", "*", "\"a\", \"tag\"", "\"a\",W/\"tag\",\"b\""] {
            assert_eq!(verdict(&[("If-None-Match", value)]), Verdict::NotModified, "{value}");
        }
        for value in ["", "\"Tag\"", "tag", "\"tag", "\"a\"", "\"tag-br\"", "w/\"tag\""] {
            assert_eq!(verdict(&[("If-None-Match", value)]), Verdict::Proceed, "{value}");
        }
        let twice = [("if-none-match", "\"a\""), ("IF-NONE-MATCH", "\"tag\"")];
        assert_eq!(verdict(&twice), Verdict::NotModified);
    }

    #[test]
    fn if_match_is_strong() {
        for value in ["\"tag\"", "*", "\"a\", \"tag\""] {
            assert_eq!(verdict(&[("If-Match", value)]), Verdict::Proceed, "{value}");
        }
        for value in ["W/\"tag\"", "\"a\"", "tag", ""] {
            assert_eq!(verdict(&[("If-Match", value)]), Verdict::Failed, "{value}");
        }
    }

    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    #[test]
    fn dates_are_compared_in_seconds() {
        for (value, modified_since, unmodified_since) in [
            (EARLIER, Verdict::Proceed, Verdict::Failed),
            (SAME, Verdict::NotModified, Verdict::Proceed),
            (LATER, Verdict::NotModified, Verdict::Proceed),
            ("yesterday", Verdict::Proceed, Verdict::Proceed),
            ("", Verdict::Proceed, Verdict::Proceed),
        ] {
            assert_eq!(verdict(&[("If-Modified-Since", value)]), modified_since, "{value}");
            assert_eq!(verdict(&[("If-Unmodified-Since", value)]), unmodified_since, "{value}");
        }
        // RFC 9110 section 5.5: two where one is allowed are not valid.
        let twice = [("If-Modified-Since", SAME), ("If-Modified-Since", SAME)];
        assert_eq!(verdict(&twice), Verdict::Proceed);
        let unknown = representation(None, true);
        assert_eq!(judge(&headers(&[("If-Modified-Since", SAME)]), &unknown), Verdict::Proceed);
        assert_eq!(judge(&headers(&[("If-Unmodified-Since", SAME)]), &unknown), Verdict::Proceed);
    }

    #[test]
    fn all_three_forms_of_dates_are_read() {
        for (value, secs) in [
            (SAME, Some(SECS)),
            ("Sunday, 06-Nov-94 08:49:37 GMT", Some(SECS)),
            ("Sun Nov  6 08:49:37 1994", Some(SECS)),
            ("Sat, 26 Jul 2036 00:00:00 GMT", Some(2_100_643_200)),
            ("Sun, 06 Nov 1994 08:49:37", None),
            ("Sun, 31 Feb 1994 08:49:37 GMT", None),
            ("1994-11-06T08:49:37Z", None),
            ("Sun, 06 Nov 1994 08:49:37 \u{e9}", None),
        ] {
            assert_eq!(parse_date(value.as_bytes()), secs, "{value}");
        }
        assert_eq!(parse_date(b"\xff"), None);
    }

    #[test]
    fn tags_go_before_dates_and_expectations_before_what_is_had() {
        let other = "\"other\"";
        for (fields, expected) in [
            ([("If-None-Match", other), ("If-Modified-Since", LATER)], Verdict::Proceed),
            ([("If-None-Match", "\"tag\""), ("If-Modified-Since", EARLIER)], Verdict::NotModified),
            ([("If-Match", "\"tag\""), ("If-Unmodified-Since", EARLIER)], Verdict::Proceed),
            ([("If-Match", other), ("If-Unmodified-Since", LATER)], Verdict::Failed),
            ([("If-None-Match", "\"tag\""), ("If-Match", other)], Verdict::Failed),
            ([("If-None-Match", "\"tag\""), ("If-Match", "\"tag\"")], Verdict::NotModified),
            ([("If-Modified-Since", SAME), ("If-Unmodified-Since", EARLIER)], Verdict::Failed),
        ] {
            assert_eq!(verdict(&fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn if_range_needs_a_strong_validator() {
        let may = |value: &str, settled| {
            may_be_partial(&headers(&[("If-Range", value)]), &representation(Some(SECS), settled))
        };
        assert!(may_be_partial(&[], &representation(None, false)));
        assert!(may("\"tag\"", false));
        assert!(may(SAME, true) && may("Sunday, 06-Nov-94 08:49:37 GMT", true));
        assert!(!may(SAME, false), "it may change within the second");
        for value in ["W/\"tag\"", "\"other\"", "*", "", EARLIER, LATER, "tag"] {
            assert!(!may(value, true), "{value}");
        }
        let twice = headers(&[("If-Range", "\"tag\""), ("If-Range", "\"tag\"")]);
        assert!(!may_be_partial(&twice, &representation(Some(SECS), true)));
    }
}
