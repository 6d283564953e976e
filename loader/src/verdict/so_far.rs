//! What limits a run that is going on, from the figures of one interval. Pure.
//!
//! The same thresholds and the same order as at the end, but less is known in an interval: of the
//! server no single thread, of the shards only their sum, nothing of TCP and of waiting for a core.
//! So it says less, and never more than the figures do.

use std::fmt::Write as _;

use super::Limit;
use super::facts::{BUSY_CORE_SHARE, FULL_IDLE_SHARE, UNANSWERED_SHARE, percent};
use crate::report::interval::Interval;

/// What limited an interval, as far as that can be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoFar {
    /// What it was.
    pub limit: Limit,
    /// Whether that was seen, rather than concluded because nothing else is left.
    pub sure: bool,
    /// A few words for people, to follow "limited by"; at most about 45 characters, so that they fit
    /// into any terminal.
    pub line: String,
}

/// What limited this interval of a run with so many `shards`. `due` is how many requests an open
/// loop had to send in it.
pub fn so_far(interval: &Interval, shards: usize, due: Option<f64>) -> SoFar {
    let seen = Seen { interval, shards, due };
    seen.failure()
        .or_else(|| seen.rate())
        .or_else(|| seen.server())
        .or_else(|| seen.loader())
        .or_else(|| seen.machine())
        .or_else(|| seen.slack())
        .unwrap_or_else(|| seen.unknown())
}

struct Seen<'a> {
    interval: &'a Interval,
    shards: usize,
    due: Option<f64>,
}

fn sure(limit: Limit, line: String) -> SoFar {
    SoFar { limit, sure: true, line }
}

impl Seen<'_> {
    fn length_ns(&self) -> f64 {
        (self.interval.length_us as f64 * 1e3).max(1.0)
    }

    /// The share of a core that a shard used, on average.
    fn shard_share(&self) -> f64 {
        self.interval.loader_cpu_ns as f64 / self.length_ns() / self.shards.max(1) as f64
    }

    /// How many cores the server used.
    fn server_cores(&self) -> Option<f64> {
        self.interval.server.map(|server| server.cpu_ns as f64 / self.length_ns())
    }

    fn failure(&self) -> Option<SoFar> {
        let Interval { requests, errors, .. } = *self.interval;
        let tried = requests + errors.socket();
        if errors.total() * 2 > tried {
            let share = percent(errors.total() as f64 / tried as f64);
            return Some(sure(Limit::Errors, format!("errors: {share} of what was tried failed")));
        }
        (requests == 0)
            .then(|| sure(Limit::Nothing, "nothing that can be named: no response came".to_owned()))
    }

    fn rate(&self) -> Option<SoFar> {
        let due = self.due?;
        // Arrivals at random vary by about the root of their number.
        let enough = due * (1.0 - UNANSWERED_SHARE) - 2.0 * due.sqrt();
        (self.interval.requests as f64 >= enough)
            .then(|| sure(Limit::Rate, "the rate asked for: it is answered".to_owned()))
    }

    fn server(&self) -> Option<SoFar> {
        let (server, cores) = (self.interval.server?, self.server_cores()?);
        // It can use no more cores than it has threads, and than there are.
        let machine = self.interval.machine.map_or(u64::MAX, |machine| machine.cores);
        let most = server.threads.min(machine).max(1);
        let all = cores >= BUSY_CORE_SHARE * most as f64;
        all.then(|| {
            let used =
                format!("it used {cores:.2} of {most} core{}", if most == 1 { "" } else { "s" });
            if self.shard_share() > BUSY_CORE_SHARE {
                let line = format!("both sides: the server, as {used}");
                return sure(Limit::ServerAndLoader, line);
            }
            sure(Limit::Server, format!("the server: {used}"))
        })
    }

    fn loader(&self) -> Option<SoFar> {
        let share = self.shard_share();
        (share > BUSY_CORE_SHARE).then(|| {
            sure(
                Limit::Loader,
                format!("ringload: its shards used {} of their cores", percent(share)),
            )
        })
    }

    fn machine(&self) -> Option<SoFar> {
        let idle = self.interval.machine?.idle;
        (idle < FULL_IDLE_SHARE).then(|| SoFar {
            limit: Limit::Machine,
            sure: false,
            line: format!("this machine's cores: {} idle", percent(idle)),
        })
    }

    /// The server was seen, and neither side is at the end of all that it has.
    fn slack(&self) -> Option<SoFar> {
        let cores = self.server_cores()?;
        if cores >= BUSY_CORE_SHARE {
            // As much as one thread can: whether it was one is known at the end of the run.
            let line = format!("a thread of the server, at {cores:.2} cores");
            return Some(SoFar { limit: Limit::Server, sure: false, line });
        }
        self.due.is_none().then(|| SoFar {
            limit: Limit::Connections,
            sure: false,
            line: "connections or way: both have slack".to_owned(),
        })
    }

    fn unknown(&self) -> SoFar {
        let mut line = "nothing that is seen".to_owned();
        // Where the kernel keeps no run times there is no figure; a zero would be taken for one.
        if self.interval.loader_cpu_ns > 0 {
            let _ = write!(line, "; shards at {}", percent(self.shard_share()));
        }
        SoFar { limit: Limit::Unknown, sure: false, line }
    }
}

#[cfg(test)]
mod tests {
    use ringbench_measure::Errors;

    use super::*;
    use crate::report::interval::ServerInterval;
    use crate::report::observed::MachineUse;

    /// One second of two shards, in which all had some slack.
    fn interval() -> Interval {
        Interval {
            elapsed_us: 2_000_000,
            length_us: 1_000_000,
            requests: 10_000,
            bytes_read: 1_630_000,
            errors: Errors::default(),
            opened: 0,
            closed: 0,
            open_connections: 64,
            latency: None,
            loader_cpu_ns: 800_000_000,
            server: Some(ServerInterval { cpu_ns: 500_000_000, threads: 3, ..Default::default() }),
            machine: Some(MachineUse { cores: 4, idle: 0.6, ..MachineUse::default() }),
        }
    }

    fn told(interval: &Interval, due: Option<f64>) -> (Limit, bool, String) {
        let SoFar { limit, sure, line } = so_far(interval, 2, due);
        (limit, sure, line)
    }

    #[test]
    fn nobody_is_at_the_end() {
        let (limit, sure, line) = told(&interval(), None);
        assert_eq!((limit, sure), (Limit::Connections, false));
        assert_eq!(line, "connections or way: both have slack");
    }

    #[test]
    fn failures_come_first() {
        let mut failing = interval();
        failing.errors.connect = 20_000;
        let (limit, sure, line) = told(&failing, Some(10_000.0));
        assert_eq!((limit, sure), (Limit::Errors, true));
        assert_eq!(line, "errors: 67 % of what was tried failed");
        let silent = Interval { requests: 0, ..interval() };
        assert_eq!(told(&silent, None).0, Limit::Nothing);
    }

    #[test]
    fn an_open_loop_that_is_answered() {
        assert_eq!(told(&interval(), Some(10_000.0)).0, Limit::Rate);
        assert_eq!(told(&interval(), Some(10_350.0)).0, Limit::Rate, "within 2 % and chance");
        let (limit, _, line) = told(&interval(), Some(12_000.0));
        assert_eq!(limit, Limit::Unknown);
        assert_eq!(line, "nothing that is seen; shards at 40 %");
    }

    #[test]
    fn a_server_at_its_end() {
        let with = |cpu_ms: u64, threads| {
            let cpu_ns = cpu_ms * 1_000_000;
            Some(ServerInterval { cpu_ns, threads, ..ServerInterval::default() })
        };
        let one_thread = Interval { server: with(950, 1), ..interval() };
        let (limit, sure, line) = told(&one_thread, None);
        assert_eq!((limit, sure), (Limit::Server, true));
        assert_eq!(line, "the server: it used 0.95 of 1 core");
        // More threads than cores: the cores count.
        let all_cores = Interval { server: with(3_700, 9), ..interval() };
        assert_eq!(told(&all_cores, None).0, Limit::Server);
        let perhaps = Interval { server: with(950, 3), ..interval() };
        assert_eq!(told(&perhaps, None).0, Limit::Server);
        assert!(!told(&perhaps, None).1, "it may have been several");
        let both = Interval { loader_cpu_ns: 1_900_000_000, ..one_thread };
        assert_eq!(told(&both, None).0, Limit::ServerAndLoader);
    }

    #[test]
    fn ringload_at_its_end() {
        let busy = Interval { loader_cpu_ns: 1_900_000_000, ..interval() };
        let (limit, sure, line) = told(&busy, None);
        assert_eq!((limit, sure), (Limit::Loader, true));
        assert_eq!(line, "ringload: its shards used 95 % of their cores");
        assert_eq!(so_far(&busy, 4, None).limit, Limit::Connections, "each of four used half");
    }

    #[test]
    fn a_full_machine() {
        let machine = Some(MachineUse { cores: 4, idle: 0.04, ..MachineUse::default() });
        let (limit, sure, line) = told(&Interval { machine, ..interval() }, None);
        assert_eq!((limit, sure), (Limit::Machine, false));
        assert_eq!(line, "this machine's cores: 4.0 % idle");
    }

    #[test]
    fn a_server_that_nobody_sees() {
        let unseen = Interval { server: None, machine: None, ..interval() };
        assert_eq!(told(&unseen, None).0, Limit::Unknown);
        let nothing_known = Interval { loader_cpu_ns: 0, ..unseen };
        assert_eq!(told(&nothing_known, None).2, "nothing that is seen");
    }
}
