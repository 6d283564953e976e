//! What may go wrong in a simulation, how often, and the seeds to try.

use super::Rng;

/// The faults and delays of a simulated world.
///
/// Probabilities are between 0 and 1. Two simulations with equal options and equal handlers run
/// alike to the last event.
#[derive(Debug, Clone, PartialEq)]
pub struct SimOptions {
    /// Everything random follows from it.
    pub seed: u64,
    /// The longest delay of bytes on their way, of a completion and of a wake-up; each is drawn
    /// anew.
    pub max_delay_ns: u64,
    /// How many bytes can be on their way or unread in one direction of a connection before its
    /// sender finds the socket full.
    pub socket_buffer_bytes: usize,
    /// The most bytes that one [`Handler::received`](crate::Handler::received) gets.
    pub max_receive_bytes: usize,
    /// The most events that one turn delivers; the number is drawn for every turn.
    pub max_batch: usize,
    /// Whether the events of one turn are shuffled. Those of one connection keep their order.
    pub shuffle: bool,
    /// How often less is received than is there.
    pub short_receive_probability: f64,
    /// How often the socket takes less than it has room for.
    pub short_send_probability: f64,
    /// How often the socket takes nothing although it has room.
    pub full_socket_probability: f64,
    /// How often a connection is doomed to be reset after some number of bytes (at most 64 KiB).
    pub reset_probability: f64,
    /// How often a connect is refused although somebody listens.
    pub refuse_probability: f64,
    /// How often a connect gets no answer at all and times out after [`CONNECT_TIMEOUT_NS`].
    pub lost_connect_probability: f64,
}

/// When a connect that nobody answers fails: Linux gives up after six retries of the SYN.
pub const CONNECT_TIMEOUT_NS: u64 = 127_000_000_000;

impl SimOptions {
    /// Nothing goes wrong: short delays, no faults. Start from here and add the one fault that a
    /// test is about.
    pub fn calm() -> Self {
        Self {
            seed: 0,
            max_delay_ns: 20_000,
            socket_buffer_bytes: 64 * 1024,
            max_receive_bytes: 4096,
            max_batch: 64,
            shuffle: false,
            short_receive_probability: 0.0,
            short_send_probability: 0.0,
            full_socket_probability: 0.0,
            reset_probability: 0.0,
            refuse_probability: 0.0,
            lost_connect_probability: 0.0,
        }
    }

    /// Everything goes wrong, differently for every seed: the seed also draws how large buffers
    /// and delays are and which faults there are at all, because a world with every fault at once
    /// hides what only a few of them together would show.
    pub fn rough(seed: u64) -> Self {
        let mut rng = Rng::new(!seed);
        let mut sometimes = |most: f64| {
            if rng.chance(0.5) { most * rng.fraction() } else { 0.0 }
        };
        let short_receive_probability = sometimes(0.8);
        let short_send_probability = sometimes(0.8);
        let full_socket_probability = sometimes(0.5);
        let reset_probability = sometimes(0.5);
        let refuse_probability = sometimes(0.3);
        let lost_connect_probability = sometimes(0.1);
        Self {
            seed,
            max_delay_ns: rng.size(16_000_000) as u64,
            socket_buffer_bytes: 64 + rng.size(64 * 1024),
            max_receive_bytes: 16 + rng.size(4096),
            max_batch: rng.size(64),
            shuffle: rng.chance(0.8),
            short_receive_probability,
            short_send_probability,
            full_socket_probability,
            reset_probability,
            refuse_probability,
            lost_connect_probability,
        }
    }
}

/// The seeds that a test should run: `default_count` of them from 0 up; as many as
/// `RINGBENCH_SIM_SEEDS` says; or only the one in `RINGBENCH_SIM_SEED`, to replay a failure.
///
/// # Panics
///
/// If one of the variables is set to something that is no number.
pub fn seeds(default_count: u64) -> impl Iterator<Item = u64> {
    match (from_environment("RINGBENCH_SIM_SEED"), from_environment("RINGBENCH_SIM_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(default_count),
    }
}

fn from_environment(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    let number = value.parse().ok();
    assert!(number.is_some(), "{name}={value} is not a whole number; unset it or give it one");
    number
}
