//! What a request costs in user space: the handler alone, from received bytes to bytes to send,
//! without a kernel. `cargo bench -p ringserve` prints nanoseconds per request; the least of many
//! rounds, because everything that disturbs only adds.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use ringbench_engine::sim::{Outcome, ShardId, Sim, SimOptions};
use ringbench_engine::{CloseReason, ConnId, Handler, Ops};
use ringserve::{Server, Settings, Site};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 80);
/// Requests of one round, whose output goes into one area as that of a batch does.
const ROUND_REQUESTS: usize = 1024;

/// The server, and the id of its one connection.
struct Measured {
    server: Server,
    conn: Option<ConnId>,
}

impl Handler for Measured {
    fn started(&mut self, ops: &mut Ops) {
        self.server.started(ops);
    }

    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.conn = Some(conn);
        self.server.accepted(ops, conn);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        self.server.received(ops, conn, bytes);
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        self.conn = None;
        self.server.closed(ops, conn, why);
    }
}

/// Connects and counts what comes back.
#[derive(Default)]
struct Sink {
    bytes: usize,
}

impl Handler for Sink {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(ADDRESS);
        ops.connect(target);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, bytes: &[u8]) {
        self.bytes += bytes.len();
    }
}

struct World {
    sim: Sim,
    server: ShardId<Measured>,
    sink: ShardId<Sink>,
}

impl World {
    fn new() -> Self {
        let calm = SimOptions::calm();
        let mut sim = Sim::new(SimOptions {
            socket_buffer_bytes: 1 << 28,
            max_receive_bytes: 1 << 20,
            ..calm
        });
        let server = Server::new(Arc::new(Settings::default()), Site::default());
        let server = sim.add_server(ADDRESS, Measured { server, conn: None });
        let sink = sim.add_client(Sink::default());
        let mut world = Self { sim, server, sink };
        world.settle();
        world
    }

    /// Lets everything that was sent arrive.
    fn settle(&mut self) {
        let later_ns = self.sim.now_ns() + 1_000_000;
        assert_eq!(self.sim.run_until(later_ns), Outcome::Reached, "the connection is gone");
    }

    /// Nanoseconds per request of one round of bursts.
    fn round(&mut self, burst: &[u8], depth: usize) -> f64 {
        let mut elapsed = None;
        self.sim.act(self.server, |measured, ops| {
            let conn = measured.conn.expect("connected");
            let start = Instant::now();
            for _ in 0..ROUND_REQUESTS / depth {
                measured.server.received(ops, conn, black_box(burst));
            }
            elapsed = Some(start.elapsed());
        });
        self.settle();
        elapsed.expect("acted").as_nanos() as f64 / ROUND_REQUESTS as f64
    }
}

fn main() {
    // `cargo test --all-targets` runs this too: then it only shows that it works.
    let rounds = if std::env::args().any(|argument| argument == "--bench") { 1000 } else { 2 };
    let wrk = "Host: 127.0.0.1:8080\r\n\r\n";
    let browser = "Host: localhost:8080\r\nConnection: keep-alive\r\nCache-Control: max-age=0\r\n\
        User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)\r\n\
        Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n\
        Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n\
        Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";
    let ping = "Content-Length: 15\r\nHost: a\r\n\r\n{\"sequence\":42}";
    let echo = format!("Content-Length: 1024\r\nHost: a\r\n\r\n{}", "x".repeat(1024));
    let get = format!("GET / HTTP/1.1\r\n{wrk}");
    let cases = [
        ("GET /, one at a time", get.clone(), 1),
        ("GET /, pipelined x16", get, 16),
        ("GET / of a browser", format!("GET / HTTP/1.1\r\n{browser}"), 1),
        ("GET /json, pipelined x16", format!("GET /json HTTP/1.1\r\n{wrk}"), 16),
        ("POST /ping, pipelined x16", format!("POST /ping HTTP/1.1\r\n{ping}"), 16),
        ("POST /echo of 1 KiB", format!("POST /echo HTTP/1.1\r\n{echo}"), 1),
    ];
    for (name, request, depth) in cases {
        let mut world = World::new();
        let burst = request.repeat(depth).into_bytes();
        let least = (0..rounds).map(|_| world.round(&burst, depth)).fold(f64::MAX, f64::min);
        assert!(world.sim.handler(world.sink).bytes > rounds * ROUND_REQUESTS * 100, "{name}");
        let requests = world.sim.handler(world.server).server.counts().requests;
        assert_eq!(requests, (rounds * ROUND_REQUESTS) as u64, "{name}");
        println!("{name:<28} {least:>8.1} ns per request");
    }
}
