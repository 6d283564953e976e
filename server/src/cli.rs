//! The program around the server: arguments, the line that says it is ready, signals, exit codes.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use ringbench_engine::EngineError;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::{Config, Flags, Running, Summary, start};

/// Runs ringserve with the arguments of the process. Exit codes: 0 after a clean stop, 1 for a
/// failure at run time, 2 for bad arguments.
pub fn run() -> ExitCode {
    // Ends the process with code 2, or 0 for --help and --version.
    let flags = Flags::parse();
    let config = match Config::from_flags(&flags) {
        Ok(config) => config,
        Err(error) => Flags::command().error(clap::error::ErrorKind::ValueValidation, error).exit(),
    };
    match serve(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on stderr, whose reader may be gone: that must not keep a drain from its end, so that it
/// is no error here, where `eprintln!` would panic.
fn tell(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "ringserve: {message}");
}

/// What the main thread waits for.
enum Event {
    Signal,
    Ended(Result<Summary, EngineError>),
}

fn serve(config: &Config) -> anyhow::Result<()> {
    // Before the server is up, so that a signal never finds the default action.
    let mut signals = Signals::new([SIGTERM, SIGINT]).context("cannot catch signals")?;
    let running = start(config)?;
    if let Some(why) = &running.report().fallback {
        tell(format_args!("using epoll: {why}"));
    }
    announce(&running, config.engine.shards).context("cannot write to stdout")?;

    let controls = running.controls();
    let drain = || controls.iter().for_each(|control| control.drain());
    let stop = || controls.iter().for_each(|control| control.stop());
    let (sender, events) = mpsc::channel();
    let ended = sender.clone();
    thread::spawn(move || {
        // The receiver is gone only when the process is about to end.
        let _ = ended.send(Event::Ended(running.join()));
    });
    thread::spawn(move || {
        for _ in signals.forever() {
            if sender.send(Event::Signal).is_err() {
                break;
            }
        }
    });
    let summary = supervise(&events, config.drain_timeout, drain, stop)?;
    tell(format_args!("{}", describe(&summary)));
    Ok(())
}

/// Waits for the end: the first signal drains, the second or a drain that takes too long stops.
fn supervise(
    events: &Receiver<Event>,
    drain_timeout: Duration,
    drain: impl Fn(),
    stop: impl Fn(),
) -> anyhow::Result<Summary> {
    let mut give_up: Option<Instant> = None;
    let mut stopping = false;
    loop {
        let event = match give_up {
            Some(at) if !stopping => {
                events.recv_timeout(at.saturating_duration_since(Instant::now()))
            }
            _ => events.recv().map_err(RecvTimeoutError::from),
        };
        match event {
            Ok(Event::Ended(outcome)) => return Ok(outcome?),
            Ok(Event::Signal) if give_up.is_none() => {
                give_up = Some(Instant::now() + drain_timeout);
                drain();
                tell(format_args!("finishing what was received; a second signal stops at once"));
            }
            Ok(Event::Signal) => {
                stopping = true;
                stop();
            }
            Err(RecvTimeoutError::Timeout) => {
                stopping = true;
                stop();
                tell(format_args!("not done within --drain-timeout; dropping what is left"));
            }
            Err(RecvTimeoutError::Disconnected) => {
                anyhow::bail!("the shards ended without a result; this is a defect")
            }
        }
    }
}

/// The one thing on stdout: scripts wait for it.
fn announce(running: &Running, shards: usize) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    let engine = running.report().engine;
    let plural = if shards == 1 { "" } else { "s" };
    for address in running.addresses() {
        writeln!(
            stdout,
            "ringserve: listening on http://{address} ({shards} shard{plural}, {engine})"
        )?;
    }
    stdout.flush()
}

fn describe(summary: &Summary) -> String {
    let (counts, engine) = (&summary.counts, &summary.engine);
    let served = format!(
        "stopped after {} requests on {} connections ({} refused, {} timed out)",
        counts.requests,
        engine.accepts,
        counts.refused,
        counts.timed_out(),
    );
    if counts.requests == 0 {
        return served;
    }
    let per_request = |count: u64| count as f64 / counts.requests as f64;
    let (syscalls, cpu_us) = (per_request(engine.enters), per_request(engine.cpu_ns) / 1_000.0);
    format!("{served}, {syscalls:.3} syscalls and {cpu_us:.2} us of CPU per request")
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::mpsc::Sender;

    use super::*;

    /// Sends `events` as they are called for, and ends when stopped.
    fn supervised(signals: usize, drain_timeout: Duration, ends_on_drain: bool) -> (u32, u32) {
        let (sender, events): (Sender<Event>, _) = mpsc::channel();
        let (drains, stops) = (Cell::new(0), Cell::new(0));
        for _ in 0..signals {
            sender.send(Event::Signal).unwrap();
        }
        let end = || sender.send(Event::Ended(Ok(Summary::default()))).unwrap();
        let drain = || {
            drains.set(drains.get() + 1);
            if ends_on_drain {
                end();
            }
        };
        let stop = || {
            stops.set(stops.get() + 1);
            end();
        };
        supervise(&events, drain_timeout, drain, stop).unwrap();
        (drains.get(), stops.get())
    }

    #[test]
    fn the_first_signal_drains_and_the_second_stops() {
        const LONG: Duration = Duration::from_secs(3600);
        assert_eq!(supervised(1, LONG, true), (1, 0));
        assert_eq!(supervised(2, LONG, false), (1, 1));
        assert_eq!(supervised(1, Duration::ZERO, false), (1, 1));
    }

    #[test]
    fn a_failed_shard_is_a_failure() {
        let (sender, events) = mpsc::channel();
        sender.send(Event::Ended(Err(EngineError::Panicked { shard: 3 }))).unwrap();
        let error = supervise(&events, Duration::ZERO, || (), || ()).unwrap_err();
        assert!(error.to_string().starts_with("shard 3 panicked"));
        drop(sender);
        assert!(supervise(&events, Duration::ZERO, || (), || ()).is_err());
    }

    #[test]
    fn the_summary_divides_by_requests() {
        let mut summary = Summary::default();
        assert!(!describe(&summary).contains("per request"));
        summary.counts.requests = 4;
        summary.engine.enters = 1;
        summary.engine.cpu_ns = 10_000;
        assert!(describe(&summary).contains("4 requests on 0 connections"));
        assert!(describe(&summary).contains("0.250 syscalls and 2.50 us"));
    }
}
