//! What the header fields say about the framing of a message and the life of its connection.

use httparse::Header;

use crate::chars::{is_token, trim_ows};
use crate::head::{BodyLength, Version};
use crate::target::is_valid_host;
use crate::{ClientError, RejectReason};

/// The header fields of a head that matter to the codec.
#[derive(Debug, Default)]
pub(crate) struct Fields<'b> {
    host: Option<&'b [u8]>,
    hosts: u32,
    length: Length,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    expect_continue: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Length {
    #[default]
    Absent,
    Is(u64),
    Malformed,
    Differing,
}

/// The list of transfer codings, summed over all Transfer-Encoding fields in their order.
#[derive(Debug, Default)]
struct Coding {
    present: bool,
    chunked: u32,
    chunked_is_last: bool,
    /// Registered codings other than chunked: known by name, not implemented.
    registered: bool,
    unknown: bool,
    malformed: bool,
}

impl<'b> Fields<'b> {
    #[inline]
    pub(crate) fn read(headers: &[Header<'b>]) -> Self {
        let mut fields = Self::default();
        for header in headers {
            // Names are told apart by their lengths first: most are then done with.
            match header.name.len() {
                4 if header.name.eq_ignore_ascii_case("host") => {
                    fields.hosts += 1;
                    fields.host = Some(header.value);
                }
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    fields.read_expect(header.value);
                }
                10 if header.name.eq_ignore_ascii_case("connection") => {
                    fields.read_connection(header.value);
                }
                14 if header.name.eq_ignore_ascii_case("content-length") => {
                    fields.length.read(header.value);
                }
                17 if header.name.eq_ignore_ascii_case("transfer-encoding") => {
                    fields.coding.read(header.value);
                }
                _ => {}
            }
        }
        fields
    }

    /// RFC 9110 section 10.1.1: a list, in which one member asks for a 100 response. Other members
    /// are ignored, which that section allows.
    #[cold]
    fn read_expect(&mut self, value: &[u8]) {
        let mut members = value.split(|&b| b == b',').map(trim_ows);
        self.expect_continue |= members.any(|member| member.eq_ignore_ascii_case(b"100-continue"));
    }

    /// RFC 9110 section 7.6.1: a list of case-insensitive options.
    fn read_connection(&mut self, value: &[u8]) {
        for option in value.split(|&b| b == b',').map(trim_ows) {
            self.close |= option.eq_ignore_ascii_case(b"close");
            self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
        }
    }

    /// RFC 9112 section 9.3: 1.1 persists unless told otherwise, 1.0 only when told so.
    #[inline]
    pub(crate) fn keep_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }

    /// RFC 9110 section 10.1.1: the expectation is ignored in 1.0. Without a body there is nothing
    /// to continue with.
    #[inline]
    pub(crate) fn expect_continue(&self, version: Version, body: BodyLength) -> bool {
        let has_body = !matches!(body, BodyLength::None | BodyLength::Length(0));
        self.expect_continue && version == Version::Http11 && has_body
    }

    /// The host that a request is for. RFC 9112 section 3.2: 400 if there is none in 1.1, and in
    /// any version if there is more than one or if it is invalid.
    #[inline]
    pub(crate) fn host(&self, version: Version) -> Result<Option<&'b [u8]>, RejectReason> {
        match self.host {
            Some(host) if self.hosts == 1 && is_valid_host(host) => Ok(Some(host)),
            Some(_) if self.hosts == 1 => Err(RejectReason::BadHost),
            Some(_) => Err(RejectReason::RepeatedHost),
            None if version == Version::Http10 => Ok(None),
            None => Err(RejectReason::MissingHost),
        }
    }

    /// The framing of a request (RFC 9112 sections 6.1 to 6.3). Whatever is doubtful is refused,
    /// because a proxy in front may have read it the other way.
    #[inline]
    pub(crate) fn request_body(&self, version: Version) -> Result<BodyLength, RejectReason> {
        if self.coding.present {
            return self.request_coding(version);
        }
        match self.length {
            Length::Absent => Ok(BodyLength::None),
            Length::Is(length) => Ok(BodyLength::Length(length)),
            Length::Malformed => Err(RejectReason::BadContentLength),
            Length::Differing => Err(RejectReason::DifferingContentLengths),
        }
    }

    #[cold]
    fn request_coding(&self, version: Version) -> Result<BodyLength, RejectReason> {
        let coding = &self.coding;
        if version == Version::Http10 {
            return Err(RejectReason::TransferEncodingInHttp10);
        }
        if self.length != Length::Absent {
            return Err(RejectReason::LengthAndTransferEncoding);
        }
        if coding.malformed {
            return Err(RejectReason::BadTransferEncoding);
        }
        match (coding.chunked, coding.chunked_is_last) {
            (1, true) if coding.registered || coding.unknown => {
                Err(RejectReason::UnknownTransferCoding)
            }
            (1, true) => Ok(BodyLength::Chunked),
            // Section 6.1: 501 for a coding that is not understood, and what nobody has heard of
            // might well delimit itself. Of a registered one it is known that it does not
            // (section 6.3): 400.
            (0, _) if coding.unknown => Err(RejectReason::UnknownTransferCoding),
            _ => Err(RejectReason::ChunkedNotLast),
        }
    }

    /// The framing of a response whose status code and request allow a body (RFC 9112
    /// section 6.3), and whether the connection may be used again after it.
    ///
    /// Where the request side refuses, this side reads on as a browser would: a load generator is
    /// to measure servers as they are. What leaves the length of the body open is an error.
    pub(crate) fn response_body(&self, version: Version) -> Option<(BodyLength, bool)> {
        let keep_alive = self.keep_alive(version);
        if self.coding.present {
            // Rule 3: Transfer-Encoding overrides Content-Length; section 6.1: such a connection,
            // and one that has it in 1.0, is closed afterwards.
            let sound = version == Version::Http11 && self.length == Length::Absent;
            let coding = &self.coding;
            return match (coding.chunked, coding.chunked_is_last) {
                _ if coding.malformed => None,
                (1, true) => Some((BodyLength::Chunked, keep_alive && sound)),
                (0, _) => Some((BodyLength::UntilClose, false)),
                _ => None,
            };
        }
        match self.length {
            Length::Absent => Some((BodyLength::UntilClose, false)),
            Length::Is(length) => Some((BodyLength::Length(length), keep_alive)),
            Length::Malformed | Length::Differing => None,
        }
    }

    /// Why [`Self::response_body`] gave nothing.
    pub(crate) fn response_error(&self) -> ClientError {
        if self.coding.present {
            ClientError::BadTransferEncoding
        } else {
            ClientError::BadContentLength
        }
    }
}

impl Length {
    fn read(&mut self, value: &[u8]) {
        // RFC 9112 section 6.3 rule 5: a list of one and the same number stands for that number.
        for item in value.split(|&b| b == b',').map(trim_ows) {
            *self = match (*self, parse_decimal(item)) {
                (Self::Malformed, _) | (_, None) => Self::Malformed,
                (Self::Absent, Some(length)) => Self::Is(length),
                (Self::Is(before), Some(length)) if before == length => Self::Is(length),
                (Self::Is(_) | Self::Differing, Some(_)) => Self::Differing,
            };
        }
    }
}

/// `1*DIGIT` as a number: no sign, no white space, no overflow (RFC 9110 section 8.6).
fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

impl Coding {
    fn read(&mut self, value: &[u8]) {
        self.present = true;
        // Empty elements are ignored (RFC 9110 section 5.6.1.2).
        for item in value.split(|&b| b == b',').map(trim_ows).filter(|item| !item.is_empty()) {
            let name_end = item.iter().position(|&b| b == b';').unwrap_or(item.len());
            let name = trim_ows(&item[..name_end]);
            self.chunked_is_last = name.eq_ignore_ascii_case(b"chunked");
            if self.chunked_is_last {
                self.chunked += 1;
                // RFC 9112 section 7.1: parameters of chunked are to be treated as an error.
                self.malformed |= name_end < item.len();
            } else if is_token(name) {
                let registered: [&[u8]; 6] =
                    [b"gzip", b"deflate", b"compress", b"identity", b"x-gzip", b"x-compress"];
                let known = registered.iter().any(|r| name.eq_ignore_ascii_case(r));
                self.registered |= known;
                self.unknown |= !known;
            } else {
                self.malformed = true;
            }
        }
        let any = self.chunked > 0 || self.registered || self.unknown;
        self.malformed |= !any;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields<'a>(pairs: &[(&'a str, &'a str)]) -> Fields<'a> {
        let headers: Vec<_> =
            pairs.iter().map(|&(name, value)| Header { name, value: value.as_bytes() }).collect();
        Fields::read(&headers)
    }

    fn body(pairs: &[(&str, &str)]) -> Result<BodyLength, RejectReason> {
        fields(pairs).request_body(Version::Http11)
    }

    #[test]
    fn content_lengths() {
        let length = |value| body(&[("Content-Length", value)]);
        assert_eq!(length("5"), Ok(BodyLength::Length(5)));
        assert_eq!(length("005"), Ok(BodyLength::Length(5)));
        assert_eq!(length("5, 5"), Ok(BodyLength::Length(5)));
        assert_eq!(length("18446744073709551615"), Ok(BodyLength::Length(u64::MAX)));
        assert_eq!(length("5,6"), Err(RejectReason::DifferingContentLengths));
        for bad in ["", "+5", "-0", "0x5", "5 5", "5,", "0_1", "18446744073709551616", "5;"] {
            assert_eq!(length(bad), Err(RejectReason::BadContentLength), "{bad:?}");
        }
        let two = |a, b| body(&[("content-length", a), ("CONTENT-LENGTH", b)]);
        assert_eq!(two("5", "5"), Ok(BodyLength::Length(5)));
        assert_eq!(two("5", "6"), Err(RejectReason::DifferingContentLengths));
        assert_eq!(two("x", "6"), Err(RejectReason::BadContentLength));
    }

    #[test]
    fn transfer_encodings_of_requests() {
        let coding = |value| body(&[("Transfer-Encoding", value)]);
        for good in ["chunked", "CHUNKED", ",chunked", "chunked , "] {
            assert_eq!(coding(good), Ok(BodyLength::Chunked), "{good:?}");
        }
        for bad in ["", ",", "chunked;a=b", "\"chunked\"", "chunked chunked"] {
            assert_eq!(coding(bad), Err(RejectReason::BadTransferEncoding), "{bad:?}");
        }
        for bad in ["chunked, chunked", "chunked, gzip", "gzip", "identity", "chunked, foo"] {
            assert_eq!(coding(bad), Err(RejectReason::ChunkedNotLast), "{bad:?}");
        }
        for bad in ["foo", "xchunked", "gzip, chunked", "identity, chunked", "foo;q=1, chunked"] {
            assert_eq!(coding(bad), Err(RejectReason::UnknownTransferCoding), "{bad:?}");
        }
        let split = body(&[("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "gzip")]);
        assert_eq!(split, Err(RejectReason::ChunkedNotLast));
        let both = body(&[("Transfer-Encoding", "chunked"), ("Content-Length", "5")]);
        assert_eq!(both, Err(RejectReason::LengthAndTransferEncoding));
        let old = fields(&[("Transfer-Encoding", "chunked")]).request_body(Version::Http10);
        assert_eq!(old, Err(RejectReason::TransferEncodingInHttp10));
    }

    #[test]
    fn connection_options() {
        let keeps = |values: &[&str], version| {
            let pairs: Vec<_> = values.iter().map(|v| ("Connection", *v)).collect();
            fields(&pairs).keep_alive(version)
        };
        assert!(keeps(&[], Version::Http11));
        assert!(!keeps(&[], Version::Http10));
        assert!(keeps(&["Keep-Alive"], Version::Http10));
        assert!(keeps(&["upgrade, keep-alive"], Version::Http10));
        assert!(!keeps(&["foo ,CLOSE"], Version::Http11));
        assert!(!keeps(&["keep-alive", "close"], Version::Http11));
        assert!(keeps(&["closed, xclose"], Version::Http11));
    }

    #[test]
    fn framing_of_responses_is_lenient_where_the_length_is_clear() {
        let response = |pairs: &[_]| fields(pairs).response_body(Version::Http11);
        let chunked = ("Transfer-Encoding", "chunked");
        assert_eq!(response(&[chunked]), Some((BodyLength::Chunked, true)));
        let both = response(&[chunked, ("Content-Length", "5")]);
        assert_eq!(both, Some((BodyLength::Chunked, false)));
        let gzip = response(&[("Transfer-Encoding", "gzip, chunked")]);
        assert_eq!(gzip, Some((BodyLength::Chunked, true)));
        let open = response(&[("Transfer-Encoding", "gzip")]);
        assert_eq!(open, Some((BodyLength::UntilClose, false)));
        assert_eq!(response(&[]), Some((BodyLength::UntilClose, false)));
        assert_eq!(response(&[("Content-Length", "5,6")]), None);
        assert_eq!(response(&[("Transfer-Encoding", "chunked, gzip")]), None);
    }
}
