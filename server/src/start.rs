//! From a configuration to running shards.

use std::net::SocketAddr;
use std::sync::Arc;

use ringbench_engine::{
    EngineError, EngineReport, EngineStats, ShardControl, Shards, raise_nofile_limit,
};

use crate::config::Config;
use crate::routes::files::Files;
use crate::{Counts, Listeners, Server, Site};

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    shards: Shards<Server>,
    addresses: Vec<SocketAddr>,
}

/// What a server did, all shards together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// What the program counted.
    pub counts: Counts,
    /// What the engine counted.
    pub engine: EngineStats,
}

/// Opens the listeners and starts the shards; when it returns, connections are accepted.
///
/// # Errors
///
/// When an address cannot be listened on, or the engine cannot start.
pub fn start(config: &Config) -> Result<Running, EngineError> {
    raise_nofile_limit();
    start_on(config, Listeners::open(config)?)
}

/// As [`start`], with listeners that are open.
///
/// # Errors
///
/// When the engine cannot start.
pub fn start_on(config: &Config, listeners: Listeners) -> Result<Running, EngineError> {
    raise_nofile_limit();
    let Listeners { per_shard, addresses } = listeners;
    let settings = Arc::new(config.settings.clone());
    let (dataset, root) = (Arc::clone(&config.dataset), config.root.clone());
    let make = move |_shard| {
        let files = root.clone().map(Files::new);
        Server::new(Arc::clone(&settings), Site { dataset: Arc::clone(&dataset), files })
    };
    let shards = ringbench_engine::start(&config.engine, per_shard, make)?;
    Ok(Running { shards, addresses })
}

impl Running {
    /// The addresses listened on, with the ports that were taken for port 0.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Which engine is in use, and with what.
    pub fn report(&self) -> &EngineReport {
        self.shards.report()
    }

    /// Handles by which any thread can drain or stop the shards.
    pub fn controls(&self) -> Vec<Arc<ShardControl>> {
        self.shards.controls()
    }

    /// Stops accepting and ends each connection after its last request.
    pub fn drain(&self) {
        self.controls().iter().for_each(|control| control.drain());
    }

    /// Drops everything.
    pub fn stop(&self) {
        self.controls().iter().for_each(|control| control.stop());
    }

    /// Waits until all shards have ended.
    ///
    /// # Errors
    ///
    /// When a shard failed.
    pub fn join(self) -> Result<Summary, EngineError> {
        let mut summary = Summary::default();
        for shard in self.shards.join()? {
            summary.counts.merge(shard.handler.counts());
            summary.engine.merge(&shard.stats);
        }
        Ok(summary)
    }
}
