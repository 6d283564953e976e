//! When requests are due in an open loop: a closed form, in nanoseconds.
//!
//! A schedule is a sequence of stages, in each of which the rate is constant or changes linearly.
//! With N(t) the number of requests that are due before t, request number n is due at the inverse
//! of N, N^-1(n). That is computed from n each time, so that nothing drifts however long a run is:
//! in an f64 a time of a day is exact to a hundredth of a nanosecond.
//!
//! With Poisson arrivals (`--arrival poisson`) the numbers themselves are random: they are the
//! running sum of exponentially distributed gaps of mean 1, which the same N^-1 maps to times. That
//! is the standard construction of a Poisson process whose rate changes (Cinlar 1975).
//!
//! Shards share a schedule without talking to each other: shard s of n takes the bursts s, s + n,
//! s + 2n, ... Of Poisson arrivals each shard draws its own at the n-th part of the rate, as
//! independent Poisson processes add up to one.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

const NS_PER_SEC: f64 = 1e9;

/// A stretch of a schedule.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage {
    /// How long it lasts; `None` for ever, which only the last may.
    pub length: Option<Duration>,
    /// Requests per second at its beginning.
    pub from: f64,
    /// Requests per second at its end.
    pub to: f64,
}

impl Stage {
    /// A stage of one rate.
    pub fn constant(length: Option<Duration>, rate: f64) -> Self {
        Self { length, from: rate, to: rate }
    }

    #[allow(clippy::float_cmp, reason = "the same number twice, or a ramp")]
    fn is_constant(&self) -> bool {
        self.from == self.to
    }

    fn seconds(&self) -> f64 {
        self.length.map_or(f64::INFINITY, |length| length.as_secs_f64())
    }

    /// Requests that are due in its first `seconds`.
    fn requests_in(&self, seconds: f64) -> f64 {
        if self.is_constant() {
            // For ever at no rate is nothing, too.
            return if self.from == 0.0 { 0.0 } else { seconds * self.from };
        }
        let growth = (self.to - self.from) / self.seconds();
        seconds * (self.from + growth * seconds / 2.0)
    }

    /// After how many seconds so many requests have been due: the root of a quadratic equation, in
    /// the form that loses no digits when rates are nearly equal.
    fn seconds_until(&self, requests: f64) -> f64 {
        if requests == 0.0 {
            return 0.0;
        }
        if self.is_constant() {
            return requests / self.from;
        }
        let growth = (self.to - self.from) / self.seconds();
        let square = self.from.mul_add(self.from, 2.0 * growth * requests).max(0.0);
        2.0 * requests / (self.from + square.sqrt())
    }
}

/// `constant 5000/s`, `10s@1000/s` or `10s@1000-5000/s`.
impl fmt::Display for Stage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(length) = self.length {
            write!(out, "{length:?}@")?;
        }
        if self.is_constant() {
            write!(out, "{}/s", self.from)
        } else {
            write!(out, "{}-{}/s", self.from, self.to)
        }
    }
}

/// A stage and what comes before it.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Placed {
    stage: Stage,
    /// Seconds from the start of the schedule.
    start: f64,
    /// Requests due before.
    before: f64,
}

/// The stages of an open loop, the same for all shards.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    placed: Vec<Placed>,
    /// Requests due in all of it.
    total: f64,
}

impl Schedule {
    /// The stages one after the other.
    pub fn new(stages: impl IntoIterator<Item = Stage>) -> Self {
        let (mut start, mut before) = (0.0, 0.0);
        let mut placed = Vec::new();
        for stage in stages {
            placed.push(Placed { stage, start, before });
            // An endless stage is the last.
            start += stage.seconds();
            before += stage.requests_in(stage.seconds());
        }
        Self { placed, total: before }
    }

    /// When request number `number` is due, in nanoseconds from the start; `None` if the schedule
    /// ends before.
    pub fn time_ns(&self, number: f64) -> Option<u64> {
        if number >= self.total {
            return None;
        }
        // Few stages, and the last that begins at or before the number.
        let placed = self.placed.iter().rev().find(|placed| placed.before <= number)?;
        let seconds = placed.start + placed.stage.seconds_until(number - placed.before);
        Some((seconds * NS_PER_SEC).round() as u64)
    }

    /// How many requests are due in the first `time_ns`.
    pub fn requests_in(&self, time_ns: u64) -> f64 {
        let seconds = time_ns as f64 / NS_PER_SEC;
        let Some(placed) = self.placed.iter().rev().find(|placed| placed.start <= seconds) else {
            return 0.0;
        };
        let within = (seconds - placed.start).min(placed.stage.seconds());
        placed.before + placed.stage.requests_in(within)
    }

    /// The highest rate in it.
    pub fn peak(&self) -> f64 {
        self.placed.iter().map(|placed| placed.stage.from.max(placed.stage.to)).fold(0.0, f64::max)
    }

    /// How long it lasts, if it has an end.
    pub fn length(&self) -> Option<Duration> {
        self.placed.iter().map(|placed| placed.stage.length).sum()
    }
}

/// The stages, for people.
impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, placed) in self.placed.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(out, "{comma}{}", placed.stage)?;
        }
        Ok(())
    }
}

/// How requests are spread over a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrival {
    /// Evenly.
    #[default]
    Constant,
    /// At random, independent of each other.
    Poisson,
}

/// A shard's way through the schedule, burst after burst. A burst is as many requests as leave
/// together; it is due when its first request is.
#[derive(Debug)]
pub struct Pacer {
    schedule: Arc<Schedule>,
    start_ns: Option<u64>,
    /// The number of the next burst's first request.
    number: f64,
    /// From one burst of this shard to its next, in requests.
    step: f64,
    /// Bursts so far.
    bursts: u64,
    random: Option<fastrand::Rng>,
    due_ns: u64,
}

impl Pacer {
    /// What [`Pacer::due_ns`] is when nothing will be due any more.
    pub const NEVER: u64 = u64::MAX;

    /// The way of `shard` of `shards`, for bursts of `burst` requests. `seed` is that of random
    /// arrivals.
    pub fn new(
        schedule: Arc<Schedule>,
        arrival: Arrival,
        (shard, shards): (usize, usize),
        burst: u32,
        seed: u64,
    ) -> Self {
        let step = shards as f64 * f64::from(burst);
        let random = (arrival == Arrival::Poisson).then(|| {
            fastrand::Rng::with_seed(seed ^ (shard as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15))
        });
        let mut pacer = Self {
            schedule,
            start_ns: None,
            number: shard as f64 * f64::from(burst),
            step,
            bursts: 0,
            random,
            due_ns: Self::NEVER,
        };
        if pacer.random.is_some() {
            pacer.number = pacer.gap();
        }
        pacer
    }

    /// The schedule starts at `start_ns`; before, nothing is due.
    pub fn start(&mut self, start_ns: u64) {
        self.start_ns = Some(start_ns);
        self.due_ns = self.time_of(self.number);
    }

    /// When the next burst is due, or [`Pacer::NEVER`].
    #[inline]
    pub fn due_ns(&self) -> u64 {
        self.due_ns
    }

    /// Whether the schedule has started.
    pub fn is_started(&self) -> bool {
        self.start_ns.is_some()
    }

    /// Bursts passed so far.
    pub fn bursts(&self) -> u64 {
        self.bursts
    }

    /// Goes on to the burst after.
    #[inline]
    pub fn advance(&mut self) {
        self.bursts += 1;
        // Of even arrivals these are whole numbers, so that no error adds up.
        self.number += if self.random.is_some() { self.gap() } else { self.step };
        self.due_ns = self.time_of(self.number);
    }

    /// When this shard's burst number `burst` is due, counted from 0. Of even arrivals only.
    pub fn due_of_burst(&self, burst: u64) -> u64 {
        debug_assert!(self.random.is_none(), "random arrivals are known one after the other");
        let first = self.number - self.bursts as f64 * self.step;
        self.time_of(first + burst as f64 * self.step)
    }

    /// Whether arrivals are random.
    pub fn is_random(&self) -> bool {
        self.random.is_some()
    }

    /// How many bursts of this shard are due before `time_ns`, since the schedule began. Of even
    /// arrivals only. Takes no longer for many than for few.
    pub fn bursts_before(&self, time_ns: u64) -> u64 {
        let Some(start_ns) = self.start_ns else { return 0 };
        let first = self.number - self.bursts as f64 * self.step;
        let requests = self.schedule.requests_in(time_ns.saturating_sub(start_ns));
        // Exact but for the last digit, which may be on either side.
        let mut bursts = ((requests - first) / self.step).ceil().max(0.0) as u64;
        while bursts > 0 && self.due_of_burst(bursts - 1) >= time_ns {
            bursts -= 1;
        }
        while self.due_of_burst(bursts) < time_ns {
            bursts += 1;
        }
        bursts
    }

    /// Goes on to the first burst that is not due before `time_ns`; how many were passed. Beyond
    /// some millions of random arrivals it is as many as are expected.
    pub fn skip_to(&mut self, time_ns: u64) -> u64 {
        const MOST_DRAWN: u64 = 1 << 22;
        let before = self.bursts;
        while self.due_ns < time_ns && self.bursts - before < MOST_DRAWN {
            self.advance();
        }
        if self.due_ns < time_ns {
            let since_ns = time_ns.saturating_sub(self.start_ns.unwrap_or(time_ns));
            let expected = (self.schedule.requests_in(since_ns) - self.number) / self.step;
            let expected = expected.ceil().max(0.0);
            self.bursts += expected as u64;
            self.number += expected * self.step;
            self.due_ns = self.time_of(self.number).max(time_ns);
        }
        self.bursts - before
    }

    fn time_of(&self, number: f64) -> u64 {
        let time_ns = self.start_ns.zip(self.schedule.time_ns(number));
        time_ns.map_or(Self::NEVER, |(start_ns, time_ns)| start_ns.saturating_add(time_ns))
    }

    /// A random gap between two bursts of this shard, in requests of all.
    fn gap(&mut self) -> f64 {
        let uniform = self.random.as_mut().map_or(0.0, fastrand::Rng::f64);
        // In [0, 1), so the logarithm is finite.
        -(1.0 - uniform).ln() * self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: u64 = 1_000_000_000;

    fn constant(rate: f64) -> Arc<Schedule> {
        Arc::new(Schedule::new([Stage::constant(None, rate)]))
    }

    #[allow(clippy::unnecessary_wraps, reason = "as stages have it")]
    fn seconds(seconds: u64) -> Option<Duration> {
        Some(Duration::from_secs(seconds))
    }

    fn times(mut pacer: Pacer, until_ns: u64) -> Vec<u64> {
        pacer.start(0);
        let mut times = Vec::new();
        while pacer.due_ns() < until_ns {
            times.push(pacer.due_ns());
            pacer.advance();
        }
        times
    }

    #[test]
    fn a_constant_rate_is_exact_to_the_nanosecond_after_a_day() {
        let schedule = constant(50_000.0);
        for number in [0_u64, 1, 7, 50_000, 86_400 * 50_000 + 3] {
            assert_eq!(schedule.time_ns(number as f64), Some(number * 20_000));
        }
        let third = constant(3.0);
        assert_eq!(third.time_ns(1.0), Some(333_333_333));
        assert_eq!(third.time_ns(3.0 * 86_400.0), Some(86_400 * SECOND));
    }

    #[test]
    fn a_ramp_is_the_inverse_of_its_integral() {
        let ramp = Schedule::new([Stage { length: seconds(10), from: 0.0, to: 1_000.0 }]);
        // N(t) = 50 t^2
        assert_eq!(ramp.time_ns(0.0), Some(0));
        assert_eq!(ramp.time_ns(50.0), Some(SECOND));
        assert_eq!(ramp.time_ns(200.0), Some(2 * SECOND));
        assert_eq!(ramp.time_ns(4_999.999), Some(9_999_999_000));
        assert_eq!(ramp.time_ns(5_000.0), None);
        let down = Schedule::new([Stage { length: seconds(10), from: 1_000.0, to: 0.0 }]);
        assert_eq!(down.time_ns(950.0), Some(SECOND));
        assert!((ramp.requests_in(2 * SECOND) - 200.0).abs() < 1e-9);
    }

    #[test]
    fn stages_follow_each_other() {
        let stages = Schedule::new([
            Stage::constant(seconds(10), 100.0),
            Stage::constant(seconds(5), 0.0),
            Stage::constant(seconds(10), 1_000.0),
        ]);
        assert_eq!(stages.time_ns(999.0), Some(9_990_000_000));
        assert_eq!(stages.time_ns(1_000.0), Some(15 * SECOND), "nothing is due in between");
        assert_eq!(stages.time_ns(1_500.0), Some(15_500_000_000));
        assert_eq!(stages.time_ns(11_000.0), None);
        assert_eq!(stages.length(), seconds(25));
        assert_eq!(stages.to_string(), "10s@100/s,5s@0/s,10s@1000/s");
        assert_eq!(constant(5.5).to_string(), "5.5/s");
        assert_eq!(constant(5.5).length(), None);
    }

    #[test]
    fn shards_together_make_the_whole() {
        let until = 3 * SECOND;
        let mut all: Vec<u64> = (0..3)
            .flat_map(|shard| {
                let pacer = Pacer::new(constant(1_000.0), Arrival::Constant, (shard, 3), 1, 0);
                times(pacer, until)
            })
            .collect();
        all.sort_unstable();
        let expected: Vec<u64> = (0..3_000).map(|number| number * 1_000_000).collect();
        assert_eq!(all, expected);
    }

    #[test]
    fn bursts_are_due_with_their_first_request() {
        let mut pacer = Pacer::new(constant(1_000.0), Arrival::Constant, (1, 2), 10, 0);
        assert_eq!(pacer.due_of_burst(3), Pacer::NEVER, "not started");
        pacer.start(5);
        assert_eq!(pacer.due_of_burst(3), 70_000_005);
        let times = times(pacer, 100_000_000);
        assert_eq!(times, [10_000_000, 30_000_000, 50_000_000, 70_000_000, 90_000_000]);
    }

    #[test]
    fn poisson_arrivals_have_the_rate_and_the_spread_of_poisson_arrivals() {
        let seed = 7;
        let times =
            times(Pacer::new(constant(20_000.0), Arrival::Poisson, (0, 2), 1, seed), 10 * SECOND);
        // Half of the rate for 10 s: 100,000 +- 316.
        assert!((98_700..101_300).contains(&times.len()), "{}", times.len());
        let gaps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]) as f64).collect();
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / gaps.len() as f64;
        // Exponential gaps: the standard deviation is the mean.
        assert!((variance.sqrt() / mean - 1.0).abs() < 0.02, "{} {mean}", variance.sqrt());
        // Counts per 10 ms: variance over mean is 1 for Poisson, 0 for even arrivals.
        let mut counts = vec![0_f64; 1_000];
        times.iter().for_each(|time| counts[(time / 10_000_000) as usize] += 1.0);
        let mean = counts.iter().sum::<f64>() / 1_000.0;
        let variance = counts.iter().map(|count| (count - mean).powi(2)).sum::<f64>() / 1_000.0;
        assert!((0.8..1.2).contains(&(variance / mean)), "{variance} {mean}");
    }

    #[test]
    fn shards_draw_different_arrivals_from_one_seed_and_the_same_again() {
        let of = |shard, seed| {
            times(Pacer::new(constant(100.0), Arrival::Poisson, (shard, 2), 1, seed), SECOND)
        };
        assert_eq!(of(0, 1), of(0, 1));
        assert_ne!(of(0, 1), of(1, 1));
        assert_ne!(of(0, 1), of(0, 2));
    }

    proptest! {
        #[test]
        fn times_rise_and_are_the_inverse_of_counting(
            stages in prop::collection::vec((1_u64..100, 0.0..1e6, 0.0..1e6), 1..6),
            at in 0.0..1.0,
        ) {
            let stages = stages.into_iter().map(|(length, from, to)| Stage {
                length: seconds(length), from, to,
            });
            let schedule = Schedule::new(stages);
            let number = at * schedule.total;
            let time_ns = schedule.time_ns(number).expect("within");
            // Half a nanosecond at a million a second is 0.0005 requests.
            prop_assert!((schedule.requests_in(time_ns) - number).abs() < 0.01);
            let later = schedule.time_ns(number + 1.0).unwrap_or(u64::MAX);
            prop_assert!(later >= time_ns);
        }
    }

    fn stages() -> impl Strategy<Value = Vec<Stage>> {
        let rate = || prop_oneof![Just(0.0), 0.1..5_000.0];
        let stage = (1_u64..500, rate(), rate(), any::<bool>()).prop_map(|(ms, from, to, ramp)| {
            let length = Some(Duration::from_millis(ms));
            Stage { length, from, to: if ramp { to } else { from } }
        });
        proptest::collection::vec(stage, 1..4)
    }

    proptest! {
        #[test]
        fn bursts_are_counted_as_they_come(
            stages in stages(), burst in 1_u32..5, shard in 0_usize..3, until_ms in 0_u64..1_500,
            passed in 0_usize..20,
        ) {
            let schedule = Arc::new(Schedule::new(stages));
            let mut pacer = Pacer::new(schedule, Arrival::Constant, (shard, 3), burst, 0);
            let until_ns = 777 + until_ms * 1_000_000;
            pacer.start(777);
            let mut due = Vec::new();
            while pacer.due_ns() != Pacer::NEVER {
                due.push(pacer.due_ns());
                pacer.advance();
                let counted = due.iter().filter(|&&due_ns| due_ns < until_ns).count() as u64;
                if due.len() == passed {
                    // Whoever asks in between hears the same.
                    prop_assert!(pacer.bursts_before(until_ns) >= counted);
                }
            }
            let counted = due.iter().filter(|&&due_ns| due_ns < until_ns).count() as u64;
            prop_assert_eq!(pacer.bursts_before(until_ns), counted);
        }
    }

    #[test]
    fn random_arrivals_are_skipped_one_by_one_and_beyond_some_millions_by_the_rate() {
        let pacer = || {
            let mut pacer = Pacer::new(constant(9e6), Arrival::Poisson, (0, 1), 1, 7);
            pacer.start(5);
            pacer
        };
        let (mut skipped, mut walked) = (pacer(), pacer());
        let passed = skipped.skip_to(SECOND / 10);
        (0..passed).for_each(|_| walked.advance());
        assert_eq!(skipped.due_ns(), walked.due_ns());
        assert!(skipped.due_ns() >= SECOND / 10 && passed == skipped.bursts());
        let all = passed + skipped.skip_to(3_600 * SECOND);
        assert!(all.abs_diff(9_000_000 * 3_600) < 1_000_000, "{all}");
        assert!(skipped.due_ns() >= 3_600 * SECOND);
    }
}
