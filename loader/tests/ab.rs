//! `ringload ab` for real: namespaces, servers and loads, in very short rounds.
//!
//! It takes the right to make network namespaces. Where there is none these tests are skipped, with a
//! line that says so; with CI=true in the environment that is a failure.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

#[path = "support/processes.rs"]
mod processes;

use clap::Parser;
use processes::{may_make_namespaces, processes_with, wait_until};
use ringload::ab::plan::{Arm, Mode, plan};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// What a run of the program has left.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(args);
    command
}

/// Runs the program to its end.
fn ringload(args: &[&str]) -> Ran {
    let output = command(args).output().expect("ringload can be started");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// The command of a ringserve that is this very program, so that nothing else must have been built.
/// The mark stands in its command line, as a filter that no test has as its name.
fn server(mark: &str) -> String {
    let program = std::env::current_exe().expect("this program has a path");
    let program = program.to_str().expect("UTF-8");
    format!(
        "env {PORT_VARIABLE}={{port}} {program} --exact the_server {mark} --ignored --nocapture"
    )
}

const PORT_VARIABLE: &str = "RINGLOAD_AB_TEST_PORT";

/// No test: the server of the others, until it is killed.
#[test]
#[ignore = "it is the server that the other tests start"]
fn the_server() {
    let Ok(port) = std::env::var(PORT_VARIABLE) else {
        return;
    };
    let address = format!("127.0.0.1:{port}");
    if is_slow_this_time() {
        serve_slowly(&address);
    }
    let flags = ["ringserve", "--listen", &address, "--shards", "1"];
    let flags = ringserve::Flags::try_parse_from(flags).expect("ringserve's flags");
    let config = ringserve::Config::from_flags(&flags).expect("ringserve's flags");
    let _server = ringserve::start(&config).expect("it can be started");
    loop {
        thread::park();
    }
}

/// A file with how often the server was started before, and at which of the starts it is to be slow.
const STARTS_VARIABLE: &str = "RINGLOAD_AB_TEST_STARTS";
const SLOW_VARIABLE: &str = "RINGLOAD_AB_TEST_SLOW";

fn is_slow_this_time() -> bool {
    let (Some(file), Ok(slow)) = (std::env::var_os(STARTS_VARIABLE), std::env::var(SLOW_VARIABLE))
    else {
        return false;
    };
    let before: usize = match fs::read_to_string(&file) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => 0,
    };
    fs::write(&file, (before + 1).to_string()).expect("can be written");
    slow.split(',').any(|start| start.parse() == Ok(before))
}

/// Every answer takes its time.
fn serve_slowly(address: &str) -> ! {
    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let listener = TcpListener::bind(address).expect("bind");
    for mut stream in listener.incoming().map_while(Result::ok) {
        thread::spawn(move || {
            let mut piece = [0; 4096];
            // Requests of this load are small and come one by one: each is one piece.
            while let Ok(1..) = stream.read(&mut piece) {
                thread::sleep(Duration::from_millis(5));
                if stream.write_all(ANSWER).is_err() {
                    break;
                }
            }
        });
    }
    unreachable!("a listener has no last connection");
}

/// Comparisons at the same time disturb each other, and in the same step where their seed is one.
static ALONE: Mutex<()> = Mutex::new(());

/// A comparison of ten short rounds in which the servers of one arm are slow: those of its starts in
/// the plan, which the seed makes known.
fn with_a_slow(arm: Arm, name: &str) -> Ran {
    const ROUNDS: usize = 10;
    let folder = Folder::new(name);
    let planned = if mode() == "duet" { Mode::Duet } else { Mode::Interleaved };
    let rounds = plan(planned, ROUNDS, 1);
    let starts = rounds.iter().flat_map(|round| &round.slots).flatten().enumerate();
    let slow: Vec<String> =
        starts.filter(|(_, seat)| seat.arm == arm).map(|(start, _)| start.to_string()).collect();
    assert_eq!(slow.len(), ROUNDS);
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let server = server("mark-of-the-slow");
    let server = format!(
        "env {STARTS_VARIABLE}={} {SLOW_VARIABLE}={} {server}",
        folder.path("starts"),
        slow.join(",")
    );
    ringload(&[
        "ab",
        "--mode",
        mode(),
        "--rounds",
        "10",
        "--seed",
        "1",
        "--seconds",
        "0.3",
        "--no-progress",
        "--a-server",
        &server,
        "--b-server",
        &server,
        "--",
        "-c",
        "4",
        "/",
    ])
}

#[test]
fn a_difference_is_found() {
    if !may_make_namespaces() {
        return;
    }
    let ran = with_a_slow(Arm::B, "difference");
    // On a busy machine the control may differ as well, which is what it is for.
    assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    let row = ran.stdout.lines().find(|line| line.starts_with("  requests/s"));
    let row = row.unwrap_or_else(|| panic!("{ran:?}"));
    assert!(row.contains(" -9") && row.ends_with("  different"), "{row}");
    if ran.code == Some(0) {
        let answer = ran.stdout.lines().last().unwrap_or_default();
        assert!(answer.starts_with("A and B differ. requests/s: B is slower by 9"), "{answer}");
    }
}

#[test]
fn a_control_that_differs_makes_it_void() {
    if !may_make_namespaces() {
        return;
    }
    let ran = with_a_slow(Arm::Control, "void");
    assert_eq!(ran.code, Some(4), "{ran:?}");
    let answer = ran.stdout.lines().last().unwrap_or_default();
    assert!(answer.starts_with("VOID: A differs from itself in requests/s"), "{ran:?}");
}

/// Network namespaces that some process is in.
fn namespaces() -> BTreeSet<PathBuf> {
    let entries = fs::read_dir("/proc").expect("Linux has it");
    entries.flatten().filter_map(|entry| fs::read_link(entry.path().join("ns/net")).ok()).collect()
}

/// What this machine's own network settings are.
fn host_settings() -> Vec<(PathBuf, Option<String>)> {
    let mut found = Vec::new();
    let mut folders =
        vec![PathBuf::from("/proc/sys/net/ipv4"), PathBuf::from("/proc/sys/net/core")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("readable").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                found.push((entry.path(), fs::read_to_string(entry.path()).ok()));
            }
        }
    }
    found.sort();
    found
}

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringload-ab-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("can be made");
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn profiles() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tuning/profiles").display().to_string()
}

fn array<'a>(value: &'a Value, pointer: &str) -> &'a Vec<Value> {
    let found = value.pointer(pointer).and_then(Value::as_array);
    found.unwrap_or_else(|| panic!("no list at {pointer}: {value}"))
}

/// Duet needs two cores; one core still has the other mode.
fn mode() -> &'static str {
    if thread::available_parallelism().is_ok_and(|cores| cores.get() >= 2) {
        "duet"
    } else {
        "interleaved"
    }
}

#[test]
fn six_short_rounds_of_the_same() {
    if !may_make_namespaces() {
        return;
    }
    let folder = Folder::new("same");
    let (json, markdown, html) =
        (folder.path("r.json"), folder.path("r.md"), folder.path("r.html"));
    // A mark in each command line of this test: of server, load and namespace holder alike.
    let server = server("mark-of-the-same");
    let profiles = profiles();
    let (before, settings) = (namespaces(), host_settings());
    let ran = ringload(&[
        "ab",
        "--a",
        "default",
        "--b",
        "documented",
        "--profiles",
        &profiles,
        "--a-server",
        &server,
        "--b-server",
        &server,
        "--mode",
        mode(),
        "--rounds",
        "6",
        "--seconds",
        "0.2",
        "--json",
        &json,
        "--markdown",
        &markdown,
        "--html",
        &html,
        "--format",
        "json",
        "--",
        "-c",
        "4",
        "/",
    ]);
    // Six rounds of 14 tests cannot show anything: neither a difference nor a void.
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("JSON");
    check_report(&report);
    assert_eq!(fs::read_to_string(&json).expect("written"), ran.stdout);
    assert!(fs::read_to_string(&markdown).expect("written").starts_with("# A/B comparison: "));
    assert!(fs::read_to_string(&html).expect("written").contains("class=\"forest\""));
    let progress: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(progress.len(), 6, "{progress:?}");
    assert!(progress[5].starts_with("round 6 of 6, about 0m0"), "{progress:?}");

    assert_eq!(processes_with("mark-of-the-same"), [""; 0]);
    let after = namespaces();
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty() || is_someone_elses(&left), "namespaces are left: {left:?}");
    assert_eq!(host_settings(), settings, "the host's settings");
}

/// Other tests run at the same time and have namespaces, too; theirs go away.
fn is_someone_elses(left: &[&PathBuf]) -> bool {
    let until = Instant::now() + Duration::from_secs(60);
    while Instant::now() < until {
        let now = namespaces();
        if !left.iter().any(|one| now.contains(*one)) {
            return true;
        }
        thread::sleep(Duration::from_millis(50));
    }
    false
}

fn check_report(report: &Value) {
    assert_eq!(report["void"], false, "{report}");
    let rounds = array(report, "/round_records");
    assert_eq!(rounds.len(), 6);
    for round in rounds {
        let runs: Vec<&Value> =
            array(round, "/slots").iter().flat_map(|slot| array(slot, "/runs")).collect();
        let of = |arm: &str| runs.iter().filter(|run| run["arm"] == arm).count();
        assert!(of("b") == 1 && of("control") == 1 && of("a") >= 1, "{round}");
        for run in runs {
            assert!(run["requests"].as_u64().is_some_and(|requests| requests > 0), "{run}");
            assert_eq!(run["listen_overflows"], 0);
            for metric in ["requests_per_sec", "server_cpu_us_per_request", "latency_p99_us"] {
                assert!(run["metrics"][metric].as_f64().is_some_and(|value| value > 0.0), "{run}");
            }
        }
    }
    for rows in ["/b_to_a", "/control_to_a"] {
        assert_eq!(array(report, rows).len(), 7);
        assert!(array(report, rows).iter().all(|row| row["verdict"] != "different"));
    }
    let settings = array(report, "/arms/b/settings");
    assert_eq!(settings.len(), 9);
    for applied in settings {
        let outcome = applied["outcome"].as_str().unwrap_or_default();
        assert!(["applied", "unchanged"].contains(&outcome), "{applied}");
        assert_eq!(applied["now"], applied["setting"]["value"]);
    }
    // A new namespace has the kernel's defaults already, all but what only the host has.
    let defaults = array(report, "/arms/a/settings");
    let is_as_it_was = |applied: &Value| {
        let outcome = applied["outcome"].as_str().unwrap_or_default();
        ["unchanged", "absent", "host_only"].contains(&outcome)
    };
    assert!(!defaults.is_empty() && defaults.iter().all(is_as_it_was), "{defaults:?}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("6 rounds cannot show any difference"), "{warnings}");
}

#[test]
fn a_server_that_ends_is_told_with_what_it_said() {
    if !may_make_namespaces() {
        return;
    }
    let bad = "sh -c 'echo no such port {port} >&2; exit 7'";
    let ran = short(&["--mode", "interleaved", "--a-server", bad, "--b-server", bad]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let told = ran.stderr.lines().last().unwrap_or_default();
    assert!(told.contains("round 1, arm ") && told.contains("ended with exit status: 7"), "{told}");
    assert!(told.ends_with("no such port 8080"), "{told}");
}

#[test]
fn a_load_that_gets_no_answer_is_told() {
    if !may_make_namespaces() {
        return;
    }
    // It serves, but not this: every answer is an error.
    let server = server("mark-of-no-answer");
    let ran = ringload(&[
        "ab",
        "--mode",
        "interleaved",
        "--a-server",
        &server,
        "--b-server",
        &server,
        "--rounds",
        "6",
        "--seconds",
        "0.1",
        "--no-progress",
        "--",
        "-c",
        "1",
        "/no-such-path",
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("no-such-path` ended with exit status: 1"), "{}", ran.stderr);
}

/// A comparison that ends before it has begun.
fn short(arguments: &[&str]) -> Ran {
    let fixed = ["--rounds", "6", "--seconds", "0.1", "--no-progress"];
    ringload(&[&["ab"], arguments, &fixed, &["--", "-c", "1", "/"]].concat())
}

#[test]
fn bad_arguments_are_code_2() {
    for (arguments, part) in [
        (
            &["--a", "documentd", "--a-server", "x{port}", "--b-server", "x{port}"][..],
            "`documentd`",
        ),
        (&["--a-server", "x", "--b-server", "x{port}"], "{port}"),
        (&["--a-load-args=--json f", "--a-server", "x{port}", "--b-server", "x{port}"], "--json"),
        (&["--margin", "120%"], "--margin"),
        (&["--rounds", "5"], "--rounds"),
    ] {
        let ran = short(arguments);
        assert!(ran.code == Some(2) && ran.stderr.contains(part), "{part}: {ran:?}");
    }
}

/// Killed outright in the middle, it leaves neither a process nor a namespace.
#[test]
fn nothing_is_left_when_it_is_killed() {
    if !may_make_namespaces() {
        return;
    }
    // Not to be confused with those of anybody else, who may load something at the same time.
    let mark = format!("mark-of-the-killed-by-{}", std::process::id());
    let server = server(&mark);
    let field = format!("X-Mark: {mark}");
    for signal in [Signal::KILL, Signal::INT] {
        let mut child = command(&[
            "ab",
            "--mode",
            mode(),
            "--a-server",
            &server,
            "--b-server",
            &server,
            "--seconds",
            "60",
            "--",
            "-c",
            "1",
            "-H",
            &field,
            "/",
        ])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("ringload can be started");
        // The load names its server's process: with it everything runs.
        let is_loaded = || processes_with(&field).iter().any(|line| line.contains("--server-pid"));
        wait_until(is_loaded, "a load runs");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("it runs");
        let status = child.wait().expect("it ends");
        if signal == Signal::INT {
            assert_eq!(status.code(), Some(130));
        }
        wait_until(|| processes_with(&mark).is_empty(), "the servers and the loads are gone");
    }
}
