//! What a verdict rests on: each question that a rule asks of a report, with its threshold.

use std::fmt::Write as _;

use ringbench_measure::Histogram;
use ringbench_measure::units::duration_us;

use crate::ledger::CloseCause;
use crate::report::RunReport;
use crate::report::observed::ServerUse;

/// A thread that runs for more than this share of the time has no more to give: the rest goes to
/// interrupts, and to the jitter between two looks.
pub(super) const BUSY_CORE_SHARE: f64 = 0.90;
/// Ready for this share of the run without a core, and latencies are no longer the server's.
const STARVED_SHARE: f64 = 0.10;
/// Less than this is not worth a line.
const NOTABLE_DELAY_SHARE: f64 = 0.05;
/// The server's threads are starved when they waited for this share of the time that they were
/// ready. A little is usual where there are more threads than cores.
const SERVER_STARVED_SHARE: f64 = 0.20;
/// A machine with no more idle time than this has no core to give.
pub(super) const FULL_IDLE_SHARE: f64 = 0.10;
/// Time that a hypervisor took, from where on it is a part of the result.
const NOTABLE_STEAL_SHARE: f64 = 0.02;
/// Soft interrupts beyond this share of all cores are worth knowing.
const NOTABLE_SOFTIRQ_SHARE: f64 = 0.10;
/// The same of other processes.
const NOTABLE_OTHERS_SHARE: f64 = 0.10;
/// So many of the connects have to fail for one reason, to make it the limit.
pub(super) const FAILED_CONNECTS_SHARE: f64 = 0.01;
/// Requests of an open loop that may be unsent or shed while its rate still counts as achieved.
const UNSENT_SHARE: f64 = 0.01;
/// Requests that may be unanswered for it, beyond those that are on their way in any case.
pub(super) const UNANSWERED_SHARE: f64 = 0.02;
/// The 99th percentile of ringload's own lateness has to pass both of these to count: an absolute
/// bound, and a part of the 99th percentile of the latencies that it is in.
const LAG_NS: u64 = 1_000_000;
const LAG_SHARE: f64 = 0.10;
/// An overflow per so many calls into the kernel, or a receive without buffers per so many
/// responses.
const OVERFLOWS_SHARE: f64 = 0.01;
/// By Little's law, the share of the connections that the rate asked for needs, to call them all in
/// use; latencies vary, so not all can be.
const IN_USE_SHARE: f64 = 0.90;
/// Retransmissions per segment: more is no accident.
const LOST_SEGMENTS_SHARE: f64 = 0.01;
/// The network is the limit when its round trip is at least this part of a median service time.
pub(super) const PATH_SHARE: f64 = 0.50;
/// But only a way that is longer than this: next to a shorter one (loopback, the same rack) waking a
/// thread takes as long.
pub(super) const FAR_US: f64 = 100.0;
/// And it is out of the question when it is less than this.
pub(super) const SHORT_PATH_SHARE: f64 = 0.20;

/// A report, and questions to it.
pub(super) struct Facts<'a> {
    pub(super) report: &'a RunReport,
}

impl<'a> Facts<'a> {
    pub(super) fn of(report: &'a RunReport) -> Self {
        Self { report }
    }

    pub(super) fn busiest_shard(&self) -> Option<f64> {
        largest(&self.report.shard_core_shares)
    }

    pub(super) fn loader_busy(&self) -> bool {
        self.busiest_shard().is_some_and(|share| share > BUSY_CORE_SHARE)
    }

    pub(super) fn loader_starved(&self) -> Option<String> {
        let share = largest(&self.report.shard_run_delay_shares)?;
        (share > STARVED_SHARE).then(|| starved_shard(share))
    }

    fn server(&self) -> Option<&'a ServerUse> {
        self.report.observed.server.as_ref().filter(|server| server.wall_ns > 0)
    }

    /// The share of a core that the server's busiest thread used.
    pub(super) fn server_use(&self) -> Option<f64> {
        self.server().map(|server| server.busiest_thread_share)
    }

    /// The server used as many cores as this.
    fn server_cores(server: &ServerUse) -> f64 {
        server.cpu_ns as f64 / server.wall_ns as f64
    }

    /// Why the server had no more to give, if so.
    pub(super) fn server_busy(&self) -> Option<String> {
        let server = self.server()?;
        let (share, cores) = (server.busiest_thread_share, Self::server_cores(server));
        if share >= BUSY_CORE_SHARE {
            return Some(format!("its busiest thread used {} of a core", percent(share)));
        }
        // Where there are no more cores than the load itself has to run on, this says that the
        // server left none of them to it.
        let allowed = server.allowed_cores;
        (allowed > 0 && cores >= BUSY_CORE_SHARE * allowed as f64).then(|| {
            format!("it used {cores:.2} of the {} that it may run on", cores_text(allowed))
        })
    }

    /// How its threads had to wait for a core, if that mattered.
    pub(super) fn server_starved(&self) -> Option<String> {
        let server = self.server()?;
        let ready = (server.cpu_ns + server.run_delay_ns) as f64;
        let share = server.run_delay_ns as f64 / ready.max(1.0);
        // A server that has hardly anything to do may wait for most of it.
        let matters = server.run_delay_ns as f64 > STARVED_SHARE * server.wall_ns as f64;
        (matters && share > SERVER_STARVED_SHARE).then(|| {
            let share = percent(share);
            format!("the server's threads had no core for {share} of the time they were ready")
        })
    }

    pub(super) fn machine_full(&self) -> bool {
        self.report.observed.machine.is_some_and(|machine| machine.idle < FULL_IDLE_SHARE)
    }

    /// The share of all cores that neither server nor ringload used, although it was used.
    fn others_share(&self) -> Option<f64> {
        let (machine, server) = (self.report.observed.machine?, self.server()?);
        let loader_ns = self.report.loader_cpu_ns? as f64;
        let loader_cores = loader_ns / (self.report.duration_us as f64 * 1e3).max(1.0);
        let known = (Self::server_cores(server) + loader_cores) / machine.cores.max(1) as f64;
        // The network's work in soft interrupts is nobody's.
        Some(1.0 - machine.idle - machine.steal - machine.softirq - known)
    }

    pub(super) fn no_local_port(&self) -> u64 {
        self.closes(|line| line.cause == CloseCause::NoLocalPort)
    }

    /// Connections that failed as no file descriptor was left, of the process or of the system.
    pub(super) fn no_descriptor(&self) -> u64 {
        self.closes(|line| matches!(line.errno.as_deref(), Some("EMFILE" | "ENFILE")))
    }

    fn closes(&self, of: impl Fn(&crate::ledger::CloseLine) -> bool) -> u64 {
        self.report.closes.iter().filter(|line| of(line)).map(|line| line.count).sum()
    }

    /// From the actual send to the response, in open and closed loops alike.
    fn service_time(&self) -> &Histogram {
        self.report.open_loop.as_ref().map_or(&self.report.latency, |open| &open.service_time)
    }

    pub(super) fn service_p50_us(&self) -> Option<f64> {
        let times = self.service_time();
        (!times.is_empty()).then(|| times.percentile_ns(50.0) as f64 / 1e3)
    }

    pub(super) fn service_mean_us(&self) -> Option<f64> {
        let times = self.service_time();
        (!times.is_empty()).then(|| times.mean_ns() / 1e3)
    }

    /// Requests that can be under way at once.
    pub(super) fn slots(&self) -> u64 {
        self.report.connections_peak * u64::from(self.report.pipeline_depth.max(1))
    }

    /// Whether there was a request under way on every connection, nearly all the time. A closed loop
    /// is made so.
    pub(super) fn all_in_use(&self) -> bool {
        let Some(open) = &self.report.open_loop else { return true };
        let Some(mean_us) = self.service_mean_us() else { return false };
        // Little's law: what is under way is the rate of arrival times the time it stays.
        open.rate_asked * mean_us / 1e6 >= IN_USE_SHARE * self.slots() as f64
            && open.waited_for_connection > 0
    }

    /// Whether an open loop got its answers at the rate that it asked for.
    pub(super) fn rate_achieved(&self) -> bool {
        let Some(open) = &self.report.open_loop else { return false };
        let due = open.due as f64;
        let mean_s = self.report.latency.mean_ns() / 1e9;
        let under_way = open.rate_asked * mean_s;
        let unanswered = due - self.report.counters.requests as f64;
        (open.shed + open.unsent) as f64 <= UNSENT_SHARE * due
            && unanswered <= UNANSWERED_SHARE * due + 2.0 * under_way
    }

    /// How late ringload itself was, if that is a visible part of the latencies.
    pub(super) fn visible_lag(&self) -> Option<String> {
        let open = self.report.open_loop.as_ref()?;
        if open.own_lag.is_empty() || self.report.latency.is_empty() {
            return None;
        }
        let lag_ns = open.own_lag.percentile_ns(99.0);
        let latency_ns = self.report.latency.percentile_ns(99.0);
        (lag_ns > LAG_NS && lag_ns as f64 > LAG_SHARE * latency_ns as f64).then(|| {
            format!(
                "1 % of its requests left {:.1} ms late or later although a connection was idle",
                lag_ns as f64 / 1e6
            )
        })
    }

    pub(super) fn queues_overflowed(&self) -> Option<String> {
        let engine = self.report.engine;
        let many = |count: u64, of: u64| count as f64 > OVERFLOWS_SHARE * of as f64;
        if many(engine.cq_overflows, engine.enters) {
            return Some(format!(
                "its completion queues overflowed {} times in {} calls",
                engine.cq_overflows, engine.enters
            ));
        }
        many(engine.enobufs, self.report.counters.requests)
            .then(|| format!("{} receives found no provided buffer (--buffers)", engine.enobufs))
    }

    pub(super) fn path_rtt_us(&self) -> Option<f64> {
        self.report.observed.tcp.map(|tcp| tcp.path_rtt_us as f64)
    }

    pub(super) fn lost_segments(&self) -> Option<String> {
        let tcp = self.report.observed.tcp?;
        let share = tcp.retransmits as f64 / tcp.segments_sent.max(1) as f64;
        (share > LOST_SEGMENTS_SHARE).then(|| percent(share))
    }

    /// All that is known about each side, whatever the verdict.
    pub(super) fn evidence(&self) -> Vec<String> {
        let mut lines = Vec::new();
        self.loader_evidence(&mut lines);
        self.server_evidence(&mut lines);
        self.machine_evidence(&mut lines);
        lines
    }

    fn loader_evidence(&self, lines: &mut Vec<String>) {
        match self.busiest_shard() {
            Some(share) => {
                lines.push(format!("ringload's busiest shard used {} of a core", percent(share)));
            }
            None => lines.push("missing: what ringload's shards used of their cores".to_owned()),
        }
        match largest(&self.report.shard_run_delay_shares) {
            Some(share) if share > NOTABLE_DELAY_SHARE => lines.push(starved_shard(share)),
            _ => {}
        }
        lines.extend(self.queues_overflowed());
        lines.extend(self.visible_lag());
        if let Some(open) = &self.report.open_loop {
            let mean_us = self.service_mean_us().unwrap_or_default();
            lines.push(format!(
                "{:.0} requests/s were asked for, {:.0} answered; by Little's law they need {:.1} \
                 connections, {} were open",
                open.rate_asked,
                self.report.requests_per_sec(),
                open.rate_asked * mean_us / 1e6,
                self.report.connections_peak
            ));
        }
        let (ports, files) = (self.no_local_port(), self.no_descriptor());
        if ports > 0 {
            lines.push(format!("{ports} connects found no local port"));
        }
        if files > 0 {
            lines.push(format!("{files} connects found no file descriptor"));
        }
    }

    fn server_evidence(&self, lines: &mut Vec<String>) {
        let Some(server) = self.server() else {
            lines.push(
                "missing: the server's process; it is not on this machine, or may not be looked \
                 into (--server-pid names it)"
                    .to_owned(),
            );
            return;
        };
        let mut line = format!(
            "the server ({}, pid {}) used {:.2} cores, its busiest thread {}",
            server.name,
            server.pid,
            Self::server_cores(server),
            percent(server.busiest_thread_share)
        );
        if self.report.counters.requests > 0 {
            let us = server.cpu_ns as f64 / 1e3 / self.report.counters.requests as f64;
            let _ = write!(line, "; {us:.2} us of CPU per response");
        }
        lines.push(line);
        lines.extend(self.server_starved());
    }

    fn machine_evidence(&self, lines: &mut Vec<String>) {
        if let Some(machine) = self.report.observed.machine {
            let mut line = format!(
                "{} of the time of {} was idle",
                percent(machine.idle),
                cores_text(machine.cores)
            );
            if machine.softirq > NOTABLE_SOFTIRQ_SHARE {
                let _ = write!(line, ", {} in soft interrupts", percent(machine.softirq));
            }
            lines.push(line);
            if machine.steal > NOTABLE_STEAL_SHARE {
                let steal = percent(machine.steal);
                lines.push(format!("a hypervisor gave {steal} of the cores' time to others"));
            }
            match self.others_share() {
                Some(share) if share > NOTABLE_OTHERS_SHARE => {
                    let share = percent(share);
                    lines.push(format!("other processes used {share} of the cores' time"));
                }
                _ => {}
            }
        }
        match self.report.observed.tcp {
            Some(tcp) => lines.push(format!(
                "TCP round trips: {} for the way alone, {} at the median with the server's \
                 acknowledgement; {} of {} segments were sent again",
                duration_us(tcp.path_rtt_us as f64),
                duration_us(tcp.rtt_p50_us as f64),
                tcp.retransmits,
                tcp.segments_sent
            )),
            None => lines.push("missing: TCP's round trips".to_owned()),
        }
    }
}

fn starved_shard(share: f64) -> String {
    format!("one of ringload's shards was ready but had no core for {} of the run", percent(share))
}

fn cores_text(cores: u64) -> String {
    format!("{cores} core{}", if cores == 1 { "" } else { "s" })
}

fn largest(shares: &[f64]) -> Option<f64> {
    shares.iter().copied().reduce(f64::max)
}

/// A share as a whole percentage; what is little but not nothing keeps its first digit.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent > 0.0 && percent < 9.95 {
        format!("{percent:.1} %")
    } else {
        format!("{percent:.0} %")
    }
}
