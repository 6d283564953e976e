//! Reading allocates nothing, and writing nothing once the buffer has grown.

use std::alloc::System;

use ringbench_http::{
    ClientConn, ClientEvent, HeaderScratch, LAST_CHUNK, Limits, RequestKind, ResponseBuilder,
    ServerConn, ServerEvent, write_chunk, write_request,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: &[u8] = b"\r\nGET /a?b HTTP/1.1\r\nHost: a\r\nConnection: x, keep-alive\r\n\r\n\
    GET http://b/ HTTP/1.2\r\nHost: a\r\n\r\n\
    POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nT: u\r\n\r\n\
    PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi\0";

/// Reads all of `input`, cut in two, answers each request, and says how many there were.
fn serve(input: &[u8], cut: usize, out: &mut Vec<u8>) -> usize {
    let limits = Limits::default();
    let mut conn = ServerConn::new();
    let mut scratch = HeaderScratch::new();
    let (mut at, mut requests) = (0, 0);
    for end in [cut, input.len()] {
        loop {
            let step = conn.next(&input[at..end], &mut scratch, &limits);
            at += step.consumed;
            match step.event {
                ServerEvent::NeedMore => break,
                ServerEvent::Request(_) => {
                    requests += 1;
                    let builder = ResponseBuilder::new(out, 200).unwrap();
                    builder.header("A", "b").unwrap().chunked().unwrap();
                    write_chunk(out, b"hello");
                    out.extend_from_slice(LAST_CHUNK);
                }
                ServerEvent::Reject(reject) => {
                    ResponseBuilder::new(out, reject.status).unwrap().close().body(b"no").unwrap();
                }
                ServerEvent::Body(_) | ServerEvent::End | ServerEvent::Closed => {}
            }
        }
    }
    requests
}

/// Reads all of `input` and says how many responses there were.
fn collect(input: &[u8], requests: usize) -> usize {
    let limits = Limits::client();
    let mut conn = ClientConn::new();
    (0..requests).for_each(|_| conn.sent(RequestKind::Normal));
    let mut scratch = HeaderScratch::new();
    let (mut at, mut responses) = (0, 0);
    loop {
        let step = conn.next(&input[at..], &mut scratch, &limits);
        at += step.consumed;
        match step.event {
            ClientEvent::NeedMore => return responses,
            ClientEvent::End { .. } => responses += 1,
            _ => {}
        }
    }
}

// One test only: another one at the same time would allocate in between.
#[test]
fn nothing_is_allocated_for_a_message() {
    let (mut out, mut sent) = (Vec::with_capacity(4096), Vec::with_capacity(4096));
    let region = Region::new(ALLOCATOR);
    for cut in 0..REQUESTS.len() {
        out.clear();
        assert_eq!(serve(REQUESTS, cut, &mut out), 4);
        // The fifth is what is refused.
        assert_eq!(collect(&out, 5), 5);
        sent.clear();
        write_request(&mut sent, "POST", "/", "a", &[("A", "b")], Some(b"hello")).unwrap();
    }
    let change = region.change();
    assert_eq!((change.allocations, change.reallocations), (0, 0), "{change:?}");
}
