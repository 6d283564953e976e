//! What happened last, for the report of a failure, and a fingerprint of all that happened.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::{CloseReason, ConnId, Control, Handler, Ops};

/// How many events are kept.
const KEPT_EVENTS: usize = 256;

#[derive(Clone, Copy, Hash)]
struct Record {
    at_ns: u64,
    shard: usize,
    conn: Option<ConnId>,
    what: &'static str,
    count: usize,
}

/// The last events of a simulation.
#[derive(Default)]
pub(super) struct Trace {
    records: VecDeque<Record>,
    hasher: DefaultHasher,
}

impl Trace {
    pub(super) fn add(
        &mut self,
        at_ns: u64,
        shard: usize,
        conn: Option<ConnId>,
        what: &'static str,
        count: usize,
    ) {
        let record = Record { at_ns, shard, conn, what, count };
        record.hash(&mut self.hasher);
        if self.records.len() == KEPT_EVENTS {
            self.records.pop_front();
        }
        self.records.push_back(record);
    }

    /// A hash of every event so far.
    pub(super) fn fingerprint(&self) -> u64 {
        self.hasher.finish()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            let at_us = record.at_ns / 1000;
            let mut who = format!("shard {}", record.shard);
            if let Some(conn) = record.conn {
                write!(who, "  {conn:?}")?;
            }
            let nanos = record.at_ns % 1000;
            writeln!(f, "{at_us:>12}.{nanos:03} us  {who:<22}  {} {}", record.what, record.count)?;
        }
        Ok(())
    }
}

/// Writes down every call of a handler on its way there.
pub(super) struct Traced<'a> {
    pub(super) handler: &'a mut dyn Handler,
    pub(super) trace: &'a mut Trace,
    pub(super) shard: usize,
}

impl Traced<'_> {
    fn add(&mut self, ops: &Ops, conn: Option<ConnId>, what: &'static str, count: usize) {
        self.trace.add(ops.now_ns, self.shard, conn, what, count);
    }
}

impl Handler for Traced<'_> {
    fn started(&mut self, ops: &mut Ops) {
        self.add(ops, None, "started", 0);
        self.handler.started(ops);
    }

    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.add(ops, Some(conn), "accepted", 0);
        self.handler.accepted(ops, conn);
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        self.add(ops, Some(conn), "connected", 0);
        self.handler.connected(ops, conn);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        self.add(ops, Some(conn), "received", bytes.len());
        self.handler.received(ops, conn, bytes);
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        self.add(ops, Some(conn), "eof", 0);
        self.handler.eof(ops, conn);
    }

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.add(ops, Some(conn), "drained", 0);
        self.handler.drained(ops, conn);
    }

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        self.add(ops, Some(conn), "deadline", 0);
        self.handler.deadline(ops, conn);
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        let (what, error) = match &why {
            CloseReason::Local => ("closed: local", None),
            CloseReason::Stopped => ("closed: stopped", None),
            CloseReason::ConnectFailed(error) => ("closed: connect failed, errno", Some(error)),
            CloseReason::ReceiveFailed(error) => ("closed: receive failed, errno", Some(error)),
            CloseReason::SendFailed(error) => ("closed: send failed, errno", Some(error)),
        };
        let errno = error.and_then(std::io::Error::raw_os_error).unwrap_or(0);
        self.add(ops, Some(conn), what, errno as usize);
        self.handler.closed(ops, conn, why);
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.add(ops, None, "alarm", 0);
        self.handler.alarm(ops);
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        let Control::Drain = control;
        self.add(ops, None, "control: drain", 0);
        self.handler.control(ops, control);
    }

    fn turn(&mut self, ops: &mut Ops) {
        self.handler.turn(ops);
    }

    fn submitting(&mut self, now_ns: u64) {
        self.handler.submitting(now_ns);
    }
}
