//! What a shard calls per response must not allocate. (A test binary of its own: no other test's
//! allocations get in between.)

use std::alloc::System;

use ringbench_measure::{Counters, Histogram, RateSampler, SharedCounters};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn recording_does_not_allocate() {
    let (mut histogram, mut merged) = (Histogram::new(), Histogram::new());
    let mut rates = RateSampler::new(0);
    let (mut counters, shared) = (Counters::default(), SharedCounters::new());

    let region = Region::new(ALLOCATOR);
    for exponent in 0..64 {
        histogram.record(1 << exponent);
        counters.count_response(200);
        rates.observe(exponent * 50_000_000, counters.requests);
        shared.publish(&counters);
    }
    merged.merge(&histogram);
    histogram.reset();
    let change = region.change();

    assert_eq!((change.allocations, change.reallocations), (0, 0), "{change:?}");
    assert_eq!((merged.count(), shared.snapshot().requests), (64, 64));
}
