//! However a stream is cut, it says the same, in both roles. The first two bytes of the input say
//! where.
#![no_main]

#[path = "../../common/http/tests/common/mod.rs"]
mod common;

use common::{client, every_byte, server, whole};
use libfuzzer_sys::fuzz_target;
use ringbench_http::{Limits, RequestKind};

fuzz_target!(|input: &[u8]| {
    let [a, b, input @ ..] = input else { return };
    let cuts = || [usize::from(*a.min(b)), usize::from(*a.max(b))].into_iter();
    let limits = Limits { max_head_bytes: 200, max_target_bytes: 40, ..Limits::default() };
    let expected = server(input, whole(), &limits);
    assert_eq!(server(input, cuts(), &limits), expected);
    assert_eq!(server(input, every_byte(input), &limits), expected);
    let kinds = [RequestKind::Normal, RequestKind::Head, RequestKind::Normal];
    let expected = client(input, whole(), &kinds, &limits);
    assert_eq!(client(input, cuts(), &kinds, &limits), expected);
    assert_eq!(client(input, every_byte(input), &kinds, &limits), expected);
});
