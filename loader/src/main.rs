//! The program: flags in, report out.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use clap::Parser;
use ringload::progress::Progress;
use ringload::report::{RunReport, json, text::Text};
use ringload::run::{Outcome, Prepared, Stopper};
use ringload::{Config, Flags, Format};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// By convention a program that a signal ended exits with this plus the signal's number.
const SIGNALLED: i32 = 128;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let format = flags.output.format;
    let config = flags.config().unwrap_or_else(|error| error.exit());
    match load(&config, format) {
        Ok(code) => code,
        Err(error) => {
            say(error);
            ExitCode::FAILURE
        }
    }
}

/// Does the run and prints its report.
fn load(config: &Config, format: Format) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let prepared = Prepared::new(config)?;
    for warning in prepared.warnings() {
        say(format_args!("warning: {warning}"));
    }
    let run = prepared.start()?;
    let signal = stop_on_signal(run.stopper())?;
    let mut progress = Progress::new(config, format);
    let Outcome { report, failure } = run.finish(|news| progress.show(&news))?;
    drop(progress);
    print(&report, format)?;
    if let Some(failure) = &failure {
        say(failure);
    }
    Ok(match (signal.load(Ordering::Relaxed), failure) {
        (0, None) => ExitCode::SUCCESS,
        (0, Some(_)) => ExitCode::FAILURE,
        (signal, _) => ExitCode::from((SIGNALLED + signal) as u8),
    })
}

/// Says something on stderr. Whoever closed that does not want to know.
fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "ringload: {what}");
}

/// Ends the run at SIGINT or SIGTERM, and the program at the second one. The signal's number is
/// in what is returned, 0 if there was none.
fn stop_on_signal(stopper: Stopper) -> io::Result<Arc<AtomicI32>> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let caught = Arc::new(AtomicI32::new(0));
    let first = Arc::clone(&caught);
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if first.swap(signal, Ordering::Relaxed) != 0 {
                std::process::exit(SIGNALLED + signal);
            }
            stopper.stop();
        }
    })?;
    Ok(caught)
}

fn print(report: &RunReport, format: Format) -> io::Result<()> {
    let text = match format {
        Format::Text => Text(report).to_string(),
        Format::Json => json::render(report)?,
    };
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        // Whoever closed the pipe has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => outcome,
    }
}
