//! The end of a server: what was received is answered, then it is gone.

use std::net::TcpStream;
use std::time::Instant;

use rustix::process::Signal;

use crate::common::{Client, PATIENCE, Ringserve, noise, request};

pub(crate) fn a_drain_finishes_what_is_under_way(engine: &str) {
    let mut server = Ringserve::start(engine, &["--drain-timeout", "60s"]);
    let mut idle = server.connect();
    assert_eq!(idle.exchange(request("GET", "/")).status, 200);
    let mut unused = server.connect();
    let mut uploading = server.connect();
    let body = noise(100_000, 3);
    uploading.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
    uploading.send("Content-Length: 100000\r\n\r\n");
    assert_eq!(uploading.head().status, 100);
    uploading.send(&body[..50_000]);

    server.signal(Signal::TERM);
    // Their end shows that the drain has begun.
    idle.expect_end();
    unused.expect_end();
    uploading.send(&body[50_000..]);
    let response = uploading.response();
    assert!(response.status == 200 && response.body == body);
    assert_eq!(response.header("Connection"), Some("close"));
    uploading.half_close();
    uploading.expect_end();
    assert_eq!(server.wait().code(), Some(0));
    assert!(TcpStream::connect_timeout(&server.addresses[0], PATIENCE).is_err());
}

pub(crate) fn a_drain_loses_no_answer_of_busy_connections(engine: &str) {
    let mut server = Ringserve::start(engine, &[]);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    let burst = request("GET", "/json").repeat(16);
    for client in &mut clients {
        client.send(&burst);
    }
    server.signal(Signal::INT);
    for client in &mut clients {
        for _ in 0..16 {
            assert_eq!(client.response().status, 200);
        }
        client.half_close();
        client.expect_end();
    }
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn a_drain_leaves_idle_connections_the_time_asked_for(engine: &str) {
    let mut server = Ringserve::start(engine, &["--drain-grace", "60s"]);
    let mut clients: Vec<Client> = (0..8).map(|_| server.connect()).collect();
    for client in &mut clients[..4] {
        assert_eq!(client.exchange(request("GET", "/")).status, 200);
    }
    server.signal(Signal::TERM);
    let start = Instant::now();
    // Nobody is accepted any more: the drain has begun.
    while TcpStream::connect_timeout(&server.addresses[0], PATIENCE).is_ok() {
        assert!(start.elapsed() < PATIENCE, "the server goes on accepting");
    }
    // Those that had asked before, and those that had not.
    for client in &mut clients {
        let answer = client.exchange(request("GET", "/json"));
        assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
        client.half_close();
        client.expect_end();
    }
    assert_eq!(server.wait().code(), Some(0));
}

pub(crate) fn a_second_signal_and_the_drain_timeout_stop_at_once(engine: &str) {
    for arguments in [["--drain-timeout", "1h"], ["--drain-timeout", "200ms"]] {
        let mut server = Ringserve::start(engine, &arguments);
        let mut idle = server.connect();
        assert_eq!(idle.exchange(request("GET", "/")).status, 200);
        let mut stuck = server.connect();
        stuck.send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n",
        );
        assert_eq!(stuck.head().status, 100);
        server.signal(Signal::TERM);
        idle.expect_end();
        if arguments[1] == "1h" {
            server.signal(Signal::TERM);
        }
        assert_eq!(server.wait().code(), Some(0));
    }
}

pub(crate) fn a_closed_stderr_does_not_keep_a_drain_from_its_end(engine: &str) {
    for timeout in ["60s", "100ms"] {
        let mut server = Ringserve::start_unheard(engine, &["--drain-timeout", timeout]);
        let mut idle = server.connect();
        assert_eq!(idle.exchange(request("GET", "/")).status, 200);
        let mut uploading = server.connect();
        uploading.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n");
        uploading.send("Content-Length: 4\r\n\r\n");
        assert_eq!(uploading.head().status, 100);
        server.signal(Signal::TERM);
        idle.expect_end();
        if timeout == "60s" {
            uploading.send("done");
            assert_eq!(uploading.response().text(), "done");
            drop(uploading);
        }
        assert_eq!(server.wait().code(), Some(0));
    }
}

/// Answers that are not complete when the end begins.
pub(crate) fn a_drain_waits_for_answers_that_take_their_time(engine: &str) {
    let mut server = Ringserve::start(engine, &[]);
    let mut sleeper = server.connect();
    sleeper.send(request("GET", "/sleep?ms=500"));
    let mut reader = server.connect();
    reader.send(request("GET", "/bytes/30000000") + &request("GET", "/json"));
    assert_eq!(reader.head().header("Connection"), None);
    let mut waiting = server.connect();
    waiting.send(request("GET", "/sleep?ms=400") + &request("GET", "/"));
    // An answer on a connection that is younger shows that the server has seen them all.
    assert_eq!(server.connect().exchange(request("GET", "/")).status, 200);
    server.signal(Signal::TERM);
    let slept = sleeper.response();
    assert_eq!((slept.status, slept.header("Connection")), (200, Some("close")));
    assert_eq!(waiting.response().text(), "slept for 400 ms\n");
    let last = waiting.response();
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    assert_eq!(reader.body(30_000_000).len(), 30_000_000);
    let last = reader.response();
    assert_eq!((last.status, last.header("Connection")), (200, Some("close")));
    for client in [sleeper, waiting, reader] {
        client.half_close();
    }
    assert_eq!(server.wait().code(), Some(0));
}
