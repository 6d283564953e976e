//! `POST /ping`: a sequence number comes back, so that a client can tell a lost, repeated or
//! reordered answer.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reply::Reply;
use crate::request::Request;

#[derive(Deserialize, Serialize)]
struct Ping {
    sequence: Sequence,
}

/// Any integer of 64 bits, signed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sequence {
    Unsigned(u64),
    Negative(i64),
}

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Integer;
        impl Visitor<'_> for Integer {
            type Value = Sequence;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer of 64 bits")
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Sequence, E> {
                Ok(Sequence::Unsigned(number))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Sequence, E> {
                Ok(Sequence::Negative(number))
            }
        }
        // Not `deserialize_u64`: that would refuse negative numbers.
        deserializer.deserialize_any(Integer)
    }
}

impl Serialize for Sequence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Unsigned(number) => serializer.serialize_u64(number),
            Self::Negative(number) => serializer.serialize_i64(number),
        }
    }
}

#[derive(Serialize)]
struct Problem {
    error: String,
}

/// `{"sequence": N}` comes back as `{"sequence":N}`; anything else is answered with 400 and
/// `{"error":"..."}`.
pub fn ping(request: &Request<'_>, reply: &mut Reply<'_>) {
    match serde_json::from_slice::<Ping>(request.body) {
        Ok(ping) => reply.json(200, &ping),
        Err(error) => reply.json(
            400,
            &Problem { error: format!("expected {{\"sequence\": N}} with an integer N: {error}") },
        ),
    }
}

#[cfg(test)]
mod tests {
    use crate::reply::testing::Response;
    use crate::request::testing::post;
    use crate::site::Site;

    fn ping_with(body: &str) -> Response {
        post(&Site::default(), "/ping", "", body.as_bytes())
    }

    #[test]
    fn the_sequence_comes_back() {
        for (body, answer) in [
            (r#"{"sequence": 1}"#, r#"{"sequence":1}"#),
            (" {\n\"sequence\" :0 }\r\n", r#"{"sequence":0}"#),
            (r#"{"sequence":-9223372036854775808}"#, r#"{"sequence":-9223372036854775808}"#),
            (r#"{"sequence":18446744073709551615}"#, r#"{"sequence":18446744073709551615}"#),
            (r#"{"from":"x","sequence":7}"#, r#"{"sequence":7}"#),
        ] {
            let response = ping_with(body);
            assert_eq!(response.status, 200, "{body}");
            assert_eq!(response.header("Content-Type"), Some("application/json"));
            assert_eq!(response.body, answer.as_bytes());
        }
    }

    #[test]
    fn what_is_not_a_ping_is_told_why_in_json() {
        for body in [
            "",
            "1",
            "{}",
            "not json",
            r#"{"sequence": 1.5}"#,
            r#"{"sequence": "1"}"#,
            r#"{"sequence": 18446744073709551616}"#,
            r#"{"sequence": null}"#,
            r#"{"sequence": 1, "sequence": 2}"#,
            r#"{"sequence": 1} trailing"#,
            r#"{"sequence": 1"#,
            "{\"sequence\u{0}\": 1}",
        ] {
            let response = ping_with(body);
            assert_eq!(response.status, 400, "{body}");
            let problem: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
            assert!(problem["error"].as_str().unwrap().contains("sequence"), "{body}");
        }
        let no_utf8 = post(&Site::default(), "/ping", "", b"{\"sequence\":\xff}");
        assert_eq!(no_utf8.status, 400);
    }
}
