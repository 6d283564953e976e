//! Data files: lines, and columns of lines.

use std::borrow::Cow;
use std::ops::Range;

use super::error::DataProblem;

/// The lines of a data file that are not blank.
#[derive(Clone, Debug)]
pub(super) struct DataFile {
    /// Its name as it is in the request file.
    pub(super) name: String,
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Debug)]
struct Line {
    /// Counted from 1, blank lines included: for people who look it up.
    number: usize,
    range: Range<usize>,
}

impl DataFile {
    /// Finds the lines. They end with LF or CRLF, the last may have no end.
    pub(super) fn new(name: String, bytes: Vec<u8>) -> Result<Self, DataProblem> {
        let mut lines = Vec::new();
        let mut start = 0;
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            let len = line.strip_suffix(b"\r").unwrap_or(line).len();
            if len > 0 {
                lines.push(Line { number, range: start..start + len });
            }
            start += line.len() + 1;
        }
        if lines.is_empty() {
            return Err(DataProblem::Empty);
        }
        Ok(Self { name, bytes, lines })
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// All lines, or one column (counted from 1) of each; an error comes with its line.
    pub(super) fn values(&self, column: Option<usize>) -> Result<Values, (usize, DataProblem)> {
        let mut values = Values::default();
        for line in &self.lines {
            let text = &self.bytes[line.range.clone()];
            let value = match column {
                None => Cow::Borrowed(text),
                Some(column) => {
                    find_column(text, column).map_err(|problem| (line.number, problem))?
                }
            };
            values.push(&value);
        }
        Ok(values)
    }

    /// The number, for people, of line `index`.
    pub(super) fn number(&self, index: usize) -> usize {
        self.lines[index].number
    }
}

/// One value for each line, back to back.
#[derive(Clone, Debug, Default)]
pub(super) struct Values {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    len_max: usize,
}

impl Values {
    fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.ends.push(self.bytes.len());
        self.len_max = self.len_max.max(value.len());
    }

    #[inline]
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.bytes[start..self.ends[index]]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|index| self.get(index))
    }

    /// The length of the longest.
    pub(super) fn len_max(&self) -> usize {
        self.len_max
    }
}

/// A column of a line of comma-separated values (RFC 4180, but for line breaks within quotes).
fn find_column(line: &[u8], column: usize) -> Result<Cow<'_, [u8]>, DataProblem> {
    let mut rest = line;
    for _ in 1..column {
        rest = split_column(rest)?.1.ok_or(DataProblem::NoColumn(column))?;
    }
    split_column(rest).map(|(value, _)| value)
}

/// A column, and what follows its comma if there is one.
type Split<'a> = (Cow<'a, [u8]>, Option<&'a [u8]>);

/// Splits off the first column.
fn split_column(text: &[u8]) -> Result<Split<'_>, DataProblem> {
    let comma = |text: &[u8]| text.iter().position(|&byte| byte == b',');
    let Some(quoted) = text.strip_prefix(b"\"") else {
        return Ok(match comma(text) {
            None => (text.into(), None),
            Some(at) => (text[..at].into(), Some(&text[at + 1..])),
        });
    };
    let (mut value, mut rest) = (Vec::new(), quoted);
    loop {
        let end = rest.iter().position(|&byte| byte == b'"').ok_or(DataProblem::Quote)?;
        value.extend_from_slice(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.first() {
            // Two quotes stand for one.
            Some(b'"') => {
                value.push(b'"');
                rest = &rest[1..];
            }
            Some(b',') => return Ok((value.into(), Some(&rest[1..]))),
            None => return Ok((value.into(), None)),
            Some(_) => return Err(DataProblem::Quote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str, column: Option<usize>) -> Result<Vec<String>, (usize, DataProblem)> {
        let data = DataFile::new("d".to_owned(), text.into()).unwrap();
        let values = data.values(column)?;
        Ok(values.iter().map(|value| String::from_utf8(value.to_vec()).unwrap()).collect())
    }

    #[test]
    fn lines_end_in_all_usual_ways_and_blank_ones_do_not_count() {
        assert_eq!(values("a\nb\r\n\r\n\nc d", None).unwrap(), ["a", "b", "c d"]);
        assert_eq!(values("a\n", None).unwrap(), ["a"]);
        let data = DataFile::new("d".to_owned(), b"\n\na\n\nb".to_vec()).unwrap();
        assert_eq!((data.len(), data.number(0), data.number(1)), (2, 3, 5));
        for blank in ["", "\n", "\r\n\n"] {
            let refused = DataFile::new("d".to_owned(), blank.into()).unwrap_err();
            assert_eq!(refused, DataProblem::Empty);
        }
    }

    #[test]
    fn columns_may_be_quoted() {
        let text = "1,ann,a@x\n2,\"b, \"\"bob\"\"\",\n\"\",,\"\"";
        assert_eq!(values(text, Some(1)).unwrap(), ["1", "2", ""]);
        assert_eq!(values(text, Some(2)).unwrap(), ["ann", "b, \"bob\"", ""]);
        assert_eq!(values(text, Some(3)).unwrap(), ["a@x", "", ""]);
        assert_eq!(values(text, None).unwrap()[1], "2,\"b, \"\"bob\"\"\",");
    }

    #[test]
    fn what_is_no_column_is_refused_with_its_line() {
        assert_eq!(values("a,b\n\na", Some(2)), Err((3, DataProblem::NoColumn(2))));
        assert_eq!(values("\"a", Some(1)), Err((1, DataProblem::Quote)));
        assert_eq!(values("\"a\"b,c", Some(2)), Err((1, DataProblem::Quote)));
    }
}
