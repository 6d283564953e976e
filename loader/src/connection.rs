//! One connection of the loader: what it waits for, and how the bytes that come in are read.

use ringbench_engine::ConnId;
use ringbench_http::{
    ClientConn, ClientError, ClientEvent, EofOutcome, HeaderScratch, Limits, RequestKind,
    ResponseHead,
};

use crate::opener::Newness;

/// Memory for the beginnings of responses that a shard keeps, and how large each may be. Beyond
/// that it goes back, so that one burst of halves does not hold it for the rest of the run.
const SPARE_BUFFERS: usize = 256;
const SPARE_CAPACITY: usize = 64 << 10;

/// Where a connection stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// There is none in this place.
    Gone,
    /// Asked for, not established.
    Connecting,
    /// Asked for, but it took too long.
    Abandoned,
    /// Requests may be sent.
    Open,
    /// It was closed; the engine has not said yet that it is gone.
    Closing,
}

/// When the requests that are outstanding on a connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// When they were due, in an open loop.
    pub intended_ns: u64,
    /// When they were handed to the kernel.
    pub sent_ns: u64,
    /// Whether they were due before a connection was there for them.
    pub waited: bool,
}

/// Who wants to know of responses.
pub trait Sink {
    /// A response has begun.
    fn head(&mut self, head: &ResponseHead<'_, '_>) {
        let _ = head;
    }

    /// A piece of its body.
    fn body(&mut self, bytes: &[u8]) {
        let _ = bytes;
    }

    /// It is complete. `times` are those of its request.
    fn end(&mut self, status: u16, times: Times);
}

/// The state of one connection, in a dense table.
#[derive(Debug)]
pub struct Connection {
    /// Who has the place.
    pub id: Option<ConnId>,
    /// Where it stands.
    pub phase: Phase,
    /// Whether it is yet to prove its worth.
    pub newness: Newness,
    /// Whose turns it takes where each connection has a schedule of its own.
    pub turn: u32,
    http: ClientConn,
    /// How many more requests it may carry.
    left: u64,
    /// Of the requests that are outstanding.
    times: Times,
    /// Of the response that is being read.
    status: u16,
    /// The beginning of a response that has not come as a whole; mostly empty.
    partial: Vec<u8>,
}

/// What input has led to.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Responses are still owed.
    Waiting,
    /// All requests are answered.
    Answered,
    /// A response was the connection's last.
    Last,
    /// The server broke the protocol.
    Malformed(ClientError),
}

impl Connection {
    /// An empty place.
    pub fn vacant() -> Self {
        Self {
            id: None,
            phase: Phase::Gone,
            newness: Newness::NOT,
            turn: 0,
            http: ClientConn::new(),
            left: 0,
            times: Times::default(),
            status: 0,
            partial: Vec::new(),
        }
    }

    /// A connection takes the place, which is to carry so many requests.
    pub fn occupy(&mut self, id: ConnId, requests: u64) {
        debug_assert!(self.phase == Phase::Gone && self.partial.is_empty());
        self.id = Some(id);
        self.phase = Phase::Connecting;
        self.newness = Newness::NOT;
        self.http = ClientConn::new();
        self.left = requests;
    }

    /// How many of `wanted` requests may still be sent on it.
    #[inline]
    pub fn room_for(&self, wanted: u32) -> u32 {
        self.left.min(wanted.into()) as u32
    }

    /// Whether it has carried all the requests that it is to carry; answers may still be owed.
    #[inline]
    pub fn is_spent(&self) -> bool {
        self.left == 0
    }

    /// So many requests of a kind are on their way out.
    #[inline]
    pub fn sent(&mut self, requests: u32, kind: RequestKind) {
        // A script may give more than it was asked for.
        self.left = self.left.saturating_sub(requests.into());
        for _ in 0..requests {
            self.http.sent(kind);
        }
    }

    /// They were due at `intended_ns`; `waited` if there was no connection for them then.
    #[inline]
    pub fn due(&mut self, intended_ns: u64, waited: bool) {
        self.times.intended_ns = intended_ns;
        self.times.waited = waited;
    }

    /// They are handed to the kernel now.
    #[inline]
    pub fn stamp(&mut self, now_ns: u64) -> Times {
        self.times.sent_ns = now_ns;
        self.times
    }

    /// When the requests that are outstanding began.
    pub fn times(&self) -> Times {
        self.times
    }

    /// How many responses are owed.
    #[inline]
    pub fn unanswered(&self) -> u32 {
        self.http.outstanding() as u32
    }

    /// Gives up on the responses that are owed; how many there were.
    pub fn forget_unanswered(&mut self) -> u32 {
        let unanswered = self.unanswered();
        self.http = ClientConn::new();
        unanswered
    }

    /// Takes in what was received. It is parsed where it lies; only the beginning of a response
    /// whose rest is still to come is copied, into memory from `spare`.
    #[inline]
    pub fn receive(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        sink: &mut impl Sink,
        spare: &mut Vec<Vec<u8>>,
    ) -> Outcome {
        if !self.partial.is_empty() {
            return self.receive_rest(bytes, limits, sink, spare);
        }
        let (consumed, outcome) = self.read(bytes, limits, sink);
        if consumed < bytes.len() && outcome == Outcome::Waiting {
            self.partial = spare.pop().unwrap_or_default();
            self.partial.extend_from_slice(&bytes[consumed..]);
        }
        outcome
    }

    fn receive_rest(
        &mut self,
        bytes: &[u8],
        limits: &Limits,
        sink: &mut impl Sink,
        spare: &mut Vec<Vec<u8>>,
    ) -> Outcome {
        let mut input = std::mem::take(&mut self.partial);
        input.extend_from_slice(bytes);
        let (consumed, outcome) = self.read(&input, limits, sink);
        input.drain(..consumed);
        self.partial = input;
        if self.partial.is_empty() || outcome != Outcome::Waiting {
            self.release(spare);
        }
        outcome
    }

    /// Gives memory for half a response back, if there is any.
    pub fn release(&mut self, spare: &mut Vec<Vec<u8>>) {
        let mut partial = std::mem::take(&mut self.partial);
        let is_worth_keeping = (1..=SPARE_CAPACITY).contains(&partial.capacity());
        if is_worth_keeping && spare.len() < SPARE_BUFFERS {
            partial.clear();
            spare.push(partial);
        }
    }

    /// Reads responses until more bytes are needed; how many bytes were used.
    #[inline]
    fn read(&mut self, input: &[u8], limits: &Limits, sink: &mut impl Sink) -> (usize, Outcome) {
        let mut scratch = HeaderScratch::new();
        let mut consumed = 0;
        loop {
            let step = self.http.next(&input[consumed..], &mut scratch, limits);
            consumed += step.consumed;
            match step.event {
                ClientEvent::Head(head) => {
                    self.status = head.status;
                    sink.head(&head);
                }
                // RFC 9110 15.2: an interim response is not the answer, which follows.
                ClientEvent::Interim(_) => {}
                ClientEvent::Body(bytes) => sink.body(bytes),
                ClientEvent::End { keep_alive } => {
                    sink.end(self.status, self.times);
                    if !keep_alive {
                        return (consumed, Outcome::Last);
                    }
                    if self.unanswered() == 0 && consumed == input.len() {
                        return (consumed, Outcome::Answered);
                    }
                }
                ClientEvent::NeedMore => return (consumed, Outcome::Waiting),
                ClientEvent::Error(error) => return (consumed, Outcome::Malformed(error)),
                ClientEvent::Closed => return (consumed, Outcome::Last),
            }
        }
    }

    /// The server will send no more; what that means. A response that ends with its connection is
    /// complete now.
    pub fn eof(&mut self, sink: &mut impl Sink) -> EofOutcome {
        let outcome = self.http.eof();
        if outcome == EofOutcome::BodyEnd {
            sink.end(self.status, self.times);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_for_reuse_is_bounded() {
        let mut spare = Vec::new();
        let mut release = |capacity| {
            let mut conn = Connection::vacant();
            conn.partial = Vec::with_capacity(capacity);
            conn.release(&mut spare);
            spare.len()
        };
        assert_eq!(release(0), 0, "nothing to keep");
        assert_eq!(release(SPARE_CAPACITY + 1), 0, "too large");
        assert_eq!(release(100), 1);
        assert_eq!((0..1_000).map(|_| release(100)).max(), Some(SPARE_BUFFERS));
    }
}
