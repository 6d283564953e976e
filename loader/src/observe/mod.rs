//! What can be seen of the server, the machine and TCP while a run goes on, from outside the hot
//! path: nothing here runs on a shard's thread.
//!
//! | module | what it does |
//! |---|---|
//! | [`find`] | finds the local process that serves an address |
//! | [`listen`] | asks how many connections may wait in its accept queue |
//! | [`server`] | follows it and its children |
//! | `threads` | what their threads have used |
//! | [`tcp`] | samples `TCP_INFO` of the run's connections |
//! | [`own`] | run delays of ringload's own shards |
//!
//! Whatever cannot be had (a server elsewhere, no right to look, an old kernel) is `None` in the
//! report and no error.
//!
//! ```no_run
//! use ringload::observe::{Watcher, find_server};
//!
//! let address = "127.0.0.1:8080".parse().unwrap();
//! let mut watcher = Watcher::new(&find_server(address), Some(address), 0);
//! // The shards start and the run begins:
//! watcher.begin(1_000_000);
//! // Each interval, and once at the end while the shards are still there:
//! let sample = watcher.sample(1_001_000_000);
//! println!("{:?} {:?}", sample.server, sample.machine);
//! println!("{:?} {:?}", watcher.observed(), watcher.run_delay_shares());
//! ```

use std::net::SocketAddr;

use ringbench_measure::MachineTimes;

use crate::report::interval::ServerInterval;
use crate::report::observed::{MachineUse, Observed};

pub mod find;
pub mod listen;
pub mod own;
pub mod server;
pub mod tcp;
pub(crate) mod threads;

pub use find::{find_server, find_unix_server};
pub use listen::accept_queue;
pub use own::{ThreadUse, own_threads};

use own::OwnWatch;
use server::ServerWatch;
use tcp::TcpWatch;

/// `TCP_INFO` is sampled no more often than this.
const TCP_EVERY_NS: u64 = 1_000_000_000;

/// What was seen since the sample before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sample {
    /// The server, if it is watched.
    pub server: Option<ServerInterval>,
    /// The machine; `None` also where the interval was too short for its ticks of 10 ms.
    pub machine: Option<MachineUse>,
}

/// Watches a run. Times are those of one clock, in nanoseconds; which clock does not matter.
#[derive(Debug)]
pub struct Watcher {
    server: Option<ServerWatch>,
    tcp: Option<TcpWatch>,
    own: OwnWatch,
    machine_at_begin: Option<MachineTimes>,
    machine: Option<MachineTimes>,
    tcp_sampled_ns: Option<u64>,
}

impl Watcher {
    /// Watches the processes in `pids` with all that they start (none: no server is watched) and
    /// the connections to `peer` (`None`: none are, such as over Unix sockets), from now on.
    pub fn new(pids: &[u32], peer: Option<SocketAddr>, now_ns: u64) -> Self {
        let machine = MachineTimes::now();
        Self {
            server: ServerWatch::new(pids, now_ns),
            tcp: peer.and_then(TcpWatch::new),
            own: OwnWatch::new(now_ns),
            machine_at_begin: machine,
            machine,
            tcp_sampled_ns: None,
        }
    }

    /// Forgets what was before: the run begins now, or its warm-up is over.
    pub fn begin(&mut self, now_ns: u64) {
        if let Some(server) = &mut self.server {
            server.begin(now_ns);
        }
        if let Some(tcp) = &mut self.tcp {
            tcp.begin();
        }
        self.own.begin(now_ns);
        self.tcp_sampled_ns = None;
        self.machine_at_begin = MachineTimes::now();
        self.machine = self.machine_at_begin;
    }

    /// Looks at everything; what was seen since the last look. To be called at the end of each
    /// interval, at the end of the run while its connections and shards are still there, and about
    /// once a second if there are no intervals.
    pub fn sample(&mut self, now_ns: u64) -> Sample {
        self.own.sample(now_ns);
        let due = self.tcp_sampled_ns.is_none_or(|last| now_ns >= last + TCP_EVERY_NS);
        if due && let Some(tcp) = &mut self.tcp {
            self.tcp_sampled_ns = Some(now_ns);
            tcp.sample();
        }
        let machine = MachineTimes::now();
        let machine_use = machine_use(self.machine, machine);
        // Too short an interval is added to the next.
        if machine_use.is_some() {
            self.machine = machine;
        }
        Sample {
            server: self.server.as_mut().map(|server| server.sample(now_ns)),
            machine: machine_use,
        }
    }

    /// All that was seen from the beginning to the last look.
    pub fn observed(&self) -> Observed {
        Observed {
            server: self.server.as_ref().map(ServerWatch::total),
            machine: machine_use(self.machine_at_begin, self.machine),
            tcp: self.tcp.as_ref().and_then(TcpWatch::total),
        }
    }

    /// For each shard, in order, the share of its time that it was ready but had no core; empty
    /// where no look found a shard.
    pub fn run_delay_shares(&self) -> Vec<f64> {
        self.own.run_delay_shares()
    }
}

fn machine_use(earlier: Option<MachineTimes>, later: Option<MachineTimes>) -> Option<MachineUse> {
    let spent = later?.since(&earlier?);
    (spent.total > 0).then(|| MachineUse {
        cores: spent.cores,
        steal: spent.share(spent.steal),
        softirq: spent.share(spent.softirq),
        idle: spent.share(spent.idle),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_the_machine() {
        let earlier = MachineTimes { cores: 2, total: 100, idle: 60, softirq: 1, steal: 3 };
        let later = MachineTimes { cores: 2, total: 300, idle: 110, softirq: 21, steal: 13 };
        let expected = MachineUse { cores: 2, steal: 0.05, softirq: 0.1, idle: 0.25 };
        assert_eq!(machine_use(Some(earlier), Some(later)), Some(expected));
        assert_eq!(machine_use(Some(earlier), Some(earlier)), None, "too short");
        assert_eq!(machine_use(None, Some(later)), None);
    }

    #[test]
    fn nothing_to_watch_is_no_error() {
        let mut watcher = Watcher::new(&[], None, 0);
        watcher.begin(5);
        let sample = watcher.sample(1_000_000_005);
        assert_eq!(sample.server, None);
        let observed = watcher.observed();
        assert_eq!((observed.server, observed.tcp), (None, None));
    }
}
