//! Requests that a strict server must refuse or accept, and with which status code, after RFC 9112
//! and RFC 9110. Every one is fed whole, byte by byte, and cut once at each place.

mod common;

use common::{Event, every_byte, server, whole};
use ringbench_http::{BodyLength, EofOutcome, Limits};

/// The verdict on the first thing that is refused, or the number of complete requests.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Refused(u16),
    Complete(usize),
    Incomplete,
}

fn verdict(events: &[Event]) -> Verdict {
    let mut complete = 0;
    for event in events {
        match event {
            Event::Reject(reject) => return Verdict::Refused(reject.status),
            Event::Request { rest, .. }
                if matches!(rest.body, BodyLength::None | BodyLength::Length(0)) =>
            {
                complete += 1;
            }
            Event::End { .. } => complete += 1,
            Event::Eof(EofOutcome::Truncated) => return Verdict::Incomplete,
            _ => {}
        }
    }
    Verdict::Complete(complete)
}

fn check(input: &[u8], expected: &Verdict) {
    let limits = Limits::default();
    let shown = input.escape_ascii().to_string();
    let events = server(input, whole(), &limits);
    assert_eq!(verdict(&events), *expected, "{shown}");
    assert_eq!(server(input, every_byte(input), &limits), events, "byte by byte: {shown}");
    for cut in 1..input.len().min(300) {
        assert_eq!(server(input, [cut].into_iter(), &limits), events, "cut at {cut}: {shown}");
    }
}

fn refused(status: u16, inputs: &[&str]) {
    for input in inputs {
        check(input.as_bytes(), &Verdict::Refused(status));
    }
}

fn accepted(requests: usize, inputs: &[&str]) {
    for input in inputs {
        check(input.as_bytes(), &Verdict::Complete(requests));
    }
}

/// `head` after a good request line and Host, with the empty line after it.
fn with(head: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n")
}

fn refused_with(status: u16, heads: &[&str]) {
    for head in heads {
        check(with(head).as_bytes(), &Verdict::Refused(status));
    }
}

#[test]
fn request_lines() {
    refused(
        400,
        &[
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\n",
            "GET\r\n",
            "GET / \r\n",
            "GET HTTP/1.1\r\n\r\n",
            "GET\n/\nHTTP/1.1\r\n\r\n",
            "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET: / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\0 / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\rHost: a\r\n\r\n",
            "GET / b HTTP/1.1\r\nHost: a\r\n\r\n",
            "\u{16}\u{3}\u{1}\u{2}\0\u{1}",
            "\0",
            "   \r\n\r\n",
        ],
    );
}

#[test]
fn versions() {
    refused(505, &["GET / HTTP/2.0\r\nHost: a\r\n\r\n", "GET / HTTP/0.9\r\nHost: a\r\n\r\n"]);
    refused(505, &["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET / HTTP/3.1\n"]);
    refused(
        400,
        &[
            "GET / http/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.\r\nHost: a\r\n\r\n",
            "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.01\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
            "GET / HTTP/ 1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/111\r\nHost: a\r\n\r\n",
            "GET / HTTP/0.99\r\nHost: a\r\n\r\n",
            "GET / FTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/+1.1\r\nHost: a\r\n\r\n",
        ],
    );
    // A higher minor version is read as 1.1, with all that follows from it.
    accepted(1, &["GET / HTTP/1.2\r\nHost: a\r\n\r\n", "GET / HTTP/1.9\nHost: a\n\n"]);
    accepted(2, &["GET / HTTP/1.7\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"]);
    refused(400, &["GET / HTTP/1.2\r\n\r\n", "GET / HTTP/1.2\r\nHost: a\r\nb :c\r\n\r\n"]);
}

#[test]
fn targets() {
    accepted(
        1,
        &[
            "GET /a/b?c=d&e HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET //a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /%7B\"{}|^`\\ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b/c?d HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET https://b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://[::1]:8080/foo HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS / HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
            "CONNECT [::1]:443 HTTP/1.1\r\nHost: [::1]:443\r\n\r\n",
        ],
    );
    refused(
        400,
        &[
            "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a/b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{7f} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://b c/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    // Absolute-form overrides Host, and Host must be there and valid all the same.
    let events = server(b"GET http://b/c HTTP/1.1\r\nHost: a\r\n\r\n", whole(), &Limits::default());
    let Event::Request { line, host, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!((line.as_str(), host.as_deref()), ("GET /c /c -", Some("b")));
    refused(400, &["GET http://b/ HTTP/1.1\r\n\r\n"]);
}

#[test]
fn hosts() {
    refused(
        400,
        &[
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nhost: b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a:80, a:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
            "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n",
        ],
    );
    accepted(
        1,
        &[
            "GET / HTTP/1.0\r\n\r\n",
            "GET / HTTP/1.1\r\nHOST:a:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
        ],
    );
}

#[test]
fn header_fields() {
    refused_with(
        400,
        &[
            "A : b",
            "Transfer-Encoding : chunked",
            "A\t: b",
            ": b",
            "A",
            "A b: c",
            "A: b\r\n c",
            "A: b\r\n\tc",
            "A: b\rc",
            "A: b\r",
            "A: b\0c",
            "A: b\u{7f}c",
            "A: b\u{7}c",
            "A[]: b",
            "\u{e9}: b",
            "A\0: b",
            "A: b\n\rC: d",
        ],
    );
    refused(
        400,
        &["GET / HTTP/1.1\r\n Host: a\r\n\r\n", "GET / HTTP/1.1\r\n\tA: b\r\nHost: a\r\n\r\n"],
    );
    accepted(
        1,
        &[
            &with("A:b\r\nC:\t d \t\r\nE:\r\nX.y|z~!#$%&'*+-^_`: ok"),
            &with("A: caf\u{e9}"),
            "GET / HTTP/1.1\nHost: a\nB: c\n\n",
            "GET / HTTP/1.1\r\nHost: a\nB: c\r\n\n",
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\n\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    );
    // Empty lines are bounded, also between requests, and bare CR is none.
    refused(
        400,
        &["\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "\rGET / HTTP/1.1\r\n"],
    );
    // They are counted anew before each request.
    accepted(3, &[&"\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3)]);
    let after_body = format!("{}hello\r\n{}", with("Content-Length: 5"), with("Content-Length: 0"));
    accepted(2, &[&after_body]);
}

#[test]
fn content_lengths() {
    refused_with(
        400,
        &[
            "Content-Length: -1",
            "Content-Length: +5",
            "Content-Length:",
            "Content-Length: 5 5",
            "Content-Length: 0x5",
            "Content-Length: 5,",
            "Content-Length: 5, 6",
            "Content-Length: 5\r\nContent-Length: 6",
            "Content-Length: 18446744073709551616",
            "Content-Length: 99999999999999999999999",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity\r\nContent-Length: 5",
        ],
    );
    refused_with(413, &["Content-Length: 1048577", "Content-Length: 18446744073709551615"]);
    let body = |head: &str| format!("{}hello", with(head));
    accepted(
        1,
        &[
            &body("Content-Length: 5"),
            &body("content-length: 5, 5"),
            &body("Content-Length: 5\r\nContent-Length: 05"),
            &body("Content-Length:  5 "),
            &with("Content-Length: 0"),
        ],
    );
    check(format!("{}hell", with("Content-Length: 5")).as_bytes(), &Verdict::Incomplete);
    check(format!("{}hello", with("Content-Length: 0")).as_bytes(), &Verdict::Incomplete);
}

#[test]
fn transfer_encodings() {
    refused_with(
        400,
        &[
            "Transfer-Encoding:",
            "Transfer-Encoding: ,",
            "Transfer-Encoding: gzip",
            "Transfer-Encoding: chunked, gzip",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \u{b}chunked",
            "Transfer-Encoding: \"chunked\"",
        ],
    );
    refused_with(
        501,
        &[
            "Transfer-Encoding: foo",
            "Transfer-Encoding: xchunked",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity, chunked",
        ],
    );
    refused(400, &["POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"]);
    // An underscore makes it another field.
    accepted(1, &[&with("Transfer_Encoding: chunked"), &with("Content_Length: x")]);
}

#[test]
fn chunked_bodies() {
    let chunked = |body: &str| format!("{}{body}", with("Transfer-Encoding: Chunked"));
    for good in [
        "0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\n",
        "5;a=b;c=\"d;\\\"\";e\r\nhello\r\n0\r\n\r\n",
        "5 ;a\r\nhello\r\n0\r\n\r\n",
        "000a\r\n0123456789\r\nA\r\n0123456789\r\n000\r\nA: b\r\nHost: ignored\r\n\r\n",
    ] {
        accepted(1, &[&chunked(good)]);
    }
    for bad in [
        "5 \r\nhello",
        " 5\r\nhello",
        "5\nhello",
        "5\r\nhello\n",
        "5\r\nhello!\r\n",
        "5\rhello",
        "-5\r\nhello",
        "0x5\r\nhello",
        "5_0\r\nhello",
        "\r\n",
        ";a\r\n",
        "5;\r\nhello",
        "5;a\nhello",
        "5;a\0\r\nhello",
        "5;a=\"b\r\nhello",
        "0\r\nA : b\r\n",
        "0\r\nA\r\n",
        "0\r\n A: b\r\n",
        "0\r\nA: b\n",
        "0\r\n\n",
        "0\r\nA: b\0\r\n",
        "10000000000000000\r\n",
        "fffffffffffffffff\r\n",
    ] {
        refused(400, &[&chunked(bad)]);
    }
    refused(413, &[&chunked("100001\r\n"), &chunked("ffffffffffffffff\r\n")]);
    refused(413, &[&chunked("5\r\nhello\r\nfffff\r\n")]);
    refused(413, &[&chunked("5\r\nhello\r\nffffffffffffffff\r\n")]);
    refused(431, &[&chunked(&format!("0\r\nA: {}", "b".repeat(8200)))]);
    refused(400, &[&chunked(&format!("5;{}", "a".repeat(5000)))]);
    check(chunked("5\r\nhello\r\n0\r\n").as_bytes(), &Verdict::Incomplete);
    check(chunked("5\r\nhello\r\n").as_bytes(), &Verdict::Incomplete);
}

#[test]
fn sizes() {
    let target = |len: usize| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(len - 1));
    accepted(1, &[&target(8000), &target(8192)]);
    refused(
        414,
        &[&target(8193), &target(8300), &target(20_000), &format!("GET /{}", "x".repeat(9000))],
    );
    let method = |len: usize| format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", "M".repeat(len));
    accepted(1, &[&method(32)]);
    refused(501, &[&method(33), &method(20_000), &"M".repeat(33)]);
    let fields =
        |count: usize| with(&"A: b\r\n".repeat(count - 1)).replace("\r\n\r\n\r\n", "\r\n\r\n");
    accepted(1, &[&fields(100)]);
    refused(431, &[&fields(101), &fields(500)]);
    // Request line and Host take 26 bytes, name and empty line 7.
    let head = |len: usize| with(&format!("A: {}", "b".repeat(len - 26 - 7)));
    assert_eq!(head(16_384).len(), 16_384);
    accepted(1, &[&head(16_384)]);
    refused(431, &[&head(16_385), &head(40_000), head(40_000).strip_suffix("\r\n\r\n").unwrap()]);
    refused(431, &[&format!("GET / HTTP/1.1\r\n{}", "x".repeat(17_000))]);
}

#[test]
fn persistence() {
    let two = |first: &str| format!("{first}\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    accepted(
        2,
        &[&two("GET / HTTP/1.1\r\nHost: a"), &two("GET / HTTP/1.0\r\nConnection: keep-alive")],
    );
    // After `close` nothing is processed (RFC 9112 section 9.6), not even to refuse it.
    accepted(
        1,
        &[
            &two("GET / HTTP/1.0"),
            &two("GET / HTTP/1.1\r\nHost: a\r\nConnection: close"),
            &two("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, CLOSE"),
            &two("GET / HTTP/1.1\r\nHost: a\r\nConnection: a\r\nConnection: b ,close"),
            &two("CONNECT a:1 HTTP/1.1\r\nHost: a"),
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\0garbage",
            "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi\0garbage",
        ],
    );
    let events = server(b"\0 then more", whole(), &Limits::default());
    assert!(matches!(events[..], [Event::Reject(_), Event::Closed, Event::Eof(EofOutcome::Clean)]));
}

#[test]
fn expectations() {
    let expects = |input: &str| {
        let events = server(input.as_bytes(), whole(), &Limits::default());
        let Event::Request { rest, .. } = &events[0] else { panic!("{events:?}") };
        rest.expect_continue
    };
    assert!(expects(&with("Expect: 100-Continue\r\nContent-Length: 5")));
    assert!(expects(&with("expect: 100-continue\r\nTransfer-Encoding: chunked")));
    assert!(!expects(&with("Expect: 100-continue")), "no body to wait with");
    assert!(!expects(&with("Content-Length: 5")));
    assert!(!expects("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"));
}

#[test]
fn a_bad_start_is_refused_before_the_head_is_whole() {
    for (start, status) in [
        ("\u{16}\u{3}\u{1}", 400),
        ("PRI * HTTP/2.0\r\n", 505),
        ("SSH-2.0-OpenSSH_9.2p1\r\n", 400),
        ("GET /\r\n", 400),
        ("GET /a#b HTTP/1.1\r\n", 400),
        ("GET * HTTP/1.1\r\n", 400),
    ] {
        check(start.as_bytes(), &Verdict::Refused(status));
    }
}

/// RFC 9110 section 9.3.2: the answer to HEAD has no content, not even to say what was wrong.
#[test]
fn a_refusal_tells_whether_it_answers_a_head() {
    let long_target = format!("HEAD /{} HTTP/1.1\r\n", "x".repeat(70_000));
    for (input, expected) in [
        ("HEAD / HTTP/1.1\r\n\r\n", true),
        ("\r\nHEAD / HTTP/1.1\r\n\r\n", true),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", true),
        ("HEAD / HTTP/1.1\r\nHost: a\r\nb c: d\r\n\r\n", true),
        ("HEAD / HTTP/2.0\r\n", true),
        ("HEAD /a#b HTTP/1.1\r\n", true),
        (long_target.as_str(), true),
        ("HEADER / HTTP/1.1\r\n\r\n", false),
        ("head / HTTP/1.1\r\n\r\n", false),
        ("HEAD\t/ HTTP/1.1\r\n\r\n", false),
        ("GET / HTTP/1.1\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\n\r\n", true),
    ] {
        let limits = Limits::default();
        for events in [
            server(input.as_bytes(), whole(), &limits),
            server(input.as_bytes(), every_byte(input.as_bytes()), &limits),
        ] {
            let refused = events.iter().find_map(|event| match event {
                Event::Reject(reject) => Some(reject.to_head),
                _ => None,
            });
            assert_eq!(refused, Some(expected), "{}", input.escape_debug());
        }
    }
}

#[test]
fn ends_of_input() {
    let eof = |input: &str| server(input.as_bytes(), whole(), &Limits::default()).pop().unwrap();
    assert_eq!(eof(""), Event::Eof(EofOutcome::Clean));
    assert_eq!(eof("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Event::Eof(EofOutcome::Clean));
    assert_eq!(eof("\r\n"), Event::Eof(EofOutcome::Clean));
    assert_eq!(eof("GET / HTTP/1.1\r\nHost: a\r\n"), Event::Eof(EofOutcome::Truncated));
    assert_eq!(eof("G"), Event::Eof(EofOutcome::Truncated));
    assert_eq!(eof(&with("Content-Length: 1")), Event::Eof(EofOutcome::Truncated));
}
