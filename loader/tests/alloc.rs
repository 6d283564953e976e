//! Sending and measuring allocate nothing: a run of many more requests allocates no more.

use std::alloc::System;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use clap::Parser;
use ringload::Flags;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!";
/// Ticks of the loop (ten a second) and threads that start may allocate; requests may not.
const ALLOWED: usize = 200;

/// Answers each request; itself it allocates only where a connection begins.
fn start_server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("local address");
    let request_len = format!("GET / HTTP/1.1\r\nHost: {address}\r\n\r\n").len();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.set_nodelay(true);
            thread::spawn(move || {
                let (mut buffer, mut unanswered) = ([0; 16 * 1024], 0);
                while let Ok(received @ 1..) = stream.read(&mut buffer) {
                    unanswered += received;
                    // A response in two pieces, so that the loader has to keep the first.
                    let (head, tail) = RESPONSE.split_at(20);
                    while unanswered >= request_len {
                        unanswered -= request_len;
                        if stream.write_all(head).and_then(|()| stream.write_all(tail)).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// Allocations, reallocations included, of a whole run.
fn allocations(address: SocketAddr, requests: u64, pipeline: u32) -> usize {
    let args = format!("ringload --no-observe -c4 -t1 -p{pipeline} -n{requests} http://{address}/");
    let config = Flags::try_parse_from(args.split(' ')).and_then(Flags::config).expect("flags");
    let region = Region::new(ALLOCATOR);
    let report = ringload::run(&config).expect("the run can be done");
    let stats = region.change();
    assert_eq!(report.counters.requests, requests);
    assert_eq!(report.counters.errors.total(), 0);
    stats.allocations + stats.reallocations
}

#[test]
fn requests_do_not_allocate() {
    let address = start_server();
    for pipeline in [1, 16] {
        allocations(address, 1_000, pipeline);
        let few = allocations(address, 1_000, pipeline);
        let many = allocations(address, 21_000, pipeline);
        assert!(many < few + ALLOWED, "depth {pipeline}: {few} for 1,000, {many} for 21,000");
    }
}
