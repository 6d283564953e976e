//! A run from its start to its report: finds the server, starts the shards, watches them.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use ringbench_engine::{Engine, EngineConfig, EngineError, ShardControl, Shards};
use ringbench_measure::Counters;

use crate::collect::{Collected, ShardResult};
use crate::config::Config;
use crate::handler::{Load, Shared};
use crate::intervals::{Assembler, Message};
use crate::limits::SystemLimits;
use crate::plan::{Plan, PlanError};
use crate::report::RunReport;
use crate::report::interval::Interval;
use crate::tally::{cannot_connect, reason};
use crate::url::Url;

/// How often somebody who watches hears of a run.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// Room in a ring's table for connections that are being replaced.
const SPARE_CONNECTIONS: usize = 64;

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The request cannot be made as asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The host's name has no address.
    #[error("cannot resolve the host `{host}`: {}", reason(source))]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        source: io::Error,
    },
    /// Nobody can be reached at any of the host's addresses.
    #[error("{}", cannot_connect(*address, source))]
    Unreachable {
        /// The first address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// A shard could not be started or failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// What was measured.
    pub report: RunReport,
    /// Why the run is a failure although it has a report, if it is one.
    pub failure: Option<String>,
}

/// News of a run that is going on.
#[derive(Debug)]
pub enum News {
    /// An interval is over (`--interval`).
    Interval(Interval),
    /// How things stand, about ten times a second.
    Standing {
        /// Since the run began.
        elapsed: Duration,
        /// Of all shards, as they published them last.
        counters: Counters,
    },
}

/// Does a whole run in silence.
///
/// # Errors
///
/// When it cannot be done. A run in which nothing was answered is an error of its own kind only on
/// the command line; here it is a report with no requests in it.
pub fn run(config: &Config) -> Result<RunReport, RunError> {
    let run = Prepared::new(config)?.start()?;
    run.finish(|_| ()).map(|outcome| outcome.report)
}

/// A run that could start: its server is there.
#[derive(Debug)]
pub struct Prepared {
    config: Config,
    plan: Plan,
    address: SocketAddr,
    warnings: Vec<String>,
}

impl Prepared {
    /// Resolves the host and connects once, to fail early and clearly if nobody is there.
    ///
    /// # Errors
    ///
    /// When the host has no address, or none that takes a connection.
    pub fn new(config: &Config) -> Result<Self, RunError> {
        let plan = Plan::new(config)?;
        let address = find_server(&config.url, config.timeout)?;
        let warnings = SystemLimits::raise_and_read().warnings(config);
        Ok(Self { config: config.clone(), plan, address, warnings })
    }

    /// What should be known before the run begins; it will stand in the report, too.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Starts the shards.
    ///
    /// # Errors
    ///
    /// When a shard cannot be set up.
    pub fn start(self) -> Result<Run, RunError> {
        let Self { config, plan, address, warnings } = self;
        let shared = Arc::new(Shared::new(&config, plan, address));
        let mut engine = EngineConfig {
            engine: Engine::Uring,
            shards: config.threads,
            cores: config.cores.clone(),
            thread_name: "ringload",
            uring: config.uring.clone(),
            ..EngineConfig::default()
        };
        let per_shard = config.connections.div_ceil(config.threads) + SPARE_CONNECTIONS;
        engine.uring.file_table_entries = per_shard as u32;
        let (sender, messages) = channel();
        let for_shards = Arc::clone(&shared);
        let shards = ringbench_engine::start(&engine, Vec::new(), move |shard| {
            Load::new(Arc::clone(&for_shards), shard, sender.clone())
        })?;
        let stopper = Stopper { controls: shards.controls(), stopped: Arc::default() };
        Ok(Run { config, address, warnings, shared, shards, messages, stopper })
    }
}

/// The first of the host's addresses that takes a connection.
fn find_server(url: &Url, timeout: Duration) -> Result<SocketAddr, RunError> {
    let unresolved = |source| RunError::Resolve { host: url.host().to_owned(), source };
    let addresses = url.resolve().map_err(unresolved)?;
    let mut failed = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(_) => return Ok(address),
            Err(source) => {
                failed.get_or_insert(RunError::Unreachable { address, source });
            }
        }
    }
    let none = || unresolved(io::Error::other("the name has no address"));
    Err(failed.unwrap_or_else(none))
}

/// Ends a run early, from any thread.
#[derive(Clone, Debug)]
pub struct Stopper {
    controls: Vec<Arc<ShardControl>>,
    stopped: Arc<AtomicBool>,
}

impl Stopper {
    /// Ends the run; what was measured until now is reported.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.controls.iter().for_each(|control| control.drain());
    }
}

/// A run that is going on.
#[derive(Debug)]
pub struct Run {
    config: Config,
    address: SocketAddr,
    warnings: Vec<String>,
    shared: Arc<Shared>,
    shards: Shards<Load>,
    messages: Receiver<Message>,
    stopper: Stopper,
}

impl Run {
    /// A way to end it early.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the end and makes the report. `watch` gets the news meanwhile.
    ///
    /// # Errors
    ///
    /// When a shard failed.
    pub fn finish(self, mut watch: impl FnMut(News)) -> Result<Outcome, RunError> {
        let every_ns = self.config.interval.map_or(u64::MAX, crate::pace::clamp_ns);
        let mut assembler = Assembler::new(self.config.threads, every_ns);
        loop {
            match self.messages.recv_timeout(WATCH_EVERY) {
                Ok(message) => {
                    assembler.take(message).into_iter().map(News::Interval).for_each(&mut watch);
                }
                Err(RecvTimeoutError::Timeout) => watch(self.standing()),
                // Every shard has dropped its end: all threads are done.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let finished = self.shards.join()?;
        let results = finished
            .into_iter()
            .map(|shard| ShardResult { tally: shard.handler.into_tally(), engine: shard.stats })
            .collect();
        let start_ns = self.shared.clock().started_ns().unwrap_or_default();
        let collected = Collected::new(results, start_ns, assembler.latency);
        let failure = collected.failure(self.address, self.config.timeout);
        let interrupted = self.stopper.stopped.load(Ordering::Relaxed);
        let report = collected.report(&self.config, interrupted, self.warnings);
        Ok(Outcome { report, failure })
    }

    fn standing(&self) -> News {
        let mut counters = Counters::default();
        for published in self.shared.published() {
            counters.merge(&published.snapshot());
        }
        let start_ns = self.shared.clock().started_ns();
        let elapsed_ns =
            start_ns.map_or(0, |start| ringbench_engine::now_ns().saturating_sub(start));
        News::Standing { elapsed: Duration::from_nanos(elapsed_ns), counters }
    }
}
