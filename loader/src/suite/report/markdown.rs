//! The report as Markdown.

use std::fmt::{self, Display, Write as _};

use super::digest::{Digest, Scenario};
use super::table::{Table, Tone};
use super::{failures, lead, tables, words};

/// With more cells than this, CPU by thread is left to the page and the JSON.
const FEW_CELLS: usize = 4;

/// The whole document.
pub(super) fn render(digest: &Digest<'_>) -> String {
    // Text that is read as it stands has no use for spaces that look like others.
    Document(digest).to_string().replace('\u{a0}', " ")
}

struct Document<'a>(&'a Digest<'a>);

impl Display for Document<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digest, results) = (self.0, self.0.results);
        writeln!(out, "# {}\n", Plain(&results.title))?;
        writeln!(out, "- {}", Plain(&words::when(results)))?;
        writeln!(out, "- Cores: {}", Plain(&words::cores(results)))?;
        for (name, text) in [("Source", &results.source), ("Method", &results.method)] {
            if let Some(text) = text {
                writeln!(out, "- {name}: {}", Plain(text))?;
            }
        }
        write_list(out, "Reasons for distrust", &words::warnings(results))?;
        for scenario in &digest.scenarios {
            write_scenario(out, scenario, results.cells.len() <= FEW_CELLS)?;
        }
        self.write_failures(out)?;
        if !results.published.is_empty() {
            writeln!(out, "\n## As published elsewhere\n\n{}", Plain(words::ELSEWHERE))?;
            for table in &results.published {
                write_table(out, "###", &tables::published(table))?;
            }
        }
        write_list(out, "Where the method misleads", &results.misleads)?;
        write_list(out, "How to read this", &words::how_to_read(digest))?;
        self.write_conditions(out)
    }
}

impl Document<'_> {
    fn write_failures(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = failures::of(self.0);
        if !all.is_empty() {
            writeln!(out, "\n## What was not measured")?;
        }
        for failure in all {
            writeln!(out, "\n### {}\n", Plain(&failure.title()))?;
            let places = failure.places();
            if !places.is_empty() {
                writeln!(out, "{}\n", Plain(&places))?;
            }
            let told = failure.told.trim_end();
            let fence = fence(told, 3);
            writeln!(out, "{fence}text\n{told}\n{fence}")?;
        }
        Ok(())
    }

    fn write_conditions(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let results = self.0.results;
        writeln!(out, "\n## Machine\n\n| | |\n|---|---|")?;
        for (name, value) in &results.machine {
            writeln!(out, "| {} | {} |", Plain(name), Plain(value))?;
        }
        writeln!(out, "\n## Servers\n")?;
        for server in &results.servers {
            writeln!(out, "- {}: {}", Plain(&words::server(server)), Code(&server.command))?;
        }
        writeln!(out, "\n## Load\n")?;
        for cell in &results.cells {
            writeln!(out, "- {}: {}", Plain(&cell.name), Code(&cell.load))?;
        }
        write_list(out, "What ringload warned of", &words::run_warnings(self.0))
    }
}

fn write_scenario(
    out: &mut fmt::Formatter<'_>,
    scenario: &Scenario<'_>,
    with_threads: bool,
) -> fmt::Result {
    writeln!(out, "\n## {}", Plain(&words::scenario(scenario)))?;
    let leads = lead::sentences(scenario);
    if !leads.is_empty() {
        writeln!(out)?;
    }
    for sentence in leads {
        writeln!(out, "- {}", Plain(&sentence))?;
    }
    if !scenario.absent.is_empty() {
        writeln!(out, "\nNot in this scenario: {}.", Plain(&scenario.absent.join(", ")))?;
    }
    for table in tables::overview(scenario) {
        write_table(out, "###", &table)?;
    }
    for (place, cell) in scenario.cells.iter().enumerate() {
        writeln!(out, "\n### {}\n\n{}", Plain(&cell.name), Plain(&words::cell(cell)))?;
        if !scenario.is_begun(place) {
            writeln!(out, "\n{}", words::NOT_BEGUN)?;
            continue;
        }
        write_table(out, "####", &tables::speed(scenario, place))?;
        write_table(out, "####", &tables::cost(scenario, place))?;
        if let Some(table) = tables::threads(scenario, place).filter(|_| with_threads) {
            write_table(out, "####", &table)?;
        }
    }
    Ok(())
}

/// A list with a heading; nothing where there is nothing.
fn write_list(
    out: &mut fmt::Formatter<'_>,
    heading: &str,
    items: &[impl AsRef<str>],
) -> fmt::Result {
    if items.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n## {heading}\n")?;
    items.iter().try_for_each(|item| writeln!(out, "- {}", Plain(item.as_ref())))
}

fn write_table(out: &mut fmt::Formatter<'_>, level: &str, table: &Table) -> fmt::Result {
    writeln!(out, "\n{level} {}\n", Plain(&table.title))?;
    for column in &table.columns {
        write!(out, "| {} ", Plain(&column.name))?;
    }
    writeln!(out, "|")?;
    for column in &table.columns {
        out.write_str(if column.is_number { "|--:" } else { "|---" })?;
    }
    writeln!(out, "|")?;
    for row in &table.rows {
        for field in row.iter().take(table.columns.len()) {
            let text = Plain(&field.text);
            match field.tone {
                Tone::Bad => write!(out, "| **{text}** ")?,
                Tone::Plain | Tone::Quiet => write!(out, "| {text} ")?,
            }
        }
        writeln!(out, "|")?;
    }
    if !table.notes.is_empty() {
        writeln!(out)?;
    }
    // Two spaces at its end make a line a line.
    let last = table.notes.len().saturating_sub(1);
    for (place, note) in table.notes.iter().enumerate() {
        writeln!(out, "{}{}", Plain(note), if place == last { "" } else { "  " })?;
    }
    Ok(())
}

/// Text without what Markdown would take for its own, on one line.
struct Plain<'a>(&'a str);

impl Display for Plain<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, letter) in self.0.char_indices() {
            match letter {
                '<' => out.write_str("&lt;")?,
                '&' => out.write_str("&amp;")?,
                '\n' | '\r' => out.write_char(' ')?,
                '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '~' => write!(out, "\\{letter}")?,
                // At the beginning these make a heading or a quotation.
                '#' | '>' if place == 0 => write!(out, "\\{letter}")?,
                other => out.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A command as code.
struct Code<'a>(&'a str);

impl Display for Code<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.replace(['\n', '\r'], " ");
        let fence = fence(&text, 1);
        // A back quote at an end would belong to the fence.
        let room = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
        write!(out, "{fence}{room}{text}{room}{fence}")
    }
}

/// Back quotes that no text ends: more than it has in a row.
fn fence(text: &str, least: usize) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or(0);
    let length = if longest < least { least } else { longest + 1 };
    "`".repeat(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_gets_out() {
        assert_eq!(
            Plain("a|b *c* <d> `e` [f]\ng_h & #1").to_string(),
            "a\\|b \\*c\\* &lt;d> \\`e\\` \\[f\\] g\\_h &amp; #1"
        );
        assert_eq!([Plain("# a"), Plain("> a")].map(|it| it.to_string()), ["\\# a", "\\> a"]);
        assert_eq!(Code("a b").to_string(), "`a b`");
        assert_eq!(Code("a `b`").to_string(), "`` a `b` ``");
        assert_eq!([fence("x", 3), fence("```", 3)], ["```", "````"]);
    }
}
