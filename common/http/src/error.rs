//! What can be wrong, sorted by whose fault it is: [`RejectReason`] is a client's,
//! [`ClientError`] a server's, [`EncodeError`] the caller's own.

use core::error::Error;
use core::fmt;

/// A request that is refused: answer with `status`, then close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reject {
    /// The status code to answer with.
    pub status: u16,
    /// What was wrong.
    pub reason: RejectReason,
    /// Whether it was wrong in the head of a HEAD request, whose answer has no content (RFC 9110
    /// section 9.3.2). False for a body: whose it is was told with its head.
    pub to_head: bool,
}

impl Reject {
    /// A request refused for `reason`.
    pub(crate) fn new(reason: RejectReason, to_head: bool) -> Self {
        Self { status: reason.status(), reason, to_head }
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.reason, self.status)
    }
}

impl Error for Reject {}

/// Writes an enum of reasons, with the documentation of each variant as its `Display`, so that the
/// two cannot drift apart.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$note:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $name {
            $(#[doc = $text] $(#[$note])* $variant,)+
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $text,)+ })
            }
        }

        impl Error for $name {}
    };
}

reasons! {
    /// Why a request is refused. [`RejectReason::status`] gives the status code for each.
    RejectReason {
        BadBlankLines = "too many empty lines, or a bare CR, before the request line",
        BadMethod = "the method is not a token followed by one space",
        MethodTooLong = "the method is longer than any that is known",
        BadRequestLine = "the request line is malformed",
        UnsupportedVersion = "the HTTP version is not 1.x",
        TargetTooLong = "the request target is too long",
        BadTarget = "the request target is malformed, or not of a form that the method allows",
        BadHeaderName = "a header field's name is malformed, folded, or not followed by a colon",
        BadHeaderValue = "a header field's value has a control character in it",
        BadLineEnd = "a CR is not followed by LF",
        TooManyHeaders = "there are too many header fields",
        HeadTooLarge = "the head is too large",
        MissingHost = "the Host header field is missing",
        RepeatedHost = "there is more than one Host header field",
        BadHost = "the Host header field is not a valid host and port",
        BadContentLength = "a Content-Length is not a decimal number that fits into 64 bits",
        DifferingContentLengths = "there are Content-Length values that differ",
        LengthAndTransferEncoding = "there are both a Content-Length and a Transfer-Encoding",
        TransferEncodingInHttp10 = "there is a Transfer-Encoding in an HTTP/1.0 request",
        BadTransferEncoding = "the Transfer-Encoding is malformed",
        ChunkedNotLast = "chunked is not the last transfer coding, or is there twice",
        UnknownTransferCoding = "a transfer coding is not implemented",
        BodyTooLarge = "the body is too large",
        BadChunk = "the framing of a chunk is malformed",
        ChunkSizeOverflow = "a chunk size does not fit into 64 bits",
        ChunkExtensionsTooLong = "the chunk extensions are too long",
        BadTrailer = "the trailer section is malformed",
        TrailersTooLarge = "the trailer section is too large",
    }
}

impl RejectReason {
    /// The status code that a request refused for this reason is answered with.
    pub fn status(self) -> u16 {
        match self {
            Self::BodyTooLarge => 413,
            Self::TargetTooLong => 414,
            // RFC 6585 section 5.
            Self::TooManyHeaders | Self::HeadTooLarge | Self::TrailersTooLarge => 431,
            // RFC 9112 sections 3 and 6.1.
            Self::MethodTooLong | Self::UnknownTransferCoding => 501,
            Self::UnsupportedVersion => 505,
            _ => 400,
        }
    }
}

reasons! {
    /// What a server did wrong. The connection is of no further use.
    ClientError {
        Unsolicited = "the server sent something when no response was owed",
        NotHttp = "what the server sent is not an HTTP/1.0 or HTTP/1.1 response",
        BadStatusLine = "the status line is malformed",
        BadHeader = "a header field of the response is malformed",
        TooManyHeaders = "the response has too many header fields",
        HeadTooLarge = "the head of the response is too large",
        BadContentLength = "the response's Content-Length is malformed or contradicts itself",
        BadTransferEncoding = "the response's Transfer-Encoding is malformed",
        BodyTooLarge = "the body of the response is too large",
        BadChunk = "the framing of a chunk of the response is malformed",
        BadTrailer = "the trailer section of the response is malformed or too large",
    }
}

reasons! {
    /// A message that cannot be written as asked: a mistake of the caller. Nothing of the message
    /// stays in the output.
    EncodeError {
        Method = "the method is not a token",
        Target = "the request target is empty, or has a byte that may not stand in it",
        Host = "the host is not a valid host and port",
        HeaderName = "a header field's name is not a token",
        HeaderValue = "a header field's value has a control character in it",
        Framing = "Content-Length and Transfer-Encoding are written by the encoder, not given to it",
        LengthMismatch = "the Content-Length that was given is not the length of the body",
        BodyNotAllowed = "a response with this status code cannot have a body",
        Status = "a status code has three digits, the first at least 1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_says_what_and_which_status() {
        let reject = Reject::new(RejectReason::MissingHost, false);
        assert_eq!(reject.to_string(), "the Host header field is missing (400)");
        assert_eq!(Reject::new(RejectReason::UnknownTransferCoding, false).status, 501);
    }
}
