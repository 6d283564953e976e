//! Answers that a test of a client, a proxy or a kernel asks for by number: so many bytes, that
//! status, after so much time.

use std::io::Write;
use std::time::Duration;

use serde::{Serialize, Serializer, ser::SerializeSeq};

use crate::reply::Reply;
use crate::request::{Request, parse_decimal};
use crate::rest::Source;

/// No answer is put off for longer.
const MAX_SLEEP_MS: u64 = 24 * 3600 * 1000;

/// What is slept without `ms`.
const DEFAULT_SLEEP_MS: u64 = 1000;

/// The longest body that is made to order: 1 TiB.
const MAX_BYTES: u64 = 1 << 40;

/// `GET /sleep?ms=N`: answers after N milliseconds, or after a second.
pub fn sleep(request: &Request<'_>, reply: &mut Reply<'_>) {
    let ms = request.parameter("ms").map_or(Some(DEFAULT_SLEEP_MS), parse_decimal);
    match ms.filter(|&ms| ms <= MAX_SLEEP_MS) {
        Some(ms) => {
            let body = format!("slept for {ms} ms\n").into_bytes();
            reply.later(Duration::from_millis(ms), 200, "text/plain", body);
        }
        None => reply.error(
            400,
            format_args!(
                "expected /sleep?ms=N with a number N of milliseconds up to {MAX_SLEEP_MS}"
            ),
        ),
    }
}

/// `GET /bytes/{n}`: a body of n bytes.
pub fn bytes(request: &Request<'_>, reply: &mut Reply<'_>) {
    match parse_decimal(request.rest()).filter(|&count| count <= MAX_BYTES) {
        Some(end) => {
            let fields: [(&str, &[u8]); 1] = [("Content-Type", b"application/octet-stream")];
            reply.stream(200, &fields, Source::Pattern { at: 0, end });
        }
        None => {
            reply.error(400, format_args!("expected /bytes/N with a number N up to {MAX_BYTES}"));
        }
    }
}

/// `GET /status/{code}`: that status, from 200 to 599.
pub fn status(request: &Request<'_>, reply: &mut Reply<'_>) {
    match parse_decimal(request.rest()) {
        // RFC 9110 section 15: a final answer has one of the classes 2 to 5.
        Some(status @ (204 | 304)) => reply.no_content(status as u16, &[]),
        // Section 15.3.6: 205 has no content, either, but says so by its length.
        Some(205) => reply.send(205, b"text/plain", b""),
        Some(status @ 200..=599) => {
            let mut text = [0; 16];
            let mut rest = &mut text[..];
            // It fits.
            let _ = writeln!(rest, "{status}");
            let left = rest.len();
            reply.send(status as u16, b"text/plain", &text[..16 - left]);
        }
        _ => reply.error(400, "expected /status/N with a status code N from 200 to 599"),
    }
}

/// The header fields of a request as JSON: a list of pairs, as names may be repeated.
struct Fields<'a>(&'a Request<'a>);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let headers = self.0.head.headers;
        let mut list = serializer.serialize_seq(Some(headers.len()))?;
        for header in headers {
            // A value may hold any byte from 128 up (RFC 9110 section 5.5).
            list.serialize_element(&(header.name, String::from_utf8_lossy(header.value)))?;
        }
        list.end()
    }
}

#[derive(Serialize)]
struct Seen<'a> {
    method: &'a str,
    target: std::borrow::Cow<'a, str>,
    headers: Fields<'a>,
}

/// `GET /headers`: what came, as JSON.
pub fn headers(request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(
        200,
        &Seen {
            method: request.head.method_name,
            target: String::from_utf8_lossy(request.head.target),
            headers: Fields(request),
        },
    );
}

/// `POST /upload`: the number of bytes that came, of which none is kept.
pub fn upload(request: &Request<'_>, reply: &mut Reply<'_>) {
    let mut text = [0; 24];
    let mut rest = &mut text[..];
    // 64 bits have no more than 20 digits.
    let _ = write!(rest, "{}", request.body_bytes);
    let left = rest.len();
    reply.send(200, b"text/plain", &text[..24 - left]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::testing::Response;
    use crate::request::testing::{self, post};
    use crate::rest::Rest;
    use crate::site::Site;

    fn get(target: &str) -> Response {
        testing::get(&Site::default(), target, "")
    }

    #[test]
    fn a_sleep_is_put_off() {
        for (target, ms) in [
            ("/sleep", 1000),
            ("/sleep?ms=0", 0),
            ("/sleep?a=b&ms=250", 250),
            ("/sleep?ms=86400000", 86_400_000),
        ] {
            let response = get(target);
            let Some(Rest::Later(later)) = &response.rest else { panic!("{response:?}") };
            assert_eq!(later.after, Duration::from_millis(ms));
            assert_eq!(response.status, 200);
            assert_eq!(response.body, format!("slept for {ms} ms\n").into_bytes());
        }
        for target in ["/sleep?ms=", "/sleep?ms=-1", "/sleep?ms=1s", "/sleep?ms=86400001"] {
            let response = get(target);
            assert!(response.status == 400 && response.rest.is_none(), "{target}");
        }
    }

    #[test]
    fn as_many_bytes_as_asked_for() {
        assert_eq!(get("/bytes/0").body, b"");
        assert_eq!(get("/bytes/10").body, b"0123456789");
        let response = get("/bytes/1000000");
        assert_eq!(response.header("Content-Length"), Some("1000000"));
        assert!(response.rest.is_some());
        for target in ["/bytes/", "/bytes/x", "/bytes/-1", "/bytes/1/", "/bytes/1099511627777"] {
            assert_eq!(get(target).status, 400, "{target}");
        }
    }

    #[test]
    fn every_final_status_can_be_had() {
        for code in 200..600 {
            let response = get(&format!("/status/{code}"));
            assert_eq!(response.status, code);
            let expected = match code {
                204 | 205 | 304 => String::new(),
                _ => format!("{code}\n"),
            };
            assert_eq!(response.body, expected.as_bytes());
        }
        for target in ["/status/", "/status/199", "/status/100", "/status/600", "/status/2xx"] {
            assert_eq!(get(target).status, 400, "{target}");
        }
    }

    #[test]
    fn headers_come_back_in_their_order() {
        let response = testing::get(&Site::default(), "/headers?x", "A: 1\r\nb: \"2\"\r\nA: é\r\n");
        let seen: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(
            seen,
            serde_json::json!({
                "method": "GET",
                "target": "/headers?x",
                "headers": [["Host", "test"], ["A", "1"], ["b", "\"2\""], ["A", "é"]],
            })
        );
    }

    #[test]
    fn an_upload_is_counted() {
        assert_eq!(post(&Site::default(), "/upload", "", b"12345").body, b"5");
        assert_eq!(post(&Site::default(), "/upload", "", b"").body, b"0");
    }
}
