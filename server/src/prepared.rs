//! What a shard keeps ready to answer with: the lines that every response has, and the whole
//! responses of constant routes. Renewed once a second, when the date changes.

use std::fmt::Display;
use std::time::SystemTime;

use crate::date::{DATE_BYTES, Date};
use crate::reply::{Persist, Reply};
use crate::request::Request;
use crate::rest::{Later, PIECE_BYTES, Rest};
use crate::routes::{Action, ROUTES, Target};

/// The whole response of a constant route to a client that speaks 1.1 and stays.
#[derive(Debug, Default)]
struct Constant {
    bytes: Vec<u8>,
    /// Where the body starts: what HEAD is answered with ends there.
    head_len: usize,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The length of its body, as far as that is sent at all.
    pub(crate) content_bytes: u64,
    /// What is still to come of it.
    pub(crate) rest: Option<Rest>,
}

/// A shard's prepared answers.
#[derive(Debug)]
pub(crate) struct Prepared {
    date: Date,
    common: Vec<u8>,
    /// One for each of [`ROUTES`]; empty for those that call a function.
    constants: Vec<Constant>,
    scratch: Vec<u8>,
}

/// A body made in the scratch area that is larger than this does not keep its memory.
const KEPT_SCRATCH_BYTES: usize = 64 * 1024;

impl Prepared {
    pub(crate) fn new(now_ns: u64, wall: SystemTime) -> Self {
        let mut prepared = Self {
            date: Date::new(now_ns, wall),
            common: Vec::new(),
            constants: ROUTES.iter().map(|_| Constant::default()).collect(),
            scratch: Vec::new(),
        };
        prepared.renew();
        prepared
    }

    /// Call once per batch: renews what carries a date when that has changed. `wall` is asked for
    /// the time only then.
    #[inline]
    pub(crate) fn refresh(&mut self, now_ns: u64, wall: impl FnOnce() -> SystemTime) {
        if self.date.is_stale(now_ns) {
            self.date.set(now_ns, wall());
            self.renew();
        }
    }

    #[cold]
    fn renew(&mut self) {
        self.common.clear();
        for part in [&b"Server: ringserve\r\nDate: "[..], self.date.as_bytes(), b"\r\n"] {
            self.common.extend_from_slice(part);
        }
        self.scratch.shrink_to(KEPT_SCRATCH_BYTES);
        for (route, constant) in ROUTES.iter().zip(&mut self.constants) {
            if let Action::Constant { content_type, body } = route.action {
                constant.bytes.clear();
                Reply {
                    out: &mut constant.bytes,
                    scratch: &mut self.scratch,
                    common: &self.common,
                    persist: Persist::Open,
                    head_only: false,
                    at_once_bytes: PIECE_BYTES,
                    status: 0,
                    content_bytes: 0,
                    rest: None,
                }
                .send(200, content_type.as_bytes(), body);
                constant.head_len = constant.bytes.len() - body.len();
            }
        }
    }

    /// The date that answers carry.
    pub(crate) fn date(&self) -> &[u8; DATE_BYTES] {
        self.date.as_bytes()
    }

    /// Appends the answer to `request` to `out`; of a long body at most so many bytes.
    #[inline]
    pub(crate) fn answer(
        &mut self,
        out: &mut Vec<u8>,
        request: &Request<'_>,
        persist: Persist,
        head_only: bool,
        at_once_bytes: usize,
    ) -> Answer {
        if let (Target::Route(position), Persist::Open) = (request.target, persist) {
            let Constant { bytes, head_len } = &self.constants[position as usize];
            if !bytes.is_empty() {
                let end = if head_only { *head_len } else { bytes.len() };
                out.extend_from_slice(&bytes[..end]);
                let content_bytes = (end - head_len) as u64;
                return Answer { status: 200, content_bytes, rest: None };
            }
        }
        let mut reply = Reply { at_once_bytes, ..self.reply(out, persist, head_only) };
        request.target.answer(request, &mut reply);
        let Reply { status, mut content_bytes, rest, .. } = reply;
        if let Some(Rest::Later(later)) = &rest
            && !head_only
        {
            content_bytes = later.body.len() as u64;
        }
        Answer { status, content_bytes, rest }
    }

    /// Appends an answer that was put off to `out`.
    pub(crate) fn answer_late(
        &mut self,
        out: &mut Vec<u8>,
        later: &Later,
        persist: Persist,
        head_only: bool,
    ) {
        self.reply(out, persist, head_only).send(
            later.status,
            later.content_type.as_bytes(),
            &later.body,
        );
    }

    /// Appends a refusal to `out`, after which the connection is closed. Gives the length of its
    /// body, as far as that is sent at all.
    pub(crate) fn refuse(
        &mut self,
        out: &mut Vec<u8>,
        status: u16,
        why: impl Display,
        head_only: bool,
    ) -> u64 {
        let mut reply = self.reply(out, Persist::Close, head_only);
        reply.error(status, why);
        reply.content_bytes
    }

    fn reply<'a>(
        &'a mut self,
        out: &'a mut Vec<u8>,
        persist: Persist,
        head_only: bool,
    ) -> Reply<'a> {
        Reply {
            out,
            scratch: &mut self.scratch,
            common: &self.common,
            persist,
            head_only,
            at_once_bytes: PIECE_BYTES,
            status: 0,
            content_bytes: 0,
            rest: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};

    use super::*;
    use crate::reply::testing::Response;
    use crate::site::Site;

    const WALL: SystemTime = UNIX_EPOCH;

    fn answer(prepared: &mut Prepared, persist: Persist, head_only: bool) -> Vec<u8> {
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        let input = b"GET /plaintext HTTP/1.1\r\nHost: a\r\n\r\n";
        let event = conn.next(input, &mut scratch, &Limits::default()).event;
        let ServerEvent::Request(head) = event else { panic!("{event:?}") };
        let (target, site) = (Target::of(&head), Site::default());
        let request = Request { target, head: &head, body: b"", body_bytes: 0, site: &site };
        let mut out = b"before".to_vec();
        let answer = prepared.answer(&mut out, &request, persist, head_only, PIECE_BYTES);
        assert_eq!((answer.status, answer.content_bytes), (200, if head_only { 0 } else { 13 }));
        assert!(out.starts_with(b"before"));
        out.split_off(6)
    }

    #[test]
    fn a_prepared_response_is_what_would_be_written() {
        let mut prepared = Prepared::new(0, WALL);
        let whole = answer(&mut prepared, Persist::Open, false);
        assert_eq!(
            str::from_utf8(&whole).unwrap(),
            "HTTP/1.1 200 OK\r\nServer: ringserve\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!"
        );
        assert_eq!(answer(&mut prepared, Persist::Open, true), &whole[..whole.len() - 13]);
        let told = Response::parse(answer(&mut prepared, Persist::OpenTold, false));
        assert_eq!(told.header("Connection"), Some("keep-alive"));
        assert_eq!(told.header("Date"), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
    }

    #[test]
    fn the_date_moves_on_and_the_clock_is_asked_once_a_second() {
        let mut prepared = Prepared::new(0, WALL);
        prepared.refresh(999_999_999, || panic!("the date still holds"));
        prepared.refresh(1_000_000_000, || WALL + Duration::from_secs(1));
        let later = Response::parse(answer(&mut prepared, Persist::Open, false));
        assert_eq!(later.header("Date"), Some("Thu, 01 Jan 1970 00:00:01 GMT"));
        let mut out = Vec::new();
        prepared.refuse(&mut out, 400, "why", false);
        let refused = Response::parse(out);
        assert_eq!(refused.header("Date"), Some("Thu, 01 Jan 1970 00:00:01 GMT"));
        assert_eq!(refused.header("Connection"), Some("close"));
    }
}
