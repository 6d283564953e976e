//! How long a turn waits for events.
//!
//! A timeout that is given with the wait is rounded to milliseconds by old kernels and stretched by
//! the thread's timer slack by all. So deadlines are left to the *bell*: one timer descriptor among
//! all the others, exact to what the clock gives, which stays set over many waits.

use std::io;
use std::os::fd::OwnedFd;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use super::accept::Door;
use super::driver::{Driver, failed};
use crate::EngineError;
use crate::shard::{monotonic_ns, now_ns};
use crate::turn::end_of_sleep_ns;

/// The shard's timer.
pub(super) struct Bell {
    pub(super) timer: OwnedFd,
    /// When it rings, if it is set.
    at_ns: Option<u64>,
}

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        Ok(Self { timer: timerfd_create(TimerfdClockId::Monotonic, flags)?, at_ns: None })
    }

    /// Makes sure that a wait ends at `at_ns`; false if that time has come, or is when the shard
    /// begins to spin. A bell that rings too early is left alone: the turn that it causes sets it
    /// anew, if it is still wanted.
    fn set(&mut self, at_ns: u64) -> io::Result<bool> {
        if self.at_ns.is_some_and(|rings_ns| rings_ns <= at_ns) {
            return Ok(true);
        }
        if at_ns <= now_ns() {
            return Ok(false);
        }
        let clock_ns = monotonic_ns(at_ns);
        let time = Itimerspec {
            it_interval: Timespec { tv_sec: 0, tv_nsec: 0 },
            it_value: Timespec {
                tv_sec: (clock_ns / 1_000_000_000) as i64,
                tv_nsec: (clock_ns % 1_000_000_000) as i64,
            },
        };
        timerfd_settime(&self.timer, TimerfdTimerFlags::ABSTIME, &time)?;
        self.at_ns = Some(at_ns);
        Ok(true)
    }

    /// The bell has rung. Its descriptor need not be read: setting it anew takes the count back.
    pub(super) fn rung(&mut self) {
        self.at_ns = None;
    }
}

impl Driver {
    /// Waits for events: until the next deadline, alarm or end of an accept pause, or not at all if
    /// there is something to do.
    pub(super) fn wait(&mut self, is_owed_a_turn: bool) -> Result<(), EngineError> {
        let at_once = is_owed_a_turn
            || !self.ready.is_empty()
            || self.doors.iter().any(Door::has_someone)
            || !self.set_bell().map_err(failed("timerfd_settime"))?;
        self.poll.wait(at_once).map_err(failed("epoll_wait"))?;
        self.ops.stats.enters += 1;
        self.ops.now_ns = now_ns();
        Ok(())
    }

    /// False if it is time already.
    fn set_bell(&mut self) -> io::Result<bool> {
        let accept_at_ns = self.doors.iter().filter_map(|door| door.rests_until_ns).min();
        let next_ns =
            end_of_sleep_ns(&self.ops, self.spin_ns).into_iter().chain(accept_at_ns).min();
        next_ns.map_or(Ok(true), |at_ns| self.bell.set(at_ns))
    }
}
