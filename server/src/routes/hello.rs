//! The two answers that every benchmark knows: a constant text, and a small JSON object that is
//! serialised for each request.

use serde::Serialize;

use crate::reply::Reply;
use crate::request::Request;

/// The body of `GET /` and `GET /plaintext`.
pub const TEXT: &[u8] = b"Hello, World!";

#[derive(Serialize)]
struct Message {
    message: &'static str,
}

/// `GET /json`: `{"message":"Hello, World!"}`.
pub fn json(_request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(200, &Message { message: "Hello, World!" });
}

#[cfg(test)]
mod tests {
    use crate::request::testing::get;
    use crate::site::Site;

    #[test]
    fn json_is_the_object_that_benchmarks_check_for() {
        let response = get(&Site::default(), "/json", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert_eq!(response.header("Content-Length"), Some("27"));
        assert_eq!(response.body, br#"{"message":"Hello, World!"}"#);
    }
}
