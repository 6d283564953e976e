//! How fast connections are opened: fast enough to be done soon, not so fast that the server's
//! accept queue overflows, and ever slower while nothing comes of it.
//!
//! A connection is *new* from when it is asked for until its first response is complete or the next
//! tick (100 ms) has come; only so many may be new at a time. A server that answers thus sets the
//! speed itself, and one that takes its time to answer is still given its connections at a steady
//! rate: as much as its accept queue holds, where that is known. A connection that ends without a single response starts a pause, which doubles while that
//! goes on, so that a dead server is knocked at a few times a second and not in a tight loop.

/// Connections that may be new at a time, over all shards: less than the accept queue of nginx
/// (511) and of anything with the kernel's default (4096).
const NEW_TOTAL: usize = 384;
/// Where the accept queue is known, the share of it that may be new at a time. The rest is for
/// others, and for a server that stalls for longer than a tick: in a queue that is full the kernel
/// drops what comes, and asks again after a second.
const ACCEPT_QUEUE_SHARE: usize = 2;
/// With many shards, each may still have so many.
const NEW_LEAST: usize = 16;
/// Connections started in one turn of the loop. Past half of the local ports the kernel searches
/// milliseconds for a free one, and meanwhile no response is read.
const STARTED_PER_TURN: usize = 16;
/// The first pause after a failure.
const PAUSE_NS: u64 = 10_000_000;
/// The pause is doubled at most this often: 640 ms.
const DOUBLINGS: u32 = 6;

/// The share of a throttle that may be caught up on when a turn came late.
const SAVED_UP_NS: f64 = 1e8;

/// Marks a connection as new since a certain tick.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Newness(u32);

impl Newness {
    /// The mark of a connection that is not new.
    pub const NOT: Self = Self(0);

    /// Whether the connection is yet to complete its first response.
    #[inline]
    pub fn is_new(self) -> bool {
        self != Self::NOT
    }
}

/// Decides when a shard opens its next connection. Time is an argument.
#[derive(Debug)]
pub struct Opener {
    connections: usize,
    missing: usize,
    connecting: usize,
    new: usize,
    tick: u32,
    limit: usize,
    /// Connections of a burst that are yet to be started.
    burst: usize,
    failures: u32,
    pause_until_ns: u64,
    /// How fast connections may be started, where that was asked for.
    throttle: Option<Throttle>,
}

/// A bound on how many connections are started per second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Throttle {
    /// Nanoseconds from one start to the next.
    every_ns: f64,
    /// Whether it holds only for the first connections.
    first_only: bool,
    /// When the next may be started.
    next_ns: Option<f64>,
    /// How many it has let through.
    started: usize,
}

impl Throttle {
    /// At most so many connections per second; `first_only` leaves those that replace others alone.
    pub fn new(per_sec: f64, first_only: bool) -> Self {
        Self { every_ns: 1e9 / per_sec, first_only, next_ns: None, started: 0 }
    }

    /// How many may be started now.
    fn allows(&self, now_ns: u64, connections: usize) -> usize {
        if self.first_only && self.started >= connections {
            return usize::MAX;
        }
        let late_ns = self.next_ns.map_or(0.0, |next_ns| now_ns as f64 - next_ns);
        if late_ns < 0.0 { 0 } else { (late_ns / self.every_ns) as usize + 1 }
    }

    /// So many were started.
    fn take(&mut self, count: usize, now_ns: u64) {
        self.started += count;
        // What was not used is not saved up for a rush later.
        let from_ns = self.next_ns.unwrap_or(now_ns as f64).max(now_ns as f64 - SAVED_UP_NS);
        self.next_ns = Some(from_ns + self.every_ns * count as f64);
    }
}

impl Opener {
    /// For a shard, one of `shards`, that is to have `connections`.
    pub fn new(connections: usize, shards: usize, throttle: Option<Throttle>) -> Self {
        Self {
            connections,
            throttle,
            missing: connections,
            connecting: 0,
            new: 0,
            tick: 1,
            limit: (NEW_TOTAL / shards).max(NEW_LEAST),
            burst: 0,
            failures: 0,
            pause_until_ns: 0,
        }
    }

    /// The server's accept queue is known to hold so many, for all of `shards`.
    #[must_use]
    pub fn with_accept_queue(mut self, queue: Option<u32>, shards: usize) -> Self {
        let new_total = queue.map_or(0, |queue| queue as usize / ACCEPT_QUEUE_SHARE);
        self.limit = self.limit.max(new_total / shards);
        self
    }

    /// The first connections are started all at once, and not as fast as a server takes them.
    #[must_use]
    pub fn with_burst(mut self, is_burst: bool) -> Self {
        self.burst = if is_burst { self.connections } else { 0 };
        self
    }

    /// Whether there are fewer connections than there should be.
    #[inline]
    pub fn is_missing_any(&self) -> bool {
        self.missing > 0
    }

    /// Whether all connections are open.
    pub fn is_complete(&self) -> bool {
        self.missing == 0 && self.connecting == 0
    }

    /// How many connections to start now, once per turn of the loop; they count as started.
    pub fn start(&mut self, now_ns: u64) -> usize {
        let started = match std::mem::take(&mut self.burst) {
            0 => self.startable(now_ns).min(STARTED_PER_TURN),
            burst => burst,
        };
        if let Some(throttle) = &mut self.throttle
            && started > 0
        {
            throttle.take(started, now_ns);
        }
        self.missing -= started;
        self.connecting += started;
        started
    }

    /// When to look again although nothing else may happen until then: at once if this turn's
    /// share is started, or when a pause is over.
    pub fn next_start_ns(&self, now_ns: u64) -> Option<u64> {
        let is_pausing = self.missing > 0 && now_ns < self.pause_until_ns;
        if is_pausing {
            return Some(self.pause_until_ns);
        }
        if let Some(throttle) = self.throttle
            && self.missing > 0
            && throttle.allows(now_ns, self.connections) == 0
        {
            return throttle.next_ns.map(|next_ns| next_ns.ceil() as u64);
        }
        (self.startable(now_ns) > 0).then_some(now_ns)
    }

    fn startable(&self, now_ns: u64) -> usize {
        if now_ns < self.pause_until_ns {
            return 0;
        }
        let limit = (self.limit >> self.failures).max(1);
        let allowed =
            self.throttle.map_or(usize::MAX, |throttle| throttle.allows(now_ns, self.connections));
        self.missing.min(limit.saturating_sub(self.connecting + self.new)).min(allowed)
    }

    /// One that was started is established.
    pub fn connected(&mut self) -> Newness {
        self.connecting -= 1;
        self.new += 1;
        Newness(self.tick)
    }

    /// One that was started could not be established.
    pub fn not_connected(&mut self, now_ns: u64) {
        self.connecting -= 1;
        self.missing += 1;
        self.failed(now_ns);
    }

    /// A connection's first response is complete.
    pub fn proven(&mut self, newness: Newness) {
        self.no_longer_new(newness);
        self.failures = 0;
        self.pause_until_ns = 0;
    }

    /// An established connection is gone and wants a successor.
    pub fn gone(&mut self, newness: Newness, now_ns: u64) {
        self.missing += 1;
        if newness.is_new() {
            self.no_longer_new(newness);
            self.failed(now_ns);
        }
    }

    /// To be called every 100 ms.
    pub fn tick(&mut self) {
        self.new = 0;
        self.tick = self.tick.wrapping_add(1).max(1);
    }

    /// A connection is not new any more, for better or worse.
    pub fn no_longer_new(&mut self, newness: Newness) {
        // Those of earlier ticks have been forgotten already.
        if newness.0 == self.tick {
            self.new -= 1;
        }
    }

    fn failed(&mut self, now_ns: u64) {
        // Of many that fail together only the first makes the pause longer.
        if now_ns >= self.pause_until_ns {
            self.pause_until_ns = now_ns + (PAUSE_NS << self.failures);
            self.failures = (self.failures + 1).min(DOUBLINGS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Over as many turns as it takes.
    fn start_all(opener: &mut Opener, now_ns: u64) -> usize {
        std::iter::repeat_with(|| opener.start(now_ns)).take_while(|&started| started > 0).sum()
    }

    #[test]
    fn a_turn_starts_a_few_only() {
        let mut opener = Opener::new(1_000, 1, None);
        assert_eq!(opener.start(0), STARTED_PER_TURN);
        assert_eq!(opener.next_start_ns(7), Some(7), "and the next turn comes at once");
        assert_eq!(start_all(&mut opener, 0), NEW_TOTAL - STARTED_PER_TURN);
        assert_eq!(opener.next_start_ns(7), None, "nothing to do until a response comes");
    }

    #[test]
    fn few_connections_are_opened_at_once() {
        let mut opener = Opener::new(10, 1, None);
        assert_eq!(start_all(&mut opener, 0), 10);
        assert!(!opener.is_missing_any());
    }

    #[test]
    fn a_burst_is_all_at_once_and_only_once() {
        let mut opener = Opener::new(5_000, 1, None).with_burst(true);
        assert_eq!((opener.start(0), opener.start(0)), (5_000, 0));
        assert!(!opener.is_missing_any());
        let newness: Vec<_> = (0..5_000).map(|_| opener.connected()).collect();
        newness.into_iter().for_each(|newness| opener.gone(newness, 0));
        assert!(start_all(&mut opener, 1_000_000_000) < NEW_TOTAL, "replacements go slowly");
    }

    #[test]
    fn a_throttle_is_kept_to() {
        let every_ns = 10_000_000;
        let mut opener = Opener::new(5, 1, Some(Throttle::new(100.0, false)));
        let mut now_ns = 1_000;
        for opened in 1..=5 {
            assert_eq!(opener.start(now_ns), 1, "{opened}");
            assert_eq!(opener.start(now_ns), 0);
            let next_ns = opener.next_start_ns(now_ns);
            assert_eq!(next_ns, (opened < 5).then_some(now_ns + every_ns));
            now_ns += every_ns;
        }
        (0..5).for_each(|_| _ = opener.connected());
        opener.gone(Newness::NOT, now_ns);
        opener.gone(Newness::NOT, now_ns);
        assert_eq!(opener.start(now_ns), 1, "replacements are bound by it, too");
        assert_eq!(opener.start(now_ns + every_ns), 1);
    }

    #[test]
    fn a_ramp_up_is_of_the_first_connections_only() {
        let mut opener = Opener::new(2, 1, Some(Throttle::new(1.0, true)));
        assert_eq!((opener.start(0), opener.start(0), opener.start(1_000_000_000)), (1, 0, 1));
        opener.connected();
        opener.connected();
        opener.gone(Newness::NOT, 1_000_000_001);
        opener.gone(Newness::NOT, 1_000_000_001);
        assert_eq!(opener.start(1_000_000_001), 2);
    }

    #[test]
    fn many_are_opened_as_the_server_answers() {
        let mut opener = Opener::new(20_000, 2, None);
        assert_eq!(start_all(&mut opener, 0), NEW_TOTAL / 2);
        let newness: Vec<_> = (0..100).map(|_| opener.connected()).collect();
        assert_eq!(start_all(&mut opener, 0), 0, "connected, but not accepted for sure");
        newness.into_iter().for_each(|newness| opener.proven(newness));
        assert_eq!(start_all(&mut opener, 0), 100);
    }

    #[test]
    fn a_server_that_is_slow_to_answer_gets_more_at_each_tick() {
        let mut opener = Opener::new(1_000, 1, None);
        assert_eq!(start_all(&mut opener, 0), NEW_TOTAL);
        let newness: Vec<_> = (0..NEW_TOTAL).map(|_| opener.connected()).collect();
        opener.tick();
        assert_eq!(start_all(&mut opener, 1), NEW_TOTAL);
        newness.into_iter().for_each(|newness| opener.proven(newness));
        assert_eq!(start_all(&mut opener, 1), 0, "those of the last tick count no more");
    }

    #[test]
    fn a_long_accept_queue_is_made_use_of() {
        let opener = |queue| Opener::new(20_000, 2, None).with_accept_queue(queue, 2);
        assert_eq!(start_all(&mut opener(Some(4_096)), 0), 1_024);
        for short in [None, Some(0), Some(511)] {
            assert_eq!(start_all(&mut opener(short), 0), NEW_TOTAL / 2, "{short:?}");
        }
    }

    #[test]
    fn failures_slow_it_down_and_a_response_ends_that() {
        let mut opener = Opener::new(100, 1, None);
        assert_eq!(start_all(&mut opener, 0), 100);
        (0..100).for_each(|_| opener.not_connected(5));
        assert_eq!(opener.next_start_ns(5), Some(5 + PAUSE_NS));
        assert_eq!(start_all(&mut opener, PAUSE_NS), 0);

        // Half an hour of failures: no more than a few knocks a second.
        let (mut now_ns, mut knocks) = (5 + PAUSE_NS, 0);
        while now_ns < 1_800_000_000_000 {
            let started = start_all(&mut opener, now_ns);
            assert!(started > 0, "stuck at {now_ns}");
            knocks += started;
            (0..started).for_each(|_| opener.not_connected(now_ns));
            now_ns = opener.next_start_ns(now_ns).unwrap();
        }
        assert!(knocks < 1_800 * 12, "{knocks}");

        let started = start_all(&mut opener, now_ns);
        let newness = opener.connected();
        opener.proven(newness);
        assert_eq!(start_all(&mut opener, now_ns), 100 - started);
    }

    #[test]
    fn only_connections_that_never_answered_are_failures() {
        let mut opener = Opener::new(2, 1, None);
        assert_eq!(start_all(&mut opener, 0), 2);
        let (first, second) = (opener.connected(), opener.connected());
        opener.proven(first);
        opener.gone(Newness::NOT, 7);
        assert_eq!(opener.start(7), 1, "a connection that was of use is replaced at once");
        opener.gone(second, 8);
        assert_eq!(opener.start(8), 0, "one that was of none is not");
        assert_eq!(opener.start(8 + PAUSE_NS), 1);
    }
}
