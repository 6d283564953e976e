//! What the command line and the file say is done, or refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use serde_json::Value;

use crate::folder::{Folder, outcomes};
use crate::server::{KIND_VARIABLE, PORT_VARIABLE};

#[test]
fn a_list_runs_nothing() {
    let folder = Folder::new("list");
    let head = "[quick]\nduration = \"1s\"\nrepeats = 1\n";
    let scenario = "connections = [2, 8]\nduration = \"30s\"\nwarm_up = \"5s\"\nrepeats = 5\n\
                    quick = { connections = [3] }";
    folder.write(head, scenario, &[folder.server("a", "good"), folder.server("b", "good")]);
    let ran = folder.run(&["--list"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for part in
        ["hello c=2: GET /, 5 x 30s after 5s", "-c 8", "20 runs, about 12m10s", "\na: 10 runs"]
    {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    let ran = folder.run(&["--list", "--quick", "--skip", "b"]);
    assert!(ran.stdout.contains("hello c=3: GET /, 1 x 1s after 5s"), "{}", ran.stdout);
    assert!(ran.stdout.contains("1 runs, about 0m07s") && !ran.stdout.contains("b: "));
    assert!(!folder.path.join("out").exists(), "nothing was begun");
}

#[test]
fn a_choice_of_servers_is_measured() {
    let folder = Folder::new("only");
    let scenario = "connections = [1]\nduration = \"30s\"\nquick = { duration = \"200ms\" }";
    let servers = ["a", "b", "c"].map(|name| folder.server(name, "good"));
    folder.write("", scenario, &servers);
    let ran = folder.run(&["--quick", "--only", "c,a", "--skip", "a"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = folder.runs();
    assert_eq!(outcomes(&runs).into_keys().collect::<Vec<_>>(), ["c"]);
    let header = &folder.lines("header")[0];
    assert_eq!(header.pointer("/results/is_quick"), Some(&Value::Bool(true)));
    assert!(ran.stderr.contains("1 of 1: c, hello c=1, about 0m0"), "{ran:?}");
    // Without --output the folder is named after the suite.
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringload"));
    command.args(["suite", &folder.file(), "--quick", "--only", "b", "--no-progress"]);
    let output = command.current_dir(&folder.path).output().expect("it can be started");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(0) && !stderr.contains(" of 1: "), "{output:?}");
    let named = fs::read_dir(&folder.path).expect("it is there").flatten();
    let named =
        named.filter(|it| it.file_name().display().to_string().starts_with("suite-test-quick-2"));
    assert_eq!(named.count(), 1);
}

#[test]
fn bad_arguments_and_files_are_code_2() {
    let folder = Folder::new("bad");
    let scenario = "connections = [1]";
    folder.write("", scenario, &[folder.server("a", "good")]);
    for (arguments, part) in [
        (&["--only", "z"][..], "--only: there is no `z` in it, but a"),
        (&["--scenarios", "z"], "--scenarios: there is no `z` in it, but hello"),
        (&["--skip", "a"], "leave no server over"),
        (&["--server-cores", "4095"], "--server-cores: core 4095 is not among those"),
        (&["--load-cores", "x"], "--load-cores"),
    ] {
        let ran = folder.run(arguments);
        assert!(ran.code == Some(2) && ran.stderr.contains(part), "{part}: {ran:?}");
    }
    for (scenario, part) in [
        ("connections = []", "s.toml:9: scenario `hello`, connections: the list is empty"),
        ("connections = [1]\nduration = \"1x\"", "s.toml:10: scenario `hello`, duration: `1x`"),
        ("conections = [1]", "s.toml:9: unknown field `conections`"),
        ("connections = [1]\nargs = [\"--json\", \"f\"]", "--json is set by the suite itself"),
        ("connections = [0]", "scenario `hello` at 0 connections"),
        ("connections = [1]\nheaders = [\"x\"]", "scenario `hello` at 1 connections"),
    ] {
        folder.write("", scenario, &[folder.server("a", "good")]);
        let ran = folder.run(&[]);
        assert!(ran.code == Some(2) && ran.stderr.contains(part), "{part}: {ran:?}");
    }
    assert!(!folder.path.join("out").exists(), "nothing was begun");
    let output =
        Command::new(env!("CARGO_BIN_EXE_ringload")).args(["suite", "/nonexistent"]).output();
    assert_eq!(output.expect("it can be started").status.code(), Some(2));
}

#[test]
fn a_peer_that_is_not_installed_is_left_out() {
    let folder = Folder::new("peer");
    let peers = folder.path.join("peers");
    let peer = |name: &str, script: &str| {
        let path = peers.join(name);
        fs::create_dir_all(&path).expect("can be made");
        let about = format!("name = \"{name}\"\nserves = [\"/\"]\n");
        fs::write(path.join("peer.toml"), about).expect("can be written");
        fs::write(path.join("run"), format!("#!/bin/sh\n{script}\n")).expect("can be written");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path.join("run"), executable).expect("it is there");
        format!("[[server]]\npeer = \"{name}\"\n")
    };
    let program = std::env::current_exe().expect("this program has a path");
    let good = format!(
        "[ \"$1\" = --version ] && {{ echo good 1.2; exit; }}\nexport {KIND_VARIABLE}=good \
         {PORT_VARIABLE}=${{2##*:}}\nexec {} --exact server::the_server {} --ignored --nocapture",
        program.display(),
        folder.mark
    );
    let gone = peer("gone", "echo 'not installed: setup.sh gone' >&2; exit 3");
    let scenario = "connections = [1]\nduration = \"200ms\"";
    folder.write("peers = \"peers\"", scenario, &[gone.clone(), peer("good", &good)]);
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("gone is left out: not installed: setup.sh gone"), "{ran:?}");
    let header = &folder.lines("header")[0];
    assert_eq!(header.pointer("/results/servers/1/version"), Some(&Value::from("good 1.2")));
    assert_eq!(
        header.pointer("/results/servers/0/left_out"),
        Some(&Value::from("not installed: setup.sh gone"))
    );
    assert_eq!(outcomes(&folder.runs()).into_keys().collect::<Vec<_>>(), ["good"]);
    let ran = folder.run(&["--fresh", "--only", "gone"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("there is nothing to measure"), "{ran:?}");
}
