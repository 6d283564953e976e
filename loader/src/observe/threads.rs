//! What threads have used, each kept apart by process and thread id: the sum stays right when threads end,
//! and the busiest can be told. What ended between two looks is known up to the first of them.

use std::collections::HashMap;

use ringbench_measure::threads::ThreadSample;

/// What a thread has used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) cpu_ns: u64,
    pub(crate) run_delay_ns: u64,
    pub(crate) voluntary: u64,
    pub(crate) involuntary: u64,
}

impl Counts {
    fn of(thread: &ThreadSample) -> Self {
        Self {
            cpu_ns: thread.times.cpu_ns,
            run_delay_ns: thread.times.run_delay_ns,
            voluntary: thread.voluntary_switches,
            involuntary: thread.involuntary_switches,
        }
    }

    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            run_delay_ns: self.run_delay_ns.saturating_sub(earlier.run_delay_ns),
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
        }
    }

    fn add(&mut self, other: Self) {
        self.cpu_ns += other.cpu_ns;
        self.run_delay_ns += other.run_delay_ns;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// A thread: its name, what it had used at the beginning, and at the last look.
#[derive(Clone, Debug)]
struct Thread {
    name: String,
    base: Counts,
    last: Counts,
}

impl Thread {
    fn used(&self) -> Counts {
        self.last.since(self.base)
    }
}

/// What one thread has used since the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ThreadUse {
    /// Its id.
    pub(crate) tid: u32,
    /// Its name, as last seen.
    pub(crate) name: String,
    /// Its CPU time.
    pub(crate) cpu_ns: u64,
}

/// All threads since the beginning.
#[derive(Debug, Default)]
pub(crate) struct Threads {
    alive: HashMap<(u32, u32), Thread>,
    ended: Counts,
    busiest_ended_ns: u64,
    /// Each of those that have ended, where somebody wants to know: over hours it may be many.
    each_ended: Option<Vec<ThreadUse>>,
}

impl Threads {
    /// Remembers each thread that ends, and not just what all of them have used.
    pub(crate) fn keeping_each() -> Self {
        Self { each_ended: Some(Vec::new()), ..Self::default() }
    }

    /// Takes what a look found: `(pid, thread)`.
    pub(crate) fn update<'a>(&mut self, found: impl Iterator<Item = (u32, &'a ThreadSample)>) {
        let mut before = std::mem::take(&mut self.alive);
        for (pid, sample) in found {
            let (key, last) = ((pid, sample.tid), Counts::of(sample));
            let thread = match before.remove(&key) {
                // Less than before: another thread, with the id of one that has ended.
                Some(known) if last.cpu_ns < known.last.cpu_ns => {
                    self.end(sample.tid, known);
                    Thread { name: sample.name.clone(), base: Counts::default(), last }
                }
                Some(mut known) => {
                    // Many take their name some time after their start.
                    known.name.clone_from(&sample.name);
                    Thread { last, ..known }
                }
                None => Thread { name: sample.name.clone(), base: Counts::default(), last },
            };
            self.alive.insert(key, thread);
        }
        before.into_iter().for_each(|((_, tid), thread)| self.end(tid, thread));
    }

    fn end(&mut self, tid: u32, thread: Thread) {
        let used = thread.used();
        self.ended.add(used);
        self.busiest_ended_ns = self.busiest_ended_ns.max(used.cpu_ns);
        if let Some(each) = &mut self.each_ended {
            each.push(ThreadUse { tid, name: thread.name, cpu_ns: used.cpu_ns });
        }
    }

    /// What was until now no longer counts.
    pub(crate) fn begin(&mut self) {
        self.alive.values_mut().for_each(|thread| thread.base = thread.last);
        (self.ended, self.busiest_ended_ns) = (Counts::default(), 0);
        self.each_ended.iter_mut().for_each(Vec::clear);
    }

    pub(crate) fn total(&self) -> Counts {
        let mut total = self.ended;
        self.alive.values().for_each(|thread| total.add(thread.used()));
        total
    }

    pub(crate) fn busiest_ns(&self) -> u64 {
        let used = self.alive.values().map(|thread| thread.used().cpu_ns);
        used.max().unwrap_or(0).max(self.busiest_ended_ns)
    }

    /// Those that used any CPU time, the busiest first; of those that have ended, the ones that were kept.
    pub(crate) fn used(&self) -> Vec<ThreadUse> {
        let alive = self.alive.iter().map(|((_, tid), thread)| ThreadUse {
            tid: *tid,
            name: thread.name.clone(),
            cpu_ns: thread.used().cpu_ns,
        });
        let all = alive.chain(self.each_ended.iter().flatten().cloned());
        let mut used: Vec<ThreadUse> = all.filter(|thread| thread.cpu_ns > 0).collect();
        used.sort_by(|a, b| b.cpu_ns.cmp(&a.cpu_ns).then(a.tid.cmp(&b.tid)));
        used
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use ringbench_measure::ThreadTimes;

    /// One that has run so long, and all else to match.
    pub(in crate::observe) fn thread(tid: u32, cpu_ns: u64) -> ThreadSample {
        ThreadSample {
            tid,
            times: ThreadTimes { cpu_ns, run_delay_ns: cpu_ns / 10 },
            voluntary_switches: cpu_ns / 100,
            involuntary_switches: 1,
            cores: vec![tid % 2],
            ..ThreadSample::default()
        }
    }

    fn update(threads: &mut Threads, found: &[ThreadSample]) {
        threads.update(found.iter().map(|thread| (7, thread)));
    }

    #[test]
    fn a_thread_that_ends_keeps_its_time() {
        let mut threads = Threads::default();
        update(&mut threads, &[thread(1, 1_000), thread(2, 5_000)]);
        threads.begin();
        assert_eq!(threads.total(), Counts::default());
        update(&mut threads, &[thread(1, 1_500), thread(2, 9_000), thread(3, 100)]);
        assert_eq!((threads.total().cpu_ns, threads.busiest_ns()), (4_600, 4_000));
        update(&mut threads, &[thread(1, 1_600)]);
        let total = threads.total();
        assert_eq!((total.cpu_ns, threads.busiest_ns()), (4_700, 4_000));
        assert_eq!((total.run_delay_ns, total.voluntary), (470, 47));
        assert_eq!(threads.alive.len(), 1, "what has ended is not kept apart any more");
    }

    #[test]
    fn an_id_that_is_used_again_is_another_thread() {
        let mut threads = Threads::default();
        update(&mut threads, &[thread(1, 1_000)]);
        threads.begin();
        update(&mut threads, &[thread(1, 3_000)]);
        update(&mut threads, &[thread(1, 400)]);
        assert_eq!((threads.total().cpu_ns, threads.busiest_ns()), (2_400, 2_000));
    }

    #[test]
    fn each_thread_is_told_if_that_is_wanted() {
        let mut threads = Threads::keeping_each();
        let look = |threads: &mut Threads, found: &[(u32, u32, u64)]| {
            let found: Vec<_> =
                found.iter().map(|&(pid, tid, cpu_ns)| (pid, thread(tid, cpu_ns))).collect();
            threads.update(found.iter().map(|(pid, thread)| (*pid, thread)));
        };
        look(&mut threads, &[(1, 1, 1_000), (1, 2, 500)]);
        threads.begin();
        assert_eq!((threads.total().cpu_ns, threads.used()), (0, vec![]));
        // A new process, and a thread that has done nothing.
        look(&mut threads, &[(1, 1, 1_500), (1, 2, 500), (7, 7, 90)]);
        assert_eq!(threads.total().cpu_ns, 590);
        // Thread 1 ends and another takes its id; process 7 ends.
        look(&mut threads, &[(1, 1, 20), (1, 2, 501)]);
        assert_eq!(threads.total().cpu_ns, 500 + 20 + 1 + 90);
        let used: Vec<_> = threads.used().iter().map(|it| (it.tid, it.cpu_ns)).collect();
        assert_eq!(used, [(1, 500), (7, 90), (1, 20), (2, 1)]);
        look(&mut threads, &[(1, 2, 600)]);
        threads.begin();
        assert_eq!(threads.total().cpu_ns, 0);
        assert_eq!(threads.used(), []);
    }
}
