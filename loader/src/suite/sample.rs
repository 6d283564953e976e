//! What a server's processes take while it is loaded, all of them together, and what the machine does
//! meanwhile: looked at about once a second, from outside.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::{Duration, Instant};

use ringbench_measure::threads::{self, ProcessThreads};

use super::process::tree::descendants;
use super::results::{Sample, ThreadUsage, Usage};

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

/// A thread: what it had used when the load began, and as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    name: String,
    base_ns: u64,
    last_ns: u64,
}

impl Known {
    fn used_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.base_ns)
    }
}

/// All threads, also those that have ended.
#[derive(Debug, Default)]
struct Threads {
    alive: HashMap<(u32, u32), Known>,
    ended: Vec<(u32, Known)>,
}

impl Threads {
    /// Takes in what a look found; with `is_base`, what they have used up to now does not count.
    fn update(&mut self, found: &[(u32, ProcessThreads)], is_base: bool) {
        let mut before = std::mem::take(&mut self.alive);
        for (pid, process) in found {
            for thread in &process.threads {
                let (key, cpu_ns) = ((*pid, thread.tid), thread.times.cpu_ns);
                let base_ns = match before.remove(&key) {
                    _ if is_base => cpu_ns,
                    // Less than before: another thread, with the id of one that has ended.
                    Some(known) if cpu_ns < known.last_ns => {
                        self.ended.push((thread.tid, known));
                        0
                    }
                    Some(known) => known.base_ns,
                    None => 0,
                };
                let known = Known { name: thread.name.clone(), base_ns, last_ns: cpu_ns };
                self.alive.insert(key, known);
            }
        }
        self.ended.extend(before.into_iter().map(|((_, tid), known)| (tid, known)));
        if is_base {
            self.ended.clear();
        }
    }

    fn total_ns(&self) -> u64 {
        let alive = self.alive.values().map(Known::used_ns);
        alive.chain(self.ended.iter().map(|(_, known)| known.used_ns())).sum()
    }

    /// Those that used any, the busiest first.
    fn used(&self) -> Vec<ThreadUsage> {
        let alive = self.alive.iter().map(|((_, tid), known)| (*tid, known));
        let all = alive.chain(self.ended.iter().map(|(tid, known)| (*tid, known)));
        let mut used: Vec<ThreadUsage> = all
            .filter(|(_, known)| known.used_ns() > 0)
            .map(|(tid, known)| ThreadUsage {
                tid,
                name: known.name.clone(),
                cpu_ns: known.used_ns(),
            })
            .collect();
        used.sort_by(|a, b| b.cpu_ns.cmp(&a.cpu_ns).then(a.tid.cmp(&b.tid)));
        used
    }
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
    ticks: Option<Ticks>,
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
            threads: Threads::default(),
            ticks: None,
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
        let found = self.look();
        self.threads.update(&found, true);
        self.cpu_ns = 0;
        self.ticks = Ticks::now();
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
        self.threads.update(&found, false);
        let cpu_ns = self.threads.total_ns();
        let ticks = Ticks::now();
        let machine = ticks.as_ref().zip(self.ticks.as_ref());
        let machine = machine.map(|(now, before)| now.shares_since(before)).unwrap_or_default();
        self.usage.rss_max_bytes = self.usage.rss_max_bytes.max(Some(memory.rss_bytes));
        self.usage.pss_max_bytes = self.usage.pss_max_bytes.max(memory.pss_bytes);
        self.count(&found);
        self.usage.samples.push(Sample {
            at_ms: at.as_millis() as u64,
            server_cpu_ns: cpu_ns.saturating_sub(self.cpu_ns),
            server_rss_bytes: memory.rss_bytes,
            server_pss_bytes: memory.pss_bytes,
            server_threads: found.iter().map(|(_, process)| process.threads.len() as u64).sum(),
            machine,
        });
        (self.cpu_ns, self.ticks) = (cpu_ns, ticks);
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
        self.threads.update(&found, false);
        let memory = memory(&found, false);
        if !found.is_empty() {
            self.usage.rss_max_bytes = self.usage.rss_max_bytes.max(Some(memory.rss_bytes));
        }
        self.count(&found);
        self.usage.cpu_ns = Some(self.threads.total_ns());
        self.usage.per_thread = self.threads.used();
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

/// How the machine has spent its time since its start, in ticks, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Ticks([u64; 8]);

/// In the order of `/proc/stat`. Time for guests follows them; it is part of user time.
const TICK_NAMES: [&str; 8] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];

impl Ticks {
    fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let fields = all.split_ascii_whitespace().map_while(|field| field.parse().ok());
        let fields: Vec<u64> = fields.collect();
        Some(Self(*fields.first_chunk()?))
    }

    /// The share of each; none where no time was booked.
    fn shares_since(&self, before: &Self) -> BTreeMap<String, f64> {
        // The kernel's sums of idle time may step back a little.
        let spent = |at: usize| self.0[at].saturating_sub(before.0[at]);
        let total: u64 = (0..TICK_NAMES.len()).map(spent).sum();
        let names = TICK_NAMES.iter().enumerate().filter(|_| total > 0);
        names.map(|(at, &name)| (name.to_owned(), spent(at) as f64 / total as f64)).collect()
    }
}

#[cfg(test)]
mod tests {
    use ringbench_measure::{ThreadSample, ThreadTimes};

    use super::*;

    fn process(pid: u32, threads: &[(u32, u64)]) -> (u32, ProcessThreads) {
        let thread = |&(tid, cpu_ns): &(u32, u64)| ThreadSample {
            tid,
            name: format!("t{tid}"),
            times: ThreadTimes { cpu_ns, run_delay_ns: 0 },
            ..ThreadSample::default()
        };
        let threads = threads.iter().map(thread).collect();
        (pid, ProcessThreads { rss_bytes: 100, threads })
    }

    #[test]
    fn threads_are_counted_from_where_the_load_began() {
        let mut threads = Threads::default();
        threads.update(&[process(1, &[(1, 1_000), (2, 500)])], true);
        assert_eq!((threads.total_ns(), threads.used()), (0, vec![]));
        // A new process, and a thread that has done nothing.
        threads.update(&[process(1, &[(1, 1_500), (2, 500)]), process(7, &[(7, 90)])], false);
        assert_eq!(threads.total_ns(), 590);
        // Thread 1 ends and another takes its id; process 7 ends.
        threads.update(&[process(1, &[(1, 20), (2, 501)])], false);
        assert_eq!(threads.total_ns(), 500 + 20 + 1 + 90);
        let used: Vec<_> = threads.used().iter().map(|it| (it.tid, it.cpu_ns)).collect();
        assert_eq!(used, [(1, 500), (7, 90), (1, 20), (2, 1)]);
        threads.update(&[process(1, &[(2, 600)])], true);
        assert_eq!(threads.total_ns(), 0);
    }

    #[test]
    fn the_files_of_the_kernel() {
        let rollup = "5581-7ffd ---p 00000000 00:00 0    [rollup]\nRss:    8420 kB\nPss:    20 kB\n\
                      Pss_Anon:    4 kB\n";
        assert_eq!(parse_pss(rollup), Some(20 << 10));
        assert_eq!(parse_pss("Rss: 1 kB\n"), None);
        let before = Ticks::parse("cpu  100 0 50 600 0 0 5 0 0 0\ncpu0 1 2\n").expect("a line");
        let now = Ticks::parse("cpu  150 0 75 615 0 0 15 0 0 0\n").expect("a line");
        let shares = now.shares_since(&before);
        assert_eq!(shares.len(), 8);
        let of = |name: &str| shares.get(name).copied().unwrap_or(-1.0);
        assert!(
            (of("user") - 0.5).abs() < 1e-9 && (of("softirq") - 0.1).abs() < 1e-9,
            "{shares:?}"
        );
        assert!((shares.values().sum::<f64>() - 1.0).abs() < 1e-9);
        assert_eq!(now.shares_since(&now), BTreeMap::new());
        assert_eq!(Ticks::parse("cpu0 1 2 3"), None);
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
