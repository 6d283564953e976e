"""ringload, twice: what is steady, and what comes and goes.

One ringload with `--requests-per-connection` would not do for both. Its connections take turns, and all
are opened before its schedule begins: so all would have carried their last request within one turn, and
close together. So most connections are of one ringload and stay; a few are of another, where each
carries one request and is replaced, so that as many close in a second as requests are due there.
"""

import csv
import json
import math
from dataclasses import dataclass, field
from typing import Any, Sequence

import processes
from processes import Follower

# Of all connections, per second.
CHURN_PER_S = 0.01
# How long one that comes and goes stays before its request.
CHURN_STAY_S = 5
# A request that is not answered by then is lost.
TIMEOUT_S = 10
# How long connections may be idle between their requests. The server's deadline for the first is as
# long and more, and a drain may take as long as that deadline, for the sake of half a request.
MOST_IDLE_S = 20
# Above so many connections and those that linger in TIME_WAIT, one source address has too few ports:
# past half of the range of 28,232 the kernel takes ever longer to find one.
PORTS_PER_SOURCE = 10_000
TIME_WAIT_S = 60


class PlanError(Exception):
    """What is asked for cannot be done; the text says what to ask for."""


@dataclass(frozen=True)
class Part:
    """What one ringload does."""

    name: str
    connections: int
    rate_per_s: float
    requests_per_connection: int | None
    sources: str | None
    threads: int


@dataclass(frozen=True)
class Plan:
    connections: int
    rate_per_s: float
    churn_per_s: float
    steady: Part
    churn: Part

    @property
    def idle_s(self) -> float:
        """How long a steady connection is idle between two requests."""
        return self.steady.connections / self.steady.rate_per_s

    @property
    def header_timeout_s(self) -> int:
        """The server's: a connection's first request may be due a whole turn after it was opened."""
        return math.ceil(2 * CHURN_STAY_S + 2 * self.idle_s)

    @property
    def parts(self) -> tuple[Part, Part]:
        return (self.steady, self.churn)


def source_range(first: int, connections: float) -> str | None:
    """So many addresses of 127.0.0.0/24 from `first` on as so many connections need; None for one."""
    count = math.ceil(connections / PORTS_PER_SOURCE)
    return f"127.0.0.{first}-127.0.0.{first + count - 1}" if count > 1 else None


def make_plan(connections: int, rate_per_s: float, open_files: int) -> Plan:
    """Divides connections and rate between the two."""
    churn_per_s = CHURN_PER_S * connections
    if rate_per_s < 2 * churn_per_s:
        raise PlanError(
            f"--rate {rate_per_s:g} is too low for {connections} connections: {churn_per_s:g} a second "
            f"come and go, each with one request; {2 * churn_per_s:g} is the least"
        )
    of_churn = max(1, round(churn_per_s * CHURN_STAY_S))
    of_steady, steady_rate = connections - of_churn, rate_per_s - churn_per_s
    if of_steady / steady_rate > MOST_IDLE_S:
        least = math.ceil(of_steady / MOST_IDLE_S + churn_per_s)
        raise PlanError(
            f"--rate {rate_per_s:g} is too low for {connections} connections: they would be idle for longer "
            f"than {MOST_IDLE_S} s; {least} is the least"
        )
    # A restart closes and opens all at once.
    steady_sources = source_range(2, 2 * of_steady)
    churn_sources = source_range(100, of_churn + churn_per_s * TIME_WAIT_S)
    # Each thread has a ring with a table of descriptors of its own.
    threads = math.ceil(of_steady / (open_files * 0.97))
    return Plan(
        connections,
        rate_per_s,
        churn_per_s,
        Part("steady", of_steady, steady_rate, None, steady_sources, threads),
        Part("churn", of_churn, churn_per_s, 1, churn_sources, 1),
    )


def ringload_command(
    program: str,
    part: Part,
    url: str,
    requests_file: str,
    folder: str,
    seconds: float,
    interval: str,
    cores: Sequence[int],
) -> list[str]:
    command = [program, "-c", str(part.connections), "-t", str(part.threads)]
    command += ["--cores", ",".join(str(core) for core in cores)]
    command += ["-R", f"{part.rate_per_s:g}", "-d", f"{seconds:g}s", "-T", f"{TIMEOUT_S}s"]
    command += ["--requests", requests_file, "--interval", interval, "--no-progress"]
    command += ["--csv", f"{folder}/{part.name}.csv", "--hlog", f"{folder}/{part.name}.hlog"]
    command += ["--json", f"{folder}/{part.name}.json"]
    if part.requests_per_connection:
        command += ["--requests-per-connection", str(part.requests_per_connection)]
    if part.sources:
        command += ["--source", part.sources]
    return [*command, url]


@dataclass
class Load:
    """A ringload that runs, and what it has written so far."""

    part: Part
    folder: str
    pid: int
    code: int | None = None
    # When its schedule began, by the monotonic clock: not before the first line has come.
    go_s: float | None = None
    rows: list[dict[str, float]] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.follower = Follower(f"{self.folder}/{self.part.name}.csv")

    def read(self, now_s: float) -> None:
        """Takes in the lines of intervals that have come."""
        for line in self.follower.lines():
            cells = next(csv.reader([line]))
            if not self.columns:
                self.columns = cells
                continue
            row = {name: float(cell) for name, cell in zip(self.columns, cells) if cell}
            self.rows.append(row)
            # The line that came soonest after its interval is the best to tell by.
            go_s = now_s - row["elapsed_us"] / 1e6
            self.go_s = go_s if self.go_s is None else min(self.go_s, go_s)

    @property
    def open_connections(self) -> float | None:
        return self.rows[-1]["open_connections"] if self.rows else None

    def report(self) -> dict[str, Any] | None:
        """What it reported at its end; None if it did not."""
        try:
            with open(f"{self.folder}/{self.part.name}.json", encoding="utf-8") as file:
                return json.load(file)
        except (FileNotFoundError, json.JSONDecodeError):
            return None

    def last_words(self) -> list[str]:
        """What it said on standard error, without the lines of intervals."""
        lines = processes.tail(f"{self.folder}/{self.part.name}.err", 40)
        return [line for line in lines if "requests/s" not in line and not line.startswith("{")][-8:]


def start(
    program: str,
    part: Part,
    url: str,
    requests_file: str,
    folder: str,
    seconds: float,
    interval: str,
    cores: Sequence[int],
) -> Load:
    command = ringload_command(program, part, url, requests_file, folder, seconds, interval, cores)
    out, err = f"{folder}/{part.name}.txt", f"{folder}/{part.name}.err"
    return Load(part, folder, processes.start(command, out, err, cores))
