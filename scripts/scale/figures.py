"""What a run of scale.sh is as figures: read from ringload's report, kept as a line of CSV, put together.

Only what happened while all connections were open counts: of a run with 100,000 of them, opening is a part that is
not to be averaged in. ringload's intervals and their histograms (HDR log) make that possible.
"""

import csv
import math
import statistics
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lib"))
import omission  # noqa: E402  reads HdrHistogram's payloads

TEXT_COLUMNS = ["arm", "axis", "server_cores", "load_cores", "limit"]
COLUMNS = [
    "round",
    "arm",
    "axis",
    "value",
    "connections",
    "pipeline",
    "body_bytes",
    "shards",
    "server_cores",
    "load_threads",
    "load_cores",
    "steady_ms",
    "requests",
    "requests_per_sec",
    "server_cpu_us",
    "load_cpu_us",
    "p50_us",
    "p99_us",
    "errors",
    "answered",
    "bytes_read",
    "bytes_written",
    "softirq_share",
    "steal_share",
    "pss_bytes",
    "slab_bytes",
    "foreign_cpu_ms",
    "all_open_ms",
    "limit",
]
# Those that the script looks up while the load goes on.
SEEN_BESIDE = ["softirq_share", "pss_bytes", "slab_bytes"]
# Where the report has nothing to say; in the CSV an empty cell.
NONE = ""


class Unusable(Exception):
    """A report that is not what it should be, and why."""


def hlog(text):
    """The intervals of an HDR log: (start in us, length in us, payload)."""
    for line in text.splitlines():
        if not line or line.startswith(("#", '"')):
            continue
        start, length, _, payload = line.split(",", 3)
        yield round(float(start) * 1e6), round(float(length) * 1e6), payload


def percentile(counts, share):
    """The smallest value that at least this share of all is not above; None of nothing."""
    total = sum(counts.values())
    rank, seen = math.ceil(share * total), 0
    for value in sorted(counts):
        seen += counts[value]
        if seen >= rank:
            return value
    return None


def steady(report, skip_us):
    """The intervals in which all connections were open from the beginning, and warm."""
    all_open_us = report["connections"]["all_open_us"]
    if all_open_us is None:
        return []
    begin_us = max(all_open_us, skip_us)
    wanted = report["connections"]["wanted"]
    return [
        part
        for part in report["intervals"]
        if part["elapsed_us"] - part["interval_us"] >= begin_us
        and part["open_connections"] == wanted
        and part["server"] is not None
    ]


def latencies(parts, log):
    """How often each latency (ns) was seen in these intervals."""
    ends = {part["elapsed_us"] for part in parts}
    counts = Counter()
    for start_us, length_us, payload in hlog(log):
        # The log has milliseconds.
        if any(abs(start_us + length_us - end) <= 2000 for end in ends):
            for value, count in omission.counts(payload):
                counts[value] += count
    return counts


def run_figures(report, log, skip_us):
    """A run's figures by column, without those that the script knows itself."""
    parts = steady(report, skip_us)
    errors = sum(report["errors"].values())
    figures = {
        "errors": errors,
        "answered": report["connections"]["answered"],
        "all_open_ms": _ms(report["connections"]["all_open_us"]),
        "limit": (report["verdict"] or {}).get("limit") or NONE,
        "steady_ms": sum(part["interval_us"] for part in parts) // 1000,
    }
    requests = sum(part["requests"] for part in parts)
    if requests == 0:
        return figures
    seconds = sum(part["interval_us"] for part in parts) / 1e6
    counts = latencies(parts, log)
    if not counts:
        raise Unusable("the HDR log has none of the intervals of the report")
    machine = [part["machine"] for part in parts if part["machine"]]
    figures |= {
        "requests": requests,
        "requests_per_sec": round(requests / seconds, 1),
        "server_cpu_us": round(sum(part["server"]["cpu_ns"] for part in parts) / 1e3 / requests, 4),
        "load_cpu_us": round(sum(part["loader_cpu_ns"] for part in parts) / 1e3 / requests, 4),
        "p50_us": round(percentile(counts, 0.5) / 1e3, 1),
        "p99_us": round(percentile(counts, 0.99) / 1e3, 1),
        "bytes_read": round(report["bytes_read"] / report["requests"], 1),
        "bytes_written": round(report["bytes_written"] / report["requests"], 1),
        "steal_share": round(statistics.fmean(it["steal_share"] for it in machine), 4) if machine else NONE,
    }
    return figures


def _ms(us):
    return NONE if us is None else us // 1000


# --- All runs -----------------------------------------------------------------------------------


def read_runs(path):
    """The runs of a CSV file, each a dict; figures that are missing are None."""
    with open(path, encoding="utf-8", newline="") as file:
        return [_typed(row) for row in csv.DictReader(file)]


def _typed(row):
    return {
        name: text if name in TEXT_COLUMNS else (float(text) if text else None)
        for name, text in row.items()
    }


@dataclass(frozen=True)
class Spread:
    """What was seen of a figure over the rounds."""

    median: float
    low: float
    high: float
    first_quarter: float
    third_quarter: float
    count: int

    @classmethod
    def of(cls, values):
        """Of those that are there; None if none is."""
        there = sorted(value for value in values if value is not None)
        if not there:
            return None
        first, third = quantile(there, 0.25), quantile(there, 0.75)
        return cls(statistics.median(there), there[0], there[-1], first, third, len(there))


def quantile(ordered, share):
    """Between the two nearest of them, as scripts/lib/stats.awk has it."""
    at = (len(ordered) - 1) * share
    below = math.floor(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


class Summary:
    """The spreads of all figures at all points of all axes."""

    def __init__(self, runs):
        self.runs = runs
        self.arms = list(dict.fromkeys(run["arm"] for run in runs))
        # ringserve first, whatever the order of the first round was.
        self.arms.sort(key=lambda arm: (arm != "ringserve", arm))
        self.groups = {}
        for run in runs:
            self.groups.setdefault((run["arm"], run["axis"], run["value"]), []).append(run)

    def values(self, axis):
        """The points of an axis, in order."""
        return sorted({run["value"] for run in self.runs if run["axis"] == axis})

    def axes(self):
        """Those that were measured, in the order of the reports."""
        there = {run["axis"] for run in self.runs}
        return [axis for axis in ("connections", "shards", "pipeline", "bytes") if axis in there]

    def spread(self, arm, axis, value, figure):
        """Of one figure at one point; None if it was not measured there."""
        group = self.groups.get((arm, axis, value), [])
        return Spread.of(run[figure] for run in group)

    def first(self, arm, axis, value, column):
        """What a column that is the same in all rounds has there."""
        group = self.groups.get((arm, axis, value), [])
        return group[0][column] if group else None

    def series(self, arm, axis, figure):
        """Pairs of value and spread, for those points that have one."""
        pairs = ((value, self.spread(arm, axis, value, figure)) for value in self.values(axis))
        return [(value, spread) for value, spread in pairs if spread is not None]


def slope(points):
    """By how much y grows with x: the median of the slopes between all pairs (Theil and Sen), so that a
    disturbed point does not tilt it, with the quartiles of these slopes. None with fewer than two x."""
    slopes = [
        (y2 - y1) / (x2 - x1)
        for i, (x1, y1) in enumerate(points)
        for x2, y2 in points[i + 1 :]
        if x1 != x2
    ]
    return Spread.of(slopes)
