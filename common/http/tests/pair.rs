//! Both roles in memory: what one writes, the other reads.

mod common;

use common::{Event, Rest, client, every_byte, server, whole};
use ringbench_http::{
    BodyLength, CONTINUE, ClientConn, ClientError, ClientEvent, EofOutcome, HeaderScratch,
    LAST_CHUNK, Limits, RequestKind, ResponseBuilder, ServerConn, ServerEvent, Version,
    write_chunk, write_request,
};

const NO_HEADERS: &[(&str, &str)] = &[];

/// A server that answers every request with what it got, the way a program would write it.
fn echo(conn: &mut ServerConn, input: &[u8], body: &mut Vec<u8>, out: &mut Vec<u8>) -> usize {
    let limits = Limits::default();
    let mut scratch = HeaderScratch::new();
    let mut at = 0;
    loop {
        let step = conn.next(&input[at..], &mut scratch, &limits);
        at += step.consumed;
        match step.event {
            ServerEvent::NeedMore => return at,
            ServerEvent::Closed => {}
            ServerEvent::Request(request) => {
                if request.expect_continue && at == input.len() {
                    out.extend_from_slice(CONTINUE);
                }
                body.clear();
                body.extend_from_slice(request.target);
                if matches!(request.body, BodyLength::None | BodyLength::Length(0)) {
                    let mut builder = ResponseBuilder::new(out, 200).unwrap();
                    if !request.keep_alive {
                        builder = builder.close();
                    }
                    if request.method_name == "HEAD" {
                        builder.content_length(body.len() as u64).unwrap();
                    } else {
                        builder.body(body).unwrap();
                    }
                }
            }
            ServerEvent::Body(piece) => body.extend_from_slice(piece),
            ServerEvent::End => {
                ResponseBuilder::new(out, 200).unwrap().chunked().unwrap();
                for piece in body.chunks(7) {
                    write_chunk(out, piece);
                }
                out.extend_from_slice(LAST_CHUNK);
            }
            ServerEvent::Reject(reject) => {
                let text = reject.to_string();
                let builder = ResponseBuilder::new(out, reject.status).unwrap();
                builder.close().body(text.as_bytes()).unwrap();
            }
        }
    }
}

/// What the echo server answers to `input` when it comes in pieces of `size`.
fn answers(input: &[u8], size: usize) -> Vec<u8> {
    let mut conn = ServerConn::new();
    let (mut held, mut body, mut out) = (Vec::new(), Vec::new(), Vec::new());
    for piece in input.chunks(size) {
        held.extend_from_slice(piece);
        let consumed = echo(&mut conn, &held, &mut body, &mut out);
        held.drain(..consumed);
    }
    out
}

fn response(body: BodyLength, headers: &[(&str, &str)], keep_alive: bool) -> Event {
    Event::Response {
        status: 200,
        headers: headers.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
        rest: Rest { version: Version::Http11, body, keep_alive, expect_continue: false },
    }
}

#[test]
fn a_pipeline_of_all_sorts_is_answered_in_order() {
    let mut input = Vec::new();
    write_request(&mut input, "GET", "/1", "a", NO_HEADERS, None).unwrap();
    write_request(&mut input, "HEAD", "/22", "a", NO_HEADERS, None).unwrap();
    write_request(&mut input, "POST", "/3", "a", NO_HEADERS, Some(b"hello")).unwrap();
    let chunked = [("Transfer-Encoding", "chunked")];
    let mut body = Vec::new();
    write_chunk(&mut body, b"one, ");
    write_chunk(&mut body, b"two");
    body.extend_from_slice(LAST_CHUNK);
    write_request(&mut input, "PUT", "/4", "a", &chunked, Some(&body)).unwrap();
    write_request(&mut input, "GET", "/5", "a", &[("Connection", "close")], None).unwrap();
    write_request(&mut input, "GET", "/never", "a", NO_HEADERS, None).unwrap();

    let kinds = [
        RequestKind::Normal,
        RequestKind::Head,
        RequestKind::Normal,
        RequestKind::Normal,
        RequestKind::Normal,
        RequestKind::Normal,
    ];
    let end = Event::End { keep_alive: true };
    let coded = ("Transfer-Encoding", "chunked");
    let expected = vec![
        response(BodyLength::Length(2), &[("Content-Length", "2")], true),
        Event::Body(b"/1".to_vec()),
        end.clone(),
        response(BodyLength::None, &[("Content-Length", "3")], true),
        end.clone(),
        response(BodyLength::Chunked, &[coded], true),
        Event::Body(b"/3hello".to_vec()),
        end.clone(),
        response(BodyLength::Chunked, &[coded], true),
        Event::Body(b"/4one, two".to_vec()),
        end,
        response(BodyLength::Length(2), &[("Connection", "close"), ("Content-Length", "2")], false),
        Event::Body(b"/5".to_vec()),
        Event::End { keep_alive: false },
        Event::Eof(EofOutcome::Clean),
    ];
    for size in [1, 2, 7, 64, input.len()] {
        let output = answers(&input, size);
        let limits = Limits::client();
        assert_eq!(client(&output, whole(), &kinds, &limits), expected, "requests by {size}");
        let cuts = every_byte(&output);
        assert_eq!(client(&output, cuts, &kinds, &limits), expected, "responses byte by byte");
    }
}

#[test]
fn a_continue_precedes_the_answer_when_the_body_is_waited_for() {
    let mut input = Vec::new();
    let expect = [("Expect", "100-continue")];
    write_request(&mut input, "POST", "/", "a", &expect, Some(b"hello")).unwrap();
    let head_len = input.len() - 5;
    let mut conn = ServerConn::new();
    let (mut body, mut out) = (Vec::new(), Vec::new());
    assert_eq!(echo(&mut conn, &input[..head_len], &mut body, &mut out), head_len);
    assert_eq!(out, CONTINUE);
    echo(&mut conn, &input[head_len..], &mut body, &mut out);
    let events = client(&out, whole(), &[RequestKind::Normal], &Limits::client());
    assert_eq!(events[0], Event::Interim(100));
    assert_eq!(events[2], Event::Body(b"/hello".to_vec()));
    // With the body at hand there is nothing to wait for.
    assert!(!answers(&input, input.len()).starts_with(CONTINUE));
}

#[test]
fn a_reject_reaches_the_client_with_its_status() {
    let output = answers(b"GET / HTTP/1.1\r\n\r\n", 99);
    let events = client(&output, whole(), &[RequestKind::Normal], &Limits::client());
    assert!(matches!(&events[0], Event::Response { status: 400, rest, .. } if !rest.keep_alive));
    assert!(events.contains(&Event::End { keep_alive: false }));
}

#[test]
fn every_method_and_host_that_is_written_is_read() {
    for (method, target, host) in [
        ("GET", "/a?b=c", "example.com:8080"),
        ("PATCH", "/", "[::1]:80"),
        ("CONNECT", "a:1", "a:1"),
        ("OPTIONS", "*", "a"),
        ("brew", "/pot", "a%20b"),
    ] {
        let mut out = Vec::new();
        write_request(&mut out, method, target, host, NO_HEADERS, None).unwrap();
        let events = server(&out, every_byte(&out), &Limits::default());
        let Event::Request { line, host: found, .. } = &events[0] else { panic!("{events:?}") };
        assert!(line.starts_with(&format!("{method} {target} ")), "{line}");
        assert_eq!(found.as_deref(), Some(host));
    }
}

/// What a client with one request of this kind says to `input`, whole and byte by byte.
fn reads(kind: RequestKind, input: &str) -> Vec<Event> {
    let limits = Limits::client();
    let events = client(input.as_bytes(), whole(), &[kind], &limits);
    let bytewise = client(input.as_bytes(), every_byte(input.as_bytes()), &[kind], &limits);
    assert_eq!(events, bytewise, "byte by byte: {input:?}");
    events
}

/// Body, whether the connection can be used again, and what its end meant.
fn outcome(kind: RequestKind, input: &str) -> (Option<String>, Option<bool>, EofOutcome) {
    let events = reads(kind, input);
    let body = events.iter().find_map(|event| match event {
        Event::Body(body) => Some(String::from_utf8(body.clone()).unwrap()),
        _ => None,
    });
    let end = events.iter().find_map(|event| match event {
        Event::End { keep_alive } => Some(*keep_alive),
        _ => None,
    });
    let Some(Event::Eof(eof)) = events.last() else { panic!("{events:?}") };
    (body, end, *eof)
}

#[test]
fn responses_end_where_rfc_9112_says() {
    use EofOutcome::{BodyEnd, Clean, Truncated};
    use RequestKind::{Connect, Head, Normal};
    let body = |text: &str| Some(text.to_owned());
    for (kind, input, expected) in [
        (Normal, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", (body("hi"), Some(true), Clean)),
        (Normal, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", (None, Some(true), Clean)),
        (Normal, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi", (body("hi"), None, Truncated)),
        (Normal, "HTTP/1.1 204 No Content\r\n\r\n", (None, Some(true), Clean)),
        (
            Normal,
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
            (None, Some(true), Clean),
        ),
        (Head, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (None, Some(true), Clean)),
        (Head, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", (None, Some(true), Clean)),
        (Normal, "HTTP/1.1 200 OK\r\n\r\nto the end", (body("to the end"), None, BodyEnd)),
        (Normal, "HTTP/1.1 200 OK\r\n\r\n", (None, None, BodyEnd)),
        (Normal, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", (body("x"), Some(false), Clean)),
        (
            Normal,
            "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 1\r\n\r\nx",
            (body("x"), Some(true), Clean),
        ),
        (
            Normal,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\nA: b\r\n\r\n",
            (body("hi"), Some(true), Clean),
        ),
        (
            Normal,
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            (body("hi"), None, Truncated),
        ),
        (Connect, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", (None, Some(false), Clean)),
        (Connect, "HTTP/1.1 405 No\r\nContent-Length: 1\r\n\r\nx", (body("x"), Some(true), Clean)),
        (Normal, "HTTP/1.1 101 Switching Protocols\r\n\r\n", (None, Some(false), Clean)),
        (Normal, "HTTP/1.1 103 Early Hints\r\n\r\n", (None, None, Truncated)),
        (Normal, "", (None, None, Truncated)),
        // Sloppy, but beyond doubt.
        (
            Normal,
            "HTTP/1.1 200 OK\nA :b\r\nC: d\r\n e\nContent-Length: 0\n\n",
            (None, Some(true), Clean),
        ),
    ] {
        assert_eq!(outcome(kind, input), expected, "{kind:?} {input:?}");
    }
}

#[test]
fn what_is_no_response_is_an_error() {
    for (input, error) in [
        ("SSH-2.0-x\r\n", ClientError::NotHttp),
        ("\r\nHTTP/1.1 200 OK\r\n\r\n", ClientError::NotHttp),
        ("HTTP/2.0 200 OK\r\n\r\n", ClientError::NotHttp),
        ("HTTP/1.1 20 OK\r\n\r\n", ClientError::BadStatusLine),
        ("HTTP/1.1 099 OK\r\n\r\n", ClientError::BadStatusLine),
        ("HTTP/1.1\r\n\r\n", ClientError::BadStatusLine),
        ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", ClientError::BadHeader),
        ("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ClientError::BadContentLength),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n", ClientError::BadContentLength),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            ClientError::BadTransferEncoding,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx", ClientError::BadChunk),
        ("HTTP/1.1 204 No Content\r\n\r\nsurplus", ClientError::Unsolicited),
    ] {
        let events = reads(RequestKind::Normal, input);
        assert!(events.contains(&Event::Error(error)), "{error:?} for {input:?}: {events:?}");
    }
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert!(reads(RequestKind::Normal, &many).contains(&Event::Error(ClientError::TooManyHeaders)));
    let large = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(70_000));
    assert!(reads(RequestKind::Normal, &large).contains(&Event::Error(ClientError::HeadTooLarge)));
}

#[test]
fn heads_of_responses_are_bounded_to_the_byte() {
    let input = b"HTTP/1.1 204 No Content\r\n\r\n";
    let limits = |max| Limits { max_head_bytes: max, ..Limits::client() };
    let read = |max, cuts: &mut dyn Iterator<Item = usize>| {
        client(input, cuts, &[RequestKind::Normal], &limits(max))
    };
    let len = input.len();
    for max in [len, len - 1] {
        let events = read(max, &mut whole());
        assert_eq!(events.contains(&Event::Error(ClientError::HeadTooLarge)), max < len);
        assert_eq!(read(max, &mut every_byte(input)), events);
    }
}

#[test]
fn a_connection_goes_on_after_a_refused_connect() {
    let limits = Limits::client();
    let mut conn = ClientConn::new();
    for (kind, input, has_body) in [
        (RequestKind::Connect, "HTTP/1.1 405 No\r\nContent-Length: 1\r\n\r\nx", true),
        (RequestKind::Normal, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", true),
        (RequestKind::Connect, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", false),
    ] {
        conn.sent(kind);
        let mut scratch = HeaderScratch::new();
        let step = conn.next(input.as_bytes(), &mut scratch, &limits);
        let ClientEvent::Head(head) = step.event else { panic!("{:?}", step.event) };
        assert_eq!(head.body, if has_body { BodyLength::Length(1) } else { BodyLength::None });
        let mut at = step.consumed;
        while at < input.len() {
            at += conn.next(&input.as_bytes()[at..], &mut scratch, &limits).consumed;
        }
        let step = conn.next(b"", &mut scratch, &limits);
        let ClientEvent::End { keep_alive } = step.event else { panic!("{:?}", step.event) };
        assert_eq!(keep_alive, has_body, "a tunnel is no longer HTTP");
    }
}

#[test]
fn bodies_of_responses_are_bounded_if_asked() {
    let limits = Limits { max_body_bytes: 3, ..Limits::client() };
    for head in ["", "Content-Length: 4\r\n", "Transfer-Encoding: chunked\r\n"] {
        let chunk = if head.starts_with('T') { "4\r\n" } else { "" };
        let input = format!("HTTP/1.1 200 OK\r\n{head}\r\n{chunk}four");
        for events in [
            client(input.as_bytes(), whole(), &[RequestKind::Normal], &limits),
            client(input.as_bytes(), every_byte(input.as_bytes()), &[RequestKind::Normal], &limits),
        ] {
            assert!(events.contains(&Event::Error(ClientError::BodyTooLarge)), "{events:?}");
        }
    }
}

#[test]
fn a_full_pipeline_remembers_which_were_heads() {
    let mut conn = ClientConn::new();
    for i in 0..ClientConn::MAX_PIPELINE {
        conn.sent(if i % 3 == 0 { RequestKind::Head } else { RequestKind::Normal });
    }
    assert_eq!(conn.outstanding(), ClientConn::MAX_PIPELINE);
    let limits = Limits::client();
    let input = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx";
    for i in 0..ClientConn::MAX_PIPELINE {
        let input = if i % 3 == 0 { &input[..input.len() - 1] } else { &input[..] };
        let mut scratch = HeaderScratch::new();
        let mut at = 0;
        loop {
            let step = conn.next(&input[at..], &mut scratch, &limits);
            at += step.consumed;
            match step.event {
                ClientEvent::End { keep_alive } => break assert!(keep_alive),
                ClientEvent::Head(_) | ClientEvent::Body(_) => {}
                other => panic!("{i}: {other:?}"),
            }
        }
        assert_eq!(at, input.len(), "{i}");
    }
    assert_eq!(conn.eof(), EofOutcome::Clean);
}

#[test]
#[should_panic(expected = "in flight")]
fn more_than_a_full_pipeline_is_a_mistake() {
    let mut conn = ClientConn::new();
    for _ in 0..=ClientConn::MAX_PIPELINE {
        conn.sent(RequestKind::Normal);
    }
}

#[test]
fn a_server_that_closes_processes_nothing_more() {
    let input = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let limits = Limits::default();
    let mut scratch = HeaderScratch::new();
    let mut conn = ServerConn::new();
    assert!(conn.is_idle() && !conn.is_closed());
    conn.close();
    let step = conn.next(input, &mut scratch, &limits);
    assert!(matches!(step.event, ServerEvent::Closed) && step.consumed == input.len());

    // In the middle of a body the request is read in full first.
    let post = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n";
    let mut conn = ServerConn::new();
    assert!(matches!(conn.next(post, &mut scratch, &limits).event, ServerEvent::Request(_)));
    assert!(conn.is_mid_body());
    conn.close_after_request();
    assert!(matches!(conn.next(b"x", &mut scratch, &limits).event, ServerEvent::Body(b"x")));
    assert!(matches!(conn.next(b"", &mut scratch, &limits).event, ServerEvent::End));
    assert!(conn.is_closed());
}
