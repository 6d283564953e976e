//! When to send: the run's clock and, for each shard, how much it may still send.
//!
//! In a closed loop a connection sends as soon as what it sent before is answered, so the only
//! questions left are when the run is over and whether there is anything left to send. When the
//! requests of an open loop are due is [`schedule`](crate::schedule)'s.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::Ending;

/// The part of `total` that falls to `shard` of `shards`: all parts together are exactly `total`,
/// and no two differ by more than one.
pub fn share(total: u64, shards: usize, shard: usize) -> u64 {
    let (shards, shard) = (shards as u64, shard as u64);
    total / shards + u64::from(shard < total % shards)
}

/// When the run began and when it is to end, the same for all shards.
///
/// It begins when the first shard does, so that setting up rings is not part of the run. In a closed
/// loop opening connections is part of it, as in wrk. The schedule of an open loop begins when all
/// connections are open: what was due before could only wait, and would be blamed on the server.
#[derive(Debug)]
pub struct Clock {
    start_ns: OnceLock<u64>,
    duration_ns: Option<u64>,
    /// Of an open loop: when its schedule begins.
    go_ns: OnceLock<u64>,
    /// Of an open loop: shards whose connections are not all open.
    waiting: AtomicUsize,
    shards: usize,
    is_open_loop: bool,
}

impl Clock {
    /// How long after the last shard is ready the schedule begins: all have looked at the clock by
    /// then.
    const NOTICE_NS: u64 = 150_000_000;

    /// A clock that has not started, for a closed loop.
    pub fn new(duration: Option<Duration>) -> Self {
        Self {
            start_ns: OnceLock::new(),
            duration_ns: duration.map(clamp_ns),
            go_ns: OnceLock::new(),
            waiting: AtomicUsize::new(0),
            shards: 1,
            is_open_loop: false,
        }
    }

    /// One for an open loop on so many shards.
    pub fn for_open_loop(duration: Option<Duration>, shards: usize) -> Self {
        let waiting = AtomicUsize::new(shards);
        Self { waiting, shards, is_open_loop: true, ..Self::new(duration) }
    }

    /// Starts the clock at `now_ns`, unless another shard has; the moment at which it started.
    pub fn start(&self, now_ns: u64) -> u64 {
        let start_ns = *self.start_ns.get_or_init(|| now_ns);
        if !self.is_open_loop {
            self.go_ns.get_or_init(|| start_ns);
        }
        start_ns
    }

    /// When it started, if it has.
    pub fn started_ns(&self) -> Option<u64> {
        self.start_ns.get().copied()
    }

    /// A shard has all its connections. To be called once by each.
    pub fn ready(&self, now_ns: u64) {
        if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.go(now_ns);
        }
    }

    /// The schedule begins, whether all are ready or not.
    pub fn go(&self, now_ns: u64) {
        let notice_ns = if self.shards > 1 { Self::NOTICE_NS } else { 0 };
        self.go_ns.get_or_init(|| now_ns + notice_ns);
    }

    /// When requests may begin to leave, if that is known.
    pub fn go_ns(&self) -> Option<u64> {
        self.go_ns.get().copied()
    }

    /// When the run is over, if time is to end it and it has begun.
    pub fn end_ns(&self) -> Option<u64> {
        Some(self.go_ns()?.saturating_add(self.duration_ns?))
    }
}

/// A duration in nanoseconds; 584 years are as good as for ever.
pub fn clamp_ns(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How many requests a shard may still send. Those that were sent and never answered come back, so
/// that a run of N requests ends with N complete responses.
#[derive(Debug)]
pub struct Budget {
    total: Option<u64>,
    left: u64,
}

impl Budget {
    /// The budget of one shard of several.
    pub fn new(ending: Ending, shards: usize, shard: usize) -> Self {
        let total = ending.requests.map(|requests| share(requests, shards, shard));
        Self { total, left: total.unwrap_or(u64::MAX) }
    }

    /// Takes out up to `wanted` requests; how many there were.
    #[inline]
    pub fn take(&mut self, wanted: u32) -> u32 {
        let taken = u64::from(wanted).min(self.left);
        // Without a bound, 2^64 requests at 10 million a second last 58,000 years.
        self.left -= taken;
        taken as u32
    }

    /// Puts back what was sent in vain.
    pub fn give_back(&mut self, unanswered: u32) {
        self.left += u64::from(unanswered);
    }

    /// Whether there is nothing to send at the moment.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// How many requests may still be sent.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// How many responses end the run, if their number is to end it.
    pub fn total(&self) -> Option<u64> {
        self.total
    }
}

/// What tells a run that is bounded by a number of requests only that nothing more will come.
///
/// A server that is gone would otherwise keep such a run going for ever.
#[derive(Debug)]
pub struct Patience {
    allowed_ns: u64,
    last_requests: u64,
    since_ns: u64,
}

impl Patience {
    /// At the least, how long no response at all may arrive before the run is given up.
    const LEAST: Duration = Duration::from_secs(10);

    /// For a run with this ending and timeout; `None` if time ends it anyway.
    pub fn new(ending: Ending, timeout: Duration) -> Option<Self> {
        let allowed_ns = clamp_ns(Self::LEAST.max(timeout.saturating_mul(3)));
        ending.duration.is_none().then_some(Self { allowed_ns, last_requests: 0, since_ns: 0 })
    }

    /// Starts to wait at `now_ns`.
    pub fn start(&mut self, now_ns: u64) {
        self.since_ns = now_ns;
    }

    /// Whether no response has come for too long, `requests` being how many have come in all.
    pub fn is_over(&mut self, now_ns: u64, requests: u64) -> bool {
        if requests != self.last_requests {
            self.last_requests = requests;
            self.since_ns = now_ns;
        }
        now_ns.saturating_sub(self.since_ns) >= self.allowed_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_add_up() {
        for (total, shards) in [(10, 3), (1, 4), (0, 2), (7, 7), (1_000_003, 12), (u64::MAX, 5)] {
            let shares: Vec<u64> = (0..shards).map(|shard| share(total, shards, shard)).collect();
            assert_eq!(shares.iter().sum::<u64>(), total);
            let (least, most) = (shares.iter().min().unwrap(), shares.iter().max().unwrap());
            assert!(most - least <= 1, "{total} over {shards}: {shares:?}");
        }
    }

    #[test]
    fn all_shards_share_the_first_ones_start() {
        let clock = Clock::new(Some(Duration::from_secs(2)));
        assert_eq!((clock.started_ns(), clock.end_ns()), (None, None));
        assert_eq!(clock.start(5), 5);
        assert_eq!(clock.start(9), 5);
        assert_eq!(clock.end_ns(), Some(2_000_000_005));
        let endless = Clock::new(None);
        endless.start(5);
        assert_eq!(endless.end_ns(), None);
        let longest = Clock::new(Some(Duration::MAX));
        longest.start(5);
        assert_eq!(longest.end_ns(), Some(u64::MAX));
    }

    #[test]
    fn an_open_loop_begins_when_the_last_shard_is_ready() {
        let clock = Clock::for_open_loop(Some(Duration::from_secs(2)), 2);
        clock.start(5);
        clock.ready(7);
        assert_eq!((clock.go_ns(), clock.end_ns()), (None, None));
        clock.ready(9);
        let go_ns = 9 + Clock::NOTICE_NS;
        assert_eq!((clock.go_ns(), clock.end_ns()), (Some(go_ns), Some(go_ns + 2_000_000_000)));
        clock.go(1_000);
        assert_eq!(clock.go_ns(), Some(go_ns), "once only");
        let alone = Clock::for_open_loop(None, 1);
        alone.start(5);
        alone.go(8);
        assert_eq!(alone.go_ns(), Some(8));
    }

    #[test]
    fn a_budget_is_spent_exactly() {
        let ending = Ending { duration: None, requests: Some(10) };
        let mut budget = Budget::new(ending, 1, 0);
        assert_eq!((budget.take(8), budget.take(8), budget.take(8)), (8, 2, 0));
        assert!(budget.is_empty());
        budget.give_back(3);
        assert_eq!((budget.take(8), budget.total()), (3, Some(10)));
    }

    #[test]
    fn without_a_number_the_budget_has_no_end() {
        let ending = Ending { duration: Some(Duration::from_secs(1)), requests: None };
        let mut budget = Budget::new(ending, 2, 0);
        assert_eq!((budget.take(u32::MAX), budget.total()), (u32::MAX, None));
        assert!(!budget.is_empty());
    }

    #[test]
    fn patience_ends_only_in_silence() {
        let ending = Ending { duration: None, requests: Some(10) };
        let mut patience = Patience::new(ending, Duration::from_secs(1)).unwrap();
        let second = 1_000_000_000;
        patience.start(100);
        assert!(!patience.is_over(100 + 9 * second, 0));
        assert!(!patience.is_over(100 + 11 * second, 1), "a response came");
        assert!(!patience.is_over(100 + 20 * second, 1));
        assert!(patience.is_over(100 + 21 * second, 1));
        let timed = Ending { duration: Some(Duration::from_secs(1)), requests: Some(10) };
        assert!(Patience::new(timed, Duration::from_secs(1)).is_none());
    }
}
