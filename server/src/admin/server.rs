//! The admin shard's HTTP: few clients, short requests, one at a time.

use std::mem;
use std::time::SystemTime;

use ringbench_engine::{CloseReason, ConnId, Engine, Handler, Ops};
use ringbench_http::{
    BodyLength, EncodeError, HeaderScratch, Limits, Method, ResponseBuilder, ServerConn,
    ServerEvent, reason_phrase,
};

use super::View;
use super::metrics::{self, Report};
use super::process::{Process, thread_cpu_ns};
use crate::access_log::AccessLog;
use crate::config::Timeouts;
use crate::date::Date;

/// One more connection is dropped at once.
const MAX_CONNECTIONS: usize = 64;

/// Nobody has more to say to it.
const MAX_HEAD_BYTES: usize = 8 * 1024;

/// What a connection's deadline stands for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Timer {
    /// A request must be complete.
    #[default]
    Head,
    /// The answer must be taken.
    Send,
    /// A request must begin.
    Idle,
}

#[derive(Debug, Default)]
struct Conn {
    parser: ServerConn,
    /// What has come of a request.
    input: Vec<u8>,
    timer: Timer,
}

/// The admin shard.
#[derive(Debug)]
pub(crate) struct AdminServer {
    view: View,
    engine: Engine,
    timeouts: Timeouts,
    limits: Limits,
    /// By [`ConnId::index`].
    conns: Vec<Conn>,
    date: Date,
    body: Vec<u8>,
    /// What each shard's thread had used when last asked: one that has ended says no more.
    cpu_ns: Vec<u64>,
}

/// An answer.
#[derive(Debug, Clone, Copy)]
struct Answer {
    status: u16,
    content_type: &'static str,
    head_only: bool,
    keep_alive: bool,
}

impl AdminServer {
    pub(super) fn new(view: View, engine: Engine, timeouts: Timeouts) -> Self {
        Self {
            view,
            engine,
            timeouts,
            limits: Limits {
                max_head_bytes: MAX_HEAD_BYTES,
                max_body_bytes: 0,
                ..Limits::default()
            },
            conns: Vec::new(),
            date: Date::new(0, SystemTime::now()),
            body: Vec::new(),
            cpu_ns: Vec::new(),
        }
    }

    fn arm(&mut self, ops: &mut Ops, id: ConnId, timer: Timer) {
        let time = match timer {
            Timer::Head => self.timeouts.header,
            Timer::Send => self.timeouts.send,
            Timer::Idle => self.timeouts.keepalive,
        };
        self.conns[id.index()].timer = timer;
        ops.set_deadline(id, ops.now_ns() + time.as_nanos() as u64);
    }

    /// Answers the request that `input` is.
    fn serve(&mut self, ops: &mut Ops, id: ConnId, input: &mut Vec<u8>) {
        let mut scratch = HeaderScratch::new();
        let conn = &mut self.conns[id.index()];
        let step = conn.parser.next(input, &mut scratch, &self.limits);
        let whole_input = step.consumed == input.len();
        let answer = match step.event {
            ServerEvent::NeedMore => {
                input.drain(..step.consumed);
                if conn.timer != Timer::Head {
                    self.arm(ops, id, Timer::Head);
                }
                return;
            }
            ServerEvent::Request(head) => {
                self.body.clear();
                let (status, content_type) = self.route(head.path, head.method);
                // A client that sends on does not wait for its answer, and could ask for more
                // than it takes.
                let alone =
                    whole_input && matches!(head.body, BodyLength::None | BodyLength::Length(0));
                let head_only = head.method == Method::Head;
                Answer { status, content_type, head_only, keep_alive: head.keep_alive && alone }
            }
            ServerEvent::Reject(reject) => Answer {
                head_only: reject.to_head,
                keep_alive: false,
                ..self.explain(reject.status)
            },
            ServerEvent::Body(_) | ServerEvent::End | ServerEvent::Closed => {
                return ops.close_lingering(id);
            }
        };
        input.clear();
        self.send(ops, id, answer);
    }

    /// Makes the body of what `path` stands for.
    fn route(&mut self, path: &[u8], method: Method) -> (u16, &'static str) {
        let known = matches!(path, b"/metrics" | b"/healthz");
        let is_get = matches!(method, Method::Get | Method::Head);
        let Answer { status, content_type, .. } = match path {
            _ if !known => self.explain(404),
            _ if !is_get => self.explain(405),
            b"/metrics" => {
                self.write_metrics();
                return (200, metrics::CONTENT_TYPE);
            }
            _ => {
                let draining = self.view.board.is_draining();
                let (status, text) = if draining { (503, "draining\n") } else { (200, "ok\n") };
                self.body.extend_from_slice(text.as_bytes());
                return (status, "text/plain");
            }
        };
        (status, content_type)
    }

    /// A status whose name is its body.
    fn explain(&mut self, status: u16) -> Answer {
        self.body.clear();
        self.body.extend_from_slice(reason_phrase(status).as_bytes());
        self.body.push(b'\n');
        Answer { status, content_type: "text/plain", head_only: false, keep_alive: true }
    }

    fn write_metrics(&mut self) {
        let mut shards: Vec<_> = self.view.board.snapshots().collect();
        self.cpu_ns.resize(shards.len(), 0);
        for (shard, last_ns) in shards.iter_mut().zip(&mut self.cpu_ns) {
            if let Some(cpu_ns) = shard.thread.and_then(thread_cpu_ns) {
                *last_ns = cpu_ns;
            }
            shard.stats.cpu_ns = *last_ns;
        }
        let report = Report {
            shards: &shards,
            process: Process::now(self.view.started),
            engine: &self.engine.to_string(),
            draining: self.view.board.is_draining(),
            log: self.view.log.as_ref().map(AccessLog::counts),
        };
        metrics::write(&mut self.body, &report);
    }

    fn send(&mut self, ops: &mut Ops, id: ConnId, answer: Answer) {
        if self.date.is_stale(ops.now_ns()) {
            self.date.set(ops.now_ns(), SystemTime::now());
        }
        if let Err(error) = write(ops.output(id), answer, self.date.as_bytes(), &self.body) {
            debug_assert!(false, "a fixed response can be written: {error}");
            return ops.abort(id);
        }
        if answer.keep_alive {
            self.arm(ops, id, Timer::Send);
        } else {
            // RFC 9112 section 9.6: more may be on its way, which must not eat the answer.
            ops.close_lingering(id);
        }
    }
}

fn write(out: &mut Vec<u8>, answer: Answer, date: &[u8], body: &[u8]) -> Result<(), EncodeError> {
    let mut head = ResponseBuilder::new(out, answer.status)?
        .header("Server", "ringserve")?
        .header("Date", date)?
        .header("Content-Type", answer.content_type)?;
    if answer.status == 405 {
        head = head.header("Allow", "GET, HEAD")?;
    }
    head = if answer.keep_alive { head.keep_alive() } else { head.close() };
    if answer.head_only { head.content_length(body.len() as u64) } else { head.body(body) }
}

impl Handler for AdminServer {
    fn accepted(&mut self, ops: &mut Ops, id: ConnId) {
        if id.index() >= self.conns.len() {
            self.conns.resize_with(id.index() + 1, Conn::default);
        }
        self.conns[id.index()] = Conn::default();
        if ops.connections() > MAX_CONNECTIONS {
            return ops.abort(id);
        }
        self.arm(ops, id, Timer::Head);
    }

    fn received(&mut self, ops: &mut Ops, id: ConnId, bytes: &[u8]) {
        if ops.backlog_bytes(id) > 0 {
            // As in `serve`: it does not wait for its answer.
            return ops.close_lingering(id);
        }
        let mut input = mem::take(&mut self.conns[id.index()].input);
        input.extend_from_slice(bytes);
        self.serve(ops, id, &mut input);
        self.conns[id.index()].input = input;
    }

    fn deadline(&mut self, ops: &mut Ops, id: ConnId) {
        if ops.backlog_bytes(id) > 0 {
            return ops.abort(id);
        }
        match self.conns[id.index()].timer {
            Timer::Send => self.arm(ops, id, Timer::Idle),
            Timer::Head | Timer::Idle => ops.close(id),
        }
    }

    fn closed(&mut self, _: &mut Ops, id: ConnId, _: CloseReason) {
        self.conns[id.index()] = Conn::default();
    }
}
