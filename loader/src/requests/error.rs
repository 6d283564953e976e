//! What can be wrong with a request file. Every text says where it is and what to write instead.

use std::fmt;
use std::path::PathBuf;

use ringbench_http::EncodeError;

use crate::lines::write_place;

/// Why a request file cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestFileError {
    /// The file.
    pub path: PathBuf,
    /// The line, counted from 1, where it is about one.
    pub line: Option<usize>,
    /// The key of the value in question.
    pub key: Option<&'static str>,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for RequestFileError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_place(out, (&self.path, self.line, self.key), &self.problem)
    }
}

impl std::error::Error for RequestFileError {}

/// What is wrong with a request file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The file, or one that it names, cannot be read.
    #[error("`{name}` cannot be read: {why}")]
    Read {
        /// The file.
        name: String,
        /// The system's answer.
        why: String,
    },
    /// It is not TOML, or has other keys than a request file.
    #[error("{0}")]
    Toml(String),
    /// Nothing to send.
    #[error("there is no request in it: a request begins with the line [[request]]")]
    NoRequests,
    /// A request that would never be sent.
    #[error("a request of weight 0 is never sent: take it out, or give it a weight of at least 1")]
    ZeroWeight,
    /// A cycle of requests that is too long to be kept.
    #[error(
        "the weights add up to {0}, even divided by what they have in common: at most {max} are \
         possible; use smaller numbers",
        max = super::mix::MAX_CYCLE
    )]
    Weights(u64),
    /// Two bodies.
    #[error("body and body_file exclude each other: keep one of them")]
    TwoBodies,
    /// `{{` without `}}`.
    #[error("a placeholder is not closed: write }}}}, or {{{{{{{{ for two braces that are sent")]
    Unclosed,
    /// A word that is no placeholder.
    #[error(
        "{{{{{0}}}}} is no placeholder: there are seq, random, line and random_line; for two \
         braces that are sent, write {{{{{{{{"
    )]
    UnknownPlaceholder(String),
    /// A placeholder with other arguments than it takes.
    #[error("{{{{{text}}}}} is not complete or has too much in it: write {usage}")]
    Arguments {
        /// What is in the braces.
        text: String,
        /// What should be there.
        usage: &'static str,
    },
    /// A range that holds no number.
    #[error("{{{{random {low} {high}}}}} is an empty range: the smaller number comes first")]
    EmptyRange {
        /// The first number.
        low: u64,
        /// The second.
        high: u64,
    },
    /// A data file that cannot be used where it is.
    #[error(
        "data file `{name}`{}: {why}",
        line.map_or_else(String::new, |line| format!(", line {line}"))
    )]
    Data {
        /// The file.
        name: String,
        /// Its line, counted from 1.
        line: Option<usize>,
        /// What is wrong with it.
        why: DataProblem,
    },
    /// A request that would need two lines of a file.
    #[error(
        "one request takes one line of `{0}`: use either line or random_line in it, or a copy of \
         the file"
    )]
    LineAndRandomLine(String),
    /// A field that is none.
    #[error("{0}")]
    Header(String),
    /// A word that is no method.
    #[error("{0}")]
    Method(String),
    /// CONNECT would end HTTP on the connection.
    #[error("CONNECT opens a tunnel and cannot be repeated")]
    Connect,
    /// A field that may be there once only.
    #[error("{0} is given more than once")]
    Repeated(&'static str),
    /// A field that decides about framing cannot change from request to request.
    #[error("no placeholder may stand in {0}")]
    Fixed(&'static str),
    /// Half an encoding: the head announces a body that does not follow.
    #[error("Transfer-Encoding needs a body that is encoded accordingly")]
    ChunkedWithoutBody,
    /// A placeholder would change the length of a chunk.
    #[error("a body with Transfer-Encoding is sent as it is: no placeholder may stand in it")]
    ChunkedPlaceholder,
    /// The head announces another body than follows.
    #[error("Content-Length is not the length of the body; leave it out, it is added")]
    Length,
    /// Two ways to say where the body ends.
    #[error("Transfer-Encoding and Content-Length exclude each other")]
    Framing,
    /// Some requests would end their connections, others not.
    #[error("Connection: close must be in all requests or in none; see --requests-per-connection")]
    CloseInSome,
    /// Not a path.
    #[error("a path begins with /, or with a placeholder whose every line does")]
    PathStart,
    /// What may not stand in a path.
    #[error("{0:?} may not stand in a path: percent-encode it (a space is %20)")]
    PathChar(char),
    /// More than can sensibly be kept and sent at once.
    #[error("the request may be {0} bytes long, more than the {max} MiB that may be sent at once",
            max = crate::plan::MAX_BURST_LEN >> 20)]
    TooLong(usize),
    /// What the codec does not write.
    #[error("the request cannot be sent: {0}")]
    Encode(EncodeError),
}

/// What is wrong with a data file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataProblem {
    /// Nothing in it, or blank lines only.
    #[error("there is no line in it")]
    Empty,
    /// A line with too few columns.
    #[error("there is no column {0}")]
    NoColumn(usize),
    /// A quoted column that does not end in its line.
    #[error("a quote is not closed; a column cannot go on in the next line")]
    Quote,
    /// A byte that would end or break the request line.
    #[error("{0:?} may not stand in a path: percent-encode it (a space is %20)")]
    InPath(char),
    /// A byte that would end the field and begin another.
    #[error("{0:?} may not stand in a header field: it could begin another one")]
    InHeader(char),
    /// A path that begins with this line.
    #[error(
        "a path begins with /: write it at the beginning of the line, or before the placeholder"
    )]
    PathStart,
}

impl From<EncodeError> for Problem {
    fn from(error: EncodeError) -> Self {
        match error {
            EncodeError::LengthMismatch => Self::Length,
            EncodeError::Framing => Self::Framing,
            error => Self::Encode(error),
        }
    }
}
