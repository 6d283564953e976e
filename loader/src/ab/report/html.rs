//! The report as one page of HTML that needs nothing else, in the style of a run's page, with a
//! forest plot: each metric's effect and interval on one axis, the margin as a band.

use std::fmt::{self, Display};

use super::words;
use super::{AbReport, ArmTold, Compared};
use crate::ab::stats::{Rules, Verdict};
use crate::report::html::{Escaped, STYLE};

/// The whole page.
pub fn page(report: &AbReport) -> String {
    Page(report).to_string()
}

struct Page<'a>(&'a AbReport);

/// What the plot and the tables need beside the style of all pages.
const MORE_STYLE: &str = "\
.forest .band { fill: var(--rule); opacity: .6; }
.forest .one { stroke: var(--ink); stroke-dasharray: 3 3; fill: none; }
.forest .whisker { stroke: currentColor; stroke-width: 2; fill: none; }
.forest .dot { fill: currentColor; }
.forest .name { fill: var(--ink); }
.charts, .scroll, .notes { margin-bottom: 16px; }
p + .scroll { margin-top: 12px; }
.void { color: var(--bad); }
";

impl Display for Page<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = self.0;
        let title = words::title(report);
        let title = Escaped(&title);
        writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<title>ringload ab: {title}</title>")?;
        writeln!(out, "<style>\n{STYLE}{MORE_STYLE}</style>\n</head>\n<body>")?;
        writeln!(out, "<main>\n<header><h1>{title}</h1></header>")?;
        let void = if report.is_void() { " void" } else { "" };
        writeln!(out, "<p class=\"verdict{void}\">{}</p>", Escaped(&words::answer(report)))?;
        write_warnings(out, report)?;
        writeln!(out, "<h2>B beside A</h2>\n<div class=\"charts\">")?;
        write!(
            out,
            "{}",
            Forest { title: "B to A", rows: &report.findings, rules: &report.rules }
        )?;
        let rows = &report.control;
        write!(out, "{}", Forest { title: "A to A, the control", rows, rules: &report.rules })?;
        writeln!(out, "</div>")?;
        write_table(out, &report.findings, "B")?;
        if !report.is_void() {
            writeln!(out, "<ul class=\"notes\">")?;
            for compared in &report.findings {
                writeln!(out, "<li>{}</li>", Escaped(&words::sentence(compared, &report.rules)))?;
            }
            writeln!(out, "</ul>")?;
        }
        writeln!(out, "<h2>A beside A, the control</h2>")?;
        writeln!(out, "<p>{}</p>", Escaped(&words::control(report)))?;
        write_table(out, &report.control, "A")?;
        writeln!(out, "<h2>The arms</h2>\n<div class=\"cards\">")?;
        for (name, arm) in ["A", "B"].into_iter().zip(&report.arms) {
            write_arm(out, name, arm)?;
        }
        writeln!(out, "</div>\n<h2>Notes</h2>\n<p>{}</p>", Escaped(words::HOW_TO_READ))?;
        writeln!(out, "</main>\n</body>\n</html>")
    }
}

fn write_warnings(out: &mut fmt::Formatter<'_>, report: &AbReport) -> fmt::Result {
    if report.warnings.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section class=\"warnings\"><h2>Reasons for distrust</h2><ul>")?;
    for warning in &report.warnings {
        writeln!(out, "<li>{}</li>", Escaped(warning))?;
    }
    writeln!(out, "</ul></section>")
}

fn write_arm(out: &mut fmt::Formatter<'_>, name: &str, arm: &ArmTold) -> fmt::Result {
    writeln!(out, "<section class=\"card\"><h3>{name}</h3><table><tbody>")?;
    for (what, value) in [("Profile", &arm.profile), ("Server", &arm.server), ("Load", &arm.load)] {
        writeln!(out, "<tr><th>{what}</th><td>{}</td></tr>", Escaped(value))?;
    }
    for applied in &arm.settings {
        writeln!(out, "<tr><th>Setting</th><td>{}</td></tr>", Escaped(&applied.words()))?;
    }
    writeln!(out, "</tbody></table></section>")
}

fn write_table(out: &mut fmt::Formatter<'_>, rows: &[Compared], other: &str) -> fmt::Result {
    writeln!(out, "<section class=\"card scroll\"><table><thead><tr><th></th>")?;
    for head in ["A", other, "Effect", "95\u{a0}% interval", "p (Holm)", "Detectable"] {
        writeln!(out, "<th class=\"n\">{head}</th>")?;
    }
    writeln!(out, "<th class=\"n\">Verdict</th></tr></thead><tbody>")?;
    for Compared { metric, a, other, finding } in rows {
        write!(out, "<tr><th>{}</th>", metric.title())?;
        for cell in [
            metric.format(*a),
            metric.format(*other),
            words::change(finding.effect),
            words::interval(&finding.interval),
            words::p(finding.p_holm),
            words::percent(finding.detectable),
            words::verdict(finding).to_owned(),
        ] {
            write!(out, "<td class=\"n\">{}</td>", Escaped(&cell))?;
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></section>")
}

/// Effects and intervals on one logarithmic axis, so that half and double are as far from 1.
struct Forest<'a> {
    title: &'a str,
    rows: &'a [Compared],
    rules: &'a Rules,
}

const WIDTH: f64 = 560.0;
/// The longest name, as large as it is on the smallest screens.
const LEFT: f64 = 196.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 10.0;
const ROW: f64 = 30.0;
const BOTTOM: f64 = 30.0;
/// No axis reaches farther than this, in ln(ratio): what is noisier is cut at the edge.
const FARTHEST: f64 = 1.1;

impl Forest<'_> {
    /// How far the axis reaches to both sides, in ln(ratio).
    fn reach(&self) -> f64 {
        let ends =
            self.rows.iter().flat_map(|row| [row.finding.interval.low, row.finding.interval.high]);
        let farthest =
            ends.map(|end| end.ln().abs()).fold(2.0 * self.rules.margin.ln_1p(), f64::max);
        (farthest * 1.1).clamp(0.001, FARTHEST)
    }

    fn x(&self, ratio: f64) -> f64 {
        let reach = self.reach();
        let share = ratio.max(f64::MIN_POSITIVE).ln().clamp(-reach, reach) / reach;
        LEFT + f64::midpoint(share, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    fn write_row(&self, out: &mut fmt::Formatter<'_>, place: usize, row: &Compared) -> fmt::Result {
        let y = TOP + ROW * (place as f64 + 0.5);
        let finding = &row.finding;
        let [low, middle, high] = [finding.interval.low, finding.effect, finding.interval.high]
            .map(|ratio| self.x(ratio));
        let colour = match finding.verdict {
            Verdict::Different => "c2",
            Verdict::Equivalent => "c3",
            Verdict::NotShown => "c1",
        };
        let told =
            format!("{} ({})", words::change(finding.effect), words::interval(&finding.interval));
        let (title, text) = (Escaped(row.metric.title()), y + 5.0);
        writeln!(
            out,
            "<text class=\"end name\" x=\"{}\" y=\"{text:.1}\">{title}</text>",
            LEFT - 12.0
        )?;
        writeln!(out, "<g class=\"{colour}\"><title>{title}: {}</title>", Escaped(&told))?;
        let (up, down) = (y - 5.0, y + 5.0);
        writeln!(
            out,
            "<path class=\"whisker\" d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {up:.1}V{down:.1}\
             M{high:.1} {up:.1}V{down:.1}\"/>"
        )?;
        writeln!(out, "<circle class=\"dot\" cx=\"{middle:.1}\" cy=\"{y:.1}\" r=\"4.5\"/></g>")
    }
}

impl Display for Forest<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let height = TOP + ROW * self.rows.len() as f64 + BOTTOM;
        let bottom = height - BOTTOM;
        let title = Escaped(self.title);
        writeln!(out, "<figure><figcaption><h3>{title}</h3>")?;
        writeln!(
            out,
            "<p class=\"muted\">Effect with its 95 % interval; the band is the margin</p></figcaption>"
        )?;
        writeln!(
            out,
            "<svg class=\"forest\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{title}\">"
        )?;
        let margin = self.rules.equivalent();
        let (from, to) = (self.x(margin.low), self.x(margin.high));
        writeln!(
            out,
            "<rect class=\"band\" x=\"{from:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{:.1}\"/>",
            to - from,
            bottom - TOP
        )?;
        let reach = self.reach();
        for share in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            let ratio = (reach * share).exp();
            let (x, class) = (self.x(ratio), if share == 0.0 { "one" } else { "grid" });
            writeln!(out, "<path class=\"{class}\" d=\"M{x:.1} {TOP}V{bottom}\"/>")?;
            let (y, label) = (height - 8.0, words::change(ratio));
            let (class, x) = if share > 0.9 { ("end", WIDTH - 2.0) } else { ("mid", x) };
            // There is room for three on small screens.
            if [-1.0, 0.0, 1.0].contains(&share) {
                let label = Escaped(&label);
                writeln!(out, "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y}\">{label}</text>")?;
            }
        }
        for (place, row) in self.rows.iter().enumerate() {
            self.write_row(out, place, row)?;
        }
        writeln!(out, "</svg></figure>")
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixtures;
    use super::*;
    use crate::report::html::tests::assert_nested;

    #[test]
    fn the_page_needs_nothing_else() {
        let text = page(&fixtures::report(0.03, 0.0)).replace("http://127.0.0.1:8080/", "");
        for outside in ["http:", "https:", "src=", "href=", "url(", "@import", "<script", "<link"] {
            assert!(!text.contains(outside), "{outside}");
        }
        assert!(text.contains("server &#39;&lt;8080&gt;&#39;") && !text.contains("NaN"));
    }

    #[test]
    fn elements_are_nested() {
        for report in [fixtures::report(0.03, 0.0), fixtures::report(0.0, 0.03)] {
            assert_nested(&page(&report));
        }
    }

    #[test]
    fn the_plot_is_centred_on_no_effect_and_stays_inside() {
        let report = fixtures::report(0.03, 0.0);
        let forest = Forest { title: "t", rows: &report.findings, rules: &report.rules };
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        assert!((forest.x(1.0) - middle).abs() < 1e-9);
        assert!(
            (forest.x(2.0) - middle + forest.x(0.5) - middle).abs() < 1e-9,
            "even to both sides"
        );
        for ratio in [0.0, 1e-9, 1e9] {
            assert!((LEFT..=WIDTH - RIGHT).contains(&forest.x(ratio)), "{ratio}");
        }
        assert_eq!(forest.to_string().matches("class=\"dot\"").count(), 7);
    }

    #[test]
    fn a_void_comparison_says_so_first() {
        let text = page(&fixtures::report(0.03, 0.03));
        assert!(text.contains("<p class=\"verdict void\">VOID: ") && !text.contains("B is faster"));
    }
}
