//! `ringload ab`: are two arms different, and by how much? An arm is a tuning profile, a server and
//! a load; each run of it has a network namespace and a server process of its own.
//!
//! | module | what it does |
//! |---|---|
//! | [`plan`] | which arm runs when and where: fixed before the first round, by a seed |
//! | [`arm`] | what an arm is, checked before it runs |
//! | [`netns`] | a network namespace and what runs in it |
//! | [`settings`] | kernel settings: read from a profile, written, read back |
//! | [`run`](mod@run) | does the rounds |
//! | [`metric`] | what is compared |
//! | [`stats`] | what can be said of it; knows nothing of all the above |
//! | [`report`] | for people and programs |
//!
//! Nothing is left out silently: a run that fails ends the comparison with its error, and what
//! disturbed a run (steal, other programs, lost connections, errors) stands in its record.

use std::time::Duration;

pub mod arm;
pub mod metric;
pub mod netns;
pub mod plan;
pub mod report;
pub mod run;
mod seat;
pub mod settings;
pub mod stats;
pub(crate) mod tools;

pub use arm::{ArmError, ArmSetup, ArmSpec};
pub use metric::Metric;
pub use netns::NamespaceError;
pub use plan::Mode;
pub use report::AbReport;
pub use run::{AbError, Comparison, Progress};
pub use seat::SeatError;
pub(crate) use seat::apply;
pub use settings::{Profile, ProfileError};
pub use tools::MissingTool;

/// How long a load runs when nobody says.
pub const DEFAULT_DURATION: Duration = Duration::from_secs(2);
