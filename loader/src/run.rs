//! A run from its start to its report: finds the server, starts the shards, watches them.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ringbench_engine::{
    EngineConfig, EngineError, EngineReport, ShardControl, Shards, Target, now_ns,
};
use ringbench_measure::{Counters, Histogram};

use crate::collect::{Collected, ShardResult};
use crate::config::{Config, Variety};
use crate::handler::{Load, Shared};
use crate::intervals::{Assembler, Message};
use crate::limits::SystemLimits;
use crate::observe::accept_queue;
use crate::pace::clamp_ns;
use crate::place::{PlaceError, Server};
use crate::plan::{Plan, PlanError};
use crate::report::RunReport;
use crate::report::interval::Interval;
use crate::requests::{Mix, RequestFile, RequestFileError};
use crate::script::{Script, ScriptError, ScriptTarget, Summary};
use crate::source::Material;
use crate::watch::Watch;

/// How often somebody who watches hears of a run.
const WATCH_EVERY: Duration = Duration::from_millis(100);
/// A report keeps so many intervals: a day of seconds, some 20 MB.
const MOST_INTERVALS: usize = 86_400;
/// Room in a ring's table for connections that are being replaced.
const SPARE_CONNECTIONS: usize = 64;

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The request cannot be made as asked for.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The request file is of no use.
    #[error(transparent)]
    Requests(#[from] RequestFileError),
    /// The script is of no use, or has failed.
    #[error(transparent)]
    Script(#[from] ScriptError),
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
    /// The script, whose `done` has not been called.
    script: Option<Script>,
}

impl Outcome {
    /// Brings out what the script has printed so far, so that it comes before the report.
    ///
    /// # Errors
    ///
    /// When Lua is out of memory.
    pub fn flush_script(&self) -> Result<(), ScriptError> {
        self.script.as_ref().map_or(Ok(()), Script::flush)
    }

    /// Calls the script's `done`, if there is one. To be called when the report has been printed, as
    /// wrk does.
    ///
    /// # Errors
    ///
    /// When the script fails.
    pub fn script_done(&mut self) -> Result<(), ScriptError> {
        let Some(script) = &mut self.script else { return Ok(()) };
        let report = &self.report;
        let summary = Summary {
            duration_us: report.duration_us,
            requests: report.counters.requests,
            bytes: report.counters.bytes_read,
            errors: report.counters.errors,
        };
        script.done(summary, &report.latency, &report.rates)
    }
}

/// News of a run that is going on.
#[derive(Debug)]
pub enum News {
    /// An interval is over.
    Interval(Interval),
    /// The latencies of the interval that was told before, if anybody asked for them; at last those
    /// that came after all intervals.
    Latencies {
        /// From the start of the run to the beginning of the interval.
        start_us: u64,
        /// The length of the interval.
        length_us: u64,
        /// Its latencies.
        latency: Histogram,
    },
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
    material: Material,
    script: Option<Script>,
    server: Server,
    targets: Vec<Target>,
    warnings: Vec<String>,
    stopper: Stopper,
}

impl Prepared {
    /// Makes the requests, resolves the host and connects once, to fail early and clearly if nobody
    /// is there.
    ///
    /// # Errors
    ///
    /// When there are no requests as asked for, or the host has no address, or none that takes a
    /// connection.
    pub fn new(config: &Config) -> Result<Self, RunError> {
        Self::with_stopper(config, Stopper::default())
    }

    /// The same for a run that `stopper` ends, from whenever it is used on.
    ///
    /// # Errors
    ///
    /// As [`Prepared::new`].
    pub fn with_stopper(config: &Config, stopper: Stopper) -> Result<Self, RunError> {
        let mut config = config.clone();
        let material = match &config.variety {
            Variety::None => Some(Material::Plan(Arc::new(Plan::new(&config)?))),
            Variety::File(path) => Some(Material::Mix(read_mix(path, &config)?)),
            Variety::Script(..) => None,
        };
        let server = Server::find(&config.url, &config.connect, config.timeout)?;
        let (material, script) = match (material, &config.variety) {
            (None, Variety::Script(path, arguments)) => {
                let mut script = load_script(path, arguments, &config, &server)?;
                (Material::script(script.take_shards()), Some(script))
            }
            (material, _) => {
                let made = || unreachable!("what is no script was made before");
                (material.unwrap_or_else(made), None)
            }
        };
        config.pipeline = material.burst(&config);
        let targets = server.targets(&config.connect.sources)?;
        let warnings = SystemLimits::raise_and_read().warnings(&config, targets.len());
        Ok(Self { config, material, script, server, targets, warnings, stopper })
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
        let Self { config, material, script, server, targets, mut warnings, stopper } = self;
        let watch = Watch::new(&config, &server);
        let queue = server.address().filter(|_| config.observe).and_then(accept_queue);
        let shared = Shared::new(&config, material, targets).with_accept_queue(queue);
        let shared = Arc::new(shared);
        let engine = engine_config(&config);
        let (sender, messages) = channel();
        let for_shards = Arc::clone(&shared);
        let started_unix_ms = unix_ms();
        let shards = ringbench_engine::start(&engine, Vec::new(), move |shard| {
            Load::new(Arc::clone(&for_shards), shard, sender.clone())
        })?;
        let EngineReport { engine, fallback, .. } = shards.report();
        if let Some(why) = fallback {
            warnings.push(format!("on {engine}, as io_uring cannot be used: {why}"));
        }
        stopper.attach(shards.controls());
        Ok(Run {
            config,
            server,
            warnings,
            shared,
            script,
            shards,
            messages,
            stopper,
            started_unix_ms,
            watch,
        })
    }
}

fn read_mix(path: &Path, config: &Config) -> Result<Arc<Mix>, RequestFileError> {
    let file = RequestFile::read(path)?;
    Ok(Arc::new(Mix::new(&file, &config.url, &config.headers)?))
}

fn load_script(
    path: &Path,
    arguments: &[String],
    config: &Config,
    server: &Server,
) -> Result<Script, ScriptError> {
    let addresses: Vec<_> = server.address().into_iter().collect();
    let target = ScriptTarget {
        url: &config.url,
        addresses: &addresses,
        method: &config.method,
        headers: &config.headers,
        body: config.body.as_deref(),
        prints_to_stderr: config.json_on_stdout,
    };
    Script::load(path, &target, arguments, config.threads)
}

fn engine_config(config: &Config) -> EngineConfig {
    let mut engine = EngineConfig {
        engine: config.engine,
        shards: config.threads,
        cores: config.cores.clone(),
        thread_name: "ringload",
        spin_ns: clamp_ns(config.spin),
        uring: config.uring.clone(),
        ..EngineConfig::default()
    };
    let per_shard = config.connections.div_ceil(config.threads) + SPARE_CONNECTIONS;
    engine.uring.file_table_entries = per_shard as u32;
    engine
}

/// Milliseconds since 1970.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as u64)
}

/// Ends a run early, from any thread, even before it has begun.
#[derive(Clone, Debug, Default)]
pub struct Stopper {
    controls: Arc<Mutex<Vec<Arc<ShardControl>>>>,
    stopped: Arc<AtomicBool>,
}

impl Stopper {
    /// Ends the run; what was measured until now is reported.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.drain_all();
    }

    /// Whether it was used.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn drain_all(&self) {
        let controls = self.controls.lock().unwrap_or_else(PoisonError::into_inner);
        controls.iter().for_each(|control| control.drain());
    }

    fn attach(&self, controls: Vec<Arc<ShardControl>>) {
        *self.controls.lock().unwrap_or_else(PoisonError::into_inner) = controls;
        if self.is_stopped() {
            self.drain_all();
        }
    }
}

/// A run that is going on.
#[derive(Debug)]
pub struct Run {
    config: Config,
    server: Server,
    warnings: Vec<String>,
    shared: Arc<Shared>,
    script: Option<Script>,
    shards: Shards<Load>,
    messages: Receiver<Message>,
    stopper: Stopper,
    started_unix_ms: u64,
    watch: Watch,
}

impl Run {
    /// A way to end it early.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits for the end and makes the report. `tell` gets the news meanwhile.
    ///
    /// # Errors
    ///
    /// When a shard failed.
    pub fn finish(mut self, mut tell: impl FnMut(News)) -> Result<Outcome, RunError> {
        let every_ns = self.config.keep_every.map_or(u64::MAX, clamp_ns);
        let mut assembler = Assembler::new(self.config.threads, every_ns);
        let mut intervals = Vec::new();
        let mut script_failure = None;
        let mut next_look = Instant::now() + self.time_to_look();
        loop {
            // However many messages there are, somebody has to look at the run.
            if Instant::now() >= next_look {
                self.watch.look(self.shared.clock());
                tell(self.standing());
                next_look = Instant::now() + self.time_to_look();
            }
            let wait = next_look.saturating_duration_since(Instant::now());
            match self.messages.recv_timeout(wait) {
                Ok(Message::Failed(why)) => {
                    script_failure.get_or_insert(why);
                    self.stopper.drain_all();
                }
                Ok(message) => {
                    for (mut interval, latency) in assembler.take(message) {
                        self.watch.complete(&mut interval);
                        if intervals.len() < MOST_INTERVALS {
                            intervals.push(interval);
                        }
                        self.tell_interval(interval, latency, &mut tell);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                // Every shard has dropped its end: all threads are done.
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        let engine_name = self.shards.report().engine.to_string();
        let finished = self.shards.join()?;
        let results: Vec<_> = finished
            .into_iter()
            .map(|shard| ShardResult { tally: shard.handler.into_tally(), engine: shard.stats })
            .collect();
        if self.config.keep_latencies {
            let go_ns = self.shared.clock().go_ns().unwrap_or_default();
            tell_rest(&results, go_ns, assembler.elapsed_us(), &mut tell);
        }
        if intervals.len() == MOST_INTERVALS {
            self.warnings.push(format!(
                "the report has the first {MOST_INTERVALS} intervals only: use a longer --interval, or \
                 --csv, which has all"
            ));
        }
        let collected = Collected::new(results, self.shared.clock(), assembler.latency);
        let failure = collected.failure(&self.server.to_string(), self.config.timeout);
        let interrupted = self.stopper.is_stopped();
        let mut report = collected.report(&self.config, interrupted, self.warnings);
        report.engine_name = engine_name;
        report.started_unix_ms = self.started_unix_ms;
        report.intervals = intervals;
        self.watch.finish(&mut report);
        Ok(Outcome { report, failure: script_failure.or(failure), script: self.script })
    }

    /// How long to wait for messages before looking at the run: now and then, and once more right
    /// before its end, while shards and connections are still there to be seen.
    fn time_to_look(&self) -> Duration {
        const BEFORE_END: Duration = Duration::from_millis(20);
        const BEFORE_BEGIN: Duration = Duration::from_millis(5);
        if self.watch.is_to_begin() {
            return BEFORE_BEGIN;
        }
        let left_ns = self.shared.clock().end_ns().map(|end_ns| end_ns.saturating_sub(now_ns()));
        let before_end =
            left_ns.map(Duration::from_nanos).and_then(|left| left.checked_sub(BEFORE_END));
        before_end.unwrap_or(WATCH_EVERY).clamp(Duration::from_millis(1), WATCH_EVERY)
    }

    fn tell_interval(&self, interval: Interval, latency: Histogram, tell: &mut impl FnMut(News)) {
        tell(News::Interval(interval));
        if self.config.keep_latencies {
            let length_us = interval.length_us;
            let start_us = interval.elapsed_us.saturating_sub(length_us);
            tell(News::Latencies { start_us, length_us, latency });
        }
    }

    fn standing(&self) -> News {
        let mut counters = Counters::default();
        for published in self.shared.published() {
            counters.merge(&published.snapshot());
        }
        let start_ns = self.shared.clock().go_ns();
        let elapsed_ns = start_ns.map_or(0, |start_ns| now_ns().saturating_sub(start_ns));
        News::Standing { elapsed: Duration::from_nanos(elapsed_ns), counters }
    }
}

/// What came after the last interval belongs to the latencies, too.
fn tell_rest(results: &[ShardResult], go_ns: u64, start_us: u64, tell: &mut impl FnMut(News)) {
    let mut latency = Histogram::new();
    results.iter().for_each(|shard| latency.merge(&shard.tally.latency));
    if latency.is_empty() {
        return;
    }
    let ended_ns = results.iter().filter_map(|shard| shard.tally.ended_ns).max();
    let elapsed_us = ended_ns.map_or(0, |ended_ns| ended_ns.saturating_sub(go_ns) / 1_000);
    let length_us = elapsed_us.saturating_sub(start_us);
    tell(News::Latencies { start_us, length_us, latency });
}
