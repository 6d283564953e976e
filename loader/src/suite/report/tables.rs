//! The tables of a scenario: by connections as published ones have it, and all that is known of each
//! cell.

use super::digest::{Measured, Row, Scenario, Standing};
use super::figures::Times;
use super::table::{Column, Field, Table};
use super::words::{self, NONE};
use crate::report::html::words as numbers;
use crate::suite::results::{Published, Server};

/// Behind a figure of a run with errors or with responses that are not 2xx.
const FAULTY: &str = "*";
/// Behind a figure of which not all repeats count.
const PARTIAL: &str = "\u{2020}";

/// Servers by connections: what the scenario is about, then the rest that is compared first.
pub(super) fn overview(scenario: &Scenario<'_>) -> Vec<Table> {
    let rate = |found: &Measured<'_>| Some(words::rate(found.figures.requests_per_sec));
    let p99 =
        |found: &Measured<'_>| found.figures.latency().map(|times| numbers::time_us(times.p99));
    let cpu =
        |found: &Measured<'_>| found.figures.server_cpu_us_per_request(found.run).map(words::cpu);
    let has_pss = scenario.has_pss();
    let memory = |found: &Measured<'_>| {
        let usage = &found.run.usage;
        let bytes = if has_pss { usage.pss_max_bytes } else { usage.rss_max_bytes };
        bytes.map(|bytes| numbers::bytes(bytes as f64))
    };
    let memory_title = if has_pss { "Memory under load (PSS)" } else { "Memory under load (RSS)" };
    let rates = |is_first| by_connections(scenario, "Requests/sec", is_first, &rate);
    let latencies = |title, is_first| by_connections(scenario, title, is_first, &p99);
    let mut all = if scenario.is_open() {
        vec![latencies("p99 from the intended start", true), rates(false)]
    } else {
        vec![rates(true), latencies("p99 latency", false)]
    };
    all.push(by_connections(scenario, "Server CPU per request", false, &cpu));
    all.push(by_connections(scenario, memory_title, false, &memory));
    if scenario.cells.len() == 1 {
        // The tables of the one cell have the rest.
        all.truncate(1);
    }
    all
}

/// The first table of a scenario has everybody, and what they are and what marks mean; the others
/// have those of whom there are figures.
fn by_connections(
    scenario: &Scenario<'_>,
    title: &str,
    is_first: bool,
    of: &dyn Fn(&Measured<'_>) -> Option<String>,
) -> Table {
    let mut columns = if is_first {
        vec![Column::number("Rank"), Column::name("Server"), Column::words("Language")]
    } else {
        vec![Column::name("Server")]
    };
    columns.extend(scenario.cells.iter().map(|cell| Column::number(words::column(cell))));
    let has_figures = |row: &&Row<'_>| row.standings.iter().any(|it| it.measured().is_some());
    let rows = scenario.rows.iter().filter(|row| is_first || has_figures(row)).map(|row| {
        let mut fields: Vec<Field> = vec![row.server.name.as_str().into()];
        if is_first {
            let rank = row.rank.map_or_else(String::new, |rank| rank.to_string());
            fields.insert(0, rank.into());
            fields.push(words::or_none(row.server.language.as_ref(), Clone::clone).into());
        }
        fields.extend(row.standings.iter().map(|standing| figure(standing, of)));
        fields
    });
    let rows: Vec<Vec<Field>> = rows.collect();
    let cells = 0..if is_first { scenario.cells.len() } else { 0 };
    let notes = marks(cells.flat_map(|cell| {
        let column = words::column(scenario.cells[cell]);
        let named = scenario.measured(cell);
        named.map(move |(server, found)| (format!("{} at {column}", server.name), found))
    }));
    Table { title: title.to_owned(), columns, rows, notes }
}

/// A figure with its marks, or the word for why there is none.
fn figure(standing: &Standing<'_>, of: &dyn Fn(&Measured<'_>) -> Option<String>) -> Field {
    match standing {
        Standing::Measured(found) => match of(found) {
            Some(text) => marked(text, found).into(),
            None => NONE.into(),
        },
        Standing::Failed(failure) => Field::bad(failure.word),
        Standing::NotRun => Field::quiet("not run"),
        Standing::LeftOut => Field::quiet("left out"),
    }
}

fn marked(mut text: String, found: &Measured<'_>) -> String {
    if !found.figures.is_clean() {
        text.push_str(FAULTY);
    }
    if found.of < found.made {
        text.push_str(PARTIAL);
    }
    text
}

/// What the marks of those that have some mean.
fn marks<'a, 'b: 'a>(all: impl Iterator<Item = (String, &'a Measured<'b>)>) -> Vec<String> {
    let (mut faulty, mut partial) = (Vec::new(), Vec::new());
    for (name, found) in all {
        if !found.figures.is_clean() {
            faulty.push(format!("{name} ({})", words::faults(&found.figures)));
        }
        if found.of < found.made {
            partial.push(format!("{name} (picked from {} of {})", found.of, found.made));
        }
    }
    let mut notes = Vec::new();
    if !faulty.is_empty() {
        let told = faulty.join(", ");
        notes.push(format!("{FAULTY} with errors or with responses other than 2xx: {told}."));
    }
    if !partial.is_empty() {
        let told = partial.join(", ");
        notes.push(format!(
            "{PARTIAL} some repeats failed or had errors, and do not count: {told}."
        ));
    }
    notes
}

/// A column of a cell's table: its head, and what stands in it for a server that was measured.
type Told = (&'static str, fn(&Measured<'_>) -> Field);

/// Requests and latencies of a cell.
pub(super) fn speed(scenario: &Scenario<'_>, cell: usize) -> Table {
    let closed: [Told; 1] = [("Requests/sec", rate)];
    let open: [Told; 4] = [
        ("Asked/sec", |it| asked(it, words::rate)),
        ("Achieved/sec", rate),
        ("Of asked", |it| {
            let achieved = it.figures.requests_per_sec;
            asked(it, |asked| numbers::percent(achieved / asked))
        }),
        ("Not sent", |it| words::or_none(it.figures.not_sent(), numbers::count).into()),
    ];
    let latencies: [Told; 7] = [
        ("Repeats", |it| words::spread(it).into()),
        ("Avg latency", |it| latency(it, |times| times.mean)),
        ("Max latency", |it| latency(it, |times| times.max)),
        ("p50", |it| latency(it, |times| times.p50)),
        ("p90", |it| latency(it, |times| times.p90)),
        ("p99", |it| latency(it, |times| times.p99)),
        ("p99.9", |it| latency(it, |times| times.p999)),
    ];
    let services: [Told; 2] = [
        ("Service p50", |it| service(it, |times| times.p50)),
        ("Service p99", |it| service(it, |times| times.p99)),
    ];
    let totals: [Told; 4] = [
        ("Total requests", total),
        ("Transfer/sec", |it| numbers::bytes(it.figures.transfer_bytes_per_sec).into()),
        ("Errors", |it| fault(it.figures.errors_total())),
        ("Non-2xx", |it| fault(it.figures.non_2xx())),
    ];
    let columns = if scenario.cells[cell].rate.is_some() {
        [&open[..], &latencies[..], &services[..], &totals[..]].concat()
    } else {
        [&closed[..], &latencies[..], &totals[..]].concat()
    };
    let mut table = of_cell(scenario, cell, "Requests and latency", &columns);
    table.notes = marks(scenario.measured(cell).map(|(server, it)| (server.name.clone(), it)));
    table
}

/// What a cell took: CPU, memory, threads, and who was the limit.
pub(super) fn cost(scenario: &Scenario<'_>, cell: usize) -> Table {
    let columns: [Told; 9] = [
        ("Server CPU per request", |it| {
            let cost = it.figures.server_cpu_us_per_request(it.run);
            words::or_none(cost, words::cpu).into()
        }),
        ("Load CPU per request", |it| {
            words::or_none(it.figures.loader.cpu_us_per_request, words::cpu).into()
        }),
        ("RSS idle", |it| memory(it.run.usage.rss_idle_bytes)),
        ("RSS max", |it| memory(it.run.usage.rss_max_bytes)),
        ("PSS idle", |it| memory(it.run.usage.pss_idle_bytes)),
        ("PSS max", |it| memory(it.run.usage.pss_max_bytes)),
        ("Threads", |it| words::or_none(it.run.usage.threads, numbers::count).into()),
        ("Processes", |it| words::or_none(it.run.usage.processes, numbers::count).into()),
        ("Limited by", |it| words::limit(&it.figures).into()),
    ];
    of_cell(scenario, cell, "What it took", &columns)
}

fn of_cell(scenario: &Scenario<'_>, cell: usize, title: &str, columns: &[Told]) -> Table {
    let heads = columns.iter().map(|(name, _)| match *name {
        "Limited by" => Column::words(name),
        name => Column::number(name),
    });
    let rows = scenario.column(cell).map(|(server, standing)| {
        let mut fields = vec![Field::from(server.name.as_str())];
        if let Some(found) = standing.measured() {
            fields.extend(columns.iter().map(|(_, of)| of(found)));
        } else {
            fields.push(figure(standing, &|_| None));
            fields.resize_with(columns.len() + 1, || NONE.into());
        }
        fields
    });
    Table {
        title: title.to_owned(),
        rows: rows.collect(),
        columns: std::iter::once(Column::name("Server")).chain(heads).collect(),
        notes: Vec::new(),
    }
}

fn rate(found: &Measured<'_>) -> Field {
    marked(words::rate(found.figures.requests_per_sec), found).into()
}

fn total(found: &Measured<'_>) -> Field {
    let mut text = numbers::count(found.figures.requests);
    if !found.figures.is_clean() {
        text.push_str(FAULTY);
    }
    text.into()
}

fn asked(found: &Measured<'_>, words: impl Fn(f64) -> String) -> Field {
    words::or_none(found.figures.open_loop, |open| words(open.rate_asked)).into()
}

fn latency(found: &Measured<'_>, of: fn(&Times) -> f64) -> Field {
    words::or_none(found.figures.latency(), |times| numbers::time_us(of(&times))).into()
}

fn service(found: &Measured<'_>, of: fn(&Times) -> f64) -> Field {
    words::or_none(found.figures.service_time(), |times| numbers::time_us(of(&times))).into()
}

fn memory(bytes: Option<u64>) -> Field {
    words::or_none(bytes, |bytes| numbers::bytes(bytes as f64)).into()
}

fn fault(count: u64) -> Field {
    let text = numbers::count(count);
    if count > 0 { Field::bad(text) } else { text.into() }
}

/// The busiest threads of each server, as `top -H` has it; `None` where nobody looked.
pub(super) fn threads(scenario: &Scenario<'_>, cell: usize) -> Option<Table> {
    let rows: Vec<Vec<Field>> = scenario
        .measured(cell)
        .filter_map(|(server, found)| {
            Some(vec![server.name.as_str().into(), words::threads(found)?.into()])
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        title: "CPU by thread".to_owned(),
        columns: vec![Column::name("Server"), Column::words("Busiest threads, shares of a core")],
        rows,
        notes: Vec::new(),
    })
}

/// What limited each run of a cell, in ringload's words.
pub(super) fn limits(scenario: &Scenario<'_>, cell: usize) -> Option<Table> {
    let rows: Vec<Vec<Field>> = scenario
        .measured(cell)
        .filter_map(|(server, found)| {
            let verdict = found.figures.verdict.as_ref()?;
            Some(vec![server.name.as_str().into(), verdict.line.as_str().into()])
        })
        .collect();
    (!rows.is_empty()).then(|| Table {
        title: "What limited each run".to_owned(),
        columns: vec![Column::name("Server"), Column::words("Verdict")],
        rows,
        notes: Vec::new(),
    })
}

/// A table of others.
pub(super) fn published(published: &Published) -> Table {
    let is_number = |place: usize| {
        let mut fields = published.rows.iter().filter_map(|row| row.get(place));
        place > 0 && fields.any(|text| text.starts_with(|first: char| first.is_ascii_digit()))
    };
    let columns = published.columns.iter().enumerate().map(|(place, name)| Column {
        name: name.clone(),
        is_number: is_number(place),
        is_name: place == 0,
    });
    let columns: Vec<Column> = columns.collect();
    let rows = published.rows.iter().map(|row| {
        let mut fields: Vec<Field> = row.iter().map(|text| text.as_str().into()).collect();
        fields.resize_with(columns.len(), || "".into());
        fields
    });
    let rows = rows.collect();
    Table { title: published.title.clone(), columns, rows, notes: Vec::new() }
}

/// The servers of the suite: versions and commands.
pub(super) fn servers(servers: &[Server]) -> Table {
    let rows = servers.iter().map(|server| {
        vec![
            server.name.as_str().into(),
            words::or_none(server.language.as_ref(), Clone::clone).into(),
            words::or_none(server.version.as_ref(), Clone::clone).into(),
            server.command.as_str().into(),
        ]
    });
    Table {
        title: "Versions and commands".to_owned(),
        columns: vec![
            Column::name("Server"),
            Column::words("Language"),
            Column::words("Version"),
            Column::words("Command"),
        ],
        rows: rows.collect(),
        notes: Vec::new(),
    }
}
