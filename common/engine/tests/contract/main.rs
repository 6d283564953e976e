//! The contract of [`Handler`] on every back end, over loopback sockets. The simulated one has its
//! own tests.
//!
//! Every program runs inside [`Checked`], which panics when a call comes that the contract does not
//! allow, so that each test is also one of that.

#[path = "../sim/checked.rs"]
mod checked;
mod data;
mod ends;
mod shards;

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use checked::Checked;
use ringbench_engine::{
    CloseReason, ConnId, Control, Engine, EngineConfig, Finished, Handler, ListenOptions, Ops,
    Shards, UringFeature, UringOptions, listen, probe_kernel, start,
};

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

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

/// Whether this kernel lacks something.
fn is_missing(wanted: UringFeature) -> bool {
    let offers = probe_kernel().features;
    offers.iter().any(|offer| offer.feature == wanted && offer.missing.is_some())
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

/// A server of one shard.
struct Server<H> {
    address: SocketAddr,
    shards: Shards<Checked<H>>,
}

impl<H: Handler + Send + 'static> Server<H> {
    fn start(config: &EngineConfig, make: impl Fn() -> H + Send + Sync + 'static) -> Self {
        let listeners =
            listen(ANY, &ListenOptions::default(), 1).expect("loopback can be listened on");
        let address = listeners[0].local_addr().unwrap();
        let shards = start(config, vec![listeners], move |_| Checked::new(make())).unwrap();
        Self { address, shards }
    }

    fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    fn drain(&self) {
        self.shards.controls().iter().for_each(|control| control.drain());
    }

    fn stop(self) -> Finished<H> {
        self.shards.controls().iter().for_each(|control| control.stop());
        self.join()
    }

    fn join(self) -> Finished<H> {
        join(self.shards)
    }
}

/// Waits for the one shard's end, by which every connection must have been reported as closed.
fn join<H>(shards: Shards<Checked<H>>) -> Finished<H> {
    let done = shards.join().unwrap().remove(0);
    assert_eq!(done.handler.open(), 0, "a connection leaked");
    Finished { handler: done.handler.inner, stats: done.stats }
}

/// Runs a shard that does not listen, until it stops by itself.
fn run_client<H: Handler + Send + 'static>(
    config: &EngineConfig,
    make: impl Fn() -> H + Send + Sync + 'static,
) -> Finished<H> {
    join(start(config, Vec::new(), move |_| Checked::new(make())).unwrap())
}

/// A connection on which nothing takes for ever.
fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Waits for the end of what the peer sends, of which nothing may be left.
fn expect_end(stream: &mut TcpStream, message: &str) {
    let mut rest = Vec::new();
    // Unlike a single read it goes on after a signal, of which glommio makes use.
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{message}: {rest:?}");
}

fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

/// Sends back what it gets; tells of every end.
#[derive(Debug, Default)]
struct Echo {
    most_backlog: usize,
    reasons: Vec<CloseReason>,
    told_to_drain: bool,
}

impl Handler for Echo {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
        self.most_backlog = self.most_backlog.max(ops.backlog_bytes(conn));
    }

    fn closed(&mut self, _: &mut Ops, _: ConnId, why: CloseReason) {
        self.reasons.push(why);
    }

    fn control(&mut self, _: &mut Ops, control: Control) {
        assert_eq!(control, Control::Drain);
        self.told_to_drain = true;
    }
}
