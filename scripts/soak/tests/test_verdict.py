"""What is said of a soak, from figures as a run leaves them; and its report."""

import argparse
import json
import tempfile
import unittest
from html.parser import HTMLParser
from typing import Any

import report
import svg
import verdict
from load import Load, make_plan
from server import Chain, Generation
from verdict import FAILED, NOT_JUDGED, PASSED, Facts

VOID = {"meta"}


def ringload_report(requests: int, due: int, **changes: Any) -> dict[str, Any]:
    times = dict.fromkeys(("p50", "p90", "p99", "p999", "p9999", "max"), 1000.0)
    return {
        "requests": requests,
        "requests_per_sec": 100.0,
        "duration_us": 100_000_000,
        "errors": dict.fromkeys(("connect", "read", "write", "timeout", "status"), 0),
        "open_loop": {"due": due, "shed": 0, "unsent": 0},
        "unanswered": {"count": 0},
        "latency_us": times,
        "closes": [],
        **changes,
    }


def sample(number: int, generation: int, phase: str = "load") -> dict[str, Any]:
    row: dict[str, Any] = {"elapsed_s": float(number), "phase": phase, "generation": generation}
    for name in ("server", "steady", "churn"):
        row.update({f"{name}_rss_bytes": 9_000_000, f"{name}_pss_bytes": 8_000_000, f"{name}_descriptors": 12})
        row.update({f"{name}_threads": 3, f"{name}_cpu_s": 0.1 * number})
    row.update({"server_connections_open": 2016, "sockets_used": 4040, "tcp_tw": 1200, "tcp_mem_bytes": 1 << 20})
    row.update({"server_responses_5xx": 0, "server_turned_away": 0, "server_accept_errors": 0})
    return row


class RunTest(unittest.TestCase):
    """A run and what is made of it, for the tests below."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(f"{self.folder}/about", "w", encoding="utf-8") as file:
            file.write("- CPU: one | two\n")
        self.reports = {
            "steady": ringload_report(900, 900),
            "churn": ringload_report(100, 100, closes=[{"cause": "spent", "errno": None, "count": 2000}]),
        }
        self.rough: dict[str, Any] = {
            "readers": {"opened": 5, "whole": 5, "cut": 0, "overdue": 0, "failed": 0, "bytes": 10},
            "resets": {"opened": 3, "reset": 3, "ended_before": 0},
            "garbage": {"opened": 3, "refused": 3, "accepted": 0, "closed_without_answer": 0, "overdue": 0},
            "stalled": {"opened": 3, "answered": 3, "closed_without_answer": 0, "overdue": 0},
            "connect_failed": 0,
            "first_failure": None,
        }

    def facts(self) -> Facts:
        """A run of 100 s with one restart after 50, in which nothing went wrong."""
        settings = argparse.Namespace(
            output=self.folder,
            about=f"{self.folder}/about",
            interval=1.0,
            seconds=100,
            restart_every=50,
            own_network=True,
            server_cores=[0],
            load_cores=[1],
            debug_leak=0,
            drain_grace=False,
        )
        chain = Chain([], self.folder, [0], 1, lambda _: (None, 0))
        chain.generations = [
            Generation(0, 1, started_s=1000, drain_s=1050, ended_s=1052, code=0, answered=600, accepted=3),
            Generation(1, 2, asked_s=1049, started_s=1050, drain_s=1101, ended_s=1102, code=0, answered=411),
        ]
        first = chain.generations[0]
        first.open_at_drain, first.resets_at_drain, first.resets_at_end = 2016, 10, 14
        samples = [
            sample(number, int(number >= 50), "restart" if 50 <= number < 54 else "load") for number in range(100)
        ]
        facts = Facts(settings, make_plan(2000, 5000, 20_000), chain, samples)
        facts.started_s, facts.go_s, facts.probes, facts.restarts_begun = 1000, 1000, 6, 1
        facts.left_open = 0
        facts.network_before = dict.fromkeys(
            ("listen_overflows", "listen_drops", "retransmits", "tcp_timeouts", "resets_sent"), 0
        )
        facts.network_after = dict(facts.network_before, resets_sent=20)
        for part in facts.plan.parts:
            one = Load(part, self.folder, 1, code=0, go_s=1000.0)
            one.rows = [
                {
                    "elapsed_us": 1e6 * second,
                    "interval_us": 1e6,
                    "errors_read": 0,
                    "errors_write": 0,
                    "requests_per_sec": 10,
                    "latency_p50_us": 50,
                    "open_connections": part.connections,
                }
                for second in range(1, 101)
            ]
            facts.loads.append(one)
        return facts

    def judge(self, facts: Facts) -> verdict.Result:
        for name, found in self.reports.items():
            with open(f"{self.folder}/{name}.json", "w", encoding="utf-8") as file:
                json.dump(found, file)
        with open(f"{self.folder}/rough-clients.json", "w", encoding="utf-8") as file:
            json.dump(self.rough, file)
        return verdict.judge(facts)


class VerdictTest(RunTest):
    """What is said of it."""

    def assert_failed(self, facts: Facts, name: str, words: str) -> None:
        result = self.judge(facts)
        check = next(check for check in result.checks if check.name == name)
        self.assertEqual(check.outcome, FAILED, check)
        self.assertIn(words, " ".join(check.evidence))
        self.assertEqual(result.exit_code, 3)
        self.assertIn(name, result.verdict)

    def test_nothing_went_wrong(self) -> None:
        result = self.judge(self.facts())
        self.assertEqual((result.verdict, result.exit_code), ("passed", 0))
        self.assertEqual({check.outcome for check in result.checks}, {PASSED})
        self.assertEqual(result.churn_per_s, 20)
        self.assertEqual(len(result.restarts), 1)

    def test_errors_are_named(self) -> None:
        self.reports["steady"]["errors"]["status"] = 2
        self.assert_failed(self.facts(), "errors", "steady: 2 errors of the kind status")

    def test_connections_that_break_outside_of_a_restart(self) -> None:
        facts = self.facts()
        self.reports["steady"]["errors"]["read"] = 3
        facts.loads[0].rows[20]["errors_read"] = 3
        self.assert_failed(facts, "errors", "steady: 3 connections broke outside of any restart")

    def test_a_drain_explains_races_and_the_kernel_bears_it_out(self) -> None:
        facts = self.facts()
        self.reports["steady"]["errors"]["read"] = 4
        self.reports["steady"]["requests"] = 896
        self.reports["steady"]["closes"] = [{"cause": "reset", "errno": "ECONNRESET", "count": 4}]
        facts.loads[0].rows[50]["errors_read"] = 4
        facts.chain.generations[0].answered = 596
        result = self.judge(facts)
        self.assertEqual(result.verdict, "passed", result.checks)
        self.assertEqual(result.restarts[0].races, 4)
        # With a grace there is no such excuse.
        facts.settings.drain_grace = True
        self.assert_failed(facts, "errors", "restart 1: 4 connections broke, although --drain-grace")
        facts.settings.drain_grace = False
        # The kernel sent four.
        facts.chain.generations[0].resets_at_end = 13
        self.assert_failed(facts, "errors", "4 connections broke, but the kernel sent only 3 resets")

    def test_books_that_do_not_balance(self) -> None:
        self.reports["steady"]["open_loop"]["due"] = 903
        self.assert_failed(self.facts(), "books", "steady: 3 requests were lost that no restart explains")

    def test_answers_that_did_not_arrive(self) -> None:
        facts = self.facts()
        facts.chain.generations[1].answered = 413
        self.assert_failed(facts, "books", "2 answers were given and did not arrive")
        # Or that nobody gave.
        facts.chain.generations[1].answered = 409
        self.assert_failed(facts, "books", "2 answers arrived that no server says it gave")

    def test_what_was_under_way_at_the_end_is_not_lost(self) -> None:
        facts = self.facts()
        self.reports["steady"]["unanswered"]["count"] = 2
        self.reports["steady"]["open_loop"]["due"] = 902
        for answered in (411, 412, 413):
            facts.chain.generations[1].answered = answered
            self.assertEqual(self.judge(facts).exit_code, 0)

    def test_connections_missing_at_the_end(self) -> None:
        facts = self.facts()
        for row in facts.loads[0].rows[-verdict.LAST_INTERVALS :]:
            row["open_connections"] -= 1
        self.assert_failed(facts, "connections", "only 1899 of 1900")

    def test_a_load_that_ended_early(self) -> None:
        facts = self.facts()
        facts.loads[1].code = 1
        self.assert_failed(facts, "load", "churn: ringload ended with code 1")

    def test_a_server_that_ended_badly(self) -> None:
        facts = self.facts()
        facts.chain.generations[1].code = -11
        self.assert_failed(facts, "server and restarts", "server 1 ended by signal SIGSEGV")
        facts = self.facts()
        facts.restarts_begun = 2
        self.assert_failed(facts, "server and restarts", "of 2 restarts 1 came to their end")
        facts = self.facts()
        facts.server_failure = "server 1 ended by itself, by signal SIGKILL"
        self.assert_failed(facts, "server and restarts", "SIGKILL")

    def test_drops_in_the_listen_queue(self) -> None:
        facts = self.facts()
        facts.network_after["listen_drops"] = 5
        self.assert_failed(facts, "listen queue", "5 listen drops")
        facts.settings.own_network = False
        result = self.judge(facts)
        self.assertEqual(result.exit_code, 0)
        self.assertIn(NOT_JUDGED, {check.outcome for check in result.checks})
        self.assertNotIn("sockets_used", {one.resource for one in result.series})

    def test_rough_clients_that_were_treated_wrongly(self) -> None:
        self.rough["readers"]["cut"] = 1
        self.rough["first_failure"] = "after 5 of 10 bytes"
        words = "1 answers to slow readers were cut short; the first failure: after 5"
        self.assert_failed(self.facts(), "rough clients", words)

    def test_connections_that_are_not_freed(self) -> None:
        facts = self.facts()
        facts.left_open = 4
        self.assert_failed(facts, "connections freed", "4 connections")

    def test_what_the_server_counts(self) -> None:
        facts = self.facts()
        facts.samples[40]["server_accept_errors"] = 2
        self.assert_failed(facts, "server's own counters", "server 0: 2 accepts that failed")

    def test_a_leak_of_one_generation(self) -> None:
        facts = self.facts()
        for row in facts.samples[54:]:
            row["server_rss_bytes"] += int(20_000 * row["elapsed_s"])
        self.assert_failed(facts, "leaks", "server 1, rss bytes: grew by")
        leaking = [one for one in self.judge(facts).series if one.trend.verdict == "leak"]
        self.assertEqual([(one.process, one.resource) for one in leaking], [("server 1", "rss_bytes")])
        self.assertAlmostEqual(leaking[0].trend.slope, 20_000, delta=1)

    def test_what_a_restart_gives_back_is_no_trend(self) -> None:
        facts = self.facts()
        for row in facts.samples:
            row["server_rss_bytes"] += 0 if row["generation"] else 5_000_000
        self.assertEqual(self.judge(facts).exit_code, 0)

    def test_what_ringload_keeps_of_intervals_is_allowed(self) -> None:
        facts = self.facts()
        for row in facts.samples:
            row["steady_rss_bytes"] += int(400 * row["elapsed_s"])
        self.assertEqual(self.judge(facts).exit_code, 0)

    def test_told_to_end(self) -> None:
        facts = self.facts()
        facts.signal = 15
        result = self.judge(facts)
        self.assertEqual(result.exit_code, 143)
        self.assertIn("so far nothing had failed", result.verdict)
        facts.loads[0].code = 130
        self.assertEqual(self.judge(facts).exit_code, 143)

    def test_what_could_not_be_done(self) -> None:
        facts = self.facts()
        facts.cannot = "the server did not start"
        self.assertEqual(self.judge(facts).exit_code, 1)
        # Nothing was seen at all.
        empty = Facts(facts.settings, facts.plan, Chain([], self.folder, [0], 1, lambda _: (None, 0)), [])
        empty.cannot = "no"
        self.assertEqual(self.judge(empty).exit_code, 1)
        report.write(empty, self.judge(empty))


class Page(HTMLParser):
    """Whether all that is opened is closed, and nothing comes from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> out of place"


class ReportTest(RunTest):
    """The same run, written down."""

    def test_both_forms(self) -> None:
        facts = self.facts()
        result = self.judge(facts)
        report.write(facts, result)
        with open(f"{self.folder}/soak.md", encoding="utf-8") as file:
            markdown = file.read()
        with open(f"{self.folder}/soak.html", encoding="utf-8") as file:
            page = file.read()
        self.assertIn("**passed**", markdown)
        for form in (markdown, page):
            for words in ("CPU: one | two", "Restarts", "server 1", "would have shown", "2016"):
                self.assertIn(words, form)
        parser = Page()
        parser.feed(page)
        self.assertEqual(parser.open, [])
        self.assertEqual(parser.links, [])
        self.assertGreaterEqual(parser.seen.count("svg"), 8)
        # Every row of a table has as many cells as its head.
        for block in markdown.split("\n\n"):
            lines = [line.replace("\\|", "") for line in block.splitlines()]
            if lines[0].startswith("|"):
                self.assertEqual({line.count("|") for line in lines}, {lines[0].count("|")}, block)


class CurvesTest(unittest.TestCase):
    def test_gaps_are_gaps(self) -> None:
        line = svg.Line("a", [(0, 1.0), (1, None), (2, 3.0), (3, 4.0)])
        drawn = svg.chart("title", [line])
        self.assertEqual(drawn.count('class="curve'), 1)
        curve = drawn.split('class="curve c0" d="')[1].split('"')[0]
        self.assertEqual((curve.count("M"), curve.count("L")), (2, 1))

    def test_no_peak_is_lost(self) -> None:
        points = [(float(number), 100.0 if number == 4321 else 1.0) for number in range(20_000)]
        kept = svg.thin(points)
        self.assertLess(len(kept), 800)
        self.assertIn((4321.0, 100.0), kept)

    def test_nothing_to_show(self) -> None:
        self.assertEqual(svg.chart("title", [svg.Line("a", [(0, None)])]), "")

    def test_axes_hold_the_values(self) -> None:
        for low, high in ((0.0, 0.0), (3.0, 3.0), (0.0, 7.3), (-2.0, 5.0), (990.0, 1010.0), (1e-3, 2e9)):
            axis = svg.linear_axis(low, high)
            self.assertLessEqual(axis.low, low)
            self.assertGreaterEqual(axis.high, high)
            self.assertLessEqual(len(axis.ticks), 8)
        axis = svg.log_axis(0.05, 1200)
        self.assertEqual((axis.low, axis.high), (0.01, 10_000))
        self.assertAlmostEqual(axis.share(10.0), 0.5)


if __name__ == "__main__":
    unittest.main()
