//! `ringload suite`: servers and scenarios out of one file, measured in turn, and told of in the
//! layouts that published benchmarks have.
//!
//! | module | what it does |
//! |---|---|
//! | [`results`] | what a suite has found out: the seam between those who measure and those who write |

pub mod results;

pub use results::SuiteResults;
