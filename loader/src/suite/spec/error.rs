//! What can be wrong with a suite file: where it is, and what to do.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;

use crate::lines::{Lines, write_place};

/// Why a suite cannot be run as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecError {
    /// The file: the suite's, or one that it names.
    pub path: PathBuf,
    /// The line, counted from 1, where it is about one.
    pub line: Option<usize>,
    /// The key in question, with the table that it belongs to.
    pub key: Option<String>,
    /// What is wrong, and what to do.
    pub told: String,
}

impl fmt::Display for SpecError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(out, (&self.path, self.line, self.key.as_deref()), &self.told)
    }
}

impl std::error::Error for SpecError {}

/// A file as it was read, as errors name it.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) lines: Lines,
}

impl Source {
    fn new(path: &Path, text: &str) -> Self {
        Self { lines: Lines::new(path, text) }
    }

    /// Reads a file, and makes a value of it.
    pub(super) fn read<T: serde::de::DeserializeOwned>(
        path: &Path,
    ) -> Result<(Self, T), SpecError> {
        let read = std::fs::read_to_string(path);
        let text = read.map_err(|error| {
            Self::new(path, "").error(None, None, format!("it cannot be read: {error}"))
        })?;
        let source = Self::new(path, &text);
        let value = toml::from_str(&text).map_err(|error| {
            let line = error.span().map(|span| source.lines.line(span.start));
            source.error(line, None, error.message().replace('\n', " "))
        })?;
        Ok((source, value))
    }

    pub(super) fn error(
        &self,
        line: Option<usize>,
        key: Option<&str>,
        told: impl Into<String>,
    ) -> SpecError {
        let (path, key) = (self.lines.path.clone(), key.map(str::to_owned));
        SpecError { path, line, key, told: told.into() }
    }

    /// An error about a value.
    pub(super) fn at<T>(
        &self,
        value: &Spanned<T>,
        key: &str,
        told: impl fmt::Display,
    ) -> SpecError {
        self.error(Some(self.lines.line_of(value)), Some(key), told.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_where_it_is() {
        let source = Source::new(Path::new("a.toml"), "x = 1\n\ny = 2\n");
        let error = source.error(Some(3), Some("y"), "is wrong");
        assert_eq!(error.to_string(), "a.toml:3: y: is wrong");
        let error = source.error(None, None, "it cannot be read");
        assert_eq!(error.to_string(), "a.toml: it cannot be read");
    }
}
