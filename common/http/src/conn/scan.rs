//! The search for the end of a head that has not come whole.
//!
//! The verdict on a head must not depend on how its bytes were cut up, and no byte may be searched
//! twice, however few come at a time. A head that httparse accepts in one piece is done with. For
//! all others the verdict is that of this module, and it is a function of the bytes alone:
//!
//! 1. The start line is judged once its LF is there, or once it is longer than any that could be
//!    accepted.
//! 2. After that, the rest is judged as a whole once the empty line is there, or refused once
//!    there are more bytes than a head may have.

use memchr::memchr;

/// How far a head was searched for its end.
#[derive(Debug, Clone)]
pub(crate) struct HeadScan {
    /// Bytes that need not be searched again; 0 for a head of which nothing was seen.
    searched: u32,
    line_judged: bool,
}

/// How the search went.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scan {
    /// More input is needed.
    NeedMore,
    /// There is a start line of this many bytes, its LF included. Call
    /// [`HeadScan::line_is_good`] and search on.
    Line(usize),
    /// There is no LF in as many bytes as a start line may have.
    LineTooLong,
    /// The head ends after this many bytes.
    End(usize),
    /// The head does not end in as many bytes as it may have.
    HeadTooLarge,
}

impl HeadScan {
    pub(crate) const fn new() -> Self {
        Self { searched: 0, line_judged: false }
    }

    /// Whether nothing of a head was seen so far.
    #[inline]
    pub(crate) fn is_fresh(&self) -> bool {
        self.searched == 0
    }

    /// Whether the start line was judged.
    pub(crate) fn line_is_judged(&self) -> bool {
        self.line_judged
    }

    #[inline]
    pub(crate) fn reset(&mut self) {
        *self = Self::new();
    }

    /// The start line that was found is good: what is searched for next is the empty line.
    pub(crate) fn line_is_good(&mut self) {
        self.line_judged = true;
    }

    /// Searches on. `input` starts where the head does, at every call.
    pub(crate) fn search(&mut self, input: &[u8], max_line: usize, max_head: usize) -> Scan {
        if self.line_judged {
            self.search_end(input, max_head)
        } else {
            self.search_line(input, max_line)
        }
    }

    fn search_line(&mut self, input: &[u8], max_line: usize) -> Scan {
        let window = &input[..input.len().min(max_line)];
        let from = self.searched as usize;
        if let Some(found) = memchr(b'\n', &window[from..]) {
            // The LF itself stays to be searched: an empty line may follow it at once.
            self.searched = (from + found) as u32;
            return Scan::Line(from + found + 1);
        }
        self.searched = window.len() as u32;
        if window.len() == max_line { Scan::LineTooLong } else { Scan::NeedMore }
    }

    fn search_end(&mut self, input: &[u8], max_head: usize) -> Scan {
        let window = &input[..input.len().min(max_head)];
        let mut from = self.searched as usize;
        while let Some(found) = memchr(b'\n', &window[from..]) {
            let lf = from + found;
            match &window[lf + 1..] {
                [b'\n', ..] => return Scan::End(lf + 2),
                [b'\r', b'\n', ..] => return Scan::End(lf + 3),
                // Too early to tell: this LF has to be looked at again.
                [] | [b'\r'] => {
                    from = lf;
                    break;
                }
                _ => from = lf + 1,
            }
        }
        let waits_at_lf = window.get(from) == Some(&b'\n');
        self.searched = if waits_at_lf { from } else { window.len() } as u32;
        if input.len() >= max_head { Scan::HeadTooLarge } else { Scan::NeedMore }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `input` one more byte at a time and gives the first answers that are not
    /// [`Scan::NeedMore`].
    fn scan(input: &[u8], max_line: usize, max_head: usize) -> Vec<(usize, Scan)> {
        let mut scan = HeadScan::new();
        let mut answers = Vec::new();
        for len in 0..=input.len() {
            loop {
                match scan.search(&input[..len], max_line, max_head) {
                    Scan::NeedMore => break,
                    Scan::Line(line) => {
                        answers.push((len, Scan::Line(line)));
                        scan.line_is_good();
                    }
                    other => {
                        answers.push((len, other));
                        return answers;
                    }
                }
            }
        }
        answers
    }

    #[test]
    fn ends_are_found_at_their_last_byte() {
        assert_eq!(scan(b"a\r\n\r\nx", 9, 99), [(3, Scan::Line(3)), (5, Scan::End(5))]);
        assert_eq!(scan(b"a\n\nx", 9, 99), [(2, Scan::Line(2)), (3, Scan::End(3))]);
        assert_eq!(scan(b"a\nb\r\n\r\n", 9, 99), [(2, Scan::Line(2)), (7, Scan::End(7))]);
        assert_eq!(scan(b"a\nb\n\rc\n\n", 9, 99), [(2, Scan::Line(2)), (8, Scan::End(8))]);
    }

    #[test]
    fn bounds_are_met_at_the_same_byte_whatever_follows() {
        assert_eq!(scan(b"abcdef", 4, 99), [(4, Scan::LineTooLong)]);
        assert_eq!(scan(b"a\nbcdefg", 4, 6), [(2, Scan::Line(2)), (6, Scan::HeadTooLarge)]);
        assert_eq!(scan(b"a\nbcd\n\n", 4, 7), [(2, Scan::Line(2)), (7, Scan::End(7))]);
        assert_eq!(scan(b"a\nbcd\n\n", 4, 6), [(2, Scan::Line(2)), (6, Scan::HeadTooLarge)]);
    }
}
