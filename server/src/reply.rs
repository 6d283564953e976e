//! One answer into bytes: what a route's function writes to.

use std::fmt::Display;
use std::io::Write;

use ringbench_http::{EncodeError, ResponseBuilder, Version, reason_phrase};
use serde::Serialize;

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
}

impl Reply<'_> {
    /// Answers with `body`.
    pub fn send(&mut self, status: u16, content_type: &[u8], body: &[u8]) {
        self.write(status, &[], Some((content_type, body)));
    }

    /// Answers with `value` as JSON, without allocating.
    pub fn json<T: Serialize>(&mut self, status: u16, value: &T) {
        let mut body = std::mem::take(self.scratch);
        body.clear();
        match serde_json::to_writer(&mut body, value) {
            Ok(()) => self.write(status, &[], Some((b"application/json", &body))),
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
        self.write(status, &[], Some((b"text/plain", &text)));
        *self.scratch = text;
    }

    /// Answers OPTIONS.
    pub fn options(&mut self, allow: Allow) {
        self.write(204, &allow_line(allow), None);
    }

    /// Answers a method that the path does not have, with those it has (RFC 9110 section 15.5.6).
    pub fn not_allowed(&mut self, allow: Allow) {
        let body: &[u8] = b"Method Not Allowed: the path has those of the Allow header\n";
        self.write(405, &allow_line(allow), Some((b"text/plain", body)));
    }

    /// Writes a whole response. `content` is its type and its bytes.
    fn write(&mut self, status: u16, lines: &[u8], content: Option<(&[u8], &[u8])>) {
        if self.try_write(status, lines, content).is_err() {
            self.defect();
        }
    }

    /// A route asked for a response that cannot be written. Nothing of it is in the output.
    #[cold]
    fn defect(&mut self) {
        let content: (&[u8], &[u8]) = (b"text/plain", b"Internal Server Error\n");
        let written = self.try_write(500, &[], Some(content));
        debug_assert!(written.is_ok(), "a fixed response can be written");
    }

    #[inline]
    fn try_write(
        &mut self,
        status: u16,
        lines: &[u8],
        content: Option<(&[u8], &[u8])>,
    ) -> Result<(), EncodeError> {
        let mut head = ResponseBuilder::new(self.out, status)?.prepared(self.common);
        match self.persist {
            Persist::Open => {}
            Persist::OpenTold => head = head.keep_alive(),
            Persist::Close => head = head.close(),
        }
        head = head.prepared(lines);
        match content {
            None => head.no_content(),
            Some((content_type, body)) => {
                head = head.header("Content-Type", content_type)?;
                // RFC 9110 section 9.3.2: to HEAD the same fields as to GET, and no content.
                if self.head_only {
                    head.content_length(body.len() as u64)
                } else {
                    head.body(body)
                }
            }
        }
    }
}

/// The Allow line. Only in answers that nobody needs to be fast, so that it may allocate.
fn allow_line(allow: Allow) -> Vec<u8> {
    let mut line = b"Allow: ".to_vec();
    let mut separator = "";
    allow.for_each(|name| {
        line.extend_from_slice(separator.as_bytes());
        line.extend_from_slice(name.as_bytes());
        separator = ", ";
    });
    line.extend_from_slice(b"\r\n");
    line
}

/// What the tests of routes need: a reply without a connection, taken apart again.
#[cfg(test)]
pub(crate) mod testing {
    use super::{Persist, Reply};
    use crate::routes::Request;

    /// A response taken apart.
    #[derive(Debug)]
    pub(crate) struct Response {
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
            Self { status, body: raw[end..].to_vec(), head, raw }
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
        answer(&mut Reply {
            out: &mut out,
            scratch: &mut scratch,
            common: b"Server: test\r\n",
            persist,
            head_only,
        });
        Response::parse(out)
    }

    /// Calls a route's function.
    pub(crate) fn respond(
        call: fn(&Request<'_>, &mut Reply<'_>),
        request: &Request<'_>,
    ) -> Response {
        write(Persist::Open, false, |reply| call(request, reply))
    }
}

#[cfg(test)]
mod tests {
    use ringbench_http::Method;

    use super::testing::write;
    use super::*;
    use crate::routes::{Request, Target};

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
        let answer = |method, path: &str| {
            let target = Target::find(method, path.as_bytes());
            write(Persist::Open, false, |reply| target.answer(&Request::default(), reply))
        };
        let options = answer(Method::Options, "*");
        assert_eq!((options.status, options.header("Content-Length")), (204, None));
        assert_eq!(options.header("Allow"), Some("GET, HEAD, POST, OPTIONS"));
        let refused = answer(Method::Put, "/ping");
        assert_eq!(refused.status, 405);
        assert_eq!(refused.header("Allow"), Some("POST, OPTIONS"));
        assert_eq!(refused.header("Content-Length"), Some(&*refused.body.len().to_string()));
    }
}
