//! `POST /echo`: the body comes back as it was sent.
//!
//! The answer starts when the body has come in full. Answering while it still comes would need less
//! memory, but a client that writes all before it reads would fill both directions and hang.

use crate::reply::Reply;
use crate::request::Request;

/// What is sent without a type is taken to be bytes (RFC 9110 section 8.3).
const DEFAULT_TYPE: &[u8] = b"application/octet-stream";

/// The body with its own Content-Type.
pub fn echo(request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.send(200, request.header("content-type").unwrap_or(DEFAULT_TYPE), request.body);
}

#[cfg(test)]
mod tests {
    use crate::request::testing::post;
    use crate::site::Site;

    #[test]
    fn body_and_type_come_back() {
        let body = b"\x00\xff\r\n";
        let response =
            post(&Site::default(), "/echo", "Content-Type: image/png; x=\"é\"\r\n", body);
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("image/png; x=\"é\""));
        assert_eq!(response.header("Content-Length"), Some("4"));
        assert_eq!(response.body, body);
    }

    #[test]
    fn an_empty_body_without_a_type_has_the_default_type() {
        let response = post(&Site::default(), "/echo", "", b"");
        assert_eq!(response.header("Content-Type"), Some("application/octet-stream"));
        assert_eq!(response.header("Content-Length"), Some("0"));
        assert_eq!(response.body, b"");
    }
}
