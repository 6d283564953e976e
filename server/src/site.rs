//! What the routes of a shard share: data to answer from.

use std::sync::Arc;

use crate::routes::arena::Dataset;
use crate::routes::files::Files;

/// One for each shard, so that nothing in it needs a lock.
#[derive(Debug, Default)]
pub struct Site {
    /// What `GET /json/{count}` answers from.
    pub dataset: Arc<Dataset>,
    /// What `GET /static/{path}` answers from; `None` without `--root`.
    pub files: Option<Files>,
}
