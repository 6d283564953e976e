//! The server of simulated runs, with better and worse manners.

use ringbench_engine::sim::Rng;
use ringbench_engine::{ConnId, Handler, Ops};
use ringbench_http::{
    HeaderScratch, LAST_CHUNK, Limits, ResponseBuilder, ServerConn, ServerEvent, write_chunk,
};

/// How often the server does what, between 0 and 1; otherwise it answers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Manners {
    /// Says `Connection: close` and does.
    pub(crate) announced_close: f64,
    /// Answers, then closes without a word.
    pub(crate) silent_close: f64,
    /// Gives no answer at all.
    pub(crate) silence: f64,
    /// Closes in the middle of an answer.
    pub(crate) truncation: f64,
    /// Answers with what is not HTTP.
    pub(crate) garbage: f64,
    /// Answers with a body that ends with the connection.
    pub(crate) until_close: f64,
}

impl Manners {
    pub(crate) fn draw(rng: &mut Rng) -> Self {
        let mut sometimes = || if rng.chance(0.3) { rng.fraction() * 0.3 } else { 0.0 };
        Self {
            announced_close: sometimes(),
            silent_close: sometimes(),
            silence: sometimes(),
            truncation: sometimes(),
            garbage: sometimes(),
            until_close: sometimes(),
        }
    }
}

#[derive(Default)]
pub(crate) struct Peer {
    http: ServerConn,
    unread: Vec<u8>,
    /// Its place in [`Site::asked`].
    serial: usize,
}

/// The server.
pub(crate) struct Site {
    pub(crate) manners: Manners,
    pub(crate) rng: Rng,
    pub(crate) limits: Limits,
    pub(crate) peers: Vec<Peer>,
    /// Requests read.
    pub(crate) requests: u64,
    /// Answers given in full.
    pub(crate) answers: u64,
    /// Connections that it closed itself.
    pub(crate) closes: u64,
    /// Requests read on each connection, in the order in which they were accepted.
    pub(crate) asked: Vec<u64>,
}

impl Site {
    pub(crate) fn new(manners: Manners, rng: Rng) -> Self {
        let limits = Limits::default();
        let (peers, asked) = (Vec::new(), Vec::new());
        Self { manners, rng, limits, peers, requests: 0, answers: 0, closes: 0, asked }
    }

    /// Answers one request, well or badly; false if the connection is over.
    pub(crate) fn answer(&mut self, ops: &mut Ops, conn: ConnId) -> bool {
        let goes_on = self.answer_somehow(ops, conn);
        self.closes += u64::from(!goes_on);
        goes_on
    }

    pub(crate) fn answer_somehow(&mut self, ops: &mut Ops, conn: ConnId) -> bool {
        self.requests += 1;
        let draw = self.rng.fraction();
        let mut sum = 0.0;
        let mut falls = |probability: f64| {
            sum += probability;
            draw < sum
        };
        let m = &self.manners;
        if falls(m.silence) {
            return true;
        }
        if falls(m.truncation) {
            let cut = 1 + self.rng.below(40) as usize;
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n...";
            ops.output(conn).extend_from_slice(&whole[..cut.min(whole.len())]);
            ops.close(conn);
            return false;
        }
        if falls(m.garbage) {
            ops.output(conn).extend_from_slice(b"220 mail.example ESMTP\r\n");
            return true;
        }
        self.answers += 1;
        if falls(m.until_close) {
            ops.output(conn).extend_from_slice(b"HTTP/1.0 200 OK\r\n\r\nuntil the end");
            ops.close(conn);
            return false;
        }
        let announced = falls(m.announced_close);
        let over = announced || falls(m.silent_close);
        self.write_answer(ops.output(conn), announced);
        if over {
            ops.close(conn);
        }
        !over
    }

    pub(crate) fn write_answer(&mut self, out: &mut Vec<u8>, close: bool) {
        if self.rng.chance(0.1) {
            out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        }
        let status = [200, 200, 200, 204, 404, 503][self.rng.below(6) as usize];
        let mut head = ResponseBuilder::new(out, status).unwrap();
        if close {
            head = head.close();
        }
        let body = vec![b'x'; self.rng.size(3_000)];
        if status == 204 {
            head.no_content().unwrap();
        } else if self.rng.chance(0.3) {
            head.chunked().unwrap();
            body.chunks(700).for_each(|chunk| write_chunk(out, chunk));
            out.extend_from_slice(LAST_CHUNK);
        } else {
            head.body(&body).unwrap();
        }
    }
}

impl Handler for Site {
    fn accepted(&mut self, _: &mut Ops, conn: ConnId) {
        if self.peers.len() <= conn.index() {
            self.peers.resize_with(conn.index() + 1, Peer::default);
        }
        self.peers[conn.index()] = Peer { serial: self.asked.len(), ..Peer::default() };
        self.asked.push(0);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let Peer { mut http, mut unread, serial } = std::mem::take(&mut self.peers[conn.index()]);
        unread.extend_from_slice(bytes);
        let mut at = 0;
        let limits = self.limits.clone();
        let mut scratch = HeaderScratch::new();
        loop {
            let step = http.next(&unread[at..], &mut scratch, &limits);
            at += step.consumed;
            match step.event {
                ServerEvent::Request(_) => {
                    self.asked[serial] += 1;
                    if !self.answer(ops, conn) {
                        return;
                    }
                }
                ServerEvent::NeedMore => break,
                ServerEvent::Reject(reject) => panic!("the loader sent {reject}"),
                _ => {}
            }
        }
        unread.drain(..at);
        self.peers[conn.index()] = Peer { http, unread, serial };
    }
}
