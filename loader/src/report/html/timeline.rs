//! Charts of a run in time, from its intervals.

use super::chart::{Axis, Bar, Chart, Line, Marks, Style};
use super::scale::Scale;
use super::words;
use crate::report::RunReport;
use crate::report::interval::{Interval, IntervalLatency};

/// More points than this cannot be told apart on any screen.
const POINTS: usize = 400;

/// All charts of the run in time; none where it was not watched.
pub(super) fn charts(report: &RunReport) -> Vec<Chart> {
    let intervals = thinned(&report.intervals);
    if intervals.len() < 2 {
        return Vec::new();
    }
    let end_s = intervals.iter().map(seconds).fold(0.0, f64::max);
    let time = || Axis { scale: Scale::exact(end_s), label: words::tick_s };
    [
        Some(throughput(report, &intervals, time())),
        latency(&intervals, time()),
        errors(&intervals, time()),
        Some(cpu(&intervals, time())),
        open_connections(&intervals, time()),
        memory(&intervals, time()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn seconds(interval: &Interval) -> f64 {
    interval.elapsed_us as f64 / 1e6
}

/// Neighbours put together until they are few enough: counts added, latencies the worst of them.
fn thinned(intervals: &[Interval]) -> Vec<Interval> {
    let together = intervals.len().div_ceil(POINTS).max(1);
    intervals.chunks(together).filter_map(|chunk| chunk.iter().copied().reduce(join)).collect()
}

fn join(mut sum: Interval, next: Interval) -> Interval {
    let add = |mine: &mut u64, theirs: u64| *mine += theirs;
    add(&mut sum.length_us, next.length_us);
    add(&mut sum.requests, next.requests);
    add(&mut sum.errors.connect, next.errors.connect);
    add(&mut sum.errors.read, next.errors.read);
    add(&mut sum.errors.write, next.errors.write);
    add(&mut sum.errors.timeout, next.errors.timeout);
    add(&mut sum.errors.status, next.errors.status);
    add(&mut sum.loader_cpu_ns, next.loader_cpu_ns);
    sum.elapsed_us = next.elapsed_us;
    sum.open_connections = next.open_connections;
    sum.latency = match (sum.latency, next.latency) {
        (Some(mine), Some(theirs)) => Some(IntervalLatency {
            p50_ns: mine.p50_ns.max(theirs.p50_ns),
            p90_ns: mine.p90_ns.max(theirs.p90_ns),
            p99_ns: mine.p99_ns.max(theirs.p99_ns),
            p999_ns: mine.p999_ns.max(theirs.p999_ns),
            max_ns: mine.max_ns.max(theirs.max_ns),
        }),
        (mine, theirs) => mine.or(theirs),
    };
    sum.server = match (sum.server, next.server) {
        (Some(mine), Some(mut theirs)) => {
            theirs.cpu_ns += mine.cpu_ns;
            Some(theirs)
        }
        _ => None,
    };
    sum.machine = next.machine;
    sum
}

fn throughput(report: &RunReport, intervals: &[Interval], x: Axis) -> Chart {
    let of = |interval: &Interval| Some((seconds(interval), interval.requests_per_sec()));
    let mut lines = vec![Line {
        name: "Responses".to_owned(),
        points: intervals.iter().map(of).collect(),
        style: Style::Area,
    }];
    if let Some(open) = &report.open_loop {
        let points = [intervals.first(), intervals.last()]
            .map(|interval| interval.map(|interval| (seconds(interval), open.rate_asked)));
        lines.push(Line {
            name: "Asked for, on average".to_owned(),
            points: points.to_vec(),
            style: Style::Dashed,
        });
    }
    let max = highest(&lines);
    Chart {
        title: "Throughput",
        caption: "Responses per second".to_owned(),
        x,
        y: Axis { scale: Scale::linear(max), label: words::tick_count },
        marks: Marks::Lines(lines),
    }
}

fn highest(lines: &[Line]) -> f64 {
    let values = lines.iter().flat_map(|line| line.points.iter().flatten());
    values.map(|(_, value)| *value).fold(0.0, f64::max)
}

fn latency(intervals: &[Interval], x: Axis) -> Option<Chart> {
    let line = |name: &str, of: fn(&IntervalLatency) -> u64| Line {
        name: name.to_owned(),
        points: intervals
            .iter()
            .map(|interval| {
                let latency = interval.latency.as_ref()?;
                Some((seconds(interval), of(latency) as f64 / 1e3))
            })
            .collect(),
        style: Style::Plain,
    };
    let lines = vec![
        line("p50", |it| it.p50_ns),
        line("p90", |it| it.p90_ns),
        line("p99", |it| it.p99_ns),
        line("Largest", |it| it.max_ns),
    ];
    let medians = || lines[0].points.iter().flatten().map(|(_, value)| *value);
    let (lowest, usual) = (medians().fold(f64::MAX, f64::min), medians().fold(0.0, f64::max));
    let max = highest(&lines);
    (max > 0.0).then(|| Chart {
        title: "Latency in time",
        caption: "Percentiles of each interval".to_owned(),
        x,
        y: Axis { scale: Scale::for_spread(lowest, usual, max), label: words::tick_us },
        marks: Marks::Lines(lines),
    })
}

/// Left out where there are none: the figures say so.
fn errors(intervals: &[Interval], x: Axis) -> Option<Chart> {
    let most = intervals.iter().map(|interval| interval.errors.total()).max()?;
    let bar = |interval: &Interval| {
        let to = seconds(interval);
        let from = to - interval.length_us as f64 / 1e6;
        let count = interval.errors.total();
        let title = format!("until {to:.2} s: {} failures", words::count(count));
        Bar { from, to, height: count as f64, title }
    };
    (most > 0).then(|| Chart {
        title: "Failures",
        caption: "Failures of all kinds in each interval".to_owned(),
        x,
        y: Axis { scale: Scale::linear(most as f64), label: words::tick_count },
        marks: Marks::Bars(intervals.iter().map(bar).collect()),
    })
}

fn cpu(intervals: &[Interval], x: Axis) -> Chart {
    let cores = |interval: &Interval, cpu_ns: u64| {
        let length_ns = interval.length_us.max(1) as f64 * 1e3;
        (seconds(interval), cpu_ns as f64 / length_ns)
    };
    let line = |name: &str, of: &dyn Fn(&Interval) -> Option<(f64, f64)>| Line {
        name: name.to_owned(),
        points: intervals.iter().map(of).collect(),
        style: Style::Plain,
    };
    let mut lines = vec![
        line("ringload", &|it| Some(cores(it, it.loader_cpu_ns))),
        line("Server", &|it| it.server.map(|server| cores(it, server.cpu_ns))),
        line("Whole machine", &|it| {
            let machine = it.machine?;
            Some((seconds(it), (1.0 - machine.idle) * machine.cores as f64))
        }),
    ];
    lines.retain(|line| line.points.iter().any(Option::is_some));
    let max = highest(&lines);
    Chart {
        title: "CPU",
        caption: "Cores in use".to_owned(),
        x,
        y: Axis { scale: Scale::linear(max), label: words::tick_plain },
        marks: Marks::Lines(lines),
    }
}

/// A chart of one line that begins at 0.
fn single(
    title: &'static str,
    caption: &str,
    points: Vec<Option<(f64, f64)>>,
    x: Axis,
    label: fn(f64) -> String,
) -> Chart {
    let lines = vec![Line { name: title.to_owned(), points, style: Style::Area }];
    let y = Axis { scale: Scale::linear(highest(&lines)), label };
    Chart { title, caption: caption.to_owned(), x, y, marks: Marks::Lines(lines) }
}

/// Left out where their number never changes: the ledger has it.
fn open_connections(intervals: &[Interval], x: Axis) -> Option<Chart> {
    let steady = intervals.iter().all(|it| it.open_connections == intervals[0].open_connections);
    let of = |it: &Interval| Some((seconds(it), it.open_connections as f64));
    let points = intervals.iter().map(of).collect();
    let caption = "At the end of each interval";
    (!steady).then(|| single("Open connections", caption, points, x, words::tick_count))
}

fn memory(intervals: &[Interval], x: Axis) -> Option<Chart> {
    let of = |it: &Interval| Some((seconds(it), it.server?.rss_bytes as f64));
    let points: Vec<_> = intervals.iter().map(of).collect();
    let known = points.iter().any(Option::is_some);
    let caption = "Resident at the end of each interval";
    known.then(|| single("Memory of the server", caption, points, x, words::tick_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixtures;

    #[test]
    fn long_runs_are_thinned_and_lose_nothing() {
        let mut intervals: Vec<Interval> = (1..=1_001).map(fixtures::interval).collect();
        intervals[7].latency.as_mut().unwrap().max_ns = 9_000_000_000;
        let thin = thinned(&intervals);
        assert_eq!(thin.len(), 334);
        let requests = |of: &[Interval]| of.iter().map(|it| it.requests).sum::<u64>();
        assert_eq!(requests(&thin), requests(&intervals));
        assert_eq!(thin[2].latency.unwrap().max_ns, 9_000_000_000);
        assert_eq!(thin[333].elapsed_us, 1_001_000_000);
        let three = thin[0];
        assert_eq!((three.length_us, three.server.unwrap().cpu_ns), (3_000_000, 2_400_000_000));
    }

    #[test]
    fn charts_there_is_something_for() {
        let titles = |report: &RunReport| -> Vec<_> {
            charts(report).iter().map(|chart| chart.title).collect()
        };
        assert_eq!(titles(&fixtures::healthy()), [""; 0]);
        let mut report = fixtures::full();
        let all = ["Throughput", "Latency in time", "Failures", "CPU", "Memory of the server"];
        assert_eq!(titles(&report), all);
        for interval in &mut report.intervals {
            (interval.errors, interval.latency) = (ringbench_measure::Errors::default(), None);
            interval.server = None;
        }
        assert_eq!(titles(&report), ["Throughput", "CPU"]);
        report.intervals[1].open_connections = 0;
        assert_eq!(titles(&report), ["Throughput", "CPU", "Open connections"]);
    }
}
