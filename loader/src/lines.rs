//! Where something stands in a file that people write, so that an error can name it.

use std::fmt;
use std::path::{Path, PathBuf};

use toml::Spanned;

/// A file's name, and where its lines begin.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    /// The file.
    pub(crate) path: PathBuf,
    starts: Vec<usize>,
}

impl Lines {
    /// Those of a text.
    pub(crate) fn new(path: &Path, text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { path: path.to_owned(), starts }
    }

    /// The line of a byte, counted from 1.
    pub(crate) fn line(&self, at: usize) -> usize {
        self.starts.partition_point(|start| *start <= at)
    }

    /// The line on which a value begins.
    pub(crate) fn line_of<T>(&self, value: &Spanned<T>) -> usize {
        self.line(value.span().start)
    }
}

/// `FILE:LINE: KEY: WHAT`, without what is not known.
pub(crate) fn write_place(
    out: &mut fmt::Formatter<'_>,
    (path, line, key): (&Path, Option<usize>, Option<&str>),
    what: &dyn fmt::Display,
) -> fmt::Result {
    write!(out, "{}", path.display())?;
    if let Some(line) = line {
        write!(out, ":{line}")?;
    }
    if let Some(key) = key {
        write!(out, ": {key}")?;
    }
    write!(out, ": {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one() {
        let lines = Lines::new(Path::new("a.toml"), "x = 1\n\ny = 2\n");
        assert_eq!([0, 5, 6, 7, 12].map(|at| lines.line(at)), [1, 1, 2, 3, 3]);
    }
}
