//! How late alarms are, which is what paces an open loop: on each engine, asleep and spinning.
//!
//! `cargo run --release -p ringbench-engine --example alarm_lateness`

use ringbench_engine::{ConnId, Engine, EngineConfig, EngineError, Handler, Ops, start};

const ALARMS: usize = 10_000;

/// Sets one alarm after the other, 50 to 200 us apart, and notes how late each is.
struct Clock {
    at_ns: u64,
    seed: u64,
    late_ns: Vec<u64>,
}

impl Clock {
    fn set(&mut self, ops: &mut Ops) {
        // Knuth's MMIX generator: intervals that are in step with nothing.
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.at_ns = ops.now_ns() + 50_000 + (self.seed >> 33) % 150_000;
        ops.set_alarm(Some(self.at_ns));
    }
}

impl Handler for Clock {
    fn started(&mut self, ops: &mut Ops) {
        self.set(ops);
    }

    fn received(&mut self, _: &mut Ops, _: ConnId, _: &[u8]) {}

    fn alarm(&mut self, ops: &mut Ops) {
        self.late_ns.push(ops.now_ns() - self.at_ns);
        if self.late_ns.len() == ALARMS {
            return ops.stop();
        }
        self.set(ops);
    }
}

fn main() -> Result<(), EngineError> {
    println!(
        "{:<8} {:>8} {:>9} {:>9} {:>9} {:>8}",
        "engine", "spin_us", "p50_us", "p99_us", "max_us", "cpu_ms"
    );
    for engine in [Engine::Uring, Engine::Epoll] {
        for spin_us in [0, 20, 50, 1000] {
            let spin_ns = spin_us * 1000;
            let config = EngineConfig { engine, spin_ns, ..EngineConfig::default() };
            let clock = |_| Clock { at_ns: 0, seed: 1, late_ns: Vec::with_capacity(ALARMS) };
            let done = start(&config, Vec::new(), clock)?.join()?.remove(0);
            let mut late_ns = done.handler.late_ns;
            late_ns.sort_unstable();
            let us = |rank: usize| late_ns[rank] as f64 / 1000.0;
            let (median, high, max) = (us(ALARMS / 2), us(ALARMS * 99 / 100), us(ALARMS - 1));
            let cpu_ms = done.stats.cpu_ns / 1_000_000;
            println!("{engine:<8} {spin_us:>8} {median:>9.1} {high:>9.1} {max:>9.1} {cpu_ms:>8}");
        }
    }
    Ok(())
}
