//! What is about a shard as a whole: time, limits, who it serves, how it fails.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use ringbench_engine::{
    ConnId, Engine, EngineConfig, EngineError, Handler, ListenOptions, Ops, UringOptions, listen,
    start,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::{ANY, Echo, Server, config, connect, engines, expect_end, variants};

#[test]
fn running_out_of_direct_descriptors_is_survived() {
    let uring = UringOptions { file_table_entries: 4, ..UringOptions::default() };
    let config = EngineConfig { uring, ..config(Engine::Uring) };
    let server = Server::start(&config, Echo::default);
    let mut held: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    held.iter_mut().for_each(exchange);
    // A fifth has no place: it is closed without an answer, or waits for the pause to end.
    let mut fifth = server.connect();
    let refused = fifth.write_all(b"y").is_err() || !matches!(fifth.read(&mut [0]), Ok(1));
    assert!(refused);
    drop(held);
    // Accepting resumes after its pause, without an error in between.
    exchange(&mut server.connect());
    let done = server.stop();
    assert!(done.stats.accept_errors >= 1);
    assert!(done.stats.enters < 10_000, "{} syscalls: it spun", done.stats.enters);
}

/// Sends a byte to an echo server and has it back.
fn exchange(stream: &mut TcpStream) {
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

const ENGINE_VARIABLE: &str = "CONTRACT_ENGINE";
const LISTENS: &str = "listening on ";

#[test]
fn running_out_of_descriptors_is_survived() {
    for (name, _) in engines() {
        // The limit is the process's, so the server gets one of its own.
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shards::a_server_with_four_descriptors", "--ignored", "--nocapture"])
            .env(ENGINE_VARIABLE, name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address: SocketAddr = lines
            .find_map(|line| line.unwrap().split_once(LISTENS)?.1.parse().ok())
            .expect("the server says where it listens");
        let mut held: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
        held.iter_mut().for_each(exchange);
        // One more has to wait in the listener's queue until there is a place for it.
        let mut waiting = connect(address);
        waiting.write_all(b"y").unwrap();
        waiting.set_nonblocking(true).unwrap();
        let nothing = waiting.read(&mut [0]).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "{name}");
        waiting.set_nonblocking(false).unwrap();
        exchange(&mut held[3]);
        drop(held);
        waiting.read_exact(&mut [0]).unwrap_or_else(|error| panic!("{name}: {error}"));
        exchange(&mut connect(address));
        drop(child.stdin.take());
        assert!(lines.all(|line| line.is_ok()));
        assert!(child.wait().unwrap().success(), "{name}");
    }
}

#[test]
#[ignore = "the other process of running_out_of_descriptors_is_survived"]
fn a_server_with_four_descriptors() {
    let name = std::env::var(ENGINE_VARIABLE).expect("started by the other test");
    let (_, mut config) = engines().into_iter().find(|(engine, _)| *engine == name).unwrap();
    config.uring.direct_descriptors = false;
    let is_taken = |fd: &u64| Path::new("/proc/self/fd").join(fd.to_string()).exists();
    let taken = || (0..1024).filter(is_taken).count();
    let before = taken();
    let server = Server::start(&config, Echo::default);
    let mut stream = server.connect();
    exchange(&mut stream);
    // Both ends of the connection are here.
    let own = taken() - before - 2;
    drop(stream);
    server.stop();
    // glommio never closes the eventfd of an executor.
    let kept = usize::from(config.engine == Engine::Glommio);
    assert_eq!(taken(), before + kept, "a descriptor leaked");
    // Descriptors are given out from below, all under the limit. It is set before the start, as an
    // accept may be bound by what held when it was begun.
    let limit = (0..).filter(|fd| !is_taken(fd)).nth(own + 4);
    setrlimit(Resource::Nofile, Rlimit { current: limit, maximum: limit }).unwrap();
    let server = Server::start(&config, Echo::default);
    println!("\n{LISTENS}{}", server.address);
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let done = server.stop();
    assert!(done.stats.accept_errors >= 1);
    assert!(done.stats.enters < 10_000, "{} syscalls: it spun", done.stats.enters);
}

/// Counts what time brings.
#[derive(Default)]
struct Clock {
    deadlines: Vec<u64>,
    alarms: Vec<u64>,
    set_at_ns: u64,
}

const DEADLINE_NS: u64 = 30_000_000;
const ALARM_NS: u64 = 10_250_000;

impl Handler for Clock {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.set_at_ns = ops.now_ns();
        ops.set_deadline(conn, self.set_at_ns + 5_000_000);
        ops.set_deadline(conn, self.set_at_ns + DEADLINE_NS);
        ops.set_alarm(Some(self.set_at_ns + ALARM_NS));
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        self.deadlines.push(ops.now_ns() - self.set_at_ns);
        ops.close(conn);
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.alarms.push(ops.now_ns() - self.set_at_ns);
    }
}

#[test]
fn deadlines_and_alarms_come_once_and_never_early() {
    for (name, config) in variants() {
        let server = Server::start(&config, Clock::default);
        let mut stream = server.connect();
        expect_end(&mut stream, "the deadline closes the connection");
        let done = server.stop();
        let Clock { deadlines, alarms, .. } = done.handler;
        assert!(matches!(deadlines[..], [after_ns] if after_ns >= DEADLINE_NS), "{name}");
        assert!(matches!(alarms[..], [after_ns] if after_ns >= ALARM_NS), "{name}");
        assert!(done.stats.enters < 1000, "{name}: {} syscalls: it spun", done.stats.enters);
    }
}

/// Notes who connects.
#[derive(Default)]
struct Doorman {
    peers: Vec<Option<SocketAddr>>,
}

impl Handler for Doorman {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.peers.push(ops.peer(conn));
        ops.output(conn).push(b'x');
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}
}

#[test]
fn peers_are_known_if_that_was_asked_for() {
    for (name, config) in variants() {
        for peer_addresses in [true, false] {
            let config = EngineConfig { peer_addresses, ..config.clone() };
            let server = Server::start(&config, Doorman::default);
            let mut expected = Vec::new();
            // One after the other, so that the second and third get the slot of the first again.
            for _ in 0..3 {
                let mut stream = server.connect();
                expected.push(stream.local_addr().ok().filter(|_| peer_addresses));
                stream.read_exact(&mut [0]).unwrap();
            }
            assert_eq!(server.stop().handler.peers, expected, "{name}");
        }
    }
}

#[test]
fn a_core_that_is_not_ours_is_named() {
    for (_, config) in engines() {
        let config = EngineConfig { cores: vec![100_000], ..config };
        let error = start(&config, Vec::new(), |_| Echo::default()).unwrap_err();
        assert!(matches!(error, EngineError::NoSuchCore { core: 100_000, .. }));
        assert!(error.to_string().contains("core 100000"));
    }
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen(address, &ListenOptions::default(), 1).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// Fails at its first byte.
struct Fragile;

impl Handler for Fragile {
    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {
        panic!("on purpose");
    }
}

#[test]
fn one_shard_that_fails_ends_the_others() {
    for (name, config) in engines() {
        let listeners = listen(ANY, &ListenOptions::default(), 1).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let two = EngineConfig { shards: 2, ..config };
        // Only the second shard can be reached; the first would run for ever.
        let shards = start(&two, vec![Vec::new(), listeners], |_| Fragile).unwrap();
        TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
        let error = shards.join().map(|_| ()).unwrap_err();
        assert!(matches!(error, EngineError::Panicked { shard: 1 }), "{name}: {error}");
    }
}

#[test]
fn the_report_names_the_engine() {
    for (name, config) in engines() {
        let server = Server::start(&config, Echo::default);
        let report = server.shards.report().clone();
        assert_eq!((report.engine, report.fallback), (config.engine, None));
        assert_eq!(report.uring.is_some(), config.engine == Engine::Uring);
        assert_eq!(report.engine.to_string(), name);
        server.stop();
    }
}
