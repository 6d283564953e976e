//! Servers of all kinds in one suite: each is recorded as what it is, and the others are measured.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::folder::{Folder, outcomes, told};

#[test]
fn each_server_is_recorded_as_what_it_is() {
    let folder = Folder::new("kinds");
    let kinds = ["good", "exits", "crashes", "falls-silent", "wrong", "silent"];
    let mut servers: Vec<String> = kinds.iter().map(|kind| folder.server(kind, kind)).collect();
    servers.push(folder.server_by(
        "stubborn",
        "good",
        "sh -c 'trap \"\" TERM; exec \"$0\" \"$@\"'",
    ));
    servers.push(format!(
        "[[server]]\nname = \"missing\"\ncommand = \"/nonexistent/{} {{port}}\"\n",
        folder.mark
    ));
    servers.push(format!(
        "[[server]]\nname = \"daemon\"\ncommand = \"sh -c 'setsid -f sleep {}; : {{port}}'\"\n",
        folder.endless
    ));
    let scenario = "connections = [2]\nduration = \"500ms\"\nrepeats = 2";
    folder.write("", scenario, &servers);
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(5), "{ran:?}");
    let runs = folder.runs();
    let expected = [
        ("good", "measured", 2),
        ("exits", "not_started", 1),
        ("crashes", "crashed", 2),
        ("falls-silent", "hung", 2),
        ("wrong", "wrong_answer", 1),
        ("silent", "hung", 1),
        ("stubborn", "measured", 2),
        ("missing", "not_started", 1),
        ("daemon", "not_started", 1),
    ];
    let expected: BTreeMap<String, BTreeMap<String, usize>> = expected
        .into_iter()
        .map(|(server, kind, count)| (server.to_owned(), [(kind.to_owned(), count)].into()))
        .collect();
    assert_eq!(outcomes(&runs), expected, "{ran:?}");

    let exits = told(&runs, "exits");
    assert!(
        exits.contains("exit status: 7") && exits.contains("no cheese at 127.0.0.1:"),
        "{exits}"
    );
    let crashes = told(&runs, "crashes");
    assert!(crashes.contains("exit status: 9") && crashes.contains("out of cheese"), "{crashes}");
    assert!(told(&runs, "wrong").contains("got `Hello, Mars!!`"), "{}", told(&runs, "wrong"));
    assert!(told(&runs, "silent").starts_with("no answer to GET / within 3 s"));
    assert!(told(&runs, "falls-silent").contains("answers and"), "{}", told(&runs, "falls-silent"));
    assert!(told(&runs, "missing").contains("cannot start `/nonexistent/mark"));
    assert!(told(&runs, "daemon").contains("exit status: 0"), "{}", told(&runs, "daemon"));
    let warnings = folder.lines("warning");
    let stubborn = "stubborn did not end within 2 s of SIGTERM and was killed";
    assert!(warnings.iter().any(|warning| warning == stubborn), "{warnings:?}");
    assert_eq!(folder.servers_left(), [""; 0]);
    for run in runs.iter().filter(|run| run["server"] == "good") {
        check_measured(run);
    }
}

/// That a run has what a report needs.
fn check_measured(run: &Value) {
    let number = |pointer: &str| run.pointer(pointer).and_then(Value::as_f64);
    let report = &run["report"];
    assert!(number("/report/requests").is_some_and(|requests| requests > 0.0), "{run}");
    assert!(report.get("histograms").is_none() && report.get("latency_us").is_some());
    for pointer in ["/usage/rss_idle_bytes", "/usage/rss_max_bytes", "/usage/cpu_ns"] {
        assert!(number(pointer).is_some_and(|value| value > 0.0), "{pointer}: {run}");
    }
    assert!(number("/usage/pss_idle_bytes") <= number("/usage/rss_idle_bytes"), "{run}");
    let threads = run["usage"]["per_thread"].as_array().expect("a list");
    let of_threads: f64 = threads.iter().filter_map(|thread| thread["cpu_ns"].as_f64()).sum();
    assert_eq!(number("/usage/cpu_ns"), Some(of_threads), "{run}");
    assert!(number("/report/server/pid").is_some(), "{run}");
}

#[test]
fn samples_are_taken_each_second() {
    let folder = Folder::new("samples");
    let scenario = "connections = [2]\nduration = \"2500ms\"\nrepeats = 1\nwarm_up = \"100ms\"";
    folder.write("", scenario, &[folder.server("forks", "forks")]);
    let ran = folder.run(&[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let runs = folder.runs();
    let usage = &runs[0]["usage"];
    let samples = usage["samples"].as_array().expect("a list");
    assert!((2..=3).contains(&samples.len()), "{usage}");
    for sample in samples {
        assert!(sample["server_cpu_ns"].as_u64().is_some_and(|cpu_ns| cpu_ns > 0), "{sample}");
        let shares = sample["machine"].as_object().expect("shares");
        let sum: f64 = shares.values().filter_map(Value::as_f64).sum();
        assert!((sum - 1.0).abs() < 1e-6 && shares.contains_key("steal"), "{sample}");
    }
    assert!(usage["pss_max_bytes"].as_u64().is_some_and(|bytes| bytes > 0), "{usage}");
    // The server, its shell, and the two that sleep.
    assert_eq!(usage["processes"], 4, "{usage}");
    assert!(usage["threads"].as_u64() > Some(4), "{usage}");
    assert_eq!(folder.servers_left(), [""; 0]);
}
