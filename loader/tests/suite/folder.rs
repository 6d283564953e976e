//! A suite in a folder of its own, run by the program, and what that leaves.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::processes::processes_with;
use crate::server::{ENDLESS_VARIABLE, KIND_VARIABLE, PORT_VARIABLE};

/// A folder with a suite in it, removed when dropped.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    /// Stands in the command line of every server of this test.
    pub(crate) mark: String,
    /// For how long children sleep that are never to end by themselves: a number that no other
    /// program has.
    pub(crate) endless: String,
}

/// So that each has another number.
static FOLDERS: AtomicU64 = AtomicU64::new(100);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let mark = format!("mark-of-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(format!("ringload-suite-{mark}"));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("can be made");
        let number = FOLDERS.fetch_add(1, Ordering::Relaxed);
        Self { path, mark, endless: format!("98{number}{:07}", std::process::id()) }
    }

    pub(crate) fn file(&self) -> String {
        self.path.join("s.toml").display().to_string()
    }

    pub(crate) fn output(&self) -> String {
        self.path.join("out").display().to_string()
    }

    /// Writes the suite: a scenario with these keys, and these servers.
    pub(crate) fn write(&self, head: &str, scenario: &str, servers: &[String]) {
        let text = format!(
            "name = \"test\"\ntitle = \"A test\"\n{head}\n[defaults]\ntimeout = \"3s\"\n\
             [[scenario]]\nname = \"hello\"\npath = \"/\"\n{scenario}\n\
             expect = {{ body = \"Hello, World!\" }}\n{}",
            servers.concat()
        );
        fs::write(self.file(), text).expect("can be written");
    }

    /// A server of a kind, by this name.
    pub(crate) fn server(&self, name: &str, kind: &str) -> String {
        self.server_by(name, kind, "")
    }

    /// The same, started by a command.
    pub(crate) fn server_by(&self, name: &str, kind: &str, by: &str) -> String {
        let program = std::env::current_exe().expect("this program has a path");
        let program = program.display();
        format!(
            "[[server]]\nname = \"{name}\"\n\
             command = '''{by} {program} --exact server::the_server {mark} --ignored --nocapture'''\n\
             environment = {{ {PORT_VARIABLE} = \"{{port}}\", {KIND_VARIABLE} = \"{kind}\", \
             {ENDLESS_VARIABLE} = \"{endless}\" }}\n",
            mark = self.mark,
            endless = self.endless,
        )
    }

    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
        command.args(["suite", &self.file(), "--output", &self.output()]).args(more);
        command.current_dir(&self.path);
        command
    }

    pub(crate) fn run(&self, more: &[&str]) -> Ran {
        let output = self.command(more).output().expect("ringload can be started");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    pub(crate) fn start(&self, more: &[&str]) -> Child {
        let mut command = self.command(more);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("ringload can be started")
    }

    /// The lines of the journal that are whole.
    pub(crate) fn journal(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join("out/runs.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn lines(&self, kind: &str) -> Vec<Value> {
        self.journal().iter().filter_map(|line| line.get(kind)).cloned().collect()
    }

    pub(crate) fn runs(&self) -> Vec<Value> {
        self.lines("run")
    }

    pub(crate) fn servers_left(&self) -> Vec<String> {
        let mut left = processes_with(&self.mark);
        left.extend(processes_with(&self.endless));
        left
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// What a run of the program has left.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

pub(crate) fn kill(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(pid.cast_signed()).expect("a process");
    kill_process(pid, signal).expect("it runs");
}

/// How often each outcome came, by server.
pub(crate) fn outcomes(runs: &[Value]) -> BTreeMap<String, BTreeMap<String, usize>> {
    let mut found: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    for run in runs {
        let of = |pointer: &str| run.pointer(pointer).and_then(Value::as_str).expect(pointer);
        let kinds = found.entry(of("/server").to_owned()).or_default();
        *kinds.entry(of("/outcome/kind").to_owned()).or_default() += 1;
    }
    found
}

pub(crate) fn told<'a>(runs: &'a [Value], server: &str) -> &'a str {
    let run = runs.iter().find(|run| run["server"] == server).expect(server);
    run["outcome"]["told"].as_str().expect("it is told")
}
