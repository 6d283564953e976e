//! A process between ringload and a server, which sees to it that nothing of the server is left,
//! however ringload ends.
//!
//! It starts the server and waits for its own input to end, which it does when ringload is gone, even
//! by SIGKILL. Then it kills the server and all below it: as a *subreaper* it becomes the parent of
//! whatever loses its own, so that a server that has gone into the background, and workers that
//! outlive their master, are still among its descendants. That takes no rights. Should the guard
//! itself be killed, the server's first process is killed by the kernel (`PR_SET_PDEATHSIG`), and
//! ringload ends the rest.
//!
//! What it says on stdout, a line each: `pid N` when the server was started, `ended HOW` when its
//! first process has ended, `killed` when not all of it ended on SIGTERM, `left N N` if something
//! could not be killed. On stdin it takes `end`: SIGTERM first, and some time.

use std::ffi::OsString;
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt as _, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use ringbench_engine::CoreList;
use rustix::process::{Signal, WaitOptions, getpid, set_child_subreaper, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::tree::{descendants, signal_all};
use super::{END, ENDED, GONE_LIMIT, KILLED, LEFT, PID, STOP_LIMIT};
use crate::ab::tools::core_list;

/// How often is looked again for what was started since.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a guard waits for.
enum News {
    /// A child may have ended.
    Child,
    /// The server is to be ended in order.
    End,
    /// Nobody is there any more who could want it.
    Abandoned,
}

/// The process: starts the server and ends it.
///
/// # Errors
///
/// When the server cannot be started or waited for.
pub fn guard(cores: &CoreList, command: &[OsString]) -> io::Result<ExitCode> {
    set_child_subreaper(Some(getpid()))?;
    // So that nobody who ends all of ringload by its name ends this before it has done its work.
    rustix::thread::set_name(c"suite-guard")?;
    let news = listen()?;
    let server = start(cores, command)?;
    say(format_args!("{PID} {server}"));
    let is_asked = loop {
        match news.recv() {
            Ok(News::Child) => {
                reap(server);
            }
            Ok(News::End) => break true,
            Ok(News::Abandoned) | Err(_) => break false,
        }
    };
    let left = end_all(server, is_asked, &news);
    if left.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let left: Vec<String> = left.iter().map(ToString::to_string).collect();
    say(format_args!("{LEFT} {}", left.join(" ")));
    Ok(ExitCode::FAILURE)
}

/// Says something to ringload, which may be gone.
fn say(what: std::fmt::Arguments<'_>) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{what}").and_then(|()| stdout.flush());
}

/// Hears of children, wishes and the end of ringload.
fn listen() -> io::Result<Receiver<News>> {
    let (sender, news) = channel();
    let mut signals = Signals::new([SIGCHLD, SIGTERM, SIGINT, SIGHUP])?;
    let of_signals = sender.clone();
    thread::Builder::new().name("guard-signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            let news = if signal == SIGCHLD { News::Child } else { News::Abandoned };
            if of_signals.send(news).is_err() {
                break;
            }
        }
    })?;
    thread::Builder::new().name("guard-input".to_owned()).spawn(move || read_wishes(&sender))?;
    Ok(news)
}

fn read_wishes(sender: &Sender<News>) {
    let wishes = io::stdin().lock().lines().map_while(Result::ok);
    for wish in wishes {
        if wish == END && sender.send(News::End).is_err() {
            return;
        }
    }
    // The other end was closed, in order or not. Nobody listens when all is done.
    let _ = sender.send(News::Abandoned);
}

/// Starts the server in a process group of its own, its output where the guard's errors go.
fn start(cores: &CoreList, command: &[OsString]) -> io::Result<u32> {
    let output = io::stderr().as_fd().try_clone_to_owned()?;
    let mut server = Command::new(std::env::current_exe()?);
    server.args(["suite", "--become", &std::process::id().to_string()]);
    server.args(["--pin", &core_list(&cores.0), "--"]).args(command);
    server.stdin(Stdio::null()).stdout(Stdio::from(output)).process_group(0);
    // It is waited for with all that it leaves behind.
    let child = server.spawn()?;
    Ok(child.id())
}

/// Takes in children that have ended; whether there are any left.
fn reap(server: u32) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if pid.as_raw_nonzero().get().cast_unsigned() == server {
                    say(format_args!("{ENDED} {}", ExitStatus::from_raw(status.as_raw())));
                }
            }
            Ok(None) => return true,
            // ECHILD: all are gone.
            Err(_) => return false,
        }
    }
}

/// Ends all that is below this process; what could not be ended.
fn end_all(server: u32, is_asked: bool, news: &Receiver<News>) -> Vec<u32> {
    let own = std::process::id();
    if is_asked {
        signal_all(&descendants(own), Signal::TERM);
        let until = Instant::now() + STOP_LIMIT;
        while reap(server) && Instant::now() < until {
            match news.recv_timeout(until.saturating_duration_since(Instant::now())) {
                // Nobody waits for it any more.
                Ok(News::Abandoned) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(News::Child | News::End) | Err(RecvTimeoutError::Timeout) => {}
            }
        }
        if reap(server) {
            say(format_args!("{KILLED}"));
        }
    }
    let until = Instant::now() + GONE_LIMIT;
    while reap(server) {
        if Instant::now() > until {
            return descendants(own);
        }
        signal_all(&descendants(own), Signal::KILL);
        // A signal comes for children; what lay below them becomes a child when they are gone.
        let _ = news.recv_timeout(LOOK_EVERY);
    }
    Vec::new()
}
