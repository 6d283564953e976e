//! `ringload suite`: servers and scenarios out of one file, measured in turn, and told of in the
//! layouts that published benchmarks have.
//!
//! | module | what it does |
//! |---|---|
//! | [`spec`] | the suite file, read and checked |
//! | [`plan`] | what is run in which order: fixed before the first run, by a seed |
//! | [`run`](mod@run) | does the runs, one after the other |
//! | [`process`] | servers and loads as processes; nothing of a server is left, whatever happens |
//! | [`ask`] | waits until a server listens, and asks it |
//! | [`check`] | whether an answer is the expected one |
//! | `sample` | what a server's processes take, and what the machine does meanwhile |
//! | [`journal`] | what has been measured, on disk, so that a suite can go on |
//! | [`results`] | what a suite has found out: the seam between those who measure and those who write |
//! | [`report`] | Markdown, a page of HTML, CSV and JSON of it |
//! | [`machine`] | the machine, in facts |

pub mod ask;
pub mod check;
pub mod journal;
pub mod machine;
pub mod plan;
pub mod process;
pub mod report;
pub mod results;
pub mod run;
mod sample;
pub mod spec;

pub use results::SuiteResults;
pub use run::{Ended, News, Options, Standing, SuiteError};
pub use spec::{Choice, SpecError, Suite};
