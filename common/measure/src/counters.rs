//! Counters of a shard, and the block through which others may read them while it runs.

use std::sync::atomic::{AtomicU64, Ordering};

/// Failures of a run, by what failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Errors {
    /// Connections that could not be opened.
    pub connect: u64,
    /// Reads that failed: an error of the socket, a response that cannot be parsed, or a connection
    /// that ended in the middle of one.
    pub read: u64,
    /// Sends that failed.
    pub write: u64,
    /// Requests that were given up because no response came in time.
    pub timeout: u64,
    /// Complete responses with a status above 399.
    pub status: u64,
}

impl Errors {
    /// Failures below HTTP: all but `status`.
    pub fn socket(&self) -> u64 {
        self.connect + self.read + self.write + self.timeout
    }

    /// All failures.
    pub fn total(&self) -> u64 {
        self.socket() + self.status
    }
}

/// What one shard has counted. Plain integers: only the shard itself writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Complete responses.
    pub requests: u64,
    /// Bytes received, heads included.
    pub bytes_read: u64,
    /// Bytes sent, heads included.
    pub bytes_written: u64,
    /// Failures.
    pub errors: Errors,
    /// Connections opened in place of one that had ended.
    pub reconnects: u64,
    /// Connections opened, the reconnects included.
    pub opened: u64,
    /// Connections closed, by whichever side.
    pub closed: u64,
    /// Complete responses by class of status: 1xx, 2xx, 3xx, 4xx, 5xx.
    pub status_classes: [u64; 5],
}

/// Number of integers in [`Counters`].
const WORDS: usize = 16;

impl Counters {
    /// Counts one complete response with its class, and as an error if its status is above 399.
    /// A status outside 100-599 has no class.
    #[inline]
    pub fn count_response(&mut self, status: u16) {
        self.requests += 1;
        self.errors.status += u64::from(status > 399);
        let class = usize::from(status / 100).wrapping_sub(1);
        if let Some(count) = self.status_classes.get_mut(class) {
            *count += 1;
        }
    }

    /// Connections that are open now.
    pub fn open(&self) -> u64 {
        // A snapshot may be torn between the two.
        self.opened.saturating_sub(self.closed)
    }

    /// Adds all of `other`.
    pub fn merge(&mut self, other: &Self) {
        let (mine, theirs) = (self.to_words(), other.to_words());
        *self = Self::from_words(std::array::from_fn(|i| mine[i] + theirs[i]));
    }

    /// What was counted since `earlier`, an older state of the same counters.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let (now, then) = (self.to_words(), earlier.to_words());
        Self::from_words(std::array::from_fn(|i| now[i].saturating_sub(then[i])))
    }

    /// All fields in a row. Taking the struct apart by name makes the compiler notice a field that
    /// was added and is missing here.
    fn to_words(self) -> [u64; WORDS] {
        let Self {
            requests,
            bytes_read,
            bytes_written,
            errors: Errors { connect, read, write, timeout, status },
            reconnects,
            opened,
            closed,
            status_classes: [informational, success, redirection, client, server],
        } = self;
        [
            requests,
            bytes_read,
            bytes_written,
            connect,
            read,
            write,
            timeout,
            status,
            reconnects,
            opened,
            closed,
            informational,
            success,
            redirection,
            client,
            server,
        ]
    }

    fn from_words(words: [u64; WORDS]) -> Self {
        let [
            requests,
            bytes_read,
            bytes_written,
            connect,
            read,
            write,
            timeout,
            status,
            reconnects,
            opened,
            closed,
            informational,
            success,
            redirection,
            client,
            server,
        ] = words;
        Self {
            requests,
            bytes_read,
            bytes_written,
            errors: Errors { connect, read, write, timeout, status },
            reconnects,
            opened,
            closed,
            status_classes: [informational, success, redirection, client, server],
        }
    }
}

/// A block that one shard publishes its [`Counters`] into now and then, and that any thread may
/// read meanwhile for a progress line.
///
/// It has cache lines of its own (128 bytes, as processors fetch lines in pairs), so a reader
/// disturbs the shard only when it publishes. Loads and stores are relaxed: each number is whole,
/// but two of them may be from different moments. The report at the end uses the shard's own
/// counters instead.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct SharedCounters {
    words: [AtomicU64; WORDS],
}

const _: () = assert!(size_of::<SharedCounters>().is_multiple_of(128));

impl SharedCounters {
    /// All zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces what readers see. For the one shard that owns the block.
    pub fn publish(&self, counters: &Counters) {
        for (shared, word) in self.words.iter().zip(counters.to_words()) {
            shared.store(word, Ordering::Relaxed);
        }
    }

    /// What was published last.
    pub fn snapshot(&self) -> Counters {
        Counters::from_words(std::array::from_fn(|i| self.words[i].load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Counters in which every field is different.
    fn distinct() -> Counters {
        Counters {
            requests: 1,
            bytes_read: 2,
            bytes_written: 3,
            errors: Errors { connect: 4, read: 5, write: 6, timeout: 7, status: 8 },
            reconnects: 9,
            opened: 10,
            closed: 11,
            status_classes: [12, 13, 14, 15, 16],
        }
    }

    #[test]
    fn words_keep_their_places() {
        assert_eq!(distinct().to_words(), std::array::from_fn(|i| i as u64 + 1));
        assert_eq!(Counters::from_words(distinct().to_words()), distinct());
    }

    #[test]
    fn a_response_is_counted_with_its_class() {
        let mut counters = Counters::default();
        for status in [200, 204, 302, 399, 400, 503, 600, 99] {
            counters.count_response(status);
        }
        assert_eq!(counters.requests, 8);
        assert_eq!(counters.status_classes, [0, 2, 2, 1, 1]);
        assert_eq!(counters.errors.status, 3); // 400, 503, 600: as wrk, all above 399
    }

    #[test]
    fn sums_of_errors() {
        let errors = distinct().errors;
        assert_eq!((errors.socket(), errors.total()), (22, 30));
    }

    #[test]
    fn open_connections_never_underflow() {
        let mut counters = Counters { opened: 5, closed: 2, ..Counters::default() };
        assert_eq!(counters.open(), 3);
        counters.closed = 6;
        assert_eq!(counters.open(), 0);
    }

    #[test]
    fn readers_on_another_thread_see_what_was_published() {
        let shared = SharedCounters::new();
        assert_eq!(shared.snapshot(), Counters::default());
        std::thread::scope(|scope| {
            scope.spawn(|| shared.publish(&distinct()));
        });
        assert_eq!(shared.snapshot(), distinct());
    }

    #[test]
    fn blocks_share_no_cache_line() {
        let blocks = [SharedCounters::new(), SharedCounters::new()];
        let distance = (&raw const blocks[1]).addr() - (&raw const blocks[0]).addr();
        assert!(distance >= 128 && (&raw const blocks[0]).addr().is_multiple_of(128));
    }

    proptest! {
        #[test]
        fn since_undoes_merge(
            a in prop::array::uniform16(0_u64..1 << 60),
            b in prop::array::uniform16(0_u64..1 << 60),
        ) {
            let (a, b) = (Counters::from_words(a), Counters::from_words(b));
            let mut sum = a;
            sum.merge(&b);
            prop_assert_eq!(sum.since(&a), b);
            prop_assert_eq!(sum.since(&b), a);
        }
    }
}
