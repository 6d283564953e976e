//! HTTP as a client sees it.

use std::io::Write;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::common::{Client, Ringserve, noise, post, request};

pub(crate) fn every_route_answers(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for (request, content_type, body) in [
        (request("GET", "/"), "text/plain", "Hello, World!"),
        (request("GET", "/plaintext"), "text/plain", "Hello, World!"),
        (request("GET", "/plaintext?a=b"), "text/plain", "Hello, World!"),
        (request("GET", "http://test/json"), "application/json", r#"{"message":"Hello, World!"}"#),
        (
            String::from_utf8(post("/ping", br#"{"sequence": 42}"#)).unwrap(),
            "application/json",
            r#"{"sequence":42}"#,
        ),
        (
            String::from_utf8(post("/echo", b"as it was")).unwrap(),
            "application/octet-stream",
            "as it was",
        ),
    ] {
        let response = client.exchange(&request);
        assert_eq!(response.status, 200, "{request}");
        assert_eq!(response.text(), body);
        assert_eq!(response.header("Content-Type"), Some(content_type));
        assert_eq!(response.header("Server"), Some("ringserve"));
        assert_eq!(response.header("Connection"), None);
        let date = response.header("Date").unwrap();
        let written = httpdate::parse_http_date(date).unwrap();
        let age = std::time::SystemTime::now().duration_since(written).unwrap();
        assert!(age.as_secs() < 10, "{date} is not now");
    }
}

pub(crate) fn head_is_get_without_the_body(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for path in ["/", "/plaintext", "/json", "/nothing"] {
        let get = client.exchange(request("GET", path));
        client.send(request("HEAD", path));
        let head = client.head();
        assert_eq!(
            (head.status, head.header("Content-Length")),
            (get.status, get.header("Content-Length"))
        );
        assert_eq!(head.header("Content-Type"), get.header("Content-Type"));
    }
    // A byte too many would have been taken for the start of this one's answer.
    assert_eq!(client.exchange(request("GET", "/")).text(), "Hello, World!");
}

pub(crate) fn what_is_not_there_is_told_apart(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for (method, path, status, allow) in [
        ("GET", "/nothing", 404, None),
        ("POST", "/", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE", "/json", 405, Some("GET, HEAD, OPTIONS")),
        ("GET", "/ping", 405, Some("POST, OPTIONS")),
        ("HEAD", "/echo", 405, Some("POST, OPTIONS")),
        ("BREW", "/", 501, None),
        ("get", "/", 501, None),
        ("OPTIONS", "/echo", 204, Some("POST, OPTIONS")),
        ("OPTIONS", "*", 204, Some("GET, HEAD, POST, OPTIONS")),
        ("OPTIONS", "/nothing", 404, None),
    ] {
        client.send(request(method, path));
        let response = if method == "HEAD" { client.head() } else { client.response() };
        assert_eq!(response.status, status, "{method} {path}");
        assert_eq!(response.header("Allow"), allow, "{method} {path}");
        assert!(response.header("Date").is_some());
    }
}

pub(crate) fn a_pipelined_burst_is_answered_in_order(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    let mut burst = Vec::new();
    for sequence in 0..16 {
        burst.extend(post("/ping", format!("{{\"sequence\":{sequence}}}").as_bytes()));
    }
    client.send(&burst);
    for sequence in 0..16 {
        assert_eq!(client.response().text(), format!("{{\"sequence\":{sequence}}}"));
    }
}

pub(crate) fn requests_may_come_byte_by_byte(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    let mut requests = b"\r\n".to_vec();
    requests.extend(request("GET", "/json?x").as_bytes());
    requests.extend(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: a/b\r\nTransfer-Encoding: chunked\r\n\r\n");
    requests.extend(b"3;x=y\r\nabc\r\n0A\r\n0123456789\r\n0\r\nTrailer: 1\r\n\r\n");
    requests.extend(post("/ping", br#"{"sequence": -3}"#));
    for byte in requests {
        client.send([byte]);
    }
    assert_eq!(client.response().text(), r#"{"message":"Hello, World!"}"#);
    let echo = client.response();
    assert_eq!((echo.text(), echo.header("Content-Type")), ("abc0123456789", Some("a/b")));
    assert_eq!(client.response().text(), r#"{"sequence":-3}"#);
}

pub(crate) fn large_bodies_come_back_unchanged(engine: &str) {
    let server = Ringserve::start(engine, &["--max-body-bytes", "3000000"]);
    let mut client = server.connect();
    let body = noise(3_000_000, 1);
    assert!(client.exchange(post("/echo", &body)).body == body);

    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in body.chunks(77_777) {
        let mut framed = format!("{:x}\r\n", chunk.len()).into_bytes();
        framed.extend_from_slice(chunk);
        framed.extend_from_slice(b"\r\n");
        client.send(framed);
    }
    client.send("0\r\n\r\n");
    assert!(client.response().body == body);
    assert_eq!(client.exchange(request("GET", "/")).status, 200);
}

pub(crate) fn a_slow_reader_gets_everything_in_order(engine: &str) {
    const COUNT: u64 = 100;
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    let mut writing = client.stream.try_clone().unwrap();
    // 10 MB, which no socket buffer holds: the server has to stop reading until we read.
    let writer = thread::spawn(move || {
        for seed in 1..=COUNT {
            writing.write_all(&post("/echo", &noise(100_000, seed))).unwrap();
        }
    });
    for seed in 1..=COUNT {
        assert!(client.response().body == noise(100_000, seed), "answer {seed}");
    }
    writer.join().unwrap();
}

pub(crate) fn expect_continue(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let head = "Host: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";

    let mut client = server.connect();
    client.send(format!("POST /echo HTTP/1.1\r\n{head}"));
    assert_eq!(client.head().status, 100);
    assert_eq!(client.exchange("ok").text(), "ok");
    // With the body at once nobody waits.
    assert_eq!(client.exchange(format!("POST /echo HTTP/1.1\r\n{head}ok")).status, 200);
    // HTTP/1.0 knows no 100.
    client.send(format!("POST /echo HTTP/1.0\r\nConnection: keep-alive\r\n{head}"));
    assert_eq!(client.exchange("10").text(), "10");

    // A body that is not wanted is not asked for.
    let mut client = server.connect();
    let refused = client.exchange(format!("POST /nothing HTTP/1.1\r\n{head}"));
    assert_eq!((refused.status, refused.header("Connection")), (404, Some("close")));
    client.expect_end();
}

pub(crate) fn bad_requests_are_refused_and_the_connection_closed(engine: &str) {
    let server =
        Ringserve::start(engine, &["--max-body-bytes", "1000", "--max-head-bytes", "2048"]);
    let long = "x".repeat(9000);
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".to_owned(), 400),
        ("GET /\r\n\r\n".to_owned(), 400),
        ("\x16\x03\x01\x02".to_owned(), 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n".to_owned(), 505),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned(), 400),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                .to_owned(),
            400,
        ),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n".to_owned(), 501),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n".to_owned(), 400),
        ("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n".to_owned(), 413),
        (
            format!("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n{}", &long[..1001]),
            413,
        ),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET /{long}"), 414),
    ] {
        // A good request before it is answered all the same, what follows it is not.
        let mut client = server.connect();
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n\r\n{request}"));
        assert_eq!(client.response().status, 200);
        let refused = client.response();
        assert_eq!(refused.status, status, "{request:?}");
        assert_eq!(refused.header("Connection"), Some("close"));
        assert!(refused.header("Date").is_some());
        assert_eq!(refused.header("Content-Type"), Some("text/plain"));
        assert!(!refused.body.is_empty());
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        client.half_close();
        client.expect_end();
    }
}

pub(crate) fn a_body_that_nobody_wants_does_not_harm_the_next_request(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for path in ["/", "/nothing"] {
        let refused = client.exchange(post(path, b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(matches!(refused.status, 404 | 405));
        assert_eq!(client.exchange(request("GET", "/")).text(), "Hello, World!");
    }
    let get_with_body = String::from_utf8(post("/", b"12345")).unwrap().replace("POST", "GET");
    assert_eq!(client.exchange(get_with_body).status, 200);

    // Too long to be read for nothing: answered before it has come, and not reset while it comes.
    let body = noise(900_000, 5);
    let refused = client.exchange(post("/nothing", &body));
    assert_eq!((refused.status, refused.header("Connection")), (404, Some("close")));
    client.half_close();
    client.expect_end();
}

pub(crate) fn http_1_0_clients_get_what_they_ask_for(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for _ in 0..2 {
        let kept = client.exchange("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
        assert_eq!((kept.status, kept.header("Connection")), (200, Some("keep-alive")));
        assert_eq!(kept.text(), "Hello, World!");
    }
    let last = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    client.expect_end();
}

pub(crate) fn nothing_is_processed_after_connection_close(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /json HTTP/1.1\r\n");
    let last = client.response();
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    client.half_close();
    client.expect_end();
}

pub(crate) fn a_half_close_is_no_hang_up(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    let body = noise(200_000, 9);
    client.send(request("GET", "/"));
    client.send(post("/echo", &body));
    client.half_close();
    assert_eq!(client.response().text(), "Hello, World!");
    assert!(client.response().body == body);
    client.expect_end();

    for unfinished in ["GET / HT", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"]
    {
        let mut client = server.connect();
        client.send(unfinished);
        client.half_close();
        let refused = client.response();
        assert_eq!((refused.status, refused.header("Connection")), (400, Some("close")));
        client.expect_end();
    }
}

pub(crate) fn slow_clients_are_timed_out(engine: &str) {
    let server = Ringserve::start(
        engine,
        &["--header-timeout", "300ms", "--body-timeout", "200ms", "--keepalive-timeout", "400ms"],
    );
    // Nothing was asked, so nothing is answered.
    server.connect().expect_end();
    let mut idle = server.connect();
    assert_eq!(idle.exchange(request("GET", "/")).status, 200);
    idle.expect_end();
    for unfinished in ["GET /", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"] {
        let mut client = server.connect();
        client.send(unfinished);
        let refused = client.response();
        assert_eq!((refused.status, refused.header("Connection")), (408, Some("close")));
        client.expect_end();
    }
}

pub(crate) fn every_address_is_served_and_announced(engine: &str) {
    let server = Ringserve::start_on(engine, &["127.0.0.1:0", "[::1]:0", "127.0.0.1:0"], &[]);
    for (line, &address) in server.ready_lines.iter().zip(&server.addresses) {
        assert_eq!(
            *line,
            format!("ringserve: listening on http://{address} (2 shards, {engine})\n")
        );
        let mut client = Client::connect(address);
        assert_eq!(client.exchange(request("GET", "/")).status, 200);
    }
}

/// RFC 9110 section 9.3.2: the answer to HEAD has no content, whatever it says.
pub(crate) fn a_head_that_is_refused_or_given_up_is_answered_without_content(engine: &str) {
    let server = Ringserve::start(engine, &["--header-timeout", "300ms"]);
    for (request, half_close, status) in [
        ("HEAD / HTTP/1.1\r\n\r\n", false, 400),
        ("HEAD / HTTP/1.1\r\nHo", true, 400),
        ("HEAD / HTTP/1.1\r\nHo", false, 408),
    ] {
        let mut client = server.connect();
        client.send(request);
        if half_close {
            client.half_close();
        }
        let head = client.head();
        assert_eq!(head.status, status, "{request:?}");
        assert_ne!(head.header("Content-Length"), Some("0"), "as for GET: {request:?}");
        client.expect_end();
    }
}

pub(crate) fn a_request_given_up_on_an_idle_shard_is_answered_with_the_date_of_now(engine: &str) {
    let server = Ringserve::start(engine, &["--header-timeout", "1500ms"]);
    let mut client = server.connect();
    let begun = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    client.send("GET / HTTP/1.1\r\n");
    let response = client.response();
    assert_eq!(response.status, 408);
    let date = httpdate::parse_http_date(response.header("Date").unwrap()).unwrap();
    let date = date.duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(date > begun, "{date} is that of the request, {begun}");
}
