//! One answer into bytes: what a route's function writes to.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use ringbench_http::{EncodeError, ResponseBuilder, Version, reason_phrase};
use serde::Serialize;

use crate::rest::{Later, Rest, Source};
use crate::routes::Allow;

/// What the answer says about the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persist {
    /// It stays open, which goes without saying in HTTP/1.1.
    Open,
    /// It stays open, which a client that speaks 1.0 has to be told.
    OpenTold,
    /// It is closed after this answer.
    Close,
}

impl Persist {
    /// What a request asks for.
    #[inline]
    pub fn asked(version: Version, keep_alive: bool) -> Self {
        match (keep_alive, version) {
            (false, _) => Self::Close,
            (true, Version::Http10) => Self::OpenTold,
            (true, _) => Self::Open,
        }
    }
}

/// One answer in the making. Each of its methods writes a whole response; call one of them, once.
#[derive(Debug)]
pub struct Reply<'a> {
    pub(crate) out: &'a mut Vec<u8>,
    /// Where a body is made whose length must be known before it is written.
    pub(crate) scratch: &'a mut Vec<u8>,
    /// The header lines that every response has.
    pub(crate) common: &'a [u8],
    pub(crate) persist: Persist,
    /// The request was HEAD.
    pub(crate) head_only: bool,
    /// How much of a long body is made now.
    pub(crate) at_once_bytes: usize,
    /// The status of what was written.
    pub(crate) status: u16,
    /// The length of its body, as far as that is sent at all.
    pub(crate) content_bytes: u64,
    /// What is still to come.
    pub(crate) rest: Option<Rest>,
}

/// What a response says beside its status and its connection's fate.
#[derive(Debug, Clone, Copy)]
enum Content<'b> {
    /// Nothing, and the status code says so.
    None,
    /// A body of this length that is written by somebody else.
    Length(u64),
    /// A body.
    Body(&'b [u8]),
}

impl Reply<'_> {
    /// Answers with `body`.
    #[inline]
    pub fn send(&mut self, status: u16, content_type: &[u8], body: &[u8]) {
        self.write(status, &[("Content-Type", content_type)], Content::Body(body));
    }

    /// Answers with `body` and these header fields. Content-Length and Connection are not theirs to
    /// say.
    pub fn send_with(&mut self, status: u16, fields: &[(&str, &[u8])], body: &[u8]) {
        self.write(status, fields, Content::Body(body));
    }

    /// Answers with a status that has no content (204, 304) and these header fields.
    pub fn no_content(&mut self, status: u16, fields: &[(&str, &[u8])]) {
        self.write(status, fields, Content::None);
    }

    /// Answers with a body of any length, of which never more than a piece is in memory. Nothing of
    /// it is made for HEAD.
    pub fn stream(&mut self, status: u16, fields: &[(&str, &[u8])], mut body: Source) {
        let start = self.out.len();
        self.write(status, fields, Content::Length(body.left()));
        if self.head_only || self.status != status {
            return;
        }
        if body.write_piece(self.out, self.at_once_bytes).is_err() {
            self.out.truncate(start);
            return self.defect();
        }
        if body.left() > 0 {
            self.rest = Some(Rest::Body(body));
        }
    }

    /// Answers with `body` when `after` has passed. It costs no thread; the connection's further
    /// requests wait.
    pub fn later(
        &mut self,
        after: Duration,
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
    ) {
        self.status = status;
        self.rest = Some(Rest::Later(Later { after, status, content_type, body }));
    }

    /// Answers with `value` as JSON, without allocating.
    pub fn json<T: Serialize + ?Sized>(&mut self, status: u16, value: &T) {
        let mut body = std::mem::take(self.scratch);
        body.clear();
        match serde_json::to_writer(&mut body, value) {
            Ok(()) => self.send(status, b"application/json", &body),
            // Writing to memory cannot fail; serialising a value can.
            Err(_) => self.defect(),
        }
        *self.scratch = body;
    }

    /// Answers with a status and a line of text that says why.
    pub fn error(&mut self, status: u16, why: impl Display) {
        let mut text = std::mem::take(self.scratch);
        text.clear();
        // Writing to memory cannot fail.
        let _ = writeln!(text, "{}: {why}", reason_phrase(status));
        self.send(status, b"text/plain", &text);
        *self.scratch = text;
    }

    /// Answers OPTIONS.
    pub fn options(&mut self, allow: Allow) {
        self.no_content(204, &[("Allow", &allow_value(allow))]);
    }

    /// Answers a method that the path does not have, with those it has (RFC 9110 section 15.5.6).
    pub fn not_allowed(&mut self, allow: Allow) {
        let body = b"Method Not Allowed: the path has those of the Allow header\n";
        let fields: [(&str, &[u8]); 2] =
            [("Allow", &allow_value(allow)), ("Content-Type", b"text/plain")];
        self.send_with(405, &fields, body);
    }

    #[inline]
    fn write(&mut self, status: u16, fields: &[(&str, &[u8])], content: Content<'_>) {
        self.status = status;
        if self.try_write(status, fields, content).is_err() {
            self.defect();
        }
    }

    /// A route asked for a response that cannot be written. Nothing of it is in the output.
    #[cold]
    fn defect(&mut self) {
        self.status = 500;
        let fields: [(&str, &[u8]); 1] = [("Content-Type", b"text/plain")];
        let written = self.try_write(500, &fields, Content::Body(b"Internal Server Error\n"));
        debug_assert!(written.is_ok(), "a fixed response can be written");
    }

    #[inline]
    fn try_write(
        &mut self,
        status: u16,
        fields: &[(&str, &[u8])],
        content: Content<'_>,
    ) -> Result<(), EncodeError> {
        let mut head = ResponseBuilder::new(self.out, status)?.prepared(self.common);
        match self.persist {
            Persist::Open => {}
            Persist::OpenTold => head = head.keep_alive(),
            Persist::Close => head = head.close(),
        }
        for (name, value) in fields {
            head = head.header(name, value)?;
        }
        self.content_bytes = match content {
            _ if self.head_only => 0,
            Content::None => 0,
            Content::Body(body) => body.len() as u64,
            Content::Length(length) => length,
        };
        match content {
            Content::None => head.no_content(),
            // RFC 9110 section 9.3.2: to HEAD the same fields as to GET, and no content.
            Content::Body(body) if self.head_only => head.content_length(body.len() as u64),
            Content::Body(body) => head.body(body),
            Content::Length(length) => head.content_length(length),
        }
    }
}

/// The value of Allow. Only in answers that nobody needs to be fast, so that it may allocate.
fn allow_value(allow: Allow) -> Vec<u8> {
    let mut value = Vec::new();
    allow.for_each(|name| {
        if !value.is_empty() {
            value.extend_from_slice(b", ");
        }
        value.extend_from_slice(name.as_bytes());
    });
    value
}

/// What the tests of routes need: a reply without a connection, taken apart again.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Persist, Reply};
    use crate::rest::{PIECE_BYTES, Rest};

    /// A response taken apart.
    #[derive(Debug)]
    pub(crate) struct Response {
        /// What was left to come.
        pub(crate) rest: Option<Rest>,
        pub(crate) status: u16,
        pub(crate) raw: Vec<u8>,
        head: String,
        pub(crate) body: Vec<u8>,
    }

    impl Response {
        pub(crate) fn parse(raw: Vec<u8>) -> Self {
            let end = raw.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap() + 4;
            let status = str::from_utf8(&raw[9..12]).unwrap().parse().unwrap();
            let head = String::from_utf8_lossy(&raw[..end]).into_owned();
            Self { status, body: raw[end..].to_vec(), head, raw, rest: None }
        }

        pub(crate) fn header(&self, name: &str) -> Option<&str> {
            self.head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        }
    }

    /// Writes one response.
    pub(crate) fn write(
        persist: Persist,
        head_only: bool,
        answer: impl FnOnce(&mut Reply<'_>),
    ) -> Response {
        let (mut out, mut scratch) = (Vec::new(), b"left over".to_vec());
        let mut reply = Reply {
            out: &mut out,
            scratch: &mut scratch,
            common: b"Server: test\r\n",
            persist,
            head_only,
            at_once_bytes: PIECE_BYTES,
            status: 0,
            content_bytes: 0,
            rest: None,
        };
        answer(&mut reply);
        let rest = reply.rest.take();
        if let Some(Rest::Later(later)) = &rest {
            // It is given now, and can still be seen to have been put off.
            reply.send(later.status, later.content_type.as_bytes(), &later.body);
        }
        let status = reply.status;
        let response = Response { rest, ..Response::parse(out) };
        assert_eq!(response.status, status, "what is counted is what was sent");
        response
    }
}

#[cfg(test)]
mod tests {
    use super::testing::write;
    use super::*;
    use crate::request::testing::exchange;
    use crate::rest::PIECE_BYTES;
    use crate::site::Site;

    #[test]
    fn the_connection_header_follows_what_was_asked() {
        for (version, keep_alive, expected) in [
            (Version::Http11, true, None),
            (Version::Http11, false, Some("close")),
            (Version::Http10, true, Some("keep-alive")),
            (Version::Http10, false, Some("close")),
        ] {
            let persist = Persist::asked(version, keep_alive);
            let response = write(persist, false, |reply| reply.send(200, b"text/plain", b"x"));
            assert_eq!(response.header("Connection"), expected);
            assert_eq!(response.header("Server"), Some("test"));
        }
    }

    #[test]
    fn head_has_the_fields_of_get_and_no_content() {
        let get = write(Persist::Open, false, |reply| reply.error(404, "no"));
        let head = write(Persist::Open, true, |reply| reply.error(404, "no"));
        assert_eq!(get.body, b"Not Found: no\n");
        assert_eq!(head.raw, &get.raw[..get.raw.len() - get.body.len()]);
    }

    #[test]
    fn a_response_that_cannot_be_written_is_a_500() {
        let bad = write(Persist::Open, false, |reply| reply.send(200, b"a\r\nb: c", b"x"));
        assert_eq!(bad.status, 500);
        assert_eq!(bad.body, b"Internal Server Error\n");
        let bad = write(Persist::Open, false, |reply| {
            reply.json(200, &std::collections::HashMap::from([(vec![1u8], 1u8)]));
        });
        assert_eq!(bad.status, 500);
    }

    #[test]
    fn methods_are_listed() {
        let answer = |line: &str| {
            exchange(&Site::default(), &format!("{line} HTTP/1.1\r\nHost: a\r\n\r\n"), b"")
        };
        let options = answer("OPTIONS *");
        assert_eq!((options.status, options.header("Content-Length")), (204, None));
        assert_eq!(options.header("Allow"), Some("GET, HEAD, POST, OPTIONS"));
        let refused = answer("PUT /ping");
        assert_eq!(refused.status, 405);
        assert_eq!(refused.header("Allow"), Some("POST, OPTIONS"));
        assert_eq!(refused.header("Content-Length"), Some(&*refused.body.len().to_string()));
    }

    #[test]
    fn a_stream_begins_at_once_and_leaves_the_rest() {
        let fields: [(&str, &[u8]); 1] = [("Content-Type", b"text/plain")];
        for (length, left) in [(0, None), (10, None), (1 << 20, Some((1 << 20) - PIECE_BYTES))] {
            let source = Source::Pattern { at: 0, end: length };
            let head = write(Persist::Open, true, |reply| {
                reply.stream(200, &fields, source.clone());
            });
            assert!(head.rest.is_none());
            assert_eq!(head.header("Content-Length"), Some(&*length.to_string()));
            let get = write(Persist::Open, false, |reply| reply.stream(200, &fields, source));
            assert_eq!(get.raw[..head.raw.len()], head.raw);
            assert_eq!(get.body.len(), (length as usize).min(PIECE_BYTES));
            let rest = get.rest.map(|rest| match rest {
                Rest::Body(source) => source.left() as usize,
                other => panic!("{other:?}"),
            });
            assert_eq!(rest, left);
        }
    }
}
