//! What a shard keeps for each connection: little, and for an idle one no buffer.

use ringbench_engine::ConnId;
use ringbench_http::{RequestHead, ServerConn};

use crate::reply::Persist;
use crate::routes::{Request, Target};
use crate::serve::Outcome;

/// One connection. An idle one is this and nothing more.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// `None` once it is closed.
    pub(crate) id: Option<ConnId>,
    pub(crate) parser: ServerConn,
    /// The request that is being read; counts only while the parser is in its body.
    pub(crate) exchange: Exchange,
    /// What has come of a request that is not whole.
    pub(crate) partial: Option<Box<Partial>>,
    /// Unsent output when the deadline last came: a client that reads on is not idle.
    pub(crate) unsent_bytes: usize,
    pub(crate) timer: Timer,
    /// All bytes of answers. Once they are many, the socket may not have taken the last of them.
    pub(crate) written_bytes: u32,
    /// What to do when everything is sent; until then input is thrown away.
    pub(crate) closing: Option<Outcome>,
}

/// Every byte here is multiplied by the number of open connections.
const _: () = assert!(size_of::<Connection>() <= 96);

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
}

/// What is known of a request whose body is still being read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Exchange {
    pub(crate) target: Target,
    pub(crate) persist: Persist,
    pub(crate) head_only: bool,
    /// How many bytes of a body that nobody wants are still thrown away.
    pub(crate) discard_left: u32,
}

impl Default for Exchange {
    fn default() -> Self {
        Self {
            target: Target::NotFound,
            persist: Persist::Close,
            head_only: false,
            discard_left: 0,
        }
    }
}

/// A request that came in pieces.
#[derive(Debug, Default)]
pub(crate) struct Partial {
    /// Input that the parser has not consumed.
    pub(crate) input: Vec<u8>,
    /// The body so far.
    pub(crate) body: Vec<u8>,
    /// The fields of the head that routes see, one after the other.
    fields: Vec<u8>,
    query_len: Option<u32>,
    has_type: bool,
}

impl Partial {
    /// Keeps the parts of the head that routes see, and the start of the body.
    pub(crate) fn keep(&mut self, fields: &Fields<'_>, body: &[u8]) {
        self.body.clear();
        self.body.extend_from_slice(body);
        self.fields.clear();
        self.fields.extend_from_slice(fields.query.unwrap_or_default());
        self.query_len = fields.query.map(|query| query.len() as u32);
        self.fields.extend_from_slice(fields.content_type.unwrap_or_default());
        self.has_type = fields.content_type.is_some();
    }

    /// The request, its body as far as it has come.
    pub(crate) fn request(&self) -> Request<'_> {
        let (query, content_type) = self.fields.split_at(self.query_len.unwrap_or(0) as usize);
        Request {
            query: self.query_len.map(|_| query),
            content_type: self.has_type.then_some(content_type),
            body: &self.body,
        }
    }

    fn clear(&mut self) {
        self.input.clear();
        self.body.clear();
        self.fields.clear();
        self.query_len = None;
        self.has_type = false;
    }
}

/// The parts of a head that routes see, in the input.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Fields<'b> {
    pub(crate) query: Option<&'b [u8]>,
    pub(crate) content_type: Option<&'b [u8]>,
}

impl<'b> Fields<'b> {
    #[inline]
    pub(crate) fn of(head: &RequestHead<'b, '_>) -> Self {
        Self { query: head.query, content_type: head.header("content-type") }
    }
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
            partial.clear();
            for buffer in [&mut partial.input, &mut partial.body, &mut partial.fields] {
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
    fn fields_survive_their_input() {
        for query in [None, Some(&b""[..]), Some(b"a=1")] {
            for content_type in [None, Some(&b""[..]), Some(b"text/html")] {
                let mut partial = Partial::default();
                partial.keep(&Fields { query: Some(b"old"), content_type: None }, b"old");
                partial.keep(&Fields { query, content_type }, b"body");
                let request = partial.request();
                assert_eq!((request.query, request.content_type), (query, content_type));
                assert_eq!(request.body, b"body");
            }
        }
    }

    #[test]
    fn the_pool_hands_out_empty_buffers_and_gives_back_large_ones() {
        let mut pool = Pool::default();
        let mut partial = pool.take();
        partial.keep(&Fields { query: Some(b"q"), content_type: Some(b"t") }, b"");
        partial.body.resize(1 << 20, 1);
        partial.input.push(1);
        pool.put(partial);
        let partial = pool.take();
        assert!(partial.input.is_empty() && partial.body.is_empty());
        assert!(partial.body.capacity() <= Pool::KEPT_BYTES && partial.input.capacity() > 0);
        let request = partial.request();
        assert!(request.query.is_none() && request.content_type.is_none());
        for _ in 0..2 * Pool::KEPT {
            pool.put(Box::default());
        }
        assert_eq!(pool.free.len(), Pool::KEPT);
    }
}
