//! The seam between a program and an engine: what a shard tells its program.
//!
//! A program (ringserve, ringload, a test) implements [`Handler`] once; every back end calls it in
//! the same way. The handler never sees a socket, a ring or a clock: bytes and time come in as
//! arguments, and what it wants done it records in [`Ops`](crate::Ops), which the back end carries
//! out at the end of the batch.

use std::{fmt, io};

use crate::Ops;

/// Names one connection of one shard.
///
/// The index is reused after the connection is gone; the generation tells the users of one index
/// apart, so that an id that was kept too long is recognised and does nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ConnId {
    /// Position in a dense table, for a handler that keeps its own state per connection in a `Vec`.
    /// Indices are handed out from 0 up, and the one that was given back last is used next.
    #[inline]
    pub fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Debug for ConnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "conn {}.{}", self.index, self.generation)
    }
}

/// Why a connection is gone.
#[derive(Debug)]
pub enum CloseReason {
    /// The handler asked for it with [`Ops::close`], [`Ops::close_lingering`], [`Ops::abort`] or
    /// [`Ops::reset`].
    Local,
    /// The shard is stopping and ended what was still open.
    Stopped,
    /// The connection never came to be: the socket could not be made or connected.
    ConnectFailed(io::Error),
    /// Receiving failed (reset by the peer, timed out by the kernel, ...).
    ReceiveFailed(io::Error),
    /// Sending failed (broken pipe, reset by the peer, ...).
    SendFailed(io::Error),
}

/// What the world outside tells a shard, see [`ShardControl`](crate::ShardControl).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// Finish what is under way. The engine has stopped accepting; the shard ends by itself when
    /// its last connection is gone.
    Drain,
}

/// One program on one shard.
///
/// Every method may call any method of [`Ops`]; none is called from within another. For one
/// connection the order is: `accepted` or `connected`, then any number of `received`, `drained`
/// and `deadline`, at most one `eof`, and last `closed`. A connection that could not be made gets
/// `closed` only. After the handler called [`Ops::close`], [`Ops::close_lingering`],
/// [`Ops::abort`] or [`Ops::reset`], only `closed` follows.
pub trait Handler {
    /// The shard is up: listeners are open. A client starts to connect here.
    fn started(&mut self, ops: &mut Ops) {
        let _ = ops;
    }

    /// A peer connected to one of the shard's listeners.
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        let _ = (ops, conn);
    }

    /// A connection asked for with [`Ops::connect`] is established.
    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        let _ = (ops, conn);
    }

    /// Bytes came in. They are the handler's until it returns: what it still needs then, it copies.
    /// `bytes` is never empty.
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]);

    /// The peer will send no more. Output may still be written; the handler decides when to close.
    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.close(conn);
    }

    /// All output of the connection has been taken by the kernel, after [`Ops::notify_drained`]
    /// asked to be told.
    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        let _ = (ops, conn);
    }

    /// The deadline set with [`Ops::set_deadline`] has passed. It is cleared before the call.
    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        let _ = (ops, conn);
    }

    /// The connection is gone; the id is dead from here on.
    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        let _ = (ops, conn, why);
    }

    /// The time set with [`Ops::set_alarm`] has come. It is cleared before the call.
    fn alarm(&mut self, ops: &mut Ops) {
        let _ = ops;
    }

    /// A message from outside the shard.
    fn control(&mut self, ops: &mut Ops, control: Control) {
        let _ = (ops, control);
    }

    /// Everything that came in with one batch of completions has been delivered. Called once per
    /// turn of the loop, before output is handed over.
    fn turn(&mut self, ops: &mut Ops) {
        let _ = ops;
    }

    /// The output written since the last call is handed to the kernel now. `now_ns` is taken right
    /// before: the moment of sending for everything in this batch.
    fn submitting(&mut self, now_ns: u64) {
        let _ = now_ns;
    }
}
