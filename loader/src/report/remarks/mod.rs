//! Reasons not to trust a run, and what a reader should know about its figures.

use ringbench_measure::units;

use super::RunReport;

mod open_loop;

/// A shard that uses more of its core than this was, or nearly was, the limit of the run.
const BUSY_CORE_SHARE: f64 = 0.90;
/// From this share on, error responses are a large enough part of a run to shift its figures.
const ERROR_STATUS_SHARE: f64 = 0.01;
/// A percentile with fewer responses than this beyond it is mostly chance.
const SAMPLES_BEYOND_PERCENTILE: u64 = 10;
/// Fewer requests per reconnect than this, and connecting is a visible part of the rate.
const REQUESTS_PER_RECONNECT: u64 = 100;
/// From this share on, time that a hypervisor takes away is seen in the latencies.
const STEAL_SHARE: f64 = 0.01;
/// A latency of more than so many medians is a stall rather than the spread of an even load.
const STALL_RATIO: f64 = 100.0;

/// What is to be said about a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// Reasons not to trust the figures.
    pub warnings: Vec<String>,
    /// How to read them.
    pub notes: Vec<String>,
}

impl Remarks {
    /// The caller's own remarks and those that follow from the figures.
    pub fn of(report: &RunReport) -> Self {
        let found = [
            interruption(report),
            silence(report),
            shortfall(report),
            connections(report),
            timeouts(report),
            unanswered(report),
            socket_errors(report),
            statuses(report),
            busy_shards(report),
            overflows(report),
            steal(report),
        ];
        let found = found.into_iter().flatten().chain(open_loop::warnings(report));
        let warnings = report.warnings.iter().cloned().chain(found);
        let found = [
            closed_loop(report),
            pipelining(report),
            reconnects(report),
            buffers(report),
            retransmits(report),
            thin_tail(report),
        ];
        let found = found.into_iter().flatten().chain(open_loop::notes(report));
        let notes = report.notes.iter().cloned().chain(found);
        Self { warnings: warnings.collect(), notes: notes.collect() }
    }
}

fn interruption(report: &RunReport) -> Option<String> {
    report.interrupted.then(|| "interrupted: this is what was measured until then".to_owned())
}

fn silence(report: &RunReport) -> Option<String> {
    (report.counters.requests == 0)
        .then(|| "no response was completed: there is nothing to measure".to_owned())
}

fn shortfall(report: &RunReport) -> Option<String> {
    let (requests, wanted) = (report.counters.requests, report.extent.requests()?);
    (0 < requests && requests < wanted)
        .then(|| format!("only {requests} of {wanted} requests were answered before the run ended"))
}

fn connections(report: &RunReport) -> Option<String> {
    let (peak, wanted) = (report.connections_peak, report.connections_wanted);
    (peak < wanted).then(|| {
        format!(
            "only {peak} of {wanted} connections were open at once: the load was less than asked \
             for"
        )
    })
}

fn timeouts(report: &RunReport) -> Option<String> {
    let timeouts = report.counters.errors.timeout;
    (timeouts > 0).then(|| {
        format!(
            "{} and {} missing from the latencies: the true tail is longer",
            plural(timeouts, "request timed out", "requests timed out"),
            if timeouts == 1 { "is" } else { "are" },
        )
    })
}

/// A server that hangs for less than the timeout until the run ends leaves no other trace.
fn unanswered(report: &RunReport) -> Option<String> {
    let (waiting, max_us) = (report.unanswered, report.latency.max_ns() as f64 / 1_000.0);
    (waiting.count > 0 && waiting.oldest_us as f64 > max_us).then(|| {
        format!(
            "{} unanswered at the end, the oldest for {}, longer than any that was answered: the \
             true tail is longer",
            plural(waiting.count, "request was", "requests were"),
            units::duration_us(waiting.oldest_us as f64),
        )
    })
}

fn socket_errors(report: &RunReport) -> Option<String> {
    let errors = report.counters.errors.socket() - report.counters.errors.timeout;
    (errors > 0).then(|| {
        format!(
            "{}: requests lost by that are missing from the latencies",
            plural(errors, "connection failed", "connections failed"),
        )
    })
}

fn statuses(report: &RunReport) -> Option<String> {
    let share = report.counters.errors.status as f64 / report.counters.requests.max(1) as f64;
    (share >= ERROR_STATUS_SHARE).then(|| {
        format!(
            "{:.1} % of the responses have a status above 399: an error often costs the server \
             less than the real answer",
            share * 100.0
        )
    })
}

fn busy_shards(report: &RunReport) -> Option<String> {
    let shares = &report.shard_core_shares;
    let busy = shares.iter().filter(|share| **share > BUSY_CORE_SHARE).count();
    let busiest = shares.iter().copied().fold(0.0, f64::max);
    (busy > 0).then(|| {
        format!(
            "{busy} of {} used more than {:.0} % of a core (at most {:.0} %): ringload itself may \
             be the limit; give it more shards (-t) on cores of their own",
            plural(shares.len() as u64, "shard", "shards"),
            BUSY_CORE_SHARE * 100.0,
            busiest * 100.0
        )
    })
}

fn overflows(report: &RunReport) -> Option<String> {
    let overflows = report.engine.cq_overflows;
    (overflows > 0).then(|| {
        format!(
            "the completion queue overflowed {}: latencies include the wait in the kernel's \
             backlog",
            plural(overflows, "time", "times")
        )
    })
}

fn steal(report: &RunReport) -> Option<String> {
    let share = report.observed.machine?.steal;
    (share >= STEAL_SHARE).then(|| {
        format!(
            "a hypervisor gave {:.1} % of this machine's time to others: what is slow may be slow \
             for that reason",
            share * 100.0
        )
    })
}

fn closed_loop(report: &RunReport) -> Option<String> {
    let summary = report.latency.summary();
    (report.open_loop.is_none() && summary.max > STALL_RATIO * summary.p50).then(|| {
        format!(
            "closed loop: a server that stalls is asked less meanwhile, so that few of the \
             latencies show it; the longest is {:.0} times the median",
            summary.max / summary.p50.max(0.001)
        )
    })
}

fn pipelining(report: &RunReport) -> Option<String> {
    let depth = report.pipeline_depth;
    (depth > 1).then(|| {
        let cut = match report.requests_per_connection {
            Some(limit) if limit < depth.into() => {
                format!(", cut to {limit} by --requests-per-connection")
            }
            _ => String::new(),
        };
        format!(
            "pipelining depth {depth}{cut}: latency is that of each request, its wait for the \
             answers before it on the connection included"
        )
    })
}

fn reconnects(report: &RunReport) -> Option<String> {
    let (reconnects, requests) = (report.counters.reconnects, report.counters.requests);
    (reconnects > 0 && requests / reconnects < REQUESTS_PER_RECONNECT).then(|| {
        format!(
            "{}, one for every {:.1} requests: connecting is part of the rate, not of the \
             latencies",
            plural(reconnects, "reconnect", "reconnects"),
            requests as f64 / reconnects as f64
        )
    })
}

fn buffers(report: &RunReport) -> Option<String> {
    let enobufs = report.engine.enobufs;
    (enobufs > 0).then(|| {
        format!(
            "the provided buffers ran out {}: each time a receive had to be armed again",
            plural(enobufs, "time", "times")
        )
    })
}

fn retransmits(report: &RunReport) -> Option<String> {
    let tcp = report.observed.tcp?;
    (tcp.retransmits > 0).then(|| {
        format!(
            "TCP sent {} again on {}: the network or a queue in it lost them, and a response \
             that waits for one is late by some hundred milliseconds",
            plural(tcp.retransmits, "segment", "segments"),
            plural(tcp.connections_with_retransmits, "connection", "connections"),
        )
    })
}

fn thin_tail(report: &RunReport) -> Option<String> {
    let count = report.latency.count();
    let (thin, _) = [("p99", 100), ("p99.9", 1_000), ("p99.99", 10_000)]
        .into_iter()
        .find(|(_, one_in)| count < one_in * SAMPLES_BEYOND_PERCENTILE)?;
    (count > 0).then(|| {
        format!(
            "of {} fewer than {SAMPLES_BEYOND_PERCENTILE} lie beyond {thin}: run longer \
             before relying on the tail from there on",
            plural(count, "latency", "latencies"),
        )
    })
}

fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;
    use crate::report::observed::{MachineUse, TcpUse};

    #[test]
    fn a_healthy_run_has_no_remarks() {
        assert_eq!(Remarks::of(&fixtures::healthy()), Remarks::default());
    }

    #[test]
    fn all_that_is_doubtful_is_said() {
        let remarks = Remarks::of(&fixtures::doubtful());
        assert_eq!(
            remarks.warnings,
            [
                "clock source is hpet: timestamps are slow",
                "interrupted: this is what was measured until then",
                "only 2 of 1000 requests were answered before the run ended",
                "only 60 of 64 connections were open at once: the load was less than asked for",
                "2 requests timed out and are missing from the latencies: the true tail is longer",
                "9 requests were unanswered at the end, the oldest for 1.40s, longer than any that \
                 was answered: the true tail is longer",
                "7 connections failed: requests lost by that are missing from the latencies",
                "50.0 % of the responses have a status above 399: an error often costs the server \
                 less than the real answer",
                "1 of 2 shards used more than 90 % of a core (at most 97 %): ringload itself may \
                 be the limit; give it more shards (-t) on cores of their own",
                "the completion queue overflowed 1 time: latencies include the wait in the \
                 kernel's backlog",
            ]
        );
        assert_eq!(
            remarks.notes,
            [
                "pipelining depth 16, cut to 10 by --requests-per-connection: latency is that of \
                 each request, its wait for the answers before it on the connection included",
                "5 reconnects, one for every 0.4 requests: connecting is part of the rate, not of \
                 the latencies",
                "the provided buffers ran out 7 times: each time a receive had to be armed again",
                "of 2 latencies fewer than 10 lie beyond p99: run longer before relying on the \
                 tail from there on",
            ]
        );
    }

    #[test]
    fn silence_is_no_measurement() {
        let remarks = Remarks::of(&fixtures::silent());
        assert_eq!(
            remarks.warnings,
            [
                "no response was completed: there is nothing to measure",
                "only 0 of 64 connections were open at once: the load was less than asked for",
                "64 connections failed: requests lost by that are missing from the latencies",
            ]
        );
        assert_eq!(remarks.notes, [""; 0]);
    }

    #[test]
    fn what_was_observed_is_judged() {
        let mut report = fixtures::healthy();
        report.observed.machine = Some(MachineUse { steal: 0.009, ..MachineUse::default() });
        report.observed.tcp = Some(TcpUse::default());
        assert_eq!(Remarks::of(&report), Remarks::default());
        report.observed.machine = Some(MachineUse { steal: 0.034, ..MachineUse::default() });
        report.observed.tcp =
            Some(TcpUse { retransmits: 1, connections_with_retransmits: 1, ..TcpUse::default() });
        let Remarks { warnings, notes } = Remarks::of(&report);
        assert!(warnings.len() == 1 && warnings[0].contains(" 3.4 % "), "{warnings:?}");
        assert!(notes.len() == 1 && notes[0].contains("1 segment again on 1 conn"), "{notes:?}");
    }

    #[test]
    fn thresholds() {
        let mut report = fixtures::healthy();
        report.shard_core_shares = vec![0.90];
        report.counters.errors.status = 999; // 0.999 %
        report.counters.reconnects = 1_000; // one in 100
        assert_eq!(Remarks::of(&report), Remarks::default());

        report.shard_core_shares = vec![0.91];
        report.counters.errors.status = 1_000;
        report.counters.reconnects = 1_001;
        let remarks = Remarks::of(&report);
        assert_eq!((remarks.warnings.len(), remarks.notes.len()), (2, 1), "{remarks:?}");
    }

    #[test]
    fn a_stall_brings_up_the_closed_loop() {
        let mut report = fixtures::healthy();
        report.latency.record(5_000_000_000);
        assert_eq!(Remarks::of(&report), Remarks::default(), "just under 100 medians");
        report.latency.record(5_100_000_000);
        let notes = Remarks::of(&report).notes;
        assert!(notes.len() == 1 && notes[0].starts_with("closed loop: "), "{notes:?}");
    }

    #[test]
    fn the_first_thin_percentile_is_named() {
        let mut report = fixtures::healthy();
        for (count, expected) in
            [(999, "p99:"), (1_000, "p99.9:"), (10_000, "p99.99:"), (100_000, "")]
        {
            report.latency.reset();
            for value_ns in 0..count {
                report.latency.record(value_ns);
            }
            let notes = Remarks::of(&report).notes;
            assert_eq!(notes.is_empty(), expected.is_empty(), "{count}: {notes:?}");
            assert!(notes.iter().all(|note| note.contains(expected)), "{count}: {notes:?}");
        }
    }
}
