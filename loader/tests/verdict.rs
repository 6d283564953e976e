//! What limited a run is told rightly where it is known, because the test has arranged it: a slow
//! server, a loader without a core, no ports, a low rate, too few connections.
//!
//! A machine with other things to do may be a limit of its own. Each test then wants to see that in
//! the report itself, and the verdict that follows from it.

mod support;

#[path = "support/ringserve.rs"]
mod server;

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use server::Ringserve;
use support::{HELLO, Server, ringload_json};

/// One at a time: they are about who uses which core.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn limit(report: &Value) -> &str {
    report["verdict"]["limit"].as_str().unwrap_or_else(|| panic!("no verdict: {report}"))
}

fn figure(report: &Value, pointer: &str) -> f64 {
    let found = report.pointer(pointer).and_then(Value::as_f64);
    found.unwrap_or_else(|| panic!("no figure at {pointer}: {report}"))
}

fn evidence(report: &Value) -> String {
    report["verdict"]["evidence"].to_string()
}

/// A core that this process may use: the `nth` of them, or of fewer the last.
fn core(nth: usize) -> usize {
    let cores = ringbench_engine::allowed_cores();
    cores[nth.min(cores.len() - 1)]
}

fn pin(core: usize) {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).expect("a core that is allowed");
}

/// Uses up so much CPU time of the calling thread, however long that takes.
fn burn(time: Duration) {
    let used = || clock_gettime(ClockId::ThreadCPUTime);
    let from = used();
    let spent_ns = |from: &rustix::time::Timespec| {
        let now = used();
        (now.tv_sec - from.tv_sec) * 1_000_000_000 + now.tv_nsec - from.tv_nsec
    };
    while spent_ns(&from) < time.as_nanos() as i64 {}
}

#[test]
fn a_slow_server() {
    let _alone = alone();
    // With one connection there is one thread, and that has work whenever ringload has none.
    let server = Server::start(|mut client| {
        pin(core(1));
        while client.read_request()? {
            burn(Duration::from_millis(5));
            client.write(HELLO.as_bytes())?;
        }
        Ok(())
    });
    let own = std::process::id().to_string();
    let core = core(0).to_string();
    let args = ["-c1", "-t1", "-d2s", "--server-pid", &own, "--cores", &core];
    let report = ringload_json(&[&args, &[server.url().as_str()][..]].concat()).json(0);
    assert!(figure(&report, "/latency_us/p50") >= 5_000.0, "{report}");
    let (used, waited) =
        (figure(&report, "/server/cpu_ns"), figure(&report, "/server/run_delay_ns"));
    if waited > 0.05 * used {
        // Others have taken its core away from it now and then.
        let right = ["server", "machine", "server_and_loader"].contains(&limit(&report));
        assert!(right, "{report}");
    } else {
        assert_eq!(limit(&report), "server", "{report}");
        assert_eq!(report["verdict"]["sure"], true);
    }
    assert!(evidence(&report).contains("its busiest thread "), "{report}");
}

/// Threads that leave a core to nobody, until they are dropped.
struct Hogs {
    stopped: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Hogs {
    fn start(count: usize, core: usize) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let hog = |_| {
            let stopped = Arc::clone(&stopped);
            thread::spawn(move || {
                pin(core);
                while !stopped.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        };
        Self { threads: (0..count).map(hog).collect(), stopped }
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.threads.drain(..).for_each(|thread| thread.join().expect("they only spin"));
    }
}

#[test]
fn a_loader_without_a_core_of_its_own() {
    let _alone = alone();
    let server = Ringserve::start();
    let shared = core(0);
    let hogs = Hogs::start(4, shared);
    let (core, url) = (shared.to_string(), server.url("/"));
    let report = ringload_json(&["-c64", "-t1", "-d2s", "--cores", &core, &url]).json(0);
    drop(hogs);
    assert_eq!(report["server"]["pid"], server.pid());
    let delay = figure(&report, "/loader/shard_run_delay_shares/0");
    assert!(delay > 0.3, "{report}");
    assert!(["loader", "machine"].contains(&limit(&report)), "{report}");
    let seen = "one of ringload's shards was ready but had no core for ";
    assert!(evidence(&report).contains(seen), "{report}");
    assert_eq!(report["verdict"]["sure"], true);
}

#[test]
fn a_low_rate() {
    let _alone = alone();
    let server = Ringserve::start();
    let report = ringload_json(&["-c4", "-t1", "-R100", "-d2s", &server.url("/")]).json(0);
    if figure(&report, "/own_lag_us/p99") > 1_000.0 {
        // ringload had no core when it wanted one, and says so.
        assert!(["rate", "loader"].contains(&limit(&report)), "{report}");
    } else {
        assert_eq!(limit(&report), "rate", "{report}");
    }
    assert!(evidence(&report).contains("100 requests/s were asked for"), "{report}");
}

#[test]
fn too_few_connections_for_slow_answers() {
    let _alone = alone();
    let server = Ringserve::start();
    let url = server.url("/sleep?ms=100");
    let report = ringload_json(&["-c2", "-t1", "-R1000", "-d2s", &url]).json(0);
    // Two that wait for 100 ms at a time.
    assert!(figure(&report, "/requests") <= 42.0, "{report}");
    assert_eq!(limit(&report), "connections", "{report}");
    let line = report["verdict"]["line"].as_str().unwrap_or_default();
    assert!(line.contains("each need 1") && line.contains(" at once, 2 were there"), "{line}");
}

/// Local ports in the namespace, and what the child says before its report.
const PORTS: u64 = 100;
const REPORT: &str = "report ";

/// Not a test: the process in the namespace.
#[test]
#[ignore = "started by a test in a network namespace of its own"]
fn runs_out_of_ports() {
    // To another server there are as many local ports again; but its own has to be free.
    let servers = [server::start_here(), server::start_here()];
    for (engine, server) in ["uring", "epoll"].iter().zip(&servers) {
        let url = format!("http://{}/", server.addresses()[0]);
        let args = ["-c4", "-t1", "-d2s", "--requests-per-connection", "1", "--engine", engine];
        let ran = ringload_json(&[&args, &[url.as_str()][..]].concat());
        println!("\n{REPORT}{}", ran.json(0));
    }
}

/// Runs a test of this program that is no test, alone on a network with few ports. `None` where
/// that is not allowed.
fn in_namespace(name: &str) -> Option<String> {
    // Who waits for a port to be free again is to wait for long.
    let set_up = format!(
        "ip link set lo up && cd /proc/sys/net/ipv4 && \
         echo 20000 {} >ip_local_port_range && echo 0 >tcp_tw_reuse && exec \"$@\"",
        20_000 + PORTS - 1
    );
    let program = std::env::current_exe().expect("this program");
    let unshare = if rustix::process::geteuid().is_root() { "-n" } else { "-rn" };
    let child = Command::new("unshare")
        .args([unshare, "sh", "-c", &set_up, "sh"])
        .arg(program)
        .args(["--exact", name, "--ignored", "--nocapture"])
        .output();
    let said = match child {
        Ok(output) if output.status.success() => {
            return Some(String::from_utf8(output.stdout).expect("UTF-8"));
        }
        Ok(output) => format!("{output:?}"),
        Err(error) => error.to_string(),
    };
    // Once the program itself has begun, what goes wrong is its own fault.
    let is_ours = said.contains("running 1 test");
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!is_ours && !is_ci, "in a network namespace of its own: {said}");
    eprintln!("skipped, as there is no network namespace to be had: {said}");
    None
}

#[test]
fn no_ports() {
    let _alone = alone();
    let Some(said) = in_namespace("runs_out_of_ports") else { return };
    let reports: Vec<Value> = said
        .lines()
        .filter_map(|line| line.strip_prefix(REPORT))
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(reports.len(), 2, "one of each engine: {said}");
    for report in &reports {
        let closes = report["closes"].as_array().expect("a list");
        let without_port = closes.iter().find(|line| line["cause"] == "no_local_port");
        let line = without_port.unwrap_or_else(|| panic!("none failed: {report}"));
        assert_eq!(line["errno"], "EADDRNOTAVAIL");
        assert!(figure(line, "/count") >= 3.0, "{report}");
        assert_eq!(limit(report), "ports", "{report}");
        let line = report["verdict"]["line"].as_str().unwrap_or_default();
        assert!(line.contains("net.ipv4.ip_local_port_range"), "{line}");
        let warnings = report["warnings"].to_string();
        assert!(warnings.contains("no local port"), "{warnings}");
    }
}
