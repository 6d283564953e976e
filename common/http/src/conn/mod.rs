//! The two roles of a connection, and what they share.

mod client;
mod scan;
mod server;

pub use client::{ClientConn, ClientEvent, RequestKind};
pub use server::{ServerConn, ServerEvent, is_head_request};

/// What one call of `next` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step<E> {
    /// How many bytes of the input, from its start, are done with. They may be forgotten, and must
    /// not be presented again; all others must. Never more than there were.
    pub consumed: usize,
    /// What was found.
    pub event: E,
}

impl<E> Step<E> {
    #[inline]
    pub(crate) fn new(consumed: usize, event: E) -> Self {
        Self { consumed, event }
    }
}

/// What the end of the peer's bytes means for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EofOutcome {
    /// It comes between messages: nothing is owed.
    Clean,
    /// It ends the body of the current response, which is thereby complete. Client role only.
    BodyEnd,
    /// It comes in the middle of a message, or where a response was owed.
    Truncated,
}
