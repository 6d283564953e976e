//! Placeholder, being written.
use crate::{Engine, EngineConfig, EngineError, EngineStats, Handler, ShardControl};
use std::net::TcpListener;
use std::sync::Arc;
pub(crate) struct Poller;
impl Poller {
    pub(crate) fn new(
        _: &EngineConfig,
        _: Vec<TcpListener>,
        _: Arc<ShardControl>,
    ) -> Result<Self, EngineError> {
        Err(EngineError::NotBuilt { engine: Engine::Auto })
    }
    pub(crate) fn run<H: Handler + 'static>(self, _: &mut H) -> Result<EngineStats, EngineError> {
        Err(EngineError::NotBuilt { engine: Engine::Auto })
    }
}
