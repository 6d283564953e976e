//! Whole outputs, compared with those in `testdata/`. `BLESS=1 cargo test -p ringload suite::report`
//! writes them anew; read what has changed before it is committed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::digest::Standing;
use super::fixtures::{HOSTILE, broken_off, full};
use super::*;
use crate::report::html::tests::assert_nested;

fn assert_as_kept(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/suite/report/testdata").join(name);
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, text).expect("written");
    }
    let kept = fs::read_to_string(&path).expect("kept");
    let differing = kept.lines().zip(text.lines()).position(|(left, right)| left != right);
    assert!(kept == text, "{name} differs from line {differing:?} (from 0) on:\n{text}");
}

#[test]
fn markdown_as_a_whole() {
    assert_as_kept("full.md", &markdown(&full()));
    assert_as_kept("broken-off.md", &markdown(&broken_off()));
}

#[test]
fn html_as_a_whole() {
    assert_as_kept("full.html", &without_style(&html(&full())));
    assert_as_kept("broken-off.html", &without_style(&html(&broken_off())));
}

/// What changes for all pages at once is kept out of the comparison.
fn without_style(page: &str) -> String {
    let (before, rest) = page.split_once("<style>").expect("a style");
    let (_, after) = rest.split_once("</style>").expect("its end");
    format!("{before}<style></style>{after}")
}

#[test]
fn csv_as_a_whole() {
    assert_as_kept("full.csv", &csv(&full()));
    assert_as_kept("full-samples.csv", &samples_csv(&full()));
}

#[test]
fn csv_has_as_many_cells_in_each_line() {
    for text in [csv(&full()), csv(&broken_off()), samples_csv(&full())] {
        let mut counts = text.lines().map(cells);
        let head = counts.next().expect("a line of names");
        assert!(counts.all(|count| count == head), "{text}");
    }
}

/// The cells of a line of CSV; commas in quotes are none of theirs.
fn cells(line: &str) -> usize {
    let outside = line.split('"').step_by(2);
    1 + outside.map(|part| part.matches(',').count()).sum::<usize>()
}

#[test]
fn json_is_all_of_it() {
    for results in [full(), broken_off()] {
        let text = json(&results).expect("JSON");
        assert_eq!(text.lines().count(), 1);
        let read: SuiteResults = serde_json::from_str(&text).expect("read back");
        assert_eq!(read, results);
    }
}

/// Every key is described.
#[test]
fn the_documentation_has_every_key() {
    let documentation = include_str!("../../../../docs/suite-reports.md");
    let mut keys = Vec::new();
    collect(&serde_json::to_value(full()).expect("JSON"), &mut keys);
    assert!(keys.len() > 50, "{keys:?}");
    for key in keys {
        assert!(documentation.contains(&format!("`{key}`")), "docs/suite-reports.md lacks {key}");
    }
}

fn collect(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                keys.push(key.clone());
                // Reports have a document of their own, and the names of shares are the kernel's.
                if key != "report" && key != "machine" {
                    collect(member, keys);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, keys)),
        _ => {}
    }
}

#[test]
fn tables_of_markdown_have_as_many_cells_as_heads() {
    for text in [markdown(&full()), markdown(&broken_off())] {
        let mut wanted = None;
        for line in text.lines() {
            let bars = line.replace("\\|", "").matches('|').count();
            if line.starts_with('|') {
                assert_eq!(*wanted.get_or_insert(bars), bars, "{line}");
            } else {
                wanted = None;
            }
        }
    }
}

#[test]
fn the_page_needs_nothing_else() {
    for text in [html(&full()), html(&broken_off())] {
        assert_nested(&text);
        let text = text.replace("http://127.0.0.1:{port}/", "").replace("href=\"#", "");
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert!(!text.contains("NaN") && !text.contains("inf%"), "a number that is none");
        assert!(text.contains("prefers-color-scheme: dark") && text.contains("width=device-width"));
    }
}

#[test]
fn names_stay_text() {
    let text = html(&full());
    assert!(!text.contains("<b>") && !text.contains("a<b>"), "{text}");
    assert!(text.contains("h2o &lt;b&gt;&quot;1|2&quot;&lt;/b&gt;, `x`"));
    let text = markdown(&full());
    assert!(
        !text.contains("| h2o <b>") && text.contains("| h2o &lt;b>\"1\\|2\"&lt;/b>, \\`x\\` |")
    );
}

#[test]
fn every_anchor_has_its_place() {
    let text = html(&full());
    for link in text.split("href=\"#").skip(1) {
        let id = link.split_once('"').expect("an end").0;
        assert_eq!(text.matches(&format!("id=\"{id}\"")).count(), 1, "{id}");
    }
}

/// Servers in order, each with the rates that are shown.
fn order(results: &SuiteResults, scenario: usize) -> Vec<(String, Vec<f64>)> {
    let digest = Digest::of(results);
    let rows = digest.scenarios[scenario].rows.iter().map(|row| {
        let rates = row.standings.iter().filter_map(Standing::measured);
        (row.server.name.clone(), rates.map(|it| it.figures.requests_per_sec).collect())
    });
    rows.collect()
}

#[test]
fn servers_stand_in_the_order_of_their_merit() {
    let names = |scenario| {
        let order = order(&full(), scenario);
        order.into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    // The hostile one gives more answers at c=10, but not more that are good.
    assert_eq!(names(0), ["ringserve", HOSTILE, "crasher", "liar", "nginx"]);
    assert_eq!(names(1), ["ringserve", HOSTILE, "crasher", "nginx"]);
    let full = full();
    let digest = Digest::of(&full);
    assert_eq!(digest.scenarios[1].absent, ["liar"]);
    let ranks: Vec<_> = digest.scenarios[0].rows.iter().map(|row| row.rank).collect();
    assert_eq!(ranks, [Some(1), Some(2), None, None, None]);
}

#[test]
fn the_best_or_the_middle_stands_for_all() {
    let mut results = full();
    let of = |results: &SuiteResults, server: &str, cell: usize| {
        let order = order(results, 0);
        order.iter().find(|(name, _)| name == server).map(|(_, rates)| rates[cell])
    };
    assert_eq!(of(&results, "ringserve", 0), Some(160_000.0));
    // The second crashed; it is the best of the others.
    assert_eq!(of(&results, "crasher", 0), Some(154_500.0));
    results.cells[0].pick = super::super::results::Pick::Median;
    assert_eq!(of(&results, "ringserve", 0), Some(155_000.0));
    assert_eq!(of(&results, "crasher", 0), Some(149_500.0), "the lower of two");
}

#[test]
fn runs_with_errors_do_not_count_while_there_are_others() {
    let mut results = full();
    let run = results.runs.iter_mut().find(|run| run.server == HOSTILE).expect("there");
    let report = run.report.as_mut().expect("a report");
    report["errors"]["timeout"] = 0.into();
    report["status"] = serde_json::json!({
        "1xx": 0, "2xx": report["requests"], "3xx": 0, "4xx": 0, "5xx": 0,
    });
    report["requests_per_sec"] = 100_000.0.into();
    let digest = Digest::of(&results);
    let row = digest.scenarios[0].rows.iter().find(|row| row.server.name == HOSTILE);
    let picked = row.and_then(|row| row.standings[0].measured()).expect("measured");
    assert!((picked.figures.requests_per_sec - 100_000.0).abs() < 1e-9);
    assert_eq!((picked.of, picked.made), (1, 3));
}

#[test]
fn a_report_that_cannot_be_read_is_told() {
    let mut results = full();
    for run in results.runs.iter_mut().filter(|run| run.server == "ringserve") {
        run.report = None;
    }
    let text = markdown(&results);
    assert!(text.contains("**no report**") && text.contains("but left no report"), "{text}");
}

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("ringload-suite-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn files_are_written_and_replaced() {
    let folder = Folder::new("files");
    let into = folder.0.join("a/b");
    write_all(&broken_off(), &into).expect("written");
    let paths = write_all(&full(), &into).expect("written again");
    let names = ["md", "html", "csv", "json"].map(|ending| into.join(format!("fixture.{ending}")));
    assert!(names.iter().all(|name| paths.contains(name)) && paths.len() == 5, "{paths:?}");
    assert_eq!(fs::read_to_string(&paths[0]).expect("read"), markdown(&full()));
    let left = fs::read_dir(&into).expect("a folder").count();
    assert_eq!(left, 5, "nothing is left beside them");
}

#[test]
fn what_cannot_be_written_is_said() {
    let folder = Folder::new("errors");
    for name in ["", "../x", "a/b", ".hidden"] {
        let results = SuiteResults { name: name.to_owned(), ..full() };
        let error = write_all(&results, &folder.0).expect_err("no name for a file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&format!("`{name}`")), "{error}");
    }
    assert!(!folder.0.exists());
    // A folder stands where the page should.
    fs::create_dir_all(folder.0.join("fixture.html/x")).expect("made");
    let error = write_all(&full(), &folder.0).expect_err("in the way");
    assert!(error.to_string().contains("fixture.html: "), "{error}");
    assert!(!folder.0.join(".fixture.html.tmp").exists());
}
