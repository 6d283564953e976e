//! One line, as nginx and Apache write their `combined` format.

use std::io::Write;
use std::net::SocketAddr;

use ringbench_http::{RequestHead, Version};

use crate::date::DATE_BYTES;

/// Of what is no request so much is shown at most.
const MAX_RAW_BYTES: usize = 1024;

/// What one answer's line is made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) peer: Option<SocketAddr>,
    /// The time of the answer, as in its Date.
    pub(crate) date: &'a [u8; DATE_BYTES],
    pub(crate) request: RequestLine<'a>,
    pub(crate) status: u16,
    /// Bytes of its body, as far as that is sent at all.
    pub(crate) content_bytes: u64,
}

/// What is known of the request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RequestLine<'a> {
    /// All.
    Head(&'a RequestHead<'a, 'a>),
    /// It was none, or did not come whole: what came.
    Raw(&'a [u8]),
}

impl<'a> RequestLine<'a> {
    fn header(&self, name: &str) -> Option<&'a [u8]> {
        match self {
            Self::Head(head) => head.header(name),
            Self::Raw(_) => None,
        }
    }
}

impl Line<'_> {
    /// Appends the line to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        // Writing to memory cannot fail.
        let _ = match self.peer {
            Some(peer) => write!(out, "{}", peer.ip()),
            None => out.write_all(b"-"),
        };
        out.extend_from_slice(b" - - [");
        write_time(out, self.date);
        out.extend_from_slice(b"] \"");
        match self.request {
            RequestLine::Head(head) => {
                escape(out, head.method_name.as_bytes());
                out.push(b' ');
                escape(out, head.target);
                out.extend_from_slice(match head.version {
                    Version::Http10 => b" HTTP/1.0",
                    Version::Http11 => b" HTTP/1.1",
                });
            }
            RequestLine::Raw(bytes) => write_or_dash(out, first_line(bytes)),
        }
        let _ = write!(out, "\" {} {} \"", self.status, self.content_bytes);
        write_or_dash(out, self.request.header("Referer"));
        out.extend_from_slice(b"\" \"");
        write_or_dash(out, self.request.header("User-Agent"));
        out.extend_from_slice(b"\"\n");
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` as `06/Nov/1994:08:49:37 +0000`.
fn write_time(out: &mut Vec<u8>, date: &[u8; DATE_BYTES]) {
    let parts = [&date[5..7], b"/", &date[8..11], b"/", &date[12..16], b":", &date[17..25]];
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out.extend_from_slice(b" +0000");
}

/// What stands in the first line that is not empty, if anything does.
fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    let mut lines =
        bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let line = lines.find(|line| !line.is_empty())?;
    Some(&line[..line.len().min(MAX_RAW_BYTES)])
}

fn write_or_dash(out: &mut Vec<u8>, value: Option<&[u8]>) {
    match value {
        Some(value) if !value.is_empty() => escape(out, value),
        _ => out.push(b'-'),
    }
}

/// Whether a byte may stand in a line as it is: what nginx lets through.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = b' ';
    while byte <= b'~' {
        plain[byte as usize] = byte != b'"' && byte != b'\\';
        byte += 1;
    }
    plain
};

/// Appends `bytes` so that nobody can end a field or a line with them: `\xHH` for what is not
/// [`PLAIN`].
fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut rest = bytes;
    loop {
        let plain = rest.iter().position(|&byte| !PLAIN[byte as usize]).unwrap_or(rest.len());
        out.extend_from_slice(&rest[..plain]);
        let Some(&byte) = rest.get(plain) else { break };
        let (high, low) = (HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]);
        out.extend_from_slice(&[b'\\', b'x', high, low]);
        rest = &rest[plain + 1..];
    }
}

#[cfg(test)]
mod tests {
    use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};

    use super::*;

    const DATE: &[u8; DATE_BYTES] = b"Tue, 10 Oct 2000 13:55:36 GMT";

    fn written(line: Line<'_>) -> String {
        let mut out = b"before\n".to_vec();
        line.write(&mut out);
        String::from_utf8(out).unwrap().split_off(7)
    }

    fn of_head(input: &str, status: u16, content_bytes: u64) -> String {
        let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
        let event = conn.next(input.as_bytes(), &mut scratch, &Limits::default()).event;
        let ServerEvent::Request(head) = event else { panic!("{event:?}") };
        let peer = Some("[2001:db8::1]:443".parse().unwrap());
        let request = RequestLine::Head(&head);
        written(Line { peer, date: DATE, request, status, content_bytes })
    }

    fn of_raw(bytes: &[u8]) -> String {
        let request = RequestLine::Raw(bytes);
        written(Line { peer: None, date: DATE, request, status: 400, content_bytes: 9 })
    }

    #[test]
    fn a_line_is_in_the_combined_format() {
        assert_eq!(
            of_head(
                "GET /a?b=c HTTP/1.1\r\nHost: h\r\nreferer: http://r/\r\nUser-Agent: x y\r\n\r\n",
                200,
                13
            ),
            "2001:db8::1 - - [10/Oct/2000:13:55:36 +0000] \"GET /a?b=c HTTP/1.1\" 200 13 \
             \"http://r/\" \"x y\"\n"
        );
        assert_eq!(
            of_head("HEAD / HTTP/1.0\r\nUser-Agent:\r\n\r\n", 404, 0),
            "2001:db8::1 - - [10/Oct/2000:13:55:36 +0000] \"HEAD / HTTP/1.0\" 404 0 \"-\" \"-\"\n"
        );
    }

    #[test]
    fn no_client_can_forge_a_field_or_a_line() {
        let line =
            of_head("GET /%0a HTTP/1.1\r\nHost: h\r\nUser-Agent: a\" \\x\tb\u{e9}\r\n\r\n", 200, 0);
        assert!(line.ends_with("\"-\" \"a\\x22 \\x5Cx\\x09b\\xC3\\xA9\"\n"), "{line}");
        assert_eq!(line.matches('\n').count(), 1);
    }

    #[test]
    fn of_what_is_no_request_the_first_line_is_shown() {
        let prefix = "- - - [10/Oct/2000:13:55:36 +0000] \"";
        for (bytes, shown) in [
            (&b""[..], "-"),
            (b"\r\n\r\n", "-"),
            (b"GET / HTTP/1.1\r\nHo", "GET / HTTP/1.1"),
            (b"\n\x16\x03\x01\0\"", "\\x16\\x03\\x01\\x00\\x22"),
        ] {
            assert_eq!(of_raw(bytes), format!("{prefix}{shown}\" 400 9 \"-\" \"-\"\n"));
        }
        assert!(of_raw(&b"a".repeat(10_000)).len() < 1200);
    }
}
