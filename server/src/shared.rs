//! What connections have in common: of all shards, and of one.

use std::sync::Arc;
use std::time::Duration;

use ringbench_engine::{ConnId, Ops};
use ringbench_http::Limits;

use crate::access_log::{Line, RequestLine, ShardLog};
use crate::config::Timeouts;
use crate::conn::Pool;
use crate::counts::Counts;
use crate::prepared::Prepared;
use crate::serve::StageLimits;
use crate::share::Share;
use crate::site::Site;

/// What all shards have in common.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What clients may send.
    pub limits: Limits,
    /// The longest body that is only counted.
    pub max_upload_bytes: u64,
    /// How long they may take.
    pub timeouts: Timeouts,
    /// Requests answered on one connection before it is closed; 0: any number.
    pub max_requests_per_connection: u32,
    /// Connections of one shard; one more is turned away with 503.
    pub max_connections: usize,
    /// In a drain, how long an idle connection stays open for a request that is already on its way: it
    /// would be lost by a close, and its client could not know.
    pub drain_grace: Duration,
    /// Memory that is forgotten for each connection that has closed, in bytes; 0: none, but for tests
    /// of what finds leaks.
    pub debug_leak_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            max_upload_bytes: u64::MAX,
            timeouts: Timeouts::default(),
            max_requests_per_connection: 0,
            max_connections: usize::MAX,
            drain_grace: Duration::from_millis(100),
            debug_leak_bytes: 0,
        }
    }
}

/// The parts of a shard that its connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Arc<Settings>,
    pub(crate) limits: StageLimits,
    pub(crate) site: Site,
    pub(crate) prepared: Prepared,
    pub(crate) pool: Pool,
    pub(crate) counts: Counts,
    pub(crate) share: Share,
    pub(crate) draining: bool,
    /// The access log, if there is one.
    pub(crate) log: Option<ShardLog>,
}

impl Shared {
    /// Adds a line to the access log. Cold for the sake of those that have none.
    #[cold]
    pub(crate) fn log_answer(
        &mut self,
        ops: &Ops,
        id: ConnId,
        request: RequestLine<'_>,
        status: u16,
        content_bytes: u64,
    ) {
        if let Some(log) = &mut self.log {
            let (peer, date) = (ops.peer(id), self.prepared.date());
            log.add(&Line { peer, date, request, status, content_bytes });
        }
    }
}
