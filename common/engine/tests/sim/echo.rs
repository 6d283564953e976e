//! An echo server, and a client that checks every byte that comes back.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use ringbench_engine::sim::Rng;
use ringbench_engine::{CloseReason, ConnId, Handler, Ops, TargetId};

/// Bytes in front of every message: the length of what follows.
const PREFIX: usize = 4;
/// Nothing in these worlds takes so long, unless it hangs.
const HANG_NS: u64 = 3600 * 1_000_000_000;

/// Sends back whole messages. Some connections it closes by itself.
#[derive(Debug)]
pub(crate) struct EchoServer {
    rng: Rng,
    closes: bool,
    partial: HashMap<ConnId, ServerConn>,
    /// Bytes echoed, by the number that the client gave the connection.
    pub(crate) echoed: HashMap<u32, usize>,
}

#[derive(Debug)]
struct ServerConn {
    input: Vec<u8>,
    token: Option<u32>,
    messages_left: u64,
    closed: bool,
}

impl EchoServer {
    /// With `closes`, every other connection is closed after a few messages.
    pub(crate) fn new(seed: u64, closes: bool) -> Self {
        let rng = Rng::new(seed);
        Self { rng, closes, partial: HashMap::new(), echoed: HashMap::new() }
    }
}

impl Handler for EchoServer {
    fn accepted(&mut self, _: &mut Ops, conn: ConnId) {
        let ends = self.closes && self.rng.chance(0.5);
        let messages_left = if ends { self.rng.below(10) + 1 } else { u64::MAX };
        let state = ServerConn { input: Vec::new(), token: None, messages_left, closed: false };
        assert!(self.partial.insert(conn, state).is_none());
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let state = self.partial.get_mut(&conn).expect("accepted before");
        assert!(!state.closed, "bytes after close");
        state.input.extend_from_slice(bytes);
        let mut rest = &state.input[..];
        while let Some((prefix, body)) = rest.split_first_chunk::<PREFIX>() {
            let length = u32::from_le_bytes(*prefix) as usize;
            if body.len() < length || state.closed {
                break;
            }
            let first = u32::from_le_bytes(body[..4].try_into().unwrap());
            let token = *state.token.get_or_insert(first);
            ops.output(conn).extend_from_slice(&rest[..PREFIX + length]);
            *self.echoed.entry(token).or_default() += PREFIX + length;
            rest = &body[length..];
            state.messages_left -= 1;
            if state.messages_left == 0 {
                state.closed = true;
                ops.close_lingering(conn);
            }
        }
        let used = state.input.len() - rest.len();
        state.input.drain(..used);
    }

    fn closed(&mut self, _: &mut Ops, conn: ConnId, _: CloseReason) {
        assert!(self.partial.remove(&conn).is_some());
    }
}

/// How a connection of the client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Everything came back, and the client closed.
    Complete,
    /// The server closed after so many bytes.
    Eof(usize),
    /// The client dropped it in the middle.
    Dropped,
    /// The engine reported an error.
    Failed,
    /// It never came to be.
    NotConnected,
}

#[derive(Debug)]
struct ClientConn {
    token: u32,
    messages_left: u64,
    /// What was sent and is to come back.
    expected: VecDeque<u8>,
    received: usize,
    end: Option<End>,
}

/// Opens some connections at a time until it has had its number of them, and sends messages of
/// random length on each, several before the first comes back.
#[derive(Debug)]
pub(crate) struct EchoClient {
    rng: Rng,
    server: SocketAddr,
    target: Option<TargetId>,
    /// How often it drops a connection after receiving something.
    drops: f64,
    connections_left: u32,
    conns: HashMap<ConnId, ClientConn>,
    /// How each connection ended, by its number.
    pub(crate) ends: HashMap<u32, End>,
}

impl EchoClient {
    pub(crate) fn new(seed: u64, server: SocketAddr, connections: u32, drops: f64) -> Self {
        Self {
            rng: Rng::new(seed ^ 0xc11e),
            server,
            target: None,
            drops,
            connections_left: connections,
            conns: HashMap::new(),
            ends: HashMap::new(),
        }
    }

    fn connect(&mut self, ops: &mut Ops) {
        if self.connections_left == 0 {
            return;
        }
        self.connections_left -= 1;
        let target = *self.target.get_or_insert_with(|| ops.add_target(self.server));
        let conn = ops.connect(target);
        let state = ClientConn {
            token: self.connections_left,
            messages_left: self.rng.below(12) + 1,
            expected: VecDeque::new(),
            received: 0,
            end: None,
        };
        assert!(self.conns.insert(conn, state).is_none());
    }

    fn write(&mut self, ops: &mut Ops, conn: ConnId) {
        let state = self.conns.get_mut(&conn).expect("not closed");
        let messages = self.rng.below(state.messages_left + 1);
        // At least one while nothing is under way, or the connection would fall asleep.
        let idle = state.expected.is_empty();
        let messages = if idle { messages.max(1) } else { messages }.min(state.messages_left);
        state.messages_left -= messages;
        for _ in 0..messages {
            let mut message = state.token.to_le_bytes().to_vec();
            let length = self.rng.size(4000);
            while message.len() < length {
                message.extend_from_slice(&self.rng.bits().to_le_bytes());
            }
            let prefix = (message.len() as u32).to_le_bytes();
            for part in [&prefix[..], &message] {
                state.expected.extend(part);
                ops.output(conn).extend_from_slice(part);
            }
        }
    }
}

impl Handler for EchoClient {
    fn started(&mut self, ops: &mut Ops) {
        for _ in 0..=self.rng.below(4) {
            self.connect(ops);
        }
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.set_deadline(conn, ops.now_ns() + HANG_NS);
        self.write(ops, conn);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let state = self.conns.get_mut(&conn).expect("connected before");
        assert_eq!(state.end, None, "bytes after close");
        for byte in bytes {
            assert_eq!(state.expected.pop_front(), Some(*byte), "{conn:?}: not what was sent");
        }
        state.received += bytes.len();
        ops.set_deadline(conn, ops.now_ns() + HANG_NS);
        if self.rng.chance(self.drops) {
            state.end = Some(End::Dropped);
            ops.abort(conn);
        } else if state.expected.is_empty() && state.messages_left == 0 {
            state.end = Some(End::Complete);
            if self.rng.chance(0.5) { ops.close(conn) } else { ops.close_lingering(conn) }
        } else if state.messages_left > 0 {
            self.write(ops, conn);
        }
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        let state = self.conns.get_mut(&conn).expect("connected before");
        assert_eq!(state.end, None, "end of file after close");
        state.end = Some(End::Eof(state.received));
        ops.close(conn);
    }

    fn deadline(&mut self, _: &mut Ops, conn: ConnId) {
        panic!("{conn:?} hangs: {:?}", self.conns[&conn]);
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        let state = self.conns.remove(&conn).expect("closed once");
        let end = match why {
            CloseReason::Local => state.end.expect("the client closed it"),
            CloseReason::ConnectFailed(_) => End::NotConnected,
            CloseReason::ReceiveFailed(_) | CloseReason::SendFailed(_) => {
                assert_eq!(state.end, None, "an error after the client closed");
                End::Failed
            }
            CloseReason::Stopped => panic!("nobody stopped it"),
        };
        assert!(self.ends.insert(state.token, end).is_none());
        self.connect(ops);
    }
}
