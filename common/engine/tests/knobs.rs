//! The options that are off unless asked for, of rings and of listeners: each of them, and those
//! that meet, under everything that a connection can go through.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use common::{
    ANY, Closer, Echo, Greeter, PATIENCE, REPLY, Server, Streamer, be_greeted, connect, echo_much,
    is_missing, pattern, read_stream, write_until_held_back,
};
use ringbench_engine::{
    CloseReason, ConnId, Engine, EngineConfig, EngineError, Handler, ListenOptions, Ops,
    UringFeature, UringOptions, UringReport, allowed_cores, listen, probe_kernel, start,
};
use socket2::SockRef;

type Variant = (&'static str, UringOptions);

fn sqpoll() -> Vec<Variant> {
    let sqpoll = UringOptions { sqpoll_idle_ms: Some(50), ..UringOptions::default() };
    vec![
        ("sqpoll", sqpoll.clone()),
        ("sqpoll that sleeps", UringOptions { sqpoll_idle_ms: Some(1), ..sqpoll.clone() }),
        ("sqpoll, plain", UringOptions { direct_descriptors: false, ..sqpoll.clone() }),
        ("sqpoll, single shot", UringOptions { multishot: false, ..sqpoll.clone() }),
        ("sqpoll, tiny ring", UringOptions { ring_entries: 2, ..sqpoll.clone() }),
        ("sqpoll, batches", UringOptions { batch_wait: 8, batch_wait_us: 200, ..sqpoll }),
    ]
}

fn send_zc() -> Vec<Variant> {
    let zc = UringOptions { send_zc_bytes: 4096, ..UringOptions::default() };
    vec![
        ("zc", zc.clone()),
        ("zc for all", UringOptions { send_zc_bytes: 1, ..zc.clone() }),
        ("zc, plain", UringOptions { direct_descriptors: false, ..zc.clone() }),
        ("zc, no defer_taskrun", UringOptions { defer_taskrun: false, ..zc.clone() }),
        ("zc, tiny ring", UringOptions { ring_entries: 2, send_zc_bytes: 1, ..zc }),
    ]
}

fn incremental() -> Vec<Variant> {
    let incremental = UringOptions { incremental_buffers: true, ..UringOptions::default() };
    let few = UringOptions { buffers: 4, buffer_size: 1000, ..incremental.clone() };
    vec![
        ("incremental", incremental.clone()),
        ("incremental, large", UringOptions { buffers: 8, buffer_size: 1 << 20, ..incremental }),
        ("incremental, few", few.clone()),
        ("incremental, few, single shot", UringOptions { multishot: false, ..few.clone() }),
        ("incremental, few, no defer_taskrun", UringOptions { defer_taskrun: false, ..few }),
    ]
}

fn together() -> Vec<Variant> {
    let all = UringOptions {
        sqpoll_idle_ms: Some(50),
        send_zc_bytes: 1000,
        incremental_buffers: true,
        buffers: 8,
        buffer_size: 3000,
        ..UringOptions::default()
    };
    vec![
        ("all", all.clone()),
        ("all, plain", UringOptions { direct_descriptors: false, ..all }),
        ("napi", UringOptions { napi_busy_poll_us: 20, ..UringOptions::default() }),
    ]
}

/// All variants that this kernel can do.
fn variants() -> Vec<(&'static str, EngineConfig)> {
    let incremental_buffers = !is_missing(UringFeature::IncrementalBuffers);
    let napi = !is_missing(UringFeature::NapiBusyPoll);
    let mut all = [sqpoll(), send_zc(), incremental(), together()].concat();
    all.retain(|(_, options)| {
        (incremental_buffers || !options.incremental_buffers)
            && (napi || options.napi_busy_poll_us == 0)
    });
    all.into_iter().map(|(name, options)| (name, config(options))).collect()
}

fn config(uring: UringOptions) -> EngineConfig {
    EngineConfig { engine: Engine::Uring, thread_name: "test", uring, ..EngineConfig::default() }
}

#[test]
fn a_large_echo_comes_back_whole() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        echo_much(&server, 4_000_000, name);
        server.drain_and_join();
    }
}

/// Sends messages of many sizes, one when the last has come back.
fn ping(address: SocketAddr, connection: u64, messages: u64) {
    let mut stream = connect(address);
    for number in 0..messages {
        let len = [1, 300, 999, 1001, 5000, 70_000][((connection + number) % 6) as usize];
        let message = pattern(len, connection * 1000 + number);
        let mut writer = stream.try_clone().unwrap();
        let output = message.clone();
        // The echo of a long one can fill both sockets before it is written.
        let writer = thread::spawn(move || writer.write_all(&output).unwrap());
        let mut echoed = vec![0; len];
        stream.read_exact(&mut echoed).unwrap();
        writer.join().unwrap();
        assert!(echoed == message, "message {number} of {connection} came back changed");
    }
}

#[test]
fn connections_do_not_get_each_others_bytes() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let address = server.address;
        let together = Arc::new(Barrier::new(12));
        let clients: Vec<_> = (0..12)
            .map(|connection| {
                let together = Arc::clone(&together);
                thread::spawn(move || {
                    together.wait();
                    ping(address, connection, 18);
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap_or_else(|_| panic!("{name}: a client failed"));
        }
        assert_eq!(server.drain_and_join().stats.accepts, 12, "{name}");
    }
}

#[test]
fn what_was_written_before_a_close_arrives_in_full() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        for command in ["c", "l"] {
            let mut stream = server.connect();
            stream.write_all(command.as_bytes()).unwrap();
            let mut reply = vec![0; 1000];
            stream.read_exact(&mut reply).unwrap();
            if command == "l" {
                // Input that comes after the close must not turn it into a reset.
                stream.write_all(&pattern(50_000, 5)).unwrap();
            }
            stream.read_to_end(&mut reply).unwrap();
            assert!(reply == pattern(REPLY, 9), "{name}, {command}: {} bytes", reply.len());
        }
        assert_eq!(server.drain_and_join().handler.closed, 2, "{name}");
    }
}

#[test]
fn an_abort_sends_nothing_and_harms_nobody() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        for _ in 0..20 {
            let mut stream = server.connect();
            stream.write_all(b"a").unwrap();
            let mut reply = Vec::new();
            // An end of file or a reset, but no reply.
            let _ = stream.read_to_end(&mut reply);
            assert!(reply.is_empty(), "{name}");
        }
        assert_eq!(server.drain_and_join().handler.closed, 20, "{name}");
    }
}

#[test]
fn peers_that_leave_in_the_middle_of_an_answer_leave_nothing_behind() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        for number in 0..20 {
            let mut stream = server.connect();
            stream.write_all(if number % 2 == 0 { b"o" } else { b"c" }).unwrap();
            // The answer does not fit the sockets: part of it waits for us to read on.
            stream.read_exact(&mut [0; 1000]).unwrap();
        }
        let mut stream = server.connect();
        stream.write_all(b"c").unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert!(reply == pattern(REPLY, 9), "{name}");
        assert_eq!(server.drain_and_join().handler.closed, 21, "{name}");
    }
}

#[test]
fn a_stop_does_not_wait_for_peers_that_do_not_read() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        let streams: Vec<_> = (0..5)
            .map(|_| {
                let mut stream = server.connect();
                stream.write_all(b"o").unwrap();
                stream.read_exact(&mut [0]).unwrap();
                stream
            })
            .collect();
        let began = Instant::now();
        assert_eq!(server.stop().handler.closed, 5, "{name}");
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: {:?}", began.elapsed());
        drop(streams);
    }
}

#[test]
fn a_peer_that_does_not_read_is_held_back() {
    for (name, config) in variants() {
        // What the sockets hold, and what was received before the backlog was found too long.
        let uring = &config.uring;
        let bound = (6 << 20) + usize::from(uring.buffers) * uring.buffer_size as usize;
        let server = Server::start(&config, Echo::default);
        write_until_held_back(&server, name);
        let backlog = server.drain_and_join().handler.most_backlog;
        assert!(backlog < bound, "{name}: a backlog of {backlog}");
    }
}

#[test]
fn a_stream_is_produced_as_it_leaves() {
    for (name, config) in variants() {
        let server = Server::start(&config, Streamer::default);
        read_stream(&server, name);
        server.drain_and_join();
    }
}

#[test]
fn short_lived_connections_all_get_their_answer() {
    for (name, config) in variants() {
        let server = Server::start(&config, Greeter::default);
        be_greeted(&server, 4, 50, name);
        assert_eq!(server.drain_and_join().handler.closed, 200, "{name}: a connection leaked");
    }
}

/// Connects to itself over and over, with deadlines and alarms.
struct Restless {
    address: SocketAddr,
    target: Option<ringbench_engine::TargetId>,
    done: u32,
    deadlines: Vec<u64>,
    alarms: Vec<u64>,
    set_at_ns: u64,
}

const DEADLINE_NS: u64 = 30_000_000;
const ALARM_NS: u64 = 10_250_000;
const ROUNDS: u32 = 40;

impl Handler for Restless {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(self.address);
        self.target = Some(target);
        ops.connect(target);
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(b"ping");
        ops.set_deadline(conn, ops.now_ns() + 10_000_000_000);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        assert_eq!(bytes, b"ping");
        self.done += 1;
        if self.done < ROUNDS {
            ops.close(conn);
            ops.connect(self.target.unwrap());
        } else {
            // Nothing more comes in: only time can end it.
            self.set_at_ns = ops.now_ns();
            ops.set_deadline(conn, self.set_at_ns + DEADLINE_NS);
            ops.set_alarm(Some(self.set_at_ns + ALARM_NS));
        }
    }

    fn deadline(&mut self, ops: &mut Ops, _: ConnId) {
        self.deadlines.push(ops.now_ns() - self.set_at_ns);
        ops.stop();
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.alarms.push(ops.now_ns() - self.set_at_ns);
    }

    fn closed(&mut self, _: &mut Ops, _: ConnId, why: CloseReason) {
        assert!(matches!(why, CloseReason::Local | CloseReason::Stopped), "{why:?}");
    }
}

#[test]
fn a_client_connects_and_hears_of_time() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let address = server.address;
        let make = move |_| Restless {
            address,
            target: None,
            done: 0,
            deadlines: Vec::new(),
            alarms: Vec::new(),
            set_at_ns: 0,
        };
        let client = start(&config, Vec::new(), make).expect("io_uring");
        let client = client.join().unwrap().remove(0).handler;
        assert_eq!(client.done, ROUNDS, "{name}");
        assert!(matches!(client.deadlines[..], [ns] if ns >= DEADLINE_NS), "{name}");
        assert!(matches!(client.alarms[..], [ns] if ns >= ALARM_NS), "{name}");
        assert_eq!(server.drain_and_join().stats.accepts, u64::from(ROUNDS), "{name}");
    }
}

fn report(options: UringOptions) -> UringReport {
    let server = Server::start(&config(options), Echo::default);
    let report = server.shards.report().uring.clone().expect("it is io_uring");
    server.stop();
    report
}

#[test]
fn the_report_says_what_is_in_use() {
    let usual = report(UringOptions::default());
    assert!(usual.uses(UringFeature::SkipSuccess) && usual.uses(UringFeature::MultishotReceive));
    let (_, options) = sqpoll().remove(0);
    let sqpoll = report(options);
    assert!(sqpoll.sqpoll && !sqpoll.defer_taskrun && !sqpoll.coop_taskrun && !usual.sqpoll);
    assert!(!sqpoll.uses(UringFeature::SkipSuccess));
    let (_, options) = send_zc().remove(0);
    assert!(report(options).uses(UringFeature::SendZc) && !usual.send_zc);
    let mut optional = Vec::new();
    optional.extend((!is_missing(UringFeature::IncrementalBuffers)).then_some((
        UringFeature::IncrementalBuffers,
        UringOptions { incremental_buffers: true, ..UringOptions::default() },
    )));
    optional.extend((!is_missing(UringFeature::NapiBusyPoll)).then_some((
        UringFeature::NapiBusyPoll,
        UringOptions { napi_busy_poll_us: 10, ..UringOptions::default() },
    )));
    for (feature, options) in optional {
        assert!(report(options).uses(feature) && !usual.uses(feature), "{feature}");
    }
    // What is in use is offered.
    for offer in probe_kernel().features {
        assert!(offer.missing.is_none() || !usual.uses(offer.feature), "{offer:?}");
    }
}

#[test]
fn connections_inherit_the_congestion_control() {
    // Reno is in every kernel and open to everybody.
    let options = ListenOptions { congestion: Some("reno".into()), ..ListenOptions::default() };
    let listeners = listen(ANY, &options, 2).unwrap();
    let address = listeners[0].local_addr().unwrap();
    assert!(listeners.iter().all(|listener| listener.local_addr().unwrap() == address));
    let _client = TcpStream::connect(address).unwrap();
    let accepted = accept_from(&listeners).1;
    let algorithm = SockRef::from(&accepted).tcp_congestion().unwrap();
    assert!(algorithm.starts_with(b"reno"), "{algorithm:?}");
    assert!(accepted.nodelay().unwrap());
}

#[test]
fn an_unknown_congestion_control_is_named_with_the_known() {
    let options = ListenOptions { congestion: Some("nosuch".into()), ..ListenOptions::default() };
    let error = listen(ANY, &options, 1).unwrap_err();
    assert!(matches!(error, EngineError::Refused { .. }));
    let text = error.to_string();
    assert!(text.contains("\"nosuch\"") && text.contains("reno"), "{text}");
}

/// Takes the next connection from whichever listener has it.
fn accept_from(listeners: &[TcpListener]) -> (usize, TcpStream) {
    let began = Instant::now();
    listeners.iter().for_each(|listener| listener.set_nonblocking(true).unwrap());
    loop {
        for (index, listener) in listeners.iter().enumerate() {
            match listener.accept() {
                Ok((stream, _)) => return (index, stream),
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        assert!(began.elapsed() < PATIENCE, "no connection came");
        thread::yield_now();
    }
}

#[test]
fn connections_go_to_the_shard_of_the_core_they_come_in_on() {
    let mut cores = allowed_cores();
    // Not the order of their numbers.
    cores.reverse();
    let shards = cores.len();
    let options = ListenOptions { incoming_cpu: Some(cores.clone()), ..ListenOptions::default() };
    let listeners = listen(ANY, &options, shards).unwrap();
    let address = listeners[0].local_addr().unwrap();
    for _ in 0..10 {
        for (shard, &id) in cores.iter().enumerate() {
            // Loopback delivers on the core that sends.
            let client = thread::spawn(move || {
                assert!(core_affinity::set_for_current(core_affinity::CoreId { id }));
                TcpStream::connect(address).unwrap()
            });
            let (index, _accepted) = accept_from(&listeners);
            client.join().unwrap();
            assert_eq!(index, shard, "from core {id}");
        }
    }
}
