//! Seeing inside: `/metrics` and `/healthz` on an address of their own.
//!
//! It is one more shard, on epoll and pinned to no core, that only reads what the others
//! [show](board::Board): it takes time from them only where they leave some, and answers as long as
//! the last of them runs.

pub(crate) mod board;
mod metrics;
mod process;
mod server;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::SystemTime;

use ringbench_engine::{
    Engine, EngineConfig, EngineError, EngineReport, ListenOptions, Shards, listen,
};

use crate::access_log::AccessLog;
use crate::config::Timeouts;
use board::Board;
use server::AdminServer;

/// What the admin shard answers from.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) board: Arc<Board>,
    pub(crate) log: Option<AccessLog>,
    /// When the server was started.
    pub(crate) started: SystemTime,
}

/// The listening socket of the admin shard.
#[derive(Debug)]
pub(crate) struct Door {
    listener: TcpListener,
    address: SocketAddr,
}

impl Door {
    /// Opens it. It is shared with a predecessor or a successor of this process, if there is one:
    /// each answers some of the requests then.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, EngineError> {
        let options = ListenOptions { backlog: 128, ..ListenOptions::default() };
        let listener = listen(address, &options, 1)?.remove(0);
        let failed = |errno| EngineError::Listen { address, errno };
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }
}

/// The admin shard.
#[derive(Debug)]
pub(crate) struct Admin {
    shards: Shards<AdminServer>,
    pub(crate) address: SocketAddr,
}

impl Admin {
    /// Starts it.
    pub(crate) fn start(
        door: Door,
        view: View,
        report: &EngineReport,
        timeouts: Timeouts,
    ) -> Result<Self, EngineError> {
        let Door { listener, address } = door;
        let config = EngineConfig {
            engine: Engine::Epoll,
            pinned: false,
            thread_name: "ringserve-admin",
            ..EngineConfig::default()
        };
        let engine = report.engine;
        let make = move |_| AdminServer::new(view.clone(), engine, timeouts);
        let shards = ringbench_engine::start(&config, vec![vec![listener]], make)?;
        Ok(Self { shards, address })
    }

    /// Ends it.
    pub(crate) fn end(self) -> Result<(), EngineError> {
        self.shards.controls().iter().for_each(|control| control.stop());
        self.shards.join().map(drop)
    }
}
