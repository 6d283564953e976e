//! The simulated engine, and with it everything of the engine that does not touch the kernel.

mod checked;
mod echo;
mod focus;

use std::net::{Ipv4Addr, SocketAddr};

use checked::Checked;
use echo::{EchoClient, EchoServer, End};
use ringbench_engine::sim::{Outcome, Sim, SimOptions, seeds};

const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)), 80);
const CONNECTIONS: u32 = 6;

/// What a run of the echo programs came to.
#[derive(Debug, PartialEq)]
struct Summary {
    fingerprint: u64,
    turns: u64,
    ends: Vec<(u32, End)>,
}

/// Runs echo server and client in a world with these faults and checks all that can be checked
/// from both sides.
fn run_echo(options: SimOptions) -> Summary {
    let seed = options.seed;
    // Programs that behave differently from world to world, too.
    let (closes, drops) = (seed & 1 == 1, if seed & 2 == 2 { 0.02 } else { 0.0 });
    let mut sim = Sim::new(options);
    let echo_server = Checked::new(EchoServer::new(seed, closes));
    let echo_client = Checked::new(EchoClient::new(seed, SERVER, CONNECTIONS, drops));
    // Whoever is there first takes the first turn.
    let (server, client) = if seed & 4 == 4 {
        let client = sim.add_client(echo_client);
        (sim.add_server(SERVER, echo_server), client)
    } else {
        (sim.add_server(SERVER, echo_server), sim.add_client(echo_client))
    };

    assert_eq!(sim.run_until_idle(1_000_000), Outcome::Idle);

    assert_eq!((sim.connections(server), sim.connections(client)), (0, 0), "a slot leaked");
    assert_eq!((sim.handler(server).open(), sim.handler(client).open()), (0, 0));
    let echoed = &sim.handler(server).inner.echoed;
    let ends = &sim.handler(client).inner.ends;
    assert_eq!(ends.len(), CONNECTIONS as usize, "a connection was forgotten");
    let options = sim.options();
    for (token, &end) in ends {
        match end {
            End::Complete => {}
            // The server answered and closed with care: all that it wrote must have come.
            End::Eof(received) => assert_eq!(received, echoed[token]),
            End::Dropped => assert!(drops > 0.0),
            End::Failed => assert!(options.reset_probability > 0.0, "{token} failed: {end:?}"),
            End::NotConnected => {
                assert!(options.refuse_probability + options.lost_connect_probability > 0.0);
            }
        }
    }
    let mut ends: Vec<_> = ends.iter().map(|(&token, &end)| (token, end)).collect();
    ends.sort_unstable_by_key(|&(token, _)| token);
    Summary { fingerprint: sim.fingerprint(), turns: sim.turns(), ends }
}

/// No hang, no byte lost or out of order, no slot leaked, whatever goes wrong.
#[test]
fn echo_survives_rough_worlds() {
    let mut seen = [0usize; 5];
    let mut runs = 0;
    for seed in seeds(10_000) {
        runs += 1;
        for (_, end) in run_echo(SimOptions::rough(seed)).ends {
            seen[match end {
                End::Complete => 0,
                End::Eof(_) => 1,
                End::Dropped => 2,
                End::Failed => 3,
                End::NotConnected => 4,
            }] += 1;
        }
    }
    if runs >= 1000 {
        // The worlds are as rough as they are meant to be.
        assert!(seen.iter().all(|&count| count > runs / 10), "{seen:?}");
    }
}

#[test]
fn in_a_calm_world_everything_arrives() {
    for seed in 0..50 {
        // The lowest two bits are clear: nobody closes or drops a connection before its time.
        let summary = run_echo(SimOptions { seed: seed * 4, ..SimOptions::calm() });
        assert!(summary.ends.iter().all(|&(_, end)| end == End::Complete), "{summary:?}");
    }
}

#[test]
fn a_seed_says_all() {
    for seed in seeds(100) {
        let first = run_echo(SimOptions::rough(seed));
        assert_eq!(first, run_echo(SimOptions::rough(seed)));
        assert_ne!(first.fingerprint, run_echo(SimOptions::rough(seed + 1)).fingerprint);
    }
}
