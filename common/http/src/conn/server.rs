//! The server's side of a connection.

use core::mem;

use httparse::{Header, Request, Status};

use super::scan::{HeadScan, Scan};
use super::{EofOutcome, Step};
use crate::body::{BodyDecoder, BodyEvent, Strictness};
use crate::chars::{self, TARGET, TOKEN};
use crate::framing::Fields;
use crate::head::{BodyLength, HeaderScratch, Method, RequestHead, Version};
use crate::limits::{Limits, MAX_BLANK_LINES, MAX_HEADERS, MAX_METHOD_BYTES};
use crate::target::Target;
use crate::{Reject, RejectReason};

/// The state of the server's side of one connection: bytes in, requests out.
///
/// # The order of calls
///
/// Call [`next`](Self::next) with the bytes that have come and are not consumed yet, forget as many
/// as it says, and call it again with the rest, until it answers [`ServerEvent::NeedMore`]. Then
/// wait for more bytes. The events of one request are
///
/// - [`ServerEvent::Request`], and if its `body` is not [`BodyLength::None`] or
///   [`BodyLength::Length(0)`](BodyLength::Length): any number of [`ServerEvent::Body`], then
///   [`ServerEvent::End`];
/// - or [`ServerEvent::Reject`]: answer with its status and close.
///
/// After a reject, and after a request with `keep_alive == false` that was read in full, there are
/// no more requests: the answer to all further bytes is [`ServerEvent::Closed`], and they are
/// consumed (RFC 9112 section 9.6).
///
/// At the end of input, [`eof`](Self::eof) tells whether it came between two requests.
#[derive(Debug, Clone)]
pub struct ServerConn {
    body: BodyDecoder,
    scan: HeadScan,
    phase: Phase,
    /// Of the current request; false once the server wants to close after it.
    keep_alive: bool,
    blank_lines: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Closed,
}

/// What [`ServerConn::next`] found.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::large_enum_variant, reason = "a head is a view, and is not kept")]
pub enum ServerEvent<'b, 'h> {
    /// All that can be told from the input was told. Call again with more of it.
    NeedMore,
    /// A request's head, checked.
    Request(RequestHead<'b, 'h>),
    /// A piece of the request's body, never empty.
    Body(&'b [u8]),
    /// The end of the request's body.
    End,
    /// What came is not a request that may be processed. Answer with this status and close.
    Reject(Reject),
    /// The connection takes no more requests. The input is dropped.
    Closed,
}

impl Default for ServerConn {
    fn default() -> Self {
        Self::new()
    }
}

impl ServerConn {
    /// A connection on which nothing has come yet.
    pub const fn new() -> Self {
        Self {
            body: BodyDecoder::new(BodyLength::None),
            scan: HeadScan::new(),
            phase: Phase::Head,
            keep_alive: true,
            blank_lines: 0,
        }
    }

    /// Finds the next event in `input`, which starts at the first byte that was not consumed yet.
    #[inline]
    pub fn next<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ServerEvent<'b, 'h>> {
        match self.phase {
            Phase::Head if self.scan.is_fresh() => self.next_head(input, scratch, limits),
            Phase::Head => self.resume_head(input, scratch, limits),
            Phase::Body => self.next_body(input, limits),
            Phase::Closed if input.is_empty() => Step::new(0, ServerEvent::NeedMore),
            Phase::Closed => Step::new(input.len(), ServerEvent::Closed),
        }
    }

    /// Takes all that is left of the request's body, if it has a Content-Length and `input`, which
    /// starts at the first byte that was not consumed, has the whole of it. The request ends with
    /// it: no [`ServerEvent::Body`] and no [`ServerEvent::End`] follow, and its bytes are consumed.
    /// Called right after [`ServerEvent::Request`], it lets the body be handled while the head is
    /// still at hand.
    ///
    /// ```
    /// use ringbench_http::{HeaderScratch, Limits, ServerConn, ServerEvent};
    ///
    /// let input = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    /// let (mut conn, mut scratch) = (ServerConn::new(), HeaderScratch::new());
    /// let step = conn.next(input, &mut scratch, &Limits::default());
    /// let ServerEvent::Request(head) = step.event else { panic!() };
    /// assert_eq!(conn.body_in_place(&input[step.consumed..]), Some(&b"hi"[..]));
    /// assert!(conn.is_idle() && head.path == b"/");
    /// ```
    #[inline]
    pub fn body_in_place<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        if self.phase != Phase::Body {
            return None;
        }
        let body = self.body.take_whole(input)?;
        self.phase = if self.keep_alive { Phase::Head } else { Phase::Closed };
        Some(body)
    }

    /// The server closes the connection: nothing that comes from now on is processed.
    pub fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Closes the connection once the current request has been read in full. Between requests, at
    /// once.
    pub fn close_after_request(&mut self) {
        self.keep_alive = false;
        if self.phase == Phase::Head {
            self.phase = Phase::Closed;
        }
    }

    /// Whether the connection is between two requests. If the caller holds input that was not
    /// consumed, the next request has begun all the same.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.scan.is_fresh()
    }

    /// Whether a request's head was given and its body has not ended.
    pub fn is_mid_body(&self) -> bool {
        self.phase == Phase::Body
    }

    /// Whether the connection takes no more requests.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// What the end of input means, with `leftover` bytes of it not consumed.
    pub fn eof(&self, leftover: usize) -> EofOutcome {
        match self.phase {
            Phase::Closed => EofOutcome::Clean,
            Phase::Head if self.scan.is_fresh() && leftover == 0 => EofOutcome::Clean,
            Phase::Head | Phase::Body => EofOutcome::Truncated,
        }
    }

    /// The fast path: the head is there as a whole, and good.
    #[inline]
    fn next_head<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ServerEvent<'b, 'h>> {
        match input.first() {
            None => return Step::new(0, ServerEvent::NeedMore),
            Some(b'\r' | b'\n') => return self.skip_blank_lines(input, scratch, limits),
            Some(_) => {}
        }
        let HeaderScratch { raw, filled } = scratch;
        let mut request = Request::new(&mut []);
        let parsed = request.parse_with_uninit_headers(input, &mut raw[..limits.header_slots()]);
        let Ok(Status::Complete(len)) = parsed else {
            return self.slow_head(input, filled, limits, parsed.err());
        };
        let (Some(name), Some(target), Some(minor)) =
            (request.method, request.path, request.version)
        else {
            return self.refuse_head(input, RejectReason::BadRequestLine);
        };
        if name.len() > MAX_METHOD_BYTES
            || target.len() > limits.max_target_bytes
            || len > limits.max_head_bytes
        {
            return self.slow_head(input, filled, limits, None);
        }
        let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
        self.request(name, target.as_bytes(), version, request.headers, len, limits)
    }

    /// RFC 9112 section 2.2: empty lines before a request line are ignored, some of them.
    #[cold]
    fn skip_blank_lines<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ServerEvent<'b, 'h>> {
        let mut skipped = 0;
        loop {
            skipped += match &input[skipped..] {
                [b'\n', ..] => 1,
                [b'\r', b'\n', ..] => 2,
                [] | [b'\r'] => return Step::new(skipped, ServerEvent::NeedMore),
                [b'\r', ..] => return self.refuse_head(input, RejectReason::BadBlankLines),
                rest => {
                    let step = self.next_head(rest, scratch, limits);
                    return Step::new(skipped + step.consumed, step.event);
                }
            };
            self.blank_lines += 1;
            if self.blank_lines > MAX_BLANK_LINES {
                return self.refuse_head(input, RejectReason::BadBlankLines);
            }
        }
    }

    /// More bytes of a head that was not whole before.
    #[cold]
    fn resume_head<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ServerEvent<'b, 'h>> {
        match self.find_end(input, limits) {
            Ok(Some(_)) => {
                self.scan.reset();
                self.next_head(input, scratch, limits)
            }
            Ok(None) => Step::new(0, ServerEvent::NeedMore),
            Err(reason) => self.refuse_head(input, reason),
        }
    }

    /// A head that httparse did not accept: not whole yet, malformed, or of a higher minor
    /// version.
    #[cold]
    fn slow_head<'b, 'h>(
        &mut self,
        input: &'b [u8],
        filled: &'h mut mem::MaybeUninit<[Header<'b>; MAX_HEADERS]>,
        limits: &Limits,
        error: Option<httparse::Error>,
    ) -> Step<ServerEvent<'b, 'h>> {
        let end = match self.find_end(input, limits) {
            Ok(Some(end)) => end,
            Ok(None) => return Step::new(0, ServerEvent::NeedMore),
            Err(reason) => return self.refuse_head(input, reason),
        };
        if error != Some(httparse::Error::Version) {
            return self
                .refuse_head(input, error.map_or(RejectReason::BadRequestLine, header_reason));
        }
        // RFC 9110 section 2.5: a higher minor version is read as the highest that is known. The
        // request line was found good, so it has its three parts.
        let line_len = memchr::memchr(b'\n', input).map_or(0, |lf| lf + 1);
        let mut parts = trim_line_end(&input[..line_len]).split(|&b| b == b' ');
        let (name, target) = (parts.next().unwrap_or(b""), parts.next().unwrap_or(b""));
        let slots =
            &mut filled.write([httparse::EMPTY_HEADER; MAX_HEADERS])[..limits.header_slots()];
        match (core::str::from_utf8(name), httparse::parse_headers(&input[line_len..end], slots)) {
            (Ok(name), Ok(Status::Complete((_, headers)))) => {
                self.request(name, target, Version::Http11, headers, end, limits)
            }
            (_, Err(error)) => self.refuse_head(input, header_reason(error)),
            _ => self.refuse_head(input, RejectReason::BadRequestLine),
        }
    }

    /// Where the head ends, if it has come as a whole; or why it is refused before that.
    fn find_end(&mut self, input: &[u8], limits: &Limits) -> Result<Option<usize>, RejectReason> {
        let (max_line, max_head) = (limits.max_line_bytes(), limits.max_head_bytes);
        if !self.scan.line_is_judged() {
            // Whatever is no HTTP at all, such as a TLS hello, is refused at its first bytes; it
            // may not have a LF for long.
            check_method(&input[..input.len().min(max_line)])?;
        }
        loop {
            match self.scan.search(input, max_line, max_head) {
                Scan::NeedMore => return Ok(None),
                Scan::Line(len) => {
                    check_line(&input[..len], limits)?;
                    self.scan.line_is_good();
                }
                Scan::LineTooLong => return Err(judge_long_line(&input[..max_line])),
                Scan::End(end) => return Ok(Some(end)),
                Scan::HeadTooLarge => return Err(RejectReason::HeadTooLarge),
            }
        }
    }

    /// A head that is sound as such: what does it ask for?
    #[inline]
    fn request<'b, 'h>(
        &mut self,
        method_name: &'b str,
        target: &'b [u8],
        version: Version,
        headers: &'h [Header<'b>],
        len: usize,
        limits: &Limits,
    ) -> Step<ServerEvent<'b, 'h>> {
        let method = Method::from_bytes(method_name.as_bytes());
        let to_head = method == Method::Head;
        let target = match Target::parse(method, target) {
            Ok(target) => target,
            Err(reason) => return self.reject(reason, to_head),
        };
        let fields = Fields::read(headers);
        let (host, body) = match (fields.host(version), fields.request_body(version)) {
            (Ok(host), Ok(body)) => (host, body),
            (Err(reason), _) | (_, Err(reason)) => return self.reject(reason, to_head),
        };
        if matches!(body, BodyLength::Length(length) if length > limits.max_body_bytes) {
            return self.reject(RejectReason::BodyTooLarge, to_head);
        }
        // What follows a CONNECT is meant for a tunnel, and is not to be read as a request.
        let keep_alive = fields.keep_alive(version) && method != Method::Connect;
        let expect_continue = fields.expect_continue(version, body);
        self.scan.reset();
        self.blank_lines = 0;
        self.keep_alive = keep_alive;
        if matches!(body, BodyLength::None | BodyLength::Length(0)) {
            self.phase = if keep_alive { Phase::Head } else { Phase::Closed };
        } else {
            self.body = BodyDecoder::new(body);
            self.phase = Phase::Body;
        }
        let head = RequestHead {
            method,
            method_name,
            target: target.path_and_query,
            path: target.path,
            query: target.query,
            version,
            headers,
            body,
            keep_alive,
            expect_continue,
            // RFC 9112 section 3.2.2: the Host field is ignored where the target names the host.
            host: target.authority.or(host),
        };
        Step::new(len, ServerEvent::Request(head))
    }

    #[inline]
    fn next_body<'b, 'h>(&mut self, input: &'b [u8], limits: &Limits) -> Step<ServerEvent<'b, 'h>> {
        let (consumed, event) = self.body.next(input, limits, Strictness::Strict);
        let event = match event {
            BodyEvent::NeedMore => ServerEvent::NeedMore,
            BodyEvent::Data(data) => ServerEvent::Body(data),
            BodyEvent::End => {
                self.phase = if self.keep_alive { Phase::Head } else { Phase::Closed };
                ServerEvent::End
            }
            BodyEvent::Error(error) => return self.reject(error.into(), false),
        };
        Step::new(consumed, event)
    }

    /// Refuses a head, which `input` starts with.
    #[cold]
    fn refuse_head<'b, 'h>(
        &mut self,
        input: &[u8],
        reason: RejectReason,
    ) -> Step<ServerEvent<'b, 'h>> {
        self.reject(reason, is_head_request(input))
    }

    #[cold]
    fn reject<'b, 'h>(&mut self, reason: RejectReason, to_head: bool) -> Step<ServerEvent<'b, 'h>> {
        self.phase = Phase::Closed;
        Step::new(0, ServerEvent::Reject(Reject::new(reason, to_head)))
    }
}

/// Whether a request's head starts with the method HEAD, however little more of it has come: its
/// answer has no content (RFC 9110 section 9.3.2), whatever it says.
pub fn is_head_request(start: &[u8]) -> bool {
    start.starts_with(b"HEAD ")
}

/// Refuses a method as soon as one of its bytes is wrong or it is too long.
fn check_method(input: &[u8]) -> Result<(), RejectReason> {
    match input.iter().position(|&b| !chars::is(b, TOKEN)) {
        Some(0) => Err(RejectReason::BadMethod),
        // RFC 9112 section 3: 501 for a method longer than any that is known.
        Some(end) if end > MAX_METHOD_BYTES => Err(RejectReason::MethodTooLong),
        Some(end) if input[end] == b' ' => Ok(()),
        Some(_) => Err(RejectReason::BadMethod),
        None if input.len() > MAX_METHOD_BYTES => Err(RejectReason::MethodTooLong),
        None => Ok(()),
    }
}

/// Judges a request line that has come as a whole and whose method is good.
fn check_line(line: &[u8], limits: &Limits) -> Result<(), RejectReason> {
    let mut parts = trim_line_end(line).splitn(3, |&b| b == b' ');
    let name = parts.next().unwrap_or(b"");
    let (Some(target), Some(version)) = (parts.next(), parts.next()) else {
        return Err(RejectReason::BadRequestLine);
    };
    if target.len() > limits.max_target_bytes {
        return Err(RejectReason::TargetTooLong);
    }
    if target.is_empty() || !chars::all(target, TARGET) {
        return Err(RejectReason::BadTarget);
    }
    // `HTTP/` DIGIT `.` DIGIT, and the case matters (RFC 9112 section 2.3).
    match version {
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            if *major != b'1' {
                return Err(RejectReason::UnsupportedVersion);
            }
        }
        _ => return Err(RejectReason::BadRequestLine),
    }
    Target::parse(Method::from_bytes(name), target).map(|_| ())
}

/// Judges a request line by as many of its bytes as one may have, without its end.
fn judge_long_line(start: &[u8]) -> RejectReason {
    // The method was found good, so the first space is the one before the target.
    if start.split(|&b| b == b' ').nth(2).is_none() {
        RejectReason::TargetTooLong
    } else {
        RejectReason::BadRequestLine
    }
}

fn trim_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// What an error of httparse in the header section means; the request line was found good before.
fn header_reason(error: httparse::Error) -> RejectReason {
    match error {
        httparse::Error::HeaderName => RejectReason::BadHeaderName,
        httparse::Error::HeaderValue => RejectReason::BadHeaderValue,
        httparse::Error::NewLine => RejectReason::BadLineEnd,
        httparse::Error::TooManyHeaders => RejectReason::TooManyHeaders,
        httparse::Error::Token | httparse::Error::Version | httparse::Error::Status => {
            RejectReason::BadRequestLine
        }
    }
}
