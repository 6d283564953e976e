//! The command line. A flag, its help and its check stand in one place.
//!
//! | module | flags |
//! |---|---|
//! | this | what to load, how much, for how long |
//! | [`pace`] | when requests leave |
//! | [`connect`] | how connections are opened |
//! | [`request`] | what is sent |
//! | [`output`] | what is told of the run |
//! | [`ring`] | the engine |

use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{ArgAction, CommandFactory, Parser};
use ringbench_engine::{CoreList, allowed_cores};

use crate::config::{Config, Ending, Variety};
use crate::plan::Plan;
use crate::url::Url;

pub mod connect;
pub mod output;
pub mod pace;
mod parse;
pub mod request;
pub mod ring;

pub use connect::{ConnectFlags, HostPort, Resolve, Sources};
pub use output::{Format, OutputFlags};
pub use pace::{PaceFlags, Stages};
pub use parse::parse_positive_rate;
use parse::{
    parse_connections, parse_pipeline, parse_positive_duration, parse_requests, parse_threads,
};
pub use request::{Body, RequestFlags};
pub use ring::RingFlags;

#[cfg(test)]
mod tests;

/// The duration of a run when neither `-d` nor `-n` is given.
const DEFAULT_DURATION: Duration = Duration::from_secs(10);

/// Loads an HTTP/1.1 server from threads that have a core and a ring each, and reports as wrk
/// does.
///
/// Closed loop: a connection sends its next request when the last response is complete; a latency
/// runs from when the request was handed to the kernel to when its response was complete. With -R
/// an open loop: requests leave when they are due, and latencies run from then.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "ringload",
    version,
    disable_version_flag = true,
    after_help = AFTER_HELP
)]
pub struct Flags {
    /// How much load, for how long.
    #[command(flatten)]
    pub load: LoadFlags,

    /// When requests leave.
    #[command(flatten)]
    pub pace: PaceFlags,

    /// How connections are opened.
    #[command(flatten)]
    pub connect: ConnectFlags,

    /// What is sent.
    #[command(flatten)]
    pub request: RequestFlags,

    /// What is told of the run.
    #[command(flatten)]
    pub output: OutputFlags,

    /// The engine.
    #[command(flatten)]
    pub ring: RingFlags,

    /// Print the version.
    #[arg(short, long, action = ArgAction::Version, help_heading = "Options")]
    pub version: Option<bool>,
}

/// What stands below all flags.
const AFTER_HELP: &str = "\
Durations take us, ms, s, m or h, and counts k, M or G.
Exit codes: 0 done, 1 the run could not be done, was given up, or has no response that is no error, \
2 bad arguments, 3 a --fail-if was breached, 130/143 interrupted.";

/// How much load, for how long.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Load")]
pub struct LoadFlags {
    /// What to load.
    #[arg(
        help = "What to load: http://HOST[:PORT][/PATH][?QUERY], where HOST is a name, an IPv4 \
                  address or an [IPv6] address",
        help_heading = "Arguments"
    )]
    pub url: Url,

    /// Arguments for a script's init function.
    #[arg(last = true, value_name = "ARG", help_heading = "Arguments")]
    pub arguments: Vec<String>,

    /// Connections to keep open, over all threads.
    #[arg(short, long, value_name = "N", default_value = "10", value_parser = parse_connections)]
    pub connections: usize,

    /// How long to run [default: 10s, that of --stages, no limit with -n].
    #[arg(short, long, value_name = "TIME", value_parser = parse_positive_duration)]
    pub duration: Option<Duration>,

    /// Threads, each with its own ring and share of the connections [default: one per core that
    /// may be used, at most one per connection].
    #[arg(short, long, value_name = "N", value_parser = parse_threads)]
    pub threads: Option<usize>,

    /// Stop when exactly this many responses are complete; in an open loop, when this many requests
    /// have been sent and answered, or failed.
    #[arg(short = 'n', long = "total-requests", value_name = "N",
          value_parser = parse_requests)]
    pub requests: Option<NonZeroU64>,

    /// Pipelining depth: a connection sends N requests at once, and the next N when all of them are
    /// answered.
    #[arg(short, long, value_name = "N", default_value = "1", value_parser = parse_pipeline)]
    pub pipeline: NonZeroU32,

    /// Close a connection when N requests on it are answered, and open a new one at once; a burst
    /// that would go past N is cut short [default: any number].
    #[arg(long, value_name = "N", value_parser = parse_requests)]
    pub requests_per_connection: Option<NonZeroU64>,

    /// How long a response, or a connection's opening, may take.
    #[arg(short = 'T', long, value_name = "TIME", default_value = "2s",
          value_parser = parse_positive_duration)]
    pub timeout: Duration,

    /// Cores to run on, as 0,2,4-7; threads are pinned to them in turn [default: all that may be
    /// used].
    #[arg(long, value_name = "LIST")]
    pub cores: Option<CoreList>,
}

impl LoadFlags {
    /// The cores asked for, checked against those that are there.
    fn cores(&mut self) -> Result<(Vec<usize>, usize), clap::Error> {
        let cores = self.cores.take().map_or_else(Vec::new, |cores| cores.0);
        let allowed = allowed_cores();
        if let Some(core) = cores.iter().find(|core| !allowed.contains(core)) {
            return Err(conflict(&format!(
                "--cores: core {core} is not among those that may be used here ({})",
                allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
            )));
        }
        let usable = if cores.is_empty() { allowed.len() } else { cores.len() };
        Ok((cores, usable))
    }

    fn threads(&self, usable: usize) -> Result<usize, clap::Error> {
        let threads = self.threads.unwrap_or_else(|| usable.clamp(1, self.connections));
        if self.connections < threads {
            return Err(conflict(&format!(
                "-c/--connections {} is less than -t/--threads {threads}: each thread needs at \
                 least one connection",
                self.connections
            )));
        }
        Ok(threads)
    }
}

impl Flags {
    /// The run that these flags describe, all defaults filled in.
    ///
    /// # Errors
    ///
    /// When flags contradict each other; the text names them.
    pub fn config(self) -> Result<Config, clap::Error> {
        let Self { mut load, pace, connect, mut request, output, ring, version: _ } = self;
        output.check()?;
        let (cores, usable) = load.cores()?;
        let threads = load.threads(usable)?;
        let requests = load.requests.map(NonZeroU64::get);
        let of_stages = pace
            .stages
            .as_ref()
            .map(|Stages(stages)| stages.iter().filter_map(|stage| stage.length).sum::<Duration>());
        let default = requests.is_none().then_some(DEFAULT_DURATION);
        let duration = load.duration.or(of_stages).or(default);
        let variety = request.variety(std::mem::take(&mut load.arguments))?;
        let (method, headers) = (request.method(), request.take_headers());
        let config = Config {
            connect: connect.config(&load.url),
            open_loop: pace.open_loop(duration, threads, load.pipeline)?,
            url: load.url,
            connections: load.connections,
            threads,
            ending: Ending { duration, requests },
            pipeline: load.pipeline.get(),
            requests_per_connection: load.requests_per_connection.map(NonZeroU64::get),
            timeout: load.timeout,
            method,
            headers,
            body: request.body.map(|body| body.0),
            variety,
            seed: request.seed,
            latency: output.latency,
            uncorrected: output.uncorrected,
            expected_interval: pace.expected_interval,
            keep_every: output.keep_every(),
            keep_latencies: output.hlog.is_some(),
            interval: output.interval,
            json_on_stdout: output.format == Format::Json,
            progress: !output.no_progress && !output.tui,
            server_pid: output.server_pid,
            observe: !output.no_observe,
            engine: ring.engine(),
            cores,
            uring: ring.options(),
            spin: pace.spin,
        };
        if config.uncorrected && config.open_loop.is_none() {
            return Err(conflict(
                "-U/--u_latency is for the open loop: it needs -R/--rate, --ramp or --stages",
            ));
        }
        if config.variety == Variety::None {
            Plan::new(&config).map_err(|error| conflict(&error.to_string()))?;
        }
        Ok(config)
    }
}

/// An error about several flags, reported as clap reports one about a single flag.
fn conflict(message: &str) -> clap::Error {
    Flags::command().error(ErrorKind::ArgumentConflict, message)
}
