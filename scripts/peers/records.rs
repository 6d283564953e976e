//! What peers answer to GET /orders and POST /ping, in Rust's own types. Included by each with
//! `#[path]`, like args.rs.

use serde::{Deserialize, Serialize};

/// A row of GET /orders.
#[derive(Deserialize, Serialize)]
pub struct Order {
    id: u32,
    customer_id: u32,
    total_cents: u32,
    status: String,
    created_at: String,
}

/// What comes with POST /ping, and goes back.
#[derive(Deserialize, Serialize)]
pub struct Ping {
    sequence: i64,
}

/// The rows, read once, for as long as the program runs.
pub fn orders() -> &'static [Order] {
    let rows: Vec<Order> =
        serde_json::from_str(include_str!("orders.json")).expect("orders.json has rows of orders");
    rows.leak()
}
