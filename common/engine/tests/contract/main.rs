//! The contract of [`Handler`] on every back end, over loopback sockets. The simulated one has its
//! own tests.

#[path = "../common/mod.rs"]
mod common;
mod data;
mod ends;
mod shards;
mod spin;
mod targets;

use common::{
    ANY, Checked, Closer, Echo, Greeter, PIECE, REPLY, Server, Streamer, be_greeted, connect,
    echo_much, expect_end, is_missing, join, pattern, read_stream, write_until_held_back,
};
use ringbench_engine::{
    Engine, EngineConfig, Finished, Handler, UringFeature, UringOptions, start,
};

fn config(engine: Engine) -> EngineConfig {
    EngineConfig { engine, thread_name: "test", ..EngineConfig::default() }
}

/// Every back end as it is by default.
fn engines() -> Vec<(&'static str, EngineConfig)> {
    vec![
        ("uring", config(Engine::Uring)),
        ("epoll", config(Engine::Epoll)),
        #[cfg(feature = "glommio")]
        ("glommio", config(Engine::Glommio)),
    ]
}

/// Every back end, and `io_uring` without each feature that it must do without as well.
fn variants() -> Vec<(&'static str, EngineConfig)> {
    let default = UringOptions::default();
    let uring = [
        ("plain descriptors", UringOptions { direct_descriptors: false, ..default.clone() }),
        ("single shot", UringOptions { multishot: false, ..default.clone() }),
        ("no defer_taskrun", UringOptions { defer_taskrun: false, ..default.clone() }),
        ("few buffers", UringOptions { buffers: 8, buffer_size: 1000, ..default.clone() }),
        ("a tiny ring", UringOptions { ring_entries: 2, ..default.clone() }),
        ("few of both", UringOptions { ring_entries: 2, buffers: 4, ..default.clone() }),
        ("batches", UringOptions { batch_wait: 8, batch_wait_us: 200, ..default.clone() }),
        ("batches without a time", UringOptions { batch_wait: 8, ..default.clone() }),
        ("sqpoll", UringOptions { sqpoll_idle_ms: Some(50), ..default.clone() }),
        ("zero copy", UringOptions { send_zc_bytes: 4096, ..default.clone() }),
        ("all zero copy", UringOptions { send_zc_bytes: 1, ..default.clone() }),
        ("incremental", UringOptions { incremental_buffers: true, buffers: 8, ..default.clone() }),
        ("busy polling", UringOptions { napi_busy_poll_us: 20, ..default }),
    ];
    // The youngest of these need more than the oldest kernel that will do.
    let uring = uring.into_iter().filter(|(_, options)| {
        let lacks_buffers =
            options.incremental_buffers && is_missing(UringFeature::IncrementalBuffers);
        let lacks_napi = options.napi_busy_poll_us > 0 && is_missing(UringFeature::NapiBusyPoll);
        !lacks_buffers && !lacks_napi
    });
    let uring = uring.map(|(name, uring)| (name, EngineConfig { uring, ..config(Engine::Uring) }));
    engines().into_iter().chain(uring).collect()
}

/// Runs a shard that does not listen, until it stops by itself.
fn run_client<H: Handler + Send + 'static>(
    config: &EngineConfig,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> Finished<H> {
    join(start(config, Vec::new(), move |_| Checked::new(make())).unwrap())
}
