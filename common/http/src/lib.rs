//! The HTTP/1.1 codec of Ringbench: zero-copy, sans-I/O, for both roles of a connection.
//!
//! There is no socket, clock or thread in this crate. Bytes come in as arguments and go out into a
//! `Vec` of the caller; what was found in them are views into the caller's buffer, together with
//! the count of bytes that are done with. A connection is at most 40 bytes for a server and 64 for a
//! client, and holds no buffer: an idle one costs nothing else.
//!
//! | To | use | call order |
//! |---|---|---|
//! | read requests | [`ServerConn`] | [`ServerConn::next`] until [`ServerEvent::NeedMore`], [`ServerConn::eof`] at the end |
//! | write responses | [`ResponseBuilder`], [`CONTINUE`], [`write_chunk`], [`LAST_CHUNK`] | one builder per response |
//! | write requests | [`write_request`] | then [`ClientConn::sent`] |
//! | read responses | [`ClientConn`] | [`ClientConn::next`] until [`ClientEvent::NeedMore`], [`ClientConn::eof`] at the end |
//!
//! # Example
//!
//! Two pipelined requests, the second of which has not come whole:
//!
//! ```
//! use ringbench_http::{HeaderScratch, Limits, ResponseBuilder, ServerConn, ServerEvent};
//!
//! let limits = Limits::default();
//! let mut conn = ServerConn::new();
//! let mut out = Vec::new();
//!
//! let input = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /wor";
//! let mut at = 0;
//! let mut scratch = HeaderScratch::new();
//! loop {
//!     let step = conn.next(&input[at..], &mut scratch, &limits);
//!     at += step.consumed;
//!     match step.event {
//!         ServerEvent::NeedMore => break,
//!         ServerEvent::Request(request) => {
//!             assert_eq!(request.path, b"/hello");
//!             ResponseBuilder::new(&mut out, 200)?.body(b"Hello, World!")?;
//!         }
//!         ServerEvent::Reject(reject) => {
//!             ResponseBuilder::new(&mut out, reject.status)?.close().body(b"")?;
//!         }
//!         ServerEvent::Body(_) | ServerEvent::End | ServerEvent::Closed => {}
//!     }
//! }
//! assert_eq!(&input[at..], b"GET /wor", "to be presented again when more has come");
//! assert_eq!(out, b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\nHello, World!");
//! # Ok::<(), ringbench_http::EncodeError>(())
//! ```
//!
//! # What holds
//!
//! - The events depend on the bytes only, not on how they were cut up; the pieces of a body do, but
//!   not their sum.
//! - No byte of a head is searched twice for its end, however few come at a time, and a head is
//!   parsed at most twice. Framing of chunks is consumed byte by byte.
//! - Nothing is allocated while reading.
//! - Everything that a peer can make longer has a bound in [`Limits`].
//! - The server role is strict: what could be read in two ways is refused, with the status code
//!   that RFC 9110 and RFC 9112 ask for, and nothing after it is processed. The client role reads
//!   on wherever the end of the response is beyond doubt.

#![forbid(unsafe_code)]
// The proof that nothing here needs an operating system. (httparse is built with its `std` feature
// for the sake of its SIMD detection, and makes no other use of it.)
#![cfg_attr(not(test), no_std)]

extern crate alloc;

mod body;
mod chars;
mod conn;
mod encode;
mod error;
mod framing;
mod head;
mod limits;
mod target;

pub use chars::is_token;
pub use conn::{
    ClientConn, ClientEvent, EofOutcome, RequestKind, ServerConn, ServerEvent, Step,
    is_head_request,
};
pub use encode::{
    CONTINUE, LAST_CHUNK, ResponseBuilder, reason_phrase, write_chunk, write_decimal, write_request,
};
pub use error::{ClientError, EncodeError, Reject, RejectReason};
pub use head::{BodyLength, HeaderScratch, Method, RequestHead, ResponseHead, Version};
pub use httparse::Header;
pub use limits::{Limits, MAX_BLANK_LINES, MAX_HEADERS, MAX_METHOD_BYTES};

// 20,000 connections and more are held at once; these sizes are part of the contract.
const _: () = assert!(size_of::<ServerConn>() <= 40);
const _: () = assert!(size_of::<ClientConn>() <= 64);
const _: () = assert!(ClientConn::MAX_PIPELINE >= 128);
