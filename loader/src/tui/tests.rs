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
const LARGE: (u16, u16) = (72, 28);
const URL: &str = "http://127.0.0.1:8080/";

#[test]
fn a_run_in_its_middle_on_the_smallest_screen() {
    let expected = "
ringload http://127.0.0.1:8080/            q: end and report
64 connections, 1 thread, closed loop
 55 %  5.5s of 10.0s ━━━━━━━━━━━━━━━━━━━━━──────────────────
330000 responses, 59.67k/s, 9.28MB/s
req/s    110.00k      ▁▁▂▂▂▂▃▃▄▄▅▅▅▅▆▆▇▇██
p50      243.20us  ███████████████████████
p99      526.00us  ███████████████████████
p99.9      6.60ms     ▁▁▂▂▂▂▃▃▄▄▅▅▅▅▆▆▇▇██
max        4.00ms  ▄▄▄▆▆██▂▂▄▄▆▆██▂▂▄▄▆▆██
errors       none
connections  64 of 64 open, 66 opened, 2 closed
ringload     45 % of its core
server       0.98 cores, 12.00MB, 1 thread
machine      4 cores, idle 62 %, softirq 6 %, steal 0 %
limited by   the server: it used 0.98 of 1 core
";
    assert_eq!(screen(&state(&format!("-d10s {URL}"), 11, |_| ()), SMALL), expected);
}

#[test]
fn a_run_in_its_middle_on_a_larger_screen() {
    let expected = "
ringload http://127.0.0.1:8080/                        q: end and report
64 connections, 1 thread, closed loop
 55 %  5.5s of 10.0s ━━━━━━━━━━━━━━━━━━━━━━━━━━━━───────────────────────
330000 responses, 59.67k/s, 9.28MB/s
┌ Throughput ──────────────────────────────────────────────────────────┐
│req/s    110.00k                          ▂▂▂███                      │
│  top    110.00k                        ▄▄██████                      │
│                                     ▆▆▆████████                      │
│                                ▂▂▂█████████████                      │
│                              ▅▅████████████████                      │
│                         ▁▁▇▇▇██████████████████                      │
│                      ▃▃▃███████████████████████                      │
│                   ▅▅▅██████████████████████████                      │
└──────────────────────────────────────────────────────────────────────┘
┌ Latency of each interval ────────────────────────────────────────────┐
│p50      243.20us  █████████████████████████████                      │
│p99      526.00us  █████████████████████████████                      │
│p99.9      6.60ms     ▁▁▁▂▂▂▂▂▃▃▄▄▄▅▅▅▅▅▆▆▇▇▇███                      │
│max        4.00ms  ▄▄▄▆▆▆██▂▂▂▄▄▆▆▆██▂▂▂▄▄▆▆▆███                      │
└──────────────────────────────────────────────────────────────────────┘
┌ Run ─────────────────────────────────────────────────────────────────┐
│errors       none                                                     │
│connections  64 of 64 open, 66 opened, 2 closed                       │
│ringload     45 % of its core                                         │
│server       0.98 cores, 12.00MB, 1 thread                            │
│machine      4 cores, idle 62 %, softirq 6 %, steal 0 %               │
│limited by   the server: it used 0.98 of 1 core                       │
└──────────────────────────────────────────────────────────────────────┘
";
    assert_eq!(screen(&state(&format!("-d10s {URL}"), 11, |_| ()), LARGE), expected);
}

#[test]
fn nothing_but_errors() {
    let mut state = state(&format!("-n 100000 {URL}"), 4, |interval| {
        interval.errors.connect = 70;
        interval.requests = 0;
        interval.latency = None;
    });
    state.counters.errors.connect = 280;
    state.counters.errors.status = 3;
    let expected = "
ringload http://127.0.0.1:8080/            q: end and report
64 connections, 1 thread, closed loop
  0 %  0 of 100000 requests, 2.0s ──────────────────────────
0 responses, 0.00/s, 3.83MB/s
req/s      0.00
p50           -
p99           -
p99.9         -
max           -
errors       connect 280, status 3
connections  64 of 64 open, 66 opened, 2 closed
ringload     45 % of its core
server       0.98 cores, 12.00MB, 1 thread
machine      4 cores, idle 62 %, softirq 6 %, steal 0 %
limited by   errors: 100 % of what was tried failed
";
    assert_eq!(screen(&state, SMALL), expected);
}

#[test]
fn an_open_loop_against_a_server_that_is_not_seen() {
    let args = format!("-d10s -R 20000 --requests-per-connection 100 {URL}");
    let state = state(&args, 4, |interval| {
        interval.server = None;
        interval.machine = None;
    });
    let expected = "
ringload http://127.0.0.1:8080/            q: end and report
64 connections, 1 thread, open loop 20000/s, 100 requests pe
 20 %  2.0s of 10.0s ━━━━━━━────────────────────────────────
50000 responses, 24.63k/s, 3.83MB/s, asked for 20.00k/s
req/s     40.00k   ▂▂▂▄▄▆▆██
p50      243.20us  █████████
p99      526.00us  █████████
p99.9      2.40ms  ▂▂▂▄▄▆▆██
max        1.00ms  ▄▄▄▆▆██▂▂
errors       none
connections  64 of 64 open, 66 opened, 2 closed
ringload     45 % of its core
server       not seen (on another machine, or not yours)
machine      not seen
limited by   the rate asked for: it is answered
";
    assert_eq!(screen(&state, SMALL), expected);
}

#[test]
fn before_the_first_news_and_after_the_key() {
    let mut state = State::new(&config(&format!("-d1h -p16 {URL}")), true);
    assert!(screen(&state, SMALL).contains("  0 %  0.0s of 1:00:00"));
    assert!(screen(&state, SMALL).contains("closed loop, pipelined x16"));
    assert!(screen(&state, SMALL).contains("q: end and report"));
    state.stop();
    assert!(screen(&state, SMALL).contains("waiting for what is under way"));
}

#[test]
fn any_size_can_be_drawn_and_what_matters_most_stays() {
    let state = state(&format!("-d10s {URL}"), 3_000, |_| ());
    for width in [1, 2, 23, 24, 59, 60, 63, 64, 119, 300] {
        for height in [1, 2, 14, 15, 23, 24, 25, 100] {
            let screen = screen(&state, (width, height));
            assert!(width < 24 || screen.contains("10.0s"), "{width}x{height}: {screen}");
        }
    }
    let four_lines = screen(&state, (40, 4));
    assert!(four_lines.contains("p99 526.00us"), "{four_lines}");
    assert!(four_lines.contains("q: end and report"), "{four_lines}");
}

#[test]
fn without_colours_there_are_none() {
    let mut state = state(&format!("-d10s {URL}"), 11, |_| ());
    state.counters.errors.read = 1;
    let coloured = |state: &State| {
        let backend = drawn(state, LARGE);
        let cells = backend.buffer().content();
        cells.iter().filter(|cell| (cell.fg, cell.bg) != (Color::Reset, Color::Reset)).count()
    };
    assert!(coloured(&state) > 100);
    let with_colours = screen(&state, LARGE);
    state.colour = false;
    assert_eq!(coloured(&state), 0);
    assert_eq!(screen(&state, LARGE), with_colours, "nothing is told by colour alone");
}

#[test]
fn keys_that_end_a_run() {
    let key = |code, modifiers| ends(KeyEvent::new(code, modifiers));
    assert!(key(KeyCode::Char('q'), KeyModifiers::NONE));
    assert!(key(KeyCode::Char('Q'), KeyModifiers::SHIFT));
    assert!(key(KeyCode::Char('c'), KeyModifiers::CONTROL));
    assert!(!key(KeyCode::Char('c'), KeyModifiers::NONE));
    assert!(!key(KeyCode::Char('q'), KeyModifiers::CONTROL), "that is XON");
    assert!(!key(KeyCode::Enter, KeyModifiers::NONE));
}
