//! Request files: several requests, with values that change from one to the next, without code.
//!
//! [`RequestFile::read`] reads a file (its format is in `docs/request-files.md`) and the data files
//! that it names; [`Mix::new`] makes byte templates of its requests; a [`MixState`] for each shard
//! writes one request after the other and shares nothing with other shards.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use ringload::requests::{Mix, MixState, RequestFile};
//!
//! let file = RequestFile::read(Path::new("shop.toml"))?;
//! let mix = Arc::new(Mix::new(&file, &"http://127.0.0.1:8080/".parse()?, &[])?);
//! let (shard, shards, seed) = (0, 1, 1);
//! let mut state = MixState::new(mix, shard, shards, seed);
//! let mut bytes = Vec::new();
//! let kind = state.next(&mut bytes);
//! # let _ = kind;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod compile;
mod data;
mod error;
mod file;
mod mix;
mod placeholder;
mod rng;
mod state;
mod template;

#[cfg(test)]
mod refusals;

#[cfg(test)]
mod properties;

pub use error::{Problem, RequestFileError};
pub use file::{Order, RequestFile};
pub use mix::Mix;
pub use state::MixState;
