//! The program as a process: arguments and exit codes; and as a library.

mod common;

use std::net::TcpListener;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use common::{Client, PATIENCE, Ringserve, command, noise, post, request};
use ringserve::{Config, Flags};

fn fails(arguments: &[&str]) -> (Option<i32>, String) {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    assert_eq!(stdout, b"", "stdout is for the line that says it is ready");
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn bad_arguments_exit_with_2_and_name_the_flag() {
    for arguments in [
        ["--listen", "localhost:http"],
        ["--shards", "0"],
        ["--cores", "4095"],
        ["--buffers", "3"],
        ["--engine", "kqueue"],
        ["--header-timeout", "soon"],
    ] {
        let (code, stderr) = fails(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(arguments[0]), "{stderr}");
    }
}

#[test]
fn a_port_in_use_exits_with_1_and_names_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = Ringserve::start("auto", &[]);
    for address in [taken.local_addr().unwrap(), other.addresses[0]] {
        let (code, stderr) = fails(&["--shards", "1", "--listen", &address.to_string()]);
        assert_eq!(code, Some(1), "{stderr}");
        assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
    }
}

/// A port that is free on every address, of both families.
fn free_port() -> u16 {
    (0..100)
        .find_map(|_| {
            let first = TcpListener::bind("[::]:0").unwrap();
            let port = first.local_addr().unwrap().port();
            drop(first);
            TcpListener::bind(("0.0.0.0", port)).is_ok().then_some(port)
        })
        .expect("a free port")
}

#[test]
fn one_port_serves_both_families_in_either_order() {
    for families in [["0.0.0.0", "[::]"], ["[::]", "0.0.0.0"]] {
        let port = free_port();
        let listen = families.map(|address| format!("{address}:{port}"));
        let server = Ringserve::start_on("auto", &[&listen[0], &listen[1]], &[]);
        for address in ["127.0.0.1", "[::1]"] {
            let mut client = Client::connect(format!("{address}:{port}").parse().unwrap());
            assert_eq!(client.exchange(request("GET", "/")).status, 200);
        }
        // What listens there is found in use, by another server too.
        for address in &listen {
            let (code, stderr) = fails(&["--shards", "1", "--listen", address]);
            assert_eq!(code, Some(1), "{stderr}");
            assert!(stderr.contains(&format!("cannot listen on {address}")), "{stderr}");
        }
        drop(server);
    }
}

#[test]
fn help_and_version_go_to_stdout() {
    let help = command(&["--help"]).output().unwrap();
    assert_eq!(help.status.code(), Some(0));
    let text = String::from_utf8(help.stdout).unwrap();
    for flag in ["--listen", "--shards", "--cores", "--no-multishot", "--drain-timeout"] {
        assert!(text.contains(flag), "{flag} is missing");
    }
    let version = command(&["--version"]).output().unwrap();
    assert_eq!(
        String::from_utf8(version.stdout).unwrap(),
        format!("ringserve {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn it_runs_as_a_library() {
    let arguments = ["ringserve", "--listen", "127.0.0.1:0", "--shards", "2", "--buffers", "64"];
    let flags = Flags::try_parse_from(arguments).unwrap();
    let running = ringserve::start(&Config::from_flags(&flags).unwrap()).unwrap();
    let mut client = Client::connect(running.addresses()[0]);
    for sequence in 0..100 {
        let body = format!("{{\"sequence\":{sequence}}}");
        assert_eq!(client.exchange(post("/ping", body.as_bytes())).text(), body);
    }
    client.send("nonsense\r\n\r\n");
    assert_eq!(client.response().status, 400);
    drop(client);
    running.drain();
    let summary = running.join().unwrap();
    assert_eq!((summary.counts.requests, summary.counts.refused), (100, 1));
    assert_eq!(summary.engine.accepts, 1);
}

#[test]
fn a_leak_that_was_asked_for_is_one() {
    const CONNECTIONS: u64 = 200;
    const ALL_BYTES: u64 = CONNECTIONS * 65_536;
    let ask = |server: &Ringserve| {
        let close = "GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        assert_eq!(server.connect().exchange(close).status, 200);
    };
    for (arguments, leaks) in [(&[][..], false), (&["--debug-leak-bytes", "65536"], true)] {
        let server = Ringserve::start("auto", arguments);
        // What the first connections need for the first time is no leak.
        (0..10).for_each(|_| ask(&server));
        let before = server.rss_bytes();
        (0..CONNECTIONS).for_each(|_| ask(&server));
        let start = Instant::now();
        // The server closes after the answer.
        while leaks && server.rss_bytes() < before + ALL_BYTES * 9 / 10 {
            assert!(start.elapsed() < PATIENCE, "{before}, then {} bytes", server.rss_bytes());
            thread::sleep(Duration::from_millis(5));
        }
        let grown = server.rss_bytes().saturating_sub(before);
        assert!(leaks || grown < ALL_BYTES / 4, "{grown} bytes without a leak");
    }
}

#[test]
fn every_ring_feature_can_be_switched_off() {
    for switch in ["--no-direct-descriptors", "--no-multishot", "--no-defer-taskrun"] {
        let server = Ringserve::start("uring", &[switch]);
        let mut client = server.connect();
        let body = noise(50_000, 7);
        for _ in 0..3 {
            assert!(client.exchange(post("/echo", &body)).body == body, "{switch}");
        }
    }
}
