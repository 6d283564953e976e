//! One run of one arm: a namespace, settings, a server, a load, and all of it gone again.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::thread;
use std::time::{Duration, Instant};

use ringbench_measure::proc;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::arm::{ArmSetup, PORT};
use super::netns::{ListenLosses, Namespace, NamespaceError};
use super::plan::Place;
use super::settings::{Applied, Outcome, Setting};
use super::tools::{Captured, LOOK_EVERY, Left, Tools, run};

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long a server may take to end when it is asked to; then it is killed.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// What a load may take longer than it is to last: connections to open, answers to wait for.
const LOAD_SLACK: Duration = Duration::from_secs(60);
/// How long a load may take that does not say how long it is: so many requests.
const LOAD_LIMIT: Duration = Duration::from_secs(600);

/// Why a run could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SeatError {
    /// The namespace.
    #[error(transparent)]
    Namespace(#[from] NamespaceError),
    /// A program could not be started or waited for.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The settings could not be written.
    #[error("cannot write the kernel settings: {0}")]
    Settings(String),
    /// A setting reached the host, which must not happen.
    #[error(
        "{key} is not private to a network namespace on this kernel: the host's value changed from \
         {before} to {now}, and was {restored}. Take it out of the profile"
    )]
    Leaked {
        /// The key.
        key: String,
        /// What the host had.
        before: String,
        /// What it had then.
        now: String,
        /// Whether that could be undone.
        restored: &'static str,
    },
    /// The server ended.
    #[error("the server `{command}` ended with {status}{}", told(stderr))]
    ServerEnded {
        /// The server.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last it said.
        stderr: String,
    },
    /// The server does not listen.
    #[error("the server `{command}` does not listen on port {PORT} after {} s", START_LIMIT.as_secs())]
    NoListener {
        /// The server.
        command: String,
    },
    /// The load did not end.
    #[error("`{command}` did not end within {limit_s} s")]
    LoadHangs {
        /// The load.
        command: String,
        /// What it was given.
        limit_s: u64,
    },
    /// The load failed.
    #[error("`{command}` ended with {status}{}", told(stderr))]
    LoadFailed {
        /// The load.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last it said.
        stderr: String,
    },
    /// What the load printed is no report.
    #[error("`{command}` gave no report: {source}")]
    NoReport {
        /// The load.
        command: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// Someone wanted it to end.
    #[error("interrupted")]
    Interrupted,
}

fn told(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// A server that waits for its load.
#[derive(Debug)]
pub(super) struct Ready {
    // Dropped in this order: the server is asked, the namespace kills what is left.
    server: Captured,
    namespace: Namespace,
    pub(super) applied: Vec<Applied>,
    /// What each of its processes had used when the load was started.
    cpu_before: BTreeMap<u32, u64>,
}

/// What one run has given.
#[derive(Debug)]
pub(super) struct Outcomes {
    pub(super) report: Value,
    /// What all processes of the server have used from before the load until after it.
    pub(super) server_cpu_ns: Option<u64>,
    pub(super) losses: Option<ListenLosses>,
}

impl Ready {
    /// Makes a namespace, writes the arm's settings in it, starts its server and waits until that
    /// listens.
    pub(super) fn prepare(
        tools: &Tools,
        arm: &ArmSetup,
        place: &Place,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Self, SeatError> {
        let namespace = Namespace::create(tools)?;
        let applied = apply(&namespace, &arm.profile.settings)?;
        let mut command = namespace.command(&place.server, OsStr::new(&arm.server[0]));
        command.args(&arm.server[1..]);
        let server = Captured::start(&mut command, b"", false)
            .map_err(|source| failed("cannot start nsenter", source))?;
        let mut ready = Self { server, namespace, applied, cpu_before: BTreeMap::new() };
        ready.wait_until_it_listens(arm, is_over)?;
        Ok(ready)
    }

    fn wait_until_it_listens(
        &mut self,
        arm: &ArmSetup,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), SeatError> {
        let began = Instant::now();
        while !self.namespace.is_listening(PORT)? {
            self.check_server(arm)?;
            if is_over() {
                return Err(SeatError::Interrupted);
            }
            if began.elapsed() > START_LIMIT {
                return Err(SeatError::NoListener { command: arm.shown_server() });
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    /// That the server still runs. One that goes into the background by itself would be here no
    /// longer, and could be neither pinned nor watched.
    fn check_server(&mut self, arm: &ArmSetup) -> Result<(), SeatError> {
        let ended =
            self.server.has_ended().map_err(|source| failed("cannot watch the server", source))?;
        let Some(status) = ended else { return Ok(()) };
        // What it left behind would keep its pipes open, and the end of them is waited for.
        self.namespace.kill_inside()?;
        let left = self.server.end().map_err(|source| failed("cannot end the server", source))?;
        Err(SeatError::ServerEnded { command: arm.shown_server(), status, stderr: left.stderr })
    }

    /// Remembers what the server has used so far. It takes some milliseconds of reading /proc, so it is
    /// done before any load runs that this could disturb.
    pub(super) fn mark_cpu(&mut self) {
        self.cpu_before = self.cpu_used();
    }

    /// Starts the load.
    pub(super) fn start_load(&self, arm: &ArmSetup, place: &Place) -> Result<Captured, SeatError> {
        let program = own_program()?;
        let mut command = self.namespace.command(&place.load, program.as_os_str());
        command.args(["--format", "json", "--no-progress", "--server-pid"]);
        command.arg(self.server.pid().to_string()).args(&arm.load).arg(&arm.url);
        Captured::start(&mut command, b"", true)
            .map_err(|source| failed("cannot start nsenter", source))
    }

    /// What each process inside has used so far: those of the server, as long as there is no load.
    fn cpu_used(&self) -> BTreeMap<u32, u64> {
        let pids = self.namespace.inside().into_iter();
        let pids = pids.map(|pid| pid.as_raw_nonzero().get().cast_unsigned());
        // One that ends meanwhile takes its time with it.
        pids.filter_map(|pid| Some((pid, proc::sample(pid).ok()?.cpu_ns))).collect()
    }

    /// What the server has used since the load was started; `None` where nothing can be told.
    fn server_cpu_ns(&self) -> Option<u64> {
        let now = self.cpu_used();
        let before = |pid| self.cpu_before.get(pid).copied().unwrap_or_default();
        let used = now.iter().map(|(pid, cpu_ns)| cpu_ns.saturating_sub(before(pid)));
        (!now.is_empty()).then(|| used.sum())
    }

    /// Takes in what a load has left that has ended.
    pub(super) fn finish_load(
        &mut self,
        arm: &ArmSetup,
        mut load: Captured,
    ) -> Result<Outcomes, SeatError> {
        let left = load.end().map_err(|source| failed("cannot end ringload", source))?;
        let command = arm.shown_load();
        self.check_server(arm)?;
        if !left.status.success() {
            let Left { status, stderr, .. } = left;
            return Err(SeatError::LoadFailed { command, status, stderr });
        }
        let report = serde_json::from_slice(&left.stdout)
            .map_err(|source| SeatError::NoReport { command, source })?;
        let server_cpu_ns = self.server_cpu_ns();
        Ok(Outcomes { report, server_cpu_ns, losses: self.namespace.listen_losses() })
    }

    /// Asks the server to end, and ends it and the namespace.
    pub(super) fn end(mut self) -> Result<(), SeatError> {
        // Not there any more: just as well.
        if let Some(pid) = Pid::from_raw(self.server.pid().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        self.server
            .wait(STOP_LIMIT, &|| false)
            .map_err(|source| failed("cannot wait for the server", source))?;
        self.namespace.end()?;
        self.server.end().map_err(|source| failed("cannot end the server", source))?;
        Ok(())
    }
}

/// Waits until a load has ended.
pub(super) fn wait_for_load(
    arm: &ArmSetup,
    load: &mut Captured,
    is_over: &dyn Fn() -> bool,
) -> Result<(), SeatError> {
    let limit = arm.load_duration.map_or(LOAD_LIMIT, |duration| duration + LOAD_SLACK);
    let ended =
        load.wait(limit, is_over).map_err(|source| failed("cannot wait for ringload", source))?;
    match ended {
        true => Ok(()),
        false if is_over() => Err(SeatError::Interrupted),
        false => Err(SeatError::LoadHangs { command: arm.shown_load(), limit_s: limit.as_secs() }),
    }
}

fn failed(what: &str, source: io::Error) -> SeatError {
    SeatError::Io { what: what.to_owned(), source }
}

/// This program: the load, and the one who writes settings inside.
fn own_program() -> Result<PathBuf, SeatError> {
    std::env::current_exe().map_err(|source| failed("cannot find ringload itself", source))
}

/// Writes settings inside a namespace, by this program once more, and sees to it that the host keeps
/// its own.
///
/// # Errors
///
/// When they cannot be written there, or one of them reached the host.
pub(crate) fn apply(
    namespace: &Namespace,
    settings: &[Setting],
) -> Result<Vec<Applied>, SeatError> {
    /// Far more than it takes to write some lines.
    const LIMIT: Duration = Duration::from_secs(20);
    if settings.is_empty() {
        return Ok(Vec::new());
    }
    let before: Vec<Option<String>> = settings.iter().map(host_value).collect();
    let mut command = namespace.command(&[], own_program()?.as_os_str());
    command.args(["ab", "--write-settings"]);
    let input =
        serde_json::to_vec(settings).map_err(|error| SeatError::Settings(error.to_string()))?;
    let left = run(&mut command, &input, LIMIT)
        .map_err(|source| failed("cannot write settings", source))?;
    let host_kept = check_host(settings, &before);
    if !left.status.success() {
        return Err(SeatError::Settings(left.stderr));
    }
    host_kept?;
    let mut applied: Vec<Applied> = serde_json::from_slice(&left.stdout)
        .map_err(|error| SeatError::Settings(error.to_string()))?;
    for (one, on_host) in applied.iter_mut().zip(before) {
        // The kernel shows a namespace only what is its own.
        if one.outcome == Outcome::Absent && on_host.is_some() {
            one.outcome = Outcome::HostOnly;
        }
    }
    Ok(applied)
}

fn host_path(setting: &Setting) -> PathBuf {
    Path::new("/proc/sys").join(&setting.path)
}

fn host_value(setting: &Setting) -> Option<String> {
    fs::read_to_string(host_path(setting)).ok()
}

/// That the host's values are what they were. A key that turns out not to be private is put back.
fn check_host(settings: &[Setting], before: &[Option<String>]) -> Result<(), SeatError> {
    for (setting, before) in settings.iter().zip(before) {
        let (Some(before), Some(now)) = (before, host_value(setting)) else { continue };
        if *before != now {
            let restored = fs::write(host_path(setting), before).is_ok();
            return Err(SeatError::Leaked {
                key: setting.key.clone(),
                before: before.trim().to_owned(),
                now: now.trim().to_owned(),
                restored: if restored { "restored" } else { "NOT restored" },
            });
        }
    }
    Ok(())
}
