//! The program around the server: arguments, the line that says it is ready, signals, exit codes.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::{CommandFactory, FromArgMatches};
use ringbench_engine::EngineError;
use sd_notify::NotifyState;
use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::{
    Config, Flags, Listeners, LogCounts, Running, Summary, engine_table, start_on, successor,
};

/// Runs ringserve with the arguments of the process. Exit codes: 0 after a clean stop, 1 for a
/// failure at run time, 2 for bad arguments.
pub fn run() -> ExitCode {
    // Ends the process with code 2, or 0 for --help and --version.
    let matches = Flags::command().arg(ringbench_flags::flag()).get_matches();
    if let Some(what) = ringbench_flags::asked(&matches) {
        let mut stdout = io::stdout().lock();
        return exit_code(&ringbench_flags::generate(what, &mut Flags::command(), &mut stdout));
    }
    let flags = Flags::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let config = match Config::from_flags(&flags) {
        Ok(config) => config,
        Err(error) => Flags::command().error(clap::error::ErrorKind::ValueValidation, error).exit(),
    };
    exit_code(&if flags.print_engine { engine_table::print(&config) } else { serve(&config) })
}

fn exit_code<E: fmt::Display>(outcome: &Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(format_args!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// A line on stderr, whose reader may be gone: that must not keep a drain from its end, so that it
/// is no error here, where `eprintln!` would panic.
pub(crate) fn tell(message: fmt::Arguments<'_>) {
    let _ = writeln!(io::stderr(), "ringserve: {message}");
}

/// What the main thread waits for.
#[allow(clippy::large_enum_variant, reason = "there are a few in the life of a process")]
enum Event {
    /// SIGTERM or SIGINT.
    End,
    /// SIGUSR2.
    Succeed,
    Ended(Result<Summary, EngineError>),
}

fn serve(config: &Config) -> anyhow::Result<()> {
    // Before the server is up, so that a signal never finds the default action.
    let mut signals =
        Signals::new([SIGTERM, SIGINT, SIGUSR1, SIGUSR2]).context("cannot catch signals")?;
    let inherited = Listeners::inherited(config.engine.shards)
        .context("the sockets handed over by LISTEN_FDS cannot be used")?;
    let listeners = match inherited {
        Some(listeners) => listeners.configured(config)?,
        None => Listeners::open(config)?,
    };
    let duplicates = listeners.duplicates().context("cannot duplicate the listening sockets")?;
    let running = start_on(config, listeners)?;
    if let Some(why) = &running.report().fallback {
        tell(format_args!("using epoll: {why}"));
    }
    if let Some(address) = running.admin_address() {
        tell(format_args!("metrics on http://{address}/metrics"));
    }
    announce(&running, config.engine.shards).context("cannot write to stdout")?;
    notify(&[NotifyState::Ready]);

    let (stopper, log) = (running.stopper(), running.access_log());
    let (sender, events) = mpsc::channel();
    let ended = sender.clone();
    thread::spawn(move || {
        // The receiver is gone only when the process is about to end.
        let _ = ended.send(Event::Ended(running.join()));
    });
    thread::spawn(move || {
        for signal in signals.forever() {
            let event = match signal {
                SIGUSR1 => {
                    if let Some(log) = &log {
                        log.reopen();
                    }
                    continue;
                }
                SIGUSR2 => Event::Succeed,
                _ => Event::End,
            };
            if sender.send(event).is_err() {
                break;
            }
        }
    });
    let mut handover = Handover { duplicates };
    let summary = supervise(&events, config.drain_timeout, |order| match order {
        Order::Succeed => handover.start_successor(),
        Order::Drain => {
            handover.duplicates.clear();
            stopper.drain();
            notify(&[NotifyState::Stopping]);
        }
        Order::Stop => stopper.stop(),
    })?;
    tell(format_args!("{}", describe(&summary)));
    Ok(())
}

/// Tells the service manager, if there is one.
fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tell(format_args!("NOTIFY_SOCKET: {error}"));
    }
}

/// What a successor gets: gone when this process drains, as a socket listens as long as one
/// descriptor of it is open.
struct Handover {
    duplicates: Vec<TcpListener>,
}

impl Handover {
    fn start_successor(&mut self) {
        match successor::start(&self.duplicates) {
            Ok(mut child) => {
                let pid = child.id();
                tell(format_args!("process {pid} takes over; end this one when it is ready"));
                // It is ours to wait for. This process goes on whatever becomes of it.
                thread::spawn(move || {
                    if let Ok(status) = child.wait() {
                        tell(format_args!("the successor, process {pid}, ended: {status}"));
                    }
                });
            }
            Err(error) => tell(format_args!("cannot start a successor: {error}")),
        }
    }
}

/// What the shards, or a successor, are to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Drain,
    Stop,
    Succeed,
}

/// Waits for the end: the first signal drains, the second or a drain that takes too long stops.
fn supervise(
    events: &Receiver<Event>,
    drain_timeout: Duration,
    mut order: impl FnMut(Order),
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
            Ok(Event::Succeed) if give_up.is_none() => order(Order::Succeed),
            Ok(Event::Succeed) => tell(format_args!("too late for a successor: this is the end")),
            Ok(Event::End) if give_up.is_none() => {
                give_up = Some(Instant::now() + drain_timeout);
                order(Order::Drain);
                tell(format_args!("finishing what was received; a second signal stops at once"));
            }
            Ok(Event::End) => {
                stopping = true;
                order(Order::Stop);
            }
            Err(RecvTimeoutError::Timeout) => {
                stopping = true;
                order(Order::Stop);
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
    let mut served = format!(
        "stopped after {} requests on {} connections ({} refused, {} timed out)",
        counts.requests,
        engine.accepts,
        counts.refused,
        counts.timed_out(),
    );
    if let Some(log) = &summary.access_log {
        let LogCounts { written, dropped, failed } = log;
        let _ = write!(served, ", {written} lines logged ({dropped} dropped, {failed} failed)");
    }
    if counts.requests == 0 {
        return served;
    }
    let per_request = |count: u64| count as f64 / counts.requests as f64;
    let (syscalls, cpu_us) = (per_request(engine.enters), per_request(engine.cpu_ns) / 1_000.0);
    format!("{served}, {syscalls:.3} syscalls and {cpu_us:.2} us of CPU per request")
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use super::*;

    /// What is ordered when `signals` come, and whether a drain succeeds by itself.
    fn supervised(signals: Vec<Event>, drain_timeout: Duration, ends_on_drain: bool) -> Vec<Order> {
        let (sender, events): (Sender<Event>, _) = mpsc::channel();
        let mut orders = Vec::new();
        signals.into_iter().for_each(|signal| sender.send(signal).unwrap());
        supervise(&events, drain_timeout, |order| {
            orders.push(order);
            if order == Order::Stop || (order == Order::Drain && ends_on_drain) {
                sender.send(Event::Ended(Ok(Summary::default()))).unwrap();
            }
        })
        .unwrap();
        orders
    }

    #[test]
    fn the_first_signal_drains_and_the_second_stops() {
        use Order::{Drain, Stop, Succeed};
        const LONG: Duration = Duration::from_secs(3600);
        assert_eq!(supervised(vec![Event::End], LONG, true), [Drain]);
        assert_eq!(supervised(vec![Event::End, Event::End], LONG, false), [Drain, Stop]);
        assert_eq!(supervised(vec![Event::End], Duration::ZERO, false), [Drain, Stop]);
        let events = vec![Event::Succeed, Event::End, Event::Succeed];
        assert_eq!(supervised(events, Duration::ZERO, false)[..2], [Succeed, Drain]);
    }

    #[test]
    fn a_failed_shard_is_a_failure() {
        let (sender, events) = mpsc::channel();
        sender.send(Event::Ended(Err(EngineError::Panicked { shard: 3 }))).unwrap();
        let error = supervise(&events, Duration::ZERO, |_| ()).unwrap_err();
        assert!(error.to_string().starts_with("shard 3 panicked"));
        drop(sender);
        assert!(supervise(&events, Duration::ZERO, |_| ()).is_err());
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
        assert!(!describe(&summary).contains("logged"));
        summary.access_log = Some(LogCounts { written: 5, dropped: 6, failed: 7 });
        assert!(describe(&summary).contains(", 5 lines logged (6 dropped, 7 failed), 0.250 sys"));
    }
}
