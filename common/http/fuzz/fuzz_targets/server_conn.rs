//! Whatever comes, the server's side neither panics nor stalls.
#![no_main]

#[path = "../../tests/common/mod.rs"]
mod common;

use libfuzzer_sys::fuzz_target;
use ringbench_http::Limits;

fuzz_target!(|input: &[u8]| {
    common::server(input, common::whole(), &Limits::default());
});
