//! Answers that take their time, and bodies of any length in either direction.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use ringbench_engine::{UringFeature, probe_kernel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::common::{Client, PATIENCE, Ringserve, request};

/// Resident memory of a process in bytes.
fn resident_bytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

pub(crate) fn a_sleep_holds_up_nobody_but_its_own_connection(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let start = Instant::now();
    let mut sleepers: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for client in &mut sleepers {
        // What is behind it waits for it, as answers come in order.
        client.send(request("GET", "/sleep?ms=700") + &request("GET", "/json"));
    }
    let mut other = server.connect();
    assert_eq!(other.exchange(request("GET", "/sleep?ms=0")).text(), "slept for 0 ms\n");
    assert_eq!(other.exchange(request("GET", "/")).status, 200);
    assert!(start.elapsed() < Duration::from_millis(700), "the sleepers are in the way");
    for client in &mut sleepers {
        assert_eq!(client.response().text(), "slept for 700 ms\n");
        assert!(start.elapsed() >= Duration::from_millis(700));
        assert_eq!(client.response().text(), r#"{"message":"Hello, World!"}"#);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "they slept one after the other");
}

pub(crate) fn a_sleeper_may_leave_or_be_done(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    for _ in 0..20 {
        let mut gone = server.connect();
        gone.send(request("GET", "/sleep?ms=50"));
        drop(gone);
    }
    let mut done = server.connect();
    done.send(request("GET", "/sleep?ms=100") + &request("HEAD", "/sleep?ms=1"));
    done.half_close();
    assert_eq!(done.response().text(), "slept for 100 ms\n");
    assert_eq!(done.head().header("Content-Length"), Some("15"));
    done.expect_end();
    // HTTP/1.0 is told, and closed.
    let mut old = server.connect();
    let answer = old.exchange("GET /sleep?ms=5 HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status, answer.header("Connection")), (200, Some("close")));
    old.expect_end();
}

const LINE: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_\n";

pub(crate) fn long_bodies_are_made_as_they_leave(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for length in [0, 1, 131_072, 131_073, 1_000_000, 20_000_000] {
        client.send(request("GET", &format!("/bytes/{length}")) + &request("GET", "/"));
        let body = client.response().body;
        assert_eq!(body.len(), length);
        assert!(body.iter().zip(LINE.iter().cycle()).all(|(got, expected)| got == expected));
        assert_eq!(client.response().text(), "Hello, World!");
    }
    client.send(request("HEAD", "/bytes/1000000000000"));
    assert_eq!(client.head().header("Content-Length"), Some("1000000000000"));
    // A client that leaves in the middle.
    for _ in 0..10 {
        let mut gone = server.connect();
        gone.send(request("GET", "/bytes/1000000000"));
        gone.head();
    }
    client.send(request("GET", "/bytes/300000"));
    client.half_close();
    assert_eq!(client.response().body.len(), 300_000);
    client.expect_end();
}

/// Whatever they ask for, and however much of it at once.
pub(crate) fn clients_that_do_not_read_cost_a_bounded_amount(engine: &str) {
    let server = Ringserve::start_heard(engine, &["--send-timeout", "1s"]);
    let before = resident_bytes(server.pid());
    let mut greedy: Vec<Client> = (0..50).map(|_| server.connect()).collect();
    let bursts = [request("GET", "/bytes/100000000"), request("GET", "/bytes/60000").repeat(2000)];
    for (client, burst) in greedy.iter_mut().zip(bursts.iter().cycle()) {
        client.stream.set_nonblocking(true).unwrap();
        // Not all of it is taken: that is the point.
        let _ = client.stream.write(burst.as_bytes());
    }
    let mut polite = server.connect();
    let start = Instant::now();
    let mut most = 0;
    while start.elapsed() < Duration::from_millis(2_500) {
        assert_eq!(polite.exchange(request("GET", "/")).status, 200);
        most = most.max(resident_bytes(server.pid()));
    }
    // 64 KiB of answers, a piece of 64 KiB, and 64 KiB of requests that wait; buffers grow by
    // doubling.
    let bound = 50 * 2 * (64 + 64 + 64) * 1024 + (16 << 20);
    assert!(most < before + bound, "{most} bytes are resident, {before} were before");
    // They were dropped when they had taken nothing for the time given, at the latest after twice
    // that, as the first look may find that something moved.
    drop(polite);
    let summary = server.stop();
    assert!(summary.contains("50 timed out"), "{summary}");
    drop(greedy);
}

/// More of them than a turn has room for.
pub(crate) fn many_long_answers_all_get_on(engine: &str) {
    let server = Ringserve::start(engine, &["--shards", "1"]);
    let mut clients: Vec<Client> = (0..40).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.send(request("GET", "/bytes/1000000") + &request("GET", "/bytes/30000"));
    }
    // One that leaves while it waits, and a short answer that does not have to.
    drop(clients.swap_remove(7));
    assert_eq!(server.connect().exchange(request("GET", "/")).status, 200);
    for client in &mut clients {
        for length in [1_000_000, 30_000] {
            let body = client.response().body;
            assert_eq!(body.len(), length);
            assert!(body.iter().zip(LINE.iter().cycle()).all(|(got, expected)| got == expected));
        }
    }
}

/// Since Linux 6.7; asked for is what came a little later and can be asked for.
fn rings_set_options() -> bool {
    let offers = probe_kernel().features;
    offers.iter().any(|offer| offer.feature == UringFeature::MinWait && offer.missing.is_none())
}

/// Its last bytes go with it: it would never see an end behind them.
pub(crate) fn a_client_that_does_not_read_is_reset(engine: &str) {
    if engine == "uring" && !rings_set_options() {
        return;
    }
    let server = Ringserve::start(engine, &["--send-timeout", "200ms"]);
    let mut client = server.connect();
    client.send(request("GET", "/bytes/100000000"));
    // No end of the input is waited for, which would stand behind what is unread.
    let mut broken = [PollFd::new(&client.stream, PollFlags::empty())];
    let patience = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    assert_eq!(poll(&mut broken, Some(&patience)).unwrap(), 1, "it is not reset");
    let error = client.stream.take_error().unwrap().expect("a reason");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
}

pub(crate) fn uploads_are_counted_and_not_kept(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let before = resident_bytes(server.pid());
    let mut client = server.connect();
    let piece = vec![b'x'; 1 << 20];
    client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n");
    (0..64).for_each(|_| client.send(&piece));
    assert_eq!(client.response().text(), "67108864");
    client.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..16 {
        client.send("100000\r\n");
        client.send(&piece);
        client.send("\r\n");
    }
    client.send("0\r\n\r\n");
    assert_eq!(client.response().text(), "16777216");
    let grown = resident_bytes(server.pid()).saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes more are resident");
    // Another body has its bound as before.
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n");
    assert_eq!(client.response().status, 413);
}

pub(crate) fn a_body_that_comes_in_pieces_finds_its_head_again(engine: &str) {
    let server = Ringserve::start(engine, &[]);
    let mut client = server.connect();
    for body in [
        "Content-Length: 4\r\n\r\nabcd",
        "Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n",
    ] {
        for path in ["/echo", "/headers?a"] {
            let method = if path == "/echo" { "POST" } else { "GET" };
            let whole = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nX-Mark: here\r\n{body}");
            let at_once = client.exchange(&whole);
            for byte in whole.as_bytes() {
                client.send([*byte]);
            }
            let in_pieces = client.response();
            assert_eq!((at_once.status, &at_once.body), (200, &in_pieces.body), "{whole}");
            let expected = if path == "/echo" { "abcd" } else { r#"["X-Mark","here"]"# };
            assert!(in_pieces.text().contains(expected), "{}", in_pieces.text());
        }
    }
}

pub(crate) fn the_peers_answer_with_the_same_orders(engine: &str) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/peers/orders.json");
    let answer = Ringserve::start(engine, &[]).connect().exchange(request("GET", "/orders"));
    assert_eq!(answer.text(), fs::read_to_string(file).unwrap(), "{file} is what the peers serve");
}
