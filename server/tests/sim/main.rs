//! The server on the simulated engine: short reads, short sends, resets and delays from a seed, and
//! hours of time-outs in no time. `RINGBENCH_SIM_SEED=N` runs one seed, `RINGBENCH_SIM_SEEDS=N`
//! that many.

mod client;
mod times;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use client::{Client, Manners};
use ringbench_engine::sim::{Outcome, Rng, Sim, SimOptions, seeds};
use ringbench_http::Limits;
use ringserve::{Server, Settings, Site};

const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
const CONNECTIONS: u32 = 4;

fn server() -> Server {
    limited_server(0)
}

fn limited_server(max_requests_per_connection: u32) -> Server {
    let limits = Limits { max_body_bytes: 256 * 1024, ..Limits::default() };
    let settings = Settings { limits, max_requests_per_connection, ..Settings::default() };
    Server::new(Arc::new(settings), Site::default())
}

/// What became of a world.
#[derive(Debug, Default)]
struct Totals {
    answers: u64,
    complete: u32,
    cut_off: u32,
    drained: u32,
    limited: u32,
}

/// How the client and the server of one world behave.
#[derive(Debug)]
struct Play {
    manners: Manners,
    drain_at_ns: Option<u64>,
    /// Requests per connection; 0: any number.
    max_requests: u32,
}

/// One world: two shards of the server share an address, clients talk to them, the server may be
/// drained in the middle.
fn run(options: SimOptions, play: &Play, totals: &mut Totals) {
    let &Play { manners, drain_at_ns, max_requests } = play;
    let (seed, resets) = (options.seed, options.reset_probability > 0.0);
    let unreachable = options.refuse_probability + options.lost_connect_probability > 0.0;
    let mut sim = Sim::new(options);
    let servers = [(); 2].map(|()| sim.add_server(ADDRESS, limited_server(max_requests)));
    let client = sim.add_client(Client::new(seed, ADDRESS, manners, max_requests));

    if let Some(at_ns) = drain_at_ns {
        // Whether anything is left to do then makes no difference.
        let (Outcome::Idle | Outcome::Reached | Outcome::TurnLimit) = sim.run_until(at_ns);
        servers.iter().for_each(|&shard| sim.drain(shard));
    }
    assert_eq!(sim.run_until_idle(5_000_000), Outcome::Idle, "a hang");

    let done = sim.handler(client);
    assert_eq!(done.ends.total(), CONNECTIONS, "a connection was forgotten: {:?}", done.ends);
    let (mut answered, mut refused) = (0, 0);
    for shard in servers {
        assert_eq!(sim.connections(shard), 0, "a slot leaked");
        assert_eq!(sim.handler(shard).open_connections(), 0, "the server forgot a connection");
        assert_eq!(sim.is_ended(shard), drain_at_ns.is_some());
        let counts = sim.handler(shard).counts();
        assert_eq!(counts.timed_out(), 0, "nobody was slow");
        answered += counts.requests;
        refused += counts.refused;
    }
    assert_eq!(sim.connections(client), 0, "the client leaks");

    let drained = drain_at_ns.is_some();
    assert!(done.ends.not_connected == 0 || unreachable || drained);
    assert!(done.ends.failed == 0 || resets || drained, "a failure without a reset");
    assert!(done.ends.unanswered == 0 || drained, "the server closed with answers owed");
    if !resets && !drained && manners == Manners::Patient {
        assert_eq!(answered + refused, done.answers, "an answer was lost or made up");
    }
    totals.answers += done.answers;
    totals.complete += done.ends.complete;
    totals.cut_off += done.ends.failed;
    totals.drained += done.ends.unanswered;
    totals.limited += done.ends.limited;
}

/// No hang, no lost, made-up or reordered answer, no leaked slot, whatever goes wrong.
#[test]
fn rough_worlds() {
    let (mut totals, mut runs) = (Totals::default(), 0);
    for seed in seeds(10_000) {
        let mut rng = Rng::new(seed ^ 0x5e7e);
        let drain_at_ns = rng.chance(0.3).then(|| rng.size(2_000_000_000) as u64);
        let manners = if rng.chance(0.2) { Manners::Rude } else { Manners::Patient };
        let max_requests = if rng.chance(0.2) { rng.size(30) as u32 } else { 0 };
        let play = Play { manners, drain_at_ns, max_requests };
        run(SimOptions::rough(seed), &play, &mut totals);
        runs += 1;
    }
    if runs >= 1_000 {
        // The worlds show what they are meant to show.
        assert!(totals.answers > 10 * runs, "{totals:?}");
        assert!(u64::from(totals.complete) > runs, "{totals:?}");
        assert!(u64::from(totals.cut_off) > runs / 20, "{totals:?}");
        assert!(u64::from(totals.drained) > runs / 100, "{totals:?}");
        assert!(u64::from(totals.limited) > runs / 10, "{totals:?}");
    }
}

#[test]
fn in_a_calm_world_everything_is_answered() {
    for seed in 0..100 {
        let mut totals = Totals::default();
        let play = Play { manners: Manners::Patient, drain_at_ns: None, max_requests: 0 };
        run(SimOptions { seed, ..SimOptions::calm() }, &play, &mut totals);
        assert_eq!(totals.complete, CONNECTIONS, "seed {seed}");
    }
}
