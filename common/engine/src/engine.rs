//! Which back end carries the shards: the one place where they are told apart.

use std::fmt;
use std::net::TcpListener;
use std::sync::Arc;

use crate::uring::{self, UringReport};
use crate::{EngineConfig, EngineError, EngineStats, Handler, ShardControl, epoll};

/// A back end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// `io_uring` where the system allows it, else epoll.
    #[default]
    Auto,
    /// Linux `io_uring`.
    Uring,
    /// Edge-triggered epoll, for systems that forbid `io_uring` and to compare with it.
    Epoll,
    /// The glommio executor with its own net types, to compare with. Needs the cargo feature
    /// `glommio`.
    Glommio,
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Uring => "uring",
            Self::Epoll => "epoll",
            Self::Glommio => "glommio",
        })
    }
}

/// Which back end is in use, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineReport {
    /// The back end; never [`Engine::Auto`].
    pub engine: Engine,
    /// Why [`Engine::Auto`] did not come to be `io_uring`, if it did not.
    pub fallback: Option<String>,
    /// What is in use on the rings of [`Engine::Uring`].
    pub uring: Option<UringReport>,
}

/// What [`Engine::Auto`] comes to on this machine, and why if that is not `io_uring`. Any other
/// engine is taken as it is.
pub(crate) fn choose(config: &EngineConfig) -> (Engine, Option<String>) {
    match config.engine {
        Engine::Auto => match uring::probe(&config.uring) {
            Ok(_) => (Engine::Uring, None),
            Err(error) => (Engine::Epoll, Some(error.to_string())),
        },
        engine => (engine, None),
    }
}

/// The back end of one shard, set up on the thread that will use it.
#[allow(clippy::large_enum_variant, reason = "one for each shard, moved once")]
pub(crate) enum BackEnd {
    Uring(uring::Ring),
    Epoll(epoll::Poller),
    #[cfg(feature = "glommio")]
    Glommio(crate::glommio::Executor),
}

impl BackEnd {
    /// Sets up `engine`, which is not [`Engine::Auto`].
    pub(crate) fn new(
        engine: Engine,
        config: &EngineConfig,
        listeners: Vec<TcpListener>,
        control: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        match engine {
            Engine::Auto | Engine::Uring => {
                uring::Ring::new(config, listeners, control).map(Self::Uring)
            }
            Engine::Epoll => epoll::Poller::new(config, listeners, control).map(Self::Epoll),
            #[cfg(feature = "glommio")]
            Engine::Glommio => {
                crate::glommio::Executor::new(config, listeners, control).map(Self::Glommio)
            }
            #[cfg(not(feature = "glommio"))]
            Engine::Glommio => Err(EngineError::NotBuilt { engine }),
        }
    }

    /// What is in use.
    pub(crate) fn report(&self) -> EngineReport {
        let (engine, uring) = match self {
            Self::Uring(ring) => (Engine::Uring, Some(ring.report().clone())),
            Self::Epoll(_) => (Engine::Epoll, None),
            #[cfg(feature = "glommio")]
            Self::Glommio(_) => (Engine::Glommio, None),
        };
        EngineReport { engine, fallback: None, uring }
    }

    /// Runs the shard until it is stopped, or drained of its last connection, and gives the handler
    /// back.
    pub(crate) fn run<H: Handler + 'static>(
        self,
        mut handler: H,
    ) -> Result<(H, EngineStats), EngineError> {
        let stats = match self {
            Self::Uring(ring) => ring.run(&mut handler),
            Self::Epoll(poller) => poller.run(&mut handler),
            // Its tasks own what they use.
            #[cfg(feature = "glommio")]
            Self::Glommio(executor) => return executor.run(handler),
        };
        stats.map(|stats| (handler, stats))
    }
}
