//! A seeded simulation of shards, sockets and time, for tests of handlers.
//!
//! A [`Sim`] runs the same [`Handler`]s as the real engine, all in one thread and in memory. The
//! bytes are split, delayed and refused, connections are reset and connects fail, as
//! [`SimOptions`] says; everything follows from one seed. Time is virtual: it jumps to the next
//! event, so that hours of time-outs pass in microseconds.
//!
//! A run ends with an [`Outcome`]; one that does not become idle within its turns is a hang. When
//! a test panics while a `Sim` is alive, the seed and the last events are printed, and
//! `RINGBENCH_SIM_SEED=<seed>` makes [`seeds`] replay that one alone.
//!
//! ```
//! use std::net::SocketAddr;
//!
//! use ringbench_engine::sim::{Outcome, Sim, SimOptions, seeds};
//! use ringbench_engine::{CloseReason, ConnId, Handler, Ops};
//!
//! /// Sends back what it gets.
//! struct Echo;
//!
//! impl Handler for Echo {
//!     fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
//!         ops.output(conn).extend_from_slice(bytes);
//!     }
//! }
//!
//! /// Says one thing and waits until it has come back whole.
//! #[derive(Default)]
//! struct Client {
//!     heard: Vec<u8>,
//!     ended: Option<CloseReason>,
//! }
//!
//! impl Handler for Client {
//!     fn started(&mut self, ops: &mut Ops) {
//!         let target = ops.add_target("10.0.0.1:80".parse::<SocketAddr>().unwrap());
//!         ops.connect(target);
//!     }
//!
//!     fn connected(&mut self, ops: &mut Ops, conn: ConnId) {
//!         ops.output(conn).extend_from_slice(b"hello");
//!     }
//!
//!     fn received(&mut self, ops: &mut Ops, conn: ConnId, bytes: &[u8]) {
//!         self.heard.extend_from_slice(bytes);
//!         if self.heard.len() == 5 {
//!             ops.close(conn);
//!         }
//!     }
//!
//!     fn closed(&mut self, _: &mut Ops, _: ConnId, why: CloseReason) {
//!         self.ended = Some(why);
//!     }
//! }
//!
//! for seed in seeds(100) {
//!     let mut sim = Sim::new(SimOptions::rough(seed));
//!     let server = sim.add_server("10.0.0.1:80".parse().unwrap(), Echo);
//!     let client = sim.add_client(Client::default());
//!     assert_eq!(sim.run_until_idle(10_000), Outcome::Idle);
//!     match sim.handler(client).ended.as_ref().expect("the connection ended") {
//!         CloseReason::Local => assert!(sim.handler(client).heard == b"hello"
//!             || sim.options().reset_probability > 0.0),
//!         failed => println!("seed {seed}: {failed:?}"),
//!     }
//!     assert_eq!(sim.connections(server) + sim.connections(client), 0);
//! }
//! ```

mod net;
mod options;
mod rng;
mod shard;
mod trace;

use std::any::Any;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;

pub use options::{CONNECT_TIMEOUT_NS, SimOptions, seeds};
pub use rng::Rng;

use crate::{EngineStats, Handler, Ops};
use net::{Event, Net};
use shard::Shard;

/// Names a shard of a [`Sim`] and knows the type of its handler.
pub struct ShardId<H> {
    index: usize,
    handler: PhantomData<fn() -> H>,
}

impl<H> Clone for ShardId<H> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<H> Copy for ShardId<H> {}

impl<H> fmt::Debug for ShardId<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.index)
    }
}

/// Why a run came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Outcome {
    /// Nothing is left to happen: no event, no deadline, no alarm.
    Idle,
    /// The time is reached, or the condition holds no longer.
    Reached,
    /// The turns are used up: the handlers keep each other busy for ever, or time-outs do.
    TurnLimit,
}

/// A world of simulated shards.
pub struct Sim {
    net: Net,
    shards: Vec<Shard>,
    now_ns: u64,
    turns: u64,
}

impl Sim {
    /// An empty world at time 0.
    pub fn new(options: SimOptions) -> Self {
        Self { net: Net::new(options), shards: Vec::new(), now_ns: 0, turns: 0 }
    }

    /// Adds a shard that listens on `address`. Several may share one, as with `SO_REUSEPORT`.
    pub fn add_server<H: Handler + 'static>(
        &mut self,
        address: SocketAddr,
        handler: H,
    ) -> ShardId<H> {
        let shard = self.add_client(handler);
        self.net.listeners.push((address, shard.index));
        shard
    }

    /// Adds a shard that does not listen.
    pub fn add_client<H: Handler + 'static>(&mut self, handler: H) -> ShardId<H> {
        let index = self.shards.len();
        self.net.add_queue();
        self.net.schedule(index, self.now_ns, Event::Started);
        self.shards.push(Shard::new(index, Box::new(handler), self.now_ns));
        ShardId { index, handler: PhantomData }
    }

    /// Runs everything that is due up to `at_ns`, and lets the clock stand there. Time passes in
    /// every turn, so this comes to an end.
    pub fn run_until(&mut self, at_ns: u64) -> Outcome {
        while self.step(at_ns) {}
        self.now_ns = self.now_ns.max(at_ns);
        if self.next().is_none() { Outcome::Idle } else { Outcome::Reached }
    }

    /// Runs until nothing is left to happen. More turns than `max_turns` are a hang.
    pub fn run_until_idle(&mut self, max_turns: u64) -> Outcome {
        self.run_while(max_turns, |_| true)
    }

    /// Runs while `goes_on` holds; it is asked before every turn. For handlers that are never
    /// idle, because they set an alarm again and again.
    pub fn run_while(&mut self, max_turns: u64, mut goes_on: impl FnMut(&Self) -> bool) -> Outcome {
        for _ in 0..max_turns {
            if !goes_on(self) {
                return Outcome::Reached;
            }
            if !self.step(u64::MAX) {
                return Outcome::Idle;
            }
        }
        if self.next().is_none() { Outcome::Idle } else { Outcome::TurnLimit }
    }

    /// Does something in the place of a shard's handler: one turn in which `act` comes after the
    /// events that are due. How a test makes a handler write, close or stop at a moment of its
    /// choice.
    ///
    /// # Panics
    ///
    /// If the shard has ended.
    pub fn act<H: Handler + 'static>(
        &mut self,
        shard: ShardId<H>,
        act: impl FnOnce(&mut H, &mut Ops),
    ) {
        let at_ns = self.now_ns.max(self.shards[shard.index].free_at_ns);
        assert!(!self.shards[shard.index].ended, "{shard:?} has ended");
        self.turn(shard.index, at_ns, |handler, ops| {
            let handler: &mut dyn Any = handler;
            act(handler.downcast_mut().expect("a shard id belongs to one Sim"), ops);
        });
    }

    /// Stops accepting and tells the handler, as [`ShardControl::drain`](crate::ShardControl::drain)
    /// does.
    pub fn drain<H>(&mut self, shard: ShardId<H>) {
        self.net.schedule(shard.index, self.now_ns, Event::Drain);
    }

    /// Ends the shard, as [`ShardControl::stop`](crate::ShardControl::stop) does.
    pub fn stop<H>(&mut self, shard: ShardId<H>) {
        self.net.schedule(shard.index, self.now_ns, Event::Stop);
    }

    /// Halts a shard as a debugger or SIGSTOP would: its sockets stay open and fill up, but it
    /// reads nothing, sends nothing and notices no time-out.
    pub fn freeze<H>(&mut self, shard: ShardId<H>) {
        self.shards[shard.index].frozen = true;
    }

    /// Lets a frozen shard run again.
    pub fn thaw<H>(&mut self, shard: ShardId<H>) {
        let frozen = &mut self.shards[shard.index];
        frozen.frozen = false;
        frozen.free_at_ns = frozen.free_at_ns.max(self.now_ns);
    }

    /// The handler of a shard.
    ///
    /// # Panics
    ///
    /// If the id is that of another `Sim`.
    pub fn handler<H: Handler + 'static>(&self, shard: ShardId<H>) -> &H {
        let handler: &dyn Any = &*self.shards[shard.index].handler;
        handler.downcast_ref().expect("a shard id belongs to one Sim")
    }

    /// The handler of a shard, to be changed. To use [`Ops`] with it, see [`Sim::act`].
    ///
    /// # Panics
    ///
    /// If the id is that of another `Sim`.
    pub fn handler_mut<H: Handler + 'static>(&mut self, shard: ShardId<H>) -> &mut H {
        let handler: &mut dyn Any = &mut *self.shards[shard.index].handler;
        handler.downcast_mut().expect("a shard id belongs to one Sim")
    }

    /// How many connection slots of a shard are in use: 0 after everything is over, or it leaks.
    pub fn connections<H>(&self, shard: ShardId<H>) -> usize {
        self.shards[shard.index].ops.connections()
    }

    /// Whether a shard has ended: it was stopped, or drained and then empty.
    pub fn is_ended<H>(&self, shard: ShardId<H>) -> bool {
        self.shards[shard.index].ended
    }

    /// What the simulated engine of a shard has counted: turns as `enters`, events as
    /// `completions`.
    pub fn stats<H>(&self, shard: ShardId<H>) -> &EngineStats {
        self.shards[shard.index].ops.stats()
    }

    /// The virtual time.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// How many turns all shards have taken.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// The options that the world was made with.
    pub fn options(&self) -> &SimOptions {
        &self.net.options
    }

    /// The last events as text, one a line.
    pub fn trace(&self) -> String {
        self.net.trace.to_string()
    }

    /// A hash of every event from the start: equal for two runs that went alike.
    pub fn fingerprint(&self) -> u64 {
        self.net.trace.fingerprint()
    }

    /// The shard whose turn is due first, and when.
    fn next(&self) -> Option<(u64, usize)> {
        let wakes = self.shards.iter().enumerate();
        wakes.filter_map(|(index, shard)| Some((shard.wake_ns(&self.net)?, index))).min()
    }

    /// Takes the next turn that is due up to `until_ns`; false if there is none.
    fn step(&mut self, until_ns: u64) -> bool {
        let Some((due_ns, shard)) = self.next().filter(|&(due_ns, _)| due_ns <= until_ns) else {
            return false;
        };
        // A thread wakes up late, and finds more that has happened since.
        let late_ns = if self.net.rng.chance(0.5) { self.net.delay_ns() } else { 0 };
        self.turn(shard, (due_ns + late_ns).min(until_ns), |_, _| {});
        true
    }

    fn turn(
        &mut self,
        shard: usize,
        at_ns: u64,
        inject: impl FnOnce(&mut dyn shard::AnyHandler, &mut Ops),
    ) {
        // Shards are not quite in step, as cores are not; each one's own time only grows.
        self.now_ns = self.now_ns.max(at_ns);
        self.turns += 1;
        self.shards[shard].turn(&mut self.net, at_ns, inject);
    }
}

impl Drop for Sim {
    /// Tells a test that fails how to fail again.
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.net.options.seed;
            eprintln!("{self:?}\n{}", self.net.trace);
            eprintln!("seed {seed}: RINGBENCH_SIM_SEED={seed} runs it alone");
        }
    }
}

impl fmt::Debug for Sim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections: Vec<_> = self.shards.iter().map(|s| s.ops.connections()).collect();
        f.debug_struct("Sim")
            .field("options", &self.net.options)
            .field("now_ns", &self.now_ns)
            .field("turns", &self.turns)
            .field("connections", &connections)
            .finish()
    }
}
