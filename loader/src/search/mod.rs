//! `ringload search`: the highest rate at which a server meets its objectives.
//!
//! | module | what it does |
//! |---|---|
//! | `machine` | [`Search`] decides which rate is tried next; it knows of no clock and no server |
//! | `confidence` | what a few runs say about all runs |
//! | `drive` | [`run_search`] has the runs made and judges them |
//! | `text`, `json` | [`Text`] and [`render_json`] write the outcome |
//!
//! The rate is doubled until a run fails and halved until one meets its objectives, then the gap is
//! bisected until it is as narrow as `precision`. The rate that was found is run again several
//! times, and so is the next one above it: a single lucky or unlucky run decides nothing that is
//! reported.

mod confidence;
mod drive;
mod json;
mod machine;
mod text;

#[cfg(test)]
mod simulated;

pub use confidence::{chance_at_least, chance_at_most};
pub use drive::{Finding, SearchConfig, Shortfall, StepReport, run_search, start_rate};
pub use json::render as render_json;
pub use machine::{
    Agreement, Confirmation, Found, Limits, LimitsError, Purpose, Reason, Search, Step, StepResult,
};
pub use text::{Conclusion, STEP_HEADS, StepLine, Text};
