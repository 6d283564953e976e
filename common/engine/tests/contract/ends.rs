//! How connections and shards end.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};

use ringbench_engine::{
    CloseReason, ConnId, Control, Engine, EngineConfig, Handler, ListenOptions, Ops, UringFeature,
    listen, start,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::{
    ANY, Checked, Closer, Echo, Greeter, REPLY, Server, be_greeted, connect, engines, expect_end,
    is_missing, pattern, variants,
};

#[test]
fn what_was_written_before_a_close_arrives_in_full() {
    for (name, config) in variants() {
        for command in ["c", "l"] {
            let server = Server::start(&config, Closer::default);
            let mut stream = server.connect();
            stream.write_all(command.as_bytes()).unwrap();
            let mut reply = Vec::new();
            stream.read_to_end(&mut reply).unwrap();
            assert!(reply == pattern(REPLY, 9), "{name}, {command}: {} bytes", reply.len());
            server.stop();
        }
    }
}

#[test]
fn a_lingering_close_survives_unread_input() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        let mut stream = server.connect();
        stream.write_all(b"l").unwrap();
        let mut first = [0; 1000];
        stream.read_exact(&mut first).unwrap();
        // Input that arrives after the server has closed: a plain close would answer it with a
        // reset, which throws away what has not been read yet.
        for _ in 0..100 {
            stream.write_all(&pattern(1000, 5)).unwrap();
        }
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        assert_eq!(first.len() + rest.len(), REPLY, "{name}");
        server.stop();
    }
}

#[test]
fn an_abort_drops_the_connection() {
    for (name, config) in variants() {
        let server = Server::start(&config, Closer::default);
        let mut stream = server.connect();
        stream.write_all(b"a").unwrap();
        let mut reply = Vec::new();
        // An end of file or a reset, but no reply.
        let _ = stream.read_to_end(&mut reply);
        assert!(reply.is_empty(), "{name}");
        server.stop();
    }
}

/// Answers with more than the sockets hold, and resets when that has not left for a moment.
struct Resetter;

impl Handler for Resetter {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, _: &[u8]) {
        ops.output(conn).extend_from_slice(&pattern(20 * REPLY, 9));
        ops.set_deadline(conn, ops.now_ns() + 100_000_000);
    }

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        if ops.backlog_bytes(conn) > 0 {
            ops.reset(conn);
        } else {
            // A thread of the kernel that submits has not got to it yet.
            ops.set_deadline(conn, ops.now_ns() + 100_000_000);
        }
    }
}

/// One that does not read would never see an end behind what the kernel has for it.
#[test]
fn a_reset_reaches_a_peer_that_does_not_read() {
    // Rings can set options since Linux 6.7; asked for is what came a little later and can be.
    let rings_set_options = !is_missing(UringFeature::MinWait);
    for (name, config) in variants() {
        if config.engine == Engine::Uring && !rings_set_options {
            continue;
        }
        let server = Server::start(&config, || Resetter);
        let mut stream = server.connect();
        stream.write_all(b"x").unwrap();
        let mut broken = [PollFd::new(&stream, PollFlags::empty())];
        let patience = Timespec { tv_sec: 20, tv_nsec: 0 };
        while poll(&mut broken, Some(&patience)) == Err(Errno::INTR) {}
        let error = stream.take_error().unwrap().unwrap_or_else(|| panic!("{name}: no reset"));
        assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{name}");
        server.stop();
    }
}

#[test]
fn a_reset_is_told_from_an_end() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let mut stream = server.connect();
        stream.write_all(b"x").unwrap();
        // Closed with the answer unread, which the kernel makes a reset.
        while stream.peek(&mut [0]).unwrap() == 0 {}
        drop(stream);
        server.drain();
        let reasons = server.join().handler.reasons;
        assert!(matches!(reasons[..], [CloseReason::ReceiveFailed(_)]), "{name}: {reasons:?}");
    }
}

#[test]
fn a_stop_drops_what_is_open() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let mut stream = server.connect();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let reasons = server.stop().handler.reasons;
        assert!(matches!(reasons[..], [CloseReason::Stopped]), "{name}: {reasons:?}");
        expect_end(&mut stream, name);
    }
}

#[test]
fn a_drain_stops_accepting_and_ends_with_the_last_connection() {
    for (name, config) in variants() {
        let server = Server::start(&config, Echo::default);
        let mut stream = server.connect();
        stream.write_all(b"one").unwrap();
        let mut answer = [0; 3];
        stream.read_exact(&mut answer).unwrap();
        server.drain();
        // The open connection works on; a new one is refused as soon as the listener is closed.
        while TcpStream::connect(server.address).is_ok() {}
        stream.write_all(b"two").unwrap();
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"two", "{name}");
        assert!(!server.shards.is_finished(), "{name}");
        drop(stream);
        assert!(server.join().handler.told_to_drain, "{name}");
    }
}

/// Echoes; in the first `received` it waits for the test.
struct Sleeper {
    asleep: mpsc::Sender<()>,
    wake: mpsc::Receiver<()>,
    drained: bool,
    accepted_late: usize,
}

impl Handler for Sleeper {
    fn accepted(&mut self, _: &mut Ops, _: ConnId) {
        self.accepted_late += usize::from(self.drained);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
        if self.asleep.send(()).is_ok() {
            // Awake for good once the test has dropped its end.
            let _ = self.wake.recv();
        }
    }

    fn control(&mut self, _: &mut Ops, _: Control) {
        self.drained = true;
    }
}

#[test]
fn who_connected_before_a_drain_is_served() {
    for (name, config) in variants() {
        let (asleep, is_asleep) = mpsc::channel();
        let (waking, wake) = mpsc::channel();
        let parts = Mutex::new(Some((asleep, wake)));
        let server = Server::start(&config, move || {
            let (asleep, wake) = parts.lock().unwrap().take().expect("one shard");
            Sleeper { asleep, wake, drained: false, accepted_late: 0 }
        });
        let mut streams = vec![server.connect()];
        streams[0].write_all(b"x").unwrap();
        is_asleep.recv().unwrap();
        // The shard does not get to accept these before it is told to drain.
        for _ in 0..20 {
            let mut stream = server.connect();
            stream.write_all(b"x").unwrap();
            streams.push(stream);
        }
        server.drain();
        drop((waking, is_asleep));
        for mut stream in streams {
            let mut answer = [0];
            stream.read_exact(&mut answer).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let done = server.join();
        assert_eq!(done.stats.accepts, 21, "{name}");
        assert!(done.handler.drained, "{name}");
        assert_eq!(done.handler.accepted_late, 0, "{name}");
    }
}

#[test]
fn short_lived_connections_all_get_their_answer() {
    for (name, config) in variants() {
        let server = Server::start(&config, Greeter::default);
        be_greeted(&server, 8, 200, name);
        assert_eq!(server.drain_and_join().handler.closed, 1600, "{name}: a connection leaked");
    }
}

/// A server that takes the listening socket of another one over, while that is still there.
#[test]
fn a_listener_that_is_shared_serves_both_and_then_the_one_that_stays() {
    for (old_name, old) in engines() {
        for (new_name, new) in engines() {
            let listener = listen(ANY, &ListenOptions::default(), 1).unwrap().remove(0);
            let address = listener.local_addr().unwrap();
            let twin = listener.try_clone().unwrap();
            let start = |config: &EngineConfig, listener| {
                start(config, vec![vec![listener]], |_| Checked::new(Echo::default())).unwrap()
            };
            let exchange = || {
                let mut stream = connect(address);
                stream.write_all(b"x").unwrap();
                stream
                    .read_exact(&mut [0])
                    .unwrap_or_else(|error| panic!("{old_name}, then {new_name}: {error}"));
            };
            let first = start(&old, twin);
            exchange();
            let second = start(&new, listener);
            (0..20).for_each(|_| exchange());
            first.controls().iter().for_each(|control| control.drain());
            crate::join(first);
            (0..5).for_each(|_| exchange());
            second.controls().iter().for_each(|control| control.stop());
            crate::join(second);
        }
    }
}

/// Holds its input, answers with more than the sockets hold, and closes in stages.
#[derive(Default)]
struct Refuser {
    answered: bool,
}

impl Handler for Refuser {
    fn received(&mut self, ops: &mut Ops, conn: ConnId, _: &[u8]) {
        if !std::mem::replace(&mut self.answered, true) {
            ops.hold_input(conn);
            ops.output(conn).extend_from_slice(&pattern(4 * REPLY, 5));
            ops.set_deadline(conn, ops.now_ns() + 100_000_000);
        }
    }

    fn deadline(&mut self, ops: &mut Ops, conn: ConnId) {
        ops.close_lingering(conn);
    }
}

#[test]
fn a_peer_that_writes_all_before_it_reads_gets_the_answer_of_a_lingering_close() {
    for (name, config) in variants() {
        let server = Server::start(&config, Refuser::default);
        let mut stream = server.connect();
        stream.write_all(&vec![1; 24 << 20]).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(reply.len(), 4 * REPLY, "{name}");
        server.stop();
    }
}
