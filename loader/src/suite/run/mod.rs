//! Does the runs of a suite, one after the other, and keeps what comes of them.
//!
//! | module | what it does |
//! |---|---|
//! | [`once`] | one run, from the start of a server to its end |
//! | [`port`] | free ports |
//! | [`version`] | versions, and servers that are not there |

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getpid, getrlimit, set_child_subreaper, setrlimit};

use super::journal::{Header, Journal, JournalError, Key, digest, push_once};
use super::machine;
use super::plan::{OVERHEAD, Plan, Planned};
use super::process::exec::pin;
use super::results::{self, Run, SuiteResults};
use super::spec::{NamedFile, Suite};
use crate::ab::SeatError;
use crate::ab::netns::{Namespace, NamespaceError};
use crate::ab::tools::{MissingTool, Tools, core_list};
use crate::run::unix_ms;

mod once;
mod port;
mod version;

use port::Ports;

/// Why a suite could not be done.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// What was measured could not be kept, or is not to be mixed with what was.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A program of the system is missing.
    #[error("tuning: {0}")]
    Tool(#[from] MissingTool),
    /// There is no network namespace.
    #[error("tuning: {0}. --no-tuning measures without it")]
    Namespace(#[from] NamespaceError),
    /// The settings could not be written in one.
    #[error("tuning: {0}")]
    Settings(#[from] Box<SeatError>),
    /// A file that decides what is measured cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A process could not be started or waited for.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// Whoever asks a server has failed itself.
    #[error("ringload could not ask a server: {told}")]
    Ask {
        /// What it said.
        told: String,
    },
    /// No server can be measured in any cell.
    #[error("there is nothing to measure: {0}")]
    Nothing(String),
    /// Someone wanted it to end.
    #[error("interrupted: the same command goes on from here")]
    Interrupted,
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> SuiteError {
    move |source| SuiteError::Io { what, source }
}

/// How a suite is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where what is measured is kept.
    pub output: PathBuf,
    /// The seed of the order.
    pub seed: u64,
    /// The cores of the servers.
    pub server_cores: Vec<usize>,
    /// The cores of the load.
    pub load_cores: Vec<usize>,
    /// Whether to begin anew where something has been measured.
    pub is_fresh: bool,
    /// Flags that have to be the same for a suite to go on.
    pub flags: BTreeMap<String, String>,
    /// What a reader has to know.
    pub warnings: Vec<String>,
}

/// How far it is.
#[derive(Debug)]
pub enum News<'a> {
    /// Something that is to be said.
    Told(String),
    /// A run begins.
    Begins(Standing<'a>),
    /// A second of its load is over.
    Second,
    /// It has ended.
    Ended(&'a Run),
}

/// The run that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// Which of all runs this is, from 1.
    pub number: usize,
    /// All of them, also those that are no longer needed.
    pub of: usize,
    /// The server.
    pub server: &'a str,
    /// The cell.
    pub cell: &'a str,
    /// Which of the repeats.
    pub repeat: u64,
    /// All of them.
    pub repeats: u64,
    /// About how long it takes until all is done.
    pub left: Duration,
}

/// What a suite has come to.
#[derive(Debug)]
pub struct Ended {
    /// All that has been found out, also before.
    pub results: SuiteResults,
    /// Why it did not come to its end.
    pub failure: Option<SuiteError>,
}

/// Does what is left to do of a suite. `is_over` ends it early; what was measured until then is kept.
///
/// It changes its process for good: the calling thread runs on the cores of the load from then on, the
/// limit on open files, which servers inherit, is raised, and orphans become its children.
///
/// # Errors
///
/// When it could not begin. An error later on is part of what is returned.
pub fn run(
    suite: &Suite,
    plan: Plan,
    options: &Options,
    news: &mut dyn FnMut(News<'_>),
    is_over: &dyn Fn() -> bool,
) -> Result<Ended, SuiteError> {
    let tools = suite.tuning.as_ref().map(|_| Tools::find()).transpose()?;
    if let Some(tools) = &tools {
        // Whether there can be any is found out before an hour is over.
        Namespace::create(tools)?;
    }
    let header = header(suite, &plan, options)?;
    let journal = Journal::open(&options.output, &header, options.is_fresh)?;
    raise_open_files().map_err(failed("cannot raise the limit on open files"))?;
    set_child_subreaper(Some(getpid()))
        .map_err(|error| failed("cannot become a subreaper")(error.into()))?;
    pin(&options.load_cores).map_err(failed("cannot run beside the load"))?;
    let ports = Ports::new();
    let mut runner = Runner { suite, plan, options, tools, journal, ports, news, is_over };
    runner.tell_of_the_past();
    let failure = runner.all().err();
    Ok(Ended { results: runner.journal.results, failure })
}

/// What all runs have in common.
struct Runner<'a> {
    suite: &'a Suite,
    plan: Plan,
    options: &'a Options,
    /// Where there are network namespaces.
    tools: Option<Tools>,
    journal: Journal,
    ports: Ports,
    news: &'a mut dyn FnMut(News<'_>),
    is_over: &'a dyn Fn() -> bool,
}

impl Runner<'_> {
    fn tell_of_the_past(&mut self) {
        let Journal { dropped_bytes, is_resumed, results, .. } = &self.journal;
        if *dropped_bytes > 0 {
            (self.news)(News::Told(format!(
                "the last line of the journal was not whole ({dropped_bytes} bytes): that run is \
                 made again"
            )));
        }
        if *is_resumed {
            let folder = self.options.output.display();
            let runs = results.runs.len();
            (self.news)(News::Told(format!("going on in {folder}, where {runs} runs are kept")));
        }
        for server in &results.servers {
            if let Some(reason) = &server.left_out {
                (self.news)(News::Told(format!("{} is left out: {reason}", server.name)));
            }
        }
        for warning in &results.warnings {
            (self.news)(News::Told(format!("warning: {warning}")));
        }
    }

    fn all(&mut self) -> Result<(), SuiteError> {
        let is_there = |run: &Planned| self.journal.results.servers[run.server].left_out.is_none();
        let runs: Vec<Planned> = self.plan.runs.iter().copied().filter(is_there).collect();
        if runs.is_empty() {
            let told = "no server is installed, or none serves what is asked for";
            return Err(SuiteError::Nothing(told.to_owned()));
        }
        let (mut spent, mut made) = (Duration::ZERO, 0_u32);
        for (at, &planned) in runs.iter().enumerate() {
            if self.is_done(planned) {
                continue;
            }
            if (self.is_over)() {
                return Err(SuiteError::Interrupted);
            }
            let overhead = if made == 0 { OVERHEAD } else { spent / made };
            let to_do = runs[at..].iter().copied().filter(|run| !self.is_done(*run));
            let left = self.plan.time(to_do, overhead);
            let told = &self.plan.cells[planned.cell].told;
            (self.news)(News::Begins(Standing {
                number: at + 1,
                of: runs.len(),
                server: &self.suite.servers[planned.server].name,
                cell: &told.name,
                repeat: planned.repeat,
                repeats: told.repeats,
                left,
            }));
            let began = Instant::now();
            let done = self.once(planned)?;
            for warning in done.warnings {
                self.journal.warn(warning)?;
            }
            self.journal.add(done.run)?;
            if let Some(run) = self.journal.results.runs.last() {
                (self.news)(News::Ended(run));
            }
            let load_time = self.plan.cells[planned.cell].load_time();
            spent += began.elapsed().saturating_sub(load_time);
            made += 1;
        }
        Ok(self.journal.end(unix_ms())?)
    }

    fn is_done(&self, run: Planned) -> bool {
        let server = &self.suite.servers[run.server].name;
        self.journal.has(server, &self.plan.cells[run.cell].told.name, run.repeat)
    }

    fn second(&mut self) {
        (self.news)(News::Second);
    }
}

/// What the suite is, from its file, its flags and its machine.
fn header(suite: &Suite, plan: &Plan, options: &Options) -> Result<Header, SuiteError> {
    let mut key = Key { flags: options.flags.clone(), ..Key::default() };
    for NamedFile { name, path } in suite.files() {
        let bytes = fs::read(path);
        let bytes = bytes.map_err(|source| SuiteError::Read { path: path.clone(), source })?;
        key.files.insert(name.clone(), digest(&bytes));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    for (name, file) in [("host name", "hostname"), ("kernel", "osrelease")] {
        let told = fs::read_to_string(format!("/proc/sys/kernel/{file}")).unwrap_or_default();
        key.machine.insert(name.to_owned(), told.trim().to_owned());
    }
    key.machine.insert("ringload".to_owned(), version.clone());
    let mut servers = Vec::with_capacity(suite.servers.len());
    for spec in &suite.servers {
        let version::About { version, left_out } = version::about(spec);
        if let Some(version) = &version {
            key.versions.insert(spec.name.clone(), version.clone());
        }
        let cores = spec.cores.as_ref().unwrap_or(&options.server_cores);
        servers.push(results::Server {
            name: spec.name.clone(),
            language: spec.language.clone(),
            version,
            command: spec.shown(cores.len()),
            left_out,
        });
    }
    let mut warnings = Vec::new();
    options.warnings.iter().for_each(|warning| push_once(&mut warnings, warning.clone()));
    let results = SuiteResults {
        name: suite.name.clone(),
        title: suite.title.clone(),
        source: suite.source.clone(),
        method: suite.method.clone(),
        misleads: suite.misleads.clone(),
        is_quick: suite.is_quick,
        started_unix_ms: unix_ms(),
        ended_unix_ms: None,
        ringload_version: version,
        machine: machine::describe(),
        server_cores: options.server_cores.clone(),
        load_cores: options.load_cores.clone(),
        tuning: suite.tuning.as_ref().map(|profile| profile.name.clone()),
        servers,
        cells: plan.cells.iter().map(|cell| cell.told.clone()).collect(),
        runs: Vec::new(),
        published: suite.published.clone(),
        warnings,
    };
    Ok(Header::new(key, results))
}

/// The cores of servers and of the load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cores {
    /// The servers'.
    pub server: Vec<usize>,
    /// The load's.
    pub load: Vec<usize>,
}

impl Cores {
    /// Deals out those that may be used: half of them each, where nobody says.
    ///
    /// # Errors
    ///
    /// When cores were asked for that may not be used; the text names the flag.
    pub fn new(
        allowed: &[usize],
        server: Option<Vec<usize>>,
        load: Option<Vec<usize>>,
    ) -> Result<Self, String> {
        for (flag, cores) in [("--server-cores", &server), ("--load-cores", &load)] {
            if let Some(core) = cores.iter().flatten().find(|core| !allowed.contains(core)) {
                let allowed = core_list(allowed);
                return Err(format!(
                    "{flag}: core {core} is not among those that may be used here ({allowed})"
                ));
            }
        }
        // All others, if there are any.
        let beside = |cores: &[usize]| -> Vec<usize> {
            let others = allowed.iter().copied().filter(|core| !cores.contains(core));
            let others: Vec<usize> = others.collect();
            if others.is_empty() { cores.to_vec() } else { others }
        };
        Ok(match (server, load) {
            (Some(server), Some(load)) => Self { server, load },
            (Some(server), None) => Self { load: beside(&server), server },
            (None, Some(load)) => Self { server: beside(&load), load },
            (None, None) => {
                let (server, load) = allowed.split_at(allowed.len() / 2);
                let server = if server.is_empty() { load } else { server };
                Self { server: server.to_vec(), load: load.to_vec() }
            }
        })
    }

    /// What a reader has to know of them.
    pub fn warning(&self) -> Option<String> {
        let shared = self.server.iter().find(|core| self.load.contains(core))?;
        Some(format!(
            "servers and load share core {shared}: they take it from each other, and no figure says \
             what a server alone can do"
        ))
    }
}

/// What is to be said of servers that have cores of their own.
///
/// # Errors
///
/// When such a core may not be used; the text names the server.
pub fn check_own_cores(
    suite: &Suite,
    allowed: &[usize],
    load: &[usize],
) -> Result<Vec<String>, String> {
    let mut warnings = Vec::new();
    for server in &suite.servers {
        for core in server.cores.iter().flatten() {
            let name = &server.name;
            if !allowed.contains(core) {
                let allowed = core_list(allowed);
                return Err(format!(
                    "server `{name}`, cores: core {core} is not among those that may be used here \
                     ({allowed})"
                ));
            }
            if load.contains(core) {
                warnings.push(format!("{name} and the load share core {core}"));
            }
        }
    }
    Ok(warnings)
}

/// Raises the limit on open files, which servers inherit, as far as it goes without privilege, but not
/// to figures for which some programs make tables.
fn raise_open_files() -> io::Result<()> {
    const ENOUGH: u64 = 1 << 20;
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if current.is_some_and(|current| current < wanted) {
        setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_dealt_out() {
        let dealt = |allowed: &[usize], server: Option<&[usize]>, load: Option<&[usize]>| {
            let dealt = Cores::new(allowed, server.map(<[_]>::to_vec), load.map(<[_]>::to_vec));
            dealt.map(|cores| {
                let warnings = usize::from(cores.warning().is_some());
                (cores.server, cores.load, warnings)
            })
        };
        assert_eq!(dealt(&[0, 1], None, None), Ok((vec![0], vec![1], 0)));
        assert_eq!(dealt(&[0, 1, 2], None, None), Ok((vec![0], vec![1, 2], 0)));
        assert_eq!(dealt(&[3], None, None), Ok((vec![3], vec![3], 1)));
        assert_eq!(dealt(&[0, 1, 2], Some(&[1]), None), Ok((vec![1], vec![0, 2], 0)));
        assert_eq!(dealt(&[0, 1, 2], None, Some(&[0, 1])), Ok((vec![2], vec![0, 1], 0)));
        assert_eq!(dealt(&[0, 1], Some(&[0, 1]), None), Ok((vec![0, 1], vec![0, 1], 1)));
        assert_eq!(dealt(&[0, 1], Some(&[0]), Some(&[0])), Ok((vec![0], vec![0], 1)));
        let told = dealt(&[0, 1], Some(&[2]), None).expect_err("no such core");
        assert!(told.starts_with("--server-cores: core 2 is not"), "{told}");
    }
}
