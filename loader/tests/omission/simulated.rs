//! The stall in virtual time: 1 s of 10 s.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::channel;

use clap::Parser;
use ringbench_engine::sim::{Outcome, ShardId, Sim, SimOptions};
use ringbench_engine::{ConnId, Handler, Ops};
use ringbench_measure::Histogram;
use ringload::Flags;
use ringload::handler::{Load, Shared};
use ringload::plan::Plan;
use ringload::source::Material;
use ringload::tally::Tally;

use super::law::Stall;
use super::support::HELLO;

const SECOND_NS: u64 = 1_000_000_000;
const RUN_NS: u64 = 10 * SECOND_NS;
const STALL_NS: u64 = SECOND_NS;
/// From the first request to the stall.
const BEFORE_NS: u64 = 4 * SECOND_NS;
/// Low: what the stall has left is worked off one by one where there is one connection, and that
/// takes time that the law does not know of, 2 us for each.
const RATE: u64 = 200;
/// In the stall's tenth of all requests.
const PERCENTS: [f64; 5] = [95.0, 98.0, 99.0, 99.9, 100.0];
/// As good as none.
const NO_DELAY_NS: u64 = 10;
/// A closed loop goes as fast as the network lets it: not too fast to be simulated.
const CLOSED_DELAY_NS: u64 = 100_000;
/// Histograms tell latencies to within this.
const RESOLUTION: f64 = 0.001;

/// Answers at once, except in the stall: then nobody is answered before its end.
#[derive(Default)]
struct Site {
    first_ns: Option<u64>,
    /// Who is answered when the stall is over, in the order in which they came.
    held: Vec<ConnId>,
    /// When the first of them came.
    held_since_ns: Option<u64>,
}

impl Site {
    fn answer(ops: &mut Ops, conn: ConnId) {
        ops.output(conn).extend_from_slice(HELLO.as_bytes());
    }
}

impl Handler for Site {
    /// Requests are small, and the simulated network is told not to cut anything.
    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        assert!(bytes.ends_with(b"\r\n\r\n"), "a request in pieces");
        let now_ns = ops.now_ns();
        let begin_ns = *self.first_ns.get_or_insert(now_ns) + BEFORE_NS;
        let end_ns = begin_ns + STALL_NS;
        if (begin_ns..end_ns).contains(&now_ns) {
            self.held_since_ns.get_or_insert(now_ns);
            self.held.push(conn);
            ops.set_alarm(Some(end_ns));
        } else {
            Self::answer(ops, conn);
        }
    }

    fn alarm(&mut self, ops: &mut Ops) {
        self.held.drain(..).for_each(|conn| Self::answer(ops, conn));
    }
}

/// A run that is over.
struct Run {
    sim: Sim,
    server: ShardId<Site>,
    load: ShardId<Load>,
}

impl Run {
    /// `max_delay_ns` is what a latency has beside the stall: delays of the network and of
    /// completions.
    fn new(max_delay_ns: u64, args: &str) -> Self {
        let address: SocketAddr = "10.0.0.1:80".parse().expect("an address");
        let args = format!("ringload http://{address}/ -t 1 -d 10s {args}");
        let config = Flags::try_parse_from(args.split(' ')).and_then(Flags::config).expect("flags");
        assert_eq!(config.ending.duration.expect("a duration").as_nanos(), RUN_NS.into());
        let plan = Material::Plan(Arc::new(Plan::new(&config).expect("a request")));
        let shared = Arc::new(Shared::new(&config, plan, vec![address.into()]));
        let mut sim = Sim::new(SimOptions { max_delay_ns, ..SimOptions::calm() });
        let server = sim.add_server(address, Site::default());
        let (sender, _messages) = channel();
        let load = sim.add_client(Load::new(shared, 0, sender));
        assert_eq!(sim.run_until_idle(50_000_000), Outcome::Idle, "{args}");
        Self { sim, server, load }
    }

    fn tally(&self) -> &Tally {
        self.sim.handler(self.load).tally()
    }

    fn service_time(&self) -> &Histogram {
        &self.tally().open_loop.as_ref().expect("an open loop").service_time
    }

    /// The stall, for an open loop.
    fn stall(&self) -> Stall {
        let site = self.sim.handler(self.server);
        let begin_ns = site.first_ns.expect("requests") + BEFORE_NS;
        let missed_ns = site.held_since_ns.expect("a stall") - begin_ns;
        Stall { longest_ns: STALL_NS - missed_ns, gap_ns: SECOND_NS / RATE }
    }
}

#[test]
fn an_open_loop_tells_what_all_users_saw() {
    // One connection, some, and as many as are needed for no request to wait for one.
    for connections in [1, 16, 210] {
        for schedule in ["shared", "per-connection"] {
            let args = format!("-c {connections} -R {RATE} --schedule {schedule}");
            let run = Run::new(NO_DELAY_NS, &args);
            let latency = &run.tally().latency;
            assert_eq!(latency.count(), RATE * RUN_NS / SECOND_NS, "{args}");
            let open_loop = run.tally().open_loop.as_ref().expect("an open loop");
            assert_eq!((open_loop.unsent, open_loop.shed), (0, 0), "{args}");
            let checked = run.stall().check(latency, &PERCENTS, (RESOLUTION, 0));
            checked.unwrap_or_else(|error| panic!("{args}: {error}"));
            // What did not come into the stall did not wait: (1 - S/D) of all.
            let waited = latency.count_above(SECOND_NS / 1_000);
            assert!(waited.abs_diff(RATE * STALL_NS / SECOND_NS) <= 3, "{args}: {waited}");
            assert!(latency.percentile_ns(89.0) < SECOND_NS / 1_000, "{args}");
            // With the law in its general form S and D are enough: no look at the server is needed.
            for percent in PERCENTS {
                let law_ns = STALL_NS as f64 - (1.0 - percent / 100.0) * RUN_NS as f64;
                let error_ns = latency.percentile_ns(percent) as f64 - law_ns;
                let gap_ns = (SECOND_NS / RATE) as f64;
                assert!(error_ns.abs() <= RESOLUTION * law_ns + gap_ns, "{args}: {error_ns}");
            }
        }
    }
}

#[test]
fn service_times_are_what_a_closed_loop_would_say() {
    for connections in [1, 16] {
        for schedule in ["shared", "per-connection"] {
            let args = format!("-c {connections} -R {RATE} --schedule {schedule}");
            let run = Run::new(NO_DELAY_NS, &args);
            let service_time = run.service_time();
            assert_eq!(service_time.count(), run.tally().latency.count(), "{args}");
            // One per connection was under way when the stall began or soon after.
            assert_eq!(service_time.count_above(STALL_NS * 9 / 10), connections, "{args}");
            assert_eq!(service_time.count_above(SECOND_NS / 1_000), connections, "{args}");
        }
    }
}

#[test]
fn a_closed_loop_sees_one_request_per_connection() {
    for connections in [1, 4] {
        let run = Run::new(CLOSED_DELAY_NS, &format!("-c {connections}"));
        let latency = &run.tally().latency;
        assert!(latency.count() > 10_000 * connections, "{}", latency.count());
        assert_eq!(latency.count_above(SECOND_NS / 1_000), connections);
        // The truth is 990 ms.
        let p999_ns = latency.percentile_ns(99.9);
        assert!(p999_ns < SECOND_NS / 1_000, "p99.9 is {p999_ns} ns, and was to be far too small");
        assert!(latency.max_ns() > STALL_NS * 999 / 1_000, "{}", latency.max_ns());
    }
}

/// With the interval at which each connection really sent, HdrHistogram's correction puts back what
/// the closed loop left out: as many requests as it would have sent in the stall.
#[test]
fn the_correction_comes_near_if_its_guess_is_right() {
    let connections = 4;
    let run = Run::new(CLOSED_DELAY_NS, &format!("-c {connections}"));
    let latency = &run.tally().latency;
    let active_ns = RUN_NS - STALL_NS;
    let interval_ns = active_ns * connections / latency.count();
    let corrected = latency.corrected(interval_ns);
    let missing = STALL_NS / interval_ns * connections;
    assert!(corrected.count().abs_diff(latency.count() + missing) <= missing / 100);
    for percent in PERCENTS {
        let law_ns = STALL_NS as f64 - (1.0 - percent / 100.0) * RUN_NS as f64;
        let error = corrected.percentile_ns(percent) as f64 / law_ns - 1.0;
        assert!(error.abs() < 0.01, "p{percent}: {:+.3} %", 100.0 * error);
    }
    // A guess that is ten times off leaves most of it out.
    let wrong = latency.corrected(10 * interval_ns);
    assert!(wrong.percentile_ns(95.0) < STALL_NS / 100, "{}", wrong.percentile_ns(95.0));
}
