//! What the program does, by subcommand.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use clap::{CommandFactory, FromArgMatches, Subcommand};
use ringload::report::{Judgement, RunReport, json, text::Judged};
use ringload::run::Stopper;
use ringload::{Flags, Format, tui, verdict};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

mod ab;
mod load;
mod report;
mod search;
mod suite;

/// By convention a program that a signal ended exits with this plus the signal's number.
const SIGNALLED: i32 = 128;
/// A threshold was breached.
const BREACHED: u8 = 3;

/// What else there is to do than a run.
#[derive(Debug, Subcommand)]
enum Command {
    /// Find the highest rate at which a server meets an objective.
    Search(Box<search::SearchFlags>),
    /// Compare two arms, which differ in tuning, server or load, and say what can be said of them.
    Ab(Box<ab::AbFlags>),
    /// Measure the servers of a suite file in its scenarios, and write a report.
    Suite(Box<suite::SuiteFlags>),
    /// Show a report that was written with --json again, or those of several load machines as one.
    #[command(disable_version_flag = true)]
    Report(report::ReportFlags),
}

/// The program's arguments: those of a run, or a subcommand with its own.
fn command() -> clap::Command {
    Command::augment_subcommands(Flags::command())
        .propagate_version(true)
        .disable_help_subcommand(true)
        .args_conflicts_with_subcommands(true)
        .subcommand_negates_reqs(true)
        .subcommand_required(false)
        .subcommand_value_name("SUBCOMMAND")
}

/// The same with the hidden flag that makes documents of it.
fn command_with_generate() -> clap::Command {
    command().arg(ringbench_flags::flag())
}

/// Runs the program.
pub(crate) fn run() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let matches = command_with_generate().get_matches();
    if let Some(what) = ringbench_flags::asked(&matches) {
        ringbench_flags::generate(what, &mut command(), &mut io::stdout().lock())?;
        return Ok(ExitCode::SUCCESS);
    }
    if matches.subcommand().is_none() {
        return load::run(Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()));
    }
    match Command::from_arg_matches(&matches).unwrap_or_else(|error| error.exit()) {
        Command::Search(flags) => search::run(*flags),
        Command::Ab(flags) => ab::run(&flags),
        Command::Suite(flags) => suite::run(&flags),
        Command::Report(flags) => report::run(&flags),
    }
}

/// Says something on stderr. Whoever closed that does not want to know.
pub(crate) fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "ringload: {what}");
}

/// Ends the run at SIGINT or SIGTERM, and the program at the second one.
#[derive(Debug)]
struct Interrupt {
    stopper: Stopper,
    /// The signal's number, 0 if there was none.
    signal: Arc<AtomicI32>,
}

impl Interrupt {
    /// From here on.
    fn watch() -> io::Result<Self> {
        let interrupt = Self { stopper: Stopper::default(), signal: Arc::default() };
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let (stopper, first) = (interrupt.stopper.clone(), Arc::clone(&interrupt.signal));
        thread::Builder::new().name("signals".to_owned()).spawn(move || {
            for signal in signals.forever() {
                if first.swap(signal, Ordering::Relaxed) != 0 {
                    tui::restore();
                    std::process::exit(SIGNALLED + signal);
                }
                stopper.stop();
            }
        })?;
        Ok(interrupt)
    }

    /// What Ctrl-C does where the terminal does not make a signal of it.
    fn interrupt(&self) {
        let _ = self.signal.compare_exchange(0, SIGINT, Ordering::Relaxed, Ordering::Relaxed);
        self.stopper.stop();
    }

    /// The exit code of a program that was interrupted, if it was.
    fn exit_code(&self) -> Option<ExitCode> {
        let signal = self.signal.load(Ordering::Relaxed);
        (signal != 0).then(|| ExitCode::from((SIGNALLED + signal) as u8))
    }
}

/// The verdict on a run, as writers want it.
fn judge(report: &RunReport) -> Judgement {
    let verdict::Verdict { limit, sure, line, evidence } = verdict::of(report);
    let object = serde_json::json!({
        "limit": limit.name(), "sure": sure, "line": line, "evidence": evidence,
    });
    Judgement { line, object }
}

fn print_report(report: &RunReport, judgement: &Judgement, format: Format) -> io::Result<()> {
    print(&match format {
        Format::Text => Judged { report, judgement: Some(judgement) }.to_string(),
        Format::Json => json::render_judged(report, Some(judgement))?,
    })
}

fn print(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clap_finds_no_fault_with_the_commands() {
        command_with_generate().debug_assert();
        assert_eq!(ringbench_flags::undocumented(&command()).unwrap(), [""; 0]);
    }
}
