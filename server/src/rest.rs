//! The rest of an answer: what cannot be written at once, because it is not time yet or because it
//! is too much. Until it is done the connection's further requests wait, as answers keep the order
//! of their requests (RFC 9112 section 9.3.2).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

/// A body is made in pieces of this size, each when the kernel has taken the last: all that an
/// answer of any length holds of our memory.
pub(crate) const PIECE_BYTES: usize = 32 * 1024;

/// A piece of an answer that is the first in its turn, while nobody waits: a lone download is slower
/// by a third in pieces of half the size.
pub(crate) const LONE_PIECE_BYTES: usize = 64 * 1024;

/// So much of a body is made together with its head, however busy the turn is: an answer that cannot
/// be begun can still be another one.
pub(crate) const FIRST_BYTES: usize = 4 * 1024;

/// What is still to come of an answer.
#[derive(Debug)]
pub(crate) enum Rest {
    /// Nothing yet: all of it, when some time has passed.
    Later(Later),
    /// More of the body.
    Body(Source),
    /// Nothing: what was written has to leave before more requests are answered.
    Leaving,
}

/// An answer that is given later.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) after: Duration,
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

/// Where a long body comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The same line again and again.
    Pattern {
        /// How many bytes of the body were made.
        at: u64,
        /// Its length.
        end: u64,
    },
    /// A part of a file.
    File {
        /// The file, which must not shrink meanwhile: the length has been promised.
        file: Arc<File>,
        /// Where to read on.
        at: u64,
        /// Where to stop.
        end: u64,
    },
}

/// What [`Source::Pattern`] repeats.
const LINE: &[u8; 64] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_\n";

/// So many lines that copying them is as fast as it gets.
static LINES: [u8; 4096] = {
    let mut lines = [0; 4096];
    let mut at = 0;
    while at < lines.len() {
        lines[at] = LINE[at % LINE.len()];
        at += 1;
    }
    lines
};

impl Source {
    /// How many bytes are still to be made.
    pub fn left(&self) -> u64 {
        let (Self::Pattern { at, end } | Self::File { at, end, .. }) = self;
        end - at
    }

    /// Appends the next piece to `out`, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has become shorter. Nothing is appended then, and the answer
    /// cannot be completed.
    pub(crate) fn write_piece(&mut self, out: &mut Vec<u8>, most_bytes: usize) -> io::Result<()> {
        let mut left = self.left().min(most_bytes as u64) as usize;
        match self {
            Self::Pattern { at, .. } => {
                while left > 0 {
                    let start = (*at % LINE.len() as u64) as usize;
                    let len = left.min(LINES.len() - start);
                    out.extend_from_slice(&LINES[start..start + len]);
                    *at += len as u64;
                    left -= len;
                }
                Ok(())
            }
            Self::File { file, at, .. } => {
                let before = out.len();
                out.resize(before + left, 0);
                if let Err(error) = file.read_exact_at(&mut out[before..], *at) {
                    out.truncate(before);
                    return Err(error);
                }
                *at += left as u64;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut source: Source) -> Vec<u8> {
        let (mut out, length) = (Vec::new(), source.left());
        while source.left() > 0 {
            let before = out.len();
            source.write_piece(&mut out, PIECE_BYTES).unwrap();
            assert!((1..=PIECE_BYTES).contains(&(out.len() - before)));
        }
        assert_eq!(out.len() as u64, length);
        out
    }

    #[test]
    fn a_pattern_is_the_same_line_from_wherever_it_goes_on() {
        let body = all(Source::Pattern { at: 0, end: 300_001 });
        assert!(body.iter().zip(LINE.iter().cycle()).all(|(made, line)| made == line));
        let rest = all(Source::Pattern { at: 100, end: 300_001 });
        assert!(rest == body[100..]);
        assert_eq!(all(Source::Pattern { at: 0, end: 0 }), b"");
    }

    #[test]
    fn a_file_is_read_to_where_it_was_promised_and_a_shorter_one_is_an_error() {
        let body = all(Source::Pattern { at: 0, end: 200_000 });
        let path = std::env::temp_dir().join(format!("ringserve-rest-{}", std::process::id()));
        std::fs::write(&path, &body).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        let source = |at, end| Source::File { file: Arc::clone(&file), at, end };
        assert!(all(source(0, 200_000)) == body);
        assert!(all(source(7, 9)) == body[7..9]);
        let mut out = b"before".to_vec();
        source(199_999, 200_001).write_piece(&mut out, PIECE_BYTES).unwrap_err();
        assert_eq!(out, b"before");
    }
}
