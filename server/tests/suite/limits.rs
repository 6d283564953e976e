//! How many: connections, requests on each, header fields.

use crate::common::{Client, PATIENCE, Ringserve, request};

pub(crate) fn one_connection_too_many_is_told_so(engine: &str) {
    // One shard, so that it is known which connection is the one too many.
    let server = Ringserve::start(engine, &["--shards", "1", "--max-connections", "3"]);
    let mut kept: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut kept {
        assert_eq!(client.exchange(request("GET", "/")).status, 200);
    }
    for _ in 0..5 {
        let mut turned_away = server.connect();
        let answer = turned_away.response();
        assert_eq!((answer.status, answer.header("Connection")), (503, Some("close")));
        assert!(answer.header("Date").is_some());
        turned_away.half_close();
        turned_away.expect_end();
    }
    for client in &mut kept {
        assert_eq!(client.exchange(request("GET", "/")).status, 200);
    }
    // A place that was given up is free again, as soon as the server has seen it.
    let gone = kept.pop().unwrap();
    gone.half_close();
    drop(gone);
    let start = std::time::Instant::now();
    loop {
        let mut next = server.connect();
        next.send(request("GET", "/"));
        if next.response().status == 200 {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "its place is never free");
    }
}

pub(crate) fn a_connection_has_so_many_requests(engine: &str) {
    let server = Ringserve::start(engine, &["--max-requests-per-connection", "10"]);
    for pipelined in [false, true] {
        let mut client = server.connect();
        if pipelined {
            client.send(request("GET", "/").repeat(12));
        }
        for number in 1..=10 {
            if !pipelined {
                client.send(request("GET", "/"));
            }
            let answer = client.response();
            let expected = (number == 10).then_some("close");
            assert_eq!((answer.status, answer.header("Connection")), (200, expected));
        }
        client.half_close();
        client.expect_end();
    }
    // The last one may be one that takes its time.
    let mut client = server.connect();
    client.send(request("GET", "/").repeat(9) + &request("GET", "/bytes/500000"));
    (0..9).for_each(|_| assert_eq!(client.response().status, 200));
    let last = client.response();
    assert_eq!((last.body.len(), last.header("Connection")), (500_000, Some("close")));
    client.half_close();
    client.expect_end();
}

pub(crate) fn header_fields_are_counted(engine: &str) {
    let server = Ringserve::start(engine, &["--max-headers", "5"]);
    let with =
        |count: usize| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    let mut client = server.connect();
    assert_eq!(client.exchange(with(5)).status, 200);
    assert_eq!(client.exchange(with(6)).status, 431);
}
