//! Journals that were written to their end, and others.

use super::*;
use crate::suite::results::Usage;

/// An output folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("ringload-journal-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }

    fn open(&self) -> Result<Journal, JournalError> {
        Journal::open(&self.0, &header(), false)
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().append(true).open(self.file()).expect("it is there");
        file.write_all(text.as_bytes()).expect("can be written");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn header() -> Header {
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let key = Key {
        files: one("s.toml", "aa"),
        flags: one("--seed", "1"),
        machine: one("kernel", "6.18"),
        versions: one("nginx", "nginx 1.26"),
    };
    let results = SuiteResults {
        name: "s".to_owned(),
        title: "S".to_owned(),
        source: None,
        method: None,
        misleads: Vec::new(),
        is_quick: false,
        started_unix_ms: 1,
        ended_unix_ms: None,
        ringload_version: "0.1.0".to_owned(),
        machine: Vec::new(),
        server_cores: vec![0],
        load_cores: vec![1],
        tuning: None,
        servers: Vec::new(),
        cells: Vec::new(),
        runs: Vec::new(),
        published: Vec::new(),
        warnings: vec!["one core".to_owned()],
    };
    Header::new(key, results)
}

fn run(server: &str, repeat: u64, outcome: Outcome) -> Run {
    Run {
        server: server.to_owned(),
        cell: "hello c=1".to_owned(),
        repeat,
        started_unix_ms: 5,
        outcome,
        usage: Usage::default(),
        report: None,
    }
}

#[test]
fn what_was_written_is_there_again() {
    let folder = Folder::new("again");
    let mut journal = folder.open().expect("new");
    assert!(!journal.is_resumed && !journal.has("a", "hello c=1", 1));
    journal.add(run("a", 1, Outcome::Measured)).expect("written");
    journal.warn("w".to_owned()).expect("written");
    journal.warn("w".to_owned()).expect("known already");
    journal.end(7).expect("written");
    journal.end(8).expect("known already");
    let results = journal.results.clone();
    drop(journal);
    let mut later = header();
    later.results.started_unix_ms = 99;
    let journal = Journal::open(&folder.0, &later, false).expect("it goes on");
    assert!(journal.is_resumed && journal.dropped_bytes == 0);
    assert_eq!(journal.results, results);
    assert_eq!(
        (&results.warnings[..], results.ended_unix_ms),
        (&["one core".to_owned(), "w".to_owned()][..], Some(7))
    );
    assert!(journal.has("a", "hello c=1", 1) && !journal.has("a", "hello c=1", 2));
    drop(journal);
    let mut journal = folder.open().expect("it goes on");
    assert_eq!((journal.results.started_unix_ms, journal.results.runs.len()), (1, 1));
    journal.add(run("a", 2, Outcome::Measured)).expect("written");
    assert_eq!(journal.results.ended_unix_ms, None);
}

#[test]
fn a_torn_line_is_dropped() {
    let folder = Folder::new("torn");
    let mut journal = folder.open().expect("new");
    journal.add(run("a", 1, Outcome::Measured)).expect("written");
    drop(journal);
    let whole = fs::metadata(folder.file()).expect("there").len();
    for torn in ["{\"run\":{\"server\":\"b\",", "{\"run\":{\"server\":\n", "\0\0\0\0"] {
        folder.append(torn);
        let journal = folder.open().expect("it goes on");
        assert_eq!((journal.dropped_bytes, journal.results.runs.len()), (torn.len(), 1));
        drop(journal);
        // What follows stands on a line of its own.
        let text = fs::read_to_string(folder.file()).expect("there");
        assert!(text.len() as u64 > whole && text.lines().count() > 2 && text.ends_with('\n'));
        assert!(text.lines().all(|line| serde_json::from_str::<Line>(line).is_ok()), "{text}");
    }
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let folder = Folder::new("malformed");
    drop(folder.open().expect("new"));
    folder.append("nonsense\n");
    folder.append("{\"warning\":\"w\"}\n");
    let error = folder.open().expect_err("nonsense").to_string();
    assert!(error.contains("runs.jsonl:2: ") && error.contains("--fresh"), "{error}");
    fs::write(folder.file(), "{\"warning\":\"w\"}\n{\"warning\":\"w\"}\n").expect("written");
    let error = folder.open().expect_err("no header").to_string();
    assert!(error.contains(":1: ") && error.contains("header"), "{error}");
    let journal = Journal::open(&folder.0, &header(), true).expect("a new one");
    assert!(!journal.is_resumed && folder.0.join(OLD_FILE).exists());
}

#[test]
fn two_at_once_are_refused() {
    let folder = Folder::new("busy");
    let _first = folder.open().expect("new");
    let error = folder.open().expect_err("the other one is at work").to_string();
    assert!(error.contains("another ringload suite is at work here"), "{error}");
}

fn set(map: &mut BTreeMap<String, String>, name: &str, value: &str) {
    map.insert(name.to_owned(), value.to_owned());
}

#[test]
fn what_differs_is_named() {
    let folder = Folder::new("differs");
    drop(folder.open().expect("new"));
    let refused = |change: fn(&mut Key)| {
        let mut other = header();
        change(&mut other.key);
        let opened = Journal::open(&folder.0, &other, false);
        opened.map(|journal| journal.is_resumed).map_err(|error| error.to_string())
    };
    for (change, part) in [
        ((|key| set(&mut key.files, "s.toml", "bb")) as fn(&mut Key), "s.toml has changed"),
        (|key| set(&mut key.files, "r.toml", "bb"), "r.toml was not part of it"),
        (|key| set(&mut key.flags, "--seed", "2"), "--seed was 1 and is 2"),
        (|key| set(&mut key.flags, "--only", "a"), "--only was nothing and is a"),
        (|key| set(&mut key.machine, "kernel", "7.0"), "kernel was 6.18 and is 7.0"),
        (|key| set(&mut key.versions, "nginx", "nginx 2"), "nginx was `nginx 1.26`"),
    ] {
        let told = refused(change).expect_err(part);
        assert!(told.contains(part) && told.contains("--output"), "{told}");
    }
    // A peer that has been installed since, or is gone, was not measured, or is no more.
    assert_eq!(refused(|key| set(&mut key.versions, "h2o", "h2o 2")), Ok(true));
    assert_eq!(refused(|key| key.versions.clear()), Ok(true));
}

#[test]
fn what_cannot_be_measured_is_not_tried_again() {
    let folder = Folder::new("final");
    let mut journal = folder.open().expect("new");
    let told = || "told".to_owned();
    for (server, outcome, is_done) in [
        ("a", Outcome::NotStarted { told: told() }, true),
        ("b", Outcome::WrongAnswer { told: told() }, true),
        ("c", Outcome::Hung { told: told() }, true),
        ("d", Outcome::Crashed { told: told() }, false),
        ("e", Outcome::LoadFailed { told: told() }, false),
        ("f", Outcome::Measured, false),
    ] {
        journal.add(run(server, 1, outcome)).expect("written");
        assert_eq!(journal.has(server, "hello c=1", 2), is_done, "{server}");
        assert!(!journal.has(server, "hello c=2", 2), "{server}: another cell");
    }
}

#[test]
fn digests_stay_the_same() {
    // Test vectors of FNV-1a.
    assert_eq!(digest(b""), "cbf29ce484222325");
    assert_eq!(digest(b"foobar"), "85944171f73967e8");
}
