//! What a shard keeps for each connection: little, and for an idle one no buffer.

use ringbench_engine::ConnId;
use ringbench_http::ServerConn;

use crate::reply::Persist;
use crate::rest::Rest;
use crate::routes::Target;
use crate::serve::Outcome;

/// One connection. An idle one is this and nothing more.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// `None` once it is closed.
    pub(crate) id: Option<ConnId>,
    pub(crate) parser: ServerConn,
    /// The request that is being read, or whose answer is not complete.
    pub(crate) exchange: Exchange,
    /// What has come of a request that is not whole, and requests that have to wait.
    pub(crate) partial: Option<Box<Partial>>,
    /// What is still to come of the last answer; until then no further request is answered.
    pub(crate) rest: Option<Box<Rest>>,
    /// Unsent output when the deadline last came: a client that reads on is not idle.
    pub(crate) unsent_bytes: usize,
    /// All bytes of answers. Once they are many, the socket may not have taken the last of them.
    pub(crate) written_bytes: u32,
    /// Requests answered.
    pub(crate) requests: u32,
    /// What to do when everything is sent; until then input is thrown away.
    pub(crate) closing: Option<Outcome>,
    pub(crate) timer: Timer,
    /// The client will send no more.
    pub(crate) eof: bool,
    /// Its input is held back, as too much of it waits.
    pub(crate) held: bool,
    /// It had to wait with its next piece, and may make it now.
    pub(crate) is_called: bool,
    /// It was one too many.
    pub(crate) turned_away: bool,
}

/// Every byte here is multiplied by the number of open connections.
const _: () = assert!(size_of::<Connection>() <= 112);

/// What the connection's deadline stands for.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A head must be complete.
    #[default]
    Head,
    /// More of a body must come.
    Body,
    /// A request must begin.
    Idle,
    /// More of the last answer must be taken by the client.
    Send,
    /// An answer that was put off is given.
    Later,
}

/// What is known of a request that is being read or answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) target: Target,
    pub(crate) persist: Persist,
    pub(crate) head_only: bool,
    /// How much of its body has come, decoded.
    pub(crate) body_bytes: u64,
}

impl Default for Exchange {
    fn default() -> Self {
        Self { target: Target::NotFound, persist: Persist::Close, head_only: false, body_bytes: 0 }
    }
}

/// A request that came in pieces, and what came behind one whose answer is not complete.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    /// Input that the parser has not consumed.
    pub(crate) input: Vec<u8>,
    /// The head of the request whose body is being read, as it came.
    pub(crate) head: Vec<u8>,
    /// The body so far, of a route that wants to see it.
    pub(crate) body: Vec<u8>,
}

/// Buffers that are not in use, kept for the next request that comes in pieces.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    #[allow(clippy::vec_box, reason = "boxes move between here and the connections")]
    free: Vec<Box<Partial>>,
}

impl Pool {
    /// The most that are kept.
    const KEPT: usize = 64;
    /// Of a buffer that has grown beyond this the rest is given back.
    const KEPT_BYTES: usize = 16 * 1024;

    /// An empty one.
    #[allow(clippy::unnecessary_box_returns, reason = "connections keep the box")]
    pub(crate) fn take(&mut self) -> Box<Partial> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes one back.
    pub(crate) fn put(&mut self, mut partial: Box<Partial>) {
        if self.free.len() < Self::KEPT {
            for buffer in [&mut partial.input, &mut partial.head, &mut partial.body] {
                buffer.clear();
                buffer.shrink_to(Self::KEPT_BYTES);
            }
            self.free.push(partial);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_hands_out_empty_buffers_and_gives_back_large_ones() {
        let mut pool = Pool::default();
        let mut partial = pool.take();
        partial.head.push(1);
        partial.body.resize(1 << 20, 1);
        partial.input.push(1);
        pool.put(partial);
        let partial = pool.take();
        assert!(partial.input.is_empty() && partial.head.is_empty() && partial.body.is_empty());
        assert!(partial.body.capacity() <= Pool::KEPT_BYTES && partial.input.capacity() > 0);
        for _ in 0..2 * Pool::KEPT {
            pool.put(Box::default());
        }
        assert_eq!(pool.free.len(), Pool::KEPT);
    }
}
