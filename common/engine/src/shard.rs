//! A shard's thread: started, pinned, told to drain or stop, joined.

use std::io;
use std::net::TcpListener;
use std::num::NonZeroU64;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread::{self, JoinHandle};

use core_affinity::CoreId;
use rustix::event::{EventfdFlags, eventfd};
use rustix::thread::set_current_timer_slack;
use rustix::time::{ClockId, clock_gettime};

use crate::engine::{self, BackEnd};
use crate::uring::UringOptions;
use crate::{Engine, EngineError, EngineReport, EngineStats, Handler, allowed_cores};

/// Nanoseconds on the monotonic clock since the first call in this process.
pub fn now_ns() -> u64 {
    // In this order, for the origin may be of this very call.
    let origin_ns = origin_ns();
    clock_ns(ClockId::Monotonic) - origin_ns
}

/// A time of [`now_ns`] on the kernel's own monotonic clock.
pub(crate) fn monotonic_ns(at_ns: u64) -> u64 {
    at_ns.saturating_add(origin_ns())
}

fn origin_ns() -> u64 {
    static ORIGIN_NS: OnceLock<u64> = OnceLock::new();
    *ORIGIN_NS.get_or_init(|| clock_ns(ClockId::Monotonic))
}

/// CPU time of the calling thread in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    clock_ns(ClockId::ThreadCPUTime)
}

fn clock_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// How many shards there are, where they run, and how their rings are set up.
#[derive(Debug, Clone)]
pub struct EngineConfig {
    /// The back end.
    pub engine: Engine,
    /// Number of shards, at least 1.
    pub shards: usize,
    /// The cores to pin shards to, in turn; empty for all that are allowed.
    pub cores: Vec<usize>,
    /// Whether shards are pinned at all. One that must never be in the way of others is not, and
    /// runs wherever there is time for it.
    pub pinned: bool,
    /// Name of the threads, followed by the shard's number.
    pub thread_name: &'static str,
    /// Whether [`Ops::peer`](crate::Ops::peer) knows the addresses of those who connect. With
    /// `io_uring` that costs a system call for each, and there are no direct descriptors then.
    pub peer_addresses: bool,
    /// So long before the alarm ([`Ops::set_alarm`](crate::Ops::set_alarm)) does a shard stop to
    /// sleep: it asks for completions again and again, until it is time. That keeps its core busy,
    /// and the alarm from being late by what it takes to wake up. 0: never. Deadlines of
    /// connections are not waited for in this way. Without effect on glommio.
    pub spin_ns: u64,
    /// Settings of the `io_uring` back end.
    pub uring: UringOptions,
}

impl Default for EngineConfig {
    /// One shard on the best engine there is.
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            shards: 1,
            cores: Vec::new(),
            pinned: true,
            thread_name: "shard",
            peer_addresses: false,
            spin_ns: 0,
            uring: UringOptions::default(),
        }
    }
}

const DRAIN: u32 = 1;
const STOP: u32 = 2;

/// The way into a shard from another thread. Written to rarely, polled by the shard itself.
#[derive(Debug)]
pub struct ShardControl {
    wake: OwnedFd,
    asked: AtomicU32,
}

impl ShardControl {
    pub(crate) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { wake, asked: AtomicU32::new(0) })
    }

    /// Stops accepting and tells the handler; the shard ends with its last connection.
    pub fn drain(&self) {
        self.ask(DRAIN);
    }

    /// Ends the shard now.
    pub fn stop(&self) {
        self.ask(STOP);
    }

    fn ask(&self, what: u32) {
        self.asked.fetch_or(what, Ordering::Release);
        // Fails only when the counter is full, and then the shard is awake already.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    pub(crate) fn wake_fd(&self) -> &OwnedFd {
        &self.wake
    }

    /// Resets the wake-up; call before looking at what was asked.
    pub(crate) fn acknowledge(&self) {
        let mut count = [0; 8];
        // Nothing to read means somebody else's wake-up was counted before; both are fine.
        let _ = rustix::io::read(&self.wake, &mut count);
    }

    pub(crate) fn drain_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) & DRAIN != 0
    }

    pub(crate) fn stop_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire) & STOP != 0
    }
}

/// What a shard leaves behind.
#[derive(Debug)]
pub struct Finished<H> {
    /// The program, with all that it counted.
    pub handler: H,
    /// What the engine counted.
    pub stats: EngineStats,
}

/// Running shards.
#[derive(Debug)]
pub struct Shards<H> {
    threads: Vec<JoinHandle<Result<Finished<H>, EngineError>>>,
    controls: Vec<Arc<ShardControl>>,
    report: EngineReport,
}

impl<H> Shards<H> {
    /// Handles by which any thread can drain or stop the shards.
    pub fn controls(&self) -> Vec<Arc<ShardControl>> {
        self.controls.clone()
    }

    /// What is in use. It is the same for all shards.
    pub fn report(&self) -> &EngineReport {
        &self.report
    }

    /// Whether every shard has ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for every shard to end. When one fails the others are stopped.
    ///
    /// # Errors
    ///
    /// The first shard's error, after all have ended.
    pub fn join(self) -> Result<Vec<Finished<H>>, EngineError> {
        let mut finished = Vec::new();
        let mut failed = None;
        for (shard, thread) in self.threads.into_iter().enumerate() {
            match thread.join().unwrap_or(Err(EngineError::Panicked { shard })) {
                Ok(done) => finished.push(done),
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(finished), Err)
    }
}

/// Starts the shards, each on its own pinned thread with its own back end and its own listeners
/// (`listeners[shard]`, empty for a client), and returns when all of them are up. `make` is called
/// on each shard's thread with the shard's number.
///
/// # Errors
///
/// What the first shard that could not start reports; the others have been stopped by then.
pub fn start<H, F>(
    config: &EngineConfig,
    listeners: Vec<Vec<TcpListener>>,
    make: F,
) -> Result<Shards<H>, EngineError>
where
    H: Handler + Send + 'static,
    F: Fn(usize) -> H + Send + Sync + 'static,
{
    let cores = pinning(config)?;
    let (engine, fallback) = engine::choose(config);
    let controls = (0..config.shards)
        .map(|shard| ShardControl::new().map(Arc::new).map_err(|errno| spawn_error(shard, errno)))
        .collect::<Result<Vec<_>, _>>()?;
    let make = Arc::new(make);
    let mut listeners = listeners.into_iter();
    let (ready_sender, ready) = mpsc::channel();
    let mut threads = Vec::new();
    let mut failed = None;
    now_ns();
    for shard in 0..config.shards {
        let seat = Seat {
            shard,
            core: cores.get(shard % cores.len().max(1)).copied(),
            engine,
            config: config.clone(),
            listeners: listeners.next().unwrap_or_default(),
            together: EndTogether { controls: controls.clone(), well: false },
            ready: ready_sender.clone(),
        };
        let make = Arc::clone(&make);
        let thread = thread::Builder::new().name(format!("{}-{shard}", config.thread_name));
        match thread.spawn(move || seat.run(&*make)) {
            Ok(thread) => threads.push(thread),
            Err(errno) => {
                failed = Some(spawn_error(shard, errno));
                break;
            }
        }
    }
    drop(ready_sender);
    let mut report = EngineReport { engine, fallback: fallback.clone(), uring: None };
    for outcome in ready.iter().take(threads.len()) {
        match outcome {
            Ok(shard_report) => {
                report = EngineReport { fallback: fallback.clone(), ..shard_report }
            }
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let shards = Shards { threads, controls, report };
    let Some(error) = failed else { return Ok(shards) };
    shards.controls.iter().for_each(|control| control.stop());
    // What started meanwhile has nothing to report but that it was stopped.
    let _ = shards.join();
    Err(error)
}

fn spawn_error(shard: usize, errno: io::Error) -> EngineError {
    EngineError::Spawn { shard, errno }
}

/// Stops all shards unless its own has ended well: the failure of one must not go unseen while the
/// others run on.
struct EndTogether {
    controls: Vec<Arc<ShardControl>>,
    well: bool,
}

impl Drop for EndTogether {
    fn drop(&mut self) {
        if !self.well {
            self.controls.iter().for_each(|control| control.stop());
        }
    }
}

/// What a shard's thread starts with.
struct Seat {
    shard: usize,
    core: Option<usize>,
    engine: Engine,
    config: EngineConfig,
    listeners: Vec<TcpListener>,
    together: EndTogether,
    ready: mpsc::Sender<Result<EngineReport, EngineError>>,
}

impl Seat {
    /// The life of a shard's thread.
    fn run<H: Handler + 'static>(
        self,
        make: impl Fn(usize) -> H,
    ) -> Result<Finished<H>, EngineError> {
        let Self { shard, core, engine, config, listeners, mut together, ready } = self;
        if let Some(id) = core {
            core_affinity::set_for_current(CoreId { id });
            // A core of its own is not there to save wake-ups by putting them off, by 50 us as the
            // system does. Where it cannot be had alarms are as late as those of others.
            let _ = set_current_timer_slack(NonZeroU64::new(1));
        }
        let control = Arc::clone(&together.controls[shard]);
        let (back_end, outcome) = match BackEnd::new(engine, &config, listeners, control) {
            Ok(back_end) => {
                let report = back_end.report();
                (Some(back_end), Ok(report))
            }
            Err(error) => (None, Err(error)),
        };
        // Somebody listens: `start` waits for every thread's word.
        let _ = ready.send(outcome);
        drop(ready);
        let handler = make(shard);
        let (handler, mut stats) = match back_end {
            Some(back_end) => back_end.run(handler)?,
            None => (handler, EngineStats::default()),
        };
        stats.cpu_ns = thread_cpu_ns();
        together.well = true;
        Ok(Finished { handler, stats })
    }
}

/// The cores to pin to, checked against those that are allowed.
fn pinning(config: &EngineConfig) -> Result<Vec<usize>, EngineError> {
    if !config.pinned {
        return Ok(Vec::new());
    }
    let allowed = allowed_cores();
    if config.cores.is_empty() {
        return Ok(allowed);
    }
    if let Some(&core) = config.cores.iter().find(|core| !allowed.contains(core)) {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return Err(EngineError::NoSuchCore { core, allowed: allowed.join(", ") });
    }
    Ok(config.cores.clone())
}
