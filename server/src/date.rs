//! The Date header field, which changes once a second (RFC 9110 section 6.6.1).

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// Length of a date in the one format that may be sent: `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const DATE_BYTES: usize = 29;

/// The current date as text, and until when it holds on the shard's monotonic clock.
#[derive(Debug, Clone)]
pub struct Date {
    text: [u8; DATE_BYTES],
    stale_ns: u64,
}

impl Date {
    /// The date at `wall`, which is the moment `now_ns` of the monotonic clock.
    pub fn new(now_ns: u64, wall: SystemTime) -> Self {
        let mut date = Self { text: [0; DATE_BYTES], stale_ns: 0 };
        date.set(now_ns, wall);
        date
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8; DATE_BYTES] {
        &self.text
    }

    /// Whether the text has to be renewed by now.
    #[inline]
    pub fn is_stale(&self, now_ns: u64) -> bool {
        now_ns >= self.stale_ns
    }

    /// Renews the text. It holds until the wall clock's next full second.
    pub fn set(&mut self, now_ns: u64, wall: SystemTime) {
        // A clock set outside of what the format can express (1970 to 9999) is a clock not set.
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        let since = since.min(Duration::from_secs(253_402_300_799));
        let date = HttpDate::from(UNIX_EPOCH + since);
        write!(&mut self.text[..], "{date}").expect("a date has 29 bytes");
        self.stale_ns = now_ns + 1_000_000_000 - u64::from(since.subsec_nanos());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_holds_until_the_next_full_second() {
        let wall = UNIX_EPOCH + Duration::from_millis(784_111_777_250);
        let mut date = Date::new(5_000, wall);
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        assert!(!date.is_stale(5_000 + 749_999_999));
        assert!(date.is_stale(5_000 + 750_000_000));
        date.set(750_005_000, wall + Duration::from_millis(750));
        assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:38 GMT");
    }

    #[test]
    fn a_senseless_clock_is_no_panic() {
        let early = Date::new(0, UNIX_EPOCH - Duration::from_secs(5));
        assert_eq!(early.as_bytes(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        let late = Date::new(0, UNIX_EPOCH + Duration::from_secs(1 << 40));
        assert_eq!(late.as_bytes(), b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
