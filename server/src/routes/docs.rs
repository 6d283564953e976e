//! `GET /docs/small` and `GET /docs/big`: documents without a schema, as a document store gives
//! them. One has a single field, one has hundreds of every type.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::data::Random;
use crate::reply::Reply;
use crate::request::Request;

/// What the fields of the big document follow from.
const SEED: u64 = 3001;

/// The fields of the big document: `field_001` and so on.
const BIG_FIELDS: u32 = 500;

/// Some of what the big document's texts are made of; the last of them have to be escaped or are
/// longer in bytes than in characters.
const WORDS: &[&str] = &[
    "ring",
    "shard",
    "buffer",
    "queue",
    "completion",
    "submission",
    "kernel",
    "\"quoted\"",
    "line\nbreak",
    "tab\tstop",
    "C:\\path",
    "naïve",
    "Zürich",
    "東京",
];

/// The documents, made by the first request for them.
static SMALL: LazyLock<Map<String, Value>> =
    LazyLock::new(|| Map::from_iter([("title".to_owned(), json!("a document with one field"))]));
static BIG: LazyLock<Map<String, Value>> = LazyLock::new(big_document);

fn big_document() -> Map<String, Value> {
    let mut random = Random::new(SEED);
    (1..=BIG_FIELDS)
        .map(|number| (format!("field_{number:03}"), value(number, &mut random)))
        .collect()
}

/// Each of ten fields in a row has another type.
fn value(number: u32, random: &mut Random) -> Value {
    match number % 10 {
        1 => json!(random.below(1000)),
        2 => json!(-i64::from(random.below(u32::MAX))),
        // Quarters are exact in binary, so that they are written in full.
        3 => json!(f64::from(random.below(400_000)) / 4.0),
        4 => json!(random.below(2) == 0),
        5 => Value::Null,
        6 => json!(random.pick(WORDS)),
        7 => json!(text(random, 8)),
        8 => json!([random.below(100), random.below(100), random.below(100)]),
        9 => json!({ "id": random.below(100_000), "name": text(random, 2) }),
        _ => json!({
            "size": { "height": random.below(2000), "width": random.below(2000) },
            "tags": [random.pick(WORDS), random.pick(WORDS)],
        }),
    }
}

fn text(random: &mut Random, words: usize) -> String {
    (0..words).map(|_| random.pick(WORDS)).collect::<Vec<_>>().join(" ")
}

/// `GET /docs/small`: a document with one field, serialised for each request.
pub fn small(_request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(200, &*SMALL);
}

/// `GET /docs/big`: a document with 500 fields, serialised for each request.
pub fn big(_request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(200, &*BIG);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::get;
    use crate::site::Site;

    #[test]
    fn one_field() {
        let response = get(&Site::default(), "/docs/small", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert_eq!(response.body, br#"{"title":"a document with one field"}"#);
    }

    #[test]
    fn hundreds_of_fields_of_every_type() {
        let response = get(&Site::default(), "/docs/big", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert!((16_000..=20_000).contains(&response.body.len()), "{}", response.body.len());
        let document: Map<String, Value> = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(document.len(), 500);
        assert_eq!(document, big_document());
        let of_type = |is: fn(&Value) -> bool| document.values().filter(|value| is(value)).count();
        assert_eq!(of_type(Value::is_number), 150);
        assert_eq!(of_type(Value::is_boolean), 50);
        assert_eq!(of_type(Value::is_null), 50);
        assert_eq!(of_type(Value::is_string), 100);
        assert_eq!(of_type(Value::is_array), 50);
        assert_eq!(of_type(Value::is_object), 100);
    }

    #[test]
    fn the_big_document_is_the_same_in_every_process() {
        let body = String::from_utf8(get(&Site::default(), "/docs/big", "").body).unwrap();
        let first = r#"{"field_001":276,"field_002":-381474852,"field_003":39786.5,"field_004":false,"field_005":null,"field_006":"completion","field_007":"kernel completion ring buffer line\nbreak naïve buffer 東京","field_008":[23,55,77],"field_009":{"id":26467,"name":"tab\tstop completion"},"field_010":{"size":{"height":1504,"width":1040},"tags":["submission","東京"]},"#;
        let last = r#""field_500":{"size":{"height":1755,"width":57},"tags":["line\nbreak","line\nbreak"]}}"#;
        assert_eq!(body.get(..first.len()), Some(first));
        assert_eq!(body.get(body.len() - last.len()..), Some(last));
    }
}
