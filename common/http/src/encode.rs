//! Messages into bytes. Everything is appended to a `Vec<u8>` of the caller, so that a batch of
//! pipelined messages ends up in one buffer; nothing is allocated once that has grown.

use alloc::vec::Vec;

use crate::EncodeError;
use crate::chars::{self, TARGET, VALUE};
use crate::target::is_valid_host;

/// The interim response that lets a client with `Expect: 100-continue` send its body.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The end of a chunked body.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A response's head in the making, written straight into the caller's buffer.
///
/// One of [`body`](Self::body), [`content_length`](Self::content_length),
/// [`chunked`](Self::chunked) and [`no_content`](Self::no_content) must end it. Whatever ends with an
/// error, or is dropped before its end, leaves nothing in the buffer.
///
/// ```
/// use ringbench_http::ResponseBuilder;
///
/// let mut out = Vec::new();
/// ResponseBuilder::new(&mut out, 200)?.header("Content-Type", "text/plain")?.body(b"hi")?;
/// assert_eq!(out, b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi");
/// # Ok::<(), ringbench_http::EncodeError>(())
/// ```
#[derive(Debug)]
#[must_use = "a response that is not ended is taken back"]
pub struct ResponseBuilder<'o> {
    out: &'o mut Vec<u8>,
    start: usize,
    status: u16,
    ended: bool,
}

impl<'o> ResponseBuilder<'o> {
    /// Starts a response with this status code. The version is always HTTP/1.1, the highest that
    /// the server conforms to (RFC 9110 section 6.2), also to a client that speaks 1.0.
    ///
    /// # Errors
    ///
    /// [`EncodeError::Status`] if it is not between 100 and 999.
    pub fn new(out: &'o mut Vec<u8>, status: u16) -> Result<Self, EncodeError> {
        if !(100..1000).contains(&status) {
            return Err(EncodeError::Status);
        }
        let start = out.len();
        out.extend_from_slice(b"HTTP/1.1 ");
        write_decimal(out, status.into());
        out.push(b' ');
        out.extend_from_slice(reason_phrase(status).as_bytes());
        out.extend_from_slice(b"\r\n");
        Ok(Self { out, start, status, ended: false })
    }

    /// Adds a header field.
    ///
    /// # Errors
    ///
    /// If the name is not a token, the value has a control character in it, or the field is about
    /// the framing, which is the builder's.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Result<Self, EncodeError> {
        if is_framing(name) {
            return Err(EncodeError::Framing);
        }
        write_header(self.out, name, value.as_ref())?;
        Ok(self)
    }

    /// Adds header fields that were prepared before: whole lines, each with its CRLF. They are not
    /// checked again.
    pub fn prepared(self, lines: &[u8]) -> Self {
        debug_assert!(lines.is_empty() || lines.ends_with(b"\r\n"));
        self.out.extend_from_slice(lines);
        self
    }

    /// Adds `Connection: close`.
    pub fn close(self) -> Self {
        self.prepared(b"Connection: close\r\n")
    }

    /// Adds `Connection: keep-alive`, which a client that speaks 1.0 waits for.
    pub fn keep_alive(self) -> Self {
        self.prepared(b"Connection: keep-alive\r\n")
    }

    /// Ends the head with the length of `body`, and adds the body.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BodyNotAllowed`] for 1xx, 204 and 304.
    pub fn body(mut self, body: &[u8]) -> Result<(), EncodeError> {
        self.end_with_length(body.len() as u64)?;
        self.out.extend_from_slice(body);
        Ok(())
    }

    /// Ends the head with a length, but adds no body: for HEAD, or a body that is added later.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BodyNotAllowed`] for 1xx, 204 and 304.
    pub fn content_length(mut self, length: u64) -> Result<(), EncodeError> {
        self.end_with_length(length)
    }

    /// Ends the head of a response whose body follows in chunks: [`write_chunk`], then
    /// [`LAST_CHUNK`]. Not for clients that speak 1.0, which do not know it.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BodyNotAllowed`] for 1xx, 204 and 304.
    pub fn chunked(mut self) -> Result<(), EncodeError> {
        self.check_body_allowed()?;
        self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
        self.ended = true;
        Ok(())
    }

    /// Ends the head of a response that has no body by its status code.
    ///
    /// # Errors
    ///
    /// [`EncodeError::BodyNotAllowed`] for any other than 1xx, 204 and 304: without a length it
    /// would last until the connection ends.
    pub fn no_content(mut self) -> Result<(), EncodeError> {
        if self.check_body_allowed().is_ok() {
            return Err(EncodeError::BodyNotAllowed);
        }
        self.out.extend_from_slice(b"\r\n");
        self.ended = true;
        Ok(())
    }

    fn end_with_length(&mut self, length: u64) -> Result<(), EncodeError> {
        self.check_body_allowed()?;
        self.out.extend_from_slice(b"Content-Length: ");
        write_decimal(self.out, length);
        self.out.extend_from_slice(b"\r\n\r\n");
        self.ended = true;
        Ok(())
    }

    /// RFC 9110 section 8.6: no Content-Length in 1xx and 204; section 15.4.5: no content in 304.
    fn check_body_allowed(&self) -> Result<(), EncodeError> {
        match self.status {
            100..200 | 204 | 304 => Err(EncodeError::BodyNotAllowed),
            _ => Ok(()),
        }
    }
}

impl Drop for ResponseBuilder<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.out.truncate(self.start);
        }
    }
}

/// Appends one chunk of a chunked body; nothing if `data` is empty, as an empty chunk would end the
/// body.
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let mut digits = [0u8; 16];
    let mut at = digits.len();
    let mut rest = data.len();
    while rest > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[rest % 16];
        rest /= 16;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends a request with its body.
///
/// `Host` is added unless it is among `headers`; `Content-Length` is added where there is a body,
/// and as 0 for POST, PUT and PATCH without one (RFC 9110 section 8.6), unless that or
/// `Transfer-Encoding` is among `headers`. With `Transfer-Encoding` the body is written as it is:
/// it has to be encoded already.
///
/// # Errors
///
/// If something of it may not stand in a request, or a Content-Length is not that of the body.
/// Nothing is appended then.
///
/// ```
/// let mut out = Vec::new();
/// ringbench_http::write_request(&mut out, "GET", "/", "a:80", &[("Accept", "*/*")], None)?;
/// assert_eq!(out, b"GET / HTTP/1.1\r\nHost: a:80\r\nAccept: */*\r\n\r\n");
/// # Ok::<(), ringbench_http::EncodeError>(())
/// ```
pub fn write_request<N: AsRef<str>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(N, V)],
    body: Option<&[u8]>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let written = try_write_request(out, method, target, host, headers, body);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn try_write_request<N: AsRef<str>, V: AsRef<[u8]>>(
    out: &mut Vec<u8>,
    method: &str,
    target: &str,
    host: &str,
    headers: &[(N, V)],
    body: Option<&[u8]>,
) -> Result<(), EncodeError> {
    if !chars::is_token(method.as_bytes()) {
        return Err(EncodeError::Method);
    }
    if target.is_empty() || !chars::all(target.as_bytes(), TARGET) {
        return Err(EncodeError::Target);
    }
    for part in [method, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let find =
        |wanted: &str| headers.iter().find(|(name, _)| name.as_ref().eq_ignore_ascii_case(wanted));
    // RFC 9112 section 3.2: Host should be the first field.
    if find("host").is_none() {
        if !is_valid_host(host.as_bytes()) {
            return Err(EncodeError::Host);
        }
        write_header(out, "Host", host.as_bytes())?;
    }
    for (name, value) in headers {
        write_header(out, name.as_ref(), value.as_ref())?;
    }
    let body_len = body.map_or(0, <[u8]>::len) as u64;
    let wants_length = body.is_some() || matches!(method, "POST" | "PUT" | "PATCH");
    if find("transfer-encoding").is_some() {
        if find("content-length").is_some() {
            return Err(EncodeError::Framing);
        }
    } else if let Some((_, given)) = find("content-length") {
        if !is_decimal(given.as_ref(), body_len) {
            return Err(EncodeError::LengthMismatch);
        }
    } else if wants_length {
        out.extend_from_slice(b"Content-Length: ");
        write_decimal(out, body_len);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body.unwrap_or_default());
    Ok(())
}

fn is_decimal(text: &[u8], number: u64) -> bool {
    let text = core::str::from_utf8(chars::trim_ows(text)).unwrap_or_default();
    text.bytes().all(|b| b.is_ascii_digit()) && text.parse() == Ok(number)
}

fn is_framing(name: &str) -> bool {
    name.eq_ignore_ascii_case("content-length") || name.eq_ignore_ascii_case("transfer-encoding")
}

fn write_header(out: &mut Vec<u8>, name: &str, value: &[u8]) -> Result<(), EncodeError> {
    if !chars::is_token(name.as_bytes()) {
        return Err(EncodeError::HeaderName);
    }
    // A CR or LF in a value would let it end the field and start another one.
    if !chars::all(value, VALUE) {
        return Err(EncodeError::HeaderValue);
    }
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
    Ok(())
}

/// Appends `number` in decimal.
pub fn write_decimal(out: &mut Vec<u8>, mut number: u64) {
    // u64::MAX has 20 digits.
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// The reason phrase of a status code (RFC 9110 section 15 and the IANA registry); empty for one
/// that is not registered, which is allowed (RFC 9112 section 4).
pub fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        300 => "Multiple Choices",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        407 => "Proxy Authentication Required",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        426 => "Upgrade Required",
        428 => "Precondition Required",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        511 => "Network Authentication Required",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_HEADERS: &[(&str, &str)] = &[];

    #[test]
    fn numbers() {
        let mut out = Vec::new();
        for number in [0, 7, 10, 12345, u64::MAX] {
            out.clear();
            write_decimal(&mut out, number);
            assert_eq!(out, number.to_string().into_bytes());
        }
    }

    #[test]
    fn chunks() {
        let mut out = Vec::new();
        write_chunk(&mut out, b"");
        write_chunk(&mut out, &[b'x'; 0x1a]);
        assert_eq!(out, b"1a\r\nxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n");
    }

    #[test]
    fn a_response_that_fails_leaves_nothing_behind() {
        let mut out = b"before".to_vec();
        let builder = ResponseBuilder::new(&mut out, 200).unwrap();
        let failed = builder.header("A", "b\r\nSet-Cookie: c");
        assert_eq!(failed.err(), Some(EncodeError::HeaderValue));
        let mut fail = |status, name: &str, value: &str| {
            ResponseBuilder::new(&mut out, status)
                .and_then(|b| b.header(name, value))
                .and_then(|b| b.body(b"x"))
                .unwrap_err()
        };
        assert_eq!(fail(200, "A", "nul\0"), EncodeError::HeaderValue);
        assert_eq!(fail(200, "A b", "c"), EncodeError::HeaderName);
        assert_eq!(fail(200, "", "c"), EncodeError::HeaderName);
        assert_eq!(fail(200, "content-length", "1"), EncodeError::Framing);
        assert_eq!(fail(204, "A", "b"), EncodeError::BodyNotAllowed);
        assert_eq!(fail(99, "A", "b"), EncodeError::Status);
        let dropped = ResponseBuilder::new(&mut out, 200).unwrap().close();
        drop(dropped);
        assert_eq!(
            ResponseBuilder::new(&mut out, 200).unwrap().no_content(),
            Err(EncodeError::BodyNotAllowed)
        );
        assert_eq!(out, b"before");
    }

    #[test]
    fn responses() {
        let mut out = Vec::new();
        ResponseBuilder::new(&mut out, 204).unwrap().close().no_content().unwrap();
        ResponseBuilder::new(&mut out, 299).unwrap().keep_alive().content_length(5).unwrap();
        ResponseBuilder::new(&mut out, 200).unwrap().prepared(b"A: b\r\n").chunked().unwrap();
        assert_eq!(
            out.escape_ascii().to_string(),
            "HTTP/1.1 204 No Content\\r\\nConnection: close\\r\\n\\r\\n\
             HTTP/1.1 299 \\r\\nConnection: keep-alive\\r\\nContent-Length: 5\\r\\n\\r\\n\
             HTTP/1.1 200 OK\\r\\nA: b\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n"
        );
    }

    fn request(
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<String, EncodeError> {
        let mut out = b"<".to_vec();
        let written = write_request(&mut out, method, target, "h", headers, body);
        assert!(written.is_ok() || out == b"<", "a failure leaves nothing behind");
        written.map(|()| String::from_utf8(out[1..].to_vec()).unwrap())
    }

    #[test]
    fn requests() {
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(request("GET", "/", &[], None), ok("GET / HTTP/1.1\r\nHost: h\r\n\r\n"));
        assert_eq!(
            request("POST", "/", &[], None),
            ok("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        );
        assert_eq!(
            request("GET", "/", &[("host", "x"), ("A", "b")], Some(b"hi")),
            ok("GET / HTTP/1.1\r\nhost: x\r\nA: b\r\nContent-Length: 2\r\n\r\nhi")
        );
        assert_eq!(
            request("PUT", "/", &[("content-length", "2")], Some(b"hi")),
            ok("PUT / HTTP/1.1\r\nHost: h\r\ncontent-length: 2\r\n\r\nhi")
        );
        assert_eq!(
            request("PUT", "/", &[("Transfer-Encoding", "chunked")], Some(LAST_CHUNK)),
            ok("PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        );
    }

    #[test]
    fn requests_that_cannot_be_sent() {
        assert_eq!(request("G T", "/", &[], None), Err(EncodeError::Method));
        assert_eq!(request("GET", "", &[], None), Err(EncodeError::Target));
        assert_eq!(request("GET", "/ b", &[], None), Err(EncodeError::Target));
        assert_eq!(request("GET", "/", &[("A:", "b")], None), Err(EncodeError::HeaderName));
        assert_eq!(request("GET", "/", &[("A", "b\n")], None), Err(EncodeError::HeaderValue));
        let mismatch = request("PUT", "/", &[("Content-Length", "3")], Some(b"hi"));
        assert_eq!(mismatch, Err(EncodeError::LengthMismatch));
        let both = [("Content-Length", "2"), ("Transfer-Encoding", "chunked")];
        assert_eq!(request("PUT", "/", &both, Some(b"hi")), Err(EncodeError::Framing));
        let mut out = Vec::new();
        let bad_host = write_request(&mut out, "GET", "/", "a b", NO_HEADERS, None);
        assert_eq!(bad_host, Err(EncodeError::Host));
    }
}
