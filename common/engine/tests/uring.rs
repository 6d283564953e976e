//! The contract of [`Handler`] on the `io_uring` back end, over loopback sockets, with every
//! feature that can be switched off switched off in turn.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ringbench_engine::{
    CloseReason, ConnId, Control, Engine, EngineConfig, EngineError, Finished, Handler,
    ListenOptions, Ops, Shards, TargetId, UringOptions, listen, start,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

fn config(uring: UringOptions) -> EngineConfig {
    EngineConfig { engine: Engine::Uring, thread_name: "test", uring, ..EngineConfig::default() }
}

/// The default, and each feature without which the back end must do as well.
fn variants() -> Vec<(&'static str, UringOptions)> {
    let default = UringOptions::default();
    vec![
        ("default", default.clone()),
        ("plain descriptors", UringOptions { direct_descriptors: false, ..default.clone() }),
        ("single shot", UringOptions { multishot: false, ..default.clone() }),
        ("no defer_taskrun", UringOptions { defer_taskrun: false, ..default.clone() }),
        ("few buffers", UringOptions { buffers: 8, buffer_size: 1000, ..default.clone() }),
        ("a tiny ring", UringOptions { ring_entries: 2, ..default.clone() }),
        ("batches", UringOptions { batch_wait: 8, batch_wait_us: 200, ..default.clone() }),
        ("batches without a time", UringOptions { batch_wait: 8, ..default }),
    ]
}

struct Server<H> {
    address: SocketAddr,
    shards: Shards<H>,
}

impl<H: Handler + Send + 'static> Server<H> {
    fn start(uring: UringOptions, make: impl Fn() -> H + Send + Sync + 'static) -> Self {
        let listeners =
            listen(ANY, &ListenOptions::default(), 1).expect("loopback can be listened on");
        let address = listeners[0].local_addr().unwrap();
        let shards = start(&config(uring), vec![listeners], move |_| make()).expect("io_uring");
        Self { address, shards }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        stream
    }

    fn stop(self) -> Finished<H> {
        self.shards.controls().iter().for_each(|control| control.stop());
        self.shards.join().unwrap().remove(0)
    }
}

/// Sends back what it gets; tells of every end.
#[derive(Debug, Default)]
struct Echo {
    open: usize,
    most_backlog: usize,
    reasons: Vec<CloseReason>,
    told_to_drain: bool,
}

impl Handler for Echo {
    fn accepted(&mut self, _: &mut Ops, _: ConnId) {
        self.open += 1;
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
        self.most_backlog = self.most_backlog.max(ops.backlog_bytes(conn));
    }

    fn closed(&mut self, _: &mut Ops, _: ConnId, why: CloseReason) {
        self.open -= 1;
        self.reasons.push(why);
    }

    fn control(&mut self, _: &mut Ops, control: Control) {
        assert_eq!(control, Control::Drain);
        self.told_to_drain = true;
    }
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

#[test]
fn echoes_large_amounts_through_full_sockets() {
    for (name, options) in variants() {
        let server = Server::start(options, Echo::default);
        let sent = pattern(6_000_000, 77);
        let mut reader = server.connect();
        let mut writer = reader.try_clone().unwrap();
        let copy = sent.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&copy).unwrap();
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut echoed = Vec::new();
        reader.read_to_end(&mut echoed).unwrap();
        writing.join().unwrap();
        assert!(echoed == sent, "{name}: the echo differs");
        let done = server.stop();
        assert_eq!(done.handler.open, 0, "{name}");
        assert!(matches!(done.handler.reasons[..], [CloseReason::Local]), "{name}");
    }
}

#[test]
fn a_peer_that_does_not_read_is_held_back() {
    let server = Server::start(UringOptions::default(), Echo::default);
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let chunk = pattern(1 << 20, 3);
    let mut sent = Vec::new();
    // Writing stalls when both sockets' buffers and the server's backlog are full.
    let stalled = (0..200).any(|_| match stream.write(&chunk) {
        Ok(len) => {
            sent.extend_from_slice(&chunk[..len]);
            false
        }
        Err(_) => true,
    });
    assert!(stalled, "200 MB went into a server whose answers nobody reads");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    assert!(echoed == sent, "bytes were lost when the input was paused");
    let done = server.stop();
    assert!(done.stats.sends_blocked > 0);
    let bound = 6 << 20;
    assert!(done.handler.most_backlog < bound, "backlog of {}", done.handler.most_backlog);
}

/// Opens connections, sends on each a number of messages, one when the last has come back whole.
struct Pinger {
    target: SocketAddr,
    target_id: Option<TargetId>,
    connections: u32,
    messages: u32,
    sizes: [usize; 3],
    state: Vec<(u32, Vec<u8>)>,
    finished: u32,
    failures: Vec<CloseReason>,
    connected: u32,
    submitted_ns: u64,
}

impl Pinger {
    fn new(target: SocketAddr, connections: u32, messages: u32) -> Self {
        Self {
            target,
            target_id: None,
            connections,
            messages,
            sizes: [1, 700, 40_000],
            state: Vec::new(),
            finished: 0,
            failures: Vec::new(),
            connected: 0,
            submitted_ns: 0,
        }
    }

    fn message(&self, conn: ConnId, number: u32) -> Vec<u8> {
        pattern(self.sizes[number as usize % 3], conn.index() as u64 * 1000 + u64::from(number))
    }
}

impl Handler for Pinger {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(self.target);
        self.target_id = Some(target);
        for _ in 0..self.connections {
            ops.connect(target);
        }
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        self.connected += 1;
        if self.state.len() <= conn.index() {
            self.state.resize(conn.index() + 1, (0, Vec::new()));
        }
        self.state[conn.index()] = (0, Vec::new());
        let message = self.message(conn, 0);
        ops.output(conn).extend_from_slice(&message);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        assert!(ops.now_ns() >= self.submitted_ns, "an answer before its question");
        let (number, got) = &mut self.state[conn.index()];
        got.extend_from_slice(bytes);
        let number = *number;
        let expected = self.message(conn, number);
        let (_, got) = &mut self.state[conn.index()];
        if got.len() < expected.len() {
            return;
        }
        assert!(*got == expected, "message {number} of {conn:?} came back changed");
        got.clear();
        if number + 1 == self.messages {
            ops.close(conn);
            return;
        }
        self.state[conn.index()].0 = number + 1;
        let next = self.message(conn, number + 1);
        ops.output(conn).extend_from_slice(&next);
    }

    fn closed(&mut self, ops: &mut Ops, _: ConnId, why: CloseReason) {
        match why {
            CloseReason::Local => self.finished += 1,
            why => self.failures.push(why),
        }
        if self.finished as usize + self.failures.len() == self.connections as usize {
            ops.stop();
        }
    }

    fn submitting(&mut self, now_ns: u64) {
        self.submitted_ns = now_ns;
    }
}

fn run_client<H: Handler + Send + 'static>(
    options: UringOptions,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> Finished<H> {
    let shards = start(&config(options), Vec::new(), move |_| make()).expect("io_uring");
    shards.join().unwrap().remove(0)
}

#[test]
fn many_connections_echo_in_order_on_every_variant() {
    for (name, options) in variants() {
        let server = Server::start(options.clone(), Echo::default);
        let address = server.address;
        let client = run_client(options, move || Pinger::new(address, 50, 40));
        assert_eq!(client.handler.finished, 50, "{name}: {:?}", client.handler.failures);
        let done = server.stop();
        assert_eq!(done.stats.accepts, 50, "{name}");
        assert_eq!(done.handler.open, 0, "{name}: a connection leaked");
    }
}

#[test]
fn a_refused_connection_says_so() {
    let address = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let client = run_client(UringOptions::default(), move || Pinger::new(address, 3, 1));
    assert_eq!(client.handler.failures.len(), 3);
    for why in client.handler.failures {
        let CloseReason::ConnectFailed(error) = why else { panic!("{why:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    }
}

/// Answers a line with a large reply and closes, in the way its first byte names.
struct Closer;

const REPLY: usize = 3_000_000;

impl Handler for Closer {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(&pattern(REPLY, 9));
        match bytes[0] {
            b'c' => ops.close(conn),
            b'l' => ops.close_lingering(conn),
            b'a' => ops.abort(conn),
            _ => panic!("unknown command"),
        }
        ops.output(conn).extend_from_slice(b"after the close: dropped");
    }
}

#[test]
fn what_was_written_before_a_close_arrives_in_full() {
    for command in ["c", "l"] {
        let server = Server::start(UringOptions::default(), || Closer);
        let mut stream = server.connect();
        stream.write_all(command.as_bytes()).unwrap();
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap();
        assert!(reply == pattern(REPLY, 9), "{command}: {} bytes", reply.len());
        server.stop();
    }
}

#[test]
fn a_lingering_close_survives_unread_input() {
    let server = Server::start(UringOptions::default(), || Closer);
    let mut stream = server.connect();
    stream.write_all(b"l").unwrap();
    let mut first = [0; 1000];
    stream.read_exact(&mut first).unwrap();
    // Input that arrives after the server has closed: a plain close would answer it with a reset,
    // which throws away what has not been read yet.
    for _ in 0..100 {
        stream.write_all(&pattern(1000, 5)).unwrap();
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(first.len() + rest.len(), REPLY);
    server.stop();
}

#[test]
fn an_abort_drops_the_connection() {
    let server = Server::start(UringOptions::default(), || Closer);
    let mut stream = server.connect();
    stream.write_all(b"a").unwrap();
    let mut reply = Vec::new();
    // An end of file or a reset, but no reply.
    let _ = stream.read_to_end(&mut reply);
    assert!(reply.is_empty());
    server.stop();
}

#[test]
fn a_drain_stops_accepting_and_ends_with_the_last_connection() {
    let server = Server::start(UringOptions::default(), Echo::default);
    let address = server.address;
    let mut stream = server.connect();
    stream.write_all(b"one").unwrap();
    let mut answer = [0; 3];
    stream.read_exact(&mut answer).unwrap();
    server.shards.controls().iter().for_each(|control| control.drain());
    // The open connection works on; a new one is refused as soon as the listener is closed.
    while TcpStream::connect(address).is_ok() {}
    stream.write_all(b"two").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"two");
    assert!(!server.shards.is_finished());
    drop(stream);
    let done = server.shards.join().unwrap().remove(0);
    assert!(done.handler.told_to_drain);
    assert_eq!(done.handler.open, 0);
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let options = UringOptions { max_connections: 4, ..UringOptions::default() };
    let server = Server::start(options, Echo::default);
    let mut held: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
    for stream in &mut held {
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
    }
    // A fifth has no place: it is closed without an answer, or waits for the pause to end.
    let mut fifth = server.connect();
    let refused = fifth.write_all(b"y").is_err() || !matches!(fifth.read(&mut [0]), Ok(1));
    assert!(refused);
    drop(held);
    // Accepting resumes after its pause, without an error in between.
    let mut sixth = server.connect();
    sixth.write_all(b"z").unwrap();
    sixth.read_exact(&mut [0]).unwrap();
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
    let server = Server::start(UringOptions::default(), Clock::default);
    let mut stream = server.connect();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "the deadline closes the connection");
    let clock = server.stop().handler;
    assert!(matches!(clock.deadlines[..], [after_ns] if after_ns >= DEADLINE_NS));
    assert!(matches!(clock.alarms[..], [after_ns] if after_ns >= ALARM_NS));
}

/// Streams a body of any size in pieces, each when the last has left.
#[derive(Default)]
struct Streamer {
    left: usize,
    most_at_once: usize,
}

const PIECE: usize = 64 * 1024;

impl Streamer {
    fn next_piece(&mut self, ops: &mut Ops, conn: ConnId) {
        let len = PIECE.min(self.left);
        self.left -= len;
        ops.output(conn).extend_from_slice(&pattern(len, 11));
        self.most_at_once = self.most_at_once.max(ops.backlog_bytes(conn));
        if self.left == 0 { ops.close(conn) } else { ops.notify_drained(conn) }
    }
}

impl Handler for Streamer {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, _: &[u8]) {
        self.left = 10_000_000;
        self.next_piece(ops, conn);
    }

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.next_piece(ops, conn);
    }
}

#[test]
fn a_stream_is_produced_as_it_leaves() {
    let server = Server::start(UringOptions::default(), Streamer::default);
    let mut stream = server.connect();
    stream.write_all(b"go").unwrap();
    let mut body = Vec::new();
    stream.read_to_end(&mut body).unwrap();
    assert_eq!(body.len(), 10_000_000);
    let piece = pattern(PIECE, 11);
    assert!(body.chunks(PIECE).all(|chunk| *chunk == piece[..chunk.len()]));
    assert!(server.stop().handler.most_at_once <= PIECE);
}

#[test]
fn a_core_that_is_not_ours_is_named() {
    let config = EngineConfig { cores: vec![100_000], ..config(UringOptions::default()) };
    let error = start(&config, Vec::new(), |_| Echo::default()).unwrap_err();
    assert!(matches!(error, EngineError::NoSuchCore { core: 100_000, .. }));
    assert!(error.to_string().contains("core 100000"));
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind(ANY).unwrap();
    let address = taken.local_addr().unwrap();
    let error = listen(address, &ListenOptions::default(), 1).unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
}

/// Fails in the way that its first byte names.
struct Fragile;

impl Handler for Fragile {
    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {
        panic!("on purpose");
    }
}

#[test]
fn one_shard_that_fails_ends_the_others() {
    let listeners = listen(ANY, &ListenOptions::default(), 1).unwrap();
    let address = listeners[0].local_addr().unwrap();
    let two = EngineConfig { shards: 2, ..config(UringOptions::default()) };
    // Only the second shard can be reached; the first would run for ever.
    let shards = start(&two, vec![Vec::new(), listeners], |_| Fragile).expect("io_uring");
    TcpStream::connect(address).unwrap().write_all(b"x").unwrap();
    let error = shards.join().map(|_| ()).unwrap_err();
    assert!(matches!(error, EngineError::Panicked { shard: 1 }), "{error}");
}

/// Greets whoever connects and closes at once, so that accepts and closes are always under way.
#[derive(Default)]
struct Greeter {
    closed: usize,
}

impl Handler for Greeter {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(b"hello");
        ops.close_lingering(conn);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn closed(&mut self, _: &mut Ops, _: ConnId, _: CloseReason) {
        self.closed += 1;
    }
}

#[test]
fn short_lived_connections_all_get_their_answer() {
    for (name, options) in variants() {
        let server = Server::start(options, Greeter::default);
        let address = server.address;
        let clients: Vec<_> = (0..8)
            .map(|_| {
                std::thread::spawn(move || {
                    for _ in 0..200 {
                        let mut stream = TcpStream::connect(address).unwrap();
                        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                        // What it sends is still unread when the answer leaves.
                        stream.write_all(b"ignored").unwrap();
                        let mut answer = String::new();
                        stream.read_to_string(&mut answer).unwrap();
                        assert_eq!(answer, "hello");
                    }
                })
            })
            .collect();
        for client in clients {
            client.join().unwrap_or_else(|_| panic!("{name}: a client failed"));
        }
        server.shards.controls().iter().for_each(|control| control.drain());
        let done = server.shards.join().unwrap().remove(0);
        assert_eq!(done.handler.closed, 1600, "{name}: a connection leaked");
    }
}
