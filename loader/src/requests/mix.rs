//! The requests of a file for one URL, and the order in which they are sent.

use super::compile::Compiler;
use super::data::{DataFile, Values};
use super::error::{Problem, RequestFileError};
use super::file::{Order, RequestFile};
use super::template::Template;
use crate::url::Url;

/// The most requests of a cycle, after which the same order begins again.
pub(super) const MAX_CYCLE: u64 = 1_000_000;

/// The requests of a run, the same for all shards.
#[derive(Clone, Debug)]
pub struct Mix {
    pub(super) templates: Vec<Template>,
    /// Indices of `templates`: a cycle, or an urn to draw from.
    pub(super) cycle: Vec<u32>,
    pub(super) order: Order,
    pub(super) first_seq: u64,
    pub(super) values: Vec<Values>,
    /// How many lines each data file has.
    pub(super) line_counts: Vec<usize>,
    closes: bool,
}

impl Mix {
    /// Compiles the requests of a file for a URL. Its path is that of requests without one.
    /// `extra_headers` (`-H`) come with every request, instead of the file's own of the same name;
    /// they are sent as they are.
    ///
    /// # Errors
    ///
    /// When a request cannot be sent, or a data file has a line that cannot stand where it is asked
    /// for.
    pub fn new(
        file: &RequestFile,
        url: &Url,
        extra_headers: &[(String, String)],
    ) -> Result<Self, RequestFileError> {
        let mut compiler = Compiler::new(file, url, extra_headers);
        let mut templates = Vec::with_capacity(file.requests.len());
        let mut closing = 0;
        for request in &file.requests {
            let (template, closes) = compiler.compile(request)?;
            templates.push(template);
            closing += usize::from(closes);
        }
        if closing != 0 && closing != templates.len() {
            return Err(file.source.error(None, None, Problem::CloseInSome));
        }
        let weights: Vec<u64> = file.requests.iter().map(|request| request.weight).collect();
        let cycle = make_cycle(&weights, file.order)
            .map_err(|total| file.source.error(None, Some("weight"), Problem::Weights(total)))?;
        Ok(Self {
            templates,
            cycle,
            order: file.order,
            first_seq: file.first_seq,
            values: compiler.into_values(),
            line_counts: file.data.iter().map(DataFile::len).collect(),
            closes: closing != 0,
        })
    }

    /// Requests after which the same order begins again; with random order, the number of lots.
    pub fn cycle_len(&self) -> usize {
        self.cycle.len()
    }

    /// The most bytes that a request can have: room to reserve, and what may be sent at once
    /// divided by the pipelining depth.
    pub fn request_len_max(&self) -> usize {
        self.templates.iter().map(|template| template.len_max).max().unwrap_or(0)
    }

    /// The most bytes that a body can have whose length changes.
    pub(super) fn body_len_max(&self) -> usize {
        let changing = self.templates.iter().filter(|template| !template.body.is_empty());
        changing.map(|template| template.len_max).max().unwrap_or(0)
    }

    /// Whether every request ends its connection (`Connection: close`): then it carries one
    /// request, and nothing can be pipelined.
    pub fn closes(&self) -> bool {
        self.closes
    }
}

/// The cycle in which every request is as many times as its weight says; the sum of the weights if
/// that is too long.
fn make_cycle(weights: &[u64], order: Order) -> Result<Vec<u32>, u64> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let total = weights.iter().fold(0_u64, |sum, weight| sum.saturating_add(weight / divisor));
    if total > MAX_CYCLE {
        return Err(total);
    }
    let turns = |(index, weight): (u32, &u64)| (0..weight / divisor).map(move |turn| (turn, index));
    let mut cycle: Vec<(u64, u32)> = (0..).zip(weights).flat_map(turns).collect();
    if order == Order::Weighted {
        // Turn k of a request of weight w belongs at (2k + 1) / 2w of the cycle: in the middle of
        // the k-th of w equal parts. The numbers are below 2^21, so that nothing overflows.
        let weight_of = |index: u32| weights[index as usize] / divisor;
        cycle.sort_by(|(turn_a, a), (turn_b, b)| {
            let left = (2 * turn_a + 1) * weight_of(*b);
            left.cmp(&((2 * turn_b + 1) * weight_of(*a))).then(a.cmp(b))
        });
    }
    Ok(cycle.into_iter().map(|(_, index)| index).collect())
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cycle(weights: &[u64], order: Order) -> Vec<u32> {
        make_cycle(weights, order).unwrap()
    }

    #[test]
    fn weights_are_spread_over_the_cycle() {
        assert_eq!(cycle(&[3, 1], Order::Weighted), [0, 0, 1, 0]);
        assert_eq!(cycle(&[2, 4, 6], Order::Weighted), [2, 1, 0, 2, 1, 2]);
        assert_eq!(cycle(&[5, 5, 5], Order::Weighted), [0, 1, 2]);
        assert_eq!(cycle(&[2, 4], Order::Sequential), [0, 1, 1]);
        assert_eq!(cycle(&[7], Order::Random), [0]);
    }

    #[test]
    fn cycles_have_a_bound() {
        assert_eq!(cycle(&[MAX_CYCLE - 1, 1], Order::Weighted).len() as u64, MAX_CYCLE);
        assert_eq!(make_cycle(&[MAX_CYCLE, 1], Order::Random), Err(MAX_CYCLE + 1));
        assert_eq!(make_cycle(&[u64::MAX, u64::MAX - 1], Order::Random), Err(u64::MAX));
    }
}
