//! What a suite has found out, as files: Markdown and a page of HTML for people, CSV and JSON for
//! programs. `docs/suite-reports.md` says what is in them.
//!
//! Writers are pure: [`SuiteResults`] go in, text comes out; only [`write_all`] touches a disk.
//!
//! | module | what it does |
//! |---|---|
//! | `figures` | the figures of a run, out of its report |
//! | `digest` | which run stands for its repeats, and in which order servers are told |
//! | `table`, `tables`, `samples` | tables as such, for Markdown and HTML alike |
//! | `words`, `lead`, `failures` | numbers, sentences, and what was not measured |
//! | `markdown`, `html`, `bars`, `csv` | the forms |

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::results::SuiteResults;
use digest::Digest;

mod bars;
mod csv;
mod digest;
mod failures;
mod figures;
mod html;
mod lead;
mod markdown;
mod samples;
mod table;
mod tables;
mod words;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;

/// The report as Markdown, to be pasted into an issue or kept beside the code.
pub fn markdown(results: &SuiteResults) -> String {
    markdown::render(&Digest::of(results))
}

/// The report as one page of HTML that needs nothing else.
pub fn html(results: &SuiteResults) -> String {
    html::page(&Digest::of(results))
}

/// All runs as CSV, a line each.
pub fn csv(results: &SuiteResults) -> String {
    csv::render(&Digest::of(results))
}

/// The samples of all runs as CSV, a line each.
pub fn samples_csv(results: &SuiteResults) -> String {
    samples::csv(results)
}

/// All that is known, as one object on one line.
///
/// # Errors
///
/// None that is known: everything in it can be put into JSON.
pub fn json(results: &SuiteResults) -> serde_json::Result<String> {
    Ok(serde_json::to_string(results)? + "\n")
}

/// Writes all forms into a folder, which is made if it is not there: `NAME.md`, `NAME.html`,
/// `NAME.csv`, `NAME-samples.csv` and `NAME.json`. Each takes the place of the one before as a
/// whole, so that whoever reads meanwhile, or is left after a kill, has the old one or the new one.
///
/// # Errors
///
/// When the suite's name is none for a file, or one of the files cannot be written; the text names
/// it.
pub fn write_all(results: &SuiteResults, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let name = &results.name;
    if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
        let told = format!("`{name}`, the name of the suite, cannot be the name of a file");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    fs::create_dir_all(folder).map_err(|error| at(folder, &error))?;
    let digest = Digest::of(results);
    let files = [
        (format!("{name}.md"), markdown::render(&digest)),
        (format!("{name}.html"), html::page(&digest)),
        (format!("{name}.csv"), csv::render(&digest)),
        (format!("{name}-samples.csv"), samples::csv(results)),
        (format!("{name}.json"), json(results)?),
    ];
    let mut paths = Vec::new();
    for (file, text) in files {
        let path = folder.join(&file);
        let beside = folder.join(format!(".{file}.tmp"));
        let written = fs::write(&beside, text).and_then(|()| fs::rename(&beside, &path));
        written.map_err(|error| {
            // It may not be there, and does no harm if it stays.
            let _ = fs::remove_file(&beside);
            at(&path, &error)
        })?;
        paths.push(path);
    }
    Ok(paths)
}

/// An error with the path that it is about.
fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
