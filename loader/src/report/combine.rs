//! Files with reports in JSON, read and put together.

use super::RunReport;
use super::json::{self, ReadError};
use super::merge::{MergeError, merge};

/// Why files give no report.
#[derive(Debug, thiserror::Error)]
pub enum CombineError {
    /// One of them cannot be read.
    #[error("{name}: {source}")]
    Read {
        /// The name of the file.
        name: String,
        /// What is wrong with it.
        source: ReadError,
    },
    /// They cannot be put together.
    #[error(transparent)]
    Merge(#[from] MergeError),
}

/// Reads files, given by name and content. One is a report as it was; several are those of load
/// machines that worked at the same time, and are put together.
///
/// # Errors
///
/// When one is no report, or when they do not belong together.
pub fn combine(files: Vec<(String, String)>) -> Result<RunReport, CombineError> {
    let reports: Result<Vec<_>, _> = files
        .into_iter()
        .map(|(name, text)| match json::read(&text) {
            Ok(report) => Ok((name, report)),
            Err(source) => Err(CombineError::Read { name, source }),
        })
        .collect();
    Ok(merge(reports?)?)
}
