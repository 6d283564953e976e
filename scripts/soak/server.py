"""ringserve and its successors: start, hot restart, end.

Of each generation it is known when it served, what it answered and how it ended. Nothing here waits:
`tick` is called several times a second, and goes on with what is under way.
"""

import re
import signal
from dataclasses import dataclass
from typing import Callable, NoReturn, Sequence

import processes
from processes import Follower, Reaper

READY = re.compile(r"ringserve: listening on http://([0-9.]+):(\d+)")
METRICS = re.compile(r"ringserve: metrics on http://([0-9.]+):(\d+)/metrics")
SUCCESSOR = re.compile(r"ringserve: process (\d+) takes over")
STOPPED = re.compile(r"ringserve: stopped after (\d+) requests? on (\d+) connections?")
COMPLAINT = re.compile(r"ringserve: (cannot start a successor|not done within --drain-timeout|shard \d+ )")

START_TIMEOUT_S = 30.0


@dataclass
class Generation:
    """One process of the server. Times are of the monotonic clock."""

    number: int
    pid: int
    admin: tuple[str, int] | None = None
    # When it was asked for, and when it was ready.
    asked_s: float = 0.0
    started_s: float = 0.0
    # When it was alone: the one before had ended.
    alone_s: float | None = None
    drain_s: float | None = None
    ended_s: float | None = None
    code: int | None = None
    # By its own account, at its end.
    answered: int | None = None
    accepted: int | None = None
    # Connections that were open when it was told to end.
    open_at_drain: float | None = None
    # Of the kernel, when it was told to end: see verdict.py.
    resets_at_drain: int | None = None
    resets_at_end: int | None = None


# What is seen of a generation when it is told to end, and when it has ended: its open connections, if
# it tells, and how many resets the kernel has sent.
Look = Callable[[Generation], tuple[float | None, int]]


class ServerFailed(Exception):
    """The server is not as it should be; the text says how."""


class Chain:
    """The server: one process at a time, two during a restart."""

    def __init__(
        self,
        command: Sequence[str],
        folder: str,
        cores: Sequence[int],
        drain_limit_s: float,
        look: Look,
    ) -> None:
        self.command = command
        self.cores = cores
        self.drain_limit_s = drain_limit_s
        self.look = look
        self.out, self.err = f"{folder}/server.out", f"{folder}/server.err"
        self.stdout, self.stderr = Follower(self.out), Follower(self.err)
        self.generations: list[Generation] = []
        self.address: tuple[str, int] | None = None
        # How many there are to be, and what they have said so far.
        self.wanted = 0
        self.ready = 0
        self.admins: list[tuple[str, int]] = []
        self.successors: list[int] = []
        # Requests and connections, of the last one that has ended.
        self.account: tuple[int, int] | None = None
        self.complaint: str | None = None
        # Until when what is under way must have happened.
        self.deadline_s = 0.0
        self.asked_s = 0.0
        self.starting = False
        self.draining: Generation | None = None

    @property
    def current(self) -> Generation:
        return self.generations[-1]

    @property
    def is_restarting(self) -> bool:
        return self.starting or self.draining is not None

    @property
    def has_ended(self) -> bool:
        return all(generation.code is not None for generation in self.generations)

    def pids(self) -> list[int]:
        """Of those that may be there."""
        started = {generation.pid for generation in self.generations} | set(self.successors)
        ended = {generation.pid for generation in self.generations if generation.code is not None}
        return sorted(started - ended)

    def start(self, now_s: float) -> None:
        pid = processes.start(self.command, self.out, self.err, self.cores)
        self.generations.append(Generation(0, pid, asked_s=now_s, started_s=now_s, alone_s=now_s))
        self.expect_one_more(now_s)

    def restart(self, now_s: float) -> None:
        """The present one starts its successor, and ends when that is ready: see `tick`."""
        processes.send_signal(self.current.pid, signal.SIGUSR2)
        self.expect_one_more(now_s)

    def expect_one_more(self, now_s: float) -> None:
        self.wanted += 1
        self.starting = True
        self.asked_s = now_s
        self.deadline_s = now_s + START_TIMEOUT_S

    def drain(self, generation: Generation, now_s: float) -> None:
        """Tells one to end."""
        generation.drain_s = now_s
        generation.open_at_drain, generation.resets_at_drain = self.look(generation)
        processes.send_signal(generation.pid, signal.SIGTERM)
        self.draining = generation
        self.deadline_s = now_s + self.drain_limit_s

    def tick(self, now_s: float, reaper: Reaper) -> str | None:
        """Goes on with what is under way. What has happened, for the log, if anything has."""
        self.read_output()
        if self.complaint:
            self.fail(self.complaint)
        self.note_ends(now_s, reaper)
        if self.starting:
            return self.go_on_starting(now_s)
        if self.draining is None:
            return None
        if self.draining.code is None:
            if now_s > self.deadline_s:
                number = self.draining.number
                self.fail(f"server {number} did not end within {self.drain_limit_s:g} s of SIGTERM")
            return None
        ended, self.draining = self.draining, None
        if ended is not self.current:
            self.current.alone_s = now_s
        return f"server {ended.number} has ended {processes.describe_code(ended.code)}"

    def go_on_starting(self, now_s: float) -> str | None:
        said = min(self.ready, len(self.admins), len(self.successors) + 1)
        if said < self.wanted:
            if len(self.successors) == len(self.generations) and not processes.is_there(self.successors[-1]):
                self.fail("the successor has ended before it was ready")
            if now_s > self.deadline_s:
                self.fail(f"the server was not ready within {START_TIMEOUT_S:g} s")
            return None
        self.starting = False
        number = self.wanted - 1
        if number > 0:
            old = self.current
            pid = self.successors[-1]
            self.generations.append(Generation(number, pid, asked_s=self.asked_s, started_s=now_s))
            self.drain(old, now_s)
        self.current.admin = self.admins[-1]
        return f"server {number} is ready, process {self.current.pid}"

    def fail(self, why: str) -> NoReturn:
        """Once: nothing is expected any more, so that what is left can be ended in order."""
        self.starting, self.draining, self.complaint = False, None, None
        raise ServerFailed(why)

    def read_output(self) -> None:
        for line in self.stdout.lines():
            if found := READY.match(line):
                # The same for all: a successor has the sockets of the one before.
                self.address = (found[1], int(found[2]))
                self.ready += 1
        for line in self.stderr.lines():
            if found := METRICS.match(line):
                self.admins.append((found[1], int(found[2])))
            elif found := SUCCESSOR.match(line):
                self.successors.append(int(found[1]))
            elif found := STOPPED.match(line):
                self.account = (int(found[1]), int(found[2]))
            elif COMPLAINT.match(line) or "panicked" in line:
                self.complaint = line

    def note_ends(self, now_s: float, reaper: Reaper) -> None:
        for generation in self.generations:
            if generation.code is not None or not reaper.has_ended(generation.pid):
                continue
            # What it said at its end.
            self.read_output()
            generation.code, generation.ended_s = reaper.codes[generation.pid], now_s
            _, generation.resets_at_end = self.look(generation)
            if generation.drain_s is None:
                how = processes.describe_code(generation.code)
                self.fail(f"server {generation.number} ended by itself, {how}")
            # They end one after the other.
            if self.account:
                generation.answered, generation.accepted = self.account
            self.account = None
