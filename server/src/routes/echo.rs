//! `POST /echo`: the body comes back as it was sent.
//!
//! The answer starts when the body has come in full. Answering while it still comes would need less
//! memory, but a client that writes all before it reads would fill both directions and hang.

use super::Request;
use crate::reply::Reply;

/// What is sent without a type is taken to be bytes (RFC 9110 section 8.3).
const DEFAULT_TYPE: &[u8] = b"application/octet-stream";

/// The body with its own Content-Type.
pub fn echo(request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.send(200, request.content_type.unwrap_or(DEFAULT_TYPE), request.body);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::testing::respond;

    #[test]
    fn body_and_type_come_back() {
        let request = Request {
            content_type: Some(b"image/png; x=\"\xe9\""),
            body: b"\x00\xff\r\n",
            ..Request::default()
        };
        let response = respond(echo, &request);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Length"), Some("4"));
        assert_eq!(response.body, b"\x00\xff\r\n");
        assert!(response.raw.windows(18).any(|bytes| bytes == b"image/png; x=\"\xe9\"\r\n"));
    }

    #[test]
    fn an_empty_body_without_a_type_has_the_default_type() {
        let response = respond(echo, &Request::default());
        assert_eq!(response.header("Content-Type"), Some("application/octet-stream"));
        assert_eq!(response.header("Content-Length"), Some("0"));
        assert_eq!(response.body, b"");
    }
}
