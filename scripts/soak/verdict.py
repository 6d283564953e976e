"""What is to be said of a soak: each check with its evidence, and the exit code."""

import argparse
import json
from dataclasses import dataclass, field, replace
from typing import Any, Iterable

import processes
import stats
from load import Load, Plan
from server import Chain
from stats import Trend

PASSED, FAILED, NOT_JUDGED = "passed", "FAILED", "not judged"

KIB = 1024
# Growth over a series that means nothing. Memory: allocators take it from the kernel in stretches of
# 128 KiB (glibc's M_TOP_PAD), of which pages count when they are touched; half a stretch. Descriptors
# and threads: one may have been opened for a moment. Sockets and connections: what is being replaced.
GRANULARITY = {
    "rss_bytes": 64 * KIB,
    "pss_bytes": 64 * KIB,
    "descriptors": 1.0,
    "threads": 1.0,
    "connections_open": 8.0,
    "sockets_used": 8.0,
}
# ringload keeps the figures of every interval for its report: 231 bytes, and the vector that they are
# in grows by doubling.
BYTES_PER_INTERVAL = 512
# How ringload calls what a connection comes to where it sends on one that the server is closing.
RACE_CAUSES = {"truncated", "reset", "read_failed", "write_failed"}
# Of these a connection may end in a good run.
GOOD_CAUSES = {"spent", "server_closed"}
# Connections of those that come and go that may be between two at the last look.
CHURN_SHORT_SHARE = 0.05
LAST_INTERVALS = 5


@dataclass
class Facts:
    """All that was seen."""

    settings: argparse.Namespace
    plan: Plan
    chain: Chain
    samples: list[dict[str, Any]]
    loads: list[Load] = field(default_factory=list)
    log: list[tuple[float, str]] = field(default_factory=list)
    # By the monotonic clock: the start, and when all connections were open.
    started_s: float = 0.0
    go_s: float = 0.0
    probes: int = 0
    restarts_begun: int = 0
    cannot: str | None = None
    server_failure: str | None = None
    signal: int | None = None
    left_open: float | None = None
    network_before: dict[str, int] = field(default_factory=dict)
    network_after: dict[str, int] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        return self.settings.output

    def load_named(self, name: str) -> Load | None:
        return next((one for one in self.loads if one.part.name == name), None)

    def rough_clients(self) -> dict[str, Any] | None:
        try:
            with open(f"{self.folder}/rough-clients.json", encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            return None


@dataclass(frozen=True)
class Check:
    name: str
    outcome: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Series:
    """The trend of one resource of one process."""

    process: str
    resource: str
    trend: Trend


@dataclass(frozen=True)
class Restart:
    """One hot restart, as both sides saw it."""

    number: int
    # When the old server was told to end, how long its successor took to be ready before that, and how
    # long the old one took to end.
    at_s: float
    ready_after_s: float
    drained_after_s: float
    open_at_drain: float | None
    answered: int | None
    code: int | None
    # Requests that were sent on connections that the old server had just closed.
    races: int
    # Resets that the kernel has sent meanwhile.
    resets: int | None


@dataclass(frozen=True)
class Result:
    verdict: str
    exit_code: int
    checks: tuple[Check, ...]
    series: tuple[Series, ...]
    restarts: tuple[Restart, ...]
    churn_per_s: float | None

    def as_json(self) -> dict[str, Any]:
        return {
            "verdict": self.verdict,
            "exit_code": self.exit_code,
            "churn_per_s": self.churn_per_s,
            "checks": [vars(check) for check in self.checks],
            "restarts": [vars(restart) for restart in self.restarts],
            "series": [{**vars(one), "trend": vars(one.trend)} for one in self.series],
        }


def judge(facts: Facts) -> Result:
    restarts = tuple(find_restarts(facts))
    series = tuple(find_trends(facts))
    checks = [
        check_server(facts),
        check_loads(facts),
        check_errors(facts, restarts),
        check_books(facts, restarts),
        check_connections(facts),
        check_rough_clients(facts),
        check_freed(facts),
        check_listen_queue(facts),
        check_engine(facts),
        check_leaks(series),
    ]
    verdict, code = conclude(facts, checks)
    return Result(verdict, code, tuple(checks), series, restarts, achieved_churn(facts))


def conclude(facts: Facts, checks: Iterable[Check]) -> tuple[str, int]:
    if facts.cannot:
        return f"could not be done: {facts.cannot}", 1
    failed = [check.name for check in checks if check.outcome == FAILED]
    if facts.signal:
        state = f"so far failed: {', '.join(failed)}" if failed else "so far nothing had failed"
        return f"interrupted; {state}", 128 + facts.signal
    if failed:
        return "FAILED: " + ", ".join(failed), 3
    return "passed", 0


# --- The checks -----------------------------------------------------------------------------------


def outcome_of(problems: list[str], evidence: list[str], name: str) -> Check:
    if problems:
        return Check(name, FAILED, tuple(problems + evidence))
    return Check(name, PASSED, tuple(evidence))


def check_server(facts: Facts) -> Check:
    problems, evidence = [], []
    if facts.server_failure:
        problems.append(facts.server_failure)
        problems += [f"    {line}" for line in processes.tail(facts.chain.err)]
    for generation in facts.chain.generations:
        if generation.code not in (0, None) and not facts.server_failure:
            problems.append(f"server {generation.number} ended {processes.describe_code(generation.code)}")
        if generation.answered is not None:
            evidence.append(
                f"server {generation.number} answered {generation.answered} requests on "
                f"{generation.accepted} connections and ended {processes.describe_code(generation.code)}"
            )
    done = len(facts.chain.generations) - 1
    if done < facts.restarts_begun:
        problems.append(f"of {facts.restarts_begun} restarts {done} came to their end")
    return outcome_of(problems, evidence, "server and restarts")


def check_loads(facts: Facts) -> Check:
    """That both ran for as long as they were to."""
    problems, evidence = [], []
    for one in facts.loads:
        report = one.report()
        expected = (0, 130) if facts.signal else (0,)
        if one.code not in expected or report is None:
            problems.append(f"{one.part.name}: ringload ended {processes.describe_code(one.code)}")
            problems += [f"    {line}" for line in one.last_words()]
        if report is not None:
            loop = report["open_loop"]
            evidence.append(
                f"{one.part.name}: {report['requests']} answers in {report['duration_us'] / 1e6:.1f} s, of "
                f"{loop['due']} requests due; {loop['unsent']} were not sent by the end, {loop['shed']} shed"
            )
    if not facts.loads:
        problems.append("there was no load")
    return outcome_of(problems, evidence, "load")


def check_errors(facts: Facts, restarts: tuple[Restart, ...]) -> Check:
    """No error; but where the server closes idle connections at once in a drain, those of the requests
    that met the close, which are told apart by their time and by their kind."""
    problems: list[str] = []
    evidence: list[str] = []
    for one in facts.loads:
        report = one.report()
        if report is None:
            continue
        name, errors = one.part.name, report["errors"]
        for kind in ("connect", "timeout", "status"):
            if errors[kind]:
                problems.append(f"{name}: {errors[kind]} errors of the kind {kind}")
        outside = errors["read"] + errors["write"] - sum(errors_in(one, facts, restart) for restart in restarts)
        if outside > 0:
            problems.append(f"{name}: {outside} connections broke outside of any restart")
        for close in report["closes"]:
            cause, why = close["cause"], f" ({close['errno']})" if close["errno"] else ""
            evidence.append(f"{name}: {close['count']} connections ended: {cause}{why}")
            if cause not in GOOD_CAUSES | RACE_CAUSES:
                problems.append(f"{name}: {close['count']} connections ended for the reason {cause}{why}")
    for restart in restarts:
        if not restart.races:
            continue
        told = "" if restart.resets is None else f"; the kernel sent {restart.resets} resets meanwhile"
        evidence.append(
            f"restart {restart.number}: {restart.races} requests left on connections that the old server was "
            f"closing as idle (RFC 9112 section 9.5: a client must expect that){told}"
        )
        if facts.settings.drain_grace:
            problems.append(
                f"restart {restart.number}: {restart.races} connections broke, although --drain-grace left them "
                "open for longer than any is idle"
            )
        if facts.settings.own_network and restart.resets is not None and restart.races > restart.resets:
            problems.append(
                f"restart {restart.number}: {restart.races} connections broke, but the kernel sent only "
                f"{restart.resets} resets: some broke for another reason"
            )
    return outcome_of(problems, evidence, "errors")


def errors_in(one: Load, facts: Facts, restart: Restart) -> int:
    """Broken connections of a load from when the old server was told to end until it was gone."""
    slack_s = 2 * facts.settings.interval
    from_s, to_s = restart.at_s - slack_s, restart.at_s + restart.drained_after_s + slack_s
    # When the load's schedule began.
    go_s = (one.go_s or 0.0) - facts.started_s
    broken = 0
    for row in one.rows:
        end_s = go_s + row["elapsed_us"] / 1e6
        if end_s >= from_s and end_s - row["interval_us"] / 1e6 <= to_s:
            broken += int(row["errors_read"] + row["errors_write"])
    return broken


def check_books(facts: Facts, restarts: tuple[Restart, ...]) -> Check:
    """Every request that was due is accounted for, and servers and clients have counted the same."""
    problems, evidence = [], []
    received = facts.probes
    uncertain = races = 0
    for one in facts.loads:
        report = one.report()
        if report is None:
            return Check("books", NOT_JUDGED, ("a ringload left no report",))
        loop, in_flight = report["open_loop"], report["unanswered"]["count"]
        sent = loop["due"] - loop["shed"] - loop["unsent"]
        lost = sent - report["requests"] - report["errors"]["timeout"] - in_flight
        broken = sum(errors_in(one, facts, restart) for restart in restarts)
        evidence.append(
            f"{one.part.name}: {sent} sent = {report['requests']} answered + {report['errors']['timeout']} timed "
            f"out + {in_flight} under way at the end + {lost} lost with their connection"
        )
        if lost > broken:
            problems.append(f"{one.part.name}: {lost - broken} requests were lost that no restart explains")
        received += report["requests"]
        uncertain += in_flight + report["errors"]["timeout"]
        races += lost
    rough = facts.rough_clients() or {}
    readers = rough.get("readers", {})
    received += readers.get("whole", 0)
    uncertain += readers.get("opened", 0) - readers.get("whole", 0)
    told = [generation.answered for generation in facts.chain.generations]
    if facts.server_failure or any(count is None for count in told):
        return Check("books", FAILED if problems else NOT_JUDGED, (*problems, "a server left no account", *evidence))
    answered = sum(count for count in told if count is not None)
    evidence.append(
        f"answered by the servers {answered}, received by all clients {received}, of {uncertain} it is not known"
    )
    if answered < received:
        problems.append(f"{received - answered} answers arrived that no server says it gave")
    if answered > received + uncertain:
        problems.append(f"{answered - received} answers were given and did not arrive")
    return outcome_of(problems, evidence, "books")


def check_connections(facts: Facts) -> Check:
    """As many as wanted, at the end, too."""
    problems, evidence = [], []
    for one in facts.loads:
        last = [row["open_connections"] for row in one.rows[-LAST_INTERVALS:]]
        if not last:
            problems.append(f"{one.part.name}: there was no interval")
            continue
        wanted = one.part.connections
        least = wanted * (1 - CHURN_SHORT_SHARE) if one.part.requests_per_connection else wanted
        evidence.append(f"{one.part.name}: {last[-1]:.0f} of {wanted} were open at the end")
        # One look may fall on a moment at which some are being replaced.
        if max(last) < least:
            problems.append(f"{one.part.name}: only {max(last):.0f} of {wanted} connections were open at the end")
    churn = achieved_churn(facts)
    if churn is not None:
        evidence.append(
            f"came and went: {churn:.1f} a second, {100 * churn / facts.plan.connections:.2f} % of all connections"
        )
    return outcome_of(problems, evidence, "connections")


def achieved_churn(facts: Facts) -> float | None:
    """Connections a second that ended because all their requests were answered, by the ledger."""
    one = facts.load_named("churn")
    report = one.report() if one else None
    if not report or not report["duration_us"]:
        return None
    spent = sum(close["count"] for close in report["closes"] if close["cause"] == "spent")
    return spent / (report["duration_us"] / 1e6)


def check_rough_clients(facts: Facts) -> Check:
    found = facts.rough_clients()
    if found is None:
        return Check("rough clients", NOT_JUDGED, ("they left no account",))
    problems, evidence = [], []
    readers, garbage, stalled = found["readers"], found["garbage"], found["stalled"]
    for count, what in (
        (readers["cut"], "answers to slow readers were cut short"),
        (readers["failed"], "slow readers' connections broke"),
        (readers["overdue"], "answers to slow readers took too long"),
        (garbage["accepted"], "times garbage was taken for a request"),
        (garbage["overdue"], "connections that sent garbage were not ended"),
        (stalled["overdue"], "connections with half a request were not ended"),
        (found["connect_failed"], "connections could not be opened"),
    ):
        if count:
            problems.append(f"{count} {what}; the first failure: {found['first_failure']}")
    evidence.append(
        f"slow readers: {readers['whole']} whole answers, {readers['bytes']} bytes; resets in mid-request: "
        f"{found['resets']['reset']}; garbage: {garbage['refused']} refused, "
        f"{garbage['closed_without_answer']} closed without a word; half a request: {stalled['answered']} "
        f"answered, {stalled['closed_without_answer']} closed without a word"
    )
    return outcome_of(problems, evidence, "rough clients")


def check_freed(facts: Facts) -> Check:
    name = "connections freed"
    if facts.left_open is None:
        return Check(name, NOT_JUDGED, ("the server was not there to be asked",))
    if facts.left_open > 0:
        return Check(name, FAILED, (f"{facts.left_open:.0f} connections of clients that are gone were left open",))
    return Check(name, PASSED, ("none was left when all clients were gone",))


def check_listen_queue(facts: Facts) -> Check:
    name = "listen queue"
    if not facts.network_after:
        return Check(name, NOT_JUDGED, ("it was not looked at",))
    grown = {
        key: facts.network_after[key] - facts.network_before[key]
        for key in ("listen_overflows", "listen_drops", "retransmits", "tcp_timeouts", "resets_sent")
    }
    evidence = [", ".join(f"{key.replace('_', ' ')} {count}" for key, count in grown.items())]
    if not facts.settings.own_network:
        return Check(name, NOT_JUDGED, ("the counters are those of the whole machine", *evidence))
    problems = [f"{grown[key]} {key.replace('_', ' ')}" for key in ("listen_overflows", "listen_drops") if grown[key]]
    return outcome_of(problems, evidence, name)


def check_engine(facts: Facts) -> Check:
    """What the server counts and a good run has none of."""
    problems, evidence = [], []
    for generation in facts.chain.generations:
        rows = [row for row in facts.samples if row["generation"] == generation.number]
        for column, what in (
            ("server_responses_5xx", "answers with a status of 500 or more"),
            ("server_turned_away", "connections turned away"),
            ("server_accept_errors", "accepts that failed"),
        ):
            most = max((row[column] for row in rows if row.get(column) is not None), default=0)
            if most:
                problems.append(f"server {generation.number}: {most:.0f} {what}")
        for column in ("server_out_of_buffers", "server_cq_overflows", "server_sends_blocked"):
            most = max((row[column] for row in rows if row.get(column) is not None), default=0)
            evidence.append(f"server {generation.number}: {column.removeprefix('server_')} {most:.0f}")
    return outcome_of(problems, evidence, "server's own counters")


# --- Restarts -------------------------------------------------------------------------------------


def find_restarts(facts: Facts) -> list[Restart]:
    found = []
    for old, new in zip(facts.chain.generations, facts.chain.generations[1:]):
        if old.drain_s is None or old.ended_s is None:
            continue
        resets = None
        if old.resets_at_drain is not None and old.resets_at_end is not None:
            resets = old.resets_at_end - old.resets_at_drain
        restart = Restart(
            number=new.number,
            at_s=old.drain_s - facts.started_s,
            ready_after_s=new.started_s - new.asked_s,
            drained_after_s=old.ended_s - old.drain_s,
            open_at_drain=old.open_at_drain,
            answered=old.answered,
            code=old.code,
            races=0,
            resets=resets,
        )
        races = sum(errors_in(one, facts, restart) for one in facts.loads)
        found.append(replace(restart, races=races))
    return found


# --- Leaks ----------------------------------------------------------------------------------------


def find_trends(facts: Facts) -> list[Series]:
    """Of each process: of a server from when it was alone, of a load from its start to its end."""
    found = []
    for generation in facts.chain.generations:
        rows = [row for row in facts.samples if row["generation"] == generation.number and row["phase"] == "load"]
        name = f"server {generation.number}"
        for resource in ("rss_bytes", "pss_bytes", "descriptors", "threads", "connections_open"):
            found.append(Series(name, resource, trend_of(rows, f"server_{resource}", resource)))
        if facts.settings.own_network:
            found.append(Series(name, "sockets_used", trend_of(rows, "sockets_used", "sockets_used")))
    rows = [row for row in facts.samples if row["phase"] in ("load", "restart")]
    kept_per_s = BYTES_PER_INTERVAL / facts.settings.interval
    for part in facts.plan.parts:
        for resource in ("rss_bytes", "pss_bytes", "descriptors", "threads"):
            allowed = kept_per_s if resource.endswith("_bytes") else 0.0
            trend = trend_of(rows, f"{part.name}_{resource}", resource, allowed)
            found.append(Series(f"{part.name} load", resource, trend))
    return found


def trend_of(rows: list[dict[str, Any]], column: str, resource: str, allowed: float = 0.0) -> Trend:
    points = [(row["elapsed_s"], float(row[column])) for row in rows if row.get(column) is not None]
    times, values = [t for t, _ in points], [v for _, v in points]
    return stats.judge(times, values, GRANULARITY[resource], allowed)


def check_leaks(series: tuple[Series, ...]) -> Check:
    problems, evidence = [], []
    judged = [one for one in series if one.trend.verdict != stats.SHORT]
    for one in judged:
        trend = one.trend
        if trend.verdict == stats.LEAK:
            problems.append(
                f"{one.process}, {one.resource.replace('_', ' ')}: grew by {amount(one.resource, trend.growth)} in "
                f"{trend.span_s:.0f} s, that is {per_hour(one, trend.slope)} "
                f"(95 % interval {per_hour(one, trend.low)} to {per_hour(one, trend.high)})"
            )
    if not judged:
        return Check("leaks", NOT_JUDGED, ("every process was there for too short a time",))
    short = len(series) - len(judged)
    evidence.append(f"{len(judged)} series were judged, {short} were too short")
    return outcome_of(problems, evidence, "leaks")


def per_hour(one: Series, slope: float) -> str:
    return amount(one.resource, slope * 3600) + "/h"


def amount(resource: str, value: float) -> str:
    """With its unit, for people."""
    if not resource.endswith("_bytes"):
        return f"{value:+.2f}"
    if abs(value) >= 10 * KIB * KIB:
        return f"{value / KIB / KIB:+.1f} MiB"
    return f"{value / KIB:+.1f} KiB"
