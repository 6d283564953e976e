//! Is an answer the expected one? A server that answers something else is not measured.

use serde_json::Value;

use super::spec::Expect;

/// So much of a body is shown where it is wrong.
const SHOWN_CHARS: usize = 80;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its body.
    pub body: Vec<u8>,
}

/// Judges an answer.
///
/// # Errors
///
/// When it is not as expected: what was expected, and what came.
pub fn judge(expect: &Expect, answer: &Answer) -> Result<(), String> {
    let Answer { status, body } = answer;
    let is_right = match expect.status {
        Some(expected) => expected == *status,
        None => (200..300).contains(status),
    };
    if !is_right {
        let expected = expect.status.map_or("2xx".to_owned(), |status| status.to_string());
        return Err(format!("expected status {expected}, got {status} with {}", shown(body)));
    }
    if let Some(expected) = &expect.body
        && expected.as_bytes() != body
    {
        return Err(format!(
            "expected the body {}, got {}",
            shown(expected.as_bytes()),
            shown(body)
        ));
    }
    if let Some(expected) = expect.bytes
        && expected != body.len() as u64
    {
        return Err(format!("expected a body of {expected} bytes, got {} bytes", body.len()));
    }
    if let Some(expected) = &expect.contains
        && !String::from_utf8_lossy(body).contains(expected)
    {
        return Err(format!("expected `{expected}` in the body, got {}", shown(body)));
    }
    judge_json(expect, body)
}

fn judge_json(expect: &Expect, body: &[u8]) -> Result<(), String> {
    if expect.json.is_none() && expect.json_rows.is_none() {
        return Ok(());
    }
    let got: Value = serde_json::from_slice(body)
        .map_err(|error| format!("expected JSON, got {}: {error}", shown(body)))?;
    if let Some(text) = &expect.json {
        let expected: Value = serde_json::from_str(text)
            .map_err(|error| format!("the expected `{text}` is not JSON: {error}"))?;
        if expected != got {
            return Err(format!("expected the JSON {expected}, got {}", shown(body)));
        }
    }
    match expect.json_rows {
        Some(expected) if rows(&got) != Some(expected) => {
            let got = rows(&got).map_or_else(|| shown(body), |rows| format!("{rows} rows"));
            Err(format!("expected {expected} rows of JSON, got {got}"))
        }
        _ => Ok(()),
    }
}

/// The members of a list, or of the only list in an object.
fn rows(value: &Value) -> Option<u64> {
    let list = match value {
        Value::Array(list) => list,
        Value::Object(members) => {
            let mut lists = members.values().filter_map(Value::as_array);
            lists.next().filter(|_| lists.next().is_none())?
        }
        _ => return None,
    };
    Some(list.len() as u64)
}

/// The beginning of a body, for people.
fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if text.is_empty() {
        return "nothing".to_owned();
    }
    let mut start: String = text.chars().take(SHOWN_CHARS).collect();
    start = start.escape_debug().to_string();
    match text.chars().nth(SHOWN_CHARS) {
        None => format!("`{start}`"),
        Some(_) => format!("`{start}...` ({} bytes)", body.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(expect: &Expect, status: u16, body: &str) -> Result<(), String> {
        judge(expect, &Answer { status, body: body.as_bytes().to_vec() })
    }

    #[test]
    fn statuses() {
        let any = Expect::default();
        assert_eq!(judged(&any, 204, ""), Ok(()));
        let told = judged(&any, 404, "no such page").expect_err("an error");
        assert_eq!(told, "expected status 2xx, got 404 with `no such page`");
        let expect = Expect { status: Some(404), ..any };
        assert_eq!(judged(&expect, 404, ""), Ok(()));
        assert!(judged(&expect, 200, "").is_err_and(|told| told.contains("404, got 200")));
    }

    #[test]
    fn bodies_as_they_are() {
        let expect = Expect { body: Some("Hello".to_owned()), ..Expect::default() };
        assert_eq!(judged(&expect, 200, "Hello"), Ok(()));
        assert_eq!(
            judged(&expect, 200, "Hello\n"),
            Err("expected the body `Hello`, got `Hello\\n`".to_owned())
        );
        let expect = Expect { contains: Some("ell".to_owned()), ..Expect::default() };
        assert_eq!(judged(&expect, 200, "Hello"), Ok(()));
        assert!(judged(&expect, 200, "").is_err_and(|told| told.ends_with("got nothing")));
        let expect = Expect { bytes: Some(3), ..Expect::default() };
        assert_eq!(judged(&expect, 200, "abc"), Ok(()));
        assert!(judged(&expect, 200, "abcd").is_err_and(|told| told.contains("got 4 bytes")));
        let long = "x".repeat(1_000);
        let told =
            judged(&Expect { contains: Some("y".to_owned()), ..Expect::default() }, 200, &long);
        assert!(told.is_err_and(|told| told.ends_with("xxx...` (1000 bytes)") && told.len() < 160));
    }

    #[test]
    fn bodies_as_json() {
        let expect = Expect { json: Some(r#"{"a": [1, 2.5]}"#.to_owned()), ..Expect::default() };
        assert_eq!(judged(&expect, 200, "{\"a\":[1,2.5]}\n"), Ok(()));
        assert!(judged(&expect, 200, r#"{"a":[1]}"#).is_err_and(|told| told.contains("got `{")));
        assert!(judged(&expect, 200, "{").is_err_and(|told| told.starts_with("expected JSON")));
        let expect = Expect { json_rows: Some(2), ..Expect::default() };
        assert_eq!(judged(&expect, 200, "[1, 2]"), Ok(()));
        assert_eq!(judged(&expect, 200, r#"{"rows": [{}, {}], "count": 2}"#), Ok(()));
        assert!(judged(&expect, 200, "[1]").is_err_and(|told| told.ends_with("got 1 rows")));
        assert!(judged(&expect, 200, r#"{"a": [1, 2], "b": [1, 2]}"#).is_err(), "which of them?");
        assert!(judged(&expect, 200, "7").is_err());
    }
}
