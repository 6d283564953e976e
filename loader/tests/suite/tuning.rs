//! Suites in network namespaces of their own.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::folder::{Folder, kill, outcomes};
use crate::processes::{may_make_namespaces, processes_with, wait_until};

#[test]
fn a_tuned_suite_runs_in_namespaces() {
    if !may_make_namespaces() {
        return;
    }
    let folder = Folder::new("tuned");
    let profile = folder.path.join("mine");
    fs::create_dir_all(&profile).expect("can be made");
    let sysctl = "net.ipv4.tcp_tw_reuse = 1\nnet.ipv4.no_such_key = 1\n";
    fs::write(profile.join("sysctl.conf"), sysctl).expect("can be written");
    let scenario = "connections = [2]\nduration = \"300999us\"\nrepeats = 2";
    let head = format!("tuning = \"{}\"", profile.display());
    folder.write(&head, scenario, &[folder.server("forks", "forks")]);
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = folder.runs();
    assert_eq!(outcomes(&runs)["forks"]["measured"], 2);
    assert!(runs[0].pointer("/usage/rss_idle_bytes").and_then(Value::as_u64) > Some(0));
    let warnings = folder.lines("warning");
    let refused = warnings.iter().filter(|it| it.to_string().contains("net.ipv4.no_such_key"));
    assert_eq!(refused.count(), 1, "{warnings:?}");
    assert_eq!(folder.servers_left(), [""; 0]);
    // Killed, it leaves neither processes nor namespaces with something in them.
    folder.write(
        &head,
        "connections = [2]\nduration = \"60000999us\"",
        &[folder.server("forks", "forks")],
    );
    let mut child = folder.start(&["--fresh"]);
    wait_until(|| !processes_with("60000999us").is_empty(), "a load runs");
    kill(child.id(), Signal::KILL);
    child.wait().expect("it was killed");
    wait_until(|| folder.servers_left().is_empty(), "nothing of the servers is left");
    wait_until(|| processes_with("60000999us").is_empty(), "the load is gone");
}
