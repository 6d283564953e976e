//! Drives a connection with input that is cut up in some way, and writes down what it says.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of this")]

use ringbench_http::{
    BodyLength, ClientConn, ClientError, ClientEvent, EofOutcome, HeaderScratch, Limits, Reject,
    RequestKind, ServerConn, ServerEvent, Version,
};

/// An event that owns what it tells. Bodies are whole: the pieces of one are put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    Request { line: String, host: Option<String>, headers: Vec<(String, Vec<u8>)>, rest: Rest },
    Reject(Reject),
    Interim(u16),
    Response { status: u16, headers: Vec<(String, Vec<u8>)>, rest: Rest },
    Error(ClientError),
    Body(Vec<u8>),
    End { keep_alive: bool },
    Closed,
    Eof(EofOutcome),
}

/// What a head says about framing and connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rest {
    pub version: Version,
    pub body: BodyLength,
    pub keep_alive: bool,
    pub expect_continue: bool,
}

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

fn own(headers: &[ringbench_http::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|h| (h.name.to_owned(), h.value.to_vec())).collect()
}

fn push(events: &mut Vec<Event>, event: Event) {
    match (events.last_mut(), event) {
        (Some(Event::Body(whole)), Event::Body(piece)) => whole.extend_from_slice(&piece),
        (Some(Event::Closed), Event::Closed) => {}
        (_, event) => events.push(event),
    }
}

/// Presents `input` as a socket would deliver it: up to the first of `cuts`, then up to the next,
/// and so on; what is not consumed is presented again with more. `next` makes one step.
fn drive(
    input: &[u8],
    cuts: impl Iterator<Item = usize>,
    mut next: impl FnMut(&[u8], &mut Vec<Event>) -> (usize, bool),
) -> (Vec<Event>, usize) {
    let mut events = Vec::new();
    let mut start = 0;
    for end in cuts.filter(|&cut| cut < input.len()).chain([input.len()]) {
        let mut steps = 0;
        loop {
            let window = &input[start..end];
            let (consumed, more) = next(window, &mut events);
            assert!(consumed <= window.len(), "more consumed than there was");
            start += consumed;
            steps += 1;
            assert!(steps <= 4 * input.len() + 8, "no progress");
            if !more {
                break;
            }
        }
    }
    (events, input.len() - start)
}

/// What a server says to `input`, cut at `cuts` (which ascend), and then its end.
pub fn server(input: &[u8], cuts: impl Iterator<Item = usize>, limits: &Limits) -> Vec<Event> {
    let mut conn = ServerConn::new();
    let (mut events, leftover) = drive(input, cuts, |window, events| {
        let mut scratch = HeaderScratch::new();
        let step = conn.next(window, &mut scratch, limits);
        let event = match step.event {
            ServerEvent::NeedMore => return (step.consumed, false),
            ServerEvent::Request(r) => Event::Request {
                line: format!(
                    "{} {} {} {}",
                    r.method_name,
                    text(r.target),
                    text(r.path),
                    r.query.map_or_else(|| "-".to_owned(), text)
                ),
                host: r.host().map(text),
                headers: own(r.headers),
                rest: Rest {
                    version: r.version,
                    body: r.body,
                    keep_alive: r.keep_alive,
                    expect_continue: r.expect_continue,
                },
            },
            ServerEvent::Body(piece) => {
                assert!(!piece.is_empty(), "a piece of a body is never empty");
                Event::Body(piece.to_vec())
            }
            ServerEvent::End => Event::End { keep_alive: true },
            ServerEvent::Reject(reject) => Event::Reject(reject),
            ServerEvent::Closed => Event::Closed,
        };
        push(events, event);
        (step.consumed, true)
    });
    events.push(Event::Eof(conn.eof(leftover)));
    events
}

/// What a client that sent requests of these kinds says to `input`, cut at `cuts`, and then its
/// end.
pub fn client(
    input: &[u8],
    cuts: impl Iterator<Item = usize>,
    kinds: &[RequestKind],
    limits: &Limits,
) -> Vec<Event> {
    let mut conn = ClientConn::new();
    for &kind in kinds {
        conn.sent(kind);
    }
    let (mut events, _) = drive(input, cuts, |window, events| {
        let mut scratch = HeaderScratch::new();
        let step = conn.next(window, &mut scratch, limits);
        let event = match step.event {
            ClientEvent::NeedMore => return (step.consumed, false),
            ClientEvent::Interim(status) => Event::Interim(status),
            ClientEvent::Head(r) => Event::Response {
                status: r.status,
                headers: own(r.headers),
                rest: Rest {
                    version: r.version,
                    body: r.body,
                    keep_alive: r.keep_alive,
                    expect_continue: false,
                },
            },
            ClientEvent::Body(piece) => {
                assert!(!piece.is_empty(), "a piece of a body is never empty");
                Event::Body(piece.to_vec())
            }
            ClientEvent::End { keep_alive } => Event::End { keep_alive },
            ClientEvent::Error(error) => Event::Error(error),
            ClientEvent::Closed => Event::Closed,
        };
        push(events, event);
        (step.consumed, true)
    });
    events.push(Event::Eof(conn.eof()));
    events
}

/// One cut after every byte.
pub fn every_byte(input: &[u8]) -> impl Iterator<Item = usize> + use<> {
    1..input.len()
}

/// No cut at all.
pub fn whole() -> core::iter::Empty<usize> {
    core::iter::empty()
}
