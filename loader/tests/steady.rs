//! ringload and ringserve, both on real rings in this one process: once a run is under way, neither
//! allocates anything, however many requests and connections go by.

use std::alloc::System;

use clap::Parser;
use ringload::Flags;
use ringload::run::{News, Prepared};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// By then all connections are open, and every table and buffer has its size.
const WARM_REQUESTS: u64 = 20_000;
const COUNTED_REQUESTS: u64 = 50_000;
/// Where what happens together varies, lists and the memory for beginnings of responses grow whenever
/// more do than ever before, and may do so late: at most once for each of the 64 connections, and a
/// few doublings.
const LATE_GROWTH: usize = 64 + 10;

/// Allocations, reallocations included, while a number of requests goes by.
fn allocations_while_running(load: &str) -> (u64, usize) {
    let flags = ["ringserve", "--listen", "127.0.0.1:0", "--shards", "1"];
    let flags = ringserve::Flags::try_parse_from(flags).expect("ringserve's flags");
    let config = ringserve::Config::from_flags(&flags).expect("ringserve's flags");
    let server = ringserve::start(&config).expect("io_uring can be used");
    let address = server.addresses()[0];

    let load = format!("ringload --no-observe -t1 -c64 -T20s {load}")
        .replace("ADDRESS", &address.to_string());
    let config = Flags::try_parse_from(load.split(' ')).and_then(Flags::config).expect("flags");
    let mut begun: Option<(u64, Region<'_, System>)> = None;
    let mut counted = None;
    let run = Prepared::new(&config).and_then(Prepared::start).expect("the run can be started");
    let stopper = run.stopper();
    let outcome = run
        .finish(|news| {
            let News::Standing { counters, .. } = news else { return };
            match &begun {
                None if counters.requests >= WARM_REQUESTS => {
                    begun = Some((counters.requests, Region::new(ALLOCATOR)));
                }
                Some((before, region)) if counters.requests >= before + COUNTED_REQUESTS => {
                    let stats = region.change();
                    counted.get_or_insert((
                        counters.requests - before,
                        stats.allocations + stats.reallocations,
                    ));
                    stopper.stop();
                }
                _ => {}
            }
        })
        .expect("the run can be done");
    assert_eq!(outcome.report.counters.errors.total(), 0, "{load}");
    server.stop();
    server.join().expect("the server ends");
    counted.expect("the run is long enough")
}

#[test]
fn nothing_is_allocated_per_request_or_reconnect() {
    for (load, allowed) in [
        ("-d60s http://ADDRESS/", 0),
        ("-d60s http://ADDRESS/json", 0),
        ("-d60s -p16 http://ADDRESS/", LATE_GROWTH),
        ("-d60s -R 40k http://ADDRESS/", LATE_GROWTH),
        ("-d60s -R 40k --schedule per-connection http://ADDRESS/", LATE_GROWTH),
        ("-d60s --requests tests/requests/routes.toml http://ADDRESS/", LATE_GROWTH),
        ("-d60s -b {\"sequence\":7} http://ADDRESS/ping", 0),
        ("-d60s -b hello http://ADDRESS/echo", 0),
        ("-d60s --requests-per-connection 10 http://ADDRESS/", LATE_GROWTH),
    ] {
        let (requests, allocations) = allocations_while_running(load);
        assert!(allocations <= allowed, "{load}: {allocations} allocations in {requests} requests");
    }
}
