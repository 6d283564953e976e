//! A server of one shard for the tests of back ends and of their options, and the programs that it
//! runs.
//!
//! Every program runs inside [`Checked`], which panics when a call comes that the contract does not
//! allow, so that each test is also one of that.

#![allow(dead_code, reason = "each test program uses a part of this")]

#[path = "../sim/checked.rs"]
mod checked;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::Duration;

use ringbench_engine::{
    CloseReason, ConnId, Control, EngineConfig, Finished, Handler, ListenOptions, Ops, Shards,
    UringFeature, listen, probe_kernel, start,
};

pub(crate) use checked::Checked;

pub(crate) const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Every wait of a test ends after this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this kernel lacks something.
pub(crate) fn is_missing(wanted: UringFeature) -> bool {
    let offers = probe_kernel().features;
    offers.iter().any(|offer| offer.feature == wanted && offer.missing.is_some())
}

pub(crate) struct Server<H> {
    pub(crate) address: SocketAddr,
    pub(crate) shards: Shards<Checked<H>>,
}

impl<H: Handler + Send + 'static> Server<H> {
    pub(crate) fn start(
        config: &EngineConfig,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self {
        Self::start_on(ANY, config, make)
    }

    pub(crate) fn start_on(
        address: SocketAddr,
        config: &EngineConfig,
        make: impl Fn() -> H + Send + Sync + 'static,
    ) -> Self {
        let listeners =
            listen(address, &ListenOptions::default(), 1).expect("loopback can be listened on");
        let address = listeners[0].local_addr().unwrap();
        let shards = start(config, vec![listeners], move |_| Checked::new(make())).unwrap();
        Self { address, shards }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    pub(crate) fn drain(&self) {
        self.shards.controls().iter().for_each(|control| control.drain());
    }

    pub(crate) fn stop(self) -> Finished<H> {
        self.shards.controls().iter().for_each(|control| control.stop());
        self.join()
    }

    pub(crate) fn join(self) -> Finished<H> {
        join(self.shards)
    }

    pub(crate) fn drain_and_join(self) -> Finished<H> {
        self.drain();
        self.join()
    }
}

/// Waits for the one shard's end, by which every connection must have been reported as closed.
pub(crate) fn join<H>(shards: Shards<Checked<H>>) -> Finished<H> {
    let done = shards.join().unwrap().remove(0);
    assert_eq!(done.handler.open(), 0, "a connection leaked");
    Finished { handler: done.handler.inner, stats: done.stats }
}

/// A connection on which nothing takes for ever.
pub(crate) fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Waits for the end of what the peer sends, of which nothing may be left.
pub(crate) fn expect_end(stream: &mut TcpStream, message: &str) {
    let mut rest = Vec::new();
    // Unlike a single read it goes on after a signal, of which glommio makes use.
    stream.read_to_end(&mut rest).unwrap();
    assert!(rest.is_empty(), "{message}: {rest:?}");
}

pub(crate) fn pattern(len: usize, seed: u64) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(seed | 1) >> 3) as u8).collect()
}

/// Sends back what it gets; tells of every end.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    pub(crate) most_backlog: usize,
    pub(crate) reasons: Vec<CloseReason>,
    pub(crate) told_to_drain: bool,
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

/// Sends so much to one that sends everything back, and checks that it does.
pub(crate) fn echo_much(server: &Server<Echo>, len: usize, name: &str) {
    let sent = pattern(len, 77);
    let mut reader = server.connect();
    let mut writer = reader.try_clone().unwrap();
    let copy = sent.clone();
    let writing = thread::spawn(move || {
        writer.write_all(&copy).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut echoed = Vec::new();
    reader.read_to_end(&mut echoed).unwrap();
    writing.join().unwrap();
    assert!(echoed == sent, "{name}: {} of {len} bytes came back, or others", echoed.len());
}

/// Sends to one that sends everything back, reads nothing until it is held back, and then all.
pub(crate) fn write_until_held_back(server: &Server<Echo>, name: &str) {
    let mut stream = server.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let chunk = pattern(1 << 20, 3);
    let mut sent = Vec::new();
    // Writing stalls when both sockets' buffers and the server's backlog are full.
    let stalled = (0..200).any(|_| match stream.write(&chunk) {
        Ok(len) => {
            sent.extend_from_slice(&chunk[..len]);
            false
        }
        Err(_) => true,
    });
    assert!(stalled, "{name}: 200 MB went into a server whose answers nobody reads");
    stream.shutdown(Shutdown::Write).unwrap();
    let mut echoed = Vec::new();
    stream.read_to_end(&mut echoed).unwrap();
    assert!(echoed == sent, "{name}: {} of {} bytes", echoed.len(), sent.len());
}

/// Answers a byte with a large reply and closes, or does not, in the way that the byte names.
#[derive(Debug, Default)]
pub(crate) struct Closer {
    pub(crate) closed: usize,
}

pub(crate) const REPLY: usize = 3_000_000;

impl Handler for Closer {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(&pattern(REPLY, 9));
        match bytes[0] {
            b'c' => ops.close(conn),
            b'l' => ops.close_lingering(conn),
            b'a' => ops.abort(conn),
            b'o' => return,
            other => panic!("no command {other}"),
        }
        ops.output(conn).extend_from_slice(b"after the close: dropped");
    }

    fn closed(&mut self, _: &mut Ops, _: ConnId, _: CloseReason) {
        self.closed += 1;
    }
}

/// Streams a body in pieces, each when the last has left.
#[derive(Debug, Default)]
pub(crate) struct Streamer {
    left: usize,
    pub(crate) most_at_once: usize,
}

pub(crate) const PIECE: usize = 64 * 1024;
const BODY: usize = 10_000_000;

impl Streamer {
    fn next_piece(&mut self, ops: &mut Ops, conn: ConnId) {
        let len = PIECE.min(self.left);
        self.left -= len;
        // Another one each time, so that none can be taken for the next.
        ops.output(conn).extend_from_slice(&pattern(len, self.left as u64));
        self.most_at_once = self.most_at_once.max(ops.backlog_bytes(conn));
        if self.left == 0 { ops.close(conn) } else { ops.notify_drained(conn) }
    }
}

impl Handler for Streamer {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, _: &[u8]) {
        self.left = BODY;
        self.next_piece(ops, conn);
    }

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.next_piece(ops, conn);
    }
}

/// Has a body streamed, and checks it.
pub(crate) fn read_stream(server: &Server<Streamer>, name: &str) {
    let mut stream = server.connect();
    stream.write_all(b"go").unwrap();
    let mut body = Vec::new();
    stream.read_to_end(&mut body).unwrap();
    assert_eq!(body.len(), BODY, "{name}");
    let mut left = BODY;
    for piece in body.chunks(PIECE) {
        left -= piece.len();
        assert!(piece == pattern(piece.len(), left as u64), "{name}: {left} bytes before the end");
    }
}

/// Greets whoever connects and closes at once, so that accepts and closes are always under way.
#[derive(Debug, Default)]
pub(crate) struct Greeter {
    pub(crate) closed: usize,
}

impl Handler for Greeter {
    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(b"hello");
        ops.close_lingering(conn);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn closed(&mut self, _: &mut Ops, _: ConnId, _: CloseReason) {
        self.closed += 1;
    }
}

/// So many clients are greeted so often, at the same time.
pub(crate) fn be_greeted(server: &Server<Greeter>, clients: usize, times: usize, name: &str) {
    let address = server.address;
    let clients: Vec<_> = (0..clients)
        .map(|_| {
            thread::spawn(move || {
                for _ in 0..times {
                    let mut stream = connect(address);
                    // What it sends is still unread when the answer leaves.
                    stream.write_all(b"ignored").unwrap();
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).unwrap();
                    assert_eq!(answer, "hello");
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap_or_else(|_| panic!("{name}: a client failed"));
    }
}
