//! What a route sees of a request.

use ringbench_http::RequestHead;

use crate::routes::Target;
use crate::site::Site;

/// A request that has come as a whole.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Who answers it.
    pub target: Target,
    /// Its head.
    pub head: &'a RequestHead<'a, 'a>,
    /// The whole body; empty where a request has none, or the route only counts it.
    pub body: &'a [u8],
    /// The length of the body, decoded.
    pub body_bytes: u64,
    /// What the routes of a shard share.
    pub site: &'a Site,
}

impl<'a> Request<'a> {
    /// What follows the fixed part of a path that ends in `*` in the table of routes, as it was
    /// sent; else nothing.
    pub fn rest(&self) -> &'a [u8] {
        self.target.rest(self.head.path)
    }

    /// The value of the first header field called `name`, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        self.head.header(name)
    }

    /// The names and values of the query, in their order and as they were sent: percent-encoded,
    /// and `+` for a space. A name without `=` has an empty value.
    pub fn query_pairs(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let query = self.head.query.unwrap_or_default();
        query.split(|&b| b == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
            let equals = memchr::memchr(b'=', pair);
            equals.map_or((pair, &[][..]), |at| (&pair[..at], &pair[at + 1..]))
        })
    }

    /// The value of the first parameter of the query called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'a [u8]> {
        self.query_pairs().find(|(found, _)| *found == name.as_bytes()).map(|(_, value)| value)
    }
}

/// Reads a decimal number that fits into 64 bits. No sign, no space, nothing else.
pub fn parse_decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(text).ok()?.parse().ok()
}

/// What the tests of routes need: a request without a connection.
#[cfg(test)]
pub(crate) mod testing {
    use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};

    use super::Request;
    use crate::reply::testing::{Response, write};
    use crate::reply::{Persist, Reply};
    use crate::routes::Target;
    use crate::site::Site;

    /// A GET with these header lines (each with its CRLF), answered by the route that it finds.
    pub(crate) fn get(site: &Site, target: &str, headers: &str) -> Response {
        exchange(site, &format!("GET {target} HTTP/1.1\r\nHost: test\r\n{headers}\r\n"), b"")
    }

    /// A POST with this body.
    pub(crate) fn post(site: &Site, target: &str, headers: &str, body: &[u8]) -> Response {
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        exchange(site, &head, body)
    }

    /// The answer of the route that `head` asks for.
    pub(crate) fn exchange(site: &Site, head: &str, body: &[u8]) -> Response {
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        let limits = Limits { max_body_bytes: u64::MAX, ..Limits::default() };
        let event = conn.next(head.as_bytes(), &mut scratch, &limits).event;
        let ServerEvent::Request(head) = event else { panic!("{event:?} to {head}") };
        let target = Target::of(&head);
        let request = Request { target, head: &head, body, body_bytes: body.len() as u64, site };
        let head_only = head.method == ringbench_http::Method::Head;
        write(Persist::Open, head_only, |reply: &mut Reply<'_>| target.answer(&request, reply))
    }
}

#[cfg(test)]
mod tests {
    use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};

    use super::*;

    #[test]
    fn queries_are_taken_apart() {
        let input = b"GET /x?a=1&b&&c=2=3&a=4&=5 HTTP/1.1\r\nHost: a\r\nX-Y: z\r\n\r\n";
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        let event = conn.next(input, &mut scratch, &Limits::default()).event;
        let ServerEvent::Request(head) = event else { panic!("{event:?}") };
        let site = Site::default();
        let target = Target::of(&head);
        let request = Request { target, head: &head, body: b"", body_bytes: 0, site: &site };
        let pairs: Vec<_> = request.query_pairs().collect();
        let expected: [(&[u8], &[u8]); 5] =
            [(b"a", b"1"), (b"b", b""), (b"c", b"2=3"), (b"a", b"4"), (b"", b"5")];
        assert_eq!(pairs, expected);
        assert_eq!(request.parameter("a"), Some(&b"1"[..]));
        assert_eq!(request.parameter("b"), Some(&b""[..]));
        assert_eq!(request.parameter("d"), None);
        assert_eq!(request.header("x-y"), Some(&b"z"[..]));
    }

    #[test]
    fn decimals_are_digits_and_nothing_else() {
        assert_eq!(parse_decimal(b"0"), Some(0));
        assert_eq!(parse_decimal(b"00018446744073709551615"), Some(u64::MAX));
        for bad in ["", "+1", "-1", " 1", "1 ", "0x1", "1.0", "18446744073709551616", "\u{661}"] {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad}");
        }
    }
}
