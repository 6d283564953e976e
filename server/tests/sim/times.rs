//! Deadlines and drains, to the millisecond of virtual time.

use ringbench_engine::sim::{Outcome, ShardId, Sim, SimOptions};
use ringbench_engine::{CloseReason, ConnId, Handler, Ops};
use ringserve::Server;

use crate::{ADDRESS, server};

const SECOND_NS: u64 = 1_000_000_000;
/// What delays and ticks may add.
const SLACK_NS: u64 = 10_000_000;

/// One connection, moved by the test; notes what comes and when.
#[derive(Debug, Default)]
struct Probe {
    id: Option<ConnId>,
    heard: Vec<u8>,
    ended_ns: Option<u64>,
}

impl Handler for Probe {
    fn started(&mut self, ops: &mut Ops) {
        let target = ops.add_target(ADDRESS);
        self.id = Some(ops.connect(target));
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }

    fn eof(&mut self, ops: &mut Ops, id: ConnId) {
        self.ended_ns.get_or_insert(ops.now_ns());
        ops.close(id);
    }

    fn closed(&mut self, ops: &mut Ops, _: ConnId, why: CloseReason) {
        assert!(matches!(why, CloseReason::Local | CloseReason::ReceiveFailed(_)), "{why:?}");
        self.ended_ns.get_or_insert(ops.now_ns());
    }
}

struct World {
    sim: Sim,
    server: ShardId<Server>,
    probe: ShardId<Probe>,
}

impl World {
    fn new() -> Self {
        let mut sim = Sim::new(SimOptions::calm());
        let server = sim.add_server(ADDRESS, server());
        let probe = sim.add_client(Probe::default());
        Self { sim, server, probe }
    }

    fn send_at(&mut self, at_ns: u64, bytes: &[u8]) {
        assert_eq!(self.sim.run_until(at_ns), Outcome::Reached, "nothing is left to wait for");
        self.sim.act(self.probe, |probe, ops| {
            let id = probe.id.expect("started");
            ops.output(id).extend_from_slice(bytes);
        });
    }

    fn run_until_heard(&mut self, bytes: usize) {
        while self.sim.handler(self.probe).heard.len() < bytes {
            let soon_ns = self.sim.now_ns() + 10_000;
            assert_eq!(self.sim.run_until(soon_ns), Outcome::Reached, "nothing more comes");
        }
    }

    /// Runs to the end: what was heard, and when the connection ended.
    fn finish(mut self) -> (String, u64) {
        assert_eq!(self.sim.run_until_idle(1_000_000), Outcome::Idle);
        assert_eq!(self.sim.handler(self.server).open_connections(), 0);
        assert_eq!(self.sim.connections(self.server), 0);
        let probe = self.sim.handler(self.probe);
        let heard = String::from_utf8(probe.heard.clone()).unwrap();
        (heard, probe.ended_ns.expect("the connection ended"))
    }
}

fn assert_about(actual_ns: u64, expected_ns: u64) {
    assert!(
        (expected_ns..expected_ns + SLACK_NS).contains(&actual_ns),
        "{actual_ns} ns, expected {expected_ns} ns"
    );
}

#[test]
fn a_connection_without_a_request_ends_without_an_answer() {
    let (heard, ended_ns) = World::new().finish();
    assert_eq!(heard, "");
    assert_about(ended_ns, 60 * SECOND_NS);
}

#[test]
fn an_idle_connection_ends_after_the_keepalive_timeout() {
    let mut world = World::new();
    world.send_at(10 * SECOND_NS, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    world.send_at(50 * SECOND_NS, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let (heard, ended_ns) = world.finish();
    assert_eq!(heard.matches("200 OK").count(), 2);
    assert_about(ended_ns, 125 * SECOND_NS);
}

#[test]
fn more_bytes_of_a_head_do_not_extend_its_time() {
    let mut world = World::new();
    world.send_at(SECOND_NS, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    // The time runs from the first byte of the second request, at 40 s.
    for step in 0..12 {
        world.send_at((40 + step * 5) * SECOND_NS, b"G");
    }
    let (heard, ended_ns) = world.finish();
    assert_eq!(heard.matches("408 Request Timeout").count(), 1, "{heard}");
    assert!(heard.contains("Connection: close"));
    assert_about(ended_ns, 100 * SECOND_NS);
}

#[test]
fn a_body_may_take_long_but_not_stand_still() {
    let mut world = World::new();
    world.send_at(SECOND_NS, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n");
    for (count, byte) in [b"a", b"b", b"c"].into_iter().enumerate() {
        world.send_at((50 + 50 * count as u64) * SECOND_NS, byte);
    }
    let (heard, ended_ns) = world.finish();
    assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    assert_about(ended_ns, 210 * SECOND_NS);
}

#[test]
fn a_client_that_reads_slowly_is_not_idle_and_one_that_stops_is_dropped() {
    let mut world = World::new();
    let body = vec![b'x'; 200_000];
    let request =
        format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    world.send_at(SECOND_NS, request.as_bytes());
    world.send_at(SECOND_NS, &body);
    // Long enough to be sent, and too short to be read in full.
    world.run_until_heard(1);
    world.sim.freeze(world.probe);
    assert_eq!(world.sim.run_until(100 * SECOND_NS), Outcome::Reached);
    assert_eq!(world.sim.handler(world.server).counts().timed_out(), 0, "it still has a chance");
    assert_eq!(world.sim.run_until(200 * SECOND_NS), Outcome::Idle, "nothing is left to wait for");
    assert_eq!(world.sim.handler(world.server).counts().timed_out(), 1);
    assert_eq!(world.sim.handler(world.server).open_connections(), 0);
    world.sim.thaw(world.probe);
    let (heard, _) = world.finish();
    assert!(heard.len() < body.len());
}

#[test]
fn a_last_answer_is_sent_in_full_however_slowly_it_is_read() {
    let body = "x".repeat(200_000);
    let length = body.len();
    for (fields, drain) in [("Connection: close\r\n", false), ("", true)] {
        let mut world = World::new();
        let request =
            format!("POST /echo HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n");
        world.send_at(SECOND_NS, request.as_bytes());
        world.send_at(SECOND_NS, body.as_bytes());
        if drain {
            let shard = world.server;
            world.sim.drain(shard);
        }
        for pause in 0..3 {
            world.run_until_heard(1 + pause * 50_000);
            world.sim.freeze(world.probe);
            // Longer than the engine waits after a close, shorter than we do.
            let until_ns = world.sim.now_ns() + 40 * SECOND_NS;
            assert_eq!(world.sim.run_until(until_ns), Outcome::Reached);
            world.sim.thaw(world.probe);
        }
        let (heard, _) = world.finish();
        assert!(heard.len() > body.len() && heard.ends_with(&body), "{fields} {drain}");
    }
}

#[test]
fn a_small_last_answer_does_not_cut_off_the_large_one_before_it() {
    let post =
        |length| format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    // The second request begins with a piece of input of its own, in the batch of the first's end.
    let body = "x".repeat(50 * SimOptions::calm().max_receive_bytes - post(200_000).len());
    let last = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let mut world = World::new();
    world.send_at(SECOND_NS, (post(body.len()) + &body + last).as_bytes());
    world.run_until_heard(1);
    world.sim.freeze(world.probe);
    // Longer than the engine waits after a close, shorter than we do.
    let until_ns = world.sim.now_ns() + 40 * SECOND_NS;
    assert_eq!(world.sim.run_until(until_ns), Outcome::Reached);
    world.sim.thaw(world.probe);
    let (heard, _) = world.finish();
    assert!(heard.contains(&body) && heard.ends_with("Hello, World!"), "{} bytes", heard.len());
}

#[test]
fn a_drain_answers_requests_that_are_on_their_way() {
    let mut world = World::new();
    world.send_at(SECOND_NS, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(world.sim.run_until(2 * SECOND_NS), Outcome::Reached);
    let server = world.server;
    world.sim.drain(server);
    world.send_at(2 * SECOND_NS + 50_000_000, &b"GET /json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(3));
    let (heard, ended_ns) = world.finish();
    assert_eq!(heard.matches("200 OK").count(), 4);
    assert_eq!(heard.matches("Connection: close").count(), 1);
    let last = heard.rfind("HTTP/1.1").unwrap();
    assert!(heard[last..].contains("Connection: close"), "the last one says it");
    assert_about(ended_ns, 2 * SECOND_NS + 50_000_000);
}

#[test]
fn a_drain_ends_idle_connections_and_waits_for_uploads() {
    let mut idle = World::new();
    assert_eq!(idle.sim.run_until(SECOND_NS), Outcome::Reached);
    let shard = idle.server;
    idle.sim.drain(shard);
    let (heard, ended_ns) = idle.finish();
    assert_eq!(heard, "");
    assert_about(ended_ns, SECOND_NS + 100_000_000);

    let mut busy = World::new();
    busy.send_at(SECOND_NS, b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
    assert_eq!(busy.sim.run_until(2 * SECOND_NS), Outcome::Reached);
    let shard = busy.server;
    busy.sim.drain(shard);
    busy.send_at(30 * SECOND_NS, b"cd");
    let (heard, ended_ns) = busy.finish();
    assert!(heard.ends_with("\r\n\r\nabcd") && heard.contains("Connection: close"));
    assert_about(ended_ns, 30 * SECOND_NS);
}

#[test]
fn an_answer_that_does_not_wait_for_the_body_is_given_in_full_later_or_in_pieces() {
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(4096));
    for fields in [
        "Content-Length: 100000\r\n\r\n".to_owned(),
        "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n".to_owned(),
        format!("Transfer-Encoding: chunked\r\n\r\n{}", chunk.repeat(40)),
    ] {
        for (path, body_bytes) in [("/sleep?ms=1000", 18), ("/bytes/200000", 200_000)] {
            let mut world = World::new();
            let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}");
            world.send_at(SECOND_NS, request.as_bytes());
            let (heard, _) = world.finish();
            assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{path}: {heard:.200}");
            let (fields, body) = heard.split_once("\r\n\r\n").unwrap();
            assert!(fields.contains("Connection: close"), "{fields}");
            assert_eq!(body.len(), body_bytes, "{path}");
        }
    }
}

#[test]
fn answers_behind_one_that_was_put_off_do_not_pile_up() {
    let mut world = World::new();
    let pair = "GET /bytes/60000 HTTP/1.1\r\nHost: a\r\n\r\n\
                GET /sleep?ms=1 HTTP/1.1\r\nHost: a\r\n\r\n";
    world.send_at(SECOND_NS, pair.repeat(500).as_bytes());
    world.run_until_heard(1);
    world.sim.freeze(world.probe);
    assert_eq!(world.sim.run_until(5 * SECOND_NS), Outcome::Reached);
    // What the socket took, what may be unsent, and one answer.
    let written_bytes = world.sim.handler(world.server).counts().written_bytes;
    assert!(written_bytes < 4 * 64 * 1024, "{written_bytes} bytes, of which nobody reads any");
    world.sim.thaw(world.probe);
    let (heard, _) = world.finish();
    assert_eq!(heard.matches("200 OK").count(), 1000);
}

#[test]
fn a_stream_may_be_read_in_equal_gulps_each_longer_than_the_time_for_one() {
    let mut world = World::new();
    world.send_at(SECOND_NS, b"GET /bytes/1000000 HTTP/1.1\r\nHost: a\r\n\r\n");
    for gulp in 0..12 {
        world.run_until_heard(1 + gulp * 64 * 1024);
        world.sim.freeze(world.probe);
        let until_ns = world.sim.now_ns() + 70 * SECOND_NS;
        assert_eq!(world.sim.run_until(until_ns), Outcome::Reached, "dropped in gulp {gulp}");
        world.sim.thaw(world.probe);
    }
    let (heard, _) = world.finish();
    assert!(heard.len() > 1_000_000);
}

#[test]
fn what_was_refused_is_not_refused_again_at_the_end_of_input() {
    let mut world = World::new();
    let requests = "GET /sleep?ms=1000 HTTP/1.1\r\nHost: a\r\n\r\n\
                    GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n";
    world.send_at(SECOND_NS, requests.as_bytes());
    // Half-closes, so that the end of input is known before the second answer can be given.
    world.sim.act(world.probe, |probe, ops| ops.close_lingering(probe.id.expect("started")));
    assert_eq!(world.sim.run_until_idle(1_000_000), Outcome::Idle);
    let counts = world.sim.handler(world.server).counts();
    assert_eq!((counts.requests, counts.refused, counts.status_4xx), (2, 0, 0));
}
