//! The journal of a suite: what has been measured, a line each, on disk before the next run begins.
//! So whatever ends a suite, the same command goes on where it was.
//!
//! The first line is a [`Header`]: what the suite is, and the [`Key`] that has to be the same for
//! runs to be put beside those that are there. A suite that goes on adds another one, and the last is
//! the one that counts. A line that was not written to its end is dropped.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::results::{Outcome, Run, SuiteResults};

#[cfg(test)]
mod tests;

/// Its name in the output folder.
pub const FILE: &str = "runs.jsonl";
/// What it is called when `--fresh` puts it aside.
const OLD_FILE: &str = "runs.old.jsonl";
/// What a journal is written in.
const FORMAT: u64 = 1;

/// Why there is no journal to write to.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A file could not be read or written.
    #[error("{what} {}: {source}", path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// Somebody else writes to it.
    #[error("{}: another ringload suite is at work here: wait for it, or take another --output", path.display())]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// It is no journal.
    #[error(
        "{}:{line}: this is no line of a suite's journal ({told}): take --fresh to begin anew, or \
         another --output", path.display()
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// What is wrong.
        told: String,
    },
    /// What it holds was measured in another way.
    #[error(
        "{}: what was measured here differs from what is to be measured: {}. Take --fresh to begin \
         anew, or another --output", path.display(), differences.join("; ")
    )]
    Differs {
        /// The file.
        path: PathBuf,
        /// In what.
        differences: Vec<String>,
    },
}

/// What has to be the same for a suite to go on: names and values, by kind.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Digests of the files that decide what is measured.
    pub files: BTreeMap<String, String>,
    /// Flags.
    pub flags: BTreeMap<String, String>,
    /// The machine, and ringload itself.
    pub machine: BTreeMap<String, String>,
    /// Versions of the servers; one that is not known on both sides does not matter.
    pub versions: BTreeMap<String, String>,
}

impl Key {
    /// In what this, which was, differs from what is now.
    fn differences(&self, now: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for name in names(&self.files, &now.files) {
            match (self.files.get(name), now.files.get(name)) {
                (Some(before), Some(now)) if before == now => {}
                (Some(_), Some(_)) => found.push(format!("{name} has changed")),
                (None, _) => found.push(format!("{name} was not part of it")),
                (_, None) => found.push(format!("{name} is no longer part of it")),
            }
        }
        for (before, now) in [(&self.flags, &now.flags), (&self.machine, &now.machine)] {
            for name in names(before, now) {
                let of = |map: &BTreeMap<String, String>| {
                    map.get(name).cloned().unwrap_or_else(|| "nothing".to_owned())
                };
                let (before, now) = (of(before), of(now));
                if before != now {
                    found.push(format!("{name} was {before} and is {now}"));
                }
            }
        }
        for (name, before) in &self.versions {
            if let Some(now) = now.versions.get(name).filter(|now| *now != before) {
                found.push(format!("{name} was `{before}` and is `{now}`"));
            }
        }
        found
    }
}

/// The names in either map, in order, each once.
fn names<'a>(
    a: &'a BTreeMap<String, String>,
    b: &'a BTreeMap<String, String>,
) -> std::collections::BTreeSet<&'a String> {
    a.keys().chain(b.keys()).collect()
}

/// A digest of a file's bytes that stays the same (FNV-1a, 64 bits): it tells a change, not an
/// attack.
pub fn digest(bytes: &[u8]) -> String {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

/// What a suite is, as it was begun or resumed.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Header {
    format: u64,
    /// What has to be the same.
    pub key: Key,
    /// All but the runs.
    pub results: SuiteResults,
}

impl Header {
    /// Of a suite that has not begun.
    pub fn new(key: Key, results: SuiteResults) -> Self {
        Self { format: FORMAT, key, results }
    }
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Header(Box<Header>),
    Run(Box<Run>),
    Warning(String),
    /// All was done, at this time in milliseconds since 1970.
    Ended(u64),
}

/// A journal that is open.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// What it holds: all that has been found out.
    pub results: SuiteResults,
    /// Bytes of a line that was not written to its end, and is gone.
    pub dropped_bytes: usize,
    /// Whether there was something before.
    pub is_resumed: bool,
}

impl Journal {
    /// Opens the journal in a folder, which is made if it is not there. One that was begun goes on if
    /// its key is that of `header`; with `is_fresh` it is put aside.
    ///
    /// # Errors
    ///
    /// When it cannot be written to, is somebody else's, or was begun in another way.
    pub fn open(folder: &Path, header: &Header, is_fresh: bool) -> Result<Self, JournalError> {
        let path = folder.join(FILE);
        let io_error = |what, path: &Path| {
            let path = path.to_owned();
            move |source| JournalError::Io { what, path, source }
        };
        fs::create_dir_all(folder).map_err(io_error("cannot make the folder", folder))?;
        let mut file = Self::lock(folder, &path)?;
        if is_fresh && file.metadata().is_ok_and(|about| about.len() > 0) {
            let old = folder.join(OLD_FILE);
            fs::rename(&path, &old).map_err(io_error("cannot put aside", &path))?;
            file = Self::lock(folder, &path)?;
        }
        let bytes = fs::read(&path).map_err(io_error("cannot read", &path))?;
        let (mut found, whole) = read(&bytes, &path)?;
        if whole < bytes.len() {
            file.set_len(whole as u64).map_err(io_error("cannot shorten", &path))?;
        }
        let mut journal = Self {
            path,
            file,
            results: header.results.clone(),
            dropped_bytes: bytes.len() - whole,
            is_resumed: false,
        };
        if let Some(before) = found.header.take() {
            let differences = before.key.differences(&header.key);
            if !differences.is_empty() {
                return Err(JournalError::Differs { path: journal.path, differences });
            }
            let results = &mut journal.results;
            results.started_unix_ms = before.results.started_unix_ms;
            results.ended_unix_ms = found.ended_unix_ms;
            results.runs = found.runs;
            for warning in before.results.warnings.into_iter().chain(found.warnings) {
                push_once(&mut results.warnings, warning);
            }
            journal.is_resumed = true;
        }
        let header = Header {
            results: SuiteResults {
                runs: Vec::new(),
                ended_unix_ms: None,
                ..journal.results.clone()
            },
            ..header.clone()
        };
        journal.write(&Line::Header(Box::new(header)))?;
        Ok(journal)
    }

    /// Opens the file, for nobody else.
    fn lock(folder: &Path, path: &Path) -> Result<File, JournalError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        let file = options.open(path).map_err(|source| JournalError::Io {
            what: "cannot write to",
            path: path.to_owned(),
            source,
        })?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(_) => Err(JournalError::Busy { path: folder.to_owned() }),
        }
    }

    /// Adds a run. When this returns, it is on disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn add(&mut self, run: Run) -> Result<(), JournalError> {
        let line = Line::Run(Box::new(run));
        self.write(&line)?;
        if let Line::Run(run) = line {
            self.results.runs.push(*run);
            self.results.ended_unix_ms = None;
        }
        Ok(())
    }

    /// All has been done, now or before.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn end(&mut self, unix_ms: u64) -> Result<(), JournalError> {
        if self.results.ended_unix_ms.is_none() {
            self.write(&Line::Ended(unix_ms))?;
            self.results.ended_unix_ms = Some(unix_ms);
        }
        Ok(())
    }

    /// Adds what a reader has to know, once.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn warn(&mut self, warning: String) -> Result<(), JournalError> {
        if self.results.warnings.contains(&warning) {
            return Ok(());
        }
        self.write(&Line::Warning(warning.clone()))?;
        self.results.warnings.push(warning);
        Ok(())
    }

    fn write(&mut self, line: &Line) -> Result<(), JournalError> {
        let mut write = || {
            let mut text = serde_json::to_vec(line)?;
            text.push(b'\n');
            // In one piece, so that there is at most one line that is not whole.
            self.file.write_all(&text)?;
            self.file.sync_data()
        };
        write().map_err(|source| JournalError::Io {
            what: "cannot write to",
            path: self.path.clone(),
            source,
        })
    }

    /// Whether a run is done: it was made, or the server was found not to be measurable in this cell.
    pub fn has(&self, server: &str, cell: &str, repeat: u64) -> bool {
        let of_cell = |run: &&Run| run.server == server && run.cell == cell;
        self.results.runs.iter().filter(of_cell).any(|run| run.repeat == repeat || is_final(run))
    }
}

/// Whether another attempt is of no use: the server did not start, or did not answer as it should.
fn is_final(run: &Run) -> bool {
    match run.outcome {
        Outcome::NotStarted { .. } | Outcome::WrongAnswer { .. } => true,
        Outcome::Hung { .. } => run.report.is_none(),
        Outcome::Measured | Outcome::Crashed { .. } | Outcome::LoadFailed { .. } => false,
    }
}

pub(super) fn push_once(list: &mut Vec<String>, text: String) {
    if !list.contains(&text) {
        list.push(text);
    }
}

/// What stands in a journal.
#[derive(Debug, Default)]
struct Found {
    header: Option<Header>,
    runs: Vec<Run>,
    warnings: Vec<String>,
    ended_unix_ms: Option<u64>,
}

/// Reads a journal; how many of its bytes are whole lines.
fn read(bytes: &[u8], path: &Path) -> Result<(Found, usize), JournalError> {
    let mut all = Found::default();
    let (mut whole, mut number) = (0, 0);
    for text in bytes.split_inclusive(|byte| *byte == b'\n') {
        number += 1;
        let is_last = whole + text.len() == bytes.len();
        let malformed =
            |told: String| JournalError::Malformed { path: path.to_owned(), line: number, told };
        let line = match serde_json::from_slice::<Line>(text) {
            // A line without an end, or with nothing in it (what a machine that loses its power may
            // leave): it was being written when the suite ended.
            _ if !text.ends_with(b"\n") => break,
            Err(_) if is_last => break,
            Err(error) => return Err(malformed(error.to_string())),
            Ok(line) => line,
        };
        match (line, &mut all.header) {
            (Line::Header(found), _) if found.format != FORMAT => {
                return Err(malformed(format!("its format is {}, not {FORMAT}", found.format)));
            }
            (Line::Header(found), Some(before)) => {
                let started_unix_ms = before.results.started_unix_ms;
                *before = *found;
                before.results.started_unix_ms = started_unix_ms;
            }
            (Line::Header(found), None) => all.header = Some(*found),
            (_, None) => return Err(malformed("the header is missing".to_owned())),
            (Line::Run(run), _) => {
                all.runs.push(*run);
                all.ended_unix_ms = None;
            }
            (Line::Warning(text), _) => all.warnings.push(text),
            (Line::Ended(unix_ms), _) => all.ended_unix_ms = Some(unix_ms),
        }
        whole += text.len();
    }
    Ok((all, whole))
}
