//! A suite that is ended in the middle, in one way or another, leaves nothing and goes on.

use std::fs;
use std::io::Write;
use std::net::TcpStream;

use rustix::process::Signal;
use serde_json::Value;

use crate::folder::{Folder, kill, outcomes, told};
use crate::processes::{processes_with, wait_until};

/// Killed outright in the middle, it leaves no process, and the same command does what is left.
#[test]
fn a_killed_suite_goes_on() {
    let folder = Folder::new("killed");
    let scenario = "connections = [1, 2]\nduration = \"700123us\"\nrepeats = 2";
    let servers = [folder.server("good", "good"), folder.server("forks", "forks")];
    folder.write("", scenario, &servers);
    let mut child = folder.start(&[]);
    // In the middle of a run with a server that has children.
    let load = || processes_with("700123us").into_iter().find(|line| line.contains("--server-pid"));
    let is_in_the_middle = || {
        !folder.runs().is_empty() && load().is_some() && !processes_with(&folder.endless).is_empty()
    };
    wait_until(is_in_the_middle, "a server with children is loaded");
    let url = load().and_then(|line| Some(line.trim().rsplit_once("http://")?.1.to_owned()));
    kill(child.id(), Signal::KILL);
    child.wait().expect("it was killed");
    wait_until(|| folder.servers_left().is_empty(), "nothing of the servers is left");
    wait_until(|| load().is_none(), "the load is gone");
    let url = url.expect("the load had one");
    let address = url.trim_end_matches('/');
    // The kernel closes the sockets of a ring a little after its process is gone.
    wait_until(|| TcpStream::connect(address).is_err(), "nobody listens any more");
    let before = folder.runs();
    assert!((1..8).contains(&before.len()), "{before:?}");

    let journal = folder.path.join("out/runs.jsonl");
    let mut file = fs::OpenOptions::new().append(true).open(journal).expect("it is there");
    file.write_all(b"{\"run\":{\"server\":\"go").expect("can be written");
    drop(file);
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let kept = format!("where {} runs are kept", before.len());
    assert!(ran.stderr.contains(&kept) && ran.stderr.contains("was not whole"), "{ran:?}");
    let after = folder.runs();
    assert_eq!(after[..before.len()], before[..], "what was measured stays as it was");
    let mut made: Vec<String> = after
        .iter()
        .map(|run| format!("{} {} {}", run["server"], run["cell"], run["repeat"]))
        .collect();
    made.sort_unstable();
    made.dedup();
    assert_eq!((made.len(), after.len()), (8, 8), "each once: {made:?}");
    assert!(after.iter().all(|run| run["outcome"]["kind"] == "measured"), "{after:?}");
    goes_on_only_as_it_was(&folder, &after);
}

fn goes_on_only_as_it_was(folder: &Folder, runs: &[Value]) {
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(folder.runs(), runs, "there was nothing left to measure");
    let ran = folder.run(&["--seed", "2"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("--seed was 1 and is 2") && ran.stderr.contains("--fresh"),
        "{ran:?}"
    );
    let text = fs::read_to_string(folder.file()).expect("it is there");
    fs::write(folder.file(), text + "\n# changed\n").expect("can be written");
    let ran = folder.run(&[]);
    assert!(ran.code == Some(1) && ran.stderr.contains("s.toml has changed"), "{ran:?}");
    assert_eq!(folder.runs(), runs);
}

#[test]
fn an_interrupted_suite_ends_in_order() {
    let folder = Folder::new("interrupted");
    let scenario = "connections = [1]\nduration = \"60000321us\"\nrepeats = 1";
    folder.write("", scenario, &[folder.server("forks", "forks")]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let mut child = folder.start(&[]);
        wait_until(|| !processes_with("60000321us").is_empty(), "a load runs");
        kill(child.id(), signal);
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
        assert_eq!(folder.servers_left(), [""; 0]);
        assert_eq!(processes_with("60000321us"), [""; 0]);
        assert!(folder.runs().is_empty());
        let files = fs::read_dir(folder.path.join("out")).expect("it is there").count();
        assert!(files > 1, "the reports are written all the same");
    }
}

/// A guard that is killed by somebody else takes nothing but its run with it.
#[test]
fn a_killed_guard_leaves_nothing() {
    let folder = Folder::new("guard");
    let scenario = "connections = [1]\nduration = \"3000777us\"\nrepeats = 1";
    folder.write("", scenario, &[folder.server("forks", "forks"), folder.server("good", "good")]);
    let mut child = folder.start(&[]);
    wait_until(
        || !processes_with(&folder.endless).is_empty() && !processes_with("3000777us").is_empty(),
        "a load runs",
    );
    let guards = processes_with("suite --guard");
    let guard = guards.iter().find(|line| line.contains(&folder.mark)).expect("there is one");
    let pid = guard.split(' ').next().and_then(|pid| pid.parse().ok()).expect("a pid");
    kill(pid, Signal::KILL);
    assert_eq!(child.wait().expect("it ends").code(), Some(5));
    assert_eq!(folder.servers_left(), [""; 0]);
    let runs = folder.runs();
    let kinds = outcomes(&runs);
    assert!(kinds["forks"].contains_key("crashed") && kinds["good"].contains_key("measured"));
    assert!(told(&runs, "forks").contains("its guard was killed"), "{}", told(&runs, "forks"));
}
