//! A run from its start to its report: finds the server, starts the shards, watches them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, SystemTime};

use ringbench_engine::{EngineConfig, EngineError, EngineReport, ShardControl, Shards, Target};
use ringbench_measure::Counters;

use crate::collect::{Collected, ShardResult};
use crate::config::Config;
use crate::handler::{Load, Shared};
use crate::intervals::{Assembler, Message};
use crate::limits::SystemLimits;
use crate::place::{PlaceError, Server};
use crate::plan::{Plan, PlanError};
use crate::report::RunReport;
use crate::report::interval::Interval;

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
    /// There is no server.
    #[error(transparent)]
    Place(#[from] PlaceError),
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
    server: Server,
    targets: Vec<Target>,
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
        let server = Server::find(&config.url, &config.connect, config.timeout)?;
        let targets = server.targets(&config.connect.sources)?;
        let warnings = SystemLimits::raise_and_read().warnings(config, targets.len());
        Ok(Self { config: config.clone(), plan, server, targets, warnings })
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
        let Self { config, plan, server, targets, mut warnings } = self;
        let shared = Arc::new(Shared::new(&config, plan, targets));
        let mut engine = EngineConfig {
            engine: config.engine,
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
        let EngineReport { engine, fallback, .. } = shards.report();
        if let Some(why) = fallback {
            warnings.push(format!("on {engine}, as io_uring cannot be used: {why}"));
        }
        let stopper = Stopper { controls: shards.controls(), stopped: Arc::default() };
        Ok(Run {
            config,
            server,
            warnings,
            shared,
            shards,
            messages,
            stopper,
            started_unix_ms: unix_ms(),
        })
    }
}

/// Milliseconds since 1970.
fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
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
    server: Server,
    warnings: Vec<String>,
    started_unix_ms: u64,
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
        let every_ns = self.config.keep_every.map_or(u64::MAX, crate::pace::clamp_ns);
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
        let engine_name = self.shards.report().engine.to_string();
        let finished = self.shards.join()?;
        let results = finished
            .into_iter()
            .map(|shard| ShardResult { tally: shard.handler.into_tally(), engine: shard.stats })
            .collect();
        let collected = Collected::new(results, self.shared.clock(), assembler.latency);
        let failure = collected.failure(&self.server.to_string(), self.config.timeout);
        let interrupted = self.stopper.stopped.load(Ordering::Relaxed);
        let mut report = collected.report(&self.config, interrupted, self.warnings);
        report.engine_name = engine_name;
        report.started_unix_ms = self.started_unix_ms;
        Ok(Outcome { report, failure })
    }

    fn standing(&self) -> News {
        let mut counters = Counters::default();
        for published in self.shared.published() {
            counters.merge(&published.snapshot());
        }
        let start_ns = self.shared.clock().go_ns();
        let elapsed_ns =
            start_ns.map_or(0, |start| ringbench_engine::now_ns().saturating_sub(start));
        News::Standing { elapsed: Duration::from_nanos(elapsed_ns), counters }
    }
}
