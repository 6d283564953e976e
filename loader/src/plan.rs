//! What to send: the bytes of the request, prepared once.

use ringbench_http::{EncodeError, RequestKind, is_token, write_request};

use crate::config::Config;

/// The requests of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// As many copies of the request as are sent at once.
    burst: Vec<u8>,
    request_len: usize,
    kind: RequestKind,
    per_connection: u64,
}

/// The most bytes that are sent at once on a connection.
pub(crate) const MAX_BURST_LEN: usize = 256 << 20;

/// Why there is no request as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// CONNECT would end HTTP on the connection.
    #[error("-m/--method CONNECT opens a tunnel and cannot be repeated")]
    Connect,
    /// A field that may be there once only.
    #[error("-H/--header: {0} is given more than once")]
    Repeated(&'static str),
    /// Half an encoding: the head announces a body that does not follow.
    #[error("-H/--header: Transfer-Encoding needs a -b/--body that is encoded accordingly")]
    ChunkedWithoutBody,
    /// The head announces another body than follows.
    #[error(
        "-H/--header: Content-Length is not the length of -b/--body; leave it out, it is added"
    )]
    Length,
    /// Two ways to say where the body ends.
    #[error("-H/--header: Transfer-Encoding and Content-Length exclude each other")]
    Framing,
    /// Nothing may follow a request that ends its connection.
    #[error(
        "-H/--header: Connection: close ends the connection with its first request; it cannot be \
         combined with -p/--pipeline {0}"
    )]
    CloseInPipeline(u32),
    /// The same, where more than one was asked for.
    #[error(
        "-H/--header: Connection: close ends the connection with its first request; it cannot be \
         combined with --requests-per-connection {0}"
    )]
    CloseBeforeLast(u64),
    /// More than can sensibly be kept and sent at once.
    #[error(
        "-b/--body and -p/--pipeline: {depth} requests of {request_len} bytes are more than the \
         {} MiB that may be sent at once", MAX_BURST_LEN >> 20
    )]
    TooLong {
        /// Requests sent at once.
        depth: u32,
        /// The length of each.
        request_len: usize,
    },
    /// What the codec does not write.
    #[error("the request cannot be sent: {0}")]
    Encode(EncodeError),
}

impl From<EncodeError> for PlanError {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::LengthMismatch => Self::Length,
            EncodeError::Framing => Self::Framing,
            error => Self::Encode(error),
        }
    }
}

impl Plan {
    /// Prepares the requests of a run.
    ///
    /// # Errors
    ///
    /// When flags contradict each other; the text names them.
    pub fn new(config: &Config) -> Result<Self, PlanError> {
        let kind = match config.method.as_str() {
            "CONNECT" => return Err(PlanError::Connect),
            "HEAD" => RequestKind::Head,
            _ => RequestKind::Normal,
        };
        let count = |wanted: &str| {
            config.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted)).count()
        };
        // RFC 9112 3.2 and 6.3: a server must refuse these.
        for name in ["Host", "Content-Length", "Transfer-Encoding"] {
            if count(name) > 1 {
                return Err(PlanError::Repeated(name));
            }
        }
        // RFC 9112 7.1: a chunked body ends with an empty line, after its trailers if it has any.
        let ends_chunked = config.body.as_ref().is_some_and(|body| body.ends_with(b"\r\n\r\n"));
        if count("Transfer-Encoding") > 0 && !ends_chunked {
            return Err(PlanError::ChunkedWithoutBody);
        }
        let closes = config.headers.iter().any(asks_to_close);
        if closes && config.pipeline > 1 {
            return Err(PlanError::CloseInPipeline(config.pipeline));
        }
        let per_connection = match config.requests_per_connection {
            Some(requests @ 2..) if closes => return Err(PlanError::CloseBeforeLast(requests)),
            _ if closes => 1,
            // Without a bound, 2^64 requests are more than a connection lives to see.
            requests => requests.unwrap_or(u64::MAX),
        };
        let mut request = Vec::new();
        write_request(
            &mut request,
            &config.method,
            config.url.target(),
            config.url.authority(),
            &config.headers,
            config.body.as_deref(),
        )?;
        let (depth, request_len) = (config.pipeline, request.len());
        if request_len.saturating_mul(depth as usize) > MAX_BURST_LEN {
            return Err(PlanError::TooLong { depth, request_len });
        }
        Ok(Self {
            burst: request.repeat(config.pipeline as usize),
            request_len: request.len(),
            kind,
            per_connection,
        })
    }

    /// So many requests in a row, at most the pipelining depth.
    #[inline]
    pub fn requests(&self, count: u32) -> &[u8] {
        &self.burst[..self.request_len * count as usize]
    }

    /// What the requests mean for the framing of their responses.
    #[inline]
    pub fn kind(&self) -> RequestKind {
        self.kind
    }

    /// How many requests a connection carries before it is closed and replaced: 1 if the request
    /// itself asks for that.
    pub fn per_connection(&self) -> u64 {
        self.per_connection
    }
}

/// RFC 9112 9.6: whoever sends the close option sends nothing more on the connection.
fn asks_to_close((name, value): &(String, String)) -> bool {
    name.eq_ignore_ascii_case("Connection")
        && value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close"))
}

/// Reads a header field, `Name: value`.
///
/// # Errors
///
/// When it is none; the text says why.
pub fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| format!("`{text}` is not a header field: expected `Name: value`"))?;
    if !is_token(name.as_bytes()) {
        return Err(format!("`{name}` is not the name of a header field"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
        return Err(format!("the value of `{name}` has a control character in it"));
    }
    Ok((name.to_owned(), value.to_owned()))
}

/// Reads a method.
///
/// # Errors
///
/// When it is none.
pub fn parse_method(text: &str) -> Result<String, String> {
    if !is_token(text.as_bytes()) {
        return Err(format!("`{text}` is not a method: expected a word such as GET"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    use crate::flags::Flags;

    /// The plan of a command line, past the checks of the flags themselves.
    fn plan(args: &[&str]) -> Result<Plan, String> {
        let words = ["ringload"].iter().chain(args);
        let config = Flags::try_parse_from(words).and_then(Flags::config);
        config.map(|config| Plan::new(&config).unwrap()).map_err(|error| error.to_string())
    }

    fn text(args: &[&str]) -> String {
        String::from_utf8(plan(args).unwrap().requests(1).to_vec()).unwrap()
    }

    #[test]
    fn a_plain_request_is_as_short_as_wrks() {
        assert_eq!(
            text(&["http://127.0.0.1:8080/a?b"]),
            "GET /a?b HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n"
        );
        assert_eq!(text(&["http://[::1]:81"]), "GET / HTTP/1.1\r\nHost: [::1]:81\r\n\r\n");
    }

    #[test]
    fn headers_and_body_come_as_they_were_given() {
        assert_eq!(
            text(&["-H", "Host:other", "-H", "A:  b c ", "-H", "A: d", "-b", "{}", "http://h"]),
            "POST / HTTP/1.1\r\nHost: other\r\nA: b c\r\nA: d\r\nContent-Length: 2\r\n\r\n{}"
        );
        assert_eq!(
            text(&["-m", "POST", "http://h"]),
            "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_burst_is_the_request_repeated() {
        let plan = plan(&["-p", "16", "http://h"]).unwrap();
        assert_eq!(plan.requests(16), plan.requests(1).repeat(16));
        assert_eq!(plan.requests(0), b"");
    }

    #[test]
    fn requests_may_end_their_connection() {
        let per_connection = |args: &[&str]| plan(args).unwrap().per_connection();
        assert_eq!(per_connection(&["-H", "connection: x, Close", "http://h"]), 1);
        assert_eq!(per_connection(&["-H", "Connection: keep-alive", "http://h"]), u64::MAX);
        assert_eq!(per_connection(&["--requests-per-connection", "10", "http://h"]), 10);
        let both = ["--requests-per-connection", "1", "-H", "Connection: close", "http://h"];
        assert_eq!(per_connection(&both), 1, "two ways to say the same");
    }

    #[test]
    fn the_kind_follows_from_the_method() {
        assert_eq!(plan(&["-m", "HEAD", "http://h"]).unwrap().kind(), RequestKind::Head);
        assert_eq!(plan(&["-m", "DELETE", "http://h"]).unwrap().kind(), RequestKind::Normal);
    }

    #[test]
    fn contradictions_are_named() {
        let refused = |args: &[&str], part: &str| {
            let message = plan(args).expect_err("not refused");
            assert!(message.contains(part), "{args:?}: {message}");
        };
        refused(&["-m", "CONNECT", "http://h"], "--method CONNECT");
        refused(&["-H", "host: a", "-H", "Host: b", "http://h"], "Host is given more than once");
        refused(&["-H", "Content-Length: 3", "-b", "ab", "http://h"], "--body");
        refused(&["-H", "Transfer-Encoding: chunked", "http://h"], "--body");
        let framings = ["-H", "Transfer-Encoding: chunked", "-H", "Content-Length: 5", "http://h"];
        refused(&[&framings[..], &["-b", "0\r\n\r\n"]].concat(), "--header: Transfer-Encoding and");
        refused(&["-H", "Transfer-Encoding: chunked", "-b", "plain", "http://h"], "--header");
        let close = plan(&["-H", "connection: x, Close", "-p", "2", "http://h"]).unwrap_err();
        assert!(close.contains("--header") && close.contains("--pipeline 2"), "{close}");
        let close = ["--requests-per-connection", "2", "-H", "Connection: close", "http://h"];
        refused(&close, "cannot be combined with --requests-per-connection 2");
        let body = "x".repeat(3 << 20);
        let long = plan(&["-b", &body, "-p", "100", "http://h"]).unwrap_err();
        assert!(long.contains("--body and -p/--pipeline: 100 requests"), "{long}");
        refused(&["-H", "A b: c", "http://h"], "`A b` is not the name");
        refused(&["-H", "A: b\nC: d", "http://h"], "control character");
        refused(&["-m", "", "http://h"], "--method");
    }
}
