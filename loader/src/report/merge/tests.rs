use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::ledger::CloseCause;
use crate::report::json::render;
use crate::report::{combine, fixtures};

fn named(reports: Vec<RunReport>) -> Vec<(String, RunReport)> {
    (b'a'..).zip(reports).map(|(name, it)| (format!("{}.json", name as char), it)).collect()
}

/// [`fixtures::full`], not itself put together.
fn one() -> RunReport {
    RunReport { machines: Vec::new(), ..fixtures::full() }
}

#[test]
fn one_report_stays_as_it_is() {
    let merged = merge(named(vec![fixtures::full()])).unwrap();
    assert_eq!(render(&merged).unwrap(), render(&fixtures::full()).unwrap());
    assert_eq!(merge(Vec::new()).unwrap_err(), MergeError::Nothing);
}

#[test]
fn two_machines_add_up() {
    let other = RunReport {
        url: "http://127.0.0.2:8080/".to_owned(),
        started_unix_ms: one().started_unix_ms + 100,
        duration_us: 2_500_000,
        all_open_us: Some(9_000),
        closes: vec![CloseLine {
            cause: CloseCause::Reset,
            errno: Some("ECONNRESET".to_owned()),
            count: 2,
        }],
        extent: Extent::Time(Duration::from_millis(2_500)),
        ..one()
    };
    let merged = merge(named(vec![one(), other])).unwrap();
    // 100,000 in 2 s and 100,000 in 2.5 s.
    assert!((merged.requests_per_sec() - 90_000.0).abs() < 1e-9);
    assert!((merged.transfer_bytes_per_sec() - 16_300_000.0 * 0.9).abs() < 1e-6);
    assert_eq!(merged.duration_us, 2_500_000);
    assert_eq!(merged.extent, Extent::Time(Duration::from_millis(2_500)));
    assert_eq!(merged.url, "http://127.0.0.1:8080/, http://127.0.0.2:8080/");
    assert_eq!(merged.engine_name, "uring");
    assert_eq!((merged.shards, merged.connections_wanted, merged.connections_peak), (4, 128, 128));
    assert_eq!((merged.counters.requests, merged.counters.opened), (200_000, 128));
    assert_eq!(merged.all_open_us, Some(9_000));
    assert_eq!((merged.closes[0].count, merged.closes[1].count), (7, 1));
    assert_eq!(merged.closes.len(), 2);
    assert_eq!(merged.latency.count(), 200_000);
    assert_eq!(merged.rates.moments().count(), 8);
    assert_eq!(merged.loader_cpu_ns, Some(1_500_000_000));
    assert_eq!(merged.shard_core_shares, [0.36, 0.39, 0.36, 0.39]);
    let open = merged.open_loop.as_ref().unwrap();
    assert_eq!(open.schedule, "constant 50000/s + constant 50000/s");
    assert!((open.rate_asked - 100_000.0).abs() < 1e-9);
    assert_eq!(
        (open.due, open.service_time.count(), open.own_lag.count()),
        (200_000, 200_000, 200_000)
    );
    assert_eq!(merged.corrected.as_ref().unwrap().latency.count(), 200_000);
    assert_eq!(merged.observed.tcp.unwrap().samples, 2_560);
    assert_eq!(merged.observed.machine.unwrap().cores, 4);
    assert_eq!(merged.observed.server.as_ref().map(|server| server.pid), Some(4_711));
    let names: Vec<&str> = merged.machines.iter().map(|machine| machine.name.as_str()).collect();
    assert_eq!(names, ["a.json", "b.json"]);
    for name in names {
        let warning = format!("{name}: clock source is hpet: timestamps are slow");
        assert!(merged.warnings.contains(&warning), "{:?}", merged.warnings);
    }
    let more = merge(named(vec![merged, one()])).unwrap();
    assert_eq!(more.machines.len(), 3);
    assert!((more.requests_per_sec() - 140_000.0).abs() < 1e-9);
}

#[test]
fn intervals_add_up_while_they_have_the_same_length() {
    let at = |lengths_us: &[u64]| {
        let intervals = (1..).zip(lengths_us).map(|(number, &length_us)| {
            let mut interval = fixtures::interval(number);
            interval.length_us = length_us;
            interval
        });
        RunReport { intervals: intervals.collect(), ..one() }
    };
    let mut slower = at(&[1_000_500, 1_000_000, 400_000]);
    slower.intervals[0].latency.as_mut().unwrap().p99_ns = 7_000_000_000;
    let merged = merge(named(vec![at(&[1_000_000, 1_000_100, 900_000, 50]), slower])).unwrap();
    assert_eq!(merged.intervals.len(), 2);
    let first = merged.intervals[0];
    assert_eq!((first.requests, first.open_connections, first.errors.status), (82_000, 128, 2));
    assert_eq!((first.length_us, first.loader_cpu_ns), (1_000_500, 750_000_000));
    let latency = first.latency.unwrap();
    assert_eq!((latency.p99_ns, latency.p90_ns), (7_000_000_000, 90_000_000));
    assert!(merged.notes.iter().any(|note| note.starts_with("of up to 4 intervals 2 could")));

    let none = merge(named(vec![at(&[]), at(&[])])).unwrap();
    assert!(none.intervals.is_empty());
    assert!(none.notes.iter().all(|note| !note.contains("intervals")), "{:?}", none.notes);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let refused = |other: RunReport| {
        merge(named(vec![fixtures::healthy(), other])).expect_err("not refused").to_string()
    };
    assert_eq!(
        refused(fixtures::open()),
        "a.json and b.json are runs of different kinds: the loop is closed and open"
    );
    let ends = refused(RunReport { extent: Extent::Requests(5), ..fixtures::healthy() });
    assert!(ends.ends_with("what ends it is time and a number of requests"), "{ends}");
    let depth = refused(RunReport { pipeline_depth: 2, ..fixtures::healthy() });
    assert!(depth.ends_with("the pipelining depth is 1 and 2"), "{depth}");
    let limit = RunReport { requests_per_connection: Some(9), ..fixtures::healthy() };
    assert!(refused(limit).ends_with("is any number and 9"));
}

#[test]
fn what_cannot_be_added_is_said() {
    let mut other = one();
    other.started_unix_ms += 1_001;
    other.corrected = None;
    other.loader_cpu_ns = None;
    other.all_open_us = None;
    other.observed.server.as_mut().unwrap().pid = 1;
    let merged = merge(named(vec![one(), other])).unwrap();
    assert!(merged.corrected.is_none() && merged.observed.server.is_none());
    assert_eq!((merged.loader_cpu_ns, merged.all_open_us), (None, None));
    assert!(merged.warnings[0].starts_with("the runs began up to 1001 ms apart"));
    for part in ["corrected latencies are left out", "several servers were watched"] {
        assert!(merged.notes.iter().any(|note| note.contains(part)), "{part}: {:?}", merged.notes);
    }
}

#[test]
fn files_are_combined() {
    let file = |name: &str| (name.to_owned(), render(&one()).unwrap());
    let merged = combine(vec![file("x.json"), file("y.json")]).unwrap();
    assert_eq!(merged.counters.requests, 200_000);
    assert_eq!(render(&combine(vec![file("x.json")]).unwrap()).unwrap(), file("").1);
    let error = combine(vec![file("x.json"), ("z.json".to_owned(), "{}".to_owned())]).unwrap_err();
    assert!(error.to_string().starts_with("z.json: it is no JSON report"), "{error}");
    assert!(combine(Vec::new()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn merging_is_the_same_as_recording_in_one(
        parts in prop::collection::vec(prop::collection::vec(any::<u64>(), 0..60), 2..5),
    ) {
        let of = |values: &[u64]| {
            let mut report = one();
            let open = report.open_loop.as_mut().unwrap();
            let histograms = [&mut report.latency, &mut open.service_time, &mut open.send_lag];
            for histogram in histograms {
                histogram.reset();
                values.iter().for_each(|&value| histogram.record(value));
            }
            report
        };
        let merged = merge(named(parts.iter().map(|part| of(part)).collect())).unwrap();
        let whole = of(&parts.concat());
        prop_assert_eq!(merged.latency.pack(), whole.latency.pack());
        prop_assert_eq!(merged.latency.summary(), whole.latency.summary());
        let (merged, whole) = (merged.open_loop.unwrap(), whole.open_loop.unwrap());
        prop_assert_eq!(merged.service_time.pack(), whole.service_time.pack());
        prop_assert_eq!(merged.send_lag.pack(), whole.send_lag.pack());
    }
}
