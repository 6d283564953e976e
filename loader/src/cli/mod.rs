//! What the program does, by subcommand.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use clap::{Parser, Subcommand};
use ringload::flags::AFTER_HELP;
use ringload::report::{Judgement, RunReport, json, text::Judged};
use ringload::run::Stopper;
use ringload::{Flags, Format, verdict};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

mod load;
mod report;
mod search;

/// By convention a program that a signal ended exits with this plus the signal's number.
const SIGNALLED: i32 = 128;
/// A threshold was breached.
const BREACHED: u8 = 3;

/// Loads an HTTP/1.1 server from threads that have a core and a ring each, and reports as wrk
/// does.
///
/// Closed loop: a connection sends its next request when the last response is complete; a latency
/// runs from when the request was handed to the kernel to when its response was complete. With -R
/// an open loop: requests leave when they are due, and latencies run from then.
#[derive(Debug, Parser)]
#[command(
    name = "ringload",
    version,
    disable_version_flag = true,
    disable_help_subcommand = true,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    subcommand_value_name = "SUBCOMMAND",
    after_help = AFTER_HELP
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Option<Command>,

    #[command(flatten)]
    load: Option<Flags>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Find the highest rate at which a server meets an objective.
    Search(search::SearchFlags),
    /// Show a report that was written with --json again, or those of several load machines as one.
    Report(report::ReportFlags),
}

/// Runs the program.
pub(crate) fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match (cli.command, cli.load) {
        (Some(Command::Search(flags)), _) => search::run(flags),
        (Some(Command::Report(flags)), _) => report::run(&flags),
        (None, Some(flags)) => load::run(flags),
        // clap has seen to it that there is a URL.
        (None, None) => Ok(ExitCode::from(2)),
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
                    std::process::exit(SIGNALLED + signal);
                }
                stopper.stop();
            }
        })?;
        Ok(interrupt)
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
