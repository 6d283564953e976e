//! The routes of the HTTP/1.1 profile of `HttpArena`, a public benchmark of servers
//! (<https://github.com/MDA2AV/HttpArena>). `POST /upload` is [`super::plain::upload`].
//!
//! What it leaves open is decided here: a value that is no integer is refused, a count beyond the
//! data set means all of it, and without `m` it is 1.

mod dataset;

use std::fmt;
use std::io::Write;

use ringbench_http::Method;
use serde::{Serialize, Serializer};

pub use self::dataset::{Dataset, DatasetError};
use self::dataset::{Item, Rating};
use crate::reply::Reply;
use crate::request::{Request, parse_decimal};

/// The body of `GET /pipeline`.
pub const PIPELINE: &[u8] = b"ok";

/// `GET` and `POST /baseline11?a=A&b=B`: the sum of all values of the query, and of the body of a
/// POST.
pub fn baseline11(request: &Request<'_>, reply: &mut Reply<'_>) {
    match sum(request) {
        Ok(sum) => {
            // 64 bits have no more than 19 digits and a sign.
            let mut text = [0; 20];
            let mut rest = &mut text[..];
            let _ = write!(rest, "{sum}");
            let left = rest.len();
            reply.send(200, b"text/plain", &text[..20 - left]);
        }
        Err(refusal) => reply.error(400, refusal),
    }
}

fn sum<'a>(request: &Request<'a>) -> Result<i64, Refusal<'a>> {
    // As many integers of 64 bits as fit into a head cannot add up to more than 128 bits.
    let mut sum = 0;
    for (name, value) in request.query_pairs() {
        sum += i128::from(parse_integer(value).ok_or(Refusal::Parameter { name, value })?);
    }
    let body = request.body.trim_ascii();
    if request.head.method == Method::Post && !body.is_empty() {
        sum += i128::from(parse_integer(body).ok_or(Refusal::Body)?);
    }
    i64::try_from(sum).map_err(|_| Refusal::Sum)
}

/// Why there is no sum.
#[derive(Debug)]
enum Refusal<'a> {
    Parameter { name: &'a [u8], value: &'a [u8] },
    Body,
    Sum,
}

impl fmt::Display for Refusal<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter { name, value } => write!(
                f,
                "expected an integer of 64 bits as {}, not '{}'",
                name.escape_ascii(),
                value.escape_ascii()
            ),
            Self::Body => f.write_str("expected an integer of 64 bits as the body, or none"),
            Self::Sum => f.write_str("the sum does not fit into 64 bits"),
        }
    }
}

/// Reads a decimal integer with or without a sign.
fn parse_integer(text: &[u8]) -> Option<i64> {
    str::from_utf8(text).ok()?.parse().ok()
}

/// The answer of `GET /json/{count}`.
#[derive(Serialize)]
struct Answer<'a> {
    items: Priced<'a>,
    count: usize,
}

/// Items with their totals.
struct Priced<'a> {
    items: &'a [Item],
    multiplier: i64,
}

/// An item with its total. Spelled out, as `#[serde(flatten)]` is slow.
#[derive(Serialize)]
struct PricedItem<'a> {
    id: i64,
    name: &'a str,
    category: &'a str,
    price: i64,
    quantity: i64,
    active: bool,
    tags: &'a [String],
    rating: &'a Rating,
    total: i64,
}

impl Serialize for Priced<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.items.iter().map(|item| PricedItem {
            id: item.id,
            name: &item.name,
            category: &item.category,
            price: item.price,
            quantity: item.quantity,
            active: item.active,
            tags: &item.tags,
            rating: &item.rating,
            // It cannot overflow: see `Dataset::max_multiplier`.
            total: item.price * item.quantity * self.multiplier,
        }))
    }
}

/// `GET /json/{count}?m=M`: the first items of the data set, each with its price times its quantity
/// times M, serialised for each request.
pub fn json(request: &Request<'_>, reply: &mut Reply<'_>) {
    let dataset = &request.site.dataset;
    let limit = dataset.max_multiplier();
    let count = parse_decimal(request.rest());
    let multiplier = request
        .parameter("m")
        .map_or(Some(1), parse_integer)
        .filter(|multiplier| multiplier.unsigned_abs() <= limit);
    match (count, multiplier) {
        (Some(count), Some(multiplier)) => {
            let items = dataset.first(count);
            let count = items.len();
            reply.json(200, &Answer { items: Priced { items, multiplier }, count });
        }
        (None, _) => reply.error(400, "expected /json/COUNT with a number COUNT of items"),
        (_, None) => reply.error(
            400,
            format_args!("expected /json/COUNT?m=M with an integer M from -{limit} to {limit}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::reply::testing::Response;
    use crate::request::testing::{exchange, get, post};
    use crate::site::Site;

    fn text(response: &Response) -> &str {
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        str::from_utf8(&response.body).unwrap()
    }

    #[test]
    fn a_get_is_answered_with_the_sum_of_its_query() {
        for (target, sum) in [
            ("/baseline11?a=13&b=42", "55"),
            ("/baseline11", "0"),
            ("/baseline11?a=1&b=2&c=3&a=4", "10"),
            ("/baseline11?a=-13&b=+42", "29"),
            ("/baseline11?a=9223372036854775807&b=1&c=-1", "9223372036854775807"),
            ("/baseline11?a=-9223372036854775808", "-9223372036854775808"),
        ] {
            let response = get(&Site::default(), target, "");
            assert_eq!((response.status, text(&response)), (200, sum), "{target}");
        }
    }

    #[test]
    fn the_body_of_a_post_is_added() {
        for (body, sum) in [("20", "75"), ("", "55"), (" -5\r\n", "50"), ("007", "62")] {
            let response = post(&Site::default(), "/baseline11?a=13&b=42", "", body.as_bytes());
            assert_eq!((response.status, text(&response)), (200, sum), "{body}");
        }
        let get_with_body =
            exchange(&Site::default(), "GET /baseline11?a=1 HTTP/1.1\r\nHost: a\r\n\r\n", b"x");
        assert_eq!(text(&get_with_body), "1");
    }

    #[test]
    fn what_is_no_integer_is_refused_by_its_name() {
        for (target, body, why) in [
            ("/baseline11?a=1&b=x", "", "expected an integer of 64 bits as b, not 'x'"),
            ("/baseline11?a", "", "expected an integer of 64 bits as a, not ''"),
            ("/baseline11?a=1.5", "", "expected an integer of 64 bits as a, not '1.5'"),
            ("/baseline11?a=%31", "", "expected an integer of 64 bits as a, not '%31'"),
            (
                "/baseline11?a=9223372036854775808",
                "",
                "expected an integer of 64 bits as a, not '9223372036854775808'",
            ),
            ("/baseline11?a=9223372036854775807&b=1", "", "the sum does not fit into 64 bits"),
            ("/baseline11?a=1", "x", "expected an integer of 64 bits as the body, or none"),
            ("/baseline11", "1 2", "expected an integer of 64 bits as the body, or none"),
            ("/baseline11", "\u{661}", "expected an integer of 64 bits as the body, or none"),
        ] {
            let response = post(&Site::default(), target, "", body.as_bytes());
            assert_eq!(response.status, 400, "{target} {body}");
            assert_eq!(text(&response), format!("Bad Request: {why}\n"));
        }
    }

    #[test]
    fn the_pipeline_is_ok() {
        let response = get(&Site::default(), "/pipeline", "");
        assert_eq!((response.status, text(&response)), (200, "ok"));
    }

    /// The checks that `HttpArena` makes, with its own counts and multipliers and more.
    #[test]
    fn as_many_items_as_asked_for_have_their_totals() {
        let site = Site::default();
        for (count, multiplier) in [(0, 1), (1, 3), (12, 3), (22, 7), (31, 2), (50, 5), (50, -1)] {
            let response = get(&site, &format!("/json/{count}?m={multiplier}"), "");
            assert_eq!(response.status, 200);
            assert_eq!(response.header("Content-Type"), Some("application/json"));
            let answer: Value = serde_json::from_slice(&response.body).unwrap();
            assert_eq!(answer["count"], count);
            let items = answer["items"].as_array().unwrap();
            assert_eq!(items.len(), count);
            for (item, id) in items.iter().zip(1..) {
                assert_eq!(item["id"], id);
                assert!(item["name"].is_string() && item["category"].is_string(), "{item}");
                assert!(item["active"].is_boolean() && item["tags"].is_array(), "{item}");
                assert!(item["rating"]["score"].is_i64() && item["rating"]["count"].is_i64());
                let value = item["price"].as_i64().unwrap() * item["quantity"].as_i64().unwrap();
                assert_eq!(item["total"], value * multiplier);
                assert_eq!(item.as_object().unwrap().len(), 9);
            }
        }
    }

    #[test]
    fn an_answer_is_written_as_documented() {
        let item = r#"{"id":7,"name":"N","category":"C","price":10,"quantity":3,"active":false,"tags":["x","\"y\""],"rating":{"score":4,"count":5}"#;
        let dataset = Dataset::parse(format!("[{item}}}]").as_bytes()).unwrap();
        let site = Site { dataset: dataset.into(), ..Site::default() };
        let expected = |total| format!(r#"{{"items":[{item},"total":{total}}}],"count":1}}"#);
        for (target, total) in [("/json/1", 30), ("/json/1?m=2", 60), ("/json/51?x=1&m=0", 0)] {
            let body = get(&site, target, "").body;
            assert_eq!(String::from_utf8(body).unwrap(), expected(total));
        }
    }

    #[test]
    fn bad_counts_and_multipliers_are_refused() {
        let site = Site::default();
        for target in ["/json/", "/json/x", "/json/-1", "/json/1/", "/json/99999999999999999999"] {
            let response = get(&site, target, "");
            assert_eq!(response.status, 400, "{target}");
            assert!(text(&response).contains("COUNT of items"), "{target}");
        }
        let limit = site.dataset.max_multiplier();
        for m in [String::new(), "x".into(), "1.5".into(), format!("{}", limit + 1)] {
            let response = get(&site, &format!("/json/1?m={m}"), "");
            assert_eq!(response.status, 400, "{m}");
            assert!(text(&response).contains(&format!("from -{limit} to {limit}")), "{m}");
        }
        for m in [format!("{limit}"), format!("-{limit}")] {
            assert_eq!(get(&site, &format!("/json/50?m={m}"), "").status, 200, "{m}");
        }
    }
}
