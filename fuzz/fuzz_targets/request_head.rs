//! Whatever comes, the server's side neither panics nor stalls, and what it accepts is sound.
#![no_main]

#[path = "../../common/http/tests/common/mod.rs"]
mod common;

use common::{Event, Rest, server, whole};
use libfuzzer_sys::fuzz_target;
use ringbench_http::{
    BodyLength, EofOutcome, HeaderScratch, Limits, ServerConn, ServerEvent, Version, is_token,
};

fuzz_target!(|input: &[u8]| {
    let limits = Limits::default();
    let events = server(input, whole(), &limits);
    let mut refused = false;
    for event in &events {
        match event {
            Event::Request { headers, rest, .. } => {
                assert!(!refused, "a request after a refusal");
                check_head(headers, rest);
            }
            Event::Reject(reject) => {
                assert!(!refused, "refused twice");
                assert!(matches!(reject.status, 400 | 413 | 414 | 431 | 501 | 505));
                refused = true;
            }
            Event::Eof(outcome) if refused => assert_eq!(*outcome, EofOutcome::Clean),
            _ => {}
        }
    }
    assert_eq!(bodies_in_place(input, &limits), bodies(&events));
});

/// What no accepted head may be.
fn check_head(headers: &[(String, Vec<u8>)], rest: &Rest) {
    let count = |name: &str| headers.iter().filter(|h| h.0.eq_ignore_ascii_case(name)).count();
    for (name, value) in headers {
        assert!(is_token(name.as_bytes()), "a name that is no token");
        let bad = |&byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
        assert!(!value.iter().any(bad), "CR, LF or NUL in a value");
    }
    assert!(count("host") <= 1, "more than one Host");
    assert!(count("host") == 1 || rest.version == Version::Http10, "no Host");
    let coded = count("transfer-encoding") > 0;
    assert!(!coded || count("content-length") == 0, "two framings");
    assert_eq!(coded, rest.body == BodyLength::Chunked);
    assert!(!coded || rest.version == Version::Http11, "Transfer-Encoding in HTTP/1.0");
    assert_ne!(rest.body, BodyLength::UntilClose, "a request has an end");
}

/// The bodies that came to their ends, by the events.
fn bodies(events: &[Event]) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    for (at, event) in events.iter().enumerate() {
        match event {
            Event::Request { rest, .. }
                if matches!(rest.body, BodyLength::None | BodyLength::Length(0)) =>
            {
                bodies.push(Vec::new());
            }
            Event::End { .. } => bodies.push(match &events[at - 1] {
                Event::Body(body) => body.clone(),
                _ => Vec::new(),
            }),
            _ => {}
        }
    }
    bodies
}

/// The same by the short cut for bodies that have come as a whole.
fn bodies_in_place(input: &[u8], limits: &Limits) -> Vec<Vec<u8>> {
    let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
    let (mut bodies, mut gathered, mut rest) = (Vec::new(), Vec::new(), input);
    loop {
        let step = conn.next(rest, &mut scratch, limits);
        rest = &rest[step.consumed..];
        match step.event {
            ServerEvent::Request(head) => match head.body {
                BodyLength::None | BodyLength::Length(0) => bodies.push(Vec::new()),
                _ => {
                    if let Some(body) = conn.body_in_place(rest) {
                        rest = &rest[body.len()..];
                        bodies.push(body.to_vec());
                    }
                }
            },
            ServerEvent::Body(piece) => gathered.extend_from_slice(piece),
            ServerEvent::End => bodies.push(std::mem::take(&mut gathered)),
            ServerEvent::NeedMore => return bodies,
            ServerEvent::Reject(_) | ServerEvent::Closed => {}
        }
    }
}
