//! Whatever a server sends, the client's side neither panics nor stalls, and finds no more
//! responses than requests were sent. The first byte of the input says which those are.
#![no_main]

#[path = "../../common/http/tests/common/mod.rs"]
mod common;

use common::{Event, client, whole};
use libfuzzer_sys::fuzz_target;
use ringbench_http::{Limits, RequestKind};

fuzz_target!(|input: &[u8]| {
    let Some((&first, input)) = input.split_first() else { return };
    let kinds = [RequestKind::Normal, RequestKind::Head, RequestKind::Normal, RequestKind::Connect];
    let kinds = &kinds[usize::from(first) % kinds.len()..];
    let events = client(input, whole(), kinds, &Limits::client());
    let count = |found: fn(&Event) -> bool| events.iter().filter(|&event| found(event)).count();
    let heads = count(|event| matches!(event, Event::Response { .. }));
    let ends = count(|event| matches!(event, Event::End { .. }));
    let errors = count(|event| matches!(event, Event::Error(_)));
    assert!(ends <= heads && heads <= kinds.len() && errors <= 1);
    for pair in events.windows(2) {
        if let [Event::Error(_), after] = pair {
            assert!(matches!(after, Event::Closed | Event::Eof(_)), "{after:?} after an error");
        }
    }
});
