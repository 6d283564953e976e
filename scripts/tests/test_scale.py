"""Tests of scripts/scale: what is made of a run, the statistics, the plots, the estimate and the report."""

import base64
import contextlib
import csv
import io
import json
import struct
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree
import zlib
from html.parser import HTMLParser
from pathlib import Path

SCALE = Path(__file__).resolve().parent.parent / "scale"
sys.path.insert(0, str(SCALE))

import estimate  # noqa: E402
import figures  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402


def payload(counts):
    """An HdrHistogram V2 payload with these counts by index, three digits, unit 1."""
    body = b""

    def put(number):
        number = (number << 1) ^ (number >> 63)
        out = b""
        while number >= 0x80:
            out += bytes([number & 0x7F | 0x80])
            number >>= 7
        return out + bytes([number])

    at = 0
    for index in sorted(counts):
        if index > at:
            body += put(-(index - at))
        body += put(counts[index])
        at = index + 1
    head = struct.pack(">iiiiqqd", 0x1C849303, len(body), 0, 3, 1, 10**9, 1.0)
    packed = zlib.compress(head + body)
    return base64.b64encode(struct.pack(">ii", 0x1C849304, len(packed)) + packed).decode()


def interval(number, open_connections, requests, server_cpu_ns=0, **more):
    """One of a quarter of a second."""
    return {
        "elapsed_us": number * 250_000,
        "interval_us": 250_000,
        "open_connections": open_connections,
        "requests": requests,
        "loader_cpu_ns": requests * 4000,
        "server": {"cpu_ns": server_cpu_ns},
        "machine": {"steal_share": 0.01, "softirq_share": 0.3},
    } | more


def run_report(**more):
    """What ringload would print, as far as it is read."""
    return {
        "connections": {"wanted": 10, "answered": 10, "all_open_us": 300_000},
        "errors": {"connect": 0, "read": 1, "write": 0, "timeout": 0, "status": 2},
        "verdict": {"limit": "client"},
        "requests": 5000,
        "bytes_read": 5000 * 150,
        "bytes_written": 5000 * 40,
        "intervals": [
            interval(1, 7, 900, 9_000_000),
            interval(2, 10, 1000, 9_000_000),
            interval(3, 10, 1000, 5_000_000),
            interval(4, 10, 1500, 7_500_000),
            interval(5, 0, 600, 9_000_000),
        ],
    } | more


LOG = "\n".join(
    [
        "#[Histogram log format version 1.3]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
        f"0.000,0.250,1.000,{payload({2000: 900})}",
        f"0.250,0.250,1.000,{payload({2000: 1000})}",
        f"0.500,0.250,1.000,{payload({100: 999, 1000: 1})}",
        f"0.750,0.250,1.000,{payload({100: 1450, 500: 50})}",
        f"1.000,0.250,1.000,{payload({2000: 600})}",
    ]
)


class Runs(unittest.TestCase):
    def test_only_what_came_with_all_connections_open_counts(self):
        got = figures.run_figures(run_report(), LOG, 0)
        # The third and the fourth: the second begins before all are open, the fifth ends with none.
        self.assertEqual(got["steady_ms"], 500)
        self.assertEqual(got["requests"], 2500)
        self.assertEqual(got["requests_per_sec"], 5000.0)
        self.assertEqual(got["server_cpu_us"], 5.0)
        self.assertEqual(got["load_cpu_us"], 4.0)
        self.assertEqual(got["p50_us"], 0.1)
        self.assertEqual(got["p99_us"], 0.5)
        self.assertEqual(got["errors"], 3)
        self.assertEqual((got["bytes_read"], got["bytes_written"]), (150.0, 40.0))
        self.assertEqual((got["all_open_ms"], got["limit"]), (300, "client"))

    def test_the_warm_up_is_left_out(self):
        self.assertEqual(figures.run_figures(run_report(), LOG, 700_000)["requests"], 1500)

    def test_a_run_whose_connections_never_were_all_open_has_no_figures(self):
        connections = {"wanted": 10, "answered": 7, "all_open_us": None}
        got = figures.run_figures(run_report(connections=connections, verdict=None), LOG, 0)
        self.assertEqual((got["steady_ms"], got["answered"], got["errors"]), (0, 7, 3))
        self.assertNotIn("requests_per_sec", got)

    def test_a_log_of_another_run_is_refused(self):
        with self.assertRaises(figures.Unusable):
            figures.run_figures(run_report(), LOG.splitlines()[0], 0)

    def test_percentiles_are_those_of_the_merged_counts(self):
        counts = {10: 98, 20: 1, 30: 1}
        self.assertEqual([figures.percentile(counts, share) for share in (0.5, 0.98, 0.99, 1)], [10, 10, 20, 30])
        self.assertIsNone(figures.percentile({}, 0.5))


class Collect(unittest.TestCase):
    def collect(self, *pairs, **more):
        with tempfile.TemporaryDirectory() as folder:
            report_path, log_path = Path(folder, "r.json"), Path(folder, "r.hlog")
            report_path.write_text(json.dumps(run_report(**more)), encoding="utf-8")
            log_path.write_text(LOG, encoding="utf-8")
            command = [sys.executable, "-B", SCALE / "collect.py", report_path, log_path, "0", *pairs]
            return subprocess.run(command, capture_output=True, text=True, check=False)

    def test_a_line_has_all_columns(self):
        done = self.collect("round=1", "arm=nginx", "axis=bytes", "value=100", "body_bytes=100")
        self.assertEqual(done.returncode, 0, done.stderr)
        row = dict(zip(figures.COLUMNS, next(csv.reader([done.stdout]))))
        self.assertEqual(len(row), len(figures.COLUMNS))
        self.assertEqual((row["arm"], row["value"], row["requests_per_sec"]), ("nginx", "100", "5000.0"))

    def test_memory_of_a_run_that_never_had_all_connections_is_none(self):
        connections = {"wanted": 10, "answered": 7, "all_open_us": None}
        seen = ("pss_bytes=5", "slab_bytes=6", "softirq_share=0.1")
        for more, expected in (({}, ["0.1", "5", "6"]), ({"connections": connections}, ["", "", ""])):
            done = self.collect(*seen, **more)
            row = dict(zip(figures.COLUMNS, next(csv.reader([done.stdout]))))
            self.assertEqual([row[name] for name in figures.SEEN_BESIDE], expected)

    def test_answers_that_are_too_short_are_refused(self):
        done = self.collect("arm=nginx", "body_bytes=1000")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("nginx answers with 150.0 bytes where 1000 were asked for", done.stderr)

    def test_a_column_that_is_none_is_refused(self):
        self.assertIn("no column colour", self.collect("colour=red").stderr)


class Statistics(unittest.TestCase):
    def test_spread(self):
        spread = figures.Spread.of([4, None, 1, 2, 3])
        self.assertEqual((spread.median, spread.low, spread.high, spread.count), (2.5, 1, 4, 4))
        self.assertEqual((spread.first_quarter, spread.third_quarter), (1.75, 3.25))
        self.assertIsNone(figures.Spread.of([None]))

    def test_a_disturbed_point_does_not_tilt_the_slope(self):
        points = [(x, 100 + 7 * x) for x in range(1, 10)]
        self.assertAlmostEqual(figures.slope(points).median, 7)
        self.assertAlmostEqual(figures.slope([*points, (10, 5000)]).median, 7)
        self.assertIsNone(figures.slope([(1, 2), (1, 3)]))


class Plots(unittest.TestCase):
    def spread(self, median, low=None, high=None):
        return figures.Spread(median, low or median, high or median, median, median, 3)

    def test_ticks_are_one_two_five(self):
        self.assertEqual(plots.ticks(1, 20), [1, 2, 5, 10, 20])
        self.assertEqual((plots.tick_below(3), plots.tick_above(3)), (2, 5))
        self.assertEqual((plots.tick_below(2), plots.tick_above(2)), (2, 2))
        self.assertEqual((plots.tick_below(0.07), plots.tick_above(60)), (0.05, 100))

    def test_an_axis_is_logarithmic(self):
        axis = plots.Axis(1, 100, 0, 200)
        self.assertEqual([round(axis.at(value)) for value in (1, 10, 100)], [0, 100, 200])

    def test_zero_has_a_place_before_the_lowest(self):
        axis = plots.x_axis([0, 100, 1000, 10000])
        places = [axis.at(value) for value in (0, 100, 1000, 10000)]
        steps = [round(b - a, 6) for a, b in zip(places, places[1:])]
        self.assertEqual(len(set(steps)), 1, steps)

    def test_a_plot_is_well_formed_and_has_all_points(self):
        first = [(1, self.spread(10, 9, 12)), (100, self.spread(30))]
        second = [(1, self.spread(20)), (100, self.spread(0))]
        svg = plots.plot("a < b", [("one", first), ("two", second)], "x", plots.amount, plots.time_us)
        root = ElementTree.fromstring(svg)
        marks = [it for it in root.iter() if it.get("class", "").startswith("mark")]
        # The one at zero has no place on a logarithmic axis.
        self.assertEqual([it.get("class") for it in marks], ["mark s0", "mark s0", "mark s1"])
        self.assertEqual(marks[0].find("title").text, "one, 1: 10 us [9 us .. 12 us]")

    def test_nothing_to_draw(self):
        self.assertIsNone(plots.plot("t", [("one", [])], "x", plots.amount, plots.amount))
        self.assertIsNone(plots.plot("t", [("one", [(1, self.spread(0))])], "x", plots.amount, plots.amount))

    def test_labels(self):
        self.assertEqual([plots.amount(it) for it in (1, 999, 1000, 1500, 2e6)], ["1", "999", "1k", "1.5k", "2M"])
        self.assertEqual([plots.size(it) for it in (0, 100, 10_000)], ["0", "100 B", "10 kB"])
        self.assertEqual([plots.time_us(it) for it in (50, 1200, 3e6)], ["50 us", "1.2 ms", "3 s"])
        self.assertEqual(plots.memory(3 * 2**20), "3 MiB")


def runs():
    """Two arms, two rounds, along two axes; a point of one arm never had all connections open."""
    made = []

    def add(arm, axis, value, number, **more):
        row = dict.fromkeys(figures.COLUMNS)
        row |= {
            "round": number,
            "arm": arm,
            "axis": axis,
            "value": float(value),
            "server_cores": "0",
            "load_cores": "1",
            "shards": 1.0,
            "requests": 1000.0,
            "requests_per_sec": 100_000.0 + number,
            "server_cpu_us": 5.0 if arm == "ringserve" else 10.0,
            "load_cpu_us": 4.0,
            "p50_us": 50.0,
            "p99_us": 90.0,
            "errors": 0.0,
            "answered": float(value),
            "bytes_read": 130.0,
            "bytes_written": 45.0,
            "softirq_share": 0.25,
            "steal_share": 0.0,
            "pss_bytes": 2_000_000.0 + 100 * value,
            "slab_bytes": 8000.0 * value,
            "foreign_cpu_ms": 3.0,
            "limit": "client",
        }
        made.append(row | more)

    for number in (1, 2):
        for arm in ("nginx", "ringserve"):
            for value in (1, 1000, 10000):
                add(arm, "connections", value, number)
            for value in (1, 16):
                add(arm, "pipeline", value, number, server_cpu_us=5.0 / value)
            add(arm, "bytes", 0, number)
            add(arm, "bytes", 1_000_000, number, server_cpu_us=100.0, bytes_read=1_000_150.0)
    lost = [row for row in made if row["arm"] == "nginx" and row["value"] == 10000]
    for row in lost:
        row |= dict.fromkeys(["requests", "requests_per_sec", "server_cpu_us", "load_cpu_us", "p50_us", "p99_us"])
        row |= {"answered": 9000.0, "errors": 12.0}
    return made


class Estimate(unittest.TestCase):
    def setUp(self):
        self.summary = figures.Summary(runs())

    def work(self, cost_us, out, into=100.0, depth=1):
        cost = figures.Spread(cost_us, cost_us, cost_us, cost_us, cost_us, 1)
        return estimate.Workload("w", cost, out, into, depth)

    def test_the_rate_is_what_the_cores_can_do(self):
        rate = self.work(5.0, 150).rate()
        self.assertAlmostEqual(rate.most, 64 * 0.9e6 / 5)
        self.assertAlmostEqual(rate.likely, 64 * 0.8e6 / (5 * 1.3 * 1.2))
        self.assertAlmostEqual(rate.least, 64 * 0.7e6 / (5 * 1.7 * 1.5))

    def test_assumptions_go_from_worse_to_better(self):
        for it in estimate.ASSUMED:
            steps = (it.range.least, it.range.likely, it.range.most)
            self.assertIn(list(steps), [sorted(steps), sorted(steps, reverse=True)], it.name)

    def test_segments(self):
        self.assertEqual(self.work(5, 150).segments(), (1, 1))
        # 16 answers of 130 bytes are 2,080: two segments for all of them.
        self.assertEqual(self.work(5, 130, 45, 16).segments(), (2 / 16, 1 / 16))
        # 10 segments, 9 of them acknowledged by every second.
        self.assertEqual(self.work(5, 14480).segments(), (10, 1 + 4.5))

    def test_large_answers_fill_the_card_first(self):
        large = self.work(100.0, 1_000_150)
        bits = 8 * (1_000_150 + 691 * 90)
        self.assertAlmostEqual(large.nic_rate(), 100e9 / bits)
        rate, by = large.limited()
        self.assertEqual(by, "card")
        self.assertAlmostEqual(rate.likely, 100e9 / bits)
        self.assertEqual(self.work(5.0, 150).limited()[1], "CPU")

    def test_workloads_are_those_that_were_measured(self):
        names = [work.name for work in estimate.workloads(self.summary, "ringserve")]
        self.assertEqual(
            names, ["hello, 1k connections", "hello, 10k connections", "hello, pipelined x16", "1 MB a response"]
        )

    def test_a_connection_costs_what_memory_grows_by(self):
        per = estimate.Connections.of(self.summary, "ringserve")
        self.assertAlmostEqual(per.user.median, 100)
        # Half of what the kernel grew by: it holds both ends.
        self.assertAlmostEqual(per.kernel.median, 4000)
        most = per.most()
        self.assertAlmostEqual(most.likely, 256 * 2**30 * 0.8 / 4100)
        self.assertTrue(most.least <= most.likely <= most.most)

    def test_one_number_of_connections_tells_nothing_of_its_cost(self):
        few = figures.Summary([run for run in runs() if run["value"] <= 1000])
        self.assertIsNone(estimate.Connections.of(few, "ringserve").most())
        told = estimate.limits(few, "ringserve", estimate.workloads(few, "ringserve"))
        self.assertIn("could not be told", " ".join(told))

    def test_all_limits_are_told(self):
        told = " ".join(estimate.limits(self.summary, "ringserve", estimate.workloads(self.summary, "ringserve")))
        for word in ("CPU", "Packets", "Bandwidth", "Memory bandwidth", "Ports", "Files", "tracking", "load", "Soft"):
            self.assertIn(word, told)
        self.assertIn("limits before the CPU: hello, pipelined x16.", told)
        self.assertIn("25 % [25 .. 25]", told)

    def test_without_runs_nothing_is_made_up(self):
        self.assertEqual(len(estimate.limits(figures.Summary([]), "ringserve", [])), 1)


class Nesting(HTMLParser):
    """Collects elements that are not closed in order."""

    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.wrong, self.tables = [], [], 0

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


class Report(unittest.TestCase):
    def setUp(self):
        self.blocks = report.report(figures.Summary(runs()), ["Date: today & <now>"])

    def test_markdown(self):
        text = report.to_markdown(self.blocks, "scale.html")
        self.assertIn("| 1k | ringserve | 100k [100k .. 100k] | 5 [5 .. 5] | 50 us [50 .. 50] |", text)
        self.assertIn("| 10k | nginx | - | - | - | - |", text)
        self.assertIn("nginx, connections 10k: 2 of 2 runs had no time with all connections open (at most 9k", text)
        self.assertIn("0.312 us at 16, 0.0625 times as much", text)

    def test_the_page_is_well_formed_and_needs_nothing_else(self):
        page = report.to_html(self.blocks)
        nesting = Nesting()
        nesting.feed(page)
        self.assertEqual((nesting.wrong, nesting.open), ([], []))
        self.assertEqual(nesting.tables, 5)
        self.assertIn("Date: today &amp; &lt;now&gt;", page)
        for word in ("http://", "https://", "<script", "@import", "url("):
            self.assertNotIn(word, page)
        self.assertEqual(page.count('role="img"'), 4 * 3)

    def test_a_unit_stands_once_if_all_have_it(self):
        spread = figures.Spread(1500, 900, 2000, 0, 0, 3)
        self.assertEqual(report.spread_text(spread, plots.time_us), "1.5 ms [900 us .. 2 ms]")
        self.assertEqual(report.spread_text(spread, plots.amount), "1.5k [900 .. 2k]")
        self.assertEqual(report.spread_text(figures.Spread(5, 4, 6, 0, 0, 3), plots.time_us), "5 us [4 .. 6]")
        self.assertEqual(report.spread_text(None, plots.amount), "-")
        self.assertEqual(report.bytes_of(-3 * 2**20), "-3 MiB")

    def test_connections_are_compared_with_where_they_are_cheapest(self):
        dear = runs()
        for row in dear:
            if row["axis"] == "connections" and row["value"] == 1:
                row["server_cpu_us"] = 50.0
        text = report.to_markdown(report.report(figures.Summary(dear), []), "x.html")
        self.assertIn("ringserve: a request's CPU goes from 5 us at 1k to 5 us at 10k, 1 times as much.", text)

    def test_tables_are_even(self):
        for kind, *content in self.blocks:
            if kind == "table":
                columns, rows = content
                self.assertEqual({len(row) for row in rows}, {len(columns)})

    def test_shared_cores_are_told(self):
        shared = runs()
        for row in shared:
            row |= {"axis": "shards", "value": 2.0, "server_cores": "0 1", "load_cores": "0 1", "shards": 2.0}
        text = report.to_markdown(report.report(figures.Summary(shared), []), "x.html")
        self.assertIn(", shared", text)

    def test_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, name) for name in ("runs.csv", "facts", "out.md", "out.html")]
            with open(paths[0], "w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, figures.COLUMNS)
                writer.writeheader()
                writer.writerows({name: "" if it is None else it for name, it in row.items()} for row in runs())
            paths[1].write_text("- a fact\n\n", encoding="utf-8")
            subprocess.run([sys.executable, "-B", SCALE / "report.py", *paths], check=True)
            self.assertIn("- a fact\n", paths[2].read_text(encoding="utf-8"))
            self.assertTrue(paths[3].read_text(encoding="utf-8").startswith("<!DOCTYPE html>"))


if __name__ == "__main__":
    with contextlib.redirect_stdout(io.StringIO()):
        unittest.main()
