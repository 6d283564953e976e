//! Shards that are awake before their alarm.

use std::io::{Read, Write};

use ringbench_engine::{ConnId, Engine, EngineConfig, Handler, Ops};

use crate::{Server, run_client, variants};

/// Sets one alarm after the other and counts the system calls between them.
struct Pacer {
    apart_ns: u64,
    at_ns: u64,
    enters: u64,
    /// Of each stretch from one alarm to the next.
    stretches: Vec<u64>,
    /// A stretch of so many system calls is the last; and so is the hundredth.
    enough: u64,
}

impl Pacer {
    fn set(&mut self, ops: &mut Ops) {
        self.enters = ops.stats().enters;
        self.at_ns = ops.now_ns() + self.apart_ns;
        ops.set_alarm(Some(self.at_ns));
    }
}

impl Handler for Pacer {
    fn started(&mut self, ops: &mut Ops) {
        self.set(ops);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn alarm(&mut self, ops: &mut Ops) {
        assert!(ops.now_ns() >= self.at_ns, "called before its time");
        let stretch = ops.stats().enters - self.enters;
        self.stretches.push(stretch);
        if stretch >= self.enough || self.stretches.len() == 100 {
            return ops.stop();
        }
        self.set(ops);
    }
}

/// More than a shard makes that sleeps until its alarm, whatever wakes it up.
const MANY: u64 = 20;

fn pace(config: &EngineConfig, apart_ns: u64) -> Vec<u64> {
    let pacer =
        move || Pacer { apart_ns, at_ns: 0, enters: 0, stretches: Vec::new(), enough: MANY };
    run_client(config, pacer).handler.stretches
}

#[test]
fn a_shard_that_spins_is_awake_before_its_alarm() {
    for (name, config) in variants() {
        // Near ones and far ones are waited for in different ways.
        for apart_ns in [300_000, 3_000_000] {
            let asleep = pace(&config, apart_ns);
            assert_eq!(asleep.len(), 100, "{name}: {asleep:?}: it did not sleep");
            if config.engine == Engine::Glommio {
                continue;
            }
            let spinning = EngineConfig { spin_ns: 200_000, ..config.clone() };
            let awake = pace(&spinning, apart_ns);
            assert!(awake.last() >= Some(&MANY), "{name}: {awake:?}: it slept");
        }
    }
}

/// Sends back what it gets while it waits for an alarm that is far away.
struct Sentry;

impl Handler for Sentry {
    fn started(&mut self, ops: &mut Ops) {
        ops.set_alarm(Some(ops.now_ns() + 3_600_000_000_000));
    }

    fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
        ops.output(conn).extend_from_slice(bytes);
    }
}

#[test]
fn completions_come_while_it_spins() {
    for (name, config) in variants() {
        let spinning = EngineConfig { spin_ns: u64::MAX, ..config };
        let server = Server::start(&spinning, || Sentry);
        let mut stream = server.connect();
        for _ in 0..10 {
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut [0]).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        drop(stream);
        // The word from outside comes as an event, too.
        server.stop();
    }
}
