//! From a [`State`] to a screen. Pure.
//!
//! All of it fits into 60x15; what is larger goes to the charts, and to frames. What is smaller shows
//! the most important lines.

use std::time::Duration;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, LineGauge, Paragraph, Sparkline, SparklineBar};
use ringbench_measure::units;

use super::facts;
use super::history::History;
use super::state::{Percentile, State};
use super::theme::{Tone, style};

/// The smallest screen that shows everything.
const FULL_WIDTH: u16 = 60;
const FULL_HEIGHT: u16 = 15;
/// Title, settings, progress and sums.
const HEAD_HEIGHT: u16 = 4;
/// From this size on there is room for frames.
const FRAMED_WIDTH: u16 = FULL_WIDTH + 4;
const FRAMED_HEIGHT: u16 = 24;
/// Columns left of each chart.
const LABEL_WIDTH: u16 = 19;
/// The scale of charts: its top is as many units.
const CHART_UNITS: f64 = 10_000.0;

/// Draws the whole screen.
pub fn render(frame: &mut Frame<'_>, state: &State) {
    let area = frame.area();
    if area.width < FULL_WIDTH || area.height < FULL_HEIGHT {
        return small(frame, area, state);
    }
    let facts = facts::lines(state);
    let framed = area.width >= FRAMED_WIDTH && area.height >= FRAMED_HEIGHT;
    let border = if framed { 2 } else { 0 };
    let below = facts.len() as u16 + border;
    let (rate, latency) = chart_heights(area.height - HEAD_HEIGHT - below - 2 * border);
    let rows = [HEAD_HEIGHT, rate + border, latency + border, below];
    let [head, rate, latency, below] = Layout::vertical(rows.map(Constraint::Length)).areas(area);

    draw_head(frame, head, state);
    let rate = section(frame, rate, " Throughput ", framed);
    draw_rate(frame, rate, state);
    let latency = section(frame, latency, " Latency of each interval ", framed);
    draw_latency(frame, latency, state);
    let below = section(frame, below, " Run ", framed);
    frame.render_widget(Paragraph::new(facts), below);
}

/// The rows of the chart of the rate, and those of the four latencies together, which are of one
/// height.
fn chart_heights(rows: u16) -> (u16, u16) {
    let latency = (rows * 5 / 8 / 4 * 4).max(4);
    (rows - latency, latency)
}

/// A frame with a title, if there is room; what is inside.
fn section(frame: &mut Frame<'_>, area: Rect, title: &str, framed: bool) -> Rect {
    if !framed {
        return area;
    }
    let block = Block::bordered().title(title);
    let inner = block.inner(area);
    frame.render_widget(block, area);
    inner
}

/// What is loaded and how, how far the run is, and its sums.
fn draw_head(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let [title, settings, progress, sums] =
        Layout::vertical([Constraint::Length(1); 4]).areas(area);
    let (hint, tone) = hint(state);
    let [url, hint_area] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(hint.len() as u16 + 1)])
            .areas(title);
    frame.render_widget(title_of(state), url);
    let hint = Line::styled(hint, style(tone, state.colour)).right_aligned();
    frame.render_widget(hint, hint_area);
    frame.render_widget(Line::raw(state.settings.as_str()), settings);
    let gauge = LineGauge::default()
        .ratio(state.done())
        .label(progress_of(state))
        .filled_symbol("━")
        .unfilled_symbol("─")
        .filled_style(style(Tone::Good, state.colour))
        .unfilled_style(style(Tone::Faint, state.colour));
    frame.render_widget(gauge, progress);
    frame.render_widget(Line::raw(facts::sums(state)), sums);
}

fn hint(state: &State) -> (&'static str, Tone) {
    if state.stopping {
        ("waiting for what is under way", Tone::Doubt)
    } else {
        ("q: end and report", Tone::Faint)
    }
}

fn title_of(state: &State) -> Line<'_> {
    Line::from(vec![
        Span::styled("ringload ", style(Tone::Strong, state.colour)),
        Span::raw(state.url.as_str()),
    ])
}

/// `35 %  10.5s of 30.0s`, `35 %  350 of 1000 requests, 10.5s`.
fn progress_of(state: &State) -> String {
    let elapsed = clock(state.elapsed);
    let percent = state.done() * 100.0;
    match (state.ending.requests, state.ending.duration) {
        (Some(requests), _) => {
            let done = state.counters.requests;
            format!("{percent:3.0} %  {done} of {requests} requests, {elapsed}")
        }
        (None, Some(duration)) => format!("{percent:3.0} %  {elapsed} of {}", clock(duration)),
        (None, None) => elapsed,
    }
}

/// A time that goes on: `10.5s`, `2:05`, `1:02:05`.
fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match seconds {
        0..=99 => format!("{seconds}.{}s", time.subsec_millis() / 100),
        100..=3599 => format!("{minutes}:{:02}", seconds % 60),
        _ => format!("{hours}:{minutes:02}:{:02}", seconds % 60),
    }
}

/// A chart, with its name and newest value at its left.
struct Chart<'a> {
    name: &'a str,
    now: &'a str,
    history: &'a History,
    tone: Tone,
    /// How the top of its scale is written.
    scale: fn(f64) -> String,
}

fn draw_rate(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let rate = state.last.map_or_else(|| state.mean_rate(), |last| last.requests_per_sec());
    let (now, history) = (units::count(rate), &state.rates);
    let chart = Chart { name: "req/s", now: &now, history, tone: Tone::Good, scale: units::count };
    draw_chart(frame, area, state, &chart);
}

fn draw_latency(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let areas: [Rect; 4] = Layout::vertical([Constraint::Fill(1); 4]).areas(area);
    let tones = [Tone::Good, Tone::Calm, Tone::Doubt, Tone::Bad];
    let latency = state.last.and_then(|last| last.latency);
    for ((Percentile { name, of, history }, tone), area) in
        state.latencies.iter().zip(tones).zip(areas)
    {
        // Nothing was completed, so there is no latency; 0 would look like a fast server.
        let now =
            latency.as_ref().map_or_else(|| "-".to_owned(), |latency| time(of(latency) as f64));
        draw_chart(frame, area, state, &Chart { name, now: &now, history, tone, scale: time });
    }
}

fn time(ns: f64) -> String {
    units::duration_us(ns / 1e3)
}

fn draw_chart(frame: &mut Frame<'_>, area: Rect, state: &State, chart: &Chart<'_>) {
    let [label, bars] =
        Layout::horizontal([Constraint::Length(LABEL_WIDTH), Constraint::Fill(1)]).areas(area);
    let columns = chart.history.columns(bars.width.into(), state.expected_intervals());
    let largest = History::largest(&columns);
    let cell = |text: &str| format!("{:>10}", units::cell(text, 10));
    let mut lines = vec![Line::from(vec![
        Span::raw(format!("{:<7}", chart.name)),
        Span::styled(cell(chart.now), style(Tone::Strong, state.colour)),
    ])];
    if area.height > 1 && largest > 0.0 {
        let scale = format!("  top  {}", cell(&(chart.scale)(largest)));
        lines.push(Line::styled(scale, style(Tone::Faint, state.colour)));
    }
    frame.render_widget(Paragraph::new(lines), label);
    let bar = |value: f64| (value / largest.max(f64::MIN_POSITIVE) * CHART_UNITS) as u64;
    let data = columns.iter().map(|value| SparklineBar::from(value.map(bar)));
    let sparkline = Sparkline::default()
        .data(data)
        .max(CHART_UNITS as u64)
        .style(style(chart.tone, state.colour));
    frame.render_widget(sparkline, bars);
}

/// As many lines as there is room for, the most important first.
fn small(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let latency = state.last.and_then(|last| last.latency).map_or_else(
        || "no latency".to_owned(),
        |latency| {
            let [p50, p99, max] =
                [latency.p50_ns, latency.p99_ns, latency.max_ns].map(|ns| time(ns as f64));
            format!("p50 {p50}, p99 {p99}, max {max}")
        },
    );
    let (hint, tone) = hint(state);
    let mut lines = vec![
        Line::raw(progress_of(state)),
        Line::raw(facts::sums(state)),
        Line::raw(latency),
        Line::styled(hint, style(tone, state.colour)),
    ];
    lines.extend(facts::lines(state));
    lines.extend([title_of(state), Line::raw(state.settings.as_str())]);
    frame.render_widget(Paragraph::new(lines), area);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        let text = |ms| clock(Duration::from_millis(ms));
        assert_eq!(text(0), "0.0s");
        assert_eq!(text(99_999), "99.9s");
        assert_eq!(text(125_000), "2:05");
        assert_eq!(text(3_725_000), "1:02:05");
    }

    #[test]
    fn charts_share_what_is_left() {
        assert_eq!(chart_heights(5), (1, 4));
        assert_eq!(chart_heights(8), (4, 4));
        assert_eq!(chart_heights(44), (20, 24));
    }
}
