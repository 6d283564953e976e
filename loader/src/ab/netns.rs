//! A network namespace of its own for each run of an arm: fresh kernel settings, counters from 0,
//! a loopback that nobody else uses.
//!
//! It exists as long as its *holder* does: a `cat` that waits for the end of its input, which is ours.
//! So the namespace goes with ringload, however ringload ends.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::tools::{LOOK_EVERY, Tools, core_list, run};

/// How long the small programs may take that set a namespace up.
const SET_UP_LIMIT: Duration = Duration::from_secs(20);
/// How long processes may take to be gone after they were killed: a large one frees its memory.
const GONE_LIMIT: Duration = Duration::from_secs(10);

/// Why there is no namespace.
#[derive(Debug, thiserror::Error)]
pub enum NamespaceError {
    /// Neither way was open.
    #[error(
        "cannot make a network namespace: as this user: {plain}; in a user namespace: {in_user}. It \
         takes root (CAP_SYS_ADMIN), or a kernel that lets users make user namespaces \
         (kernel.unprivileged_userns_clone, user.max_user_namespaces, AppArmor)"
    )]
    Refused {
        /// The answer to `unshare -n`.
        plain: String,
        /// The answer to `unshare -Urn`.
        in_user: String,
    },
    /// Something in it could not be set up.
    #[error("{what} in a network namespace: {told}")]
    SetUp {
        /// What was tried.
        what: &'static str,
        /// What the program or the system said.
        told: String,
    },
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

fn failed(what: &'static str) -> impl FnOnce(io::Error) -> NamespaceError {
    move |source| NamespaceError::Io { what, source }
}

/// A namespace. Dropped, everything in it is killed and it goes away.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    /// Closed, it ends the holder. There is none when the namespace has been given up.
    input: Option<ChildStdin>,
    /// What the kernel calls it.
    name: PathBuf,
    tools: Tools,
    /// Whether it lies in a user namespace of its own, as users without rights have it.
    is_in_user: bool,
}

impl Namespace {
    /// Makes one, with its loopback up.
    ///
    /// # Errors
    ///
    /// When the system does not allow it, with the reason.
    pub fn create(tools: &Tools) -> Result<Self, NamespaceError> {
        let namespace = match Self::hold(tools, false)? {
            Ok(namespace) => namespace,
            Err(plain) => Self::hold(tools, true)?
                .map_err(|in_user| NamespaceError::Refused { plain, in_user })?,
        };
        let mut up = namespace.command(&[], tools.ip.as_os_str());
        up.args(["link", "set", "lo", "up"]);
        let what = "cannot bring the loopback up";
        let left = run(&mut up, b"", SET_UP_LIMIT).map_err(failed(what))?;
        if !left.status.success() {
            return Err(NamespaceError::SetUp { what, told: left.stderr });
        }
        Ok(namespace)
    }

    /// Starts the holder; what unshare(1) said if it was refused.
    fn hold(tools: &Tools, in_user: bool) -> Result<Result<Self, String>, NamespaceError> {
        let what = "cannot start unshare";
        let mut command = Command::new(&tools.unshare);
        command.args(if in_user {
            &["--user", "--map-root-user", "--net"][..]
        } else {
            &["--net"]
        });
        command.arg("--").arg(&tools.cat).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut holder = command.spawn().map_err(failed(what))?;
        let (mut input, output) = (holder.stdin.take(), holder.stdout.take());
        let stderr = holder.stderr.take();
        // What comes back has gone through the cat: by then it is inside. Where unshare was refused
        // there is nobody to take or to send it, and stderr says why.
        let mut echo = String::new();
        if let (Some(input), Some(output)) = (&mut input, output) {
            let _ = input.write_all(b"in\n");
            let _ = BufReader::new(output).read_line(&mut echo);
        }
        if echo == "in\n" {
            let what = "cannot tell the new namespace from the others";
            let name =
                name_of(Path::new(&format!("/proc/{}", holder.id()))).map_err(failed(what))?;
            let host = name_of(Path::new("/proc/self")).map_err(failed(what))?;
            // Everything inside is killed in the end: this must be ours and nothing else.
            if name == host {
                return Err(NamespaceError::SetUp { what, told: "it is the host's".to_owned() });
            }
            return Ok(Ok(Self { holder, input, name, tools: tools.clone(), is_in_user: in_user }));
        }
        drop(input);
        holder.wait().map_err(failed("cannot end unshare"))?;
        let mut told = String::new();
        if let Some(mut stderr) = stderr {
            let _ = stderr.read_to_string(&mut told);
        }
        Ok(Err(told.trim().to_owned()))
    }

    /// The process that holds it.
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }

    /// Whether it lies in a user namespace of its own.
    pub fn is_in_user(&self) -> bool {
        self.is_in_user
    }

    /// A program inside, on these cores (none given: any). It becomes the process that is started,
    /// and is killed when ringload ends.
    pub fn command(&self, cores: &[usize], program: &OsStr) -> Command {
        let mut command = self.enter();
        command.arg(&self.tools.setpriv).args(["--pdeathsig", "KILL", "--"]);
        if !cores.is_empty() {
            command.arg(&self.tools.taskset).arg("--cpu-list").arg(core_list(cores));
        }
        command.arg(program);
        command
    }

    /// A program inside, which is to be added as the next argument. It becomes the process that is
    /// started, and may outlive ringload.
    pub(crate) fn enter(&self) -> Command {
        let mut command = Command::new(&self.tools.nsenter);
        command.arg("--target").arg(self.holder.id().to_string());
        if self.is_in_user {
            command.args(["--user", "--preserve-credentials"]);
        }
        command.args(["--net", "--"]);
        command
    }

    /// Whether someone listens on a TCP port inside.
    ///
    /// # Errors
    ///
    /// When its sockets cannot be listed.
    pub fn is_listening(&self, port: u16) -> Result<bool, NamespaceError> {
        for file in ["tcp", "tcp6"] {
            match fs::read_to_string(self.proc_net(file)) {
                Ok(text) if has_listener(&text, port) => return Ok(true),
                Ok(_) => {}
                // A kernel without IPv6.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed("cannot list the sockets of a namespace")(error)),
            }
        }
        Ok(false)
    }

    /// Connections that listeners inside have lost so far.
    pub fn listen_losses(&self) -> Option<ListenLosses> {
        ListenLosses::parse(&fs::read_to_string(self.proc_net("netstat")).ok()?)
    }

    fn proc_net(&self, file: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/net/{file}", self.holder.id()))
    }

    /// Kills all that runs inside and waits until it is gone; then the namespace goes as well.
    ///
    /// # Errors
    ///
    /// When something is still there in the end.
    pub fn end(&mut self) -> Result<(), NamespaceError> {
        if self.input.is_none() {
            return Ok(());
        }
        let emptied = self.kill_inside();
        self.input = None;
        // Without its input it ends by itself.
        self.holder.wait().map_err(failed("cannot end the holder of a namespace"))?;
        emptied
    }

    /// Kills all that runs inside, and waits until it is gone. The namespace stays.
    pub(super) fn kill_inside(&self) -> Result<(), NamespaceError> {
        let began = Instant::now();
        loop {
            let inside = self.inside();
            if inside.is_empty() {
                return Ok(());
            }
            if began.elapsed() > GONE_LIMIT {
                let told = format!("still there after {} s: {inside:?}", GONE_LIMIT.as_secs());
                return Err(NamespaceError::SetUp { what: "cannot end the processes", told });
            }
            for pid in inside {
                // It may have ended meanwhile.
                let _ = kill_process(pid, Signal::KILL);
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// The processes inside, but for the holder. All are ours: the namespace is.
    pub(super) fn inside(&self) -> Vec<Pid> {
        let holder = self.holder.id().cast_signed();
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let pid_of = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
        entries
            .filter_map(Result::ok)
            .filter_map(|entry| Some((pid_of(&entry)?, entry.path())))
            .filter(|(pid, _)| *pid != holder)
            // What ends meanwhile has no namespace any more.
            .filter(|(_, folder)| name_of(folder).is_ok_and(|name| name == self.name))
            .filter_map(|(pid, _)| Pid::from_raw(pid))
            .collect()
    }
}

/// What the kernel calls the network namespace of a process, given by its folder in /proc.
fn name_of(process: &Path) -> io::Result<PathBuf> {
    fs::read_link(process.join("ns/net"))
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end();
    }
}

/// Whether a list as in /proc/net/tcp has a socket that listens on this port.
fn has_listener(text: &str, port: u16) -> bool {
    /// `TCP_LISTEN`.
    const LISTEN: &str = "0A";
    text.lines().skip(1).any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let local = fields.next().and_then(|local| local.rsplit_once(':'));
        let number = local.and_then(|(_, port)| u16::from_str_radix(port, 16).ok());
        number == Some(port) && fields.nth(1) == Some(LISTEN)
    })
}

/// Connections that did not fit into a listener's queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ListenLosses {
    /// Times that the queue was full: `ListenOverflows`.
    pub overflows: u64,
    /// Packets dropped for that or another reason: `ListenDrops`.
    pub drops: u64,
}

impl ListenLosses {
    /// Those in the text of /proc/net/netstat: pairs of lines, names above values.
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix("TcpExt:"));
        let names = lines.next()?.split_ascii_whitespace();
        let values: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
        let names: Vec<&str> = names.collect();
        let of = |wanted: &str| {
            let place = names.iter().position(|name| *name == wanted)?;
            values.get(place)?.parse().ok()
        };
        Some(Self { overflows: of("ListenOverflows")?, drops: of("ListenDrops")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_told_from_connections() {
        let text = "  sl  local_address rem_address   st tx_queue rx_queue\n   \
                    0: 0100007F:1F90 00000000:0000 0A 00000000:00000000\n   \
                    1: 0100007F:1F91 0100007F:D2F0 01 00000000:00000000\n";
        assert!(has_listener(text, 0x1f90));
        assert!(!has_listener(text, 0x1f91), "a connection");
        assert!(!has_listener(text, 80) && !has_listener("", 80));
    }

    #[test]
    fn losses_are_found_by_name() {
        let text = "TcpExt: SyncookiesSent ListenOverflows ListenDrops Last\nTcpExt: 1 22 333 4\n\
                    IpExt: InNoRoutes\nIpExt: 7\n";
        assert_eq!(ListenLosses::parse(text), Some(ListenLosses { overflows: 22, drops: 333 }));
        assert_eq!(ListenLosses::parse("TcpExt: A\nTcpExt: 1\n"), None);
        assert_eq!(ListenLosses::parse(""), None);
        let here = fs::read_to_string("/proc/net/netstat").expect("Linux has it");
        assert!(ListenLosses::parse(&here).is_some());
    }
}
