//! The client's side of a connection.

use httparse::{ParserConfig, Response, Status};

use super::scan::{HeadScan, Scan};
use super::{EofOutcome, Step};
use crate::body::{BodyDecoder, BodyEvent, Strictness};
use crate::framing::Fields;
use crate::head::{BodyLength, HeaderScratch, ResponseHead, Version};
use crate::{ClientError, Limits};

/// What a request means for the framing of its response (RFC 9112 section 6.3, rules 1 and 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestKind {
    /// The response says itself whether it has a body.
    Normal,
    /// `HEAD`: the response has no body, whatever it says.
    Head,
    /// `CONNECT`: after a 2xx response the connection is a tunnel, and no longer HTTP.
    Connect,
}

/// The state of the client's side of one connection: bytes in, responses out.
///
/// # The order of calls
///
/// Call [`sent`](Self::sent) for each request, in the order in which they are sent. Call
/// [`next`](Self::next) with the bytes that have come and are not consumed yet, forget as many as
/// it says, and call it again with the rest, until it answers [`ClientEvent::NeedMore`]. The events
/// of each response are
///
/// - any number of [`ClientEvent::Interim`], then
/// - [`ClientEvent::Head`], any number of [`ClientEvent::Body`], then [`ClientEvent::End`] (also
///   where there is no body);
/// - or [`ClientEvent::Error`], after which the connection is of no further use.
///
/// After an [`ClientEvent::End`] that says `keep_alive: false` there are no more responses, even if
/// some are [`outstanding`](Self::outstanding): those requests were not answered.
///
/// At the end of input call [`eof`](Self::eof): it may be the end of a body.
#[derive(Debug, Clone)]
pub struct ClientConn {
    body: BodyDecoder,
    /// Bit i: the i-th outstanding request is a [`RequestKind::Head`].
    heads: [u64; 2],
    scan: HeadScan,
    outstanding: u8,
    /// Which of the outstanding requests is a [`RequestKind::Connect`], or [`NO_CONNECT`].
    connect_at: u8,
    phase: Phase,
    keep_alive: bool,
}

const NO_CONNECT: u8 = u8::MAX;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Body,
    Closed,
}

/// What [`ClientConn::next`] found.
#[derive(Debug, Clone, Copy)]
#[allow(clippy::large_enum_variant, reason = "a head is a view, and is not kept")]
pub enum ClientEvent<'b, 'h> {
    /// All that can be told from the input was told. Call again with more of it.
    NeedMore,
    /// An interim response with this status code, such as `100 Continue`; the final one follows.
    Interim(u16),
    /// The head of the final response.
    Head(ResponseHead<'b, 'h>),
    /// A piece of its body, never empty.
    Body(&'b [u8]),
    /// The end of the response.
    End {
        /// Whether the connection can be used for further requests, and answers those that are
        /// outstanding.
        keep_alive: bool,
    },
    /// The server broke the protocol. Close.
    Error(ClientError),
    /// The connection gives no more responses. The input is dropped.
    Closed,
}

impl Default for ClientConn {
    fn default() -> Self {
        Self::new()
    }
}

impl ClientConn {
    /// The most requests that may be outstanding at once.
    pub const MAX_PIPELINE: usize = 128;

    /// A connection on which nothing was sent yet.
    pub const fn new() -> Self {
        Self {
            body: BodyDecoder::new(BodyLength::None),
            heads: [0; 2],
            scan: HeadScan::new(),
            outstanding: 0,
            connect_at: NO_CONNECT,
            phase: Phase::Head,
            keep_alive: true,
        }
    }

    /// A request of this kind is sent: one more response is owed.
    ///
    /// # Panics
    ///
    /// If [`MAX_PIPELINE`](Self::MAX_PIPELINE) requests are outstanding already, or a CONNECT is:
    /// nothing may follow one before it is answered.
    #[inline]
    pub fn sent(&mut self, kind: RequestKind) {
        let slot = usize::from(self.outstanding);
        assert!(slot < Self::MAX_PIPELINE, "more than {} requests in flight", Self::MAX_PIPELINE);
        assert!(self.connect_at == NO_CONNECT, "a request was sent after a CONNECT");
        match kind {
            RequestKind::Normal => {}
            RequestKind::Head => self.heads[slot / 64] |= 1 << (slot % 64),
            RequestKind::Connect => self.connect_at = self.outstanding,
        }
        self.outstanding += 1;
    }

    /// How many responses are owed.
    #[inline]
    pub fn outstanding(&self) -> usize {
        self.outstanding.into()
    }

    /// Whether the connection gives no more responses.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Finds the next event in `input`, which starts at the first byte that was not consumed yet.
    #[inline]
    pub fn next<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ClientEvent<'b, 'h>> {
        match self.phase {
            Phase::Body => self.next_body(input, limits),
            _ if input.is_empty() => Step::new(0, ClientEvent::NeedMore),
            Phase::Head => self.next_head(input, scratch, limits),
            Phase::Closed => Step::new(input.len(), ClientEvent::Closed),
        }
    }

    /// The server has closed the connection, or its half of it.
    pub fn eof(&mut self) -> EofOutcome {
        let outcome = match self.phase {
            Phase::Closed => EofOutcome::Clean,
            Phase::Head if self.outstanding == 0 => EofOutcome::Clean,
            Phase::Body if self.body.ends_with_connection() => {
                self.pop();
                EofOutcome::BodyEnd
            }
            Phase::Head | Phase::Body => EofOutcome::Truncated,
        };
        self.phase = Phase::Closed;
        outcome
    }

    #[inline]
    fn next_head<'b, 'h>(
        &mut self,
        input: &'b [u8],
        scratch: &'h mut HeaderScratch<'b>,
        limits: &Limits,
    ) -> Step<ClientEvent<'b, 'h>> {
        if self.outstanding == 0 {
            return self.fail(ClientError::Unsolicited);
        }
        if !self.scan.is_fresh() {
            match self.find_end(input, limits) {
                Ok(true) => {}
                Ok(false) => return Step::new(0, ClientEvent::NeedMore),
                Err(error) => return self.fail(error),
            }
        } else if input[0] != b'H' {
            // httparse would skip empty lines here, of which RFC 9112 knows none.
            return self.fail(ClientError::NotHttp);
        }
        let mut response = Response::new(&mut []);
        let parsed = lenient_parser().parse_response_with_uninit_headers(
            &mut response,
            input,
            &mut scratch.raw[..limits.header_slots()],
        );
        match (parsed, response.code, response.version) {
            (Ok(Status::Complete(len)), Some(status), Some(minor))
                if len <= limits.max_head_bytes =>
            {
                let version = if minor == 0 { Version::Http10 } else { Version::Http11 };
                self.response(status, version, response.headers, len, limits)
            }
            (parsed, ..) => self.slow_head(input, limits, parsed.err()),
        }
    }

    /// A head that httparse did not accept: not whole yet, or malformed.
    #[cold]
    fn slow_head<'b, 'h>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
        error: Option<httparse::Error>,
    ) -> Step<ClientEvent<'b, 'h>> {
        self.scan.reset();
        match self.find_end(input, limits) {
            Ok(false) => Step::new(0, ClientEvent::NeedMore),
            Ok(true) => self.fail(match error {
                Some(httparse::Error::TooManyHeaders) => ClientError::TooManyHeaders,
                Some(httparse::Error::Status | httparse::Error::Version) | None => {
                    ClientError::BadStatusLine
                }
                Some(_) => ClientError::BadHeader,
            }),
            Err(error) => self.fail(error),
        }
    }

    /// Whether the head has come as a whole, or why it is refused before that.
    fn find_end(&mut self, input: &[u8], limits: &Limits) -> Result<bool, ClientError> {
        if !self.scan.line_is_judged() {
            // A server of another protocol is found out at its first bytes.
            let len = input.len().min(8);
            let same = |prefix: &[u8; 8]| input[..len] == prefix[..len];
            if !(same(b"HTTP/1.1") || same(b"HTTP/1.0")) {
                return Err(ClientError::NotHttp);
            }
        }
        let max_head = limits.max_head_bytes;
        loop {
            match self.scan.search(input, max_head, max_head) {
                Scan::NeedMore => return Ok(false),
                // Nothing else in a status line is worth an early answer.
                Scan::Line(_) => self.scan.line_is_good(),
                Scan::End(_) => return Ok(true),
                Scan::LineTooLong | Scan::HeadTooLarge => return Err(ClientError::HeadTooLarge),
            }
        }
    }

    /// A head that is sound as such: what does it say?
    #[inline]
    fn response<'b, 'h>(
        &mut self,
        status: u16,
        version: Version,
        headers: &'h [httparse::Header<'b>],
        len: usize,
        limits: &Limits,
    ) -> Step<ClientEvent<'b, 'h>> {
        self.scan.reset();
        if status < 200 && status != 101 {
            // RFC 9110 section 15: status codes begin at 100.
            return match status {
                ..100 => self.fail(ClientError::BadStatusLine),
                100.. => Step::new(len, ClientEvent::Interim(status)),
            };
        }
        let fields = Fields::read(headers);
        // RFC 9112 section 6.3, rules 1 and 2. After 101 and a 2xx to CONNECT the connection speaks
        // another protocol, and is over as far as HTTP is concerned.
        let to_head = self.heads[0] & 1 != 0;
        let switches = status == 101 || (self.connect_at == 0 && status < 300);
        let has_body = !(to_head || switches || status == 204 || status == 304);
        let (body, keep_alive) = if has_body {
            match fields.response_body(version) {
                Some(framing) => framing,
                None => return self.fail(fields.response_error()),
            }
        } else {
            (BodyLength::None, fields.keep_alive(version) && !switches)
        };
        if matches!(body, BodyLength::Length(length) if length > limits.max_body_bytes) {
            return self.fail(ClientError::BodyTooLarge);
        }
        self.body = BodyDecoder::new(body);
        self.keep_alive = keep_alive;
        self.phase = Phase::Body;
        let head = ResponseHead { status, version, headers, body, keep_alive };
        Step::new(len, ClientEvent::Head(head))
    }

    #[inline]
    fn next_body<'b, 'h>(&mut self, input: &'b [u8], limits: &Limits) -> Step<ClientEvent<'b, 'h>> {
        let (consumed, event) = self.body.next(input, limits, Strictness::Lenient);
        let event = match event {
            BodyEvent::NeedMore => ClientEvent::NeedMore,
            BodyEvent::Data(data) => ClientEvent::Body(data),
            BodyEvent::End => {
                self.pop();
                self.phase = if self.keep_alive { Phase::Head } else { Phase::Closed };
                ClientEvent::End { keep_alive: self.keep_alive }
            }
            BodyEvent::Error(error) => return self.fail(error.into()),
        };
        Step::new(consumed, event)
    }

    /// One response less is owed.
    #[inline]
    fn pop(&mut self) {
        self.outstanding -= 1;
        let [low, high] = self.heads;
        self.heads = [low >> 1 | high << 63, high >> 1];
        self.connect_at = match self.connect_at {
            0 | NO_CONNECT => NO_CONNECT,
            at => at - 1,
        };
    }

    #[cold]
    fn fail<'b, 'h>(&mut self, error: ClientError) -> Step<ClientEvent<'b, 'h>> {
        self.phase = Phase::Closed;
        Step::new(0, ClientEvent::Error(error))
    }
}

/// Where the server role refuses, this one reads on as browsers do (RFC 9112 sections 5.1 and 5.2
/// allow a user agent to): white space before a colon and folded lines leave no doubt about where
/// the response ends, and a load generator is to measure servers as they are.
#[inline]
fn lenient_parser() -> ParserConfig {
    let mut config = ParserConfig::default();
    config
        .allow_spaces_after_header_name_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_multiple_spaces_in_response_status_delimiters(true);
    config
}
