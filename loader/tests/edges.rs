//! The edges of the command line: what is refused before anything happens, and what is left behind
//! when something goes wrong.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Parser;
use ringload::Flags;
use ringload::run::{News, Prepared};
use serde_json::Value;
use support::{HELLO, Ran, Server, command, ringload, ringload_json};

/// A folder that is gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ringload-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn script(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(name);
    path.to_str().expect("UTF-8").to_owned()
}

#[test]
fn what_means_nothing_together_is_refused() {
    let url = "http://127.0.0.1:9/";
    for (args, part) in [
        (&["-R", "1000M", "-t", "1", url][..], "more than 1 thread can keep up with"),
        (&["--stages", "1s@5,1s@5-500M", "-t", "1", url], "keep up with"),
        (&["--no-observe", "--server-pid", "1", url], "--no-observe"),
        (&["--json", "/tmp/a/b", "--html", "/tmp/a/b", url], "--json and --html"),
        (&["search", "--slo", "p99<1ms", "-R", "5", url], "-R/--rate"),
        (&["search", "--slo", "p99<1ms", "-d", "5s", url], "-d/--duration"),
        (&["search", "--slo", "p99<1ms", "-n", "5", url], "-n/--total-requests"),
        (&["search", "--slo", "p99<1ms", "--json", "x", url], "--json"),
        (&["search", "--slo", "p99<1ms", "--interval", "1s", url], "--interval"),
        (&["search", "--slo", "p99<1ms", "--fail-if", "p99>1ms", url], "--fail-if"),
        (&["search", "--slo", "p99<1ms", "--precision", "7", url], "--precision"),
        (&["search", "--slo", "p99<1ms", "--start-rate", "5k", "--max-rate", "1k", url], "5000"),
        (&["search", "--slo", "p99<1ms", "--step-duration", "0s", url], "--step-duration"),
    ] {
        let ran = ringload(args);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(part), "{ran:?}");
    }
}

#[test]
fn subcommands_have_help_and_version() {
    for (command, part) in [("search", "--slo"), ("report", "--prometheus")] {
        let ran = ringload(&[command, "--help"]);
        assert!(ran.code == Some(0) && ran.stdout.contains(part), "{ran:?}");
        for version in ["-v", "--version"] {
            let ran = ringload(&[command, version]);
            let said = format!("ringload-{command} 0.1.0\n");
            assert_eq!((ran.code, ran.stdout), (Some(0), said), "{command} {version}");
        }
    }
}

#[test]
fn a_run_that_cannot_be_done_touches_no_file() {
    let (server, folder) = (Server::answering(HELLO), Folder::new("untouched"));
    let (old, new, none) = (folder.file("old"), folder.file("new"), folder.file("no/such"));
    fs::write(&old, "of yesterday").unwrap();
    let ran = ringload(&["-n5", "--json", &old, "--html", &new, "--hgrm", &none, &server.url()]);
    assert!(ran.code == Some(1) && ran.stderr.contains("--hgrm"), "{ran:?}");
    assert_eq!(fs::read_to_string(&old).unwrap(), "of yesterday");
    assert!(!Path::new(&new).exists(), "an empty file was left");

    let ran = ringload(&["-n5", "--json", &old, "--csv", &new, &server.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&old).unwrap()).unwrap();
    assert_eq!(report["requests"], 5, "and it is replaced as a whole");
    assert!(fs::read_to_string(&new).unwrap().contains(','), "no interval, but names");
}

#[test]
fn files_are_written_even_if_stdout_cannot_be() {
    let (server, folder) = (Server::answering(HELLO), Folder::new("full"));
    let file = folder.file("report.json");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran: Ran = command(&["-n5", "--json", &file, &server.url()])
        .stdout(full)
        .output()
        .expect("ringload can be started")
        .into();
    assert!(ran.code == Some(1) && ran.stderr.contains("No space left"), "{ran:?}");
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(report["requests"], 5);
}

#[test]
fn files_are_written_even_if_a_script_fails_in_the_end() {
    let (server, folder) = (Server::answering(HELLO), Folder::new("undone"));
    let file = folder.file("report.json");
    let ran = ringload(&["-n5", "-s", &script("undone.lua"), "--json", &file, &server.url()]);
    assert!(ran.code == Some(1) && ran.stderr.contains("no more"), "{ran:?}");
    assert!(Path::new(&file).exists());
}

#[test]
fn a_scripts_words_do_not_spoil_json() {
    let server = Server::answering(HELLO);
    let args = ["-n6", "-c1", "-t1", "-s", &script("pair.lua"), &server.url()];
    let ran = ringload_json(&args);
    assert_eq!(ran.json(0)["requests"], 6);
    for words in ["asked\n", "done after 6\n", "by its name\n"] {
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    }
    let text = ringload(&args);
    assert!(text.stdout.ends_with("done after 6\nby its name\n"), "{text:?}");
}

#[test]
fn a_script_that_sends_in_pairs_fills_no_connection_past_its_bound() {
    let server = Server::answering(HELLO);
    let bound = ["-n30", "-c1", "-t1", "--requests-per-connection", "3"];
    let report =
        ringload_json(&[&bound[..], &["-s", &script("pair.lua"), &server.url()]].concat()).json(0);
    assert_eq!((&report["requests"], &report["connections"]["opened"]), (&30.into(), &15.into()));
}

#[test]
fn a_script_is_told_of_a_response_that_ends_with_its_connection() {
    let server = Server::start(|mut client| {
        if client.read_request()? {
            client.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")?;
        }
        Ok(())
    });
    let folder = Folder::new("until");
    let file = folder.file("until.lua");
    let text = "function response(status, headers, body) print(status, body) end\n";
    fs::write(&file, text).unwrap();
    let ran = ringload(&["-n3", "-c1", "-t1", "-s", &file, &server.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches("200\tuntil the end\n").count(), 3, "{ran:?}");
}

#[test]
fn somebody_looks_at_a_run_however_short_its_intervals_are() {
    let server = Server::answering(HELLO);
    let args = format!("ringload -c1 -d500ms --interval 10ms {}", server.url());
    let config = Flags::try_parse_from(args.split(' ')).and_then(Flags::config).expect("flags");
    let run = Prepared::new(&config).and_then(Prepared::start).expect("the run can be started");
    let (mut intervals, mut standings) = (0, 0);
    let outcome = run.finish(|news| match news {
        News::Interval(_) => intervals += 1,
        News::Standing { .. } => standings += 1,
        News::Latencies { .. } => {}
    });
    outcome.expect("the run can be done");
    assert!(intervals >= 10 && standings >= 3, "{intervals} intervals, {standings} looks");
}

#[test]
fn a_log_holds_what_came_after_the_last_interval() {
    let (server, folder) = (Server::answering(HELLO), Folder::new("rest"));
    let (log, csv) = (folder.file("log"), folder.file("csv"));
    let ran = ringload(&["-n25", "-c1", "--hlog", &log, "--csv", &csv, &server.url()]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let log = fs::read_to_string(&log).unwrap();
    let lines: Vec<_> = log.lines().filter(|line| line.starts_with("0.000,")).collect();
    assert_eq!(lines.len(), 1, "{log}");
    let max_ms: f64 = lines[0].split(',').nth(2).unwrap().parse().expect("a number");
    assert!(max_ms > 0.0, "{log}");
    assert_eq!(fs::read_to_string(&csv).unwrap().lines().count(), 1, "no interval is over");
}

#[test]
fn a_dashboard_without_a_terminal_is_told_of() {
    let server = Server::answering(HELLO);
    let ran = ringload(&["-n5", "--tui", &server.url()]);
    assert!(ran.code == Some(0) && ran.stderr.contains("--tui"), "{ran:?}");
}
