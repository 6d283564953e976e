//! Heads of requests and responses, as views into the caller's buffer.

use core::fmt;
use core::mem::MaybeUninit;

use httparse::Header;

use crate::MAX_HEADERS;

/// The version of a message, as far as it matters: a higher minor version than 1 is read as 1.1
/// (RFC 9110 section 2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// A request's method. Methods are case-sensitive: `get` is [`Method::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `DELETE`
    Delete,
    /// `CONNECT`
    Connect,
    /// `OPTIONS`
    Options,
    /// `TRACE`
    Trace,
    /// `PATCH`
    Patch,
    /// Any other token; [`RequestHead::method_name`] has its name.
    Other,
}

impl Method {
    /// The method called `name`.
    #[inline]
    pub fn from_bytes(name: &[u8]) -> Self {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// The method's name; of [`Method::Other`] the word `(other)`, which is no valid one.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "(other)",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How the length of a body is told (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is no body.
    None,
    /// By a Content-Length.
    Length(u64),
    /// By the chunked transfer coding.
    Chunked,
    /// By the end of the connection. Responses only.
    UntilClose,
}

/// Room for the header fields of one head. It is not initialised, so that a fresh one costs
/// nothing: make one per buffer of input.
pub struct HeaderScratch<'b> {
    pub(crate) raw: [MaybeUninit<Header<'b>>; MAX_HEADERS],
    /// For heads that httparse does not parse as a whole (HTTP/1.2 and up); it is written before
    /// it is used, and stays untouched otherwise.
    pub(crate) filled: MaybeUninit<[Header<'b>; MAX_HEADERS]>,
}

impl HeaderScratch<'_> {
    /// Room for [`MAX_HEADERS`] header fields.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "a call would copy 6 KiB that hold nothing")]
    pub const fn new() -> Self {
        Self { raw: [MaybeUninit::uninit(); MAX_HEADERS], filled: MaybeUninit::uninit() }
    }
}

impl Default for HeaderScratch<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for HeaderScratch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeaderScratch").finish_non_exhaustive()
    }
}

/// The head of a request that was found to be valid.
#[derive(Debug, Clone, Copy)]
pub struct RequestHead<'b, 'h> {
    /// The method.
    pub method: Method,
    /// The method as it was sent.
    pub method_name: &'b str,
    /// Path and query as they were sent; of an absolute-form what follows the authority (`/` where
    /// nothing does), `*` of an asterisk-form, host and port of an authority-form.
    pub target: &'b [u8],
    /// The target without its query. Never empty.
    pub path: &'b [u8],
    /// What follows the first `?` of the target.
    pub query: Option<&'b [u8]>,
    /// The version.
    pub version: Version,
    /// The header fields in their order, white space around the values removed.
    pub headers: &'h [Header<'b>],
    /// Whether a body follows. Never [`BodyLength::UntilClose`].
    pub body: BodyLength,
    /// Whether the connection stays open after the response as far as the client is concerned. If
    /// not, nothing that it sends after this request is processed.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body. It is of no account
    /// once bytes of the body have come (RFC 9110 section 10.1.1).
    pub expect_continue: bool,
    pub(crate) host: Option<&'b [u8]>,
}

impl<'b> RequestHead<'b, '_> {
    /// The value of the first header field called `name`, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        find(self.headers, name)
    }

    /// The host and port that the request is for: of an absolute-form or authority-form target
    /// those in it (RFC 9112 section 3.2.2), else the Host header field. `None` only in HTTP/1.0.
    pub fn host(&self) -> Option<&'b [u8]> {
        self.host
    }
}

/// The head of a final response.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'b, 'h> {
    /// The status code.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The header fields in their order, white space around the values removed.
    pub headers: &'h [Header<'b>],
    /// How the length of the body is told.
    pub body: BodyLength,
    /// Whether the connection stays open after this response.
    pub keep_alive: bool,
}

impl<'b> ResponseHead<'b, '_> {
    /// The value of the first header field called `name`, in whatever case.
    pub fn header(&self, name: &str) -> Option<&'b [u8]> {
        find(self.headers, name)
    }
}

fn find<'b>(headers: &[Header<'b>], name: &str) -> Option<&'b [u8]> {
    headers.iter().find(|h| h.name.eq_ignore_ascii_case(name)).map(|h| h.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_keep_their_names() {
        for name in ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]
        {
            assert_eq!(Method::from_bytes(name.as_bytes()).to_string(), name);
        }
        assert_eq!(Method::from_bytes(b"get"), Method::Other);
    }
}
