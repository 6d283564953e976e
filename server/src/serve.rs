//! From bytes to answers: the requests in one piece of input, each answered as soon as it is whole.
//!
//! Nothing here waits. A request that lies whole in the input is answered from there, without a
//! copy; of one that does not, what has come is kept in the connection's
//! [`Partial`](crate::conn::Partial).

use ringbench_engine::{ConnId, Ops};
use ringbench_http::{
    BodyLength, CONTINUE, HeaderScratch, Method, Reject, RequestHead, ServerEvent,
};

use crate::conn::{Connection, Exchange, Fields};
use crate::handler::Shared;
use crate::reply::Persist;
use crate::routes::{Request, Target};

/// A body that no route wants is read and thrown away up to this length, so that the connection
/// can go on; beyond it the connection is closed instead.
pub(crate) const DISCARD_BYTES: u32 = 64 * 1024;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It does.
    Open,
    /// Close it: nothing more is to be expected.
    Close,
    /// Close it in stages, for more may be on its way (RFC 9112 section 9.6).
    Linger,
}

/// What came of one piece of input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Served {
    /// How much of it is done with.
    pub(crate) consumed: usize,
    /// How many bytes were answered.
    pub(crate) written: usize,
    /// Whether the connection goes on.
    pub(crate) outcome: Outcome,
}

/// Where the request that is being read has its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    /// Between two requests.
    Head,
    /// A body that began in this input and is whole there so far.
    InPlace,
    /// A body that came in pieces: in the connection's partial.
    Kept,
    /// A body that is thrown away.
    Discard,
}

/// One piece of input of one connection, being worked off.
pub(crate) struct Serving<'a, 'b> {
    ops: &'a mut Ops,
    id: ConnId,
    conn: &'a mut Connection,
    shared: &'a mut Shared,
    input: &'b [u8],
    consumed: usize,
    /// Bytes of answers.
    written: usize,
    reading: Reading,
    /// With [`Reading::InPlace`]: the body and fields of the head.
    body: &'b [u8],
    fields: Fields<'b>,
}

impl<'a, 'b> Serving<'a, 'b> {
    #[inline]
    pub(crate) fn new(
        ops: &'a mut Ops,
        id: ConnId,
        conn: &'a mut Connection,
        shared: &'a mut Shared,
        input: &'b [u8],
    ) -> Self {
        let reading = match conn.parser.is_mid_body() {
            false => Reading::Head,
            true if conn.exchange.target.wants_body() => Reading::Kept,
            true => Reading::Discard,
        };
        let (body, fields) = (&[][..], Fields::default());
        Self { ops, id, conn, shared, input, consumed: 0, written: 0, reading, body, fields }
    }

    /// Answers every request that is whole.
    #[inline]
    pub(crate) fn run(mut self) -> Served {
        let input = self.input;
        let mut scratch = HeaderScratch::new();
        loop {
            let limits = &self.shared.settings.limits;
            let step = self.conn.parser.next(&input[self.consumed..], &mut scratch, limits);
            self.consumed += step.consumed;
            let outcome = match step.event {
                ServerEvent::NeedMore => {
                    if self.reading == Reading::InPlace {
                        self.keep();
                    }
                    return self.served(Outcome::Open);
                }
                ServerEvent::Request(head) => self.begin(&head),
                ServerEvent::Body(bytes) => self.body(bytes),
                ServerEvent::End => self.answer(),
                ServerEvent::Reject(reject) => self.refuse(reject),
                ServerEvent::Closed => Outcome::Linger,
            };
            if outcome != Outcome::Open {
                return self.served(outcome);
            }
        }
    }

    #[inline]
    fn served(&self, outcome: Outcome) -> Served {
        Served { consumed: self.consumed, written: self.written, outcome }
    }

    /// A head: answers it, or gets ready for its body.
    #[inline]
    fn begin(&mut self, head: &RequestHead<'b, '_>) -> Outcome {
        let target = Target::of(head);
        self.conn.exchange = Exchange {
            target,
            persist: Persist::asked(head.version, head.keep_alive),
            head_only: head.method == Method::Head,
            discard_left: DISCARD_BYTES,
        };
        if !target.is_constant() {
            self.fields = Fields::of(head);
        }
        self.body = &[];
        if matches!(head.body, BodyLength::None | BodyLength::Length(0)) {
            return self.answer();
        }
        // RFC 9110 section 10.1.1: once some of the body has come, nobody waits for a 100.
        let waits = head.expect_continue && self.consumed == self.input.len();
        if target.wants_body() {
            self.reading = Reading::InPlace;
            if waits {
                self.ops.output(self.id).extend_from_slice(CONTINUE);
            }
            return Outcome::Open;
        }
        self.reading = Reading::Discard;
        let too_long =
            matches!(head.body, BodyLength::Length(length) if length > DISCARD_BYTES.into());
        if too_long || waits { self.answer_early() } else { Outcome::Open }
    }

    /// A piece of the body.
    #[inline]
    fn body(&mut self, bytes: &'b [u8]) -> Outcome {
        match self.reading {
            Reading::InPlace if self.body.is_empty() => self.body = bytes,
            Reading::InPlace | Reading::Kept => {
                self.keep();
                if let Some(partial) = &mut self.conn.partial {
                    partial.body.extend_from_slice(bytes);
                }
            }
            Reading::Discard | Reading::Head => {
                let left = &mut self.conn.exchange.discard_left;
                match left.checked_sub(bytes.len() as u32) {
                    Some(rest) => *left = rest,
                    None => return self.answer_early(),
                }
            }
        }
        Outcome::Open
    }

    /// Moves what lies in the input to the connection's partial.
    fn keep(&mut self) {
        if self.reading == Reading::InPlace {
            let Shared { pool, .. } = &mut *self.shared;
            let partial = self.conn.partial.get_or_insert_with(|| pool.take());
            partial.keep(&self.fields, self.body);
            self.reading = Reading::Kept;
        }
    }

    /// Answers the request, which is whole.
    #[inline]
    fn answer(&mut self) -> Outcome {
        let Exchange { target, mut persist, head_only, .. } = self.conn.exchange;
        let whole_input = self.consumed == self.input.len();
        // What follows in the input was received before the drain or with it, so that it is still
        // answered; only the last answer says that the connection ends.
        if self.shared.draining && whole_input {
            persist = Persist::Close;
        }
        let request = match &self.conn.partial {
            Some(partial) if self.reading == Reading::Kept => partial.request(),
            _ => Request {
                query: self.fields.query,
                content_type: self.fields.content_type,
                body: self.body,
            },
        };
        let out = self.ops.output(self.id);
        let before = out.len();
        self.shared.prepared.answer(out, target, &request, persist, head_only);
        self.written += out.len() - before;
        self.shared.counts.requests += 1;
        self.reading = Reading::Head;
        match persist {
            Persist::Open | Persist::OpenTold => Outcome::Open,
            // A client that asked for the end may send nothing after it (RFC 9112 section 9.6), so
            // that the dearer way to close is for those that do.
            Persist::Close if whole_input && !self.shared.draining => Outcome::Close,
            Persist::Close => Outcome::Linger,
        }
    }

    /// Answers without waiting for the rest of a body that nobody wants, and gives up the
    /// connection, for where the next request would begin is not known.
    #[cold]
    fn answer_early(&mut self) -> Outcome {
        self.conn.exchange.persist = Persist::Close;
        self.answer();
        Outcome::Linger
    }

    /// What came is no request that may be answered.
    #[cold]
    fn refuse(&mut self, reject: Reject) -> Outcome {
        let head_only = match self.reading {
            Reading::Head => reject.to_head,
            _ => self.conn.exchange.head_only,
        };
        let out = self.ops.output(self.id);
        self.shared.prepared.refuse(out, reject.status, reject.reason, head_only);
        self.shared.counts.refused += 1;
        Outcome::Linger
    }
}
