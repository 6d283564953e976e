//! From bytes to answers: the requests in one piece of input, each answered as soon as it is whole.
//!
//! Nothing here waits. A request that lies whole in the input is answered from there, without a
//! copy; of one that does not, what has come is kept in the connection's
//! [`Partial`](crate::conn::Partial).

use ringbench_engine::{ConnId, Ops};
use ringbench_http::{
    BodyLength, CONTINUE, HeaderScratch, Limits, Method, Reject, RejectReason, RequestHead,
    ServerConn, ServerEvent,
};

use crate::access_log::RequestLine;
use crate::conn::{Connection, Exchange};
use crate::reply::Persist;
use crate::request::Request;
use crate::rest::Rest;
use crate::routes::{Body, Target};
use crate::shared::Shared;

/// A body that no route wants is read and thrown away up to this length, so that the connection
/// can go on; beyond it the connection is closed instead.
pub(crate) const DISCARD_BYTES: u64 = 64 * 1024;

/// When the answers to one piece of input have become this much, the requests behind them wait
/// until it has left: so that a client that asks for much and reads nothing costs no more than this
/// and one answer (of a long one: [`PIECE_BYTES`](crate::rest::PIECE_BYTES)).
pub(crate) const MAX_UNSENT_BYTES: usize = 64 * 1024;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It does.
    Open,
    /// It does when the [`Rest`] of the last answer is done.
    Suspended,
    /// Close it: nothing more is to be expected.
    Close,
    /// Close it in stages, for more may be on its way (RFC 9112 section 9.6).
    Linger,
}

impl Outcome {
    /// After an answer that does not wait for the request's body: as much as is known of the
    /// answer has to be given first.
    fn then_linger(self) -> Self {
        if self == Self::Suspended { self } else { Self::Linger }
    }
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
        Self { ops, id, conn, shared, input, consumed: 0, written: 0 }
    }

    /// Answers every request that is whole.
    #[inline]
    pub(crate) fn run(mut self) -> Served {
        let input = self.input;
        let mut scratch = HeaderScratch::new();
        loop {
            let start = self.consumed;
            let reading = self.reading();
            let limits = self.shared.limits.of(reading);
            let step = self.conn.parser.next(&input[start..], &mut scratch, limits);
            self.consumed += step.consumed;
            let outcome = match step.event {
                ServerEvent::NeedMore => return self.served(Outcome::Open),
                ServerEvent::Request(head) => self.begin(&head, &input[start..self.consumed]),
                ServerEvent::Body(bytes) => self.body(bytes),
                ServerEvent::End => self.answer_kept(),
                ServerEvent::Reject(reject) => {
                    self.refuse(reject, reading.is_some(), &input[start..])
                }
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

    /// What becomes of the body that is being read; `None` between two requests.
    #[inline]
    fn reading(&self) -> Option<Body> {
        self.conn.parser.is_mid_body().then(|| self.conn.exchange.target.body())
    }

    /// A head: answers it, or gets ready for its body.
    #[inline]
    fn begin(&mut self, head: &RequestHead<'b, '_>, head_bytes: &[u8]) -> Outcome {
        let target = Target::of(head);
        self.conn.exchange = Exchange {
            target,
            persist: Persist::asked(head.version, head.keep_alive),
            head_only: head.method == Method::Head,
            body_bytes: 0,
        };
        match head.body {
            BodyLength::None | BodyLength::Length(0) => self.answer(head, b""),
            _ => self.begin_body(head, head_bytes),
        }
    }

    fn begin_body(&mut self, head: &RequestHead<'b, '_>, head_bytes: &[u8]) -> Outcome {
        let wanted = self.conn.exchange.target.body();
        let length = match head.body {
            BodyLength::Length(length) => length,
            _ => 0,
        };
        if length > self.shared.limits.of(Some(wanted)).max_body_bytes {
            return self.refuse_body(head);
        }
        if let Some(body) = self.conn.parser.body_in_place(&self.input[self.consumed..]) {
            self.consumed += body.len();
            self.conn.exchange.body_bytes = length;
            return self.answer(head, if wanted == Body::Kept { body } else { b"" });
        }
        // RFC 9110 section 10.1.1: once some of the body has come, nobody waits for a 100.
        let waits = head.expect_continue && self.consumed == self.input.len();
        if wanted == Body::Discarded && (waits || length > DISCARD_BYTES) {
            return self.answer_early(head);
        }
        let Shared { pool, .. } = &mut *self.shared;
        let partial = self.conn.partial.get_or_insert_with(|| pool.take());
        partial.body.clear();
        partial.head.clear();
        partial.head.extend_from_slice(head_bytes);
        if waits {
            self.ops.output(self.id).extend_from_slice(CONTINUE);
            self.written += CONTINUE.len();
        }
        Outcome::Open
    }

    /// A piece of the body.
    #[inline]
    fn body(&mut self, bytes: &[u8]) -> Outcome {
        let Exchange { target, body_bytes, .. } = &mut self.conn.exchange;
        *body_bytes += bytes.len() as u64;
        match target.body() {
            Body::Counted => {}
            Body::Kept => {
                if let Some(partial) = &mut self.conn.partial {
                    partial.body.extend_from_slice(bytes);
                }
            }
            Body::Discarded if *body_bytes <= DISCARD_BYTES => {}
            Body::Discarded => {
                self.conn.exchange.persist = Persist::Close;
                return self.answer_kept().then_linger();
            }
        }
        Outcome::Open
    }

    /// Answers a request whose body came in pieces. Its head was kept and is read once more.
    fn answer_kept(&mut self) -> Outcome {
        let Some(partial) = self.conn.partial.take() else {
            debug_assert!(false, "a body without a head");
            return Outcome::Linger;
        };
        let mut scratch = HeaderScratch::new();
        let limits = self.shared.limits.of(None);
        let outcome = match ServerConn::new().next(&partial.head, &mut scratch, limits).event {
            ServerEvent::Request(head) => self.answer(&head, &partial.body),
            other => {
                debug_assert!(false, "it was a request before: {other:?}");
                Outcome::Linger
            }
        };
        self.conn.partial = Some(partial);
        outcome
    }

    /// Answers the request, which is whole.
    #[inline]
    fn answer(&mut self, head: &RequestHead<'_, '_>, body: &[u8]) -> Outcome {
        let Exchange { target, mut persist, head_only, body_bytes } = self.conn.exchange;
        let shared = &mut *self.shared;
        let whole_input = self.consumed == self.input.len();
        self.conn.requests = self.conn.requests.saturating_add(1);
        // What follows in the input was received before the drain or with it, so that it is still
        // answered; only the last answer says that the connection ends.
        if (shared.draining && whole_input)
            || self.conn.requests == shared.settings.max_requests_per_connection
        {
            persist = Persist::Close;
            self.conn.exchange.persist = persist;
        }
        let out = self.ops.output(self.id);
        let before = out.len();
        let request = Request { target, head, body, body_bytes, site: &shared.site };
        let at_once_bytes = shared.share.at_once_bytes();
        let answer = shared.prepared.answer(out, &request, persist, head_only, at_once_bytes);
        let answer_bytes = out.len() - before;
        self.written += answer_bytes;
        shared.share.count(answer_bytes);
        shared.counts.requests += 1;
        shared.counts.count_status(answer.status);
        if shared.log.is_some() {
            let request = RequestLine::Head(head);
            shared.log_answer(self.ops, self.id, request, answer.status, answer.content_bytes);
        }
        if let Some(rest) = answer.rest {
            return self.suspend(rest);
        }
        match persist {
            Persist::Open | Persist::OpenTold if self.written <= MAX_UNSENT_BYTES => Outcome::Open,
            Persist::Open | Persist::OpenTold => self.suspend(Rest::Leaving),
            Persist::Close => self.after_last(whole_input),
        }
    }

    #[cold]
    fn suspend(&mut self, rest: Rest) -> Outcome {
        self.conn.rest = Some(Box::new(rest));
        Outcome::Suspended
    }

    /// How to close. A client that asked for the end may send nothing after it (RFC 9112 section
    /// 9.6), so that the dearer way to close is for those that do, and for those that did not ask.
    fn after_last(&self, whole_input: bool) -> Outcome {
        if whole_input && self.conn.parser.is_closed() { Outcome::Close } else { Outcome::Linger }
    }

    /// Answers without waiting for a body that nobody wants, and gives up the connection, for
    /// where the next request would begin is not known.
    #[cold]
    fn answer_early(&mut self, head: &RequestHead<'_, '_>) -> Outcome {
        self.conn.exchange.persist = Persist::Close;
        self.answer(head, b"").then_linger()
    }

    /// The body is longer than the route may have.
    #[cold]
    fn refuse_body(&mut self, head: &RequestHead<'_, '_>) -> Outcome {
        let head_only = self.conn.exchange.head_only;
        self.write_refusal(RejectReason::BodyTooLarge, head_only, RequestLine::Head(head))
    }

    /// What came is no request that may be answered.
    #[cold]
    fn refuse(&mut self, reject: Reject, mid_body: bool, input: &[u8]) -> Outcome {
        if !mid_body {
            return self.write_refusal(reject.reason, reject.to_head, RequestLine::Raw(input));
        }
        let partial = self.conn.partial.take();
        let head = partial.as_deref().map_or(&[][..], |partial| &partial.head);
        let head_only = self.conn.exchange.head_only;
        let outcome = self.write_refusal(reject.reason, head_only, RequestLine::Raw(head));
        self.conn.partial = partial;
        outcome
    }

    fn write_refusal(
        &mut self,
        reason: RejectReason,
        head_only: bool,
        request: RequestLine<'_>,
    ) -> Outcome {
        let (out, status) = (self.ops.output(self.id), reason.status());
        let before = out.len();
        let content_bytes = self.shared.prepared.refuse(out, status, reason, head_only);
        self.written += out.len() - before;
        self.shared.counts.refused += 1;
        self.shared.counts.count_status(status);
        self.shared.log_answer(self.ops, self.id, request, status, content_bytes);
        Outcome::Linger
    }
}

/// The codec's limits at each point of a request.
#[derive(Debug)]
pub(crate) struct StageLimits {
    /// How long a body may be is judged when its route is known.
    head: Limits,
    body: Limits,
    counted: Limits,
}

impl StageLimits {
    pub(crate) fn new(limits: &Limits, max_upload_bytes: u64) -> Self {
        Self {
            head: Limits { max_body_bytes: u64::MAX, ..limits.clone() },
            body: limits.clone(),
            counted: Limits { max_body_bytes: max_upload_bytes, ..limits.clone() },
        }
    }

    #[inline]
    fn of(&self, reading: Option<Body>) -> &Limits {
        match reading {
            None => &self.head,
            Some(Body::Counted) => &self.counted,
            Some(Body::Kept | Body::Discarded) => &self.body,
        }
    }
}
