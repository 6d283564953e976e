//! The documents about the keys agree with the keys.

use serde_json::{Map, Value, json};

use super::render_judged;
use crate::ledger::CloseCause;
use crate::report::{Judgement, fixtures};

const SCHEMA: &str = include_str!("../../../../docs/report.schema.json");
const DOCUMENT: &str = include_str!("../../../../docs/json.md");

fn schema() -> Value {
    serde_json::from_str(SCHEMA).expect("the schema is JSON")
}

/// Follows a reference, and takes what is not null of what may be.
fn resolved<'a>(root: &'a Value, mut part: &'a Value) -> &'a Value {
    if let Some(variants) = part["anyOf"].as_array() {
        part = &variants[0];
    }
    match part["$ref"].as_str() {
        Some(path) => root.pointer(&path[1..]).unwrap_or_else(|| panic!("no {path}")),
        None => part,
    }
}

/// Calls `check` with each object in the report and what the schema says of it. An object of many
/// keys that stands in a list is looked at once.
fn walk(
    root: &Value,
    value: &Value,
    part: &Value,
    path: &str,
    check: &mut impl FnMut(&str, &Map<String, Value>, &Value),
) {
    let part = resolved(root, part);
    match value {
        Value::Object(object) if !part["properties"].is_null() => {
            check(path, object, part);
            for (key, value) in object {
                walk(root, value, &part["properties"][key], &format!("{path}{key}."), check);
            }
        }
        Value::Array(list) => {
            let inside = format!("{}[].", path.trim_end_matches('.'));
            list.iter().for_each(|value| walk(root, value, &part["items"], &inside, check));
        }
        _ => {}
    }
}

/// A report in which nothing is null but what is outside of an open loop's last interval.
fn report() -> Value {
    let judgement = Judgement { line: String::new(), object: json!({"limit": "server"}) };
    let text = render_judged(&fixtures::full(), Some(&judgement)).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn every_key_is_in_the_schema_and_every_key_of_the_schema_is_written() {
    let root = schema();
    let mut objects = 0;
    walk(&root, &report(), &root, "", &mut |path, object, part| {
        let properties = part["properties"].as_object().expect("properties");
        for key in object.keys() {
            assert!(properties.contains_key(key), "{path}{key} is not in the schema");
        }
        let required = part["required"].as_array().expect("required");
        assert_eq!(required.len(), properties.len(), "{path}: all keys are always there");
        for key in properties.keys() {
            assert!(object.contains_key(key), "{path}{key} is in the schema, but not written");
            let described = &properties[key];
            let described = described["description"].is_string()
                || !resolved(&root, described)["description"].is_null();
            assert!(described, "{path}{key} has no description");
        }
        objects += 1;
    });
    assert!(objects > 25, "only {objects} objects were looked at");
}

/// The few types that the schema uses, as a validator takes them.
#[test]
fn values_have_the_types_of_the_schema() {
    let root = schema();
    let closed: Value = serde_json::from_str(&super::render(&fixtures::silent()).unwrap()).unwrap();
    for report in [report(), closed] {
        walk(&root, &report, &root, "", &mut |path, object, part| {
            for (key, value) in object {
                let property = &part["properties"][key];
                let nullable = property["anyOf"].as_array().is_some_and(|any| any.len() == 2)
                    || property["type"].as_array().is_some();
                if value.is_null() {
                    assert!(nullable, "{path}{key} is null");
                    continue;
                }
                let property = resolved(&root, property);
                if let Some(values) = property["enum"].as_array() {
                    assert!(values.contains(value), "{path}{key} is {value}");
                    continue;
                }
                let wanted = property["type"].as_str().or(property["type"][0].as_str());
                let fits = match wanted.unwrap_or_else(|| panic!("{path}{key} has no type")) {
                    "integer" => value.is_u64(),
                    "number" => value.is_number(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "array" => value.is_array(),
                    "object" => value.is_object(),
                    other => panic!("{path}{key} has the type {other}"),
                };
                assert!(fits, "{path}{key} is {value}, not {wanted:?}");
            }
        });
    }
}

#[test]
fn all_causes_are_in_the_schema() {
    let causes = schema()["properties"]["closes"]["items"]["properties"]["cause"]["enum"].take();
    assert_eq!(causes, json!(CloseCause::ALL.map(CloseCause::name)));
}

#[test]
fn every_key_is_explained_in_the_document() {
    let root = schema();
    walk(&root, &report(), &root, "", &mut |path, object, _| {
        for key in object.keys() {
            // Types that occur in several places have tables of their own, without what is in front.
            let whole = format!("{path}{key}");
            let ends = whole.match_indices('.').map(|(dot, _)| &whole[dot + 1..]);
            let mut names = std::iter::once(whole.as_str()).chain(ends);
            let found = names.any(|name| DOCUMENT.contains(&format!("| `{name}` |")));
            assert!(found, "{path}{key} has no row in docs/json.md");
        }
    });
}
