//! A handler around a handler that checks what the engine promises.

use std::collections::HashMap;

use ringbench_engine::{CloseReason, ConnId, Control, Handler, Ops};

/// Panics when a call comes that [`Handler`]'s documentation does not allow.
#[derive(Debug, Default)]
pub(crate) struct Checked<H> {
    pub(crate) inner: H,
    /// The connections that are established, and whether their end of file has come.
    open: HashMap<ConnId, bool>,
    /// The index of every connection that is alive: at most one id has it.
    by_index: HashMap<usize, ConnId>,
    ended: Vec<ConnId>,
    started: bool,
    turn_is_over: bool,
    now_ns: u64,
}

impl<H> Checked<H> {
    pub(crate) fn new(inner: H) -> Self {
        Self {
            inner,
            open: HashMap::new(),
            by_index: HashMap::new(),
            ended: Vec::new(),
            started: false,
            turn_is_over: false,
            now_ns: 0,
        }
    }

    /// Connections that were established and have not been reported as closed.
    pub(crate) fn open(&self) -> usize {
        self.open.len()
    }

    fn begin(&mut self, ops: &Ops) {
        assert!(self.started, "a call before `started`");
        assert!(ops.now_ns() >= self.now_ns, "time runs backwards");
        self.now_ns = ops.now_ns();
        self.turn_is_over = false;
    }

    fn opened(&mut self, ops: &Ops, conn: ConnId) {
        self.begin(ops);
        assert!(!self.ended.contains(&conn), "{conn:?} is back from the dead");
        assert_eq!(self.open.insert(conn, false), None, "{conn:?} opened twice");
        let other = self.by_index.insert(conn.index(), conn);
        assert_eq!(other, None, "two connections have one index");
    }

    fn alive(&mut self, ops: &Ops, conn: ConnId) -> &mut bool {
        self.begin(ops);
        self.open.get_mut(&conn).unwrap_or_else(|| panic!("{conn:?} is not open"))
    }
}

impl<H: Handler> Handler for Checked<H> {
    fn started(&mut self, ops: &mut Ops) {
        assert!(!self.started, "started twice");
        self.started = true;
        self.begin(ops);
        self.inner.started(ops);
    }

    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.opened(ops, conn);
        self.inner.accepted(ops, conn);
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        self.opened(ops, conn);
        self.inner.connected(ops, conn);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let eof = *self.alive(ops, conn);
        assert!(!eof, "{conn:?}: bytes after the end");
        assert!(!bytes.is_empty(), "{conn:?}: no bytes");
        self.inner.received(ops, conn, bytes);
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        let eof = std::mem::replace(self.alive(ops, conn), true);
        assert!(!eof, "{conn:?}: two ends of file");
        self.inner.eof(ops, conn);
    }

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.alive(ops, conn);
        assert_eq!(ops.backlog_bytes(conn), 0);
        self.inner.drained(ops, conn);
    }

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        self.begin(ops);
        assert!(!self.ended.contains(&conn), "{conn:?}: a deadline after the end");
        self.inner.deadline(ops, conn);
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        self.begin(ops);
        assert!(!self.ended.contains(&conn), "{conn:?} closed twice");
        if self.open.remove(&conn).is_some() {
            assert!(!matches!(why, CloseReason::ConnectFailed(_)), "{conn:?} was connected");
            assert_eq!(self.by_index.remove(&conn.index()), Some(conn));
        }
        self.ended.push(conn);
        self.inner.closed(ops, conn, why);
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.begin(ops);
        self.inner.alarm(ops);
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        self.begin(ops);
        self.inner.control(ops, control);
    }

    fn turn(&mut self, ops: &mut Ops) {
        self.begin(ops);
        self.turn_is_over = true;
        self.inner.turn(ops);
    }

    fn submitting(&mut self, now_ns: u64) {
        assert!(self.turn_is_over, "output handed over before the end of the turn");
        assert!(now_ns >= self.now_ns, "sent before it was written");
        self.now_ns = now_ns;
        self.turn_is_over = false;
        self.inner.submitting(now_ns);
    }
}
