//! The data set of `HttpArena`: its file's format, read once at the start.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The data set that is there without `--dataset`: 50 items in the format of `HttpArena`'s own, made
/// up for this server.
static EMBEDDED: &[u8] = include_bytes!("../../../data/dataset.json");

/// How an item of the file looks.
const EXAMPLE: &str = r#"{"id":1,"name":"Oak Ruler","category":"office","price":328,"quantity":15,"active":true,"tags":["new"],"rating":{"score":48,"count":127}}"#;

/// The items that `GET /json/{count}` answers with.
#[derive(Debug)]
pub struct Dataset {
    items: Vec<Item>,
    max_multiplier: u64,
}

/// An item. A field more than these would be missing in every answer, so that it is refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Item {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) category: String,
    pub(super) price: i64,
    pub(super) quantity: i64,
    pub(super) active: bool,
    pub(super) tags: Vec<String>,
    pub(super) rating: Rating,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rating {
    score: i64,
    count: i64,
}

/// A file that `--dataset` names cannot be used.
#[derive(Debug)]
pub struct DatasetError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub fault: DatasetFault,
}

/// What is wrong with a data set.
#[derive(Debug)]
pub enum DatasetFault {
    /// The file cannot be read.
    Unreadable(io::Error),
    /// It is no JSON, or not of the expected form.
    Malformed(serde_json::Error),
    /// It has no items.
    Empty,
    /// The price times the quantity of an item does not fit into 64 bits.
    TooDear {
        /// Its place in the file, from 1.
        number: usize,
    },
}

impl fmt::Display for DatasetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--dataset {}: {}", self.path.display(), self.fault)
    }
}

impl fmt::Display for DatasetFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => error.fmt(f),
            // With the line and the column.
            Self::Malformed(error) => {
                write!(f, "{error}; expected a JSON array of items such as {EXAMPLE}")
            }
            Self::Empty => write!(f, "it has no items; expected some such as {EXAMPLE}"),
            Self::TooDear { number } => write!(
                f,
                "item {number}: the price times the quantity does not fit into 64 bits; make one \
                 of them smaller"
            ),
        }
    }
}

impl std::error::Error for DatasetError {}

impl Dataset {
    /// The data set that needs no file.
    pub fn embedded() -> Self {
        match Self::parse(EMBEDDED) {
            Ok(dataset) => dataset,
            Err(fault) => unreachable!("the embedded data set is tested, but: {fault}"),
        }
    }

    /// Reads a file in the format of `HttpArena`'s `dataset.json`.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is of another format, with the file, and the line and column.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        fs::read(path)
            .map_err(DatasetFault::Unreadable)
            .and_then(|text| Self::parse(&text))
            .map_err(|fault| DatasetError { path: path.to_owned(), fault })
    }

    pub(super) fn parse(text: &[u8]) -> Result<Self, DatasetFault> {
        let items: Vec<Item> = serde_json::from_slice(text).map_err(DatasetFault::Malformed)?;
        if items.is_empty() {
            return Err(DatasetFault::Empty);
        }
        let mut largest = 1;
        for (item, number) in items.iter().zip(1..) {
            let value = item.price.checked_mul(item.quantity);
            let value = value.ok_or(DatasetFault::TooDear { number })?;
            largest = largest.max(value.unsigned_abs());
        }
        let max_multiplier = i64::MAX.unsigned_abs() / largest;
        Ok(Self { items, max_multiplier })
    }

    /// The first `count` items, or all if there are not so many.
    pub(super) fn first(&self, count: u64) -> &[Item] {
        let count = self.items.len().min(usize::try_from(count).unwrap_or(usize::MAX));
        &self.items[..count]
    }

    /// With a multiplier no further from 0 than this, no total overflows.
    pub(super) fn max_multiplier(&self) -> u64 {
        self.max_multiplier
    }
}

impl Default for Dataset {
    fn default() -> Self {
        Self::embedded()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_data_set_has_50_items() {
        let dataset = Dataset::embedded();
        let ids: Vec<i64> = dataset.items.iter().map(|item| item.id).collect();
        assert_eq!(ids, (1..=50).collect::<Vec<_>>());
        assert_eq!(dataset.first(3).len(), 3);
        assert_eq!(dataset.first(u64::MAX).len(), 50);
    }

    #[test]
    fn no_total_overflows() {
        let parse = |price: i64, quantity: i64| {
            let item =
                EXAMPLE.replace("328", &price.to_string()).replace("15", &quantity.to_string());
            Dataset::parse(format!("[{item}]").as_bytes())
        };
        assert_eq!(parse(0, 5).unwrap().max_multiplier(), i64::MAX as u64);
        assert_eq!(parse(7, -3).unwrap().max_multiplier(), i64::MAX as u64 / 21);
        assert_eq!(parse(i64::MAX, 1).unwrap().max_multiplier(), 1);
        assert_eq!(parse(i64::MIN, 1).unwrap().max_multiplier(), 0);
        let fault = parse(i64::MAX, 2).unwrap_err();
        assert!(matches!(fault, DatasetFault::TooDear { number: 1 }), "{fault}");
    }

    /// What reading a file with this text comes to.
    fn read(name: &str, text: &str) -> Result<Dataset, DatasetError> {
        let name = format!("ringserve-dataset-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        let result = Dataset::read(&path);
        fs::remove_file(&path).unwrap();
        result
    }

    #[test]
    fn a_file_is_read() {
        let dataset = read("good", &format!("[\n{EXAMPLE},\n{EXAMPLE}\n]\n")).unwrap();
        assert_eq!(dataset.items.len(), 2);
        assert_eq!(dataset.items[1].name, "Oak Ruler");
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_with_its_place() {
        let without_price = EXAMPLE.replace(r#""price":328,"#, "");
        let with_float = EXAMPLE.replace("328", "3.28");
        let with_more = EXAMPLE.replace(r#""id":1"#, r#""id":1,"colour":"red""#);
        for (text, what) in [
            (String::new(), "EOF while parsing a value at line 1 column 0"),
            ("[\n  no".into(), "expected ident at line 2 column 4"),
            ("{\"items\":[]}".into(), "expected a sequence at line 1 column 0"),
            (format!("[\n{without_price}]"), "missing field `price` at line 2 column "),
            (
                format!("[\n\n{with_float}]"),
                "floating point `3.28`, expected i64 at line 3 column ",
            ),
            (format!("[{with_more}]"), "unknown field `colour`"),
            (format!("[{EXAMPLE}] x"), "trailing characters at line 1 column "),
            ("[]".into(), "it has no items"),
        ] {
            let error = read("bad", &text).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
            assert!(error.starts_with("--dataset ") && error.contains("ringserve-dataset-bad-"));
            assert!(error.ends_with(EXAMPLE), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = Dataset::read(Path::new("/no/such/dataset.json")).unwrap_err();
        assert!(matches!(error.fault, DatasetFault::Unreadable(_)));
        assert!(error.to_string().starts_with("--dataset /no/such/dataset.json: No such file"));
    }
}
