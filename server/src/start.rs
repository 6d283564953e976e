//! From a configuration to running shards.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use ringbench_engine::{
    EngineError, EngineReport, EngineStats, ShardControl, Shards, listen, raise_nofile_limit,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::config::Config;
use crate::{Counts, Server, Site};

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
    let shards = config.engine.shards;
    let mut per_shard: Vec<Vec<TcpListener>> = (0..shards).map(|_| Vec::new()).collect();
    let mut addresses = Vec::new();
    // All before any is opened: our own listeners would be in the way.
    config.listen.iter().try_for_each(|&address| check_free(address))?;
    for &address in &config.listen {
        let listeners = listen(address, &config.listen_options, shards)?;
        let local = listeners[0].local_addr();
        addresses.push(local.map_err(|errno| EngineError::Listen { address, errno })?);
        for (own, listener) in per_shard.iter_mut().zip(listeners) {
            own.push(listener);
        }
    }
    let settings = Arc::new(config.settings.clone());
    let make = move |_shard| Server::new(Arc::clone(&settings), Site::default());
    let shards = ringbench_engine::start(&config.engine, per_shard, make)?;
    Ok(Running { shards, addresses })
}

/// Fails if somebody listens on `address` already. The shards share their port by `SO_REUSEPORT`,
/// and so would a second server of the same user, unnoticed: each would get some of the
/// connections. The probe is bound like a listener but without that option, and never listens, so
/// that no client can reach it.
fn check_free(address: SocketAddr) -> Result<(), EngineError> {
    let probe = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // Connections of an earlier server in TIME_WAIT are no obstacle.
        socket.set_reuse_address(true)?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.bind(&address.into())
    };
    if address.port() == 0 {
        return Ok(());
    }
    probe().map_err(|errno| EngineError::Listen { address, errno })
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
