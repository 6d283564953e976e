//! One promise of the engine a test.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ringbench_engine::sim::{CONNECT_TIMEOUT_NS, Outcome, ShardId, Sim, SimOptions};
use ringbench_engine::{CloseReason, ConnId, Control, Handler, Ops};

use crate::SERVER;
use crate::checked::Checked;

const SECOND_NS: u64 = 1_000_000_000;
const MILLISECOND_NS: u64 = 1_000_000;
/// The engine's own limits, which it does not export.
const HIGH_WATER_BYTES: usize = 256 * 1024;
const CLOSE_TIMEOUT_NS: u64 = 5 * SECOND_NS;

/// A handler that notes what it is told and does what little its fields say; the rest a test does
/// with `Sim::act`.
#[derive(Debug, Default)]
struct Probe {
    target: Option<SocketAddr>,
    stays_after_eof: bool,
    /// Written for every byte received.
    answer: Vec<u8>,
    answered: usize,
    /// After how many bytes it closes, lingering, instead of answering.
    closes_after: Option<usize>,
    /// Bytes still to be streamed, a chunk each time the last is drained.
    stream_left: usize,
    backlog_peak: usize,
    conns: Vec<ConnId>,
    received: Vec<u8>,
    calls: Vec<(u64, &'static str)>,
    ended: Vec<(ConnId, CloseReason)>,
    submitted_ns: Vec<u64>,
}

const CHUNK: usize = 16 * 1024;

impl Probe {
    fn client() -> Self {
        Self { target: Some(SERVER), ..Self::default() }
    }

    fn conn(&self) -> ConnId {
        *self.conns.last().expect("a connection")
    }

    fn note(&mut self, ops: &Ops, call: &'static str) {
        self.calls.push((ops.now_ns(), call));
    }

    fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|(_, name)| *name == call).count()
    }

    fn time_of(&self, call: &str) -> u64 {
        self.calls.iter().find(|(_, name)| *name == call).expect(call).0
    }

    fn stream(&mut self, ops: &mut Ops, conn: ConnId) {
        let length = self.stream_left.min(CHUNK);
        let sent = self.stream_left;
        ops.output(conn).extend((0..length).map(|at| pattern(sent - at)));
        self.stream_left -= length;
        if self.stream_left > 0 {
            ops.notify_drained(conn);
        } else {
            ops.close(conn);
        }
    }
}

/// The byte that has so many bytes of the stream from itself to the end.
fn pattern(left: usize) -> u8 {
    (left % 251) as u8
}

impl Handler for Probe {
    fn started(&mut self, ops: &mut Ops) {
        if let Some(target) = self.target {
            let target = ops.add_target(target);
            let conn = ops.connect(target);
            self.conns.push(conn);
        }
    }

    fn accepted(&mut self, ops: &mut Ops, conn: ConnId) {
        self.conns.push(conn);
        self.note(ops, "accepted");
        if self.stream_left > 0 {
            self.stream(ops, conn);
        }
    }

    fn connected(&mut self, ops: &mut Ops, _: ConnId) {
        self.note(ops, "connected");
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        self.note(ops, "received");
        self.received.extend_from_slice(bytes);
        if self.closes_after.is_some_and(|count| self.received.len() >= count) {
            return ops.close_lingering(conn);
        }
        self.answered += bytes.len();
        for _ in bytes {
            ops.output(conn).extend_from_slice(&self.answer);
        }
    }

    fn eof(&mut self, ops: &mut Ops, conn: ConnId) {
        self.note(ops, "eof");
        if !self.stays_after_eof {
            ops.close(conn);
        }
    }

    fn drained(&mut self, ops: &mut Ops, conn: ConnId) {
        self.note(ops, "drained");
        if self.stream_left > 0 {
            self.stream(ops, conn);
        }
    }

    fn deadline(&mut self, ops: &mut Ops, _: ConnId) {
        self.note(ops, "deadline");
    }

    fn closed(&mut self, ops: &mut Ops, conn: ConnId, why: CloseReason) {
        self.note(ops, "closed");
        self.ended.push((conn, why));
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.note(ops, "alarm");
    }

    fn control(&mut self, ops: &mut Ops, control: Control) {
        assert_eq!(control, Control::Drain);
        self.note(ops, "drain");
    }

    fn turn(&mut self, ops: &mut Ops) {
        let backlog = self.conns.iter().map(|&conn| ops.backlog_bytes(conn)).max();
        self.backlog_peak = self.backlog_peak.max(backlog.unwrap_or(0));
    }

    fn submitting(&mut self, now_ns: u64) {
        self.submitted_ns.push(now_ns);
    }
}

type Id = ShardId<Checked<Probe>>;

/// A server and a client in one world, connected.
fn pair(options: SimOptions, server: Probe, client: Probe) -> (Sim, Id, Id) {
    let mut sim = Sim::new(options);
    let server = sim.add_server(SERVER, Checked::new(server));
    let client = sim.add_client(Checked::new(client));
    let connecting = |sim: &Sim| {
        probe(sim, client).count("connected") == 0 || probe(sim, server).count("accepted") == 0
    };
    assert_eq!(sim.run_while(1000, connecting), Outcome::Reached);
    (sim, server, client)
}

fn calm_pair() -> (Sim, Id, Id) {
    pair(SimOptions::calm(), Probe::default(), Probe::client())
}

fn probe(sim: &Sim, shard: Id) -> &Probe {
    &sim.handler(shard).inner
}

/// Acts on the shard's latest connection.
fn act(sim: &mut Sim, shard: Id, act: impl FnOnce(&mut Ops, ConnId)) {
    sim.act(shard, |handler, ops| act(ops, handler.inner.conn()));
}

/// The one reason for which the shard's one connection is gone.
fn reason(sim: &Sim, shard: Id) -> &CloseReason {
    let ended = &probe(sim, shard).ended;
    assert_eq!(ended.len(), 1, "{ended:?}");
    &ended[0].1
}

fn assert_all_over(sim: &mut Sim, shards: [Id; 2]) {
    assert_eq!(sim.run_until_idle(1_000_000), Outcome::Idle);
    for shard in shards {
        assert_eq!(sim.connections(shard), 0, "{shard:?} leaks");
    }
}

#[test]
fn close_sends_what_was_written_first() {
    let options =
        SimOptions { socket_buffer_bytes: 1000, short_send_probability: 0.5, ..SimOptions::calm() };
    let (mut sim, server, client) = pair(options, Probe::default(), Probe::client());
    act(&mut sim, server, |ops, conn| {
        ops.output(conn).resize(300_000, 7);
        ops.close(conn);
        ops.output(conn).extend_from_slice(b"too late");
    });
    assert_all_over(&mut sim, [server, client]);
    assert_eq!(probe(&sim, client).received, vec![7; 300_000]);
    assert_eq!(probe(&sim, client).count("eof"), 1);
    assert!(matches!(reason(&sim, server), CloseReason::Local));
    assert!(matches!(reason(&sim, client), CloseReason::Local));
}

/// An answer in the middle of an upload, with and without care (RFC 9112 9.6).
#[test]
fn a_lingering_close_saves_the_answer_that_a_plain_close_loses() {
    let upload = |seed, close: fn(&mut Ops, ConnId)| {
        let options = SimOptions { seed, ..SimOptions::calm() };
        let (mut sim, server, client) = pair(options, Probe::default(), Probe::client());
        act(&mut sim, client, |ops, conn| ops.output(conn).resize(1 << 20, 1));
        let early = |sim: &Sim| probe(sim, server).received.is_empty();
        assert_eq!(sim.run_while(1000, early), Outcome::Reached);
        act(&mut sim, server, |ops, conn| {
            ops.output(conn).resize(10_000, 2);
            close(ops, conn);
        });
        assert_all_over(&mut sim, [server, client]);
        assert!(probe(&sim, server).received.len() < 1 << 20, "heard more after closing");
        let heard = probe(&sim, client).received.len();
        (heard, matches!(reason(&sim, client), CloseReason::Local))
    };
    for seed in 0..20 {
        assert_eq!(upload(seed, Ops::close_lingering), (10_000, true));
        let (_, saw_end) = upload(seed, Ops::close);
        assert!(!saw_end, "unread input makes a reset of a plain close");
    }
    assert!((0..20).any(|seed| upload(seed, Ops::close).0 < 10_000));
}

/// A close in the very turn in which the last send is answered, and whatever other order.
#[test]
fn a_lingering_close_loses_nothing_however_events_fall() {
    for seed in 0..500 {
        let options = SimOptions {
            seed,
            max_delay_ns: 2_000,
            max_receive_bytes: 4,
            shuffle: true,
            short_receive_probability: 0.5,
            short_send_probability: 0.5,
            ..SimOptions::calm()
        };
        let server = Probe { answer: b"a".to_vec(), closes_after: Some(20), ..Probe::default() };
        let (mut sim, server, client) = pair(options, server, Probe::client());
        act(&mut sim, client, |ops, conn| ops.output(conn).resize(200, b'q'));
        assert_all_over(&mut sim, [server, client]);
        let answered = probe(&sim, server).answered;
        assert!((16..20).contains(&answered), "{answered}");
        assert_eq!(probe(&sim, client).received.len(), answered);
        assert!(matches!(reason(&sim, client), CloseReason::Local));
    }
}

#[test]
fn lingering_has_an_end() {
    let (mut sim, server, client) = calm_pair();
    sim.freeze(client);
    act(&mut sim, server, |ops, conn| {
        ops.output(conn).extend_from_slice(b"bye");
        ops.close_lingering(conn);
    });
    let begun_ns = sim.now_ns();
    assert_eq!(sim.run_until(begun_ns + CLOSE_TIMEOUT_NS - 10 * MILLISECOND_NS), Outcome::Reached);
    assert_eq!(probe(&sim, server).count("closed"), 0);
    assert_eq!(sim.run_until(begun_ns + CLOSE_TIMEOUT_NS + 10 * MILLISECOND_NS), Outcome::Idle);
    assert!(matches!(reason(&sim, server), CloseReason::Local));
    assert_eq!(sim.connections(server), 0);
    sim.thaw(client);
    assert_all_over(&mut sim, [server, client]);
    assert_eq!(probe(&sim, client).received, b"bye");
}

#[test]
fn a_close_that_cannot_send_is_given_up() {
    for close in [Ops::close, Ops::close_lingering] {
        let (mut sim, server, client) = calm_pair();
        sim.freeze(client);
        act(&mut sim, server, |ops, conn| {
            ops.output(conn).resize(1 << 20, 0);
            close(ops, conn);
        });
        let begun_ns = sim.now_ns();
        assert_eq!(sim.run_until_idle(1000), Outcome::Idle);
        let took_ns = probe(&sim, server).time_of("closed") - begun_ns;
        assert!((CLOSE_TIMEOUT_NS..CLOSE_TIMEOUT_NS + 10 * MILLISECOND_NS).contains(&took_ns));
        assert!(matches!(reason(&sim, server), CloseReason::Local));
        assert_eq!(sim.connections(server), 0);
        sim.thaw(client);
        assert_all_over(&mut sim, [server, client]);
        assert!(probe(&sim, client).received.len() < 1 << 20);
    }
}

#[test]
fn a_close_that_gets_on_slowly_is_not_given_up() {
    const LENGTH: usize = 500_000;
    let options = SimOptions { socket_buffer_bytes: 1000, ..SimOptions::calm() };
    let (mut sim, server, client) = pair(options, Probe::default(), Probe::client());
    act(&mut sim, server, |ops, conn| {
        ops.output(conn).resize(LENGTH, 7);
        ops.close(conn);
    });
    let begun_ns = sim.now_ns();
    // Time and again the peer reads a tenth and then nothing for almost as long as may be.
    for tenth in 1..10 {
        let hungry = |sim: &Sim| probe(sim, client).received.len() < tenth * LENGTH / 10;
        assert_eq!(sim.run_while(100_000, hungry), Outcome::Reached);
        sim.freeze(client);
        let until_ns = sim.now_ns() + CLOSE_TIMEOUT_NS / 2;
        assert_eq!(sim.run_until(until_ns), Outcome::Reached);
        sim.thaw(client);
    }
    assert_all_over(&mut sim, [server, client]);
    assert!(sim.now_ns() - begun_ns > 4 * CLOSE_TIMEOUT_NS);
    assert_eq!(probe(&sim, client).received, vec![7; LENGTH]);
    assert!(matches!(reason(&sim, server), CloseReason::Local));
}

#[test]
fn abort_drops_what_is_not_sent() {
    let (mut sim, server, client) = calm_pair();
    act(&mut sim, server, |ops, conn| ops.output(conn).extend_from_slice(b"sent"));
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    act(&mut sim, client, |ops, conn| ops.output(conn).extend_from_slice(b"unread"));
    act(&mut sim, server, |ops, conn| {
        ops.output(conn).extend_from_slice(b"unsent");
        ops.abort(conn);
        ops.abort(conn);
        ops.close(conn);
    });
    let heard = probe(&sim, server).received.len();
    assert_all_over(&mut sim, [server, client]);
    assert_eq!(probe(&sim, client).received, b"sent");
    assert_eq!(probe(&sim, server).received.len(), heard, "heard of after the abort");
    assert!(matches!(reason(&sim, server), CloseReason::Local));
}

#[test]
fn a_drained_shard_finishes_and_ends() {
    let (mut sim, server, client) = calm_pair();
    let late = sim.add_client(Checked::new(Probe { target: None, ..Probe::default() }));
    sim.drain(server);
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    assert_eq!(probe(&sim, server).count("drain"), 1);
    sim.act(late, |_, ops| {
        assert!(!ops.is_draining());
        let target = ops.add_target(SERVER);
        ops.connect(target);
    });
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    assert!(matches!(reason(&sim, late), CloseReason::ConnectFailed(error)
            if error.kind() == ErrorKind::ConnectionRefused));
    // What is open goes on.
    assert!(!sim.is_ended(server));
    act(&mut sim, client, |ops, conn| ops.output(conn).extend_from_slice(b"still here"));
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    assert_eq!(probe(&sim, server).received, b"still here");
    act(&mut sim, client, Ops::close);
    assert_all_over(&mut sim, [server, client]);
    assert!(sim.is_ended(server) && !sim.is_ended(client));
}

#[test]
fn a_stopped_shard_drops_everything() {
    let (mut sim, server, client) = calm_pair();
    act(&mut sim, client, |ops, _| {
        let target = ops.add_target(SERVER);
        ops.connect(target);
    });
    assert_eq!(sim.run_until(SECOND_NS), Outcome::Idle);
    assert_eq!(sim.connections(server), 2);
    act(&mut sim, server, |ops, conn| {
        ops.close(conn);
        ops.stop();
    });
    assert!(sim.is_ended(server));
    assert_all_over(&mut sim, [server, client]);
    let ended = &probe(&sim, server).ended;
    assert_eq!(ended.iter().filter(|(_, why)| matches!(why, CloseReason::Stopped)).count(), 1);
    assert_eq!(ended.iter().filter(|(_, why)| matches!(why, CloseReason::Local)).count(), 1);
}

/// A reader that never reads: the writer's memory stays bounded, because its input is paused.
#[test]
fn a_full_socket_pauses_input() {
    const ANSWER_BYTES: usize = 100;
    const ASKED_BYTES: usize = 256 * 1024;
    let server = Probe { answer: vec![b'a'; ANSWER_BYTES], ..Probe::default() };
    let (mut sim, server, client) = pair(SimOptions::calm(), server, Probe::client());
    act(&mut sim, client, |ops, conn| ops.output(conn).resize(ASKED_BYTES, b'q'));
    // The client sends on for a while, as it has a backlog itself, then reads no more.
    let taken = |sim: &Sim| probe(sim, server).received.is_empty();
    assert_eq!(sim.run_while(100_000, taken), Outcome::Reached);
    sim.freeze(client);
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    // Some more may come in while the pause takes effect: what one turn delivers.
    let one_turn = sim.options().max_batch * sim.options().max_receive_bytes * ANSWER_BYTES;
    assert!(probe(&sim, server).backlog_peak > HIGH_WATER_BYTES, "no pressure, no test");
    assert!(probe(&sim, server).backlog_peak <= HIGH_WATER_BYTES + one_turn);
    assert!(probe(&sim, server).received.len() < ASKED_BYTES);
    sim.thaw(client);
    let reading = |sim: &Sim| probe(sim, client).received.len() < ASKED_BYTES * ANSWER_BYTES;
    assert_eq!(sim.run_while(1_000_000, reading), Outcome::Reached);
    assert_eq!(probe(&sim, server).received.len(), ASKED_BYTES);
    act(&mut sim, client, Ops::close);
    assert_all_over(&mut sim, [server, client]);
}

#[test]
fn ten_megabytes_stream_through_a_small_buffer() {
    const TOTAL: usize = 10_000_000;
    for seed in 0..3 {
        let options = SimOptions {
            socket_buffer_bytes: 40_000,
            max_delay_ns: 1_000,
            ..SimOptions::rough(seed)
        };
        let options = SimOptions {
            max_receive_bytes: 4096,
            reset_probability: 0.0,
            refuse_probability: 0.0,
            lost_connect_probability: 0.0,
            ..options
        };
        let server = Probe { stream_left: TOTAL, ..Probe::default() };
        let (mut sim, server, client) = pair(options, server, Probe::client());
        assert_all_over(&mut sim, [server, client]);
        let got = &probe(&sim, client).received;
        assert_eq!(got.len(), TOTAL);
        assert!(got.iter().enumerate().all(|(at, &byte)| byte == pattern(TOTAL - at)));
        assert_eq!(probe(&sim, server).count("drained"), TOTAL.div_ceil(CHUNK) - 1);
        assert!(probe(&sim, server).backlog_peak <= CHUNK, "one chunk at a time");
    }
}

#[test]
fn held_input_waits_with_its_end() {
    for late in [b"".as_slice(), b"late"] {
        let (mut sim, server, client) = calm_pair();
        act(&mut sim, server, Ops::hold_input);
        act(&mut sim, client, |ops, conn| {
            ops.output(conn).extend_from_slice(late);
            ops.close(conn);
        });
        assert_ne!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::TurnLimit);
        assert_eq!(
            (probe(&sim, server).count("received"), probe(&sim, server).count("eof")),
            (0, 0)
        );
        // Twice is once, and what was let go and is held again is held.
        act(&mut sim, server, |ops, conn| {
            ops.hold_input(conn);
            ops.resume_input(conn);
            ops.hold_input(conn);
        });
        assert_ne!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::TurnLimit);
        assert_eq!(
            (probe(&sim, server).count("received"), probe(&sim, server).count("eof")),
            (0, 0)
        );
        act(&mut sim, server, Ops::resume_input);
        assert_all_over(&mut sim, [server, client]);
        assert_eq!(probe(&sim, server).received, late);
        assert_eq!(probe(&sim, server).count("eof"), 1);
    }
}

#[test]
fn a_held_connection_that_is_closed_with_care_hears_its_end() {
    let (mut sim, server, client) = calm_pair();
    act(&mut sim, server, |ops, conn| {
        ops.hold_input(conn);
        ops.close_lingering(conn);
    });
    act(&mut sim, client, |ops, conn| {
        ops.output(conn).resize(100_000, 1);
        ops.close(conn);
    });
    let begun_ns = sim.now_ns();
    assert_all_over(&mut sim, [server, client]);
    assert!(probe(&sim, server).time_of("closed") - begun_ns < SECOND_NS, "it waited for nothing");
    assert_eq!(probe(&sim, server).received, b"");
    assert!(matches!(reason(&sim, client), CloseReason::Local));
}

#[test]
fn with_nothing_written_it_is_drained_at_once() {
    let (mut sim, server, client) = calm_pair();
    act(&mut sim, server, Ops::notify_drained);
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    assert_eq!(probe(&sim, server).count("drained"), 1);
    act(&mut sim, server, Ops::close);
    assert_all_over(&mut sim, [server, client]);
}

#[test]
fn deadlines_fire_once_and_can_be_moved() {
    let (mut sim, server, client) = calm_pair();
    let begun_ns = sim.now_ns();
    let at_ns = begun_ns + SECOND_NS;
    act(&mut sim, server, |ops, conn| ops.set_deadline(conn, at_ns));
    act(&mut sim, server, |ops, conn| ops.set_deadline(conn, at_ns + SECOND_NS));
    act(&mut sim, client, |ops, conn| ops.set_deadline(conn, at_ns));
    act(&mut sim, client, Ops::clear_deadline);
    assert_eq!(sim.run_until(begun_ns + 60 * SECOND_NS), Outcome::Idle);
    assert_eq!(probe(&sim, client).count("deadline"), 0);
    assert_eq!(probe(&sim, server).count("deadline"), 1);
    let late_ns = probe(&sim, server).time_of("deadline") - (at_ns + SECOND_NS);
    assert!(late_ns < 2 * MILLISECOND_NS, "{late_ns}");
    act(&mut sim, client, Ops::abort);
    assert_all_over(&mut sim, [server, client]);
}

/// The deadline that limits a close must not fire on the connection that has the slot next.
#[test]
fn a_slot_passes_on_no_deadline_and_an_old_id_does_nothing() {
    let (mut sim, server, client) = calm_pair();
    let old = probe(&sim, server).conn();
    act(&mut sim, server, |ops, conn| ops.set_deadline(conn, ops.now_ns() + SECOND_NS));
    act(&mut sim, server, Ops::abort);
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS / 10), Outcome::Reached);
    act(&mut sim, client, |ops, _| {
        let target = ops.add_target(SERVER);
        ops.connect(target);
    });
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS / 10), Outcome::Reached);
    let new = probe(&sim, server).conn();
    assert_eq!(old.index(), new.index());
    assert_ne!(old, new);
    act(&mut sim, server, |ops, _| {
        ops.output(old).extend_from_slice(b"ghost");
        ops.set_deadline(old, ops.now_ns());
        ops.notify_drained(old);
        ops.close(old);
    });
    assert_eq!(sim.run_until(sim.now_ns() + 60 * SECOND_NS), Outcome::Idle);
    let server_probe = probe(&sim, server);
    assert_eq!((server_probe.count("deadline"), server_probe.count("drained")), (0, 0));
    assert_eq!((server_probe.ended.len(), sim.connections(server)), (1, 1));
    assert_eq!(probe(&sim, client).received, b"");
    act(&mut sim, server, Ops::close);
    assert_all_over(&mut sim, [server, client]);
}

#[test]
fn the_alarm_rings_to_the_nanosecond() {
    let options = SimOptions { max_delay_ns: 0, ..SimOptions::calm() };
    let mut sim = Sim::new(options);
    let shard = sim.add_client(Checked::new(Probe::default()));
    let at_ns = 123_456_789;
    sim.act(shard, |_, ops| ops.set_alarm(Some(1_000_000)));
    sim.act(shard, |_, ops| ops.set_alarm(Some(at_ns)));
    assert_eq!(sim.run_until(SECOND_NS), Outcome::Idle);
    assert_eq!(probe(&sim, shard).calls, [(at_ns, "alarm")]);
    sim.act(shard, |_, ops| ops.set_alarm(Some(2 * SECOND_NS)));
    sim.act(shard, |_, ops| ops.set_alarm(None));
    assert_eq!(sim.run_until_idle(10), Outcome::Idle);
    assert_eq!(probe(&sim, shard).count("alarm"), 1);
}

#[test]
fn a_connect_is_refused_lost_or_given_up() {
    let connect = |options| {
        let mut sim = Sim::new(options);
        let shard = sim.add_client(Checked::new(Probe::client()));
        assert_eq!(sim.run_until_idle(100), Outcome::Idle);
        assert_eq!(sim.connections(shard), 0);
        match reason(&sim, shard) {
            CloseReason::ConnectFailed(error) => (error.kind(), sim.now_ns()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(connect(SimOptions::calm()).0, ErrorKind::ConnectionRefused);
    let lost = SimOptions { lost_connect_probability: 1.0, ..SimOptions::calm() };
    let (kind, at_ns) = connect(lost.clone());
    assert_eq!(kind, ErrorKind::TimedOut);
    assert!(at_ns >= CONNECT_TIMEOUT_NS);

    let mut sim = Sim::new(lost);
    let shard = sim.add_client(Checked::new(Probe::client()));
    assert_eq!(sim.run_until(SECOND_NS), Outcome::Reached);
    act(&mut sim, shard, Ops::close);
    assert_eq!(sim.run_until(2 * SECOND_NS), Outcome::Reached);
    assert!(matches!(reason(&sim, shard), CloseReason::Local));
    assert_eq!(sim.connections(shard), 0);
}

#[test]
fn shards_can_share_an_address() {
    let mut sim = Sim::new(SimOptions::calm());
    let servers = [(); 2].map(|()| sim.add_server(SERVER, Checked::new(Probe::default())));
    let client = sim.add_client(Checked::new(Probe::default()));
    sim.act(client, |_, ops| {
        let target = ops.add_target(SERVER);
        for _ in 0..40 {
            ops.connect(target);
        }
    });
    assert_eq!(sim.run_until_idle(10_000), Outcome::Idle);
    assert_eq!(probe(&sim, client).count("connected"), 40);
    let accepted = servers.map(|server| probe(&sim, server).count("accepted"));
    assert_eq!(accepted[0] + accepted[1], 40);
    assert!(accepted[0] > 5 && accepted[1] > 5, "{accepted:?}");
}

/// Half-closed: the server has seen the end and still answers.
#[test]
fn output_goes_on_after_the_peer_is_done() {
    let server = Probe { stays_after_eof: true, ..Probe::default() };
    let (mut sim, server, client) = pair(SimOptions::calm(), server, Probe::client());
    act(&mut sim, client, |ops, conn| {
        ops.output(conn).extend_from_slice(b"question");
        ops.close_lingering(conn);
    });
    let waiting = |sim: &Sim| probe(sim, server).count("eof") == 0;
    assert_eq!(sim.run_while(1000, waiting), Outcome::Reached);
    assert_eq!(probe(&sim, client).count("closed"), 0, "the client waits for the server");
    act(&mut sim, server, |ops, conn| {
        ops.output(conn).extend_from_slice(b"answer");
        ops.close(conn);
    });
    assert_all_over(&mut sim, [server, client]);
    assert!(matches!(reason(&sim, server), CloseReason::Local));
    assert_eq!(probe(&sim, client).received, b"", "nothing is heard after close");
}

#[test]
fn handlers_that_never_rest_are_found_out() {
    let server = Probe { answer: b"x".to_vec(), ..Probe::default() };
    let client = Probe { answer: b"x".to_vec(), ..Probe::client() };
    let (mut sim, server, client) = pair(SimOptions::calm(), server, client);
    act(&mut sim, client, |ops, conn| ops.output(conn).push(b'x'));
    assert_eq!(sim.run_until_idle(500), Outcome::TurnLimit);
    assert!(sim.trace().contains("received 1"), "{}", sim.trace());
    act(&mut sim, server, Ops::close);
    assert_all_over(&mut sim, [server, client]);
}

#[test]
fn the_moment_of_sending_is_after_the_writing() {
    let (mut sim, server, client) = calm_pair();
    let before = probe(&sim, client).submitted_ns.len();
    let begun_ns = sim.now_ns();
    act(&mut sim, client, |ops, conn| ops.output(conn).push(1));
    let submitted = &probe(&sim, client).submitted_ns[before..];
    assert_eq!(submitted.len(), 1, "once a turn");
    assert!(submitted[0] >= begun_ns);
    let submitted_ns = submitted[0];
    assert_eq!(sim.run_until(sim.now_ns() + SECOND_NS), Outcome::Idle);
    assert!(probe(&sim, server).time_of("received") >= submitted_ns);
    act(&mut sim, client, Ops::close);
    assert_all_over(&mut sim, [server, client]);
}
