//! `GET /orders`: a page of a table, as a shop's API would give it.

use std::sync::LazyLock;

use serde::Serialize;

use super::data::Random;
use crate::reply::Reply;
use crate::request::Request;

/// What the rows follow from.
const SEED: u64 = 1001;

/// The ids of the rows.
const IDS: std::ops::RangeInclusive<u32> = 1001..=1100;

/// The longest time between two orders. All of them are then within three days.
const MAX_GAP_SECONDS: u32 = 1800;

const _: () = assert!((*IDS.end() - *IDS.start() + 1) * MAX_GAP_SECONDS < 3 * 86_400);

/// A row.
#[derive(Serialize)]
struct Order {
    id: u32,
    customer_id: u32,
    total_cents: u32,
    status: &'static str,
    created_at: String,
}

/// The page, made by the first request for it.
static PAGE: LazyLock<Vec<Order>> = LazyLock::new(page);

/// The first 100 orders from March 2026 on.
fn page() -> Vec<Order> {
    let mut random = Random::new(SEED);
    let mut seconds = 0;
    IDS.map(|id| {
        seconds += 1 + random.below(MAX_GAP_SECONDS);
        Order {
            id,
            customer_id: 10_000 + random.below(90_000),
            total_cents: 500 + random.below(99_500),
            status: random.pick(&["pending", "paid", "shipped", "delivered", "cancelled"]),
            created_at: rfc3339_of_march(seconds),
        }
    })
    .collect()
}

/// The time so many seconds after March 2026 began.
fn rfc3339_of_march(seconds: u32) -> String {
    let (day, hour) = (1 + seconds / 86_400, seconds / 3600 % 24);
    format!("2026-03-{day:02}T{hour:02}:{:02}:{:02}Z", seconds / 60 % 60, seconds % 60)
}

/// `GET /orders`: all rows of the page, serialised for each request.
pub fn orders(_request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(200, &*PAGE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::testing::get;
    use crate::site::Site;

    #[test]
    fn a_page_of_about_11_kb() {
        let response = get(&Site::default(), "/orders", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert!((10_500..=11_500).contains(&response.body.len()), "{}", response.body.len());
        let rows: Vec<serde_json::Value> = serde_json::from_slice(&response.body).unwrap();
        let ids: Vec<u64> = rows.iter().map(|row| row["id"].as_u64().unwrap()).collect();
        assert_eq!(ids, (1001..=1100).collect::<Vec<_>>());
        for row in &rows {
            assert_eq!(row.as_object().unwrap().len(), 5);
            assert!((10_000..100_000).contains(&row["customer_id"].as_u64().unwrap()));
            assert!((500..100_000).contains(&row["total_cents"].as_u64().unwrap()));
            assert!(row["status"].is_string() && row["created_at"].is_string());
        }
        // Times of this form have the order of their texts.
        assert!(rows.is_sorted_by_key(|row| row["created_at"].as_str().unwrap().to_owned()));
    }

    #[test]
    fn the_page_is_the_same_in_every_process() {
        let body = String::from_utf8(get(&Site::default(), "/orders", "").body).unwrap();
        let first = r#"[{"id":1001,"customer_id":30661,"total_cents":23220,"status":"shipped","created_at":"2026-03-01T00:09:46Z"}"#;
        let last = r#"{"id":1100,"customer_id":95330,"total_cents":74688,"status":"cancelled","created_at":"2026-03-02T00:45:29Z"}]"#;
        assert_eq!(body.get(..first.len()), Some(first));
        assert_eq!(body.get(body.len() - last.len()..), Some(last));
    }

    #[test]
    fn times_are_written_as_rfc_3339_says() {
        assert_eq!(rfc3339_of_march(0), "2026-03-01T00:00:00Z");
        assert_eq!(rfc3339_of_march(86_399), "2026-03-01T23:59:59Z");
        assert_eq!(rfc3339_of_march(86_400 + 3661), "2026-03-02T01:01:01Z");
    }
}
