//! Charts as SVG. Colours are classes, so that the page's style decides them, in the light and in
//! the dark; the width is the page's, and the text grows on small screens.

use std::fmt::{self, Write as _};

use super::escape::Escaped;
use super::scale::Scale;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 34.0;
/// The width of a letter of a tick's text on the smallest screens, where it is largest.
const LETTER: f64 = 10.5;

/// An axis.
pub(super) struct Axis {
    pub(super) scale: Scale,
    /// The text of a tick.
    pub(super) label: fn(f64) -> String,
}

/// A line through points; `None` interrupts it.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<Option<(f64, f64)>>,
    pub(super) style: Style,
}

/// How a line is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// With the area below it.
    Area,
    /// For what is no measurement.
    Dashed,
}

/// A bar from one place of the horizontal axis to another.
pub(super) struct Bar {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) height: f64,
    /// What a pointer that rests on it is told.
    pub(super) title: String,
}

/// What is drawn.
pub(super) enum Marks {
    Lines(Vec<Line>),
    Bars(Vec<Bar>),
}

/// A chart with its title and legend.
pub(super) struct Chart {
    pub(super) title: &'static str,
    /// What the axes are.
    pub(super) caption: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) marks: Marks,
}

impl fmt::Display for Chart {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "<figure><figcaption><h3>{}</h3>", self.title)?;
        writeln!(out, "<p class=\"muted\">{}</p>", Escaped(&self.caption))?;
        if let Marks::Lines(lines) = &self.marks
            && lines.len() > 1
        {
            out.write_str("<ul class=\"legend\">")?;
            for (number, line) in (1..).zip(lines) {
                let dashed = if line.style == Style::Dashed { " dashed" } else { "" };
                let name = Escaped(&line.name);
                write!(out, "<li><i class=\"key{dashed} c{number}\"></i>{name}</li>")?;
            }
            writeln!(out, "</ul>")?;
        }
        writeln!(
            out,
            "</figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">",
            Escaped(self.title)
        )?;
        self.write_grid(out)?;
        match &self.marks {
            Marks::Lines(lines) => {
                for (number, line) in (1..).zip(lines) {
                    self.write_line(out, number, line)?;
                }
            }
            Marks::Bars(bars) => bars.iter().try_for_each(|bar| self.write_bar(out, bar))?,
        }
        writeln!(out, "</svg></figure>")
    }
}

impl Chart {
    fn x(&self, value: f64) -> f64 {
        LEFT + self.x.scale.at(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.scale.at(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn write_grid(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        let y_ticks = self.y.scale.ticks();
        // Two lines of text need a distance of their own height.
        let every = y_ticks.len().div_ceil(8);
        for (number, tick) in y_ticks.iter().enumerate() {
            let y = self.y(*tick);
            writeln!(out, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{right}\"/>")?;
            if number % every == 0 {
                let (x, y, label) = (LEFT - 8.0, y + 5.0, (self.y.label)(*tick));
                writeln!(
                    out,
                    "<text class=\"end\" x=\"{x}\" y=\"{y:.1}\">{}</text>",
                    Escaped(&label)
                )?;
            }
        }
        let ticks: Vec<(f64, String)> =
            self.x.scale.ticks().into_iter().map(|tick| (tick, (self.x.label)(tick))).collect();
        let longest = ticks.iter().map(|(_, label)| label.chars().count()).max().unwrap_or(1);
        let fitting = ((right - LEFT) / (longest as f64 * LETTER + 8.0)).max(1.0) as usize;
        let every = ticks.len().div_ceil(fitting);
        for (number, (tick, label)) in ticks.iter().enumerate() {
            let x = self.x(*tick);
            writeln!(out, "<path class=\"grid\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            if number % every == 0 {
                // Half of a text in the middle of the last tick would be outside.
                let class = if x > right - longest as f64 * LETTER / 2.0 { "end" } else { "mid" };
                let x = if class == "end" { WIDTH - 2.0 } else { x };
                let (y, label) = (HEIGHT - 10.0, Escaped(label));
                writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{label}</text>")?;
            }
        }
        writeln!(out, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{bottom}H{right}\"/>")
    }

    fn write_line(&self, out: &mut fmt::Formatter<'_>, number: u32, line: &Line) -> fmt::Result {
        let mut path = String::new();
        for run in line.points.split(Option::is_none).filter(|run| !run.is_empty()) {
            let points: Vec<(f64, f64)> =
                run.iter().flatten().map(|(x, y)| (self.x(*x), self.y(*y))).collect();
            if let [(x, y)] = points[..] {
                // A point of its own has no line; a round end makes it a dot.
                let _ = write!(path, "M{x:.1} {y:.1}h0.1");
                continue;
            }
            for (place, (x, y)) in points.iter().enumerate() {
                let _ = write!(path, "{}{x:.1} {y:.1}", if place == 0 { 'M' } else { 'L' });
            }
            if line.style == Style::Area {
                let (first, last) = (points[0].0, points[points.len() - 1].0);
                let base = HEIGHT - BOTTOM;
                let shape = path.rsplit_once('M').map_or("", |(_, shape)| shape);
                writeln!(
                    out,
                    "<path class=\"area c{number}\" d=\"M{shape}L{last:.1} {base}L{first:.1} {base}Z\"/>"
                )?;
            }
        }
        let dashed = if line.style == Style::Dashed { " dashed" } else { "" };
        writeln!(out, "<path class=\"line{dashed} c{number}\" d=\"{path}\"/>")
    }

    fn write_bar(&self, out: &mut fmt::Formatter<'_>, bar: &Bar) -> fmt::Result {
        if bar.height <= 0.0 {
            return Ok(());
        }
        let (x, right) = (self.x(bar.from), self.x(bar.to));
        let base = HEIGHT - BOTTOM;
        // What is there must be seen, however little it is.
        let height = (base - self.y(bar.height)).max(1.5);
        let (y, width) = (base - height, (right - x - 0.6).max(0.8));
        writeln!(
            out,
            "<rect class=\"bar c1\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
             height=\"{height:.1}\"><title>{}</title></rect>",
            Escaped(&bar.title)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(marks: Marks) -> String {
        let label = |value: f64| format!("{value}");
        Chart {
            title: "T",
            caption: "a < b".to_owned(),
            x: Axis { scale: Scale::exact(10.0), label },
            y: Axis { scale: Scale::linear(4.0), label },
            marks,
        }
        .to_string()
    }

    fn line(style: Style, points: &[Option<(f64, f64)>]) -> Line {
        Line { name: "n&m".to_owned(), points: points.to_vec(), style }
    }

    #[test]
    fn lines_have_gaps_and_dots() {
        let points = [Some((0.0, 0.0)), Some((10.0, 4.0)), None, Some((5.0, 2.0)), None];
        let svg = chart(Marks::Lines(vec![line(Style::Plain, &points)]));
        let expected = "<path class=\"line c1\" d=\"M74.0 266.0L542.0 14.0M308.0 140.0h0.1\"/>";
        assert!(svg.contains(expected), "{svg}");
        assert!(!svg.contains("legend") && svg.contains("a &lt; b"), "{svg}");
    }

    #[test]
    fn areas_stand_on_the_axis() {
        let area = line(Style::Area, &[Some((0.0, 4.0)), Some((5.0, 4.0)), None, Some((9.0, 1.0))]);
        let svg = chart(Marks::Lines(vec![area, line(Style::Dashed, &[])]));
        assert!(svg.contains("d=\"M74.0 14.0L308.0 14.0L308.0 266L74.0 266Z\""), "{svg}");
        assert!(svg.contains("<li><i class=\"key dashed c2\"></i>n&amp;m</li>"), "{svg}");
    }

    #[test]
    fn small_bars_are_seen_and_empty_ones_are_not() {
        let bar = |height| Bar { from: 0.0, to: 5.0, height, title: "5 <s>".to_owned() };
        let svg = chart(Marks::Bars(vec![bar(1e-6), bar(0.0)]));
        assert_eq!(svg.matches("<rect").count(), 1, "{svg}");
        assert!(svg.contains("height=\"1.5\"><title>5 &lt;s&gt;</title>"), "{svg}");
    }

    #[test]
    fn texts_do_not_run_into_each_other() {
        let label = |value: f64| format!("a long text {value}");
        let axis = || Axis { scale: Scale::exact(10.0), label };
        let chart = Chart {
            title: "T",
            caption: String::new(),
            x: axis(),
            y: axis(),
            marks: Marks::Bars(Vec::new()),
        };
        let svg = chart.to_string();
        assert_eq!(svg.matches("class=\"mid\"").count() + svg.matches("x=\"558.0\"").count(), 2);
    }
}
