//! Suites that are in order, and suites that are not.

use std::fs;
use std::time::Duration;

use super::*;
use crate::suite::results::Pick;

/// A folder with a suite in it, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, suite: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ringload-spec-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("can be made");
        fs::write(path.join("s.toml"), suite).expect("can be written");
        Self(path)
    }

    fn read(&self, is_quick: bool) -> Result<Suite, SpecError> {
        Suite::read(&self.0.join("s.toml"), is_quick)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const WHOLE: &str = r#"
name = "hello"
title = "Hello"
source = "somewhere"
misleads = ["a", "b"]

[defaults]
threads = 4
duration = "30s"
warm_up = "5s"
repeats = 5
pick = "best"

[quick]
duration = "2s"
repeats = 2

[[scenario]]
name = "hello"
path = "/?a=1"
connections = [1, 100]
headers = ["A: b"]
quick = { connections = [10], duration = "1s" }
expect = { status = 200, body = "Hello, World!" }

[[scenario]]
name = "ping"
method = "POST"
path = "/ping"
body = '{"sequence": 2}'
rate = 4000
connections = [2]
pipeline = 3
timeout = "3s"
args = ["--seed", "7"]

[[server]]
name = "one"
command = "sh {suite}/serve -p {port} 'a b'"
environment = { N = "{threads}" }
serves = ["/"]
ready_timeout = "3s"
cores = "0"

[[published]]
title = "T"
columns = ["name", "c=10"]
rows = [["nginx", "1"]]
"#;

#[test]
fn layers_of_keys() {
    let folder = Folder::new("layers", WHOLE);
    let suite = folder.read(false).expect("in order");
    let [hello, ping] = &suite.scenarios[..] else { panic!("{suite:?}") };
    assert_eq!((hello.duration, hello.repeats), (Duration::from_secs(30), 5));
    assert_eq!((&hello.connections[..], hello.pick), (&[1, 100][..], Pick::Best));
    assert_eq!((hello.request.as_str(), hello.path.as_str()), ("GET /?a=1", "/?a=1"));
    assert_eq!(hello.needs, ["/"]);
    // A thread needs a connection.
    assert_eq!(hello.load(1, 2), ["-c", "1", "-t", "1", "-H", "A: b"]);
    assert_eq!(hello.load(100, 2)[..4], ["-c", "100", "-t", "4"]);
    assert_eq!(ping.request, "POST /ping");
    assert_eq!((ping.rate, ping.pipeline), (Some(4000.0), 3));
    let load = ping.load(2, 1).join(" ");
    assert_eq!(load, "-c 2 -t 2 -p 3 -R 4000 -T 3s -m POST -b {\"sequence\": 2} --seed 7");
    assert_eq!(ping.answer_limit, Duration::from_secs(3));

    let quick = folder.read(true).expect("in order");
    let [hello, ping] = &quick.scenarios[..] else { panic!("{quick:?}") };
    assert_eq!((hello.duration, hello.repeats), (Duration::from_secs(1), 2));
    assert_eq!(hello.connections, [10]);
    assert_eq!((ping.duration, ping.warm_up), (Duration::from_secs(2), Duration::from_secs(5)));
}

#[test]
fn servers_are_put_together() {
    let folder = Folder::new("servers", WHOLE);
    let suite = folder.read(false).expect("in order");
    let server = &suite.servers[0];
    let script = folder.0.join("serve").display().to_string();
    assert_eq!(server.argv(81, 2), ["sh", &script, "-p", "81", "a b"]);
    assert_eq!(server.variables(81, 2), [("N".to_owned(), "2".to_owned())]);
    assert_eq!(
        (server.ready_limit, server.cores.as_deref()),
        (Duration::from_secs(3), Some(&[0][..]))
    );
    assert!(server.has(&suite.scenarios[0].needs) && !server.has(&suite.scenarios[1].needs));
    assert_eq!(suite.published[0].rows, [["nginx", "1"]]);
}

#[test]
fn a_choice_of_servers_and_scenarios() {
    let folder = Folder::new("choice", WHOLE);
    let suite = folder.read(false).expect("in order");
    let choose = |only: &[&str], skip: &[&str], scenarios: &[&str]| {
        let names = |list: &[&str]| list.iter().map(|&name| name.to_owned()).collect();
        let choice = Choice { only: names(only), skip: names(skip), scenarios: names(scenarios) };
        let mut suite = suite.clone();
        suite.choose(&choice).map(|()| (suite.servers.len(), suite.scenarios.len()))
    };
    assert_eq!(choose(&[], &[], &[]), Ok((1, 2)));
    assert_eq!(choose(&["one"], &[], &["ping"]), Ok((1, 1)));
    assert!(choose(&[], &["one"], &[]).is_err_and(|told| told.contains("no server")));
    assert!(choose(&["two"], &[], &[]).is_err_and(|told| told.contains("`two`")));
    assert!(choose(&[], &[], &["pong"]).is_err_and(|told| told.contains("hello, ping")));
}

#[test]
fn a_peer_has_a_folder() {
    let suite = WHOLE
        .replacen("title =", "peers = \"peers\"\ntitle =", 1)
        .replace("[[published]]", "[[server]]\npeer = \"nginx\"\n[[published]]");
    let folder = Folder::new("peer", &suite);
    let refused = folder.read(false).expect_err("no such folder").to_string();
    assert!(refused.contains("peers: there is no folder"), "{refused}");
    let peer = folder.0.join("peers/nginx");
    fs::create_dir_all(&peer).expect("can be made");
    let refused = folder.read(false).expect_err("an empty folder").to_string();
    assert!(refused.contains("peer.toml"), "{refused}");
    let about = "name = \"nginx\"\nlanguage = \"C\"\nserves = [\"/\"]\nabout = \"tuned\"\n";
    fs::write(peer.join("peer.toml"), about).expect("can be written");
    fs::write(peer.join("run"), "#!/bin/sh\n").expect("can be written");
    let suite = folder.read(false).expect("in order");
    let server = &suite.servers[1];
    assert_eq!((server.name.as_str(), server.language.as_deref()), ("nginx", Some("C")));
    let run = peer.canonicalize().expect("it is there").join("run").display().to_string();
    assert_eq!(server.argv(81, 2), [&run, "--listen", "127.0.0.1:81", "--threads", "2"]);
    assert_eq!(server.version.as_deref(), Some(&[run, "--version".to_owned()][..]));
    let files: Vec<&str> = suite.files().map(|file| file.name.as_str()).collect();
    assert_eq!(files, ["s.toml", "peers/nginx/peer.toml", "peers/nginx/run"]);
}

/// The error of a suite that is the whole one with `from` replaced by `to`.
fn refused(name: &str, from: &str, to: &str) -> String {
    assert!(WHOLE.contains(from), "{from}");
    let folder = Folder::new(name, &WHOLE.replacen(from, to, 1));
    let error = folder.read(true).expect_err(to).to_string();
    let place = folder.0.join("s.toml").display().to_string();
    assert!(error.starts_with(&place), "{error}");
    error[place.len()..].to_owned()
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (number, (from, to, line, part)) in [
        ("title = \"Hello\"\n", "", 0, "missing field `title`"),
        ("title =", "titel =", 3, "unknown field `titel`"),
        ("name = \"hello\"\ntitle", "name = \"a/b\"\ntitle", 2, "name: `a/b` becomes part"),
        ("repeats = 5", "repeats = \"5\"", 11, "invalid type"),
        ("[defaults]", "[defaults]\nname = \"x\"", 7, "`name` belongs to a [[scenario]]"),
        ("warm_up = \"5s\"", "warm_up = \"5x\"", 10, "scenario `hello`, warm_up: `5x`"),
        ("duration = \"1s\"", "duration = \"0s\"", 23, "longer than nothing"),
        ("repeats = 2", "repeats = 0", 16, "from 1 to 1000"),
        ("connections = [2]\n", "", 26, "scenario `ping`: it has no connections"),
        ("connections = [2]", "connections = []", 32, "the list is empty"),
        ("connections = [2]", "connections = [2, 2]", 32, "2 is there twice"),
        ("path = \"/ping\"\n", "", 26, "it sends nothing"),
        ("path = \"/ping\"", "path = \"ping\"", 29, "has to begin with /"),
        ("path = \"/ping\"", "path = \"/p\"\nrequests = \"r\"", 30, "keep one of them"),
        (
            "method = \"POST\"\npath = \"/ping\"\nbody",
            "requests = \"r\"\nbody",
            28,
            "body belongs into",
        ),
        ("path = \"/?a=1\"", "requests = \"none.toml\"", 20, "cannot be read"),
        ("body = '{", "body = '@{", 30, "begins with @"),
        ("status = 200", "status = 99", 24, "99 is no status"),
        ("status = 200", "json = \"{\"", 24, "is not JSON"),
        ("status = 200", "state = 200", 24, "unknown field `state`"),
        ("name = \"ping\"", "name = \"hello\"", 26, "a scenario called `hello` already"),
        ("name = \"ping\"\n", "", 26, "a scenario needs a name"),
        ("-p {port}", "-p 80", 39, "has no {port}"),
        ("'a b'\"", "'a b\"", 39, "no partner"),
        ("command = \"sh {suite}/serve -p {port} 'a b'\"\n", "", 37, "it cannot be started"),
        ("name = \"one\"\n", "", 37, "needs a name"),
        ("name = \"one\"", "peer = \"one\"", 39, "keep peer or command"),
        ("ready_timeout = \"3s\"", "ready_timeout = \"soon\"", 42, "ready_timeout: `soon`"),
        ("cores = \"0\"", "cores = \"x\"", 43, "server `one`, cores: `x`"),
        ("cores = \"0\"", "directory = \"gone\"", 43, "there is no folder"),
        ("[[\"nginx\", \"1\"]]", "[[\"nginx\"]]", 48, "1 cells, and there are 2 columns"),
        ("source =", "tuning = \"documentd\"\nsource =", 4, "`documentd`"),
    ]
    .into_iter()
    .enumerate()
    {
        let error = refused(&format!("wrong-{number}"), from, to);
        assert!(error.contains(part), "{to}: {error}");
        if line > 0 {
            assert!(error.starts_with(&format!(":{line}: ")), "{to}: line {line}: {error}");
        }
    }
}

#[test]
fn a_file_that_is_not_there() {
    let error = Suite::read(Path::new("/nonexistent/s.toml"), false).expect_err("not there");
    assert!(error.to_string().starts_with("/nonexistent/s.toml: it cannot be read"), "{error}");
}
