//! What a run is: every choice made, nothing left to ask.

use std::time::Duration;

use ringbench_engine::UringOptions;

use crate::url::Url;

/// A run of the closed loop, checked and complete.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to send requests.
    pub url: Url,
    /// Connections to keep open, over all shards; at least as many as there are shards.
    pub connections: usize,
    /// Threads, each with a shard of its own; at least 1.
    pub threads: usize,
    /// When the run is over.
    pub ending: Ending,
    /// Requests sent on a connection before the first of them is answered; at least 1.
    pub pipeline: u32,
    /// Requests after whose answers a connection is closed and replaced, at least 1; `None` for
    /// any number.
    pub requests_per_connection: Option<u64>,
    /// How long a connection may take to open, and a response to arrive.
    pub timeout: Duration,
    /// The method of every request.
    pub method: String,
    /// Header fields beside those that are needed, in order.
    pub headers: Vec<(String, String)>,
    /// The body of every request.
    pub body: Option<Vec<u8>>,
    /// Whether the report shows the distribution of latencies.
    pub latency: bool,
    /// How often to say how the run is going.
    pub interval: Option<Duration>,
    /// Whether to draw a progress bar if there is a terminal.
    pub progress: bool,
    /// The cores to run on, empty for all that are allowed.
    pub cores: Vec<usize>,
    /// Settings of the rings. The room for connections is set by the run.
    pub uring: UringOptions,
}

/// When a run is over: at the first of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// After this time from the start.
    pub duration: Option<Duration>,
    /// After exactly this many complete responses.
    pub requests: Option<u64>,
}
