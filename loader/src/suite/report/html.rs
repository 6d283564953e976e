//! The suite as one page of HTML that needs nothing else, in the style of a run's page.

use std::fmt::{self, Display};

use super::digest::{Digest, Scenario};
use super::table::{Table, Tone};
use super::{bars, failures, lead, samples, tables, words};
use crate::report::html::{Escaped, STYLE};

/// What these pages need beside the style of all pages.
const MORE_STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn page(digest: &Digest<'_>) -> String {
    Page(digest).to_string()
}

struct Page<'a>(&'a Digest<'a>);

impl Display for Page<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digest, results) = (self.0, self.0.results);
        let title = Escaped(&results.title);
        writeln!(out, "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
        writeln!(out, "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">")?;
        writeln!(out, "<title>ringload suite: {title}</title>")?;
        writeln!(out, "<style>\n{STYLE}{MORE_STYLE}</style>\n</head>\n<body>")?;
        writeln!(out, "<main>\n<header><h1>{title}</h1>")?;
        writeln!(out, "<p class=\"muted\">{}</p>", Escaped(&words::when(results)))?;
        writeln!(out, "<p class=\"muted\">Cores: {}</p>", Escaped(&words::cores(results)))?;
        writeln!(out, "</header>")?;
        write_list(out, "Reasons for distrust", &words::warnings(results))?;
        self.write_contents(out)?;
        for (number, scenario) in digest.scenarios.iter().enumerate() {
            write_scenario(out, number, scenario)?;
        }
        self.write_failures(out)?;
        self.write_published(out)?;
        self.write_method(out)?;
        self.write_conditions(out)?;
        writeln!(out, "</main>\n</body>\n</html>")
    }
}

impl Page<'_> {
    fn write_contents(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "<nav aria-label=\"Contents\"><ul>")?;
        for (number, scenario) in self.0.scenarios.iter().enumerate() {
            writeln!(out, "<li><a href=\"#s{number}\">{}</a></li>", Escaped(scenario.name))?;
        }
        let has_published = !self.0.results.published.is_empty();
        for (id, name, is_there) in [
            ("failures", "What was not measured", self.has_failures()),
            ("published", "As published elsewhere", has_published),
            ("method", "Method", true),
            ("machine", "Machine", true),
            ("servers", "Servers", true),
        ] {
            if is_there {
                writeln!(out, "<li><a href=\"#{id}\">{name}</a></li>")?;
            }
        }
        writeln!(out, "</ul></nav>")
    }

    fn has_failures(&self) -> bool {
        !failures::of(self.0).is_empty()
    }

    fn write_failures(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = failures::of(self.0);
        if all.is_empty() {
            return Ok(());
        }
        writeln!(out, "<section id=\"failures\"><h2>What was not measured</h2>")?;
        for failure in all {
            let title = failure.title();
            writeln!(out, "<div class=\"card told\"><h3>{}</h3>", Escaped(&title))?;
            let places = failure.places();
            if !places.is_empty() {
                writeln!(out, "<p class=\"muted\">{}</p>", Escaped(&places))?;
            }
            writeln!(out, "<pre>{}</pre></div>", Escaped(failure.told.trim_end()))?;
        }
        writeln!(out, "</section>")
    }

    fn write_published(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let published = &self.0.results.published;
        if published.is_empty() {
            return Ok(());
        }
        writeln!(out, "<section id=\"published\"><h2>As published elsewhere</h2>")?;
        writeln!(out, "<p>{}</p>", Escaped(words::ELSEWHERE))?;
        for table in published {
            write_table(out, &tables::published(table))?;
        }
        writeln!(out, "</section>")
    }

    fn write_method(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0.results;
        writeln!(out, "<section id=\"method\"><h2>Method</h2>")?;
        for (name, text) in [("Source", &results.source), ("Method", &results.method)] {
            if let Some(text) = text {
                writeln!(out, "<p><strong>{name}:</strong> {}</p>", Escaped(text))?;
            }
        }
        if !results.misleads.is_empty() {
            writeln!(out, "<h3 class=\"part\">Where it misleads</h3>")?;
            write_items(out, &results.misleads)?;
        }
        writeln!(out, "<h3 class=\"part\">How to read this</h3>")?;
        write_items(out, &words::how_to_read(self.0))?;
        writeln!(out, "</section>")
    }

    fn write_conditions(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0.results;
        writeln!(out, "<section id=\"machine\"><h2>Machine</h2>")?;
        writeln!(out, "<div class=\"card facts\"><table><tbody>")?;
        for (name, value) in &results.machine {
            let (name, value) = (Escaped(name), Escaped(value));
            writeln!(out, "<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>")?;
        }
        writeln!(
            out,
            "</tbody></table></div></section>\n<section id=\"servers\"><h2>Servers</h2>"
        )?;
        write_table(out, &tables::servers(&results.servers))?;
        writeln!(out, "<h3 class=\"part\">Load</h3><div class=\"card facts\"><table><tbody>")?;
        for cell in &results.cells {
            let (name, load) = (Escaped(&cell.name), Escaped(&cell.load));
            writeln!(out, "<tr><th scope=\"row\">{name}</th><td><code>{load}</code></td></tr>")?;
        }
        writeln!(out, "</tbody></table></div>")?;
        let warnings = words::run_warnings(self.0);
        if !warnings.is_empty() {
            writeln!(out, "<h3 class=\"part\">What ringload warned of</h3>")?;
            write_items(out, &warnings)?;
        }
        writeln!(out, "</section>")
    }
}

fn write_scenario(
    out: &mut fmt::Formatter<'_>,
    number: usize,
    scenario: &Scenario<'_>,
) -> fmt::Result {
    let title = words::scenario(scenario);
    writeln!(out, "<section id=\"s{number}\"><h2>{}</h2>", Escaped(&title))?;
    write_items(out, &lead::sentences(scenario))?;
    if !scenario.absent.is_empty() {
        let absent = scenario.absent.join(", ");
        writeln!(out, "<p class=\"muted\">Not in this scenario: {}.</p>", Escaped(&absent))?;
    }
    writeln!(out, "<div class=\"overviews\">")?;
    for table in tables::overview(scenario) {
        write_table(out, &table)?;
    }
    writeln!(out, "</div>")?;
    for (place, cell) in scenario.cells.iter().enumerate() {
        writeln!(out, "<h3 class=\"part\">{}</h3>", Escaped(&cell.name))?;
        writeln!(out, "<p class=\"muted\">{}</p>", Escaped(&words::cell(cell)))?;
        if !scenario.is_begun(place) {
            writeln!(out, "<p>{}</p>", words::NOT_BEGUN)?;
            continue;
        }
        writeln!(out, "<div class=\"charts\">")?;
        bars::of_cell(scenario, place).iter().try_for_each(|chart| write!(out, "{chart}"))?;
        writeln!(out, "</div>")?;
        write_table(out, &tables::speed(scenario, place))?;
        write_table(out, &tables::cost(scenario, place))?;
        let more = [tables::threads(scenario, place), tables::limits(scenario, place)];
        for table in more.iter().flatten() {
            write_folded(out, &table.title, &[table])?;
        }
        let samples = samples::tables(scenario, place);
        write_folded(out, "The machine in time", &samples.iter().collect::<Vec<_>>())?;
    }
    writeln!(out, "</section>")
}

/// A section of warnings, if there are any.
fn write_list(out: &mut fmt::Formatter<'_>, title: &str, items: &[String]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "<section class=\"warnings\"><h2>{title}</h2>")?;
    write_items(out, items)?;
    writeln!(out, "</section>")
}

fn write_items(out: &mut fmt::Formatter<'_>, items: &[impl AsRef<str>]) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "<ul class=\"notes\">")?;
    for item in items {
        writeln!(out, "<li>{}</li>", Escaped(item.as_ref()))?;
    }
    writeln!(out, "</ul>")
}

/// Tables for those who want to know more.
fn write_folded(out: &mut fmt::Formatter<'_>, title: &str, all: &[&Table]) -> fmt::Result {
    if all.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details class=\"card\"><summary>{}</summary>", Escaped(title))?;
    for table in all {
        if all.len() > 1 || table.title != title {
            writeln!(out, "<h4>{}</h4>", Escaped(&table.title))?;
        }
        write_grid(out, table)?;
    }
    writeln!(out, "</details>")
}

fn write_table(out: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    writeln!(out, "<div class=\"card told\"><h4>{}</h4>", Escaped(&table.title))?;
    write_grid(out, table)?;
    for note in &table.notes {
        writeln!(out, "<p class=\"muted\">{}</p>", Escaped(note))?;
    }
    writeln!(out, "</div>")
}

/// The table itself, which scrolls where it is wider than the screen.
fn write_grid(out: &mut fmt::Formatter<'_>, table: &Table) -> fmt::Result {
    // A region that scrolls can be reached with the keyboard.
    let label = Escaped(&table.title);
    write!(out, "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{label}\">")?;
    write!(out, "<table><thead><tr>")?;
    for column in &table.columns {
        let class = if column.is_number { " class=\"n\"" } else { "" };
        write!(out, "<th scope=\"col\"{class}>{}</th>", Escaped(&column.name))?;
    }
    writeln!(out, "</tr></thead><tbody>")?;
    for row in &table.rows {
        out.write_str("<tr>")?;
        for (column, field) in table.columns.iter().zip(row) {
            let mut class = String::from(if column.is_number { "n" } else { "" });
            class.push_str(match field.tone {
                Tone::Plain => "",
                Tone::Bad => " bad",
                Tone::Quiet => " quiet",
            });
            let class = class.trim_start();
            let class =
                if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
            let text = Escaped(&field.text);
            if column.is_name {
                write!(out, "<th scope=\"row\"{class}>{text}</th>")?;
            } else {
                write!(out, "<td{class}>{text}</td>")?;
            }
        }
        writeln!(out, "</tr>")?;
    }
    writeln!(out, "</tbody></table></div>")
}
