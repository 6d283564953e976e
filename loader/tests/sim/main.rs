//! Both loops in the simulated engine: for any seed the books balance, the run ends, nothing leaks.
//! `RINGBENCH_SIM_SEED=<seed>` replays one seed, `RINGBENCH_SIM_SEEDS=<count>` runs more.

use ringbench_engine::sim::ShardId;
use ringbench_engine::sim::{Outcome, Rng, SimOptions, seeds};
use ringload::collect::{Collected, ShardResult};
use ringload::handler::Load;
use ringload::ledger::CloseCause;
use ringload::pace::Clock;
use ringload::tally::Tally;

mod site;
mod world;

use site::{Manners, Site};
use world::{ADDRESS, MS, Totals, World};

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
fn what_is_due_at_the_very_end_is_not_due_any_more() {
    let site = Site::new(Manners::default(), Rng::new(1));
    let mut world = World::new(SimOptions::calm(), "-c 10 -t 1 -R 1k -d 2s", Some(site));
    world.run();
    let tally = world.sim.handler(world.shards[0]).tally();
    let unsent = tally.open_loop.as_ref().expect("an open loop").unsent;
    assert_eq!((tally.ledger.sent, unsent), (2_000, 0), "number 2,000 is due at 2 s");
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
