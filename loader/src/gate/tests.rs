use proptest::prelude::*;
use ringbench_measure::{Counters, Errors, Histogram};

use super::*;
use crate::report::fixtures;
use crate::report::observed::ServerUse;
use crate::report::{OpenLoop, Unanswered};

fn gate(text: &str) -> Gate {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Latencies from 0.1 to 100 ms in equal steps, service times of 1 ms, and each count another one.
fn report() -> RunReport {
    let times = |value_ns| {
        let mut histogram = Histogram::new();
        histogram.record(value_ns);
        histogram
    };
    let mut report = fixtures::healthy();
    report.counters = Counters {
        requests: 99_900,
        bytes_read: 20 << 20,
        errors: Errors { connect: 10, read: 20, write: 30, timeout: 40, status: 300 },
        reconnects: 50,
        status_classes: [1, 99_500, 99, 200, 99],
        ..report.counters
    };
    report.unanswered = Unanswered { count: 100, oldest_us: 1 };
    report.open_loop = Some(OpenLoop {
        schedule: "constant 50000/s".to_owned(),
        rate_asked: 50_000.0,
        due: 100_000,
        shed: 2_000,
        unsent: 1_000,
        oldest_unsent_us: 0,
        waited_for_connection: 0,
        service_time: times(1_000_000),
        send_lag: times(250_000),
        own_lag: times(100_000),
    });
    report.observed.server =
        Some(ServerUse { cpu_ns: 499_500_000, rss_max_bytes: 3 << 20, ..ServerUse::default() });
    report
}

/// The figures themselves, each compared from both sides.
#[test]
fn every_metric_is_the_figure_it_says() {
    for (metric, below, above) in [
        ("p50", "49ms", "51ms"),
        ("p99", "99ms", "99.1ms"),
        ("p99.9", "99.9ms", "100ms"),
        ("p999", "99.9ms", "100ms"),
        ("p9999", "99980us", "100.1ms"),
        ("min", "0.9us", "1.1us"),
        ("mean", "50ms", "0.0501s"),
        ("stdev", "28ms", "29ms"),
        ("max", "99999999ns", "0.1001s"),
        ("service.p99", "0.99ms", "1001us"),
        ("service.max", "999us", "1.001 ms"),
        ("lag.mean", "249us", "251us"),
        ("lag.p99.9", "249us", "0.251ms"),
        ("rps", "49.9k", "50k/s"),
        ("transfer", "9.99MB", "10.01M"),
        ("errors", "399", "401"),
        ("errors", "0.39%", "0.41%"),
        ("timeouts", "39", "0.1k"),
        ("timeouts", "0.03 %", "0.05 %"),
        ("non2xx", "399", "401"),
        ("non2xx", "0.4%", "0.41%"),
        ("unanswered", "99", "101"),
        ("unanswered", "0.0998%", "0.1%"),
        ("requests", "99.8k", "0.1M"),
        ("connections", "63", "65"),
        ("reconnects", "49", "51"),
        ("shed", "1.99%", "2001"),
        ("unsent", "999", "1.01%"),
        ("server_cpu_us_per_request", "4.99", "5.01us"),
        ("loader_cpu_us_per_request", "7.4", "7.6"),
        ("server_rss", "2.9MB", "3145729"),
    ] {
        let report = report();
        for (text, holds) in [
            (format!("{metric}>{below}"), true),
            (format!("{metric} >= {above}"), false),
            (format!("{metric}< {above}"), true),
            (format!("{metric} <={below}"), false),
        ] {
            let check = gate(&text).check(&report);
            assert_eq!(check.breached, holds, "{check}");
            assert_eq!(gate(&text).require(&report).breached, !holds, "{text}");
        }
    }
}

#[test]
fn an_equal_figure_is_neither_above_nor_below() {
    let check = |text: &str| gate(text).check(&report()).breached;
    assert!(!check("connections>64") && !check("connections<64"));
    assert!(check("connections>=64") && check("connections<=64"));
}

#[test]
fn verdicts_are_told_with_the_figure() {
    let report = report();
    let check = |text: &str| gate(text).check(&report).to_string();
    assert_eq!(check("p99>5ms"), "--fail-if p99>5ms: breached, p99 is 99.02ms");
    assert_eq!(check(" p99 > 1s "), "--fail-if p99 > 1s: not breached, p99 is 99.02ms");
    assert_eq!(check("rps<100k"), "--fail-if rps<100k: breached, rps is 49950.00/s");
    assert_eq!(check("errors>1%"), "--fail-if errors>1%: not breached, errors is 0.40%");
    assert_eq!(check("errors>10"), "--fail-if errors>10: breached, errors is 400");
    assert_eq!(check("transfer<1"), "--fail-if transfer<1: not breached, transfer is 10.00MB/s");
    let require = gate("p99<1ms").require(&report);
    assert_eq!(require.text, "--slo p99<1ms: breached, p99 is 99.02ms");
    assert_eq!(require.actual, Some(99_024.895));
    let require = gate("p99<1s").require(&report);
    assert_eq!(require.text, "--slo p99<1s: met, p99 is 99.02ms");
}

#[test]
fn what_cannot_be_known_is_breached_and_says_so() {
    for (text, why) in [
        ("p99>5ms", "no response was complete"),
        ("non2xx>1", "no response was complete"),
        ("server_cpu_us_per_request>5", "no response was complete"),
        ("loader_cpu_us_per_request>5", "no response was complete"),
        ("lag.p99>1ms", "only an open loop (-R) has it"),
        ("service.mean>1ms", "only an open loop (-R) has it"),
        ("shed>0", "only an open loop (-R) has it"),
        ("server_rss>1GB", "the server's process was not observed"),
    ] {
        let silent = fixtures::silent();
        for verdict in [gate(text).check(&silent), gate(text).require(&silent)] {
            assert!(verdict.breached && verdict.actual.is_none(), "{verdict}");
            assert!(verdict.text.contains("cannot be known") && verdict.text.ends_with(why));
        }
    }
    let mut hung = fixtures::silent();
    hung.counters.errors = Errors::default();
    for text in ["errors>10", "errors>1%", "timeouts>0"] {
        let verdict = gate(text).check(&hung);
        assert!(verdict.breached && verdict.text.ends_with("answered or failed"), "{verdict}");
    }
    assert!(gate("rps<1").check(&hung).breached, "a rate of nothing is known: 0");
    assert!(!gate("unanswered>0").check(&fixtures::silent()).breached);
    let mut no_open_responses = report();
    no_open_responses.open_loop.as_mut().unwrap().send_lag = Histogram::new();
    let verdict = gate("lag.max>1s").check(&no_open_responses);
    assert!(verdict.breached && verdict.text.ends_with("no request was sent"), "{verdict}");
}

#[test]
fn mistakes_say_what_to_write() {
    for (text, part) in [
        ("p99", "compares nothing: write METRIC OP VALUE"),
        ("p99=5ms", "compares nothing"),
        ("p98th>5ms", "`p98th` is no percentile"),
        ("p0>5ms", "above 0 and up to 100"),
        ("p99999>5ms", "no percentile"),
        ("service.p101>5ms", "`p101` is no percentile"),
        ("latency>5ms", "`latency` is no metric: there are min, mean,"),
        ("pinf>5ms", "no metric"),
        (">5ms", "`` is no metric"),
        ("p99>5", "`5` cannot be compared with p99: write a time with its unit"),
        ("p99>", "`` cannot be compared"),
        ("p99>>5ms", "cannot be compared"),
        ("p99>-5ms", "cannot be compared"),
        ("p99>1%", "a time with its unit"),
        ("p99>.5ms", "cannot be compared"),
        ("p99>1e3ms", "cannot be compared"),
        ("rps<5ms", "a number per second"),
        ("errors>1ms", "a share, as in 0.1%"),
        ("connections<10%", "write a count, as in 10 or 1k"),
        ("transfer<10Q", "bytes per second"),
        ("server_rss>1GB/s", "write bytes, as in"),
    ] {
        let message = text.parse::<Gate>().expect_err(text).to_string();
        assert!(message.contains(part), "{text}: {message}");
    }
}

proptest! {
    /// Every text is a condition or an error that quotes it, never a panic.
    #[test]
    fn any_text_is_a_condition_or_an_error(
        text in "(p[0-9.]{0,5}|lag\\.|rps|errors|\\PC{0,5})[<>=]{0,2}[0-9.]{0,4}(ms|%|k|MB|\\PC{0,3})",
    ) {
        match text.parse::<Gate>() {
            Ok(gate) => {
                prop_assert_eq!(gate.to_string(), text.trim());
                let verdict = gate.check(&report());
                prop_assert!(verdict.actual.is_none_or(f64::is_finite));
                prop_assert_eq!(gate.require(&report()).actual, verdict.actual);
            }
            Err(error) => prop_assert!(error.to_string().starts_with('`'), "{}", error),
        }
    }
}
