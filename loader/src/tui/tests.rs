//! Screens of constructed runs.

use clap::Parser;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use ringbench_measure::Counters;

use super::*;
use crate::Flags;
use crate::report::interval::{Interval, IntervalLatency, ServerInterval};
use crate::report::observed::MachineUse;

fn config(args: &str) -> Config {
    let args = ["ringload", "-t1", "-c64"].into_iter().chain(args.split_whitespace());
    Flags::try_parse_from(args).unwrap().config().unwrap()
}

/// Number `number` from 1 of intervals of half a second, in which the rate rises and so does the tail.
fn interval(number: u64) -> Interval {
    Interval {
        elapsed_us: number * 500_000,
        length_us: 500_000,
        requests: 5_000 * number,
        bytes_read: 815_000 * number,
        errors: ringbench_measure::Errors::default(),
        opened: 0,
        closed: 0,
        open_connections: 64,
        latency: Some(IntervalLatency {
            p50_ns: 243_199,
            p90_ns: 400_000,
            p99_ns: 526_000,
            p999_ns: 600_000 * number,
            max_ns: 1_000_000 * (1 + number % 4),
        }),
        loader_cpu_ns: 225_000_000,
        server: Some(ServerInterval {
            cpu_ns: 490_000_000,
            rss_bytes: 12 << 20,
            threads: 1,
            switches: 1_500,
        }),
        machine: Some(MachineUse { cores: 4, idle: 0.625, softirq: 0.061, steal: 0.002 }),
    }
}

fn counters(intervals: impl IntoIterator<Item = Interval>) -> Counters {
    let mut counters = Counters { opened: 66, closed: 2, ..Counters::default() };
    for interval in intervals {
        counters.requests += interval.requests;
        counters.bytes_read += interval.bytes_read;
    }
    counters
}

/// After so many half seconds.
fn state(args: &str, intervals: u64, change: impl Fn(&mut Interval)) -> State {
    let mut state = State::new(&config(args), true);
    let all = (1..=intervals).map(|number| {
        let mut interval = interval(number);
        change(&mut interval);
        interval
    });
    let counters = counters(all.clone());
    all.map(News::Interval).for_each(|news| state.take(&news));
    let elapsed = Duration::from_millis(500 * intervals + 30);
    state.take(&News::Standing { elapsed, counters });
    state
}

fn drawn(state: &State, (width, height): (u16, u16)) -> TestBackend {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| render(frame, state)).unwrap();
    terminal.backend().clone()
}

/// The screen as text, without what is blank at the ends of lines.
fn screen(state: &State, size: (u16, u16)) -> String {
    let backend = drawn(state, size);
    let rows = backend.buffer().content().chunks(size.0.into());
    rows.fold("\n".to_owned(), |text, row| {
        let row: String = row.iter().map(ratatui::buffer::Cell::symbol).collect();
        text + row.trim_end() + "\n"
    })
}

const SMALL: (u16, u16) = (60, 15);
const LARGE: (u16, u16) = (100, 30);
const URL: &str = "http://127.0.0.1:8080/";

#[test]
fn look() {
    let normal = state(&format!("-d10s {URL}"), 11, |_| ());
    for size in [SMALL, LARGE, (60, 24), (40, 8)] {
        eprintln!("{}", screen(&normal, size));
    }
    let open = state(&format!("-d10s -R 20000 {URL}"), 4, |i| {
        i.server = None;
        i.machine = None;
    });
    eprintln!("{}", screen(&open, SMALL));
    let open = state(&format!("-d10s -n 100000 {URL}"), 4, |i| {
        i.latency = None;
        i.requests = 0;
        i.errors.connect = 3
    });
    eprintln!("{}", screen(&open, SMALL));
}
