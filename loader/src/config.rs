//! What a run is: every choice made, nothing left to ask.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ringbench_engine::{Engine, UringOptions};

use crate::schedule::{Arrival, Schedule};
use crate::url::Url;

/// A run, checked and complete.
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
    /// When requests leave, if not as soon as the last was answered.
    pub open_loop: Option<OpenLoopConfig>,
    /// Requests sent on a connection before the first of them is answered; at least 1.
    pub pipeline: u32,
    /// Requests after whose answers a connection is closed and replaced, at least 1; `None` for
    /// any number.
    pub requests_per_connection: Option<u64>,
    /// How long a connection may take to open, and a response to arrive.
    pub timeout: Duration,
    /// How connections are opened.
    pub connect: ConnectConfig,
    /// The method of every request.
    pub method: String,
    /// Header fields beside those that are needed, in order.
    pub headers: Vec<(String, String)>,
    /// The body of every request.
    pub body: Option<Vec<u8>>,
    /// Where requests come from that are not all the same.
    pub variety: Variety,
    /// From what randomness is drawn.
    pub seed: u64,
    /// Whether the report shows the distribution of latencies.
    pub latency: bool,
    /// Whether it shows that of service times, too.
    pub uncorrected: bool,
    /// The interval at which a closed loop was expected to send, to correct its latencies by.
    pub expected_interval: Option<Duration>,
    /// How often to say how the run is going.
    pub interval: Option<Duration>,
    /// How often figures are kept, for reports that show the run in time; at most `interval`.
    pub keep_every: Option<Duration>,
    /// Whether the latencies of each of these intervals are wanted, too.
    pub keep_latencies: bool,
    /// Whether stdout is for JSON alone, so that a script's words have to go elsewhere.
    pub json_on_stdout: bool,
    /// Whether to draw a progress bar if there is a terminal.
    pub progress: bool,
    /// The server's process, if it was named.
    pub server_pid: Option<u32>,
    /// Whether the server, the machine and TCP are looked at.
    pub observe: bool,
    /// The engine.
    pub engine: Engine,
    /// The cores to run on, empty for all that are allowed.
    pub cores: Vec<usize>,
    /// How long before a request is due a shard stops to sleep.
    pub spin: Duration,
    /// Settings of the rings. The room for connections is set by the run.
    pub uring: UringOptions,
}

/// When a run is over: at the first of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// After this time from the start.
    pub duration: Option<Duration>,
    /// After exactly this many complete responses; in an open loop, after this many requests.
    pub requests: Option<u64>,
}

/// An open loop: requests leave when they are due, whatever became of those before.
#[derive(Clone, Debug)]
pub struct OpenLoopConfig {
    /// The rates.
    pub schedule: Arc<Schedule>,
    /// How requests are spread over it.
    pub arrival: Arrival,
    /// Who sends a request that is due.
    pub sharing: Sharing,
    /// How late a request may leave; one that could not by then is never sent.
    pub deadline: Option<Duration>,
}

/// Which connection sends a request that is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sharing {
    /// Any of the shard that is idle.
    #[default]
    Shared,
    /// Each has a schedule of its own, as in wrk2.
    PerConnection,
}

/// How connections are opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ConnectConfig {
    /// Connections opened per second, over all shards; `None` as fast as the server takes them.
    pub rate: Option<f64>,
    /// The time over which the first connections are opened, evenly.
    pub ramp_up: Option<Duration>,
    /// Whether the first connections are opened all at once.
    pub is_burst: bool,
    /// Local addresses that connections come from, in turn; empty for the system's choice.
    pub sources: Vec<IpAddr>,
    /// Where to connect instead of to the URL's host.
    pub place: Place,
}

/// Where connections lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// To the URL's host and port.
    #[default]
    Url,
    /// To another host and port.
    Host(String, u16),
    /// To an address that was given for the host.
    Address(SocketAddr),
    /// To a unix socket.
    Unix(PathBuf),
}

/// Requests that are not all the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Variety {
    /// They are.
    #[default]
    None,
    /// From a request file.
    File(PathBuf),
    /// Made by a wrk script, which gets arguments.
    Script(PathBuf, Vec<String>),
}
