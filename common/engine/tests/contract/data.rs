//! Bytes: all of them arrive, in order, and none sooner than they are wanted.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};

use ringbench_engine::{CloseReason, ConnId, Handler, Ops, TargetId};

use crate::{
    Echo, PIECE, Server, Streamer, echo_much, engines, expect_end, pattern, read_stream,
    run_client, variants, write_until_held_back,
};

#[test]
fn echoes_large_amounts_through_full_sockets() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        echo_much(&server, 6_000_000, name);
        let done = server.stop();
        assert!(matches!(done.handler.reasons[..], [CloseReason::Local]), "{name}");
    }
}

#[test]
fn a_peer_that_does_not_read_is_held_back() {
    for (name, config) in engines() {
        let server = Server::start(&config, Echo::default);
        write_until_held_back(&server, name);
        let done = server.stop();
        assert!(done.stats.sends_blocked > 0, "{name}");
        let most = done.handler.most_backlog;
        assert!(most < 6 << 20, "{name}: backlog of {most}");
    }
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

#[test]
fn many_connections_echo_in_order() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let address = server.address;
        let client = run_client(&config, move || Pinger::new(address, 50, 40));
        assert_eq!(client.handler.finished, 50, "{name}: {:?}", client.handler.failures);
        let done = server.stop();
        assert_eq!((done.stats.accepts, client.stats.accepts), (50, 0), "{name}");
        for stats in [done.stats, client.stats] {
            assert!(stats.sends >= 50 * 40, "{name}: {} sends", stats.sends);
            assert!((1..=50).contains(&stats.connections_peak), "{name}");
            assert!(stats.enters > 0 && stats.completions > 0, "{name}");
        }
    }
}

#[test]
fn a_refused_connection_says_so() {
    for (name, config) in variants() {
        let address = std::net::TcpListener::bind(crate::ANY).unwrap().local_addr().unwrap();
        let client = run_client(&config, move || Pinger::new(address, 3, 1));
        assert_eq!(client.handler.failures.len(), 3, "{name}");
        for why in client.handler.failures {
            let CloseReason::ConnectFailed(error) = why else { panic!("{name}: {why:?}") };
            assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused, "{name}");
        }
    }
}

#[test]
fn a_stream_is_produced_as_it_leaves() {
    for (name, config) in variants() {
        let server = Server::start(&config, Streamer::default);
        read_stream(&server, name);
        assert!(server.stop().handler.most_at_once <= PIECE, "{name}");
    }
}

/// Holds the input of whoever says "hold", and lets it come again when another connection says
/// "go".
#[derive(Debug, Default)]
struct Gate {
    held: Option<ConnId>,
    /// What the connection that was held brought, and when it came to be let go.
    calls: Vec<String>,
}

impl Handler for Gate {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        match (text.as_str(), self.held) {
            ("go", Some(held)) => {
                self.calls.push("-".to_owned());
                ops.resume_input(held);
            }
            ("hold", _) => {
                self.held = Some(conn);
                ops.hold_input(conn);
                ops.output(conn).extend_from_slice(b"held");
            }
            _ => self.calls.push(text),
        }
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        if self.held == Some(conn) {
            self.calls.push("end".to_owned());
            ops.output(conn).extend_from_slice(b"over");
        }
        ops.close(conn);
    }
}

#[test]
fn a_connection_that_is_held_hears_nothing_until_it_is_resumed() {
    for (name, config) in variants() {
        for late in ["", "late"] {
            let server = Server::start(&config, Gate::default);
            let mut stream = server.connect();
            stream.write_all(b"hold").unwrap();
            let mut answer = [0; 4];
            stream.read_exact(&mut answer).unwrap();
            // Sent after the hold was in force, and there before the other connection speaks.
            stream.write_all(late.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            server.connect().write_all(b"go").unwrap();
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"over", "{name}");
            let calls = server.stop().handler.calls;
            let expected: Vec<&str> =
                ["-", late, "end"].into_iter().filter(|call| !call.is_empty()).collect();
            assert_eq!(calls, expected, "{name}");
        }
    }
}

/// Holds its input after every piece of it, for a moment.
#[derive(Debug, Default)]
struct Stutterer {
    received: Vec<u8>,
    held: Option<ConnId>,
    holds: usize,
}

impl Handler for Stutterer {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        self.received.extend_from_slice(bytes);
        if self.held.is_none() {
            self.held = Some(conn);
            self.holds += 1;
            ops.hold_input(conn);
            ops.set_alarm(Some(ops.now_ns() + 100_000));
        }
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        assert_eq!(self.held, None, "the end was heard of during a hold");
        ops.close(conn);
    }

    fn alarm(&mut self, ops: &mut Ops) {
        if let Some(held) = self.held.take() {
            ops.resume_input(held);
        }
    }
}

#[test]
fn nothing_is_lost_however_often_input_is_held() {
    for (name, config) in variants() {
        let server = Server::start(&config, Stutterer::default);
        let mut stream = server.connect();
        // More than can have been received before a hold is in force.
        let buffered = usize::from(config.uring.buffers) * config.uring.buffer_size as usize;
        let sent = pattern(2 * buffered + 500_000, 5);
        stream.write_all(&sent).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        expect_end(&mut stream, name);
        let done = server.stop().handler;
        assert!(done.received == sent, "{name}: {} bytes", done.received.len());
        assert!(done.holds > 1, "{name}");
    }
}

/// Asks to be told of drained output before there is a connection, and again when there is.
struct Early {
    target: SocketAddr,
    drained: usize,
}

impl Handler for Early {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(self.target);
        let conn = ops.connect(target);
        ops.notify_drained(conn);
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(b"x");
        ops.notify_drained(conn);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.drained += 1;
        ops.close(conn);
    }

    fn closed(&mut self, ops: &mut Ops, _: ConnId, _: CloseReason) {
        ops.stop();
    }
}

#[test]
fn a_notice_asked_for_too_early_does_not_keep_later_ones_away() {
    for (name, config) in engines() {
        let server = Server::start(&config, Echo::default);
        let target = server.address;
        let client = run_client(&config, move || Early { target, drained: 0 });
        assert_eq!(client.handler.drained, 1, "{name}");
        server.stop();
    }
}

/// Holds the input of who connects for a while, then sends it back.
struct Patient;

impl Handler for Patient {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.hold_input(conn);
        ops.set_deadline(conn, ops.now_ns() + 200_000_000);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
    }

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.resume_input(conn);
    }
}

#[test]
fn urgent_data_does_not_hide_what_is_behind_it() {
    for (name, config) in engines() {
        let server = Server::start(&config, || Patient);
        let mut stream = server.connect();
        stream.write_all(b"abc").unwrap();
        // The urgent byte itself is not part of the stream.
        rustix::net::send(&stream, b"!", rustix::net::SendFlags::OOB).unwrap();
        stream.write_all(b"def").unwrap();
        let mut echoed = [0; 6];
        stream.read_exact(&mut echoed).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(&echoed, b"abcdef", "{name}");
        server.stop();
    }
}
