//! How long a turn waits for completions.
//!
//! Deadlines end a wait in one of two ways. A timeout that is given with the wait sets up and takes
//! down a kernel timer each time, one to three per cent of what a small request costs.
//! So a deadline that is not near is left to the *bell*: one timeout operation on the ring that
//! stays armed over many waits, and whose completion is as good as any other to end one.

use std::pin::Pin;
use std::time::Duration;

use io_uring::types::Timespec;

use super::driver::{Draining, Driver};
use super::queue::Wait;
use super::token::{Kind, Token};
use crate::shard::{monotonic_ns, now_ns};
use crate::turn::end_of_sleep_ns;

/// Nearer deadlines end the wait by its own timeout, which is exact and needs no operation.
const NEAR_NS: u64 = 500_000;

/// A wait for a batch that nothing else ends.
const LONG_NS: u64 = 3_600_000_000_000;

/// The ring's one timeout operation.
pub(super) struct Bell {
    /// When it rings, if it is armed.
    at_ns: Option<u64>,
    /// Where the kernel reads the time from when it is set.
    time: Pin<Box<Timespec>>,
}

impl Default for Bell {
    fn default() -> Self {
        Self { at_ns: None, time: Box::pin(Timespec::new()) }
    }
}

impl Bell {
    /// Whether it ends a wait at `at_ns` or before. A turn that it causes too early sets it anew.
    fn rings_by(&self, at_ns: u64) -> bool {
        self.at_ns.is_some_and(|rings_ns| rings_ns <= at_ns)
    }
}

impl Driver<'_> {
    /// Whether the end of this very submission is enough to go on: a send that is taken whole posts
    /// no completion, but a close may wait for it, or more output of a batch that has not settled.
    fn is_owed_a_turn(&self) -> bool {
        if self.awaits_sends() {
            // Their completions will end the wait.
            return false;
        }
        let waiting = !self.closing.is_empty() || !self.awaiting_drain.is_empty();
        // After a flush there is something here only if the batch before has not settled.
        let held_back = self.ops.written
            || !self.ops.closes.is_empty()
            || !self.ops.drain_asks.is_empty()
            || !self.dead.is_empty();
        waiting || held_back
    }

    /// How long to wait: until the next deadline, alarm or end of an accept pause; not at all when
    /// that is over, or when it is time to spin.
    pub(super) fn wait(&mut self) -> Wait {
        if matches!(self.draining, Draining::Asked | Draining::Sweeping(_)) || self.is_owed_a_turn()
        {
            return Wait { want: 1, min_wait_us: 0, until_ns: Some(0) };
        }
        let accept = (!self.resting_listeners.is_empty()).then_some(self.accept_at_ns);
        let next_ns = end_of_sleep_ns(&self.ops, self.spin_ns).into_iter().chain(accept).min();
        let mut until_ns = None;
        if let Some(at_ns) = next_ns.filter(|&at_ns| !self.bell.rings_by(at_ns)) {
            let left_ns = at_ns.saturating_sub(now_ns());
            if left_ns == 0 {
                return Wait::NONE;
            }
            until_ns = self.end_of_wait(at_ns, left_ns);
        }
        let (want, min_wait_us) = (self.options.batch_wait.max(1), self.options.batch_wait_us);
        if want == 1 {
            return Wait { want, min_wait_us: 0, until_ns };
        }
        let min_wait_us = min_wait_us.max(1);
        if self.min_wait {
            // Without a timeout of its own, a wait whose time for a batch is over ends even if
            // nothing has come.
            return Wait { want, min_wait_us, until_ns: until_ns.or(Some(now_ns() + LONG_NS)) };
        }
        // An older kernel waits for all of `want`, so the time bounds the whole wait.
        let bound_ns = now_ns() + u64::from(min_wait_us) * 1000;
        let until_ns = Some(until_ns.map_or(bound_ns, |at_ns| at_ns.min(bound_ns)));
        Wait { want, min_wait_us: 0, until_ns }
    }

    /// What the wait's own end must be so that it ends at `at_ns`, which is `left_ns` away; `None` if
    /// the bell sees to it from now on.
    fn end_of_wait(&mut self, at_ns: u64, left_ns: u64) -> Option<u64> {
        // A thread that submits would read the bell's time at any moment.
        if left_ns < NEAR_NS || self.queue.sqpoll {
            return Some(at_ns);
        }
        self.bell.time.set(Timespec::from(Duration::from_nanos(monotonic_ns(at_ns))));
        let time: *const Timespec = &raw const *self.bell.time;
        let token = Token { kind: Kind::Bell, generation: 0, index: 0 }.encode();
        // SAFETY: the time is pinned and lives as long as the driver. The kernel reads it only in
        // a syscall of this thread, when it consumes the entry, and so never while it is written.
        unsafe {
            match self.bell.at_ns.replace(at_ns) {
                None => self.queue.set_timer(time, token),
                Some(_) => self.queue.move_timer(time, token),
            }
        }
        None
    }

    /// The bell has rung, or was cancelled.
    pub(super) fn rung(&mut self) {
        self.bell.at_ns = None;
    }
}
