//! A figure over the time of a run, in bounded memory.

/// Points that are kept at most: more than terminals have columns.
const MOST_POINTS: usize = 1024;
const _: () = assert!(MOST_POINTS.is_multiple_of(2));

/// How two neighbouring points become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Their mean: for rates, which add up.
    Mean,
    /// The larger: for the worst of latencies, which must not be smoothed away.
    Largest,
}

/// What a point was made of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Point {
    sum: f64,
    largest: f64,
    values: u32,
}

impl Point {
    fn of(value: Option<f64>) -> Self {
        value.map_or_else(Self::default, |value| Self { sum: value, largest: value, values: 1 })
    }

    fn and(self, other: Self) -> Self {
        Self {
            sum: self.sum + other.sum,
            largest: self.largest.max(other.largest),
            values: self.values + other.values,
        }
    }

    fn value(self, merge: Merge) -> Option<f64> {
        (self.values > 0).then(|| match merge {
            Merge::Mean => self.sum / f64::from(self.values),
            Merge::Largest => self.largest,
        })
    }
}

/// The values of a figure, one per interval; when they get too many, neighbours are merged.
#[derive(Clone, Debug)]
pub(super) struct History {
    merge: Merge,
    /// Each of as many intervals as `per_point`, but for the last, which may still grow.
    points: Vec<Point>,
    per_point: usize,
    intervals: usize,
}

impl History {
    /// An empty one.
    pub(super) fn new(merge: Merge) -> Self {
        Self { merge, points: Vec::new(), per_point: 1, intervals: 0 }
    }

    /// Adds an interval's value; `None` if it had none.
    pub(super) fn push(&mut self, value: Option<f64>) {
        let point = Point::of(value);
        let last_is_full = self.intervals.is_multiple_of(self.per_point);
        match self.points.last_mut() {
            Some(last) if !last_is_full => *last = last.and(point),
            _ => self.points.push(point),
        }
        self.intervals += 1;
        if self.intervals == MOST_POINTS * self.per_point {
            self.points = self.points.chunks(2).map(|pair| pair[0].and(pair[1])).collect();
            self.per_point *= 2;
        }
    }

    /// The history as so many columns. `expected` is how many intervals the whole run will have:
    /// where they fit, they fill the width at its end. Otherwise each has a column of its own until
    /// there are more of them than columns.
    pub(super) fn columns(&self, width: usize, expected: Option<usize>) -> Vec<Option<f64>> {
        let span = self.intervals.max(expected.map_or(width, |expected| expected.min(width)));
        (0..width)
            .map(|column| {
                let from = column * span / width;
                let to =
                    ((column + 1) * span / width).clamp(from + 1, self.intervals.max(from + 1));
                let points = self.points.get(from / self.per_point..=(to - 1) / self.per_point)?;
                points.iter().copied().fold(Point::default(), Point::and).value(self.merge)
            })
            .collect()
    }

    /// The largest value of all columns.
    pub(super) fn largest(columns: &[Option<f64>]) -> f64 {
        columns.iter().flatten().copied().fold(0.0, f64::max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(merge: Merge, values: impl IntoIterator<Item = u32>) -> History {
        let mut history = History::new(merge);
        values.into_iter().for_each(|value| history.push(Some(f64::from(value))));
        history
    }

    #[test]
    fn a_column_per_interval_until_they_are_full() {
        let two = history(Merge::Mean, [1, 2]);
        assert_eq!(two.columns(4, None), [Some(1.0), Some(2.0), None, None]);
        assert_eq!(two.columns(4, Some(1_000)), [Some(1.0), Some(2.0), None, None]);
        let eight = history(Merge::Mean, 1..=8);
        assert_eq!(eight.columns(4, None), [Some(1.5), Some(3.5), Some(5.5), Some(7.5)]);
        let eight = history(Merge::Largest, 1..=8);
        assert_eq!(eight.columns(4, None), [Some(2.0), Some(4.0), Some(6.0), Some(8.0)]);
        assert_eq!(history(Merge::Mean, []).columns(2, None), [None, None]);
        assert!(eight.columns(0, Some(9)).is_empty());
    }

    #[test]
    fn a_short_run_fills_the_width_at_its_end() {
        let half = history(Merge::Mean, [1, 2]);
        let columns = half.columns(8, Some(4));
        assert_eq!(columns[..4], [Some(1.0), Some(1.0), Some(2.0), Some(2.0)]);
        assert_eq!(columns[4..], [None; 4]);
        let whole = history(Merge::Mean, 1..=4).columns(8, Some(4));
        assert_eq!((whole[0], whole[7]), (Some(1.0), Some(4.0)));
    }

    #[test]
    fn gaps_stay_gaps() {
        let mut history = history(Merge::Mean, [4]);
        history.push(None);
        assert_eq!(history.columns(2, None), [Some(4.0), None]);
        assert_eq!(history.columns(1, None), [Some(4.0)], "of two, one has a value");
    }

    #[test]
    fn memory_is_bounded_and_nothing_is_lost() {
        let many = 100_003_u32;
        let mean = history(Merge::Mean, 0..many);
        assert!(mean.points.len() < MOST_POINTS, "{}", mean.points.len());
        assert!((mean.points.len() - 1) * mean.per_point < many as usize);
        let all: Point = mean.points.iter().copied().fold(Point::default(), Point::and);
        assert_eq!(all.values, many);
        let columns = mean.columns(100, None);
        assert!(columns.iter().all(Option::is_some));
        assert!(columns.is_sorted_by(|a, b| a < b), "{columns:?}");
        let one = mean.columns(1, None)[0].unwrap();
        assert!((one - f64::from(many - 1) / 2.0).abs() < 1e-6, "{one}");

        let worst = history(Merge::Largest, (0..many).map(|i| u32::from(i == 70_001) * 9));
        assert!((History::largest(&worst.columns(80, None)) - 9.0).abs() < f64::EPSILON);
    }
}
