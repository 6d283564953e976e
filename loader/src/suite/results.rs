//! What a suite has found out, as it is kept on disk while the suite goes on and as reports are made
//! from it. It holds every run; what is picked out of the repeats is decided by whoever reads it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that a report needs.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct SuiteResults {
    /// The suite's short name, as in the names of its files.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// Where the benchmark that it repeats was published.
    pub source: Option<String>,
    /// How that one was made.
    pub method: Option<String>,
    /// Where the method misleads, a sentence or two each.
    pub misleads: Vec<String>,
    /// Whether this is the short form, whose figures are for trying out.
    pub is_quick: bool,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// When its last run ended; `None` while it goes on, or when it was broken off.
    pub ended_unix_ms: Option<u64>,
    /// The version of ringload.
    pub ringload_version: String,
    /// The machine that all this ran on: facts in the order in which they are to be told, name and
    /// value, such as `("CPU", "AMD EPYC, 2 cores")`.
    pub machine: Vec<(String, String)>,
    /// The cores of the servers and of the load.
    pub server_cores: Vec<usize>,
    /// See [`server_cores`](Self::server_cores).
    pub load_cores: Vec<usize>,
    /// The tuning profile in whose network namespace it ran, if any.
    pub tuning: Option<String>,
    /// The servers, in the order of the file.
    pub servers: Vec<Server>,
    /// The cells that each server is measured in: a scenario at one number of connections.
    pub cells: Vec<Cell>,
    /// All runs so far, in the order in which they were made.
    pub runs: Vec<Run>,
    /// Tables as they were published elsewhere, for their shape.
    pub published: Vec<Published>,
    /// What a reader must know before trusting a figure: a machine with too few cores, a key that was
    /// refused.
    pub warnings: Vec<String>,
}

/// A server of the suite.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Server {
    /// Its name, unique in the suite.
    pub name: String,
    /// The language that it is written in, if that was told.
    pub language: Option<String>,
    /// What it says of its version.
    pub version: Option<String>,
    /// How it is started, as it could be typed.
    pub command: String,
    /// Why none of it was measured: not installed, for one. `None` if it was.
    pub left_out: Option<String>,
}

/// A scenario at one number of connections.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Cell {
    /// Its name, unique in the suite: `hello c=100`.
    pub name: String,
    /// The scenario that it belongs to.
    pub scenario: String,
    /// The method and the path, or the name of a request file.
    pub request: String,
    /// Connections.
    pub connections: u64,
    /// The load's threads.
    pub threads: u64,
    /// Requests per second that were asked for; `None` in a closed loop.
    pub rate: Option<f64>,
    /// Requests in flight at once on a connection.
    pub pipeline_depth: u64,
    /// How long each run lasts.
    pub duration_ms: u64,
    /// How often it is run.
    pub repeats: u64,
    /// What becomes of the repeats.
    pub pick: Pick,
    /// The load as it could be typed.
    pub load: String,
}

/// Which of the repeats stands for all of them.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// The one with the most requests per second, as many published tables have it.
    Best,
    /// The one in the middle by requests per second; of an even number the lower of the two.
    #[default]
    Median,
}

/// One run of one server in one cell.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Run {
    /// The server's name.
    pub server: String,
    /// The cell's name.
    pub cell: String,
    /// Which of its repeats this is, from 1.
    pub repeat: u64,
    /// When it began, in milliseconds since 1970.
    pub started_unix_ms: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// What was seen of the server's processes, as far as it came.
    pub usage: Usage,
    /// The load's report, as `docs/json.md` has it but for its histograms; `None` if there is none.
    pub report: Option<Value>,
}

/// How a run ended.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// It was measured.
    Measured,
    /// The server did not start: it ended, or did not listen in time.
    NotStarted {
        /// What happened, and the last that it said.
        told: String,
    },
    /// Its answer to the request is not the expected one, so it was not measured.
    WrongAnswer {
        /// What was expected and what came.
        told: String,
    },
    /// It ended while it was being measured.
    Crashed {
        /// How it ended, and the last that it said.
        told: String,
    },
    /// It runs but gives no answer.
    Hung {
        /// What was waited for.
        told: String,
    },
    /// The load could not be made; that is not the server's fault.
    LoadFailed {
        /// What ringload said.
        told: String,
    },
}

/// What a server's processes took, all of them together.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Usage {
    /// Resident memory after the start, before any load.
    pub rss_idle_bytes: Option<u64>,
    /// Memory after the start, with shared pages split among those who share them.
    pub pss_idle_bytes: Option<u64>,
    /// The largest resident memory seen under load.
    pub rss_max_bytes: Option<u64>,
    /// The largest of the other kind.
    pub pss_max_bytes: Option<u64>,
    /// CPU time while the load ran.
    pub cpu_ns: Option<u64>,
    /// Processes, the most seen.
    pub processes: Option<u64>,
    /// Threads, the most seen.
    pub threads: Option<u64>,
    /// CPU time while the load ran of each thread that used any, the busiest first.
    pub per_thread: Vec<ThreadUsage>,
    /// Samples of the machine in time, about one a second.
    pub samples: Vec<Sample>,
}

/// What one thread used.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct ThreadUsage {
    /// Its id.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// CPU time while the load ran.
    pub cpu_ns: u64,
}

/// The machine at one time, in shares (0 to 1) of all its cores since the sample before; what dstat
/// shows.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Sample {
    /// Since the load began.
    pub at_ms: u64,
    /// The server's CPU time since the sample before.
    pub server_cpu_ns: u64,
    /// Its resident memory.
    pub server_rss_bytes: u64,
    /// Its memory with shared pages split; not in every sample, as it is dear to ask for.
    pub server_pss_bytes: Option<u64>,
    /// Its threads.
    pub server_threads: u64,
    /// The machine's shares by name: `user`, `system`, `idle`, `softirq`, `steal`, ...
    pub machine: BTreeMap<String, f64>,
}

/// A table as it was published.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Published {
    /// What it is, with its date and machine where they are known.
    pub title: String,
    /// The headings of its columns; the first is that of the names.
    pub columns: Vec<String>,
    /// Its rows, as many cells each as there are columns.
    pub rows: Vec<Vec<String>>,
}
