//! Shards: one pinned thread, one event loop, its own connections, nothing shared.
//!
//! This crate knows bytes, not HTTP. A program implements [`Handler`]; a back end calls it and
//! carries out what it records in [`Ops`]. There are two back ends:
//!
//! - `uring`: Linux `io_uring`, one ring per shard, see [`start`];
//! - [`sim`]: a seeded simulation in memory with a virtual clock, short reads, short sends, delays
//!   and resets, which runs the same handlers in tests.
//!
//! One turn of a shard: wait for completions (the same syscall submits what the last turn
//! produced), deliver each to the handler, fire deadlines, hand the output over.
//!
//! All of the project's `unsafe` code is in this crate.

mod error;
mod handler;
mod ops;
mod shard;
pub mod sim;
mod slots;
mod socket;
mod stats;
mod timers;
mod turn;
mod uring;

pub use error::EngineError;
pub use handler::{CloseReason, ConnId, Control, Handler};
pub use ops::{Ops, TargetId};
pub use shard::{EngineConfig, Finished, ShardControl, Shards, allowed_cores, now_ns, start};
pub use socket::{listen, raise_nofile_limit};
pub use stats::EngineStats;
pub use uring::{UringOptions, UringReport};
