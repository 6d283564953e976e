//! Shards: one pinned thread, one event loop, its own connections, nothing shared.
//!
//! This crate knows bytes, not HTTP. A program implements [`Handler`]; a back end calls it and
//! carries out what it records in [`Ops`]. There are three back ends behind [`start`], and one for
//! tests:
//!
//! - `uring`: Linux `io_uring`, one ring per shard;
//! - `epoll`: edge-triggered, where `io_uring` is forbidden, and to compare with it;
//! - `glommio`: the executor of that name (cargo feature `glommio`);
//! - [`sim`]: a seeded simulation in memory with a virtual clock, short reads, short sends, delays
//!   and resets, which runs the same handlers in tests.
//!
//! One turn of a shard: wait for completions (the same syscall submits what the last turn
//! produced), deliver each to the handler, fire deadlines, hand the output over.
//!
//! All of the project's `unsafe` code is in this crate.

mod cores;
mod engine;
mod epoll;
mod errno;
mod error;
#[cfg(feature = "glommio")]
mod glommio;
mod handler;
mod ops;
mod shard;
pub mod sim;
mod slots;
mod socket;
mod stats;
mod target;
mod timers;
mod turn;
mod uring;

pub use cores::{CoreList, CoreListError, allowed_cores};
pub use engine::{Engine, EngineReport};
pub use errno::errno_name;
pub use error::EngineError;
pub use handler::{CloseReason, ConnId, Control, Handler};
pub use ops::{Ops, TargetId};
pub use shard::{EngineConfig, Finished, ShardControl, Shards, now_ns, start, thread_cpu_ns};
pub use socket::{ListenOptions, configure, listen, raise_memlock_limit, raise_nofile_limit};
pub use stats::EngineStats;
pub use target::{Address, Target};
pub use uring::{KernelOffer, Offer, UringFeature, UringOptions, UringReport, probe_kernel};
