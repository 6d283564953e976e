//! Processes of a suite: servers with all that they start, and loads, each on its cores.
//!
//! | module | what it does |
//! |---|---|
//! | [`guard`](mod@guard) | stands between ringload and a server, and leaves nothing of it behind |
//! | [`exec`] | becomes a program, on its cores |
//! | [`tree`] | finds what is below a process |

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, waitpid};

use crate::ab::netns::Namespace;
use crate::ab::tools::{core_list, read_on};

pub mod exec;
pub mod guard;
pub mod tree;

pub use exec::become_program;
pub use guard::guard;

use tree::{descendants, signal_all};

// The words between ringload and a guard.
const PID: &str = "pid";
const ENDED: &str = "ended";
const KILLED: &str = "killed";
const LEFT: &str = "left";
const END: &str = "end";

/// How long a server may take to end when it is asked to; then it is killed.
pub(super) const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How long processes may take to be gone after they were killed: a large one frees its memory.
const GONE_LIMIT: Duration = Duration::from_secs(10);
/// How long a guard may take to start and to end, beside what it waits for.
const GUARD_SLACK: Duration = Duration::from_secs(10);
/// So much of what a server says is kept: the last of it tells why it failed.
const OUTPUT_KEPT_BYTES: usize = 4 << 10;

/// This program once more, to be given its arguments; inside a namespace if there is one.
fn own(namespace: Option<&Namespace>) -> io::Result<Command> {
    let program = std::env::current_exe()?;
    Ok(match namespace {
        None => Command::new(program),
        Some(namespace) => {
            let mut command = namespace.enter();
            command.arg(program);
            command
        }
    })
}

/// This program once more, on these cores, to be given its arguments. It is killed when the thread
/// ends that starts it.
pub(super) fn load(namespace: Option<&Namespace>, cores: &[usize]) -> io::Result<Command> {
    let mut command = own(namespace)?;
    command.args(["suite", "--become", &std::process::id().to_string()]);
    command.args(["--pin", &core_list(cores), "--"]).arg(std::env::current_exe()?);
    Ok(command)
}

/// How a server is started.
#[derive(Debug)]
pub(super) struct Launch<'a> {
    pub(super) argv: &'a [String],
    pub(super) directory: &'a Path,
    pub(super) variables: &'a [(String, String)],
    pub(super) cores: &'a [usize],
    pub(super) namespace: Option<&'a Namespace>,
}

/// A server that runs, behind its guard. Dropped, all of it is killed.
#[derive(Debug)]
pub(super) struct Server {
    guard: Child,
    /// Closed, it makes the guard kill the server.
    input: Option<ChildStdin>,
    words: Receiver<String>,
    output: Option<JoinHandle<Vec<u8>>>,
    pid: u32,
    /// Whether it lies in a network namespace, whose end is the end of all that is in it.
    is_inside: bool,
    /// How its first process has ended, if it has.
    ended: Option<String>,
    is_killed: bool,
    left: Option<String>,
}

/// What a server leaves.
#[derive(Debug)]
pub(super) struct Left {
    /// The last that it said.
    pub(super) output: String,
    /// Whether something of it had to be killed.
    pub(super) is_killed: bool,
    /// Processes that could not be ended.
    pub(super) survivors: Option<String>,
}

impl Server {
    /// Starts a server. That it listens is another matter.
    pub(super) fn start(launch: &Launch<'_>) -> io::Result<Self> {
        let mut command = own(launch.namespace)?;
        command.args(["suite", "--guard", "--pin", &core_list(launch.cores), "--"]);
        command.args(launch.argv).current_dir(launch.directory);
        command.envs(launch.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C on the terminal reaches ringload alone, which then ends all in order.
        let mut guard = command.process_group(0).spawn()?;
        let (input, stdout) = (guard.stdin.take(), guard.stdout.take());
        let output = guard.stderr.take().map(|pipe| read_on(pipe, OUTPUT_KEPT_BYTES));
        let (sender, words) = channel();
        thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|pipe| BufReader::new(pipe).lines());
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut server = Self {
            guard,
            input,
            words,
            output,
            pid: 0,
            is_inside: launch.namespace.is_some(),
            ended: None,
            is_killed: false,
            left: None,
        };
        let word = server.words.recv_timeout(GUARD_SLACK).ok();
        let pid = word.as_deref().and_then(|word| word.strip_prefix(PID)?.trim().parse().ok());
        let Some(pid) = pid else {
            let told = server.end()?.output;
            return Err(io::Error::other(format!("the server's guard did not start: {told}")));
        };
        server.pid = pid;
        Ok(server)
    }

    /// Its first process.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// The process below which all of the server is.
    pub(super) fn guard_pid(&self) -> u32 {
        self.guard.id()
    }

    /// How its first process has ended, if it has. One that goes into the background by itself counts
    /// as ended.
    pub(super) fn has_ended(&mut self) -> io::Result<Option<&str>> {
        self.listen();
        if self.ended.is_none() && self.guard.try_wait()?.is_some() {
            // It may have had a last word.
            self.listen_to_the_end();
            self.ended.get_or_insert_with(|| "unknown, as its guard was killed".to_owned());
        }
        Ok(self.ended.as_deref())
    }

    fn listen(&mut self) {
        while let Ok(word) = self.words.try_recv() {
            self.take(&word);
        }
    }

    /// Whatever is still to come of a guard that ends.
    fn listen_to_the_end(&mut self) {
        while let Ok(word) = self.words.recv_timeout(GUARD_SLACK) {
            self.take(&word);
        }
    }

    fn take(&mut self, word: &str) {
        match word.split_once(' ').unwrap_or((word, "")) {
            (ENDED, how) => self.ended = Some(how.to_owned()),
            (LEFT, pids) => self.left = Some(pids.to_owned()),
            (KILLED, _) => self.is_killed = true,
            _ => {}
        }
    }

    /// Asks the server to end, and ends all of it.
    pub(super) fn end(mut self) -> io::Result<Left> {
        if let Some(mut input) = self.input.take() {
            // A guard that is gone has nobody to end any more.
            let _ = writeln!(input, "{END}");
            // The guard waits for the end of its input until the server has ended.
            let ended = self.wait(STOP_LIMIT + GONE_LIMIT + GUARD_SLACK)?;
            drop(input);
            self.clear(ended)?;
        }
        self.listen_to_the_end();
        let output = match (&self.left, self.output.take()) {
            // What is left keeps the pipe open.
            (None, Some(reader)) => reader.join().unwrap_or_default(),
            _ => Vec::new(),
        };
        let output = String::from_utf8_lossy(&output).trim().to_owned();
        Ok(Left { output, is_killed: self.is_killed, survivors: self.left.take() })
    }

    /// Waits until the guard has ended: it has nothing left to guard, then.
    fn wait(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        const LOOK_EVERY: Duration = Duration::from_millis(2);
        let until = Instant::now() + limit;
        loop {
            if let Some(status) = self.guard.try_wait()? {
                return Ok(Some(status));
            }
            if Instant::now() > until {
                return Ok(None);
            }
            // Its words end when it does.
            match self.words.recv_timeout(Duration::from_millis(100)) {
                Ok(word) => self.take(&word),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => thread::sleep(LOOK_EVERY),
            }
        }
    }

    /// Does the guard's work where it was killed, or does not do it.
    fn clear(&mut self, ended: Option<ExitStatus>) -> io::Result<()> {
        if ended.is_some_and(|status| status.code().is_some()) {
            return Ok(());
        }
        self.guard.kill()?;
        self.guard.wait()?;
        if self.is_inside {
            return Ok(());
        }
        let mut orphans = strays();
        let until = Instant::now() + GONE_LIMIT;
        while !orphans.is_empty() && Instant::now() < until {
            signal_all(&orphans, Signal::KILL);
            thread::sleep(Duration::from_millis(5));
            orphans = strays();
        }
        let left: Vec<String> = orphans.iter().map(ToString::to_string).collect();
        self.left = (!left.is_empty()).then(|| left.join(" "));
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Without a word before it, this means: kill. Nobody is left to be told how that went.
        self.input = None;
        if let Ok(ended) = self.wait(GONE_LIMIT + GUARD_SLACK) {
            let _ = self.clear(ended);
        }
    }
}

/// Processes that a server whose guard was killed has left behind: as a subreaper ringload has become
/// their parent, and has no other children at such a time. Those that have ended are taken in.
fn strays() -> Vec<u32> {
    let mut found = descendants(std::process::id());
    found.retain(|pid| {
        let pid = Pid::from_raw(pid.cast_signed());
        !matches!(waitpid(pid, WaitOptions::NOHANG), Ok(Some(_)))
    });
    found
}
