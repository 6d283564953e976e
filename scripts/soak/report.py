"""The report of a soak: Markdown, and an HTML page with the curves."""

from typing import Any, Callable

import stats
import svg
from document import Document
from svg import Line, Point
from verdict import Facts, Result, Series, amount, per_hour

MIB = 1024 * 1024
TRENDS = {
    stats.LEAK: "leak",
    stats.FLAT: "no growth shown",
    stats.SMALL: "less than the grain",
    stats.SETTLING: "settling",
    stats.SHORT: "too short to judge",
}


def write(facts: Facts, result: Result) -> None:
    document = make(facts, result)
    with open(f"{facts.folder}/soak.md", "w", encoding="utf-8") as file:
        file.write(document.as_markdown())
    with open(f"{facts.folder}/soak.html", "w", encoding="utf-8") as file:
        file.write(document.as_html())


def make(facts: Facts, result: Result) -> Document:
    plan, settings = facts.plan, facts.settings
    document = Document(f"Soak: {plan.connections} connections, {plan.rate_per_s:g} requests/s")
    document.paragraph(f"**{result.verdict}**")
    with open(settings.about, encoding="utf-8") as file:
        about = [line.strip().removeprefix("- ") for line in file if line.strip()]
    document.items([*about, *describe_load(facts, result)])
    document.heading("Checks")
    document.table(
        ["check", "outcome", "evidence"],
        [[check.name, check.outcome, "; ".join(line.strip() for line in check.evidence)] for check in result.checks],
    )
    add_memory(document, result)
    add_latencies(document, facts)
    add_restarts(document, result)
    add_trends(document, result)
    document.heading("Over time")
    document.paragraph("Dashed: restarts. All of it is in `samples.csv`, `steady.csv` and `churn.csv`.")
    for figure in figures(facts, result):
        document.figure(figure)
    document.heading("Log")
    document.preformatted([f"{elapsed_s:8.1f} s  {text}" for elapsed_s, text in facts.log])
    return document


def describe_load(facts: Facts, result: Result) -> list[str]:
    plan, settings = facts.plan, facts.settings
    churn = "" if result.churn_per_s is None else f" (really: {result.churn_per_s:.1f})"
    restart = f"every {settings.restart_every} s" if settings.restart_every else "never"
    lines = [
        f"Steady: {plan.steady.connections} connections, {plan.steady.rate_per_s:g} requests/s in an open loop; "
        f"each is used every {plan.idle_s:.1f} s",
        f"Churn: {plan.churn.connections} connections, each carries one request and is replaced, "
        f"{plan.churn_per_s:g} a second{churn}",
        f"Length {settings.seconds} s, a look every {settings.interval:g} s; the server is restarted {restart}",
        f"Server on core {listed(settings.server_cores)}, load on core {listed(settings.load_cores)}; "
        + ("a network namespace of its own" if settings.own_network else "the network of the machine"),
    ]
    if settings.debug_leak:
        lines.append(f"The server leaks on purpose: {settings.debug_leak} bytes for each connection that has closed")
    return lines


def listed(cores: list[int]) -> str:
    return ", ".join(map(str, cores))


def add_memory(document: Document, result: Result) -> None:
    rows = []
    for name in dict.fromkeys(one.process for one in result.series):
        of = {one.resource: one.trend for one in result.series if one.process == name}
        cells = [f"{of[key].level / MIB:.1f}, {of[key].last / MIB:.1f}" for key in ("rss_bytes", "pss_bytes")]
        cells += [f"{of[key].last:.0f}" for key in ("descriptors", "threads")]
        rows.append([name, *cells])
    document.heading("Memory")
    document.table(["process", "RSS: mean, last, MiB", "PSS: mean, last, MiB", "descriptors", "threads"], rows)


def add_latencies(document: Document, facts: Facts) -> None:
    rows = []
    for one in facts.loads:
        report = one.report()
        if report is None:
            continue
        times = report["latency_us"]
        figures_ms = [f"{times[key] / 1000:.3f}" for key in ("p50", "p90", "p99", "p999", "p9999", "max")]
        rows.append([one.part.name, str(report["requests"]), f"{report['requests_per_sec']:.1f}", *figures_ms])
    if rows:
        document.heading("Response times")
        document.paragraph("In milliseconds, from the moment at which a request was due, restarts included.")
        columns = ["load", "answers", "per second", "p50", "p90", "p99", "p99.9", "p99.99", "max"]
        document.table(columns, rows)


def add_restarts(document: Document, result: Result) -> None:
    if not result.restarts:
        return
    document.heading("Restarts")
    rows = []
    for one in result.restarts:
        open_at = "?" if one.open_at_drain is None else f"{one.open_at_drain:.0f}"
        rows.append(
            [
                str(one.number),
                f"{one.at_s:.1f}",
                f"{one.ready_after_s:.1f}",
                open_at,
                f"{one.drained_after_s:.1f}",
                str(one.code),
                str(one.answered),
                str(one.races),
            ]
        )
    columns = ["restart", "at, s", "successor ready after, s", "connections to drain", "old one gone after, s"]
    document.table([*columns, "its exit code", "requests it answered", "requests lost to closing connections"], rows)


def add_trends(document: Document, result: Result) -> None:
    document.heading("Leaks")
    document.paragraph(
        "Slopes over time after the first quarter, with 95 % intervals that hold for swings and for steps that "
        "stay (docs/soak.md). A leak is where the whole interval lies above zero, the growth is more than the "
        "grain, and the later half still grows. *Would have shown*: the least growth in this series that could "
        "have been told from its noise."
    )
    rows = []
    for one in result.series:
        trend = one.trend
        row = [one.process, label(one.resource)]
        if trend.verdict == stats.SHORT:
            rows.append([*row, TRENDS[trend.verdict], str(trend.samples), "", "", "", ""])
            continue
        rows.append(
            [
                *row,
                TRENDS[trend.verdict],
                f"{trend.samples} in {trend.batches}",
                amount(one.resource, trend.growth),
                f"{per_hour(one, trend.slope)} ({interval(one)})",
                amount(one.resource, trend.granularity).lstrip("+"),
                amount(one.resource, trend.resolution).lstrip("+"),
            ]
        )
    columns = ["process", "resource", "verdict", "samples in batches", "growth", "slope (95 % interval)", "grain"]
    document.table([*columns, "would have shown"], rows)


def interval(one: Series) -> str:
    return f"{per_hour(one, one.trend.low)} to {per_hour(one, one.trend.high)}"


def label(resource: str) -> str:
    return {"rss_bytes": "RSS", "pss_bytes": "PSS"}.get(resource, resource.replace("_", " "))


# --- Curves ---------------------------------------------------------------------------------------


def figures(facts: Facts, result: Result) -> list[str]:
    marks = [restart.at_s for restart in result.restarts]
    return [
        svg.chart(title, lines, marks, is_log=title.startswith("Response times"))
        for title, lines in (*of_processes(facts), *of_clients(facts), *of_machine(facts))
    ]


def column(facts: Facts, name: str, key: str, scale: float = 1.0) -> Line:
    """One column of the samples."""
    return Line(name, [(row["elapsed_s"], scaled(row.get(key), scale)) for row in facts.samples])


def of_processes(facts: Facts) -> list[tuple[str, list[Line]]]:
    loads = [part.name for part in facts.plan.parts]
    memory = (("RSS", "rss_bytes"), ("PSS", "pss_bytes"))
    return [
        (
            "Memory of the server, MiB",
            [column(facts, name, f"server_{key}", 1 / MIB) for name, key in memory],
        ),
        (
            "Memory of ringload, MiB",
            [column(facts, f"{load} {name}", f"{load}_{key}", 1 / MIB) for load in loads for name, key in memory],
        ),
        (
            "CPU, % of a core",
            [Line(name, rates(facts.samples, f"{name}_cpu_s", 100.0)) for name in ("server", *loads)],
        ),
        (
            "Descriptors and threads",
            [
                column(facts, f"{name}: {key}", f"{name}_{key}")
                for name in ("server", loads[0])
                for key in ("descriptors", "threads")
            ],
        ),
    ]


def of_clients(facts: Facts) -> list[tuple[str, list[Line]]]:
    open_ones = [column(facts, part.name, f"{part.name}_open_connections") for part in facts.plan.parts]
    return [
        ("Connections", [column(facts, "open at the server", "server_connections_open"), *open_ones]),
        ("Requests answered per second", of_loads(facts, lambda row: row["requests_per_sec"])),
        ("Response times of the steady load, ms", latencies(facts)),
    ]


def of_machine(facts: Facts) -> list[tuple[str, list[Line]]]:
    sockets = (("in use", "sockets_used"), ("TIME_WAIT", "tcp_tw"), ("orphans", "tcp_orphan"))
    return [
        ("Sockets", [column(facts, name, key) for name, key in sockets]),
        (
            "Kernel memory, MiB (the machine's)",
            [column(facts, name, key, 1 / MIB) for name, key in (("TCP", "tcp_mem_bytes"), ("slab", "slab_bytes"))],
        ),
        (
            "All cores of the machine, %",
            [
                Line("idle", shares(facts.samples, "machine_idle_s", "machine_all_s")),
                Line("stolen", shares(facts.samples, "machine_steal_s", "machine_all_s")),
            ],
        ),
    ]


def scaled(value: Any, scale: float) -> float | None:
    return None if value is None else float(value) * scale


def rates(samples: list[dict[str, Any]], key: str, scale: float) -> list[Point]:
    """How fast a counter of one process rises; nothing from one process to the next."""
    points: list[Point] = []
    for before, after in zip(samples, samples[1:]):
        passed_s = after["elapsed_s"] - before["elapsed_s"]
        is_same = not key.startswith("server") or before["generation"] == after["generation"]
        is_known = before.get(key) is not None and after.get(key) is not None
        rate = scale * (after[key] - before[key]) / passed_s if is_same and is_known and passed_s > 0 else None
        points.append((after["elapsed_s"], rate))
    return points


def shares(samples: list[dict[str, Any]], part: str, whole: str) -> list[Point]:
    """In percent, of what passed from one look to the next."""
    points: list[Point] = []
    for before, after in zip(samples, samples[1:]):
        passed = after.get(whole, 0) - before.get(whole, 0)
        share = 100.0 * (after[part] - before[part]) / passed if passed > 0 else None
        points.append((after["elapsed_s"], share))
    return points


def of_loads(facts: Facts, value: Callable[[dict[str, float]], float | None]) -> list[Line]:
    return [
        Line(
            one.part.name,
            [((one.go_s or 0) - facts.started_s + row["elapsed_us"] / 1e6, value(row)) for row in one.rows],
        )
        for one in facts.loads
    ]


def latencies(facts: Facts) -> list[Line]:
    lines = []
    for name, key in (("p50", "latency_p50_us"), ("p99", "latency_p99_us"), ("max", "latency_max_us")):
        of_load = of_loads(facts, lambda row, key=key: scaled(row.get(key), 1e-3))  # type: ignore[misc]
        lines += [Line(name, line.points) for line in of_load if line.name == "steady"]
    return lines
