//! Looks at the server, the machine and TCP while a run goes on, from the main thread.

use std::time::Duration;

use ringbench_engine::now_ns;

use crate::config::Config;
use crate::observe::{Watcher, find_server, find_unix_server, own_threads};
use crate::pace::Clock;
use crate::place::Server;
use crate::report::RunReport;
use crate::report::interval::Interval;

/// How often to look where nobody asked for intervals. A look takes a fraction of a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is seen of a run from outside, or nothing if that was not asked for.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<Watcher>,
    has_begun: bool,
    looked_ns: u64,
    /// CPU time of our own shards at the last look.
    own_cpu_ns: u64,
}

impl Watch {
    /// Finds the server's process, which takes some milliseconds.
    pub fn new(config: &Config, server: &Server) -> Self {
        let watcher = config.observe.then(|| {
            let pids = match (config.server_pid, server) {
                (Some(pid), _) => vec![pid],
                (None, Server::Tcp(address)) => find_server(*address),
                (None, Server::Unix(path)) => find_unix_server(path),
            };
            Watcher::new(&pids, server.address(), now_ns())
        });
        Self { watcher, has_begun: false, looked_ns: 0, own_cpu_ns: 0 }
    }

    /// Looks, if it is time: the first time when the load begins, the last right before it ends.
    pub fn look(&mut self, clock: &Clock) {
        let (Some(watcher), Some(go_ns)) = (&mut self.watcher, clock.go_ns()) else { return };
        let now_ns = now_ns();
        if now_ns < go_ns {
            return;
        }
        if !std::mem::replace(&mut self.has_begun, true) {
            watcher.begin(now_ns);
            self.own_cpu_ns = own_cpu_ns();
            self.looked_ns = now_ns;
            return;
        }
        let is_due = now_ns - self.looked_ns >= LOOK_EVERY.as_nanos() as u64;
        let is_near_end = clock.end_ns().is_some_and(|end_ns| now_ns + NEAR_END_NS >= end_ns);
        if is_due || is_near_end {
            self.looked_ns = now_ns;
            watcher.sample(now_ns);
        }
    }

    /// Adds to an interval that is over what was seen since the one before.
    pub fn complete(&mut self, interval: &mut Interval) {
        let Some(watcher) = &mut self.watcher else { return };
        let now_ns = now_ns();
        self.looked_ns = now_ns;
        let sample = watcher.sample(now_ns);
        interval.server = sample.server;
        interval.machine = sample.machine;
        let before_ns = std::mem::replace(&mut self.own_cpu_ns, own_cpu_ns());
        interval.loader_cpu_ns = self.own_cpu_ns.saturating_sub(before_ns);
    }

    /// Puts all that was seen into the report.
    pub fn finish(&self, report: &mut RunReport) {
        if let Some(watcher) = &self.watcher {
            report.observed = watcher.observed();
            report.shard_run_delay_shares = watcher.run_delay_shares();
        }
    }
}

/// A look within this time of the end is the last.
const NEAR_END_NS: u64 = 50_000_000;

/// CPU time of our shards so far.
fn own_cpu_ns() -> u64 {
    own_threads().iter().map(|thread| thread.cpu_ns).sum()
}
