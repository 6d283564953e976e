//! A request as bytes that stay and places that are filled in.

use std::ops::Range;

use ringbench_http::RequestKind;

use super::placeholder::Piece;

/// One request of a mix.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// All that stays, in the order in which it is sent.
    pub(super) bytes: Vec<u8>,
    /// What is sent before `body`; all of the request if its body is always the same.
    pub(super) head: Vec<Part>,
    /// The body, if its length is known only when it is filled in.
    pub(super) body: Vec<Part>,
    /// The data files that it takes a line of.
    pub(super) picks: Vec<Pick>,
    /// Whether it takes a number.
    pub(super) counts: bool,
    pub(super) kind: RequestKind,
    /// The most bytes that it can have.
    pub(super) len_max: usize,
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A range of the template's bytes.
    Literal(Range<usize>),
    /// The number of the request.
    Seq,
    /// `low` and up to `span` more.
    Random { low: u64, span: u64 },
    /// The current line of a data file, in a table of values.
    Value { values: usize, data: usize },
    /// How long the body is.
    BodyLen,
}

/// How the current line of a data file is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) data: usize,
    pub(super) random: bool,
}

/// Builds a sequence of parts, with literals joined.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) list: Vec<Part>,
    /// The most bytes that the parts can have, of those added with their length.
    pub(super) len_max: usize,
}

impl Parts {
    pub(super) fn literal(&mut self, bytes: &mut Vec<u8>, text: &[u8]) {
        let start = bytes.len();
        bytes.extend_from_slice(text);
        self.len_max += text.len();
        match self.list.last_mut() {
            Some(Part::Literal(range)) if range.end == start => range.end = bytes.len(),
            _ if text.is_empty() => {}
            _ => self.list.push(Part::Literal(start..bytes.len())),
        }
    }

    pub(super) fn push(&mut self, part: Part, len_max: usize) {
        self.list.push(part);
        self.len_max += len_max;
    }
}

/// Digits of a number in decimal.
pub(super) fn digits(number: u64) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Whether a text is the same in all requests.
pub(super) fn is_fixed(pieces: &[Piece]) -> bool {
    pieces.iter().all(|piece| matches!(piece, Piece::Literal(_)))
}

/// A text as it could be sent, for checks of its syntax: placeholders stand for a digit.
pub(super) fn sample(pieces: &[Piece]) -> Vec<u8> {
    let mut text = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Literal(literal) => text.extend_from_slice(literal),
            _ => text.push(b'0'),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_joined() {
        let (mut bytes, mut parts) = (Vec::new(), Parts::default());
        parts.literal(&mut bytes, b"");
        assert_eq!(parts.list, []);
        parts.literal(&mut bytes, b"ab");
        parts.literal(&mut bytes, b"c");
        parts.push(Part::Seq, 20);
        parts.literal(&mut bytes, b"d");
        assert_eq!(parts.list, [Part::Literal(0..3), Part::Seq, Part::Literal(3..4)]);
        assert_eq!((bytes.as_slice(), parts.len_max), (&b"abcd"[..], 24));
    }

    #[test]
    fn digits_are_counted() {
        for number in [0, 9, 10, 99, 100, u64::MAX] {
            assert_eq!(digits(number), number.to_string().len(), "{number}");
        }
    }
}
