"""Writes scale.sh's report, as Markdown and as one HTML page with plots, from the raw runs.

    report.py RUNS.csv FACTS OUT.md OUT.html

FACTS has a line of Markdown for each fact about machine and runs. Needs nothing but Python's library.
"""

import html
import re
import sys
from dataclasses import dataclass, field

import estimate
import figures
import plots

TITLE = "How it scales"


@dataclass
class Axis:
    """How an axis is told."""

    name: str
    heading: str
    x_name: str
    label: object
    about: str
    # Columns of the table beside those of all axes: figure, name, form.
    extra: list = field(default_factory=list)


def bytes_of(value):
    """Memory, of a figure that may be below zero."""
    return plots.memory(value) if value >= 0 else f"-{plots.memory(-value)}"


def percent(share):
    """0.5 is 50 %."""
    return f"{100 * share:.0f} %"


AXES = {
    "connections": Axis(
        "connections",
        "Connections",
        "connections",
        plots.amount,
        "One core of the server, one of the load, a request at a time on each connection. From the number on that a "
        "table of files does not hold, there are several shards (workers) and load threads on these same cores.",
    ),
    "shards": Axis(
        "shards",
        "Shards",
        "shards (workers), each with a core",
        plots.amount,
        "64 connections for each core of this machine. Where the load has no core of its own left it shares the "
        "server's, and throughput says how a machine is divided, not how the server scales: see CPU per request.",
    ),
    "pipeline": Axis(
        "pipeline",
        "Pipelining",
        "requests at once on a connection",
        plots.amount,
        "One core each. A latency is that of a burst's last response, so it grows with the depth.",
    ),
    "bytes": Axis(
        "bytes",
        "Size of the body",
        "bytes of a body",
        plots.size,
        "One core each, `/bytes/N`: ringserve makes the bytes as they leave, nginx has files, which the kernel sends.",
    ),
}
FIGURES = [
    ("requests_per_sec", "requests/s", plots.amount),
    ("server_cpu_us", "server CPU, us/request", lambda value: f"{value:.3g}"),
    ("p50_us", "p50", plots.time_us),
    ("p99_us", "p99", plots.time_us),
    ("pss_bytes", "server memory (PSS)", bytes_of),
    ("slab_bytes", "kernel memory, both ends", bytes_of),
]
# What the plots show; the rest is in the tables.
DRAWN = [
    ("requests_per_sec", "requests/s", plots.amount),
    ("server_cpu_us", "CPU of the server per request", plots.time_us),
    ("p99_us", "99th percentile of latency", plots.time_us),
    # Its ticks are decimal.
    ("pss_bytes", "memory of the server (PSS)", plots.size),
]


# --- Blocks -------------------------------------------------------------------------------------
# A report is a list of them: (kind, content...). Text is Markdown of the simplest kind: **bold**, *italic*, `code`.


def spread_text(spread, form):
    """Median [least .. most]; a unit that all three have stands once."""
    if spread is None:
        return "-"
    median, low, high = form(spread.median), form(spread.low), form(spread.high)
    units = {text.partition(" ")[2] for text in (median, low, high)}
    if len(units) == 1:
        low, high = low.partition(" ")[0], high.partition(" ")[0]
    return f"{median} [{low} .. {high}]"


def axis_blocks(summary, axis):
    """Heading, plots and table of an axis."""
    blocks = [("heading", axis.heading), ("text", axis.about)]
    drawn = []
    for figure, title, form in DRAWN:
        series = [(arm, summary.series(arm, axis.name, figure)) for arm in summary.arms]
        drawn.append(plots.plot(title, series, axis.x_name, axis.label, form))
    blocks.append(("plots", summary.arms, [svg for svg in drawn if svg]))
    columns = [axis.x_name.split(",")[0], "server", *(name for _, name, _ in FIGURES), "cores of the load, busy", "errors"]
    rows = []
    for value in summary.values(axis.name):
        for arm in summary.arms:
            row = table_row(summary, axis, value, arm)
            if row:
                rows.append(row)
    blocks.append(("table", columns, rows))
    told = changes(summary, axis)
    if told:
        blocks.append(("list", told))
    return blocks


def table_row(summary, axis, value, arm):
    """What was seen at a point; None if it was not tried."""
    runs = summary.groups.get((arm, axis.name, value))
    if not runs:
        return None
    cells = [spread_text(summary.spread(arm, axis.name, value, figure), form) for figure, _, form in FIGURES]
    rate, cost = (summary.spread(arm, axis.name, value, name) for name in ("requests_per_sec", "load_cpu_us"))
    busy = "-"
    if rate and cost:
        cores = len(expand(runs[0]["load_cores"]))
        busy = percent(min(1.0, rate.median * cost.median / 1e6 / cores))
    if runs[0]["server_cores"] and set(expand(runs[0]["server_cores"])) & set(expand(runs[0]["load_cores"])):
        busy += ", shared"
    label = axis.label(value)
    if axis.name != "shards" and runs[0]["shards"] > 1:
        label += f" ({runs[0]['shards']:.0f} shards)"
    return [label, arm, *cells, busy, plots.amount(sum(run["errors"] or 0 for run in runs))]


def expand(cores):
    """A list such as "0-2,5"; separated by blanks in the CSV, where commas separate columns."""
    found = []
    for part in cores.replace(",", " ").split():
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def changes(summary, axis):
    """From one end of the axis (of connections: from where it is cheapest) to the other: sentences."""
    told = []
    for arm in summary.arms:
        series = [(x, it) for x, it in summary.series(arm, axis.name, "server_cpu_us") if it.median > 0]
        if len(series) < 2:
            continue
        (first, before), (last, after) = series[0], series[-1]
        if axis.name == "connections":
            # With one connection a request pays for two processes that sleep and are woken.
            first, before = min(series, key=lambda pair: pair[1].median)
        told.append(
            f"{arm}: a request's CPU goes from {before.median:.3g} us at {axis.label(first)} to {after.median:.3g} us "
            f"at {axis.label(last)}, {after.median / before.median:.3g} times as much."
        )
    return told


def unmeasured(summary):
    """Points where a run had no steady part: sentences."""
    told = []
    for (arm, axis, value), runs in sorted(summary.groups.items(), key=str):
        bad = [run for run in runs if run["requests"] is None]
        if bad:
            answered = max(run["answered"] or 0 for run in bad)
            told.append(
                f"{arm}, {axis} {AXES[axis].label(value)}: {len(bad)} of {len(runs)} runs had no time with all "
                f"connections open (at most {plots.amount(answered)} gave an answer; {plots.amount(sum(run['errors'] or 0 for run in bad))} errors); they "
                f"are in the CSV, but in no figure."
            )
    return told


def noise(summary):
    """How far the machine was disturbed."""
    runs = summary.runs
    foreign = max((run["foreign_cpu_ms"] or 0 for run in runs), default=0)
    steal = max((run["steal_share"] or 0 for run in runs), default=0)
    return (
        f"{len(runs)} runs. Other processes used at most {foreign:.0f} ms of CPU during one of them; the hypervisor took "
        f"at most {percent(steal)} of all cores."
    )


def estimate_blocks(summary):
    """What 64 cores would carry, and what next."""
    arm = summary.arms[0]
    found = estimate.workloads(summary, arm)
    blocks = [
        ("heading", f"What {estimate.CORES} cores would carry"),
        (
            "text",
            f"An estimate from the figures of {arm} above, for a machine of {estimate.CORES} cores like this one's, "
            f"{plots.memory(estimate.MEMORY_BYTES)} and a card of 100 Gbit/s, and for {estimate.MACHINES} of them. It is arithmetic: "
            f"likely [least .. most], from the quartiles of the cost and the ranges assumed. Least and most take all that "
            f"is assumed at its worst or best at once, so that the truth should lie well within.",
        ),
    ]
    if found:
        blocks.append(("table", estimate.RATE_COLUMNS, estimate.rate_rows(found)))
    blocks += [
        (
            "text",
            "The rate is cores x share that may be used / (CPU here x network x crowd), or what fills the card, whichever "
            "is less. A frame has 90 bytes beside its data (Ethernet with preamble and gap, IPv4, TCP with time stamps). "
            "Assumed, and not measured:",
        ),
        ("table", ["what", "likely [worse .. better]", "why"], estimate.assumption_rows()),
        ("heading", "Where the next limit lies"),
        ("list", estimate.limits(summary, arm, found)),
    ]
    return blocks


def report(summary, facts):
    """All blocks of it."""
    blocks = [("list", [*facts, noise(summary), *unmeasured(summary)])]
    for name in summary.axes():
        blocks += axis_blocks(summary, AXES[name])
    blocks += estimate_blocks(summary)
    blocks += [
        ("heading", "How to read it"),
        (
            "list",
            [
                "All figures are of the time in which all connections were open and warm; median [least .. most] of the rounds.",
                "A closed loop: latencies at full load. At c connections the mean is c / (requests/s), whatever the server.",
                "Throughput is what this server and this load did together, on a core each. *Cores of the load, busy* near "
                "100 %: the load was the limit. CPU per request is the server's own.",
                "*Server memory* is its processes' proportional share (PSS), in the steady part. *Kernel memory* is by how much the "
                "kernel's slabs grew since before the load, which has both ends of each connection in it.",
            ],
        ),
    ]
    return blocks


# --- Markdown -----------------------------------------------------------------------------------


def to_markdown(blocks, page):
    """The report as text; `page` is the name of the file with the plots."""
    out = [f"# {TITLE}", "", f"With plots: [{page}]({page})", ""]
    for kind, *content in blocks:
        if kind == "heading":
            out += [f"## {content[0]}", ""]
        elif kind == "text":
            out += [content[0], ""]
        elif kind == "list":
            out += [f"- {item}" for item in content[0]] + [""]
        elif kind == "table":
            columns, rows = content
            out.append("| " + " | ".join(columns) + " |")
            out.append("|" + "---|" * len(columns))
            out += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    return "\n".join(out)


# --- HTML ---------------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #57606a; --rule: #d8dee4; --page: #fff; --s0: #0b6e4f; --s1: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --dim: #9aa4af; --rule: #373e47; --page: #12161b; --s0: #4fc79a; --s1: #ff8a80; }
}
body { margin: 0 auto; padding: 1rem; max-width: 96rem; font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); }
h1 { font-size: 1.6rem; margin: 0.5rem 0; } h2 { font-size: 1.2rem; margin: 2.2rem 0 0.5rem; }
p, li { max-width: 70rem; } ul { padding-left: 1.2rem; } li { margin: 0.25rem 0; overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; margin: 0.5rem 0 1rem; }
.plots svg { width: 100%; max-width: 34rem; height: auto; }
.legend { margin: 0.5rem 0; } .key { margin-right: 1.2rem; white-space: nowrap; } .key svg { vertical-align: middle; }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim); } svg text.title { font-size: 13px; font-weight: 600; fill: var(--ink); }
.grid { stroke: var(--rule); fill: none; } .series { fill: none; stroke-width: 1.8; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } polyline.s1 { stroke-dasharray: 6 3; }
.mark.s0 { fill: var(--s0); } .mark.s1 { fill: var(--page); stroke-width: 1.8; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13.5px; }
th, td { border-bottom: 1px solid var(--rule); padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
th { color: var(--dim); font-weight: 600; vertical-align: bottom; min-width: 5rem; } td { white-space: nowrap; } td.long { white-space: normal; min-width: 16rem; }
code { font-size: 0.92em; }
"""


def inline(text):
    """The simple Markdown of texts as HTML."""
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", text)
    return re.sub(r"\*([^*]+)\*", r"<em>\1</em>", text)


def cell(text):
    """A cell, which may break only if it is a sentence."""
    long = ' class="long"' if len(text) > 45 else ""
    return f"<td{long}>{inline(text)}</td>"


def to_html(blocks):
    """The report as one page that needs nothing else."""
    out = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{TITLE}</title><style>{STYLE}</style></head><body><main>",
        f"<h1>{TITLE}</h1>",
    ]
    for kind, *content in blocks:
        if kind == "heading":
            out.append(f"<h2>{inline(content[0])}</h2>")
        elif kind == "text":
            out.append(f"<p>{inline(content[0])}</p>")
        elif kind == "list":
            out += ["<ul>", *(f"<li>{inline(item)}</li>" for item in content[0]), "</ul>"]
        elif kind == "plots":
            arms, drawn = content
            out += [plots.legend(arms), '<div class="plots">', *drawn, "</div>"]
        elif kind == "table":
            columns, rows = content
            out.append('<div class="wide"><table><thead><tr>')
            out += [f'<th scope="col">{inline(name)}</th>' for name in columns]
            out.append("</tr></thead><tbody>")
            out += ["<tr>" + "".join(cell(text) for text in row) + "</tr>" for row in rows]
            out.append("</tbody></table></div>")
    return "\n".join([*out, "</main></body></html>", ""])


def main():
    runs_path, facts_path, markdown_path, html_path = sys.argv[1:]
    runs = figures.read_runs(runs_path)
    if not runs:
        sys.exit(f"report.py: there are no runs in {runs_path}")
    with open(facts_path, encoding="utf-8") as file:
        facts = [line.removeprefix("- ").rstrip() for line in file if line.strip()]
    blocks = report(figures.Summary(runs), facts)
    with open(markdown_path, "w", encoding="utf-8") as file:
        file.write(to_markdown(blocks, html_path.rsplit("/", 1)[-1]))
    with open(html_path, "w", encoding="utf-8") as file:
        file.write(to_html(blocks))


if __name__ == "__main__":
    main()
