//! What a server's processes take while it is loaded, all of them together, and what the machine does
//! meanwhile: looked at about once a second, from outside.

use std::fs;
use std::time::{Duration, Instant};

use ringbench_measure::machine::TimesByKind;
use ringbench_measure::threads::{self, ProcessThreads, ThreadSample};

use super::process::tree::descendants;
use super::results::{Sample, ThreadUsage, Usage};
use crate::observe::threads::{ThreadUse, Threads};

/// How often is looked; in a short run twice.
const EVERY: Duration = Duration::from_secs(1);
/// Looking for new processes reads a file of every process of the machine, so it is done no more often
/// than this.
const CHILDREN_EVERY: Duration = Duration::from_secs(5);
/// The kernel walks all pages of a process to tell its PSS, so it is asked in so many samples once.
const PSS_EVERY: usize = 5;

/// Memory of several processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Memory {
    rss_bytes: u64,
    /// `None` where the kernel does not tell it of all of them.
    pss_bytes: Option<u64>,
}

/// Watches a server.
#[derive(Debug)]
pub(super) struct Watch {
    /// Below this process is all of the server.
    guard: u32,
    pids: Vec<u32>,
    sought: Instant,
    began: Instant,
    /// How long the load is to last.
    duration: Duration,
    /// How often is looked, and when the next time.
    every: Duration,
    due: Instant,
    threads: Threads,
    times: Option<TimesByKind>,
    cpu_ns: u64,
    usage: Usage,
}

impl Watch {
    /// Looks at a server that has nothing to do.
    pub(super) fn idle(guard: u32) -> Self {
        let now = Instant::now();
        let mut watch = Self {
            guard,
            pids: descendants(guard),
            sought: now,
            began: now,
            duration: EVERY,
            every: EVERY,
            due: now,
            threads: Threads::keeping_each(),
            times: None,
            cpu_ns: 0,
            usage: Usage::default(),
        };
        let found = watch.look();
        let memory = memory(&found, true);
        if !found.is_empty() {
            watch.usage.rss_idle_bytes = Some(memory.rss_bytes);
            watch.usage.pss_idle_bytes = memory.pss_bytes;
        }
        watch.count(&found);
        watch
    }

    /// A load begins that is to last so long: what was until now no longer counts.
    pub(super) fn begin(&mut self, duration: Duration) {
        // No time at all between two looks would make one without an end of them.
        self.every = EVERY.min(duration / 2).max(Duration::from_millis(1));
        self.duration = duration;
        self.seek();
        self.threads.update(each_thread(&self.look()));
        self.threads.begin();
        self.cpu_ns = 0;
        self.times = TimesByKind::now();
        self.began = Instant::now();
        self.due = self.began + self.every;
    }

    /// Whether it is time for a sample.
    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.due
    }

    /// Takes a sample. The last that is due before the load's end has the PSS: then all connections
    /// are still there.
    pub(super) fn sample(&mut self) {
        let at = self.began.elapsed();
        if self.sought.elapsed() >= CHILDREN_EVERY {
            self.seek();
        }
        let is_last = at < self.duration && at + self.every >= self.duration;
        let with_pss = is_last || self.usage.samples.len().is_multiple_of(PSS_EVERY);
        let found = self.look();
        let memory = memory(&found, with_pss);
        self.threads.update(each_thread(&found));
        let cpu_ns = self.threads.total().cpu_ns;
        let times = TimesByKind::now();
        let machine = times.zip(self.times).into_iter();
        let machine = machine.flat_map(|(now, before)| now.shares_since(&before));
        self.usage.rss_max_bytes = self.usage.rss_max_bytes.max(Some(memory.rss_bytes));
        self.usage.pss_max_bytes = self.usage.pss_max_bytes.max(memory.pss_bytes);
        self.count(&found);
        self.usage.samples.push(Sample {
            at_ms: at.as_millis() as u64,
            server_cpu_ns: cpu_ns.saturating_sub(self.cpu_ns),
            server_rss_bytes: memory.rss_bytes,
            server_pss_bytes: memory.pss_bytes,
            server_threads: found.iter().map(|(_, process)| process.threads.len() as u64).sum(),
            machine: machine.map(|(kind, share)| (kind.to_owned(), share)).collect(),
        });
        (self.cpu_ns, self.times) = (cpu_ns, times);
        // Where looking takes long, samples are left out rather than crowded together.
        while self.is_due() {
            self.due += self.every;
        }
    }

    /// The load has ended; what was seen until now.
    pub(super) fn finish(mut self) -> Usage {
        self.seek();
        let found = self.look();
        // Of a server that has ended, what was last known stays.
        self.threads.update(each_thread(&found));
        let memory = memory(&found, false);
        if !found.is_empty() {
            self.usage.rss_max_bytes = self.usage.rss_max_bytes.max(Some(memory.rss_bytes));
        }
        self.count(&found);
        self.usage.cpu_ns = Some(self.threads.total().cpu_ns);
        let used = self.threads.used().into_iter();
        self.usage.per_thread =
            used.map(|ThreadUse { tid, name, cpu_ns }| ThreadUsage { tid, name, cpu_ns }).collect();
        self.usage
    }

    /// What was seen so far.
    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    fn seek(&mut self) {
        self.pids = descendants(self.guard);
        self.sought = Instant::now();
    }

    /// One that ended, or may not be looked at, is as good as not there.
    fn look(&self) -> Vec<(u32, ProcessThreads)> {
        let look = |pid: &u32| Some((*pid, threads::sample(*pid).ok()?));
        self.pids.iter().filter_map(look).collect()
    }

    fn count(&mut self, found: &[(u32, ProcessThreads)]) {
        if found.is_empty() {
            return;
        }
        let threads = found.iter().map(|(_, process)| process.threads.len() as u64).sum();
        self.usage.processes = self.usage.processes.max(Some(found.len() as u64));
        self.usage.threads = self.usage.threads.max(Some(threads));
    }
}

fn each_thread(
    found: &[(u32, ProcessThreads)],
) -> impl Iterator<Item = (u32, &ThreadSample)> + use<'_> {
    found.iter().flat_map(|(pid, process)| process.threads.iter().map(|thread| (*pid, thread)))
}

/// What processes have; their PSS only where it is wanted.
fn memory(found: &[(u32, ProcessThreads)], with_pss: bool) -> Memory {
    let rss_bytes = found.iter().map(|(_, process)| process.rss_bytes).sum();
    // A zombie has no memory, and no file that tells so.
    let pids = found.iter().filter(|(_, process)| process.rss_bytes > 0).map(|(pid, _)| *pid);
    let pss_bytes = with_pss.then(|| pids.map(pss).sum::<Option<u64>>()).flatten();
    Memory { rss_bytes, pss_bytes: pss_bytes.filter(|_| rss_bytes > 0) }
}

fn pss(pid: u32) -> Option<u64> {
    parse_pss(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
}

/// The line `Pss:` of a `smaps_rollup`, in bytes.
fn parse_pss(text: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kib: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_of_the_kernel() {
        let rollup = "5581-7ffd ---p 00000000 00:00 0    [rollup]\nRss:    8420 kB\nPss:    20 kB\n\
                      Pss_Anon:    4 kB\n";
        assert_eq!(parse_pss(rollup), Some(20 << 10));
        assert_eq!(parse_pss("Rss: 1 kB\n"), None);
    }

    #[test]
    fn a_child_that_works_is_seen() {
        // This process stands for the guard: below it is the child.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("there is a shell");
        let mut watch = Watch::idle(std::process::id());
        watch.pids = vec![child.id()];
        watch.begin(EVERY);
        watch.pids = vec![child.id()];
        let until = Instant::now() + Duration::from_secs(20);
        while watch.usage.samples.last().is_none_or(|last| last.server_cpu_ns == 0) {
            assert!(Instant::now() < until, "it uses no CPU time: {watch:?}");
            watch.sample();
        }
        let sample = watch.usage.samples.last().cloned().expect("there is one");
        assert!(sample.server_rss_bytes > 0 && sample.server_threads == 1, "{sample:?}");
        assert!(watch.usage.samples[0].server_pss_bytes.is_some_and(|pss| pss > 0));
        watch.guard = u32::MAX;
        let usage = watch.finish();
        child.kill().expect("it runs");
        child.wait().expect("it was killed");
        assert!(usage.cpu_ns.is_some_and(|cpu_ns| cpu_ns > 0), "{usage:?}");
        assert_eq!(usage.per_thread[0].tid, child.id());
        assert!(usage.rss_max_bytes >= Some(sample.server_rss_bytes));
        assert!(usage.processes >= Some(1) && usage.threads >= Some(1), "{usage:?}");
    }
}
