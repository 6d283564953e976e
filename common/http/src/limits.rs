//! The bounds of what a connection accepts.

/// The most header fields a head may have, whatever [`Limits::max_headers`] says: the size of a
/// [`HeaderScratch`](crate::HeaderScratch).
pub const MAX_HEADERS: usize = 100;

/// The longest method that is looked at; a longer one is answered with 501 (RFC 9112 section 3).
/// The longest registered one, `UPDATEREDIRECTREF`, has 17 bytes.
pub const MAX_METHOD_BYTES: usize = 32;

/// Empty lines that are ignored before a request line. RFC 9112 section 2.2 asks for at least one;
/// a bound keeps a peer from sending nothing else forever.
pub const MAX_BLANK_LINES: u8 = 4;

/// What a connection accepts from its peer, in bytes and counts.
///
/// Everything that a peer may make longer has a bound here, so that a connection's memory does
/// too: a caller never has to hold more unconsumed input than `max_head_bytes`, or than the longest
/// request line (`max_target_bytes` and 44 bytes more), whichever is larger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The longest head: start line, header fields and the empty line. More is answered with 431.
    pub max_head_bytes: usize,
    /// The longest request target. More is answered with 414.
    pub max_target_bytes: usize,
    /// The most header fields, at most [`MAX_HEADERS`]. More is answered with 431.
    pub max_headers: usize,
    /// The longest body, as declared or as the sum of its chunks. More is answered with 413.
    pub max_body_bytes: u64,
    /// What the chunk-size lines of one body may hold beside the sizes themselves: leading zeros,
    /// white space and chunk extensions, summed over all chunks (RFC 9112 section 7.1.1).
    pub max_chunk_extension_bytes: u32,
    /// The longest trailer section. More is answered with 431.
    pub max_trailer_bytes: u32,
}

impl Default for Limits {
    /// A server's limits: heads of 16 KiB, targets of 8 KiB, 100 header fields, bodies of 1 MiB.
    fn default() -> Self {
        Self {
            max_head_bytes: 16 * 1024,
            max_target_bytes: 8 * 1024,
            max_headers: MAX_HEADERS,
            max_body_bytes: 1024 * 1024,
            max_chunk_extension_bytes: 4 * 1024,
            max_trailer_bytes: 8 * 1024,
        }
    }
}

impl Limits {
    /// A client's limits: those of a server, but bodies and chunk extensions of any length, because
    /// a client asked for what it gets and need not keep it.
    pub fn client() -> Self {
        Self {
            max_head_bytes: 64 * 1024,
            max_body_bytes: u64::MAX,
            max_chunk_extension_bytes: u32::MAX,
            ..Self::default()
        }
    }

    /// The longest request line that can still be accepted:
    /// method SP target SP `HTTP/1.1` CRLF.
    pub(crate) fn max_line_bytes(&self) -> usize {
        let line = self.max_target_bytes.saturating_add(MAX_METHOD_BYTES + 12);
        line.min(self.max_head_bytes)
    }

    pub(crate) fn header_slots(&self) -> usize {
        self.max_headers.min(MAX_HEADERS)
    }
}
