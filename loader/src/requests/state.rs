//! Writes the requests of one shard, one after the other.

use std::sync::Arc;

use ringbench_http::{RequestKind, write_decimal};

use super::data::Values;
use super::file::Order;
use super::mix::Mix;
use super::rng::Rng;
use super::template::{Part, Pick, Template};

/// The requests of one shard: what comes next depends on the mix, the shard's number, the seed and
/// on how many requests were written before, and on nothing else.
#[derive(Clone, Debug)]
pub struct MixState {
    mix: Arc<Mix>,
    /// The place in the cycle.
    at: usize,
    fill: Fill,
    /// A body whose length is needed before it is sent.
    body: Vec<u8>,
}

/// What placeholders are filled in with.
#[derive(Clone, Debug)]
struct Fill {
    rng: Rng,
    shards: usize,
    seq: u64,
    next_seq: u64,
    /// For each data file the line that the next request takes if it takes them in order.
    next_lines: Vec<usize>,
    /// For each data file the line of the current request.
    lines: Vec<usize>,
}

impl MixState {
    /// The requests of `shard` (from 0) of `shards`. It takes every `shards`-th number and line, so
    /// that all shards together take each of them once; with weights it begins elsewhere in the
    /// cycle than others, so that they do not all send the same at the same time.
    pub fn new(mix: Arc<Mix>, shard: usize, shards: usize, seed: u64) -> Self {
        let shards = shards.max(1);
        let at = match mix.order {
            Order::Weighted => mix.cycle.len() * (shard % shards) / shards,
            Order::Sequential | Order::Random => 0,
        };
        let next_lines: Vec<usize> = mix.line_counts.iter().map(|count| shard % count).collect();
        let fill = Fill {
            rng: Rng::new(seed, shard as u64),
            shards,
            seq: 0,
            next_seq: mix.first_seq.wrapping_add(shard as u64),
            lines: vec![0; next_lines.len()],
            next_lines,
        };
        let body = Vec::with_capacity(mix.body_len_max());
        Self { mix, at, fill, body }
    }

    /// Appends the next request, and says what it means for the framing of its response.
    #[inline]
    pub fn next(&mut self, out: &mut Vec<u8>) -> RequestKind {
        let Self { mix, at, fill, body } = self;
        let place = match mix.order {
            Order::Random => fill.rng.up_to(mix.cycle.len() as u64 - 1) as usize,
            Order::Weighted | Order::Sequential => {
                let place = *at;
                *at = if place + 1 == mix.cycle.len() { 0 } else { place + 1 };
                place
            }
        };
        let template = &mix.templates[mix.cycle[place] as usize];
        fill.begin(template, &mix.line_counts);
        if template.body.is_empty() {
            fill.write(&template.head, &template.bytes, &mix.values, 0, out);
        } else {
            // The head announces the length, so that the body has to come first.
            body.clear();
            fill.write(&template.body, &template.bytes, &mix.values, 0, body);
            fill.write(&template.head, &template.bytes, &mix.values, body.len(), out);
            out.extend_from_slice(body);
        }
        template.kind
    }
}

impl Fill {
    /// Takes a number and lines for the next request.
    fn begin(&mut self, template: &Template, line_counts: &[usize]) {
        if template.counts {
            self.seq = self.next_seq;
            self.next_seq = self.next_seq.wrapping_add(self.shards as u64);
        }
        for &Pick { data, random } in &template.picks {
            let count = line_counts[data];
            self.lines[data] = if random {
                self.rng.up_to(count as u64 - 1) as usize
            } else {
                let line = self.next_lines[data];
                self.next_lines[data] = (line + self.shards) % count;
                line
            };
        }
    }

    fn write(
        &mut self,
        parts: &[Part],
        bytes: &[u8],
        values: &[Values],
        body_len: usize,
        out: &mut Vec<u8>,
    ) {
        for part in parts {
            match *part {
                Part::Literal(ref range) => out.extend_from_slice(&bytes[range.clone()]),
                Part::Seq => write_decimal(out, self.seq),
                Part::Random { low, span } => write_decimal(out, low + self.rng.up_to(span)),
                Part::Value { values: table, data } => {
                    out.extend_from_slice(values[table].get(self.lines[data]));
                }
                Part::BodyLen => write_decimal(out, body_len as u64),
            }
        }
    }
}
