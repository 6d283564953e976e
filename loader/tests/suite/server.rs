//! The servers of the tests, good and bad.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use clap::Parser;

pub(crate) const PORT_VARIABLE: &str = "RINGLOAD_SUITE_TEST_PORT";
pub(crate) const KIND_VARIABLE: &str = "RINGLOAD_SUITE_TEST_KIND";
/// For how long its children sleep.
pub(crate) const ENDLESS_VARIABLE: &str = "RINGLOAD_SUITE_TEST_ENDLESS";
/// Requests that the bad ones answer as the good ones do.
const GOOD_REQUESTS: u64 = 40;

/// No test: the server of the others, until it is ended.
#[test]
#[ignore = "it is the server that the other tests start"]
fn the_server() {
    let (Ok(port), Ok(kind)) = (std::env::var(PORT_VARIABLE), std::env::var(KIND_VARIABLE)) else {
        return;
    };
    let address = format!("127.0.0.1:{port}");
    match kind.as_str() {
        "good" => serve_well(&address),
        "exits" => {
            eprintln!("no cheese at {address}");
            std::process::exit(7);
        }
        "crashes" | "falls-silent" | "wrong" | "silent" => serve_badly(&address, &kind),
        "forks" => {
            let endless = std::env::var(ENDLESS_VARIABLE).expect("it was given");
            // A child with a child, and one that leaves its process group and its session.
            let mut children = Command::new("sh");
            children.args(["-c", &format!("sleep {endless} & setsid -f sleep {endless}; wait")]);
            let mut child = children.spawn().expect("there is a shell");
            thread::spawn(move || child.wait());
            serve_well(&address);
        }
        kind => panic!("there is no kind {kind}"),
    }
}

fn serve_well(address: &str) -> ! {
    let flags = ["ringserve", "--listen", address, "--shards", "1"];
    let flags = ringserve::Flags::try_parse_from(flags).expect("ringserve's flags");
    let config = ringserve::Config::from_flags(&flags).expect("ringserve's flags");
    let _server = ringserve::start(&config).expect("it can be started");
    loop {
        thread::park();
    }
}

/// Answers as the good one does, for a while or never.
fn serve_badly(address: &str, kind: &str) -> ! {
    let body = if kind == "wrong" { "Hello, Mars!!" } else { "Hello, World!" };
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (answer, count) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
    let listener = TcpListener::bind(address).expect("bind");
    for mut stream in listener.incoming().map_while(Result::ok) {
        let (answer, count, kind) = (Arc::clone(&answer), Arc::clone(&count), kind.to_owned());
        thread::spawn(move || {
            let lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
            for line in lines.map_while(Result::ok) {
                if !line.is_empty() {
                    continue;
                }
                let is_good = count.fetch_add(1, Ordering::Relaxed) < GOOD_REQUESTS;
                match kind.as_str() {
                    "crashes" if !is_good => {
                        eprintln!("out of cheese");
                        std::process::exit(9);
                    }
                    "falls-silent" if !is_good => continue,
                    "silent" => continue,
                    _ => {}
                }
                if stream.write_all(answer.as_bytes()).is_err() {
                    break;
                }
            }
        });
    }
    unreachable!("a listener has no last connection");
}
