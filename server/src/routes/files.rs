//! `GET /static/{path}`: files below a directory.

/// The files of one directory, as one shard knows them.
#[derive(Debug, Default)]
pub struct Files {}
