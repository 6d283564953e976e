//! ringserve's real handler on the simulated engine, with a client that does what the input says:
//! sends, waits, stops reading, half-closes, hangs up; and the server may be drained in between.
//!
//! Whatever it does: no panic, no hang, no connection kept for ever; what comes back is HTTP, and
//! never more responses than there were requests, by the codec's own count of what was sent. Where
//! nobody hung up, waited long or lost anything, every request gets its response.
#![no_main]

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ringbench_engine::sim::{Outcome, ShardId, Sim, SimOptions};
use ringbench_engine::{CloseReason, ConnId, Handler, Ops, TargetId};
use ringbench_http::{
    BodyLength, ClientConn, ClientEvent, HeaderScratch, Limits, Method, RequestKind, ServerConn,
    ServerEvent, is_head_request,
};
use ringserve::{Server, Settings, Site};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
const CONNECTIONS: usize = 3;
/// Nobody reads more than this from one connection: some answers are as long as the client wants.
const MAX_READ_BYTES: usize = 512 * 1024;
/// A wait longer than this may run into one of the server's time limits.
const SHORT_WAIT_NS: u64 = 1_000_000_000;

/// Requests to start from, so that what is behind the first line is found soon.
const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD /json HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    b"hello",
    b"POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"5\r\nhello\r\n",
    b"0\r\n\r\n",
    b"GET /sleep?ms=50 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /bytes/100000 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /orders HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"POST /nothing HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"GET / HTT",
];

/// One connection as its client sees it.
struct Conn {
    id: ConnId,
    /// The codec's view of what was sent, and what of it is not consumed.
    sent: ServerConn,
    unread_sent: Vec<u8>,
    /// Requests that were sent in full.
    complete: usize,
    received: ClientConn,
    unread_received: Vec<u8>,
    received_bytes: usize,
    responses: usize,
    /// Whether the server has spoken without being asked: 408 or 503, once.
    unasked: bool,
    held: bool,
    /// Whether nothing was done that may cost a response.
    patient: bool,
    over: bool,
}

impl Conn {
    fn new(id: ConnId) -> Self {
        Self {
            id,
            sent: ServerConn::new(),
            unread_sent: Vec::new(),
            complete: 0,
            received: ClientConn::new(),
            unread_received: Vec::new(),
            received_bytes: 0,
            responses: 0,
            unasked: false,
            held: false,
            patient: true,
            over: false,
        }
    }

    /// Counts the requests in what is sent.
    fn note_sent(&mut self, bytes: &[u8], limits: &Limits) {
        self.unread_sent.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.unread_sent);
        let (mut rest, mut scratch) = (&input[..], HeaderScratch::new());
        loop {
            let in_body = self.sent.is_mid_body();
            let step = self.sent.next(rest, &mut scratch, limits);
            rest = &rest[step.consumed..];
            match step.event {
                ServerEvent::Request(head) => {
                    self.expect(head.method == Method::Head);
                    let empty = matches!(head.body, BodyLength::None | BodyLength::Length(0));
                    self.complete += usize::from(empty);
                }
                ServerEvent::End => self.complete += 1,
                // In a body it is the answer to the request that was counted already.
                ServerEvent::Reject(reject) if !in_body => self.expect(reject.to_head),
                ServerEvent::Reject(_) | ServerEvent::Body(_) => {}
                ServerEvent::NeedMore | ServerEvent::Closed => break,
            }
        }
        self.unread_sent = rest.to_vec();
    }

    fn expect(&mut self, head: bool) {
        self.received.sent(if head { RequestKind::Head } else { RequestKind::Normal });
    }

    /// Reads what came. False if the connection is to be closed.
    fn read(&mut self, bytes: &[u8], limits: &Limits) -> bool {
        self.received_bytes += bytes.len();
        self.unread_received.extend_from_slice(bytes);
        let input = std::mem::take(&mut self.unread_received);
        let (mut rest, mut scratch) = (&input[..], HeaderScratch::new());
        let mut unasked = false;
        loop {
            if self.received.outstanding() == 0 && !rest.is_empty() && !self.received.is_closed() {
                assert!(!self.unasked, "a response too many: {}", rest.escape_ascii());
                (self.unasked, unasked) = (true, true);
                self.expect(is_head_request(&self.unread_sent));
            }
            let step = self.received.next(rest, &mut scratch, limits);
            rest = &rest[step.consumed..];
            match step.event {
                ClientEvent::NeedMore => break,
                ClientEvent::Head(head) => {
                    assert!(!unasked || matches!(head.status, 408 | 503), "{head:?}");
                    assert!(head.status < 500 || matches!(head.status, 501 | 503 | 505));
                }
                ClientEvent::Interim(status) => assert_eq!(status, 100),
                ClientEvent::Body(_) => {}
                ClientEvent::End { keep_alive } => {
                    self.responses += 1;
                    if !keep_alive {
                        assert!(rest.is_empty(), "bytes after the last response");
                        return false;
                    }
                }
                ClientEvent::Error(error) => panic!("{error}: {}", input.escape_ascii()),
                ClientEvent::Closed => panic!("bytes after the last response"),
            }
        }
        self.unread_received = rest.to_vec();
        self.received_bytes <= MAX_READ_BYTES
    }
}

/// The client's shard. It does nothing by itself but read.
#[derive(Default)]
struct Client {
    target: Option<TargetId>,
    conns: [Option<Conn>; CONNECTIONS],
    numbers: HashMap<ConnId, usize>,
    limits: Limits,
}

impl Client {
    fn of(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns[*self.numbers.get(&id)?].as_mut()
    }
}

impl Handler for Client {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(ADDRESS);
        self.target = Some(target);
        for number in 0..CONNECTIONS {
            let id = ops.connect(target);
            self.numbers.insert(id, number);
        }
    }

    fn connected(&mut self, _: &mut Ops, id: ConnId) {
        let number = self.numbers[&id];
        self.conns[number] = Some(Conn::new(id));
    }

    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        let limits = Limits::client();
        let Some(conn) = self.of(id) else { return };
        if !conn.read(bytes, &limits) {
            conn.over = true;
            conn.patient &= conn.received_bytes <= MAX_READ_BYTES;
            ops.close(id);
        }
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        if let Some(conn) = self.of(id) {
            conn.over = true;
            assert!(!conn.patient || conn.unread_received.is_empty(), "a response was cut off");
        }
        ops.close(id);
    }

    fn closed(&mut self, _: &mut Ops, id: ConnId, why: CloseReason) {
        if let Some(conn) = self.of(id) {
            conn.over = true;
            conn.patient &= matches!(why, CloseReason::Local);
        }
    }
}

/// What the input says to do.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte().unwrap_or(0)).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}

struct World {
    sim: Sim,
    server: ShardId<Server>,
    client: ShardId<Client>,
    waited_ns: u64,
    drained: bool,
}

impl World {
    fn new(seed: u8, rough: bool) -> Self {
        let options = if rough {
            SimOptions { lost_connect_probability: 0.0, ..SimOptions::rough(seed.into()) }
        } else {
            SimOptions { seed: seed.into(), ..SimOptions::calm() }
        };
        let mut sim = Sim::new(options);
        let server = Server::new(Arc::new(Settings::default()), Site::default());
        let server = sim.add_server(ADDRESS, server);
        // What is larger than the server takes is a request all the same, with one response.
        let limits = Limits { max_body_bytes: u64::MAX, ..Limits::default() };
        let client = sim.add_client(Client { limits, ..Client::default() });
        let mut world = Self { sim, server, client, waited_ns: 0, drained: false };
        world.wait(100_000_000);
        world
    }

    fn wait(&mut self, time_ns: u64) {
        self.waited_ns += time_ns;
        let until_ns = self.sim.now_ns() + time_ns;
        // Whether anything is left to do then makes no difference.
        let (Outcome::Idle | Outcome::Reached | Outcome::TurnLimit) = self.sim.run_until(until_ns);
    }

    /// Does something with a connection, if it is still there.
    fn with(&mut self, number: usize, act: impl FnOnce(&mut Conn, &Limits, &mut Ops)) {
        self.sim.act(self.client, |client, ops| {
            if let Some(conn) = client.conns[number].as_mut().filter(|conn| !conn.over) {
                act(conn, &client.limits, ops);
            }
        });
    }

    fn send(&mut self, number: usize, bytes: &[u8]) {
        self.with(number, |conn, limits, ops| {
            if conn.received.outstanding() < ClientConn::MAX_PIPELINE / 2 {
                conn.note_sent(bytes, limits);
                ops.output(conn.id).extend_from_slice(bytes);
            }
        });
    }

    /// One step of the script. False at its end.
    fn step(&mut self, script: &mut Script<'_>) -> bool {
        let Some(what) = script.byte() else { return false };
        let number = usize::from(what >> 4) % CONNECTIONS;
        match what & 15 {
            0..=3 => {
                let bytes = script.bytes();
                self.send(number, bytes);
            }
            4..=9 => {
                let which = usize::from(script.byte().unwrap_or(0)) % REQUESTS.len();
                self.send(number, REQUESTS[which]);
            }
            10 | 11 => self.wait(1 << (script.byte().unwrap_or(0) % 38)),
            12 => self.with(number, |conn, _, ops| {
                conn.held = !conn.held;
                conn.patient = false;
                if conn.held { ops.hold_input(conn.id) } else { ops.resume_input(conn.id) }
            }),
            13 => self.hang_up(number, |ops, id| ops.close_lingering(id)),
            14 => self.hang_up(number, |ops, id| ops.close(id)),
            _ if script.byte().unwrap_or(0) & 1 == 0 => {
                self.hang_up(number, |ops, id| ops.abort(id));
            }
            _ => {
                self.sim.drain(self.server);
                self.drained = true;
            }
        }
        true
    }

    fn hang_up(&mut self, number: usize, how: impl FnOnce(&mut Ops, ConnId)) {
        self.with(number, |conn, _, ops| {
            conn.patient = false;
            conn.over = true;
            how(ops, conn.id);
        });
    }

    /// Lets all come to its end, and checks what is left.
    fn finish(mut self) {
        for number in 0..CONNECTIONS {
            self.with(number, |conn, _, ops| ops.resume_input(conn.id));
        }
        assert_eq!(self.sim.run_until_idle(1_000_000), Outcome::Idle, "a hang");
        assert_eq!(self.sim.connections(self.server), 0, "the server's engine leaks a slot");
        assert_eq!(self.sim.connections(self.client), 0, "the client's engine leaks a slot");
        assert_eq!(self.sim.handler(self.server).open_connections(), 0, "a connection was kept");
        let lossless = self.waited_ns < SHORT_WAIT_NS
            && !self.drained
            && self.sim.options().reset_probability == 0.0;
        for conn in self.sim.handler(self.client).conns.iter().flatten() {
            if lossless && conn.patient {
                assert!(conn.responses >= conn.complete, "a request got no response");
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    let mut script = Script(input);
    let (Some(seed), Some(rough)) = (script.byte(), script.byte()) else { return };
    let mut world = World::new(seed, rough & 1 == 1);
    // Each step costs a turn; a script this long has said what it has to say.
    for _ in 0..200 {
        if !world.step(&mut script) {
            break;
        }
    }
    world.finish();
});
