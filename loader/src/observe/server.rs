//! Follows the server's processes and their threads.

use std::collections::{BTreeSet, HashMap};
use std::fs;

use ringbench_measure::threads::{self, ProcessThreads};

use super::threads::{Counts, Threads};
use crate::report::interval::ServerInterval;
use crate::report::observed::ServerUse;

/// Looking for new children reads a file of every process of the machine, some 15 us each, so it is
/// done no more often than this.
const CHILDREN_EVERY_NS: u64 = 5_000_000_000;

/// Watches the processes of a server.
#[derive(Debug)]
pub struct ServerWatch {
    roots: Vec<u32>,
    name: String,
    pids: Vec<u32>,
    children_sought_ns: u64,
    threads: Threads,
    begin_ns: u64,
    last_ns: u64,
    last_total: Counts,
    rss_max_bytes: u64,
    thread_count: u64,
    processes: u64,
    cores: BTreeSet<u32>,
}

impl ServerWatch {
    /// Watches these processes and all that they have started or will; `None` if none of them is
    /// there.
    pub fn new(pids: &[u32], now_ns: u64) -> Option<Self> {
        let table = threads::processes().unwrap_or_default();
        let roots: Vec<u32> = roots(pids, &table)
            .into_iter()
            .filter(|pid| table.iter().any(|(known, _)| known == pid))
            .collect();
        let name = fs::read_to_string(format!("/proc/{}/comm", roots.first()?)).ok()?;
        let mut watch = Self {
            pids: family(&roots, &table, std::process::id()),
            roots,
            name: name.trim_end_matches('\n').to_owned(),
            children_sought_ns: now_ns,
            threads: Threads::default(),
            begin_ns: now_ns,
            last_ns: now_ns,
            last_total: Counts::default(),
            rss_max_bytes: 0,
            thread_count: 0,
            processes: 0,
            cores: BTreeSet::new(),
        };
        watch.begin(now_ns);
        Some(watch)
    }

    /// What was until now no longer counts.
    pub fn begin(&mut self, now_ns: u64) {
        self.rss_max_bytes = 0;
        self.sample(now_ns);
        self.threads.begin();
        self.begin_ns = now_ns;
        self.last_total = Counts::default();
    }

    /// Looks at all processes; what they did since the last look.
    pub fn sample(&mut self, now_ns: u64) -> ServerInterval {
        if now_ns >= self.children_sought_ns + CHILDREN_EVERY_NS {
            self.children_sought_ns = now_ns;
            if let Ok(table) = threads::processes() {
                self.pids = family(&self.roots, &table, std::process::id());
            }
        }
        // One that ended, or may not be looked at, is as good as not there.
        let found: Vec<(u32, ProcessThreads)> =
            self.pids.iter().filter_map(|&pid| Some((pid, threads::sample(pid).ok()?))).collect();
        self.take(&found, now_ns)
    }

    fn take(&mut self, found: &[(u32, ProcessThreads)], now_ns: u64) -> ServerInterval {
        let all = || {
            found
                .iter()
                .flat_map(|(pid, process)| process.threads.iter().map(|thread| (*pid, thread)))
        };
        self.threads.update(all());
        let rss_bytes = found.iter().map(|(_, process)| process.rss_bytes).sum();
        self.rss_max_bytes = self.rss_max_bytes.max(rss_bytes);
        // Of a server that has just ended, the last that was known stays.
        if !found.is_empty() {
            self.processes = found.len() as u64;
            self.thread_count = all().count() as u64;
            self.cores = all().flat_map(|(_, thread)| thread.cores.iter().copied()).collect();
        }
        let total = self.threads.total();
        let used = total.since(self.last_total);
        (self.last_total, self.last_ns) = (total, now_ns);
        ServerInterval {
            cpu_ns: used.cpu_ns,
            rss_bytes,
            threads: all().count() as u64,
            switches: used.voluntary + used.involuntary,
        }
    }

    /// What the server used from the beginning to the last look.
    pub fn total(&self) -> ServerUse {
        let wall_ns = self.last_ns.saturating_sub(self.begin_ns);
        let share = |cpu_ns: u64| (cpu_ns as f64 / wall_ns.max(1) as f64).min(1.0);
        let total = self.threads.total();
        ServerUse {
            pid: self.roots[0],
            name: self.name.clone(),
            processes: self.processes,
            allowed_cores: self.cores.len() as u64,
            cpu_ns: total.cpu_ns,
            wall_ns,
            busiest_thread_share: share(self.threads.busiest_ns()),
            run_delay_ns: total.run_delay_ns,
            rss_max_bytes: self.rss_max_bytes,
            threads: self.thread_count,
            voluntary_switches: total.voluntary,
            involuntary_switches: total.involuntary,
        }
    }
}

/// Those of `pids` that none of the others has started.
fn roots(pids: &[u32], table: &[(u32, u32)]) -> Vec<u32> {
    let below = |pid: u32, other: u32| pid != other && family(&[other], table, 0).contains(&pid);
    pids.iter().copied().filter(|&pid| !pids.iter().any(|&other| below(pid, other))).collect()
}

/// `roots` and all that they have started, but for `without` (ringload itself, where the server's
/// process has started it) and what that has started. `table` has each process with its parent.
pub(crate) fn family(roots: &[u32], table: &[(u32, u32)], without: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for &(pid, parent) in table {
        children.entry(parent).or_default().push(pid);
    }
    let mut found: Vec<u32> = Vec::new();
    let mut open: Vec<u32> = roots.to_vec();
    while let Some(pid) = open.pop() {
        // A table that is read while processes come and go may have a circle in it.
        if pid != without && !found.contains(&pid) {
            found.push(pid);
            open.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found.sort_unstable();
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::threads::tests::thread;

    #[test]
    fn families() {
        let table = [(1, 0), (10, 1), (11, 10), (12, 10), (13, 12), (20, 1), (30, 31), (31, 30)];
        assert_eq!(family(&[10], &table, 0), [10, 11, 12, 13]);
        assert_eq!(family(&[10], &table, 12), [10, 11], "ringload is not part of the server");
        assert_eq!(family(&[10, 20], &table, 0), [10, 11, 12, 13, 20]);
        assert_eq!(family(&[30], &table, 0), [30, 31], "a circle ends");
        assert_eq!(roots(&[11, 10, 12], &table), [10], "a master and its workers");
        assert_eq!(roots(&[13, 20], &table), [13, 20], "two that share a port");
    }

    #[test]
    fn intervals_add_up_to_the_total() {
        let own = std::process::id();
        let mut watch = ServerWatch::new(&[own], 0);
        // ringload itself is not watched, so the samples are made up.
        let watch = watch.as_mut().expect("this process is there");
        assert_eq!(watch.pids, [0; 0]);
        let process = |cpu_ns, rss_bytes| {
            let threads = vec![thread(1, cpu_ns), thread(2, cpu_ns / 2)];
            vec![(own, ProcessThreads { rss_bytes, threads })]
        };
        watch.take(&process(10_000, 50), 0);
        watch.begin(100);
        let first = watch.take(&process(2_000, 80), 2_100);
        assert_eq!((first.cpu_ns, first.rss_bytes, first.threads), (3_000, 80, 2));
        assert_eq!(first.switches, 20 + 10 + 2);
        let second = watch.take(&process(4_000, 60), 5_100);
        assert_eq!((second.cpu_ns, second.switches), (3_000, 30));
        let gone = watch.take(&[], 10_100);
        assert_eq!(gone, ServerInterval::default());
        let total = watch.total();
        assert_eq!((total.cpu_ns, total.wall_ns, total.rss_max_bytes), (6_000, 10_000, 80));
        assert!((total.busiest_thread_share - 0.4).abs() < 1e-9, "{total:?}");
        assert_eq!((total.threads, total.processes, total.allowed_cores), (2, 1, 2));
        assert_eq!((total.run_delay_ns, total.involuntary_switches), (600, 2));
    }

    #[test]
    fn nobody_is_not_watched() {
        assert!(ServerWatch::new(&[], 0).is_none());
        assert!(ServerWatch::new(&[u32::MAX], 0).is_none());
    }
}
