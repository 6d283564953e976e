//! How a shard comes to its connections, and when its schedule may begin.

use std::time::Duration;

use ringbench_engine::Ops;

use super::Load;
use crate::config::Config;
use crate::connection::Connection;
use crate::opener::Throttle;
use crate::pace::clamp_ns;

/// How long an open loop waits for its connections, beside the time that was given for opening
/// them.
const OPENING_TIME: Duration = Duration::from_secs(30);

/// How fast one of `shards` may open connections, if that is bounded.
pub(super) fn throttle(config: &Config, shards: usize) -> Option<Throttle> {
    let of_shard = |per_sec: f64| per_sec / shards as f64;
    let ramp_up = config.connect.ramp_up.map(|time| config.connections as f64 / time.as_secs_f64());
    let rate = config.connect.rate.map(|rate| Throttle::new(of_shard(rate), false));
    rate.or_else(|| ramp_up.map(|rate| Throttle::new(of_shard(rate), true)))
}

/// How long opening the first connections takes if it is slowed down on purpose.
fn time_to_open(config: &Config) -> Duration {
    let by_rate = config.connect.rate.map_or(Duration::ZERO, |rate| {
        let seconds = config.connections as f64 / rate;
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    });
    by_rate.max(config.connect.ramp_up.unwrap_or_default())
}

impl Load {
    pub(super) fn open_missing(&mut self, ops: &mut Ops) {
        let now_ns = ops.now_ns();
        let count = if self.has_use_for_more() { self.opener.start(now_ns) } else { 0 };
        for _ in 0..count {
            self.follow_script(ops);
            let id = ops.connect(self.targets[self.next_target % self.targets.len()]);
            self.next_target += 1;
            if self.conns.len() <= id.index() {
                self.conns.resize_with(id.index() + 1, Connection::vacant);
            }
            self.conns[id.index()].occupy(id, self.per_connection);
            ops.set_deadline(id, now_ns.saturating_add(self.timeout_ns));
        }
        if self.next_start_ns(now_ns).is_some() {
            self.set_alarm(ops);
        }
    }

    /// Without anything to send there is no use for a replacement; the first connections were
    /// asked for and are opened in any case.
    fn has_use_for_more(&self) -> bool {
        self.ended == 0 || !self.budget.is_empty()
    }

    pub(super) fn next_start_ns(&self, now_ns: u64) -> Option<u64> {
        self.has_use_for_more().then(|| self.opener.next_start_ns(now_ns)).flatten()
    }

    /// The shard has all its connections for the first time.
    pub(super) fn all_are_open(&mut self, ops: &mut Ops) {
        self.tally.ledger.all_open_ns = Some(ops.now_ns());
        if self.open_loop.is_some() {
            self.shared.clock.ready(ops.now_ns());
            self.start_schedule(ops);
        }
    }

    /// A schedule does not wait for connections for ever.
    pub(super) fn go_in_any_case(&self, now_ns: u64) {
        let config = &self.shared.config;
        if self.open_loop.is_none() || self.shared.clock.go_ns().is_some() {
            return;
        }
        let allowed = time_to_open(config).saturating_add(OPENING_TIME);
        let start_ns = self.shared.clock.started_ns().unwrap_or(now_ns);
        if now_ns.saturating_sub(start_ns) > clamp_ns(allowed.max(config.timeout)) {
            self.shared.clock.go(now_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::flags::Flags;

    #[test]
    fn connections_may_take_longer_than_time_itself() {
        let time = |args: &str| {
            let args = format!("ringload -c 100 http://h {args}");
            let config = Flags::try_parse_from(args.split_whitespace()).and_then(Flags::config);
            time_to_open(&config.unwrap())
        };
        assert_eq!(time(""), Duration::ZERO);
        assert_eq!(time("--connect-rate 50"), Duration::from_secs(2));
        assert_eq!(time("--ramp-up 7s"), Duration::from_secs(7));
        assert_eq!(time("--connect-rate 1e-300"), Duration::MAX);
    }
}
