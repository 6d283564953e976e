//! One run: a server is started, asked, warmed up, loaded and ended, whatever it does meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::{Runner, SuiteError, failed};
use crate::ab::arm::PORT;
use crate::ab::netns::Namespace;
use crate::ab::settings::{Applied, Outcome as SettingOutcome};
use crate::ab::tools::Captured;
use crate::observe::find_server;
use crate::run::unix_ms;
use crate::suite::ask::{Asked, Question};
use crate::suite::plan::{Planned, PlannedCell, micros};
use crate::suite::process::tree::descendants;
use crate::suite::process::{self, Launch, STOP_LIMIT, Server};
use crate::suite::results::{Outcome, Run, Usage};
use crate::suite::sample::Watch;
use crate::suite::spec::{Scenario, ServerSpec};

/// How often is looked whether something has ended. Rarely, for whoever looks needs a core.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What a load may take longer than it is to last: connections to open, answers to wait for.
const LOAD_SLACK: Duration = Duration::from_secs(60);
/// How long a load may take to tell what it has seen, once it is asked to end.
const REPORT_LIMIT: Duration = Duration::from_secs(10);

/// What a run has given, beside itself.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) run: Run,
    /// What a reader has to know.
    pub(super) warnings: Vec<String>,
}

/// How it went, before it is known what the server said last.
#[derive(Debug)]
enum Finding {
    Measured,
    NotStarted(String),
    Wrong(String),
    Silent(String),
    Crashed(String),
    LoadFailed(String),
}

/// A server at its place.
#[derive(Debug)]
struct Seat<'a> {
    spec: &'a ServerSpec,
    scenario: &'a Scenario,
    cell: &'a PlannedCell,
    namespace: Option<&'a Namespace>,
    url: String,
    address: SocketAddr,
}

/// What a load has left.
#[derive(Debug, Default)]
struct Loaded {
    report: Option<Value>,
    /// What it said where it failed.
    failure: Option<String>,
}

impl Loaded {
    fn number(&self, pointer: &str) -> u64 {
        let found = self.report.as_ref().and_then(|report| report.pointer(pointer)?.as_u64());
        found.unwrap_or_default()
    }

    fn requests(&self) -> u64 {
        self.number("/requests")
    }

    /// What it says of a server that answers as it should when the load, of this length, is over.
    fn finding(&self, duration: Duration) -> Finding {
        match &self.failure {
            _ if self.report.is_some() && self.requests() == 0 => {
                Finding::Silent(format!("no answer came in {duration:?} of load"))
            }
            Some(failure) => Finding::LoadFailed(failure.clone()),
            None => Finding::Measured,
        }
    }

    /// Errors of all kinds, but for answers that say so in their status.
    fn errors(&self) -> u64 {
        ["connect", "read", "write", "timeout"]
            .iter()
            .map(|kind| self.number(&format!("/errors/{kind}")))
            .sum()
    }
}

impl Runner<'_> {
    /// Makes a run.
    pub(super) fn once(&mut self, planned: Planned) -> Result<Done, SuiteError> {
        let started_unix_ms = unix_ms();
        let suite = self.suite;
        let (spec, cell) = (&suite.servers[planned.server], &self.plan.cells[planned.cell]);
        let cell = &cell.clone();
        let mut warnings = Vec::new();
        let namespace = self.namespace(&mut warnings)?;
        let port = match namespace {
            Some(_) => PORT,
            None => self.ports.next().map_err(failed("cannot find a free port"))?,
        };
        let seat = Seat {
            spec,
            scenario: &suite.scenarios[cell.scenario],
            cell,
            namespace: namespace.as_ref(),
            url: format!("http://127.0.0.1:{port}{}", suite.scenarios[cell.scenario].path),
            address: SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port),
        };
        let cores = spec.cores.as_ref().unwrap_or(&self.options.server_cores);
        let mut server = Server::start(&Launch {
            argv: &spec.argv(port, cores.len()),
            directory: &spec.directory,
            variables: &spec.variables(port, cores.len()),
            cores,
            namespace: namespace.as_ref(),
        })
        .map_err(failed("cannot start a server"))?;
        let mut usage = Usage::default();
        let mut loaded = Loaded::default();
        let finding = self.measure(&seat, &mut server, &mut usage, &mut loaded);
        let left = server.end().map_err(failed("cannot end a server"))?;
        let finding = finding?;
        if left.is_killed {
            warnings.push(format!(
                "{} did not end within {} s of SIGTERM and was killed",
                spec.name,
                STOP_LIMIT.as_secs()
            ));
        }
        if let Some(pids) = left.survivors {
            warnings.push(format!("processes of {} could not be ended: {pids}", spec.name));
        }
        let report = loaded.report.map(without_histograms);
        let run = Run {
            server: spec.name.clone(),
            cell: cell.told.name.clone(),
            repeat: planned.repeat,
            started_unix_ms,
            outcome: outcome(finding, &left.output),
            usage,
            report,
        };
        Ok(Done { run, warnings })
    }

    /// The network namespace of a run, if there is to be one, with its settings.
    fn namespace(&self, warnings: &mut Vec<String>) -> Result<Option<Namespace>, SuiteError> {
        let (Some(tools), Some(profile)) = (&self.tools, &self.suite.tuning) else {
            return Ok(None);
        };
        let namespace = Namespace::create(tools)?;
        let applied = crate::ab::apply(&namespace, &profile.settings).map_err(Box::new)?;
        warnings.extend(applied.iter().filter_map(|one| told_setting(&profile.name, one)));
        Ok(Some(namespace))
    }

    fn measure(
        &mut self,
        seat: &Seat<'_>,
        server: &mut Server,
        usage: &mut Usage,
        loaded: &mut Loaded,
    ) -> Result<Finding, SuiteError> {
        if let Some(finding) = self.wait_until_ready(seat, server)? {
            return Ok(finding);
        }
        let mut watch = Watch::idle(server.guard_pid());
        *usage = watch.usage().clone();
        if !seat.cell.warm_up.is_zero() {
            let warm = self.load(seat, server, seat.cell.warm_up, None)?;
            // What it was too short to see does not matter.
            if let Some(finding) = self.has_failed(seat, server, &warm)? {
                return Ok(finding);
            }
        }
        watch.begin(seat.cell.duration);
        *loaded = self.load(seat, server, seat.cell.duration, Some(&mut watch))?;
        *usage = watch.finish();
        let failed = self.has_failed(seat, server, loaded)?;
        Ok(failed.unwrap_or_else(|| loaded.finding(seat.cell.duration)))
    }

    /// Waits until a server answers as it should; why it is not measured, if it does not.
    fn wait_until_ready(
        &mut self,
        seat: &Seat<'_>,
        server: &mut Server,
    ) -> Result<Option<Finding>, SuiteError> {
        let asked = match self.ask(seat, server, seat.spec.ready_limit)? {
            Ok(asked) => asked,
            Err(ended) => return Ok(Some(Finding::NotStarted(ended))),
        };
        // In a namespace there is nobody else.
        let is_its_own = seat.namespace.is_some() || is_of(server, seat.address);
        Ok(match asked {
            Asked::NobodyListens { told } => Some(Finding::NotStarted(told)),
            _ if !is_its_own => Some(Finding::NotStarted(format!(
                "port {} is another program's",
                seat.address.port()
            ))),
            Asked::Right => None,
            Asked::Wrong { told } => Some(Finding::Wrong(told)),
            Asked::Silent { told } => Some(Finding::Silent(told)),
        })
    }

    /// Asks a server as the load will; `Err` with how it has ended, if it did meanwhile.
    fn ask(
        &mut self,
        seat: &Seat<'_>,
        server: &mut Server,
        ready_limit: Duration,
    ) -> Result<Result<Asked, String>, SuiteError> {
        let question = Question {
            load: seat.cell.load.clone(),
            url: seat.url.clone(),
            expect: seat.scenario.expect.clone(),
            ready_ms: ready_limit.as_millis() as u64,
            answer_ms: seat.scenario.answer_limit.as_millis() as u64,
        };
        let input = serde_json::to_vec(&question)
            .map_err(|error| failed("cannot ask a server")(error.into()))?;
        let mut command = process::load(seat.namespace, &self.options.load_cores)
            .map_err(failed("cannot find ringload itself"))?;
        command.args(["suite", "--ask"]);
        let mut child = Captured::start(&mut command, &input, true)
            .map_err(failed("cannot start ringload to ask a server"))?;
        loop {
            if child.has_ended().map_err(failed("cannot wait for ringload"))?.is_some() {
                break;
            }
            if let Some(how) = server.has_ended().map_err(failed("cannot watch a server"))? {
                return Ok(Err(format!("it ended: {how}")));
            }
            self.check_over()?;
            thread::sleep(LOOK_EVERY);
        }
        let left = child.end().map_err(failed("cannot end ringload"))?;
        let asked = serde_json::from_slice(&left.stdout);
        asked.map(Ok).map_err(|_| SuiteError::Ask { told: left.stderr })
    }

    /// Loads a server, and takes samples meanwhile where they are wanted.
    fn load(
        &mut self,
        seat: &Seat<'_>,
        server: &mut Server,
        duration: Duration,
        mut watch: Option<&mut Watch>,
    ) -> Result<Loaded, SuiteError> {
        let mut command = process::load(seat.namespace, &self.options.load_cores)
            .map_err(failed("cannot find ringload itself"))?;
        command.args(["--format", "json", "--no-progress", "--server-pid"]);
        command.arg(server.pid().to_string()).args(&seat.cell.load);
        command.args(["-d", &micros(duration), &seat.url]);
        let began = Instant::now();
        let mut load =
            Captured::start(&mut command, b"", true).map_err(failed("cannot start ringload"))?;
        let mut has_asked_at = None;
        while load.has_ended().map_err(failed("cannot wait for ringload"))?.is_none() {
            if let Some(watch) = &mut watch
                && watch.is_due()
            {
                watch.sample();
                self.second();
            }
            self.check_over()?;
            let has_ended = server.has_ended().map_err(failed("cannot watch a server"))?.is_some();
            if has_asked_at.is_none() && (has_ended || began.elapsed() > duration + LOAD_SLACK) {
                interrupt(&load);
                has_asked_at = Some(Instant::now());
            }
            if has_asked_at.is_some_and(|at| at.elapsed() > REPORT_LIMIT) {
                break;
            }
            thread::sleep(LOOK_EVERY);
        }
        let left = load.end().map_err(failed("cannot end ringload"))?;
        let report = serde_json::from_slice(&left.stdout).ok();
        let failure = match (left.status.success(), &report) {
            (true, Some(_)) => None,
            (true, None) => Some("ringload gave no report".to_owned()),
            (false, _) => Some(format!("ringload ended with {}: {}", left.status, left.stderr)),
        };
        Ok(Loaded { report, failure })
    }

    /// What is wrong with a server after a load; `None`: nothing.
    fn has_failed(
        &mut self,
        seat: &Seat<'_>,
        server: &mut Server,
        loaded: &Loaded,
    ) -> Result<Option<Finding>, SuiteError> {
        if let Some(how) = server.has_ended().map_err(failed("cannot watch a server"))? {
            return Ok(Some(Finding::Crashed(format!("it ended under load: {how}"))));
        }
        // One that answers no more cannot be told from one that is slow by what the load has seen.
        let asked = match self.ask(seat, server, seat.scenario.answer_limit)? {
            Ok(asked) => asked,
            Err(how) => return Ok(Some(Finding::Crashed(format!("after the load {how}")))),
        };
        let (answers, errors) = (loaded.requests(), loaded.errors());
        let before = format!("after {answers} answers and {errors} errors under load: ");
        Ok(match asked {
            Asked::Right => None,
            Asked::Silent { told } | Asked::NobodyListens { told } => {
                Some(Finding::Silent(before + &told))
            }
            Asked::Wrong { told } => Some(Finding::Wrong(before + &told)),
        })
    }

    fn check_over(&self) -> Result<(), SuiteError> {
        if (self.is_over)() { Err(SuiteError::Interrupted) } else { Ok(()) }
    }
}

/// Whether a listener is a server's, as far as can be seen: those of other users cannot.
fn is_of(server: &Server, address: SocketAddr) -> bool {
    let listeners = find_server(address);
    let own = descendants(server.guard_pid());
    listeners.is_empty() || listeners.iter().any(|pid| own.contains(pid))
}

/// Asks a load for what it has seen so far, as Ctrl-C does.
fn interrupt(load: &Captured) {
    // It may have ended meanwhile.
    if let Some(pid) = Pid::from_raw(load.pid().cast_signed()) {
        let _ = kill_process(pid, Signal::INT);
    }
}

/// They are most of a report's bytes, and no report of a suite needs them.
fn without_histograms(mut report: Value) -> Value {
    if let Some(members) = report.as_object_mut() {
        members.remove("histograms");
    }
    report
}

/// What a reader has to know of a setting that is not as its profile says.
fn told_setting(profile: &str, applied: &Applied) -> Option<String> {
    if applied.is_in_force() {
        return None;
    }
    let key = &applied.setting.key;
    let told = match applied.outcome {
        SettingOutcome::HostOnly => format!("{key} is one of the whole host and was left alone"),
        _ => applied.words(),
    };
    Some(format!("tuning {profile}: {told}"))
}

fn outcome(finding: Finding, output: &str) -> Outcome {
    let told = |what: String| match output {
        "" => what,
        output => format!("{what}; the last it said:\n{output}"),
    };
    match finding {
        Finding::Measured => Outcome::Measured,
        Finding::NotStarted(what) => Outcome::NotStarted { told: told(what) },
        Finding::Wrong(what) => Outcome::WrongAnswer { told: what },
        Finding::Silent(what) => Outcome::Hung { told: told(what) },
        Finding::Crashed(what) => Outcome::Crashed { told: told(what) },
        Finding::LoadFailed(what) => Outcome::LoadFailed { told: what },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_fails_has_the_last_word() {
        let found = outcome(Finding::Crashed("it ended".to_owned()), "out of memory");
        let told = "it ended; the last it said:\nout of memory".to_owned();
        assert_eq!(found, Outcome::Crashed { told });
        let found = outcome(Finding::NotStarted("it ended".to_owned()), "");
        assert_eq!(found, Outcome::NotStarted { told: "it ended".to_owned() });
        assert_eq!(outcome(Finding::Measured, "busy"), Outcome::Measured);
    }

    #[test]
    fn a_report_without_its_histograms() {
        let report = serde_json::json!({"requests": 5, "histograms": {"latency": "..."}});
        assert_eq!(without_histograms(report), serde_json::json!({"requests": 5}));
    }

    #[test]
    fn errors_are_those_of_connections() {
        let report = serde_json::json!({
            "requests": 5,
            "errors": {"connect": 1, "read": 2, "write": 3, "timeout": 4, "status": 50},
        });
        let loaded = Loaded { report: Some(report), failure: None };
        assert_eq!((loaded.requests(), loaded.errors()), (5, 10));
        assert_eq!(Loaded::default().requests(), 0);
    }

    #[test]
    fn what_a_load_says() {
        let finding = |requests: Option<u64>, failure: Option<&str>| {
            let report = requests.map(|requests| serde_json::json!({"requests": requests}));
            let loaded = Loaded { report, failure: failure.map(str::to_owned) };
            outcome(loaded.finding(Duration::from_secs(2)), "")
        };
        assert_eq!(finding(Some(5), None), Outcome::Measured);
        let told = "no answer came in 2s of load".to_owned();
        assert_eq!(finding(Some(0), Some("exit status: 1")), Outcome::Hung { told });
        for requests in [None, Some(5)] {
            let told = "exit status: 1".to_owned();
            let failed = Outcome::LoadFailed { told };
            assert_eq!(finding(requests, Some("exit status: 1")), failed);
        }
    }

    #[test]
    fn settings_that_are_not_in_force_are_told() {
        let applied = |outcome| Applied {
            setting: crate::ab::settings::Setting {
                key: "net.x".to_owned(),
                path: "net/x".to_owned(),
                value: "1".to_owned(),
            },
            before: None,
            now: None,
            outcome,
        };
        assert_eq!(told_setting("p", &applied(SettingOutcome::Applied)), None);
        let told = told_setting("p", &applied(SettingOutcome::HostOnly));
        let expected = "tuning p: net.x is one of the whole host and was left alone";
        assert_eq!(told.as_deref(), Some(expected));
        let refused = applied(SettingOutcome::Refused("not permitted".to_owned()));
        assert!(told_setting("p", &refused).is_some_and(|told| told.contains("not permitted")));
    }
}
