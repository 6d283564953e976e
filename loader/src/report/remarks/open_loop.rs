//! Remarks that only runs on a schedule can give rise to.

use ringbench_measure::units;

use super::plural;
use crate::report::{OpenLoop, RunReport};

/// An achieved rate this far below the one asked for is no rounding at the ends of the run.
const RATE_SHORTFALL: f64 = 0.01;
/// Sends that are later than this are seen in the latencies of any server on a local network.
const LATE_SEND_NS: u64 = 1_000_000;
/// From this share on, waiting for a connection shapes the response times.
const WAITED_SHARE: f64 = 0.01;

/// Reasons not to trust the run.
pub(super) fn warnings(report: &RunReport) -> Vec<String> {
    let Some(open) = &report.open_loop else { return Vec::new() };
    let found = [rate(report, open), unsent(report, open), shed(open), late_sends(open)];
    found.into_iter().flatten().collect()
}

/// How to read it.
pub(super) fn notes(report: &RunReport) -> Vec<String> {
    report.open_loop.as_ref().and_then(waited).into_iter().collect()
}

fn rate(report: &RunReport, open: &OpenLoop) -> Option<String> {
    let (achieved, asked) = (report.requests_per_sec(), open.rate_asked);
    // A schedule that draws its intervals at random has a spread of its own.
    let chance = 3.0 / (open.due.max(1) as f64).sqrt();
    (achieved < asked * (1.0 - RATE_SHORTFALL.max(chance))).then(|| {
        format!(
            "{achieved:.2} requests a second were answered of {asked:.2} asked for ({:.1} %): the \
             load was less than the schedule",
            achieved * 100.0 / asked
        )
    })
}

/// What fell due in the last moment of the run has not been sent yet, and that says nothing: only
/// what has waited longer than any request that was answered does.
fn unsent(report: &RunReport, open: &OpenLoop) -> Option<String> {
    let max_us = report.latency.max_ns() as f64 / 1_000.0;
    (open.unsent > 0 && open.oldest_unsent_us as f64 > max_us).then(|| {
        format!(
            "{} of {} due had not been sent at the end, the oldest waiting for {}, longer than any \
             that was answered: missing from the latencies; the true tail is longer",
            open.unsent,
            plural(open.due, "request", "requests"),
            units::duration_us(open.oldest_unsent_us as f64),
        )
    })
}

fn shed(open: &OpenLoop) -> Option<String> {
    (open.shed > 0).then(|| {
        format!(
            "{} of {} due were given up unsent, as --deadline had passed: missing from the latencies",
            open.shed,
            plural(open.due, "request", "requests"),
        )
    })
}

fn late_sends(open: &OpenLoop) -> Option<String> {
    let late_ns = open.own_lag.percentile_ns(99.0);
    (late_ns > LATE_SEND_NS).then(|| {
        format!(
            "ringload itself was late: 1 % of its sends left {} or more after they were due, \
             though a connection was idle; response times include that",
            units::duration_us(late_ns as f64 / 1e3),
        )
    })
}

fn waited(open: &OpenLoop) -> Option<String> {
    let sent = open.send_lag.count();
    let share = open.waited_for_connection as f64 / sent.max(1) as f64;
    (share >= WAITED_SHARE).then(|| {
        format!(
            "{:.1} % of the requests found all connections busy when they were due: response times \
             include their wait; more connections (-c) would shorten it",
            share * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;
    use crate::report::remarks::Remarks;

    fn remarks(change: impl FnOnce(&mut RunReport, &mut OpenLoop)) -> Remarks {
        let mut report = fixtures::open();
        let mut open = report.open_loop.take().unwrap();
        change(&mut report, &mut open);
        report.open_loop = Some(open);
        Remarks::of(&report)
    }

    #[test]
    fn a_schedule_that_was_kept_needs_no_words() {
        assert_eq!(remarks(|_, _| ()), Remarks::default());
        assert_eq!(remarks(|_, open| open.rate_asked = 50_490.0), Remarks::default());
    }

    #[test]
    fn what_the_schedule_lost_is_said() {
        let found = remarks(|_, open| {
            open.rate_asked = 60_000.0;
            open.due = 120_000;
            open.unsent = 1;
            open.oldest_unsent_us = 1_500_000;
            open.shed = 19_999;
            (0..2_000).for_each(|_| open.own_lag.record(3_000_000));
        });
        assert_eq!(
            found.warnings,
            [
                "50000.00 requests a second were answered of 60000.00 asked for (83.3 %): the load \
                 was less than the schedule",
                "1 of 120000 requests due had not been sent at the end, the oldest waiting for \
                 1.50s, longer than any that was answered: missing from the latencies; the true tail \
                 is longer",
                "19999 of 120000 requests due were given up unsent, as --deadline had passed: \
                 missing from the latencies",
                "ringload itself was late: 1 % of its sends left 3.00ms or more after they were \
                 due, though a connection was idle; response times include that",
            ]
        );
    }

    #[test]
    fn what_fell_due_at_the_very_end_is_no_loss() {
        let found = |oldest_unsent_us| {
            remarks(|report, open| {
                report.latency.record(700_000_000);
                (open.unsent, open.oldest_unsent_us) = (3, oldest_unsent_us);
            })
        };
        assert_eq!(found(24), Remarks::default());
        assert_eq!(found(700_000), Remarks::default());
        let warnings = found(710_000).warnings;
        assert!(warnings.len() == 1 && warnings[0].starts_with("3 of "), "{warnings:?}");
        assert!(warnings[0].contains(" 710.00ms, longer than any"), "{warnings:?}");
    }

    #[test]
    fn chance_is_no_shortfall() {
        // 100 requests at random are 100 +- 10.
        let kept = |achieved: u64| {
            let found = remarks(|report, open| {
                report.counters.requests = achieved;
                (open.rate_asked, open.due) = (50.0, 100);
            });
            found.warnings.is_empty()
        };
        assert!(kept(75) && !kept(69));
    }

    #[test]
    fn waiting_for_connections_is_explained() {
        let found = remarks(|_, open| open.waited_for_connection = 12_340);
        assert_eq!(found.warnings, [""; 0]);
        assert!(found.notes[0].starts_with("12.3 % of the requests found all"), "{found:?}");
    }

    #[test]
    fn a_stall_in_an_open_loop_is_measured() {
        let found = remarks(|report, _| report.latency.record(60_000_000_000));
        assert!(found.notes.iter().all(|note| !note.contains("closed loop")), "{found:?}");
    }
}
