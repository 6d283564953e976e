//! The closed loop in the simulated engine: for any seed the books balance, the run ends, nothing
//! leaks. `RINGBENCH_SIM_SEED=<seed>` replays one seed, `RINGBENCH_SIM_SEEDS=<count>` runs more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use clap::Parser;
use ringbench_engine::sim::{Outcome, Rng, ShardId, Sim, SimOptions, seeds};
use ringbench_engine::{ConnId, Handler, Ops};
use ringbench_http::{
    HeaderScratch, LAST_CHUNK, Limits, ResponseBuilder, ServerConn, ServerEvent, write_chunk,
};
use ringload::collect::{Collected, ShardResult};
use ringload::handler::{Load, Shared};
use ringload::intervals::{Assembler, Message};
use ringload::ledger::CloseCause;
use ringload::pace::Clock;
use ringload::plan::Plan;
use ringload::schedule::Arrival;
use ringload::source::Material;
use ringload::tally::{OpenTally, Tally};
use ringload::{Config, Flags};

const ADDRESS: &str = "10.0.0.1:80";
const MS: u64 = 1_000_000;

fn address() -> SocketAddr {
    ADDRESS.parse().unwrap()
}

/// How often the server does what, between 0 and 1; otherwise it answers.
#[derive(Clone, Debug, Default)]
struct Manners {
    /// Says `Connection: close` and does.
    announced_close: f64,
    /// Answers, then closes without a word.
    silent_close: f64,
    /// Gives no answer at all.
    silence: f64,
    /// Closes in the middle of an answer.
    truncation: f64,
    /// Answers with what is not HTTP.
    garbage: f64,
    /// Answers with a body that ends with the connection.
    until_close: f64,
}

impl Manners {
    fn draw(rng: &mut Rng) -> Self {
        let mut sometimes = || if rng.chance(0.3) { rng.fraction() * 0.3 } else { 0.0 };
        Self {
            announced_close: sometimes(),
            silent_close: sometimes(),
            silence: sometimes(),
            truncation: sometimes(),
            garbage: sometimes(),
            until_close: sometimes(),
        }
    }
}

#[derive(Default)]
struct Peer {
    http: ServerConn,
    unread: Vec<u8>,
    /// Its place in [`Site::asked`].
    serial: usize,
}

/// The server.
struct Site {
    manners: Manners,
    rng: Rng,
    limits: Limits,
    peers: Vec<Peer>,
    /// Requests read.
    requests: u64,
    /// Answers given in full.
    answers: u64,
    /// Connections that it closed itself.
    closes: u64,
    /// Requests read on each connection, in the order in which they were accepted.
    asked: Vec<u64>,
}

impl Site {
    fn new(manners: Manners, rng: Rng) -> Self {
        let limits = Limits::default();
        let (peers, asked) = (Vec::new(), Vec::new());
        Self { manners, rng, limits, peers, requests: 0, answers: 0, closes: 0, asked }
    }

    /// Answers one request, well or badly; false if the connection is over.
    fn answer(&mut self, ops: &mut Ops, conn: ConnId) -> bool {
        let goes_on = self.answer_somehow(ops, conn);
        self.closes += u64::from(!goes_on);
        goes_on
    }

    fn answer_somehow(&mut self, ops: &mut Ops, conn: ConnId) -> bool {
        self.requests += 1;
        let draw = self.rng.fraction();
        let mut sum = 0.0;
        let mut falls = |probability: f64| {
            sum += probability;
            draw < sum
        };
        let m = &self.manners;
        if falls(m.silence) {
            return true;
        }
        if falls(m.truncation) {
            let cut = 1 + self.rng.below(40) as usize;
            let whole = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n...";
            ops.output(conn).extend_from_slice(&whole[..cut.min(whole.len())]);
            ops.close(conn);
            return false;
        }
        if falls(m.garbage) {
            ops.output(conn).extend_from_slice(b"220 mail.example ESMTP\r\n");
            return true;
        }
        self.answers += 1;
        if falls(m.until_close) {
            ops.output(conn).extend_from_slice(b"HTTP/1.0 200 OK\r\n\r\nuntil the end");
            ops.close(conn);
            return false;
        }
        let announced = falls(m.announced_close);
        let over = announced || falls(m.silent_close);
        self.write_answer(ops.output(conn), announced);
        if over {
            ops.close(conn);
        }
        !over
    }

    fn write_answer(&mut self, out: &mut Vec<u8>, close: bool) {
        if self.rng.chance(0.1) {
            out.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        }
        let status = [200, 200, 200, 204, 404, 503][self.rng.below(6) as usize];
        let mut head = ResponseBuilder::new(out, status).unwrap();
        if close {
            head = head.close();
        }
        let body = vec![b'x'; self.rng.size(3_000)];
        if status == 204 {
            head.no_content().unwrap();
        } else if self.rng.chance(0.3) {
            head.chunked().unwrap();
            body.chunks(700).for_each(|chunk| write_chunk(out, chunk));
            out.extend_from_slice(LAST_CHUNK);
        } else {
            head.body(&body).unwrap();
        }
    }
}

impl Handler for Site {
    fn accepted(&mut self, _: &mut Ops, conn: ConnId) {
        if self.peers.len() <= conn.index() {
            self.peers.resize_with(conn.index() + 1, Peer::default);
        }
        self.peers[conn.index()] = Peer { serial: self.asked.len(), ..Peer::default() };
        self.asked.push(0);
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        let Peer { mut http, mut unread, serial } = std::mem::take(&mut self.peers[conn.index()]);
        unread.extend_from_slice(bytes);
        let mut at = 0;
        let limits = self.limits.clone();
        let mut scratch = HeaderScratch::new();
        loop {
            let step = http.next(&unread[at..], &mut scratch, &limits);
            at += step.consumed;
            match step.event {
                ServerEvent::Request(_) => {
                    self.asked[serial] += 1;
                    if !self.answer(ops, conn) {
                        return;
                    }
                }
                ServerEvent::NeedMore => break,
                ServerEvent::Reject(reject) => panic!("the loader sent {reject}"),
                _ => {}
            }
        }
        unread.drain(..at);
        self.peers[conn.index()] = Peer { http, unread, serial };
    }
}

/// A simulated run.
struct World {
    sim: Sim,
    server: Option<ShardId<Site>>,
    shards: Vec<ShardId<Load>>,
    shared: Arc<Shared>,
    messages: Receiver<Message>,
    config: Config,
}

impl World {
    fn new(options: SimOptions, args: &str, server: Option<Site>) -> Self {
        let url = format!("http://{ADDRESS}/");
        let words = ["ringload", url.as_str()].into_iter().chain(args.split_whitespace());
        let config = Flags::try_parse_from(words).and_then(Flags::config).expect("good flags");
        let plan = Material::Plan(Arc::new(Plan::new(&config).expect("a request")));
        let shared = Arc::new(Shared::new(&config, plan, vec![address().into()]));
        let mut sim = Sim::new(options);
        let server = server.map(|site| sim.add_server(address(), site));
        let (sender, messages) = channel();
        let shards = (0..config.threads)
            .map(|shard| sim.add_client(Load::new(Arc::clone(&shared), shard, sender.clone())))
            .collect();
        Self { sim, server, shards, shared, messages, config }
    }

    /// Runs to the end and checks what must hold of any run.
    fn run(&mut self) {
        let outcome = self.sim.run_until_idle(5_000_000);
        assert_eq!(outcome, Outcome::Idle, "it hangs");
        for &shard in &self.shards {
            assert!(self.sim.is_ended(shard));
            assert_eq!(self.sim.connections(shard), 0, "a leak");
            self.check_books(self.sim.handler(shard).tally());
        }
        self.check_schedule();
        assert!(self.totals().peak <= self.config.connections as u64, "more than were asked for");
        if let Some(server) = self.server {
            assert_eq!(self.sim.connections(server), 0, "the server was left with connections");
            let (site, all) = (self.sim.handler(server), self.totals());
            assert!(site.requests <= all.sent, "more requests came than were sent");
            assert!(all.requests <= site.answers, "more answers came than were given");
            assert!(all.closed_by_server <= site.closes, "it is blamed for what it did not do");
            let limit = self.config.requests_per_connection.unwrap_or(u64::MAX);
            assert!(site.asked.iter().all(|&asked| asked <= limit), "{:?}", site.asked);
        }
    }

    /// Each request that was sent went one way or the other.
    fn check_books(&self, tally: &Tally) {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        assert_eq!(
            ledger.sent,
            counters.requests + counters.errors.timeout + ledger.lost + ledger.in_flight,
            "{counters:?} {ledger:?}"
        );
        // Each end has one cause; some that were asked for have not come about at the end.
        let causes = CloseCause::ALL.into_iter().filter(|cause| cause.was_open());
        let ends: u64 = causes.map(|cause| tally.closes.of(cause)).sum();
        assert!(counters.closed <= ends && ends <= counters.opened, "{ends} {counters:?}");
        // Those that are open at the end are closed by it, which is not counted.
        let left = counters.opened - counters.closed;
        assert!(left <= ledger.peak, "{counters:?} {ledger:?}");
        assert!(ledger.in_flight > 0 || ledger.oldest_in_flight_ns == 0, "{ledger:?}");
        let is_open_loop = tally.open_loop.is_some();
        let oldest_ns = self.config.timeout.as_nanos() as u64 + 200 * MS;
        // What an open loop sent late is older than that.
        assert!(
            is_open_loop || ledger.oldest_in_flight_ns <= oldest_ns,
            "no time-out came in between"
        );
        assert!(counters.reconnects <= counters.opened);
        assert_eq!(counters.status_classes.iter().sum::<u64>(), counters.requests);
        let request_len = format!("GET / HTTP/1.1\r\nHost: {ADDRESS}\r\n\r\n").len() as u64;
        assert_eq!(counters.bytes_written, ledger.sent * request_len);
        if !tally.latency.is_empty() {
            assert!(tally.latency.min_ns() > 0, "an answer before its request was sent");
            let longest = self.config.timeout.as_nanos() as u64 + 200 * MS;
            let measured =
                tally.open_loop.as_ref().map_or(&tally.latency, |open| &open.service_time);
            assert!(measured.max_ns() <= longest, "no time-out came in between");
        }
        if let Some(open_loop) = &tally.open_loop {
            self.check_open_loop(tally, open_loop);
        }
    }

    /// Each request that was due left, was shed, or is known to have waited.
    fn check_open_loop(&self, tally: &Tally, open_loop: &OpenTally) {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        assert_eq!(open_loop.service_time.count(), counters.requests);
        // What is written to a connection that ends in the same batch does not leave any more.
        let left = open_loop.send_lag.count();
        assert!((ledger.sent - ledger.lost..=ledger.sent).contains(&left), "{left} {ledger:?}");
        assert_eq!(open_loop.own_lag.count() + open_loop.waited, left);
        assert!(open_loop.unsent > 0 || open_loop.oldest_unsent_ns == 0);
        let config = self.config.open_loop.as_ref().expect("it was asked for");
        assert!(config.deadline.is_some() || open_loop.shed == 0, "{open_loop:?}");
        if let (Some(deadline), false) = (config.deadline, open_loop.send_lag.is_empty()) {
            // What is not too late when it is written leaves when the batch before has left.
            let delays_ns = 3 * self.sim.options().max_delay_ns;
            let latest_ns = deadline.as_nanos() as u64 + delays_ns + MS;
            assert!(open_loop.send_lag.max_ns() <= latest_ns, "{}", open_loop.send_lag.max_ns());
        }
    }

    /// Over all shards, what was due by the closed form is what was counted.
    fn check_schedule(&self) {
        let Some(config) = &self.config.open_loop else { return };
        let Some(go_ns) = self.shared.clock().go_ns() else { return };
        if config.arrival == Arrival::Poisson || self.config.ending.requests.is_some() {
            return;
        }
        let tallies = self.shards.iter().map(|&shard| self.sim.handler(shard).tally());
        let (mut counted, mut fewest, mut most) = (0, 0.0, 0.0);
        let shards = self.shards.len() as f64;
        for tally in tallies {
            let open_loop = tally.open_loop.as_ref().expect("an open loop");
            counted += tally.ledger.sent + open_loop.shed + open_loop.unsent;
            let ended_ns = tally.ended_ns.expect("it ended");
            let due_by = |ns: u64| config.schedule.requests_in(ns.saturating_sub(go_ns)) / shards;
            // What was received together with the end may have set off what was due then.
            let end_ns = self.shared.clock().end_ns().unwrap_or(ended_ns).min(ended_ns);
            fewest += due_by(end_ns) - f64::from(self.config.pipeline) - 1.0;
            most += due_by(ended_ns) + f64::from(self.config.pipeline) + 1.0;
        }
        assert!((fewest..=most).contains(&(counted as f64)), "{counted}: {fewest} to {most}");
    }

    /// Requests that the server read on each connection that brought it any.
    fn asked(&self) -> Vec<u64> {
        let server = self.server.expect("there is one");
        self.sim.handler(server).asked.iter().copied().filter(|&asked| asked > 0).collect()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        for &shard in &self.shards {
            totals.add(&Totals::of(self.sim.handler(shard).tally()));
        }
        totals
    }

    /// The intervals that were told, and the latencies with them put back.
    fn latencies(&self) -> u64 {
        let every_ns = self.config.keep_every.map_or(u64::MAX, |every| every.as_nanos() as u64);
        let mut assembler = Assembler::new(self.config.threads, every_ns);
        let lines: u64 = self
            .messages
            .try_iter()
            .flat_map(|message| assembler.take(message))
            .map(|(line, _)| line.requests)
            .sum();
        let told = assembler.latency.count();
        assert_eq!(lines, told, "the lines say what was handed over");
        let rest = self.shards.iter().map(|&shard| self.sim.handler(shard).tally().latency.count());
        told + rest.sum::<u64>()
    }
}

#[derive(Debug, Default)]
struct Totals {
    sent: u64,
    requests: u64,
    opened: u64,
    reconnects: u64,
    closed_by_server: u64,
    peak: u64,
    in_flight: u64,
    lost: u64,
    timeouts: u64,
    shed: u64,
    connect_errors: u64,
    socket_errors: u64,
    gave_up: bool,
}

impl Totals {
    fn of(tally: &Tally) -> Self {
        let (counters, ledger) = (&tally.counters, &tally.ledger);
        Self {
            sent: ledger.sent,
            requests: counters.requests,
            opened: counters.opened,
            reconnects: counters.reconnects,
            closed_by_server: tally.closes.of(CloseCause::ServerClosed),
            peak: ledger.peak,
            in_flight: ledger.in_flight,
            lost: ledger.lost,
            timeouts: counters.errors.timeout,
            shed: tally.open_loop.as_ref().map_or(0, |open_loop| open_loop.shed),
            connect_errors: counters.errors.connect,
            socket_errors: counters.errors.socket(),
            gave_up: tally.gave_up,
        }
    }

    fn add(&mut self, other: &Self) {
        self.sent += other.sent;
        self.requests += other.requests;
        self.opened += other.opened;
        self.reconnects += other.reconnects;
        self.closed_by_server += other.closed_by_server;
        self.peak += other.peak;
        self.in_flight += other.in_flight;
        self.lost += other.lost;
        self.timeouts += other.timeouts;
        self.shed += other.shed;
        self.connect_errors += other.connect_errors;
        self.socket_errors += other.socket_errors;
        self.gave_up |= other.gave_up;
    }
}

/// Flags of an open loop.
fn draw_open_loop(rng: &mut Rng) -> String {
    let rate = |rng: &mut Rng| 50 + rng.size(20_000);
    let mut args = match rng.below(3) {
        0 => format!(" -R {}", rate(rng)),
        1 => format!(" --stages 10ms@{},5ms@0,20ms@{}-{}", rate(rng), rate(rng), rate(rng)),
        _ => format!(" --stages 30ms@{}-{}", rate(rng), rate(rng)),
    };
    args += ["", " --arrival poisson", " --schedule per-connection"][rng.below(3) as usize];
    if rng.chance(0.3) {
        args.extend([" --deadline ".to_owned(), rng.size(30).to_string(), "ms".to_owned()]);
    }
    args
}

/// A command line and a server from a seed.
fn draw(seed: u64) -> (String, Manners) {
    let mut rng = Rng::new(seed ^ 0x5eed);
    let threads = 1 + rng.below(3);
    let connections = threads + rng.below(6);
    let pipeline = if rng.chance(0.5) { 1 } else { rng.size(64) };
    let timeout_ms = 20 + rng.size(300);
    let mut args = format!("-c {connections} -t {threads} -p {pipeline} --timeout {timeout_ms}ms");
    let by_requests = rng.chance(0.5);
    if by_requests {
        args.extend([" -n ".to_owned(), rng.size(200).to_string()]);
    }
    if !by_requests || rng.chance(0.3) {
        args.extend([" -d ".to_owned(), rng.size(60).to_string(), "ms".to_owned()]);
    }
    if rng.chance(0.3) {
        args += " --interval 10ms";
    }
    if rng.chance(0.4) {
        args.extend([" --requests-per-connection ".to_owned(), rng.size(40).to_string()]);
    }
    if rng.chance(0.4) {
        args += &draw_open_loop(&mut rng);
    }
    if rng.chance(0.2) {
        args += [" --connect-rate 300", " --ramp-up 20ms"][rng.below(2) as usize];
    }
    (args, Manners::draw(&mut rng))
}

#[test]
fn the_books_balance_whatever_happens() {
    let (mut runs, mut spent, mut seen) = (0, 0, Totals::default());
    for seed in seeds(2_500) {
        let (args, manners) = draw(seed);
        eprintln!("{seed}: {args}");
        let site = Site::new(manners, Rng::new(seed));
        let mut world = World::new(SimOptions::rough(seed), &args, Some(site));
        world.run();
        let totals = world.totals();
        assert_eq!(world.latencies(), totals.requests, "one latency for each response: {args}");
        let ending = world.config.ending;
        match (ending.requests, ending.duration) {
            (Some(requests), None) if !totals.gave_up => {
                // In an open loop each request is sent once, whatever becomes of it.
                let failed = world
                    .config
                    .open_loop
                    .as_ref()
                    .map_or(0, |_| totals.timeouts + totals.lost + totals.shed);
                assert_eq!(totals.requests + failed, requests, "exactly -n: {args}");
            }
            (Some(requests), _) => assert!(totals.requests <= requests, "at most -n: {args}"),
            _ => {}
        }
        runs += 1;
        let limit = world.config.requests_per_connection;
        spent += world.asked().iter().filter(|&&asked| Some(asked) == limit).count() as u64;
        seen.add(&totals);
    }
    // The seeds are worth something only if everything came up.
    let counts =
        [seen.requests, seen.in_flight, seen.lost, seen.timeouts, seen.connect_errors, spent];
    assert!(
        runs < 1_000 || (counts.iter().all(|&count| count > 1_000) && seen.gave_up),
        "{seen:?}"
    );
}

#[test]
fn all_shards_end_when_the_time_is_up() {
    for seed in seeds(200) {
        let site = Site::new(Manners::default(), Rng::new(seed));
        let mut world = World::new(SimOptions::rough(seed), "-c 5 -t 3 -d 40ms", Some(site));
        world.run();
        let start_ns = world.shared.clock().started_ns().expect("it started");
        let end_ns = start_ns + 40 * MS;
        for &shard in &world.shards {
            let ended_ns = world.sim.handler(shard).tally().ended_ns.expect("it ended");
            // A thread may wake up late, by what the simulation takes for a delay.
            let latest_ns = end_ns + 2 * world.sim.options().max_delay_ns + MS;
            assert!((end_ns..=latest_ns).contains(&ended_ns), "{ended_ns} for {end_ns}");
        }
    }
}

#[test]
fn a_calm_run_is_without_errors() {
    let site = Site::new(Manners::default(), Rng::new(1));
    let mut world = World::new(SimOptions::calm(), "-c 7 -t 2 -n 2001 -p 4", Some(site));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.requests, totals.sent, totals.opened, totals.peak), (2_001, 2_001, 7, 7));
    assert_eq!((totals.socket_errors, totals.lost, totals.in_flight), (0, 0, 0));
    let closed = |&shard: &ShardId<Load>| world.sim.handler(shard).tally().counters.closed;
    assert_eq!(world.shards.iter().map(closed).sum::<u64>(), 0, "the server closed none");
}

#[test]
fn a_server_that_stops_dead_makes_timeouts() {
    let site = Site::new(Manners::default(), Rng::new(1));
    let args = "-c 4 -t 1 -p 3 -d 1s --timeout 100ms";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    let server = world.server.expect("there is one");
    assert_eq!(world.sim.run_until(200 * MS), Outcome::Reached);
    let before = world.totals();
    assert!(before.requests > 100 && before.timeouts == 0, "{before:?}");
    world.sim.freeze(server);
    assert_eq!(world.sim.run_until(990 * MS), Outcome::Reached);
    world.sim.thaw(server);
    world.run();
    let after = world.totals();
    // 790 ms without an answer, 100 ms each time: seven or eight rounds of 4 x 3 requests.
    assert!((60..=96).contains(&after.timeouts), "{after:?}");
    assert_eq!(after.timeouts % 3, 0, "every request of a burst is counted: {after:?}");
    assert!(after.requests > before.requests, "it goes on when the server does");
}

#[test]
fn the_age_of_what_hangs_at_the_end_is_known() {
    let site = Site::new(Manners::default(), Rng::new(1));
    let mut world = World::new(SimOptions::calm(), "-c 4 -t 1 -d 1s --timeout 5s", Some(site));
    let server = world.server.expect("there is one");
    assert_eq!(world.sim.run_until(200 * MS), Outcome::Reached);
    world.sim.freeze(server);
    assert_eq!(world.sim.run_until(1_100 * MS), Outcome::Idle, "all that can run has ended");
    world.sim.thaw(server);
    world.run();
    let ledger = world.sim.handler(world.shards[0]).tally().ledger;
    assert_eq!(ledger.in_flight, 4);
    let oldest_ms = ledger.oldest_in_flight_ns / MS;
    assert!((700..=1_000).contains(&oldest_ms), "{oldest_ms}");
}

#[test]
fn a_run_by_number_gives_up_on_a_server_that_is_gone() {
    let site = Site::new(Manners { silence: 1.0, ..Manners::default() }, Rng::new(1));
    let args = "-c 2 -t 1 -n 10 --timeout 1s";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    world.run();
    let totals = world.totals();
    assert!(totals.gave_up && totals.requests == 0 && totals.timeouts >= 18, "{totals:?}");
}

#[test]
fn it_gives_up_where_each_connection_has_its_turn_too() {
    let args = "-c 2 -t 1 -n 50 -R 100 --schedule per-connection --timeout 50ms";
    let mut world = World::new(SimOptions::calm(), args, None);
    world.run();
    let totals = world.totals();
    assert!(totals.gave_up && totals.requests == 0, "{totals:?}");
}

#[test]
fn a_run_by_number_ends_when_its_last_requests_are_shed() {
    for sharing in ["shared", "per-connection"] {
        let args = format!("-c 2 -t 1 -n 50 -R 100 --deadline 10ms --schedule {sharing}");
        let mut world = World::new(SimOptions::calm(), &args, None);
        // Nobody is there: the schedule begins after its 30 s of patience, and is over in 0.5 s.
        assert_eq!(world.sim.run_until(31_500 * MS), Outcome::Idle, "{sharing}");
        world.run();
        let totals = world.totals();
        assert!(!totals.gave_up && totals.shed == 50, "{sharing}: {totals:?}");
    }
}

#[test]
fn nothing_left_to_send_is_nothing_to_wake_up_for() {
    let site = Site::new(Manners { silence: 1.0, ..Manners::default() }, Rng::new(1));
    let args = "-c 2 -t 1 -n 2 -R 1000 --schedule per-connection --timeout 5s";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    assert_eq!(world.sim.run_until_idle(2_000), Outcome::Idle, "it turns in circles");
    world.run();
    assert_eq!(world.totals().timeouts, 2);
}

#[test]
fn what_a_fast_schedule_leaves_behind_is_counted_at_once() {
    let site = Site::new(Manners { silence: 1.0, ..Manners::default() }, Rng::new(1));
    let args = "-c 1 -t 1 -R 9M -d 20s --deadline 1s --timeout 60s";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    world.run();
    let tally = world.sim.handler(world.shards[0]).tally();
    let open_loop = tally.open_loop.as_ref().expect("an open loop");
    assert_eq!((tally.ledger.sent, open_loop.unsent), (1, 9_000_000), "a second's worth");
    assert!(open_loop.oldest_unsent_ns <= 1_000 * MS, "{open_loop:?}");
}

#[test]
fn a_dead_port_is_knocked_at_a_few_times_a_second() {
    let mut world = World::new(SimOptions::calm(), "-c 200 -t 2 -d 10s", None);
    world.run();
    let totals = world.totals();
    assert_eq!(totals.opened, 0);
    // The first 200, then fewer and fewer.
    assert!((200..900).contains(&totals.connect_errors), "{totals:?}");
    let results = world.shards.iter().map(|&shard| {
        let tally = world.sim.handler(shard).tally();
        let mut copy = Tally::new();
        copy.counters = tally.counters;
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        assert!(tally.closes.of(CloseCause::Refused) == tally.counters.errors.connect);
        copy.first_trouble = Some((0, ringload::tally::Trouble::Connect(refused)));
        ShardResult { tally: copy, engine: *world.sim.stats(shard) }
    });
    let all =
        Collected::new(results.collect(), &Clock::new(None), ringbench_measure::Histogram::new());
    let failure = all.failure(ADDRESS, world.config.timeout).expect("nothing was answered");
    assert_eq!(failure, "cannot connect to 10.0.0.1:80: connection refused");
}

#[test]
fn thousands_of_connections_to_a_server_that_takes_its_time() {
    let site = Site::new(Manners { silence: 1.0, ..Manners::default() }, Rng::new(1));
    let args = "-c 3000 -t 2 -d 5s --timeout 10s";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.peak, totals.in_flight, totals.socket_errors), (3_000, 3_000, 0));
}

#[test]
fn a_connection_that_is_of_use_is_replaced_at_once() {
    let manners = Manners { announced_close: 1.0, ..Manners::default() };
    let site = Site::new(manners, Rng::new(1));
    let mut world = World::new(SimOptions::calm(), "-c 3 -t 1 -n 300", Some(site));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.requests, totals.socket_errors), (300, 0));
    let ended_ns = world.sim.handler(world.shards[0]).tally().ended_ns.expect("it ended");
    assert!(ended_ns < 500 * MS, "{ended_ns}: it paused in between");
}

/// A network that cuts everything into pieces, but breaks no connection.
fn rough_but_sound(seed: u64) -> SimOptions {
    SimOptions {
        reset_probability: 0.0,
        refuse_probability: 0.0,
        lost_connect_probability: 0.0,
        ..SimOptions::rough(seed)
    }
}

#[test]
fn each_connection_carries_as_many_requests_as_it_should() {
    for seed in seeds(500) {
        let mut rng = Rng::new(seed ^ 0xc105e);
        let (connections, limit) = (1 + rng.below(8), 1 + rng.below(12));
        let (depth, requests) = (1 + rng.below(16), 1 + rng.below(300));
        let args = format!(
            "-c {connections} -t 1 -n {requests} -p {depth} --requests-per-connection {limit} \
             --timeout 10m"
        );
        let site = Site::new(Manners::default(), Rng::new(seed));
        let mut world = World::new(rough_but_sound(seed), &args, Some(site));
        world.run();
        let totals = world.totals();
        assert_eq!((totals.requests, totals.sent), (requests, requests), "exactly -n: {args}");
        assert_eq!((totals.socket_errors, totals.lost, totals.in_flight), (0, 0, 0), "{args}");
        assert_eq!(totals.closed_by_server, 0, "ringload closes: {args}");
        assert_eq!(world.latencies(), requests, "{args}");
        let asked = world.asked();
        assert_eq!(asked.iter().sum::<u64>(), requests, "{args}");
        // The run's end finds each of the -c connections somewhere below the limit.
        let short = asked.iter().filter(|&&asked| asked < limit).count() as u64;
        assert!(short <= connections, "{short} were closed early: {args}");
        assert!(totals.reconnects >= (asked.len() as u64).saturating_sub(connections), "{args}");
    }
}

#[test]
fn short_lived_connections_are_replaced_at_once() {
    let site = Site::new(Manners::default(), Rng::new(1));
    let args = "-c 7 -t 2 -n 2001 -p 4 --requests-per-connection 10";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.requests, totals.sent, totals.peak), (2_001, 2_001, 7));
    let asked = world.asked();
    let spent = asked.iter().filter(|&&asked| asked == 10).count();
    assert!(spent >= 194 && asked.len() - spent <= 7, "{asked:?}");
    for &shard in &world.shards {
        let tally = world.sim.handler(shard).tally();
        let ended_ns = tally.ended_ns.expect("it ended");
        assert!(ended_ns < 500 * MS, "{ended_ns}: it paused in between");
    }
}

#[test]
fn a_server_that_closes_first_is_told_apart() {
    let manners = Manners { announced_close: 0.2, ..Manners::default() };
    let site = Site::new(manners, Rng::new(1));
    let args = "-c 3 -t 1 -n 600 --requests-per-connection 4";
    let mut world = World::new(SimOptions::calm(), args, Some(site));
    world.run();
    let totals = world.totals();
    assert_eq!((totals.requests, totals.sent, totals.socket_errors), (600, 600, 0));
    let asked = world.asked();
    let early = asked.iter().filter(|&&asked| asked < 4).count() as u64;
    // Three may be open at the end, below their limit and closed by nobody.
    assert!((totals.closed_by_server..=totals.closed_by_server + 3).contains(&early), "{asked:?}");
    assert!(totals.closed_by_server > 60, "{totals:?}");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let print = |seed| {
        let (args, manners) = draw(seed);
        let site = Site::new(manners, Rng::new(seed));
        let mut world = World::new(SimOptions::rough(seed), &args, Some(site));
        world.run();
        world.sim.fingerprint()
    };
    assert_eq!(print(11), print(11));
}
