//! Bar charts as tables: a row for each server with its name, a bar and the figure. Such a chart is
//! its own text equivalent, and its letters stay as large as others on a small screen.

use std::fmt::{self, Display};

use super::digest::{Measured, Scenario, Standing};
use super::words;
use crate::report::html::Escaped;
use crate::report::html::words as numbers;

/// A chart.
pub(super) struct Bars {
    about: About,
    rows: Vec<Bar>,
}

/// What a chart shows.
struct About {
    title: &'static str,
    caption: &'static str,
    /// What the figures are, for those who are read to, and where there are two.
    heads: &'static [&'static str],
    less_is_better: bool,
}

/// A row of a chart.
struct Bar {
    name: String,
    drawn: Drawn,
}

/// What is drawn and said of a server.
#[derive(Default)]
struct Drawn {
    /// Lengths of the parts, one after the other, with the class of their colour.
    parts: Vec<(f64, &'static str)>,
    /// From and to, as a thin line over the bar.
    whisker: Option<(f64, f64)>,
    /// The figures, or a word in their place.
    texts: Vec<String>,
}

impl Bars {
    fn new(
        scenario: &Scenario<'_>,
        cell: usize,
        about: About,
        drawn: impl Fn(&Measured<'_>) -> Drawn,
    ) -> Self {
        let rows = scenario.column(cell).map(|(server, standing)| {
            let word = |word: &str| Drawn { texts: vec![word.to_owned()], ..Drawn::default() };
            let drawn = match standing {
                Standing::Measured(found) => drawn(found),
                Standing::Failed(failure) => word(failure.word),
                Standing::NotRun => word("not run"),
                Standing::LeftOut => word("left out"),
            };
            Bar { name: server.name.clone(), drawn }
        });
        Self { about, rows: rows.collect() }
    }

    /// Whether there is a bar.
    fn is_drawn(&self) -> bool {
        self.rows.iter().any(|row| !row.drawn.parts.is_empty())
    }

    /// The length of the longest bar that is drawn whole. Where less is better, one server that is
    /// far behind would leave nothing to see of all others: what is longer than four medians is cut.
    fn reach(&self) -> f64 {
        let drawn = self.rows.iter().filter(|row| !row.drawn.parts.is_empty());
        let mut ends: Vec<f64> = drawn.map(Bar::end).collect();
        ends.sort_by(f64::total_cmp);
        let longest = ends.last().copied().unwrap_or_default();
        let median = ends.get(ends.len() / 2).copied().unwrap_or_default();
        if self.about.less_is_better && median > 0.0 { longest.min(4.0 * median) } else { longest }
    }
}

/// The charts of a cell.
pub(super) fn of_cell(scenario: &Scenario<'_>, cell: usize) -> Vec<Bars> {
    let has_pss = scenario.has_pss();
    let is_open = scenario.cells[cell].rate.is_some();
    let rates = About {
        title: "Requests/sec",
        caption: "More is better; the thin line spans the repeats",
        heads: &["Requests/sec"],
        less_is_better: false,
    };
    let costs = About {
        title: "Server CPU per request",
        caption: "Less is better",
        heads: &["CPU per request"],
        less_is_better: true,
    };
    let latencies = About {
        title: if is_open { "p99 from the intended start" } else { "p99 latency" },
        caption: "Less is better",
        heads: &["p99"],
        less_is_better: true,
    };
    let memory = About {
        title: if has_pss { "Memory (PSS)" } else { "Memory (RSS)" },
        caption: "Less is better; pale what is used idle",
        heads: &["Idle", "Under load"],
        less_is_better: true,
    };
    let ends = About {
        title: "Successful and failed requests",
        caption: "2xx responses; all others and errors in red",
        heads: &["Successful", "Failed"],
        less_is_better: false,
    };
    let mut charts = [
        Bars::new(scenario, cell, rates, rate),
        Bars::new(scenario, cell, costs, cpu),
        Bars::new(scenario, cell, latencies, latency),
        Bars::new(scenario, cell, memory, |found| memory_of(found, has_pss)),
        Bars::new(scenario, cell, ends, outcomes),
    ];
    if is_open {
        // All get the same requests; what differs is how long they take. The first is the large one.
        charts.swap(0, 2);
    }
    charts.into_iter().filter(Bars::is_drawn).collect()
}

fn rate(found: &Measured<'_>) -> Drawn {
    let per_sec = found.figures.requests_per_sec;
    let (colour, mark) = if found.figures.is_clean() { ("c1", "") } else { ("c2", "*") };
    Drawn {
        parts: vec![(per_sec, colour)],
        whisker: (found.of > 1).then_some(found.spread),
        texts: vec![words::rate(per_sec) + mark],
    }
}

fn cpu(found: &Measured<'_>) -> Drawn {
    let cost = found.figures.server_cpu_us_per_request(found.run);
    one(cost, "c3", words::cpu)
}

fn latency(found: &Measured<'_>) -> Drawn {
    one(found.figures.latency().map(|times| times.p99), "c4", numbers::time_us)
}

/// A bar of one part, if it is known.
fn one(length: Option<f64>, colour: &'static str, words: fn(f64) -> String) -> Drawn {
    Drawn {
        parts: length.map(|length| (length, colour)).into_iter().collect(),
        whisker: None,
        texts: vec![words::or_none(length, words)],
    }
}

fn memory_of(found: &Measured<'_>, pss: bool) -> Drawn {
    let usage = &found.run.usage;
    let (idle, max) = if pss {
        (usage.pss_idle_bytes, usage.pss_max_bytes)
    } else {
        (usage.rss_idle_bytes, usage.rss_max_bytes)
    };
    let bytes = |bytes: u64| numbers::bytes(bytes as f64);
    let texts = vec![words::or_none(idle, bytes), words::or_none(max, bytes)];
    let parts = max.map_or_else(Vec::new, |max| {
        let idle = idle.unwrap_or(0).min(max);
        vec![(idle as f64, "c2 light"), ((max - idle) as f64, "c2")]
    });
    Drawn { parts, whisker: None, texts }
}

fn outcomes(found: &Measured<'_>) -> Drawn {
    let figures = &found.figures;
    let (good, failed) = (figures.status.success, figures.non_2xx() + figures.errors_total());
    Drawn {
        parts: vec![(good as f64, "c3"), (failed as f64, "bad")],
        whisker: None,
        texts: vec![numbers::count(good), numbers::count(failed)],
    }
}

impl Display for Bars {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "<figure><figcaption><h4>{}</h4>", self.about.title)?;
        let reach = self.reach();
        let is_cut = self.rows.iter().any(|row| row.end() > reach);
        let cut = if is_cut { "; a bar that ends in \u{bb} goes on" } else { "" };
        writeln!(out, "<p class=\"muted\">{}{cut}</p></figcaption>", self.about.caption)?;
        // One figure is what the title says; two have to be told apart by everyone.
        let unseen = if self.about.heads.len() == 1 { " class=\"unseen\"" } else { "" };
        write!(out, "<table class=\"bars\"><thead><tr>")?;
        write!(out, "<th scope=\"col\"><span class=\"unseen\">Server</span></th><td></td>")?;
        for head in self.about.heads {
            write!(out, "<th scope=\"col\" class=\"n\"><span{unseen}>{head}</span></th>")?;
        }
        writeln!(out, "</tr></thead><tbody>")?;
        for row in &self.rows {
            row.write(out, reach, self.about.heads.len())?;
        }
        writeln!(out, "</tbody></table></figure>")
    }
}

impl Bar {
    /// Where it ends, its whisker included.
    fn end(&self) -> f64 {
        let length: f64 = self.drawn.parts.iter().map(|(length, _)| length).sum();
        self.drawn.whisker.map_or(length, |(_, high)| length.max(high))
    }

    fn write(&self, out: &mut fmt::Formatter<'_>, reach: f64, figures: usize) -> fmt::Result {
        let percent = |length: f64| if reach > 0.0 { 100.0 * length / reach } else { 0.0 };
        let cut = if self.end() > reach { " class=\"cut\"" } else { "" };
        write!(out, "<tr><th scope=\"row\">{}</th>", Escaped(&self.name))?;
        write!(out, "<td class=\"track\"><div{cut}>")?;
        let mut room = reach;
        for (length, class) in self.drawn.parts.iter().filter(|(length, _)| *length > 0.0) {
            let width = percent(length.min(room));
            write!(out, "<i class=\"{class}\" style=\"width:{width:.2}%\"></i>")?;
            room = (room - length).max(0.0);
        }
        if let Some((low, high)) = self.drawn.whisker {
            let (left, width) = (percent(low), percent(high - low));
            write!(out, "<s style=\"left:{left:.2}%;width:{width:.2}%\"></s>")?;
        }
        write!(out, "</div></td>")?;
        // A word in place of figures has the room of all of them.
        let span = if self.drawn.texts.len() < figures {
            format!(" colspan=\"{figures}\"")
        } else {
            String::new()
        };
        for text in &self.drawn.texts {
            let bad = if self.drawn.parts.is_empty() { " word" } else { "" };
            write!(out, "<td class=\"n{bad}\"{span}>{}</td>", Escaped(text))?;
        }
        writeln!(out, "</tr>")
    }
}
