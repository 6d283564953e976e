//! The epoll back end: one epoll instance per shard, edge-triggered.
//!
//! Each turn makes one `epoll_wait`, receives from every connection that has input, and then sends
//! what the handler has written: one `send` for each connection of the batch. A connection is
//! registered once, for input and for room to send, and never again: what is known to be there is
//! remembered instead of asked for. All connections receive into one buffer, as the handler is done
//! with the bytes when it returns, so that memory does not grow with connections that are idle.
//!
//! - `poll`: the epoll instance, and what an event belongs to
//! - `driver`: the turn: flush, settle, wait, deliver
//! - `deliver`: what each event leads to
//! - `accept`: listeners
//! - `wait`: how long a turn waits, and what ends it

mod accept;
mod deliver;
mod driver;
mod poll;
mod wait;

use std::net::TcpListener;
use std::sync::Arc;

use crate::{EngineConfig, EngineError, EngineStats, Handler, ShardControl};
use driver::Driver;

/// An epoll instance that is set up, on the thread that will use it, and the shard around it.
pub(crate) struct Poller {
    driver: Driver,
}

impl Poller {
    /// Sets up the calling thread's shard.
    pub(crate) fn new(
        config: &EngineConfig,
        listeners: Vec<TcpListener>,
        control: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        Ok(Self { driver: Driver::new(config, listeners, control)? })
    }

    /// Runs the shard until it is stopped, or drained of its last connection.
    pub(crate) fn run<H: Handler>(mut self, handler: &mut H) -> Result<EngineStats, EngineError> {
        self.driver.run(handler)?;
        Ok(self.driver.ops.stats)
    }
}
