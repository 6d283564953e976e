//! Ringload's own threads: whether a shard had the core that it wanted.

use ringbench_measure::ThreadTimes;
use ringbench_measure::threads;

/// What the names of the shards' threads start with; the shard's number follows.
const PREFIX: &str = "ringload-";

/// What a shard's thread has used since it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadUse {
    /// The thread's name.
    pub name: String,
    /// The time it ran.
    pub cpu_ns: u64,
    /// The time it was ready to run but had no core.
    pub run_delay_ns: u64,
}

/// The threads of the shards that are alive, in the order of their numbers; empty where the kernel
/// does not tell.
pub fn own_threads() -> Vec<ThreadUse> {
    let in_use = |(_, name, times): (u32, String, ThreadTimes)| ThreadUse {
        name,
        cpu_ns: times.cpu_ns,
        run_delay_ns: times.run_delay_ns,
    };
    let mut found: Vec<ThreadUse> = threads::named(std::process::id(), PREFIX)
        .unwrap_or_default()
        .into_iter()
        .map(in_use)
        .collect();
    found.sort_by_key(|thread| shard(&thread.name));
    found
}

fn shard(name: &str) -> Option<u64> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// A shard from one moment to another.
#[derive(Clone, Debug)]
struct Watched {
    name: String,
    base_ns: u64,
    base_delay_ns: u64,
    last_ns: u64,
    last_delay_ns: u64,
}

/// Watches the shards' run delays. A shard that has ended keeps what the last look found.
#[derive(Debug)]
pub(super) struct OwnWatch {
    begin_ns: u64,
    shards: Vec<Watched>,
}

impl OwnWatch {
    pub(super) fn new(now_ns: u64) -> Self {
        let mut watch = Self { begin_ns: now_ns, shards: Vec::new() };
        watch.begin(now_ns);
        watch
    }

    /// What was until now no longer counts.
    pub(super) fn begin(&mut self, now_ns: u64) {
        self.begin_ns = now_ns;
        let watched = |thread: ThreadUse| Watched {
            name: thread.name,
            base_ns: now_ns,
            base_delay_ns: thread.run_delay_ns,
            last_ns: now_ns,
            last_delay_ns: thread.run_delay_ns,
        };
        self.shards = own_threads().into_iter().map(watched).collect();
    }

    pub(super) fn sample(&mut self, now_ns: u64) {
        self.take(own_threads(), now_ns);
    }

    fn take(&mut self, threads: Vec<ThreadUse>, now_ns: u64) {
        for thread in threads {
            let known = self.shards.iter_mut().find(|known| known.name == thread.name);
            match known {
                Some(known) => {
                    (known.last_ns, known.last_delay_ns) = (now_ns, thread.run_delay_ns);
                }
                // It has begun since the beginning, and all of its delay is of this time.
                None => self.shards.push(Watched {
                    name: thread.name,
                    base_ns: self.begin_ns,
                    base_delay_ns: 0,
                    last_ns: now_ns,
                    last_delay_ns: thread.run_delay_ns,
                }),
            }
        }
        self.shards.sort_by_key(|watched| shard(&watched.name));
    }

    pub(super) fn run_delay_shares(&self) -> Vec<f64> {
        let share = |watched: &Watched| {
            let wall_ns = watched.last_ns.saturating_sub(watched.base_ns);
            let delay_ns = watched.last_delay_ns.saturating_sub(watched.base_delay_ns);
            (wall_ns > 0).then(|| (delay_ns as f64 / wall_ns as f64).min(1.0))
        };
        self.shards.iter().filter_map(share).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread(shard: u64, run_delay_ns: u64) -> ThreadUse {
        ThreadUse { name: format!("ringload-{shard}"), cpu_ns: 1, run_delay_ns }
    }

    #[test]
    fn shares_of_delay_by_shard() {
        let mut watch = OwnWatch { begin_ns: 1_000, shards: Vec::new() };
        assert_eq!(watch.run_delay_shares(), [0.0; 0], "no look, nothing known");
        watch.take(vec![thread(10, 5), thread(2, 100)], 1_500);
        assert_eq!(watch.run_delay_shares(), [0.2, 0.01], "by number, not by name");
        watch.take(vec![thread(2, 300)], 2_000);
        assert_eq!(watch.run_delay_shares(), [0.3, 0.01], "the other has ended");
    }

    #[test]
    fn what_was_before_the_beginning_does_not_count() {
        let mut watch = OwnWatch {
            begin_ns: 1_000,
            shards: vec![Watched {
                name: "ringload-0".to_owned(),
                base_ns: 1_000,
                base_delay_ns: 700,
                last_ns: 1_000,
                last_delay_ns: 700,
            }],
        };
        assert_eq!(watch.run_delay_shares(), [0.0; 0]);
        watch.take(vec![thread(0, 750)], 2_000);
        assert_eq!(watch.run_delay_shares(), [0.05]);
    }
}
