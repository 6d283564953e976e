//! Whatever comes, the client's side neither panics nor stalls.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ringbench_http::{Limits, RequestKind};

fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else { return };
    let kinds = [RequestKind::Normal, RequestKind::Head, RequestKind::Normal, RequestKind::Connect];
    let from = usize::from(first) % kinds.len();
    common::client(input, common::whole(), &kinds[from..], &Limits::client());
});
