//! Which requests a string holds.

use std::mem::MaybeUninit;

use httparse::{Error, Request, Status};
use ringbench_http::{RequestKind, is_head_request};

use super::error::RequestFlaw;

/// The most header fields of one request.
const MAX_HEADERS: usize = 128;

/// Replaces `kinds` by those of the requests in `text`, which must be whole.
///
/// Not the codec's server side: that refuses, for good reasons, what a script may want to try on a
/// server, such as a request without a Host. Here only the framing matters.
pub(super) fn read_kinds(text: &[u8], kinds: &mut Vec<RequestKind>) -> Result<(), RequestFlaw> {
    kinds.clear();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        let (kind, len) = read_one(rest).map_err(|what| {
            let (line, column) = position(text, at);
            RequestFlaw { what, line, column }
        })?;
        kinds.push(kind);
        at += len;
    }
    if kinds.is_empty() {
        return Err(RequestFlaw { what: "an empty string".to_owned(), line: 1, column: 1 });
    }
    Ok(())
}

/// What the first request means for its response; cheap, and sure for a string that holds one.
#[inline]
pub(super) fn first_kind(text: &[u8]) -> RequestKind {
    if is_head_request(text) {
        RequestKind::Head
    } else if text.starts_with(b"CONNECT ") {
        RequestKind::Connect
    } else {
        RequestKind::Normal
    }
}

/// Kind and length of the request that `text` starts with.
fn read_one(text: &[u8]) -> Result<(RequestKind, usize), String> {
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let head_len = match request.parse_with_uninit_headers(text, &mut headers) {
        Ok(Status::Complete(len)) => len,
        Ok(Status::Partial) => return Err("an incomplete request".to_owned()),
        Err(Error::TooManyHeaders) => {
            return Err(format!("a request with more than {MAX_HEADERS} header fields"));
        }
        Err(error) => return Err(format!("a malformed request ({error})")),
    };
    let mut length = 0;
    let mut chunked = false;
    for header in request.headers.iter() {
        if header.name.eq_ignore_ascii_case("content-length") {
            let value = std::str::from_utf8(header.value).ok();
            length = value
                .and_then(|value| value.trim().parse::<usize>().ok())
                .ok_or("a request whose Content-Length is no number")?;
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = header.value.to_ascii_lowercase().ends_with(b"chunked");
        }
    }
    let body = &text[head_len..];
    let body_len = if chunked { chunked_len(body)? } else { length };
    if body_len > body.len() {
        return Err(format!(
            "a request whose Content-Length is {length}, with only {} bytes after its head",
            body.len()
        ));
    }
    Ok((first_kind(text.trim_ascii_start()), head_len + body_len))
}

/// The length of the chunked body that `text` starts with, trailers included.
fn chunked_len(text: &[u8]) -> Result<usize, String> {
    let incomplete = || "a request whose chunked body does not end".to_owned();
    let mut at = 0;
    loop {
        match httparse::parse_chunk_size(&text[at..]) {
            Ok(Status::Complete((line_len, 0))) => {
                at += line_len;
                break;
            }
            Ok(Status::Complete((line_len, size))) => {
                let size = usize::try_from(size).map_err(|_| incomplete())?;
                // The data, and the line end after it.
                at = at.saturating_add(line_len).saturating_add(size).saturating_add(2);
                if at > text.len() {
                    return Err(incomplete());
                }
            }
            Ok(Status::Partial) => return Err(incomplete()),
            Err(_) => return Err("a request whose chunked body is malformed".to_owned()),
        }
    }
    loop {
        let line = &text[at..];
        let len = line.iter().position(|&b| b == b'\n').ok_or_else(incomplete)? + 1;
        at += len;
        if matches!(&line[..len], b"\r\n" | b"\n") {
            return Ok(at);
        }
    }
}

/// Line and column of a byte, both from 1.
fn position(text: &[u8], at: usize) -> (usize, usize) {
    let before = &text[..at];
    let lines = before.split(|&b| b == b'\n');
    lines.fold((0, 1), |(line, _), text| (line + 1, text.len() + 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use RequestKind::{Connect, Head, Normal};

    fn kinds(text: &str) -> Result<Vec<RequestKind>, String> {
        let mut kinds = vec![Connect];
        read_kinds(text.as_bytes(), &mut kinds).map_err(|flaw| flaw.to_string())?;
        Ok(kinds)
    }

    #[test]
    fn every_request_is_counted_with_its_kind() {
        assert_eq!(kinds("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), Ok(vec![Normal]));
        assert_eq!(kinds("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n"), Ok(vec![Connect]));
        let three = "HEAD / HTTP/1.1\r\n\r\n\
                     POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nHEADHEAD / HTTP/1.0\n\n";
        assert_eq!(kinds(three), Ok(vec![Head, Normal, Head]), "a body is no request");
        let chunked = "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       3\r\nabc\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n\r\n";
        assert_eq!(kinds(chunked), Ok(vec![Normal, Normal]));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let refused = |text: &str, start: &str, place: &str| {
            let message = kinds(text).expect_err(text);
            assert!(message.starts_with(start) && message.ends_with(place), "{text:?}: {message}");
        };
        refused("", "an empty string", "at 1:1");
        refused("GET / HTTP/1.1\r\nHost: a\r\n", "an incomplete request", "at 1:1");
        refused("GET / HTTP/1.1\r\n\r\nGET", "an incomplete request", "at 3:1");
        refused("GET / HTTP/1.1\r\n\r\n  \x01", "a malformed request", "at 3:1");
        let short = "POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nabc";
        refused(short, "a request whose Content-Length is 5, with only 3", "at 1:1");
        refused("POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n", "a request whose", "at 1:1");
        for body in
            ["", "3\r\nab", "3\r\nabc\r\n", "0\r\n", "0\r\nA: b\r\n", "ffffffffffffffff\r\n"]
        {
            let text = format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
            refused(&text, "a request whose chunked body does not end", "at 1:1");
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(MAX_HEADERS + 1));
        refused(&many, "a request with more than 128", "at 1:1");
    }

    #[test]
    fn positions_count_from_one() {
        assert_eq!(position(b"ab\r\ncd", 0), (1, 1));
        assert_eq!(position(b"ab\r\ncd", 5), (2, 2));
        assert_eq!(position(b"\n", 1), (2, 1));
    }
}
