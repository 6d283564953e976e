//! From a configuration to running shards.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use ringbench_engine::{
    EngineError, EngineReport, EngineStats, ShardControl, Shards, raise_nofile_limit,
};

use crate::access_log::{AccessLog, LogCounts, LogError};
use crate::admin::board::{Board, Publisher};
use crate::admin::{Admin, Door, View};
use crate::config::Config;
use crate::listeners::check_free;
use crate::routes::files::Files;
use crate::{Counts, Listeners, Server, Site};

/// A server that accepts connections.
#[derive(Debug)]
pub struct Running {
    shards: Shards<Server>,
    addresses: Vec<SocketAddr>,
    observers: Observers,
}

/// Who looks at the shards from outside.
#[derive(Debug)]
struct Observers {
    board: Option<Arc<Board>>,
    admin: Option<Admin>,
    log: Option<AccessLog>,
}

/// Tells the shards of a server to end, from any thread.
#[derive(Debug, Clone)]
pub struct Stopper {
    controls: Vec<Arc<ShardControl>>,
    board: Option<Arc<Board>>,
}

impl Stopper {
    /// Stops accepting and ends each connection after its last request.
    pub fn drain(&self) {
        self.tell_board();
        self.controls.iter().for_each(|control| control.drain());
    }

    /// Drops everything.
    pub fn stop(&self) {
        self.tell_board();
        self.controls.iter().for_each(|control| control.stop());
    }

    fn tell_board(&self) {
        if let Some(board) = &self.board {
            board.set_draining();
        }
    }
}

/// Why a server could not start.
#[derive(Debug)]
pub enum StartError {
    /// An address cannot be listened on, or the engine cannot start.
    Engine(EngineError),
    /// The access log cannot be written to.
    AccessLog(LogError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::AccessLog(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Engine(error) => error.source(),
            Self::AccessLog(error) => error.source(),
        }
    }
}

impl From<EngineError> for StartError {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// What a server did, all shards together.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// What the program counted.
    pub counts: Counts,
    /// What the engine counted.
    pub engine: EngineStats,
    /// What became of the lines of the access log, if there is one.
    pub access_log: Option<LogCounts>,
}

/// Opens the listeners and starts the shards; when it returns, connections are accepted.
///
/// # Errors
///
/// When an address cannot be listened on, the access log cannot be written to, or the engine cannot
/// start.
pub fn start(config: &Config) -> Result<Running, StartError> {
    raise_nofile_limit();
    start_on(config, Listeners::open(config)?)
}

/// As [`start`], with listeners that are open.
///
/// # Errors
///
/// When the admin address cannot be listened on, the access log cannot be written to, or the engine
/// cannot start.
pub fn start_on(config: &Config, listeners: Listeners) -> Result<Running, StartError> {
    let started = SystemTime::now();
    raise_nofile_limit();
    let Listeners { per_shard, addresses, handed_over } = listeners;
    let door = config.admin.map(|address| open_door(address, config.reuse_port || handed_over));
    let door = door.transpose()?;
    let board = door.as_ref().map(|_| Arc::new(Board::new(config.engine.shards)));
    let log = config.access_log.as_ref().map(|path| {
        let failed = |errno| StartError::AccessLog(LogError { path: path.clone(), errno });
        AccessLog::open(path, config.engine.shards).map_err(failed)
    });
    let log = log.transpose()?;
    let settings = Arc::new(config.settings.clone());
    let (dataset, root) = (Arc::clone(&config.dataset), config.root.clone());
    let (shown, logged) = (board.clone(), log.clone());
    let make = move |shard| {
        let site = Site { dataset: Arc::clone(&dataset), files: root.clone().map(Files::new) };
        let publisher = shown.clone().map(|board| Publisher::new(board, shard));
        let log = logged.as_ref().map(AccessLog::of_shard);
        Server::new(Arc::clone(&settings), site).observed(publisher, log)
    };
    let shards = ringbench_engine::start(&config.engine, per_shard, make)?;
    let mut running =
        Running { shards, addresses, observers: Observers { board, admin: None, log } };
    if let (Some(door), Some(board)) = (door, &running.observers.board) {
        let view = View { board: Arc::clone(board), log: running.access_log(), started };
        match Admin::start(door, view, running.report(), config.settings.timeouts) {
            Ok(admin) => running.observers.admin = Some(admin),
            Err(error) => {
                running.stop();
                // They have served nobody; why there is no server is known.
                let _ = running.join();
                return Err(error.into());
            }
        }
    }
    Ok(running)
}

/// Opens the admin address, unless another server has it.
fn open_door(address: SocketAddr, may_share: bool) -> Result<Door, EngineError> {
    if !may_share {
        check_free(address)?;
    }
    Door::open(address)
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

    /// Where `/metrics` and `/healthz` are, if anywhere.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.observers.admin.as_ref().map(|admin| admin.address)
    }

    /// The access log, if there is one.
    pub fn access_log(&self) -> Option<AccessLog> {
        self.observers.log.clone()
    }

    /// A handle by which any thread can drain or stop the shards.
    pub fn stopper(&self) -> Stopper {
        Stopper { controls: self.shards.controls(), board: self.observers.board.clone() }
    }

    /// Stops accepting and ends each connection after its last request.
    pub fn drain(&self) {
        self.stopper().drain();
    }

    /// Drops everything.
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Waits until all shards have ended, and the access log is written.
    ///
    /// # Errors
    ///
    /// When a shard failed.
    pub fn join(self) -> Result<Summary, EngineError> {
        let mut summary = Summary::default();
        let ended = self.shards.join().map(|shards| {
            for mut shard in shards {
                shard.handler.end_log();
                summary.counts.merge(shard.handler.counts());
                summary.engine.merge(&shard.stats);
            }
        });
        summary.access_log = self.observers.log.map(|log| log.end());
        if let Some(admin) = self.observers.admin {
            admin.end()?;
        }
        ended.map(|()| summary)
    }
}
