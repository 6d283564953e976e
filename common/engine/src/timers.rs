//! The deadline wheel: one per shard, instead of one kernel timer per request.
//!
//! A hierarchical timing wheel (Varghese & Lauck, SOSP '87, scheme 7) of 4 levels of 64 buckets;
//! a tick is 1 ms, so the horizon is about 4.6 hours, and a later deadline is filed at the horizon
//! and looked at again there. Each connection index has one node, linked into at most one bucket,
//! so that nothing is allocated while deadlines move. Moving a deadline *later*, which is what
//! happens on every request, only writes the new time: the node finds out when its bucket comes
//! up, and is filed again.

/// Nanoseconds in a tick.
pub(crate) const TICK_NS: u64 = 1_000_000;
const LEVELS: usize = 4;
const BUCKETS: usize = 64;
const BUCKET_BITS: u32 = 6;
/// The greatest distance in ticks that the wheel can hold.
const HORIZON_TICKS: u64 = (1 << (BUCKET_BITS * LEVELS as u32)) - 1;
const NIL: u32 = u32::MAX;
const UNFILED: u16 = u16::MAX;
const NEVER: u64 = u64::MAX;

#[derive(Clone, Copy, Debug)]
struct Node {
    /// When the owner wants to be woken, or [`NEVER`].
    deadline_tick: u64,
    /// For when the node is filed; at or before the deadline.
    filed_tick: u64,
    previous: u32,
    next: u32,
    /// Level * 64 + bucket, or [`UNFILED`].
    bucket: u16,
}

const IDLE_NODE: Node =
    Node { deadline_tick: NEVER, filed_tick: 0, previous: NIL, next: NIL, bucket: UNFILED };

/// A hierarchical timing wheel over connection indices. Time is an argument.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// The tick up to which everything has been handed out.
    now_tick: u64,
    /// One bit per bucket and level: which buckets hold nodes.
    occupied: [u64; LEVELS],
    heads: [u32; LEVELS * BUCKETS],
    nodes: Vec<Node>,
}

/// The tick at which a deadline is over: rounded up, so that nothing fires early.
fn tick_of(at_ns: u64) -> u64 {
    at_ns.div_ceil(TICK_NS)
}

impl Wheel {
    /// What a connection costs here.
    pub(crate) const NODE_BYTES: usize = size_of::<Node>();

    /// An empty wheel whose time starts at `now_ns`.
    pub(crate) fn new(now_ns: u64) -> Self {
        Self {
            now_tick: now_ns / TICK_NS,
            occupied: [0; LEVELS],
            heads: [NIL; LEVELS * BUCKETS],
            nodes: Vec::new(),
        }
    }

    /// Sets the deadline of `index` to the first tick at or after `at_ns`, replacing the one before.
    #[inline]
    pub(crate) fn set(&mut self, index: u32, at_ns: u64) {
        if index as usize >= self.nodes.len() {
            self.nodes.resize(index as usize + 1, IDLE_NODE);
        }
        let tick = tick_of(at_ns);
        let node = &mut self.nodes[index as usize];
        node.deadline_tick = tick;
        if node.bucket != UNFILED {
            if node.filed_tick <= tick {
                return;
            }
            self.unlink(index);
        }
        self.file(index);
    }

    /// Forgets the deadline of `index`, if it has one.
    #[inline]
    pub(crate) fn clear(&mut self, index: u32) {
        if let Some(node) = self.nodes.get_mut(index as usize) {
            node.deadline_tick = NEVER;
        }
    }

    /// The time at which [`Wheel::advance`] next has something to look at, if ever.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        self.next_tick().map(|tick| tick * TICK_NS)
    }

    /// Moves time to `now_ns` and hands every index whose deadline is over to `due`, its deadline
    /// cleared. Those of one tick come in no particular order.
    pub(crate) fn advance(&mut self, now_ns: u64, mut due: impl FnMut(u32)) {
        let target = now_ns / TICK_NS;
        while let Some(tick) = self.next_tick().filter(|&tick| tick <= target) {
            self.now_tick = tick;
            // From the top, so that what comes down a level is seen there in the same pass.
            for level in (0..LEVELS).rev() {
                let shift = BUCKET_BITS * level as u32;
                if tick & ((1 << shift) - 1) == 0 {
                    let bucket = (tick >> shift) as usize & (BUCKETS - 1);
                    self.empty_bucket(level * BUCKETS + bucket, &mut due);
                }
            }
        }
        self.now_tick = self.now_tick.max(target);
    }

    /// Hands out what is due of one bucket and files the rest where it now belongs.
    fn empty_bucket(&mut self, bucket: usize, due: &mut impl FnMut(u32)) {
        let mut index = std::mem::replace(&mut self.heads[bucket], NIL);
        self.occupied[bucket / BUCKETS] &= !(1 << (bucket % BUCKETS));
        while index != NIL {
            let node = &mut self.nodes[index as usize];
            let next = node.next;
            node.bucket = UNFILED;
            if node.deadline_tick <= self.now_tick {
                node.deadline_tick = NEVER;
                due(index);
            } else if node.deadline_tick != NEVER {
                self.file(index);
            }
            index = next;
        }
    }

    /// Links an unfiled node into the bucket for its deadline.
    fn file(&mut self, index: u32) {
        let now_tick = self.now_tick;
        let node = &mut self.nodes[index as usize];
        node.filed_tick = node.deadline_tick.clamp(now_tick + 1, now_tick + HORIZON_TICKS);
        // The level is that of the highest six-bit digit in which the tick differs from now;
        // there the node waits until the lower digits have come round.
        let differing = node.filed_tick ^ now_tick;
        let level = (differing.ilog2() / BUCKET_BITS).min(LEVELS as u32 - 1);
        let digit = (node.filed_tick >> (BUCKET_BITS * level)) as usize & (BUCKETS - 1);
        let bucket = level as usize * BUCKETS + digit;

        node.bucket = bucket as u16;
        node.previous = NIL;
        node.next = self.heads[bucket];
        if node.next != NIL {
            let next = node.next;
            self.nodes[next as usize].previous = index;
        }
        self.heads[bucket] = index;
        self.occupied[level as usize] |= 1 << digit;
    }

    fn unlink(&mut self, index: u32) {
        let node = self.nodes[index as usize];
        if node.next != NIL {
            self.nodes[node.next as usize].previous = node.previous;
        }
        if node.previous == NIL {
            let bucket = node.bucket as usize;
            self.heads[bucket] = node.next;
            if node.next == NIL {
                self.occupied[bucket / BUCKETS] &= !(1 << (bucket % BUCKETS));
            }
        } else {
            self.nodes[node.previous as usize].next = node.next;
        }
        self.nodes[index as usize].bucket = UNFILED;
    }

    /// The tick at which the first occupied bucket, of any level, comes up.
    fn next_tick(&self) -> Option<u64> {
        (0..LEVELS)
            .filter(|&level| self.occupied[level] != 0)
            .map(|level| {
                let shift = BUCKET_BITS * level as u32;
                let turned = self.now_tick >> shift;
                let position = turned as u32 & (BUCKETS as u32 - 1);
                // How many buckets ahead of ours; our own counts as a full turn away, which only
                // the horizon can be.
                let ahead = self.occupied[level].rotate_right(position + 1).trailing_zeros() + 1;
                (turned + u64::from(ahead)) << shift
            })
            .min()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fired(wheel: &mut Wheel, now_ns: u64) -> Vec<u32> {
        let mut fired = Vec::new();
        wheel.advance(now_ns, |index| fired.push(index));
        fired
    }

    #[test]
    fn fires_at_its_tick_and_never_early() {
        let mut wheel = Wheel::new(0);
        wheel.set(1, 5_000_001);
        assert_eq!(fired(&mut wheel, 5_999_999), []);
        assert_eq!(wheel.next_ns(), Some(6 * TICK_NS));
        assert_eq!(fired(&mut wheel, 6_000_000), [1]);
        assert_eq!(wheel.next_ns(), None);
    }

    #[test]
    fn a_deadline_beyond_the_horizon_still_fires() {
        let mut wheel = Wheel::new(0);
        let day_ns = 24 * 3600 * 1_000_000_000;
        wheel.set(0, day_ns);
        while let Some(next_ns) = wheel.next_ns().filter(|&next_ns| next_ns < day_ns) {
            assert_eq!(fired(&mut wheel, next_ns), []);
        }
        assert_eq!(fired(&mut wheel, day_ns), [0]);
    }

    proptest! {
        /// However deadlines are set, moved and cleared and however time jumps: each fires once,
        /// in the first `advance` at or after it and not before; `next_ns` never sleeps past one.
        #[test]
        fn behaves_like_a_list_of_deadlines(
            start in 0u64..1 << 40,
            steps in prop::collection::vec(
                (prop::collection::vec((0u32..20, prop::option::of(1u64..600_000)), 0..8), 1u64..90_000),
                1..60,
            ),
        ) {
            let mut wheel = Wheel::new(start * TICK_NS);
            let mut model: Vec<Option<u64>> = vec![None; 20];
            let mut now = start;
            for (changes, step) in steps {
                for (index, after) in changes {
                    model[index as usize] = after.map(|after| now + after);
                    match after {
                        Some(after) => wheel.set(index, (now + after) * TICK_NS),
                        None => wheel.clear(index),
                    }
                }
                if let Some(first) = model.iter().flatten().min() {
                    prop_assert!(wheel.next_ns().unwrap() <= first * TICK_NS);
                }
                now += step;
                let mut got = fired(&mut wheel, now * TICK_NS);
                got.sort_unstable();
                let mut want = Vec::new();
                for (index, deadline) in model.iter_mut().enumerate() {
                    if deadline.is_some_and(|deadline| deadline <= now) {
                        *deadline = None;
                        want.push(index as u32);
                    }
                }
                prop_assert_eq!(got, want);
            }
        }
    }
}
