//! A client that sends all kinds of requests in pipelined bursts and checks every answer.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;

use ringbench_engine::sim::Rng;
use ringbench_engine::{CloseReason, ConnId, Handler, Ops};
use ringbench_http::{
    ClientConn, ClientEvent, EofOutcome, HeaderScratch, LAST_CHUNK, Limits, RequestKind,
    write_chunk,
};

use crate::CONNECTIONS;

/// Longer than any exchange can take, unless it hangs.
const HANG_NS: u64 = 3600 * 1_000_000_000;

/// How a client ends its connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manners {
    /// After the last answer.
    Patient,
    /// Now and then in the middle.
    Rude,
}

/// How the connections ended.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    /// All was answered.
    pub(crate) complete: u32,
    /// The server closed in an orderly way while answers were owed.
    pub(crate) unanswered: u32,
    /// It did so at its limit of requests.
    pub(crate) limited: u32,
    /// Reset or the like.
    pub(crate) failed: u32,
    /// The client hung up.
    pub(crate) dropped: u32,
    pub(crate) not_connected: u32,
}

impl Ends {
    pub(crate) fn total(&self) -> u32 {
        let by_server = self.complete + self.unanswered + self.limited;
        by_server + self.failed + self.dropped + self.not_connected
    }
}

/// The answer that must come.
#[derive(Debug)]
struct Expected {
    status: u16,
    /// `None` if any will do.
    body: Option<Vec<u8>>,
    last: bool,
}

#[derive(Debug)]
struct Conn {
    codec: ClientConn,
    expected: VecDeque<Expected>,
    bursts_left: u64,
    /// That came in full.
    answers: u32,
    /// Input that is not consumed.
    input: Vec<u8>,
    status: u16,
    body: Vec<u8>,
    /// Whether an answer has begun and not ended.
    mid_answer: bool,
    ended: bool,
}

#[derive(Debug)]
pub(crate) struct Client {
    rng: Rng,
    server: SocketAddr,
    manners: Manners,
    /// How many requests the server answers on one connection; 0: any number.
    max_requests: u32,
    connections_left: u32,
    conns: HashMap<ConnId, Conn>,
    limits: Limits,
    sequence: u64,
    /// Answers that came in full.
    pub(crate) answers: u64,
    pub(crate) ends: Ends,
}

impl Client {
    pub(crate) fn new(seed: u64, server: SocketAddr, manners: Manners, max_requests: u32) -> Self {
        Self {
            rng: Rng::new(seed ^ 0xc11e),
            server,
            manners,
            max_requests,
            connections_left: CONNECTIONS,
            conns: HashMap::new(),
            limits: Limits::client(),
            sequence: 0,
            answers: 0,
            ends: Ends::default(),
        }
    }

    fn connect(&mut self, ops: &mut Ops) {
        if self.connections_left > 0 {
            self.connections_left -= 1;
            let target = ops.add_target(self.server);
            ops.connect(target);
        }
    }

    /// Writes a burst of requests.
    fn burst(&mut self, ops: &mut Ops, id: ConnId) {
        let mut burst = Vec::new();
        let conn = self.conns.get_mut(&id).expect("connected");
        conn.bursts_left -= 1;
        let count = 1 + self.rng.below(16);
        for number in 1..=count {
            let last = number == count && conn.bursts_left == 0;
            self.sequence += 1;
            let (kind, expected) = request(&mut self.rng, self.sequence, last, &mut burst);
            conn.codec.sent(kind);
            conn.expected.push_back(expected);
        }
        ops.output(id).extend_from_slice(&burst);
    }

    /// Checks what came. False if the connection is over.
    fn read(&mut self, conn: &mut Conn) -> bool {
        let input = std::mem::take(&mut conn.input);
        let mut rest = &input[..];
        let mut scratch = HeaderScratch::new();
        loop {
            let step = conn.codec.next(rest, &mut scratch, &self.limits);
            rest = &rest[step.consumed..];
            match step.event {
                ClientEvent::NeedMore => break,
                ClientEvent::Interim(status) => assert_eq!(status, 100),
                ClientEvent::Head(head) => {
                    conn.status = head.status;
                    conn.body.clear();
                    conn.mid_answer = true;
                }
                ClientEvent::Body(bytes) => conn.body.extend_from_slice(bytes),
                ClientEvent::End { keep_alive } => {
                    self.answers += 1;
                    conn.answers += 1;
                    conn.mid_answer = false;
                    let expected = conn.expected.pop_front().expect("an answer to nothing");
                    assert_eq!(conn.status, expected.status);
                    if let Some(body) = expected.body {
                        assert!(conn.body == body, "another body than expected");
                    }
                    let last = expected.last || conn.answers == self.max_requests;
                    assert!(!(last && keep_alive), "the server should close");
                    if !keep_alive {
                        return false;
                    }
                }
                ClientEvent::Error(error) => panic!("the server broke the protocol: {error}"),
                ClientEvent::Closed => panic!("bytes after the last answer"),
            }
        }
        conn.input = rest.to_vec();
        true
    }

    fn finish(&mut self, ops: &mut Ops, id: ConnId, conn: &mut Conn) {
        conn.ended = true;
        if conn.expected.is_empty() && conn.bursts_left == 0 {
            self.ends.complete += 1;
        } else if conn.answers == self.max_requests {
            self.ends.limited += 1;
        } else {
            self.ends.unanswered += 1;
        }
        if self.rng.chance(0.5) { ops.close(id) } else { ops.close_lingering(id) }
    }
}

impl Handler for Client {
    fn started(&mut self, ops: &mut Ops) {
        for _ in 0..=self.rng.below(u64::from(self.connections_left)) {
            self.connect(ops);
        }
    }

    fn connected(&mut self, ops: &mut Ops, id: ConnId) {
        ops.set_deadline(id, ops.now_ns() + HANG_NS);
        let conn = Conn {
            codec: ClientConn::new(),
            expected: VecDeque::new(),
            bursts_left: 1 + self.rng.below(4),
            answers: 0,
            input: Vec::new(),
            status: 0,
            body: Vec::new(),
            mid_answer: false,
            ended: false,
        };
        self.conns.insert(id, conn);
        self.burst(ops, id);
    }

    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        let mut conn = self.conns.remove(&id).expect("connected");
        assert!(!conn.ended, "bytes after close");
        conn.input.extend_from_slice(bytes);
        ops.set_deadline(id, ops.now_ns() + HANG_NS);
        let open = self.read(&mut conn);
        let (idle, more) = (conn.expected.is_empty(), conn.bursts_left > 0);
        // A second burst may leave before the first is answered, if the codec can count them.
        let eager = more && conn.expected.len() < 100 && self.rng.chance(0.02);
        if self.manners == Manners::Rude && self.rng.chance(0.05) && open {
            conn.ended = true;
            self.ends.dropped += 1;
            ops.abort(id);
        } else if !open || (idle && !more) {
            self.finish(ops, id, &mut conn);
        }
        let goes_on = !conn.ended && (eager || (idle && more));
        self.conns.insert(id, conn);
        if goes_on {
            self.burst(ops, id);
        }
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        let mut conn = self.conns.remove(&id).expect("connected");
        assert!(!conn.ended, "end of file after close");
        let outcome = conn.codec.eof();
        assert!(conn.input.is_empty() && !conn.mid_answer, "an answer was cut off");
        assert_eq!(outcome == EofOutcome::Truncated, !conn.expected.is_empty());
        self.finish(ops, id, &mut conn);
        self.conns.insert(id, conn);
    }

    fn deadline(&mut self, _: &mut Ops, id: ConnId) {
        panic!("{id:?} hangs: {:?}", self.conns[&id]);
    }

    fn closed(&mut self, ops: &mut Ops, id: ConnId, why: CloseReason) {
        let ended = self.conns.remove(&id).is_some_and(|conn| conn.ended);
        match why {
            CloseReason::Local => assert!(ended, "the client did not close"),
            CloseReason::ConnectFailed(_) => self.ends.not_connected += 1,
            CloseReason::ReceiveFailed(_) | CloseReason::SendFailed(_) => {
                if !ended {
                    self.ends.failed += 1;
                }
            }
            CloseReason::Stopped => panic!("nobody stopped it"),
        }
        self.connect(ops);
    }
}

/// Appends one request of a random kind and says what must come back.
fn request(rng: &mut Rng, sequence: u64, last: bool, out: &mut Vec<u8>) -> (RequestKind, Expected) {
    let bad = last && rng.chance(0.2);
    let close = last && rng.chance(0.5);
    let connection = if close { "Connection: close\r\n" } else { "" };
    let mut head = |line: &str, fields: &str| {
        let text = format!("{line} HTTP/1.1\r\nHost: a\r\n{connection}{fields}\r\n");
        out.extend_from_slice(text.as_bytes());
    };
    let length = |body: &[u8]| format!("Content-Length: {}\r\n", body.len());
    let expected =
        |status, body: &[u8]| Expected { status, body: Some(body.to_vec()), last: close };
    if bad {
        head("GET /", "Host: twice\r\n");
        if rng.chance(0.5) {
            // The server closes where the client did not expect it: what is on its way must not
            // turn the close into a reset that eats the answer (RFC 9112 section 9.6).
            let more = noise(rng);
            out.extend(more.repeat(1 + rng.size(30)));
        }
        return (RequestKind::Normal, Expected { status: 400, body: None, last: true });
    }
    if last && rng.chance(0.1) {
        // More than the server reads past: it answers at once, which may take long all the same.
        let length = 100_000 + rng.size(20_000);
        let (line, body) = slow(rng);
        head(&line, &format!("Content-Length: {length}\r\n"));
        out.resize(out.len() + length, b'x');
        return (RequestKind::Normal, Expected { status: 200, body: Some(body), last: true });
    }
    let body = noise(rng);
    let answer = match rng.below(13) {
        0 => {
            let ping = format!("{{\"sequence\":{sequence}}}");
            head("POST /ping", &length(ping.as_bytes()));
            out.extend_from_slice(ping.as_bytes());
            expected(200, ping.as_bytes())
        }
        1 => {
            head("POST /echo", &length(&body));
            out.extend_from_slice(&body);
            expected(200, &body)
        }
        2 => {
            head("POST /echo?x", "Transfer-Encoding: chunked\r\nContent-Type: a/b\r\n");
            chunks(rng, &body, out);
            expected(200, &body)
        }
        3 => {
            head("POST /echo", &format!("Expect: 100-continue\r\n{}", length(&body)));
            out.extend_from_slice(&body);
            expected(200, &body)
        }
        4 => {
            head("GET /plaintext", "");
            expected(200, b"Hello, World!")
        }
        5 => {
            head("HEAD /json", "");
            return (RequestKind::Head, expected(200, b""));
        }
        6 => {
            head("GET /json", &length(&body));
            out.extend_from_slice(&body);
            expected(200, br#"{"message":"Hello, World!"}"#)
        }
        7 => {
            head("POST /nothing", &length(&body));
            out.extend_from_slice(&body);
            Expected { status: 404, body: None, last: close }
        }
        8 => {
            let (line, body) = slow(rng);
            head(&line, "");
            expected(200, &body)
        }
        9 => {
            let (line, _) = slow(rng);
            head(&line.replacen("GET", "HEAD", 1), "");
            return (RequestKind::Head, expected(200, b""));
        }
        10 => {
            let expect = if rng.chance(0.5) { "Expect: 100-continue\r\n" } else { "" };
            head("POST /upload", &format!("{expect}{}", length(&body)));
            out.extend_from_slice(&body);
            expected(200, body.len().to_string().as_bytes())
        }
        11 => {
            head("POST /upload", "Transfer-Encoding: chunked\r\n");
            chunks(rng, &body, out);
            expected(200, body.len().to_string().as_bytes())
        }
        _ => {
            head("POST /ping", &length(b"{}"));
            out.extend_from_slice(b"{}");
            Expected { status: 400, body: None, last: close }
        }
    };
    (RequestKind::Normal, answer)
}

/// A request whose answer comes later or in pieces: its method and target, and the body.
fn slow(rng: &mut Rng) -> (String, Vec<u8>) {
    if rng.chance(0.5) {
        let ms = rng.size(2_000);
        return (format!("GET /sleep?ms={ms}"), format!("slept for {ms} ms\n").into_bytes());
    }
    let length = rng.size(200_000);
    let line = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_\n";
    let body = line.iter().copied().cycle().take(length).collect();
    (format!("GET /bytes/{length}"), body)
}

/// Appends `body` in chunks.
fn chunks(rng: &mut Rng, body: &[u8], out: &mut Vec<u8>) {
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, more) = rest.split_at(rng.size(rest.len()));
        write_chunk(out, chunk);
        rest = more;
    }
    out.extend_from_slice(LAST_CHUNK);
}

fn noise(rng: &mut Rng) -> Vec<u8> {
    let length = rng.size(4_000);
    let mut body: Vec<u8> =
        (0..length.div_ceil(8)).flat_map(|_| rng.bits().to_le_bytes()).collect();
    body.truncate(length);
    body
}
