//! Bodies: of a known length, chunked, or until the connection ends.

use crate::chars::{self, TOKEN, VALUE};
use crate::{BodyLength, ClientError, Limits, RejectReason};

/// Where a body is. A few bytes per connection; the body itself stays in the caller's buffer.
#[derive(Debug, Clone)]
pub(crate) struct BodyDecoder {
    /// What is left of the body, or of the current chunk; while a chunk size is read, the size
    /// so far.
    remaining: u64,
    /// The sizes of all chunks so far.
    total: u64,
    /// Bytes of chunk extensions so far, then of the trailer section.
    overhead: u32,
    state: State,
}

/// How to read what the two roles treat differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// For requests: as the grammar says.
    Strict,
    /// For responses: white space after a chunk size is let pass, as old servers pad it.
    Lenient,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BodyEvent<'b> {
    NeedMore,
    Data(&'b [u8]),
    End,
    Error(BodyError),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BodyError {
    TooLarge,
    BadChunk,
    SizeOverflow,
    ExtensionsTooLong,
    BadTrailer,
    TrailersTooLarge,
}

impl From<BodyError> for RejectReason {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::BadChunk => Self::BadChunk,
            BodyError::SizeOverflow => Self::ChunkSizeOverflow,
            BodyError::ExtensionsTooLong => Self::ChunkExtensionsTooLong,
            BodyError::BadTrailer => Self::BadTrailer,
            BodyError::TrailersTooLarge => Self::TrailersTooLarge,
        }
    }
}

impl From<BodyError> for ClientError {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::TooLarge => Self::BodyTooLarge,
            BodyError::BadChunk | BodyError::SizeOverflow | BodyError::ExtensionsTooLong => {
                Self::BadChunk
            }
            BodyError::BadTrailer | BodyError::TrailersTooLarge => Self::BadTrailer,
        }
    }
}

/// The chunked coding byte by byte (RFC 9112 section 7.1), so that no byte of it is looked at
/// twice however it is cut up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// In a body of a known length.
    Length,
    /// In a body that ends with the connection.
    UntilClose,
    /// Before the first digit of a chunk size.
    SizeStart,
    /// After a digit of a chunk size.
    Size,
    /// In white space that must be followed by an extension.
    SizeSpace,
    /// After `;`, before the name.
    ExtStart,
    ExtName,
    /// In white space after the name.
    ExtNameSpace,
    /// After `=`, before the value.
    ExtEquals,
    ExtValue,
    ExtQuoted,
    ExtEscape,
    ExtQuotedEnd,
    /// After the CR of a chunk-size line.
    SizeLf,
    Data,
    /// After the data of a chunk.
    DataCr,
    DataLf,
    /// At the start of a line of the trailer section.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    /// After the CR of the empty line that ends it all.
    EndLf,
}

impl BodyDecoder {
    pub(crate) const fn new(length: BodyLength) -> Self {
        let (remaining, state) = match length {
            BodyLength::None => (0, State::Length),
            BodyLength::Length(length) => (length, State::Length),
            BodyLength::Chunked => (0, State::SizeStart),
            BodyLength::UntilClose => (0, State::UntilClose),
        };
        Self { remaining, total: 0, overhead: 0, state }
    }

    /// Whether the end of the connection is the end of this body.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// Reads all that is left of a body of a known length, if `input` has it.
    #[inline]
    pub(crate) fn take_whole<'b>(&mut self, input: &'b [u8]) -> Option<&'b [u8]> {
        if self.state != State::Length {
            return None;
        }
        let body = input.get(..usize::try_from(self.remaining).ok()?)?;
        self.remaining = 0;
        Some(body)
    }

    /// Reads on, and says how many bytes of `input` are done with.
    #[inline]
    pub(crate) fn next<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
        strictness: Strictness,
    ) -> (usize, BodyEvent<'b>) {
        match self.state {
            State::Length if self.remaining == 0 => (0, BodyEvent::End),
            State::Length => self.data(input),
            State::UntilClose => {
                self.remaining = limits.max_body_bytes - self.total;
                if self.remaining == 0 && !input.is_empty() {
                    return (0, BodyEvent::Error(BodyError::TooLarge));
                }
                let (len, event) = self.data(input);
                self.total += len as u64;
                (len, event)
            }
            _ => self.chunked(input, limits, strictness),
        }
    }

    #[inline]
    fn data<'b>(&mut self, input: &'b [u8]) -> (usize, BodyEvent<'b>) {
        let len = usize::try_from(self.remaining).map_or(input.len(), |r| r.min(input.len()));
        if len == 0 {
            return (0, BodyEvent::NeedMore);
        }
        self.remaining -= len as u64;
        (len, BodyEvent::Data(&input[..len]))
    }

    fn chunked<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
        strictness: Strictness,
    ) -> (usize, BodyEvent<'b>) {
        let mut at = 0;
        while at < input.len() {
            if self.state == State::Data {
                let (len, event) = self.data(&input[at..]);
                if self.remaining == 0 {
                    self.state = State::DataCr;
                }
                return (at + len, event);
            }
            let byte = input[at];
            at += 1;
            if self.state == State::EndLf && byte == b'\n' {
                return (at, BodyEvent::End);
            }
            match self.step(byte, limits, strictness) {
                Ok(next) => self.state = next,
                Err(error) => return (at, BodyEvent::Error(error)),
            }
        }
        (at, BodyEvent::NeedMore)
    }

    /// The state after one more byte of framing.
    #[inline]
    fn step(&mut self, b: u8, limits: &Limits, strictness: Strictness) -> Result<State, BodyError> {
        match self.state {
            State::SizeStart | State::Size => self.size_byte(b, limits),
            // Section 7.1: nothing but a size, extensions and CRLF, so white space with no
            // extension after it is malformed.
            State::SizeSpace if b == b'\r' && strictness == Strictness::Lenient => {
                Ok(State::SizeLf)
            }
            State::SizeSpace
            | State::ExtStart
            | State::ExtName
            | State::ExtNameSpace
            | State::ExtEquals
            | State::ExtValue
            | State::ExtQuoted
            | State::ExtEscape
            | State::ExtQuotedEnd => self.extension_byte(b, limits),
            // A bare LF would end a size line here, but not for a peer that takes it for a part of
            // an extension: that difference has been used to smuggle requests.
            State::SizeLf if b == b'\n' => self.chunk_starts(limits),
            State::DataCr if b == b'\r' => Ok(State::DataLf),
            State::DataLf if b == b'\n' => Ok(State::SizeStart),
            State::TrailerStart
            | State::TrailerName
            | State::TrailerValue
            | State::TrailerLf
            | State::EndLf => self.trailer_byte(b, limits),
            _ => Err(BodyError::BadChunk),
        }
    }

    fn size_byte(&mut self, b: u8, limits: &Limits) -> Result<State, BodyError> {
        if let Some(digit) = char::from(b).to_digit(16) {
            if self.remaining >> 60 != 0 {
                return Err(BodyError::SizeOverflow);
            }
            if self.remaining == 0 && self.state == State::Size {
                self.count(limits.max_chunk_extension_bytes, BodyError::ExtensionsTooLong)?;
            }
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match b {
            _ if self.state == State::SizeStart => Err(BodyError::BadChunk),
            b'\r' => Ok(State::SizeLf),
            b';' => Ok(State::ExtStart),
            b' ' | b'\t' => Ok(State::SizeSpace),
            _ => Err(BodyError::BadChunk),
        }
    }

    /// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`, section 7.1.1.
    /// Extensions are checked and skipped.
    fn extension_byte(&mut self, b: u8, limits: &Limits) -> Result<State, BodyError> {
        self.count(limits.max_chunk_extension_bytes, BodyError::ExtensionsTooLong)?;
        let space = b == b' ' || b == b'\t';
        Ok(match (self.state, b) {
            (State::SizeSpace | State::ExtStart | State::ExtNameSpace | State::ExtEquals, _)
                if space =>
            {
                self.state
            }
            (State::ExtName, _) if space => State::ExtNameSpace,
            (State::ExtValue | State::ExtQuotedEnd, _) if space => State::SizeSpace,
            (
                State::SizeSpace
                | State::ExtName
                | State::ExtNameSpace
                | State::ExtValue
                | State::ExtQuotedEnd,
                b';',
            ) => State::ExtStart,
            (State::ExtName | State::ExtValue | State::ExtQuotedEnd, b'\r') => State::SizeLf,
            (State::ExtName | State::ExtNameSpace, b'=') => State::ExtEquals,
            (State::ExtStart | State::ExtName, _) if chars::is(b, TOKEN) => State::ExtName,
            (State::ExtEquals | State::ExtValue, _) if chars::is(b, TOKEN) => State::ExtValue,
            (State::ExtEquals, b'"') => State::ExtQuoted,
            (State::ExtQuoted, b'"') => State::ExtQuotedEnd,
            (State::ExtQuoted, b'\\') => State::ExtEscape,
            (State::ExtQuoted | State::ExtEscape, _) if chars::is(b, VALUE) => State::ExtQuoted,
            _ => return Err(BodyError::BadChunk),
        })
    }

    fn chunk_starts(&mut self, limits: &Limits) -> Result<State, BodyError> {
        if self.remaining == 0 {
            self.overhead = 0;
            return Ok(State::TrailerStart);
        }
        // Refused as soon as the size is known, not when the bytes have come.
        self.total = self.total.checked_add(self.remaining).ok_or(BodyError::TooLarge)?;
        if self.total > limits.max_body_bytes {
            return Err(BodyError::TooLarge);
        }
        Ok(State::Data)
    }

    /// Trailer fields are checked and dropped: merging them into the header would let them change
    /// what was decided already (section 7.1.2).
    fn trailer_byte(&mut self, b: u8, limits: &Limits) -> Result<State, BodyError> {
        self.count(limits.max_trailer_bytes, BodyError::TrailersTooLarge)?;
        Ok(match (self.state, b) {
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, _) if chars::is(b, TOKEN) => {
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if chars::is(b, VALUE) => State::TrailerValue,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            _ => return Err(BodyError::BadTrailer),
        })
    }

    fn count(&mut self, max: u32, error: BodyError) -> Result<(), BodyError> {
        self.overhead = self.overhead.saturating_add(1);
        if self.overhead > max { Err(error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body in `input`, or what is wrong with it, fed in pieces of `step` bytes.
    fn decode(input: &[u8], step: usize, strictness: Strictness) -> Result<Vec<u8>, BodyError> {
        let limits =
            Limits { max_body_bytes: 100, max_chunk_extension_bytes: 40, ..Limits::default() };
        let mut decoder = BodyDecoder::new(BodyLength::Chunked);
        let mut body = Vec::new();
        for piece in input.chunks(step) {
            let mut at = 0;
            loop {
                let (consumed, event) = decoder.next(&piece[at..], &limits, strictness);
                at += consumed;
                match event {
                    BodyEvent::NeedMore => break,
                    BodyEvent::Data(data) => body.extend_from_slice(data),
                    BodyEvent::End => return Ok(body),
                    BodyEvent::Error(error) => return Err(error),
                }
            }
            assert_eq!(at, piece.len(), "framing is consumed at once");
        }
        panic!("no end in {:?}", input.escape_ascii().to_string());
    }

    fn check(input: &str, expected: Result<&str, BodyError>) {
        for step in [1, 2, 3, 1000] {
            let got = decode(input.as_bytes(), step, Strictness::Strict);
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(got, expected, "{input:?} in pieces of {step}");
        }
    }

    #[test]
    fn chunked_bodies() {
        check("0\r\n\r\n", Ok(""));
        check("5\r\nhello\r\n0\r\n\r\n", Ok("hello"));
        check("0005\r\nhello\r\n1\r\n!\r\n000\r\n\r\n", Ok("hello!"));
        check("A\r\n0123456789\r\n0\r\n\r\n", Ok("0123456789"));
        check("5;a\r\nhello\r\n0;b=c\r\n\r\n", Ok("hello"));
        check("5 ; a = \"x;\\\"\r\" ;b\r\n", Err(BodyError::BadChunk));
        check("5 ; a = \"x;\\\" \" ;b\r\nhello\r\n0\r\n\r\n", Ok("hello"));
        check("5; some; parameters=stuff\r\nhello\r\n0\r\n\r\n", Ok("hello"));
        check("0\r\nA: b\r\nC:\t\r\n\r\n", Ok(""));
    }

    #[test]
    fn malformed_framing() {
        for bad in [
            "\r\n",
            " 5\r\n",
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5_0\r\n",
            "5 \r\n",
            "5\t\r\n",
            "5\n",
            "5\r5",
            "5;\r\n",
            "5;a=\r\n",
            "5;a \r\n",
            "5;a=b c\r\n",
            "5;=b\r\n",
            "5;a\n",
            "g\r\n",
            "5;a=\"\n",
            "5;a\0\r\n",
            "5\r\nhello0\r\n",
            "5\r\nhello\n",
            "5\r\nhello\rx",
            ";a\r\n",
        ] {
            check(bad, Err(BodyError::BadChunk));
        }
        for bad in [
            "0\r\n:\r\n",
            "0\r\n a: b\r\n",
            "0\r\na : b\r\n",
            "0\r\na\r\n",
            "0\r\n\n",
            "0\r\na: b\n",
            "0\r\na: \0\r\n",
            "0\r\na: b\r\n c\r\n",
            "0\r\n\r\r",
        ] {
            check(bad, Err(BodyError::BadTrailer));
        }
    }

    #[test]
    fn bounds() {
        check("65\r\n", Err(BodyError::TooLarge));
        let hundred = "x".repeat(100);
        check(&format!("64\r\n{hundred}\r\n0\r\n\r\n"), Ok(&hundred));
        check(&format!("64\r\n{hundred}\r\n1\r\n"), Err(BodyError::TooLarge));
        check("ffffffffffffffff\r\n", Err(BodyError::TooLarge));
        check("10000000000000000\r\n", Err(BodyError::SizeOverflow));
        check(&format!("1;{}\r\n", "a".repeat(41)), Err(BodyError::ExtensionsTooLong));
        check(&"1;aaaaaaaa\r\nx\r\n".repeat(5), Err(BodyError::ExtensionsTooLong));
        check(&format!("{}1\r\n", "0".repeat(50)), Err(BodyError::ExtensionsTooLong));
        // What the extensions took is not held against the trailer section.
        let both = format!("1;{}\r\nx\r\n0\r\n{}\r\n", "a".repeat(35), "a: b\r\n".repeat(1363));
        check(&both, Ok("x"));
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(2000));
        check(&trailers, Err(BodyError::TrailersTooLarge));
    }

    #[test]
    fn a_client_lets_padded_sizes_pass() {
        let got = decode(b"5  \r\nhello\r\n0 \r\n\r\n", 1, Strictness::Lenient);
        assert_eq!(got, Ok(b"hello".to_vec()));
    }
}
