//! ringserve: a thread-per-core `io_uring` HTTP/1.1 server for extreme-throughput experiments.
//!
//! The way of a request: the engine hands the bytes to [`Server`] (`handler`), which lets `serve`
//! find the requests in them with the codec; `routes` says who answers; `reply` and `prepared`
//! write the answer into the engine's output area.
//!
//! The binary is [`cli::run`]. In tests and in other programs:
//!
//! ```no_run
//! use clap::Parser;
//! use ringserve::{Config, Flags};
//!
//! let flags = Flags::try_parse_from(["ringserve", "--listen", "127.0.0.1:0"])?;
//! let running = ringserve::start(&Config::from_flags(&flags)?)?;
//! println!("http://{}", running.addresses()[0]);
//! running.drain();
//! println!("{} requests", running.join()?.counts.requests);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod access_log;
mod admin;
pub mod cli;
mod config;
mod conn;
mod counts;
pub mod date;
mod engine_table;
mod flags;
mod handler;
mod listeners;
mod prepared;
pub mod reply;
pub mod request;
mod rest;
pub mod routes;
mod serve;
mod share;
mod shared;
mod site;
mod start;
mod successor;

pub use access_log::{AccessLog, LogCounts, LogError};
pub use config::{Config, ConfigError, Timeouts};
pub use counts::Counts;
pub use flags::{Engine, Flags, LimitFlags, ShardCount, UringFlags};
pub use handler::Server;
pub use listeners::Listeners;
pub use rest::Source;
pub use shared::Settings;
pub use site::Site;
pub use start::{Running, StartError, Stopper, Summary, start, start_on};
