//! ringload: a thread-per-core load generator for HTTP/1.1.
//!
//! The way of a run through this crate: [`flags`] make a [`Config`]; [`run`](mod@run) finds the
//! server ([`place`]) and starts the shards. What they send comes from a [`source`]: the same request
//! again and again ([`plan`]), those of a file ([`requests`]), or a wrk script's ([`script`]); when
//! they send is [`pace`]'s and, in an open loop, [`schedule`]'s. [`handler`] does it on each shard,
//! with [`opener`] deciding when the next connection is opened and [`connection`] reading responses;
//! each shard writes its own [`tally`], with a [`ledger`] of why connections ended, and tells of
//! [`intervals`] meanwhile. [`collect`] merges what the shards leave behind, and [`report`] makes text
//! of it, for stdout and for [`outputs`].
//!
//! From the main thread [`watch`] looks at server, machine and TCP through [`observe`], and
//! [`verdict`] says from all that what limited the run. [`progress`] and [`tui`] show it while it goes
//! on, [`gate`] checks conditions in the end, and [`search`] makes many runs to find a rate,
//! [`ab`] to compare two arms, [`suite`] to measure many servers in turn.
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
pub mod handler;
pub mod intervals;
pub mod ledger;
pub mod limits;
mod lines;
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
pub mod suite;
pub mod tally;
pub mod tui;
pub mod url;
pub mod verdict;
pub mod watch;

pub use config::{Config, Ending};
pub use flags::{Flags, Format};
pub use run::{Outcome, Run, RunError, Stopper, run};
pub use url::Url;
