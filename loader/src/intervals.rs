//! Figures of an interval, from the shards to the main thread: once per interval each shard sends
//! what it recorded, and starts anew. Nothing is shared or locked in between.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use ringbench_measure::{Counters, Histogram};

use crate::report::interval::Interval;

/// What a shard sends.
#[derive(Debug)]
pub enum Message {
    /// An interval is over for this shard.
    Part(Box<Part>),
    /// The shard cannot go on, and why.
    Failed(String),
    /// The shard is done; nothing more comes from it.
    Done {
        /// Which shard.
        shard: usize,
    },
}

/// One shard's share of an interval.
#[derive(Debug)]
pub struct Part {
    shard: usize,
    /// Which interval of the run it ends, from 0; a shard that was late may have left some out.
    number: u64,
    latency: Histogram,
    /// All that the shard has counted since the run began.
    counters: Counters,
}

/// The shard's end.
#[derive(Debug)]
pub struct Reporter {
    shard: usize,
    sender: Option<Sender<Message>>,
    every_ns: Option<u64>,
    start_ns: u64,
    next_ns: u64,
}

impl Reporter {
    /// For a shard; without `every_ns` it only tells when the shard is done.
    pub fn new(shard: usize, sender: Sender<Message>, every_ns: Option<u64>) -> Self {
        Self { shard, sender: Some(sender), every_ns, start_ns: 0, next_ns: u64::MAX }
    }

    /// The run began at `start_ns`.
    pub fn start(&mut self, start_ns: u64) {
        self.start_ns = start_ns;
        self.next_ns = self.every_ns.map_or(u64::MAX, |every| start_ns.saturating_add(every));
    }

    /// When the present interval is over.
    pub fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Ends the interval if it is over: `latency` is handed over and starts empty.
    pub fn observe(&mut self, now_ns: u64, latency: &mut Histogram, counters: &Counters) {
        let (Some(every_ns), true) = (self.every_ns, now_ns >= self.next_ns) else { return };
        let over = (now_ns - self.start_ns) / every_ns;
        self.next_ns = self.start_ns.saturating_add((over + 1).saturating_mul(every_ns));
        // A new histogram for each interval: some memory, once in a while, and no way back to
        // organise. If nobody listens, the run is being ended.
        let latency = std::mem::take(latency);
        let part = Part { shard: self.shard, number: over - 1, latency, counters: *counters };
        if let Some(sender) = &self.sender {
            let _ = sender.send(Message::Part(Box::new(part)));
        }
    }

    /// Says something.
    pub fn tell(&self, message: Message) {
        if let Some(sender) = &self.sender {
            // If nobody listens, the run is being ended.
            let _ = sender.send(message);
        }
    }

    /// The shard is done.
    pub fn done(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(Message::Done { shard: self.shard });
        }
    }
}

/// The main thread's end: puts the shards' parts together again.
#[derive(Debug)]
pub struct Assembler {
    every_ns: u64,
    /// The intervals below this number are complete for the shard.
    delivered: Vec<u64>,
    latest: Vec<Counters>,
    /// Intervals that are not complete: their latencies, and the counters of whom has delivered.
    pending: BTreeMap<u64, Pending>,
    printed_counters: Counters,
    printed: u64,
    /// All latencies that were handed over.
    pub latency: Histogram,
}

#[derive(Debug)]
struct Pending {
    latency: Histogram,
    counters: Vec<(usize, Counters)>,
}

impl Assembler {
    /// For so many shards, and intervals of this length.
    pub fn new(shards: usize, every_ns: u64) -> Self {
        Self {
            every_ns,
            delivered: vec![0; shards],
            latest: vec![Counters::default(); shards],
            pending: BTreeMap::new(),
            printed_counters: Counters::default(),
            printed: 0,
            latency: Histogram::new(),
        }
    }

    /// Takes a message in; the intervals that are complete with it, in order, each with its
    /// latencies.
    pub fn take(&mut self, message: Message) -> Vec<(Interval, Histogram)> {
        match message {
            Message::Failed(_) => {}
            Message::Done { shard } => self.delivered[shard] = u64::MAX,
            Message::Part(part) => {
                let Part { shard, number, latency, counters } = *part;
                self.latency.merge(&latency);
                self.delivered[shard] = number + 1;
                let pending = self
                    .pending
                    .entry(number)
                    .or_insert_with(|| Pending { latency: Histogram::new(), counters: Vec::new() });
                pending.latency.merge(&latency);
                pending.counters.push((shard, counters));
            }
        }
        let complete = self.delivered.iter().copied().min().unwrap_or(u64::MAX);
        let mut intervals = Vec::new();
        while let Some(entry) = self.pending.first_entry().filter(|entry| *entry.key() < complete) {
            let (number, pending) = entry.remove_entry();
            intervals.push((self.interval(number, &pending), pending.latency));
        }
        intervals
    }

    /// From the start of the run to the end of the last interval that was complete.
    pub fn elapsed_us(&self) -> u64 {
        self.printed.saturating_mul(self.every_ns) / 1_000
    }

    fn interval(&mut self, number: u64, pending: &Pending) -> Interval {
        for &(shard, counters) in &pending.counters {
            self.latest[shard] = counters;
        }
        let mut after = Counters::default();
        self.latest.iter().for_each(|counters| after.merge(counters));
        let before = std::mem::replace(&mut self.printed_counters, after);
        let length = number + 1 - std::mem::replace(&mut self.printed, number + 1);
        let us = |intervals: u64| intervals.saturating_mul(self.every_ns) / 1_000;
        Interval::new(us(number + 1), us(length), &before, &after, &pending.latency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, channel};

    const SECOND: u64 = 1_000_000_000;

    struct Shard {
        reporter: Reporter,
        latency: Histogram,
        counters: Counters,
    }

    impl Shard {
        fn answer(&mut self, requests: u64) {
            for _ in 0..requests {
                self.counters.count_response(200);
                self.latency.record(1_000_000);
            }
        }

        fn observe(&mut self, now_ns: u64) {
            self.reporter.observe(now_ns, &mut self.latency, &self.counters);
        }
    }

    fn two_shards() -> ([Shard; 2], Receiver<Message>) {
        let (sender, receiver) = channel();
        let shards = [0, 1].map(|shard| {
            let mut reporter = Reporter::new(shard, sender.clone(), Some(SECOND));
            reporter.start(500);
            Shard { reporter, latency: Histogram::new(), counters: Counters::default() }
        });
        (shards, receiver)
    }

    fn requests(assembler: &mut Assembler, receiver: &Receiver<Message>) -> Vec<(u64, u64, u64)> {
        let lines = receiver.try_iter().flat_map(|message| assembler.take(message));
        lines.map(|(line, _)| (line.elapsed_us, line.length_us, line.requests)).collect()
    }

    #[test]
    fn an_interval_is_complete_when_all_shards_have_ended_it() {
        let ([mut a, mut b], receiver) = two_shards();
        let mut assembler = Assembler::new(2, SECOND);
        assert_eq!(a.reporter.next_ns(), SECOND + 500);
        a.answer(3);
        a.observe(SECOND);
        assert_eq!(requests(&mut assembler, &receiver), [], "not over yet");
        a.observe(SECOND + 600);
        assert!(a.latency.is_empty(), "it starts anew");
        assert_eq!(requests(&mut assembler, &receiver), [], "b has not delivered");
        b.answer(4);
        b.observe(SECOND + 700);
        assert_eq!(requests(&mut assembler, &receiver), [(1_000_000, 1_000_000, 7)]);
        a.answer(1);
        a.observe(2 * SECOND + 600);
        b.observe(2 * SECOND + 600);
        assert_eq!(requests(&mut assembler, &receiver), [(2_000_000, 1_000_000, 1)]);
        assert_eq!(assembler.latency.count(), 8);
    }

    #[test]
    fn a_shard_that_is_done_is_not_waited_for() {
        let ([mut a, mut b], receiver) = two_shards();
        let mut assembler = Assembler::new(2, SECOND);
        a.answer(2);
        a.observe(SECOND + 600);
        b.answer(1);
        b.observe(SECOND + 600);
        b.reporter.done();
        a.answer(5);
        a.observe(2 * SECOND + 600);
        let lines = requests(&mut assembler, &receiver);
        assert_eq!(lines, [(1_000_000, 1_000_000, 3), (2_000_000, 1_000_000, 5)]);
        a.reporter.done();
        drop((a, b));
        assert_eq!(requests(&mut assembler, &receiver), []);
    }

    #[test]
    fn a_stalled_run_makes_one_long_interval() {
        let ([mut a, mut b], receiver) = two_shards();
        let mut assembler = Assembler::new(2, SECOND);
        for shard in [&mut a, &mut b] {
            shard.answer(1);
            shard.observe(3 * SECOND + 600);
            assert_eq!(shard.reporter.next_ns(), 4 * SECOND + 500);
        }
        assert_eq!(requests(&mut assembler, &receiver), [(3_000_000, 3_000_000, 2)]);
    }

    #[test]
    fn without_an_interval_only_the_end_is_told() {
        let (sender, receiver) = channel();
        let mut reporter = Reporter::new(0, sender, None);
        let mut latency = Histogram::new();
        latency.record(5);
        reporter.start(0);
        reporter.observe(u64::MAX - 1, &mut latency, &Counters::default());
        assert_eq!(latency.count(), 1);
        reporter.done();
        assert!(matches!(receiver.recv(), Ok(Message::Done { shard: 0 })));
        assert!(receiver.recv().is_err(), "the channel is closed");
    }
}
