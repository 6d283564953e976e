//! The system's programs that this needs, and children whose output is read while they run.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// How often is looked whether something has happened that nobody tells.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A program of the system that is not there.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{program}` is needed and not in PATH: install {package}")]
pub struct MissingTool {
    program: &'static str,
    package: &'static str,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Tools {
    pub(super) unshare: PathBuf,
    pub(super) nsenter: PathBuf,
    pub(super) setpriv: PathBuf,
    pub(super) taskset: PathBuf,
    pub(super) ip: PathBuf,
    pub(super) cat: PathBuf,
}

impl Tools {
    /// Finds them.
    ///
    /// # Errors
    ///
    /// When one is missing; the text says what to install.
    pub fn find() -> Result<Self, MissingTool> {
        let of = |program, package| find(program).ok_or(MissingTool { program, package });
        Ok(Self {
            unshare: of("unshare", "util-linux")?,
            nsenter: of("nsenter", "util-linux")?,
            setpriv: of("setpriv", "util-linux")?,
            taskset: of("taskset", "util-linux")?,
            ip: of("ip", "iproute2")?,
            cat: of("cat", "coreutils")?,
        })
    }
}

/// A program in PATH, or where administrators' programs are, which users' PATH often leaves out.
pub(super) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    std::env::split_paths(&path)
        .chain(more)
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
}

/// A child process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Captured {
    child: Child,
    stdout: Option<JoinHandle<Vec<u8>>>,
    stderr: Option<JoinHandle<Vec<u8>>>,
    ended: Option<ExitStatus>,
}

/// What a child has left.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    /// The last of it.
    pub(crate) stderr: String,
}

/// So much of what a child says on stderr is kept: the last is what tells why it failed.
const STDERR_KEPT: usize = 4 << 10;

impl Captured {
    /// Starts a child in a process group of its own, so that Ctrl-C on the terminal reaches ringload
    /// alone, which then ends it in order. What it reads is `input`.
    pub(crate) fn start(
        command: &mut Command,
        input: &[u8],
        keeps_stdout: bool,
    ) -> io::Result<Self> {
        let stdin = if input.is_empty() { Stdio::null() } else { Stdio::piped() };
        let stdout = if keeps_stdout { Stdio::piped() } else { Stdio::null() };
        let mut child =
            command.stdin(stdin).stdout(stdout).stderr(Stdio::piped()).process_group(0).spawn()?;
        let stdout = child.stdout.take().map(|pipe| read_on(pipe, usize::MAX));
        let stderr = child.stderr.take().map(|pipe| read_on(pipe, STDERR_KEPT));
        let pipe = child.stdin.take();
        let captured = Self { child, stdout, stderr, ended: None };
        if let Some(mut pipe) = pipe {
            io::Write::write_all(&mut pipe, input)?;
        }
        Ok(captured)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub(crate) fn has_ended(&mut self) -> io::Result<Option<ExitStatus>> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait()?;
        }
        Ok(self.ended)
    }

    /// Waits until it ends, for `limit` at most; whether it did. `is_over` ends the wait early.
    pub(crate) fn wait(&mut self, limit: Duration, is_over: &dyn Fn() -> bool) -> io::Result<bool> {
        let began = Instant::now();
        while self.has_ended()?.is_none() {
            if began.elapsed() > limit || is_over() {
                return Ok(false);
            }
            thread::sleep(LOOK_EVERY);
        }
        Ok(true)
    }

    /// Kills it if it still runs, and gives what it has left.
    pub(crate) fn end(&mut self) -> io::Result<Left> {
        let status = self.kill()?;
        let read = |reader: Option<JoinHandle<Vec<u8>>>| {
            reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (read(self.stdout.take()), read(self.stderr.take()));
        Ok(Left { status, stdout, stderr: String::from_utf8_lossy(&stderr).trim().to_owned() })
    }

    fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.has_ended()? {
            return Ok(status);
        }
        self.child.kill()?;
        let status = self.child.wait()?;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        // It may have ended meanwhile, which is what is wanted.
        let _ = self.kill();
    }
}

/// Reads until the end, and keeps the last of it: a pipe that nobody reads stops who writes.
pub(crate) fn read_on(mut pipe: impl Read + Send + 'static, keep: usize) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let (mut kept, mut piece) = (Vec::new(), [0; 8 << 10]);
        // An error ends it as the end does: whoever wrote is gone.
        while let Ok(count @ 1..) = pipe.read(&mut piece) {
            kept.extend_from_slice(&piece[..count]);
            let surplus = kept.len().saturating_sub(keep);
            kept.drain(..surplus);
        }
        kept
    })
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command, input: &[u8], limit: Duration) -> io::Result<Left> {
    let mut child = Captured::start(command, input, true)?;
    if !child.wait(limit, &|| false)? {
        let program = command.get_program().to_string_lossy().into_owned();
        return Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("{program} did not end within {} s", limit.as_secs()),
        ));
    }
    child.end()
}

/// A list of cores as taskset(1) takes it.
pub(crate) fn core_list(cores: &[usize]) -> String {
    cores.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

/// A command as it could be typed.
pub(crate) fn shown<S: AsRef<OsStr>>(arguments: &[S]) -> String {
    let quoted = arguments.iter().map(|argument| {
        let text = argument.as_ref().to_string_lossy();
        // shlex quotes more than a shell needs.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
        if !text.is_empty() && text.chars().all(is_plain) {
            return text.to_string();
        }
        // Only a NUL cannot be quoted, and no argument has one.
        shlex::try_quote(&text).map_or_else(|_| text.to_string(), |quoted| quoted.to_string())
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn output_that_fills_a_pipe_is_read() {
        let left = run(
            &mut sh("head -c 300000 /dev/zero; echo bad >&2; exit 3"),
            b"",
            Duration::from_secs(20),
        );
        let left = left.expect("it ran");
        assert_eq!(
            (left.status.code(), left.stdout.len(), left.stderr.as_str()),
            (Some(3), 300_000, "bad")
        );
    }

    #[test]
    fn what_is_given_is_read() {
        let left = run(&mut sh("cat"), b"hello", Duration::from_secs(20)).expect("it ran");
        assert_eq!(left.stdout, b"hello");
    }

    #[test]
    fn only_the_last_of_stderr_is_kept() {
        let script = "i=0; while [ $i -lt 2000 ]; do echo line $i >&2; i=$((i+1)); done";
        let left = run(&mut sh(script), b"", Duration::from_secs(20)).expect("it ran");
        assert!(left.stderr.len() <= STDERR_KEPT && left.stderr.ends_with("line 1999"));
    }

    #[test]
    fn a_child_is_killed_when_its_time_is_over_or_it_is_dropped() {
        let error =
            run(&mut sh("exec sleep 60"), b"", Duration::from_millis(20)).expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let child = Captured::start(&mut sh("exec sleep 60"), b"", true).expect("started");
        let pid = child.pid();
        drop(child);
        assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    }

    #[test]
    fn commands_are_shown_as_they_are_typed() {
        assert_eq!(shown(&["nginx", "-g", "daemon off;"]), "nginx -g 'daemon off;'");
        assert_eq!(shown(&["srv", "--root=a/b", "", "$x"]), "srv --root=a/b '' '$x'");
        assert_eq!(core_list(&[0, 2]), "0,2");
    }

    #[test]
    fn tools_are_found_or_named() {
        assert!(find("sh").is_some_and(|path| path.ends_with("sh")));
        assert_eq!(find("no-such-program-anywhere"), None);
        let missing = MissingTool { program: "ip", package: "iproute2" };
        assert_eq!(missing.to_string(), "`ip` is needed and not in PATH: install iproute2");
    }
}
