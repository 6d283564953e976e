//! Where connections lead and where they come from.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ringbench_engine::{
    CloseReason, ConnId, Engine, EngineConfig, Finished, Handler, ListenOptions, Ops, Target,
    TargetId, UringOptions, errno_name, listen, raise_nofile_limit, start,
};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::common::Checked;
use crate::{ANY, Server, config, run_client, variants};

/// Connects once to each target, says something, and closes when it has come back.
struct Caller {
    targets: Vec<Target>,
    conns: Vec<ConnId>,
    heard: Vec<Vec<u8>>,
    /// How each ended, in the order of the targets.
    ends: Vec<Option<CloseReason>>,
    open: usize,
}

const WORD: &[u8] = b"hello";

impl Caller {
    fn new(targets: &[Target]) -> Self {
        Self {
            targets: targets.to_vec(),
            conns: Vec::new(),
            heard: vec![Vec::new(); targets.len()],
            ends: targets.iter().map(|_| None).collect(),
            open: targets.len(),
        }
    }

    fn position(&self, conn: ConnId) -> usize {
        self.conns.iter().position(|&known| known == conn).expect("a connection of ours")
    }
}

impl Handler for Caller {
    fn started(&mut self, ops: &mut Ops) {
        for target in &self.targets {
            let target = ops.add_target(target.clone());
            self.conns.push(ops.connect(target));
        }
    }

    fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(WORD);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let position = self.position(conn);
        self.heard[position].extend_from_slice(bytes);
        if self.heard[position] == WORD {
            ops.close(conn);
        }
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        let position = self.position(conn);
        assert!(self.ends[position].replace(why).is_none(), "{conn:?} ended twice");
        self.open -= 1;
        if self.open == 0 {
            ops.stop();
        }
    }
}

fn call(config: &EngineConfig, targets: &[Target]) -> Finished<Caller> {
    let targets = targets.to_vec();
    run_client(config, move || Caller::new(&targets))
}

/// Expects that every connection failed in this way.
fn expect_failures(name: &str, caller: &Caller, kind: ErrorKind) {
    for (target, end) in caller.targets.iter().zip(&caller.ends) {
        let Some(CloseReason::ConnectFailed(error)) = end else {
            panic!("{name}: {target}: {end:?}")
        };
        assert_eq!(error.kind(), kind, "{name}: {target}: {error}");
    }
}

/// Sends back what it gets, and notes who connects.
#[derive(Default)]
struct Host {
    peers: Vec<IpAddr>,
}

impl Handler for Host {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.peers.extend(ops.peer(conn).map(|peer| peer.ip()));
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
    }
}

fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

fn expect_sources(address: SocketAddr, sources: &[IpAddr]) {
    for (name, client) in variants() {
        let host = EngineConfig { peer_addresses: true, ..config(Engine::Epoll) };
        let server = Server::start_on(address, &host, Host::default);
        let target = |&source: &IpAddr| Target::tcp(server.address).with_source(source);
        let done = call(&client, &sources.iter().map(target).collect::<Vec<_>>());
        for end in done.handler.ends {
            assert!(matches!(end, Some(CloseReason::Local)), "{name}: {end:?}");
        }
        let mut peers = server.stop().handler.peers;
        peers.sort_unstable();
        assert_eq!(peers, sources, "{name}");
    }
}

#[test]
fn a_connection_leaves_from_its_source() {
    expect_sources(ANY, &[loopback(1), loopback(2), loopback(3), loopback(3)]);
}

#[test]
fn so_does_one_of_ipv6() {
    let any = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0);
    // Not every machine has it.
    if std::net::TcpListener::bind(any).is_ok() {
        expect_sources(any, &[Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
}

#[test]
fn a_source_that_is_not_ours_is_never_left_for_another() {
    let host = EngineConfig { peer_addresses: true, ..config(Engine::Epoll) };
    let server = Server::start(&host, Host::default);
    // Set aside for documentation (RFC 5737), so that no machine has it.
    let nobody = IpAddr::from([192, 0, 2, 1]);
    for (name, client) in variants() {
        let targets = vec![Target::tcp(server.address).with_source(nobody); 3];
        let done = call(&client, &targets);
        expect_failures(name, &done.handler, ErrorKind::AddrNotAvailable);
        let other_family = [Target::tcp(server.address).with_source(Ipv6Addr::LOCALHOST.into())];
        let done = call(&client, &other_family);
        let [Some(CloseReason::ConnectFailed(error))] = &done.handler.ends[..] else {
            panic!("{name}: {:?}", done.handler.ends)
        };
        let raw = error.raw_os_error().and_then(errno_name);
        assert!(matches!(raw, Some("EAFNOSUPPORT" | "EINVAL")), "{name}: {error}");
    }
    assert_eq!(server.stop().handler.peers, [] as [IpAddr; 0]);
}

/// A path that nothing else uses.
fn new_path() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("ringbench-{}-{number}.sock", std::process::id()))
}

/// Sends back what comes over so many connections.
fn echo(listener: UnixListener, connections: usize) -> JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..connections {
            let (mut stream, _) = listener.accept().unwrap();
            let mut word = [0; WORD.len()];
            stream.read_exact(&mut word).unwrap();
            stream.write_all(&word).unwrap();
            assert_eq!(stream.read(&mut word).unwrap(), 0, "the other end closes");
        }
    })
}

#[test]
fn a_unix_socket_is_a_target_like_any_other() {
    for (name, client) in variants() {
        let path = new_path();
        let abstract_name = format!("ringbench-{}-{name}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let servers = [
            echo(UnixListener::bind(&path).unwrap(), 2),
            echo(UnixListener::bind_addr(&address).unwrap(), 1),
        ];
        let targets = [
            Target::unix(&path),
            Target::unix(format!("@{abstract_name}")),
            Target::unix(&path).with_source(loopback(2)),
        ];
        let done = call(&client, &targets);
        for (target, end) in targets.iter().zip(done.handler.ends) {
            assert!(matches!(end, Some(CloseReason::Local)), "{name}: {target}: {end:?}");
        }
        servers.into_iter().for_each(|server| server.join().unwrap());
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn a_unix_socket_that_cannot_be_had_says_why() {
    let deserted = new_path();
    drop(UnixListener::bind(&deserted).unwrap());
    for (name, client) in variants() {
        for (path, kind) in [
            (new_path(), ErrorKind::NotFound),
            (deserted.clone(), ErrorKind::ConnectionRefused),
            (PathBuf::from("x".repeat(500)), ErrorKind::InvalidInput),
        ] {
            let done = call(&client, &vec![Target::unix(path); 2]);
            expect_failures(name, &done.handler, kind);
        }
    }
    std::fs::remove_file(deserted).unwrap();
}

/// Opens connections, some at a time, and says so when each has been made or has failed.
struct Crowd {
    targets: Vec<Target>,
    connections: usize,
    ids: Vec<TargetId>,
    begun: usize,
    connected: usize,
    failures: Vec<CloseReason>,
    is_over: mpsc::Sender<()>,
}

/// How many connections of a crowd are under way at a time: fewer than a listener can hold.
const AT_A_TIME: usize = 256;

impl Crowd {
    fn go_on(&mut self, ops: &mut Ops) {
        let over = self.connected + self.failures.len();
        while self.begun < self.connections && self.begun - over < AT_A_TIME {
            ops.connect(self.ids[self.begun % self.ids.len()]);
            self.begun += 1;
        }
        if over == self.connections {
            self.is_over.send(()).unwrap();
        }
    }
}

impl Handler for Crowd {
    fn started(&mut self, ops: &mut Ops) {
        self.ids = self.targets.iter().map(|target| ops.add_target(target.clone())).collect();
        self.go_on(ops);
    }

    fn connected(&mut self, ops: &mut Ops, _: ConnId) {
        self.connected += 1;
        self.go_on(ops);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn closed(&mut self, ops: &mut Ops, _: ConnId, why: CloseReason) {
        if !matches!(why, CloseReason::Stopped) {
            self.failures.push(why);
            self.go_on(ops);
        }
    }
}

/// Opens so many connections on each shard, and calls `meanwhile` when none is under way any more.
fn gather(
    config: &EngineConfig,
    targets: &[Target],
    connections: usize,
    meanwhile: impl FnOnce(),
) -> Vec<Crowd> {
    let targets = targets.to_vec();
    let (is_over, over) = mpsc::channel();
    let make = move |_| {
        Checked::new(Crowd {
            targets: targets.clone(),
            connections,
            ids: Vec::new(),
            begun: 0,
            connected: 0,
            failures: Vec::new(),
            is_over: is_over.clone(),
        })
    };
    let shards = start(config, Vec::new(), make).unwrap();
    for _ in 0..config.shards {
        over.recv_timeout(Duration::from_secs(120)).expect("every connection is made or fails");
    }
    meanwhile();
    shards.controls().iter().for_each(|control| control.stop());
    shards.join().unwrap().into_iter().map(|done| done.handler.inner).collect()
}

#[test]
fn a_full_table_of_direct_descriptors_fails_what_is_over() {
    let server = Server::start(&config(Engine::Epoll), Host::default);
    let uring = UringOptions { file_table_entries: 4, ..UringOptions::default() };
    let client = EngineConfig { uring, ..config(Engine::Uring) };
    for crowd in gather(&client, &[server.address.into()], 7, || ()) {
        assert_eq!((crowd.connected, crowd.failures.len()), (4, 3));
        for why in crowd.failures {
            let CloseReason::ConnectFailed(error) = why else { panic!("{why:?}") };
            assert_eq!(error.raw_os_error().and_then(errno_name), Some("ENFILE"));
        }
    }
    server.stop();
}

/// All in one process, both ends, from one source address: more connections than it may have open
/// files, as each ring has a table of its own, and more than there are ephemeral ports, as those are
/// shared between the destinations.
#[test]
#[ignore = "60,000 sockets, some 300 MB of kernel memory; to be run alone"]
fn shards_hold_more_connections_than_the_process_has_descriptors() {
    let (limit, per_shard) = (20_000, 15_000);
    if raise_nofile_limit() > limit {
        let limit = Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(Resource::Nofile, limit).unwrap();
    }
    let two = EngineConfig { shards: 2, ..config(Engine::Uring) };
    let doors = || listen(ANY, &ListenOptions::default(), 2).unwrap();
    let (first, second) = (doors(), doors());
    let targets: Vec<Target> = [&first, &second]
        .map(|doors| Target::tcp(doors[0].local_addr().unwrap()).with_source(loopback(2)))
        .into();
    let listeners = first.into_iter().zip(second).map(|(one, other)| vec![one, other]).collect();
    let server = start(&two, listeners, |_| Checked::new(Host::default())).unwrap();
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let crowds = gather(&two, &targets, per_shard, || assert!(count() < 100, "{}", count()));
    for crowd in crowds {
        assert_eq!((crowd.connected, crowd.failures.len()), (per_shard, 0));
    }
    server.controls().iter().for_each(|control| control.stop());
    let accepts: u64 = server.join().unwrap().iter().map(|done| done.stats.accepts).sum();
    assert_eq!(accepts, 2 * per_shard as u64);
}
