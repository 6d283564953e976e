//! ringserve in a process of its own, which a run can find and watch.
//!
//! The process is this very program again, running the test `serves`: a test of ringload knows where
//! no other program is.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use clap::Parser;

/// What the child says before its address.
const READY: &str = "serving ";

/// Starts ringserve in this process, at any port of the loopback.
pub(crate) fn start_here() -> ringserve::Running {
    let flags = ["ringserve", "--listen", "127.0.0.1:0", "--shards", "1"];
    let flags = ringserve::Flags::try_parse_from(flags).expect("ringserve's flags");
    let config = ringserve::Config::from_flags(&flags).expect("ringserve's flags");
    ringserve::start(&config).expect("an engine can be used")
}

/// Not a test: the other process. It serves until its stdin ends, and that does when the test does.
#[test]
#[ignore = "started by the tests as a process of its own"]
fn serves() {
    let server = start_here();
    // The harness may not have ended its own line.
    println!("\n{READY}{}", server.addresses()[0]);
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin");
}

/// The other process, seen from this one.
pub(crate) struct Ringserve {
    child: Child,
    /// Kept, so that the child's harness can go on writing.
    _stdout: BufReader<ChildStdout>,
    address: SocketAddr,
}

impl Ringserve {
    pub(crate) fn start() -> Self {
        let name = concat!(module_path!(), "::serves");
        let (_crate, name) = name.split_once("::").expect("a module");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", name, "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout"));
        let address = stdout
            .by_ref()
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix(READY)?.parse().ok())
            .expect("the child says its address");
        Self { child, _stdout: stdout, address }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

impl Drop for Ringserve {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
