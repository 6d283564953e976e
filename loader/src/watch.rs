//! Looks at the server, the machine and TCP while a run goes on, from the main thread.

use std::time::Duration;

use ringbench_engine::now_ns;

use crate::config::Config;
use crate::observe::{Sample, Watcher, find_server, find_unix_server, own_threads};
use crate::pace::Clock;
use crate::place::Server;
use crate::report::RunReport;
use crate::report::interval::{Interval, ServerInterval};
use crate::report::observed::MachineUse;

/// How often to look where nobody asked for intervals. A look takes a fraction of a millisecond.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What is seen of a run from outside, or nothing if that was not asked for.
#[derive(Debug)]
pub struct Watch {
    watcher: Option<Watcher>,
    has_begun: bool,
    looked_ns: u64,
    /// What was seen since the last interval was complete, and over how long.
    seen: Option<(Sample, u64)>,
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
        Self { watcher, has_begun: false, looked_ns: 0, seen: None, own_cpu_ns: 0 }
    }

    /// Whether there is something to look at, and the load has not begun yet.
    pub fn is_to_begin(&self) -> bool {
        self.watcher.is_some() && !self.has_begun
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
            let length_ns = now_ns - std::mem::replace(&mut self.looked_ns, now_ns);
            let sample = watcher.sample(now_ns);
            self.seen = Some(both(self.seen.take(), (sample, length_ns)));
        }
    }

    /// Adds to an interval that is over what was seen since the one before.
    pub fn complete(&mut self, interval: &mut Interval) {
        let Some(watcher) = &mut self.watcher else { return };
        let now_ns = now_ns();
        let length_ns = now_ns.saturating_sub(std::mem::replace(&mut self.looked_ns, now_ns));
        let sample = watcher.sample(now_ns);
        // The last look of a run comes before the end of its last interval.
        let (sample, _) = both(self.seen.take(), (sample, length_ns));
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

/// Two looks, one after the other, as one; each with the time since the look before.
fn both(earlier: Option<(Sample, u64)>, later: (Sample, u64)) -> (Sample, u64) {
    let Some((earlier, earlier_ns)) = earlier else { return later };
    let (later, later_ns) = later;
    let length_ns = earlier_ns + later_ns;
    let server = match (earlier.server, later.server) {
        (Some(earlier), Some(later)) => Some(ServerInterval {
            cpu_ns: earlier.cpu_ns + later.cpu_ns,
            switches: earlier.switches + later.switches,
            ..later
        }),
        (earlier, later) => later.or(earlier),
    };
    let machine = match (earlier.machine, later.machine) {
        (Some(earlier), Some(later)) => {
            let share = |of: fn(&MachineUse) -> f64| {
                let sum = of(&earlier) * earlier_ns as f64 + of(&later) * later_ns as f64;
                sum / length_ns.max(1) as f64
            };
            Some(MachineUse {
                cores: later.cores,
                steal: share(|it| it.steal),
                softirq: share(|it| it.softirq),
                idle: share(|it| it.idle),
            })
        }
        (earlier, later) => later.or(earlier),
    };
    (Sample { server, machine }, length_ns)
}

/// CPU time of our shards so far.
fn own_cpu_ns() -> u64 {
    own_threads().iter().map(|thread| thread.cpu_ns).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(cpu_ns: u64, idle: f64) -> Sample {
        let server = ServerInterval { cpu_ns, rss_bytes: cpu_ns, threads: 1, switches: 2 };
        let machine = MachineUse { cores: 2, idle, ..MachineUse::default() };
        Sample { server: Some(server), machine: Some(machine) }
    }

    #[test]
    fn two_looks_make_one() {
        let first = both(None, (sample(5, 0.5), 300));
        let (whole, length_ns) = both(Some(first), (sample(7, 0.9), 100));
        let server = whole.server.unwrap();
        assert_eq!((server.cpu_ns, server.rss_bytes, server.switches), (12, 7, 4));
        assert!((whole.machine.unwrap().idle - 0.6).abs() < 1e-9);
        assert_eq!(length_ns, 400);
        let unseen = Sample { server: None, machine: None };
        let (whole, _) = both(Some((sample(5, 0.5), 1)), (unseen, 1));
        assert_eq!(whole.server.unwrap().cpu_ns, 5);
    }
}
