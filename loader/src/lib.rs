//! ringload: a thread-per-core load generator for HTTP/1.1.
//!
//! The way of a run through this crate: [`flags`] make a [`Config`]; [`plan`] is what to send,
//! [`pace`] when; [`handler`] does it on each shard, with [`opener`] deciding when the next
//! connection is opened and [`connection`] reading responses; each shard writes its own [`tally`];
//! [`run`](mod@run) starts and watches the shards, [`collect`] merges what they leave behind, and
//! [`report`] makes text of it. [`observe`] watches server, machine and TCP meanwhile, and [`verdict`]
//! says from all that what limited the run. [`tui`] draws a run while it goes on.
//! [`report`] makes text of it. [`script`] is for wrk's Lua scripts. [`ab`] compares two arms by many
//! runs.
//!
//! ```no_run
//! use clap::Parser;
//!
//! let flags = ringload::Flags::parse_from(["ringload", "-c64", "-d1s", "http://127.0.0.1:8080/"]);
//! let report = ringload::run(&flags.config()?)?;
//! println!("{:.0} requests a second", report.requests_per_sec());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

pub mod ab;
pub mod collect;
pub mod config;
pub mod connection;
pub mod flags;
pub mod gate;
pub mod generate;
pub mod handler;
pub mod intervals;
pub mod ledger;
pub mod limits;
pub mod observe;
pub mod opener;
pub mod outputs;
pub mod pace;
pub mod place;
pub mod plan;
pub mod progress;
pub mod report;
pub mod requests;
pub mod run;
pub mod schedule;
pub mod script;
pub mod search;
pub mod source;
pub mod tally;
pub mod tui;
pub mod url;
pub mod verdict;
pub mod watch;

pub use config::{Config, Ending};
pub use flags::{Flags, Format};
pub use run::{Outcome, Run, RunError, Stopper, run};
pub use url::Url;
