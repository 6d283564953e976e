#!/usr/bin/env python3
"""The soak itself: starts everything, watches it, restarts the server, and ends it all in order.

Called by scripts/soak.sh, which has checked the arguments and given it a network of its own. Exit
codes: 0 passed, 1 could not be done, 3 failed, 130 and 143 when it was told to end.
"""

import argparse
import csv
import http.client
import json
import os
import signal
import sys
import time
from typing import Any, Callable

import load
import metrics
import procfs
import processes
import report
import verdict
from load import Load, Plan
from processes import Reaper
from server import Chain, Generation, ServerFailed

HERE = os.path.dirname(os.path.abspath(__file__))
TURN_S = 0.1
OPENING_TIMEOUT_S = 120.0
# With less left than this a restart would not come to its end.
RESTART_BEFORE_END_S = 20.0
FREED_TIMEOUT_S = 15.0
LOAD_END_TIMEOUT_S = 30.0
# Beside the load, of which they are a small part; see rough_clients.py.
ROUGH_READERS = 8
ROUGH_END_TIMEOUT_S = 40.0
PROBES = (
    ("GET", "/", None, b"Hello, World!"),
    ("GET", "/json", None, None),
    ("GET", "/orders", None, None),
    ("POST", "/ping", b'{"sequence": 7}', None),
    ("POST", "/echo", b"echo", b"echo"),
    ("GET", "/bytes/1000", None, None),
)


class CannotBeDone(Exception):
    """Not the server's fault; the text says why."""


class Soak:
    """One run from its start to its end."""

    def __init__(self, settings: argparse.Namespace, plan: Plan) -> None:
        self.settings = settings
        self.plan = plan
        self.folder: str = settings.output
        self.reaper = Reaper()
        self.started_s = time.monotonic()
        drain_timeout_s = max(60, plan.header_timeout_s + 30)
        self.chain = Chain(
            self.server_command(drain_timeout_s), self.folder, settings.server_cores, drain_timeout_s + 15, self.look
        )
        self.loads: list[Load] = []
        self.rough_pid: int | None = None
        self.samples: list[dict[str, Any]] = []
        self.next_sample_s = 0.0
        self.next_restart_s: float | None = None
        self.phase = "opening"
        self.signal: int | None = None
        self.facts = verdict.Facts(
            settings=settings, plan=plan, chain=self.chain, samples=self.samples, started_s=self.started_s
        )
        self.samples_file = open(f"{self.folder}/samples.csv", "w", encoding="utf-8", newline="")
        self.writer: csv.DictWriter[str] | None = None

    def server_command(self, drain_timeout_s: int) -> list[str]:
        settings = self.settings
        cores = settings.server_cores
        # A ring's table of descriptors holds as many as one process may have files open: a shard for
        # each core, and more where one table would be too small for all connections at once.
        fit = settings.open_files * 0.9 - 200
        shards = max(len(cores), -(-int(self.plan.connections * 1.05) // int(fit)))
        command = [settings.ringserve, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        command += ["--shards", str(shards), "--cores", ",".join(map(str, cores))]
        command += ["--header-timeout", f"{self.plan.header_timeout_s}s", "--body-timeout", "10s"]
        command += ["--drain-timeout", f"{drain_timeout_s}s"]
        if settings.drain_grace:
            # As long as connections may be idle: then none meets the close with a request.
            command += ["--drain-grace", f"{self.plan.header_timeout_s}s"]
        if settings.engine:
            command += ["--engine", settings.engine]
        if settings.debug_leak:
            command += ["--debug-leak-bytes", str(settings.debug_leak)]
        return command

    # --- From start to end ------------------------------------------------------------------------

    def run(self) -> None:
        facts = self.facts
        try:
            self.start_server()
            self.start_loads()
            self.watch()
        except CannotBeDone as error:
            facts.cannot = str(error)
        except ServerFailed as error:
            self.note_server_failed(error)
        facts.signal = self.signal
        try:
            self.wind_down()
        except ServerFailed as error:
            self.note_server_failed(error)
        finally:
            self.kill_what_is_left()
        facts.loads = self.loads
        self.samples_file.close()

    def note_server_failed(self, error: ServerFailed) -> None:
        if self.chain.address is None:
            # Nothing was tried yet.
            self.facts.cannot = self.facts.cannot or str(error)
        else:
            self.facts.server_failure = self.facts.server_failure or str(error)
        self.log(f"failed: {error}")
        for line in processes.tail(self.chain.err):
            self.log(f"    {line}")

    def start_server(self) -> None:
        self.chain.start(time.monotonic())
        self.wait_for(lambda: not self.chain.starting, 60, "the server")
        self.check_answers()
        self.facts.network_before = procfs.read_network()

    def check_answers(self) -> None:
        """What is soaked must answer rightly."""
        assert self.chain.address
        for method, path, body, wanted in PROBES:
            connection = http.client.HTTPConnection(*self.chain.address, timeout=10)
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                raise CannotBeDone(f"{method} {path}: {error}") from error
            finally:
                connection.close()
            if answer.status != 200 or (wanted is not None and content != wanted):
                raise CannotBeDone(f"{method} {path} is answered with {answer.status}: {content[:80]!r}")
            self.facts.probes += 1

    def start_loads(self) -> None:
        settings, url = self.settings, "http://{}:{}/".format(*self.chain.address or ("", 0))
        interval = f"{round(settings.interval * 1000)}ms"
        for part in self.plan.parts:
            self.loads.append(
                load.start(
                    settings.ringload,
                    part,
                    url,
                    f"{HERE}/requests.toml",
                    self.folder,
                    settings.seconds,
                    interval,
                    settings.load_cores,
                )
            )
        self.note_pids()
        self.wait_for(self.all_open, OPENING_TIMEOUT_S, "all connections", can_stop=True)
        go_s = max(one.go_s or 0.0 for one in self.loads)
        self.facts.go_s = go_s
        self.log(f"{self.plan.connections} connections are open after {go_s - self.started_s:.1f} s")
        if settings.restart_every:
            self.next_restart_s = go_s + settings.restart_every
        self.start_rough_clients()
        self.phase = "load"

    def start_rough_clients(self) -> None:
        host, port = self.chain.address or ("", 0)
        command = [sys.executable, "-B", f"{HERE}/rough_clients.py", f"{host}:{port}"]
        command += ["--output", f"{self.folder}/rough-clients.json", "--readers", str(ROUGH_READERS)]
        command += ["--deadline-s", str(3 * self.plan.header_timeout_s)]
        err = f"{self.folder}/rough-clients.err"
        self.rough_pid = processes.start(command, err, err, self.settings.load_cores, nice=10)
        self.note_pids()

    def all_open(self) -> bool:
        if any(self.reaper.has_ended(one.pid) for one in self.loads):
            return True
        return all(one.go_s is not None for one in self.loads)

    def watch(self) -> None:
        """Until the loads have ended by themselves, or something has gone wrong."""
        while not self.signal:
            self.turn()
            ended = [one for one in self.loads if one.code is not None]
            if len(ended) == len(self.loads):
                return
            if any(one.code for one in ended):
                self.log(f"{ended[0].part.name}: ringload ended {processes.describe_code(ended[0].code)}")
                return
            if self.rough_pid and self.reaper.has_ended(self.rough_pid):
                raise CannotBeDone(
                    "rough_clients.py ended by itself: "
                    + "; ".join(processes.tail(f"{self.folder}/rough-clients.err", 2))
                )
            self.restart_if_due()
            time.sleep(TURN_S)

    def restart_if_due(self) -> None:
        now_s, settings = time.monotonic(), self.settings
        if self.next_restart_s is None or now_s < self.next_restart_s or self.chain.is_restarting:
            return
        if now_s > self.facts.go_s + settings.seconds - RESTART_BEFORE_END_S:
            return
        self.next_restart_s += settings.restart_every
        self.facts.restarts_begun += 1
        self.phase = "restart"
        self.chain.restart(now_s)

    def wind_down(self) -> None:
        """The loads first, the server last; what was asked must have been answered by then."""
        if not self.facts.cannot and not self.facts.server_failure and not self.signal and self.chain.is_restarting:
            self.wait_for(lambda: not self.chain.is_restarting, self.chain.drain_limit_s, "a restart")
        self.phase = "end"
        for one in self.loads:
            if one.code is None:
                processes.send_signal(one.pid, signal.SIGINT)
        self.wait_for(lambda: all(one.code is not None for one in self.loads), LOAD_END_TIMEOUT_S)
        if self.rough_pid:
            processes.send_signal(self.rough_pid, signal.SIGTERM)
            self.wait_for(lambda: self.reaper.has_ended(self.rough_pid or 0), ROUGH_END_TIMEOUT_S)
        self.facts.network_after = procfs.read_network()
        if self.chain.has_ended or self.facts.server_failure:
            return
        self.wait_for(self.is_freed, FREED_TIMEOUT_S)
        self.facts.left_open = metrics.fetch(self.admin()).get("server_connections_open")
        while self.chain.is_restarting and not self.chain.has_ended:
            self.wait_for(lambda: not self.chain.is_restarting, self.chain.drain_limit_s)
        if not self.chain.has_ended:
            self.chain.drain(self.chain.current, time.monotonic())
            self.wait_for(lambda: self.chain.has_ended, self.chain.drain_limit_s)

    def is_freed(self) -> bool:
        return metrics.fetch(self.admin()).get("server_connections_open", 0) == 0

    def kill_what_is_left(self) -> None:
        pids = [one.pid for one in self.loads] + self.chain.pids()
        if self.rough_pid:
            pids.append(self.rough_pid)
        self.reaper.poll()
        for pid in pids:
            if not self.reaper.has_ended(pid):
                processes.send_signal(pid, signal.SIGKILL)

    # --- One turn -----------------------------------------------------------------------------------

    def wait_for(
        self, condition: Callable[[], bool], seconds: float, what: str = "", can_stop: bool = False
    ) -> None:
        """Takes turns until it is so. With `what`, that it does not come is the end."""
        deadline_s = time.monotonic() + seconds
        while not condition():
            if can_stop and self.signal:
                return
            if time.monotonic() > deadline_s:
                if what:
                    raise CannotBeDone(f"{what}: not there after {seconds:g} s")
                return
            self.turn()
            time.sleep(TURN_S)

    def turn(self) -> None:
        now_s = time.monotonic()
        self.reaper.poll()
        for one in self.loads:
            one.read(now_s)
            one.code = self.reaper.codes.get(one.pid)
        if event := self.chain.tick(now_s, self.reaper):
            self.note_pids()
            self.log(event)
        if self.phase == "load" and any(one.code is not None for one in self.loads):
            self.phase = "end"
        steady = self.loads[0] if self.loads else None
        if (
            self.phase == "restart"
            and not self.chain.is_restarting
            and steady
            and steady.open_connections == steady.part.connections
        ):
            self.phase = "load"
        if self.loads and now_s >= self.next_sample_s:
            # On the beat, unless one was missed.
            self.next_sample_s = max(self.next_sample_s + self.settings.interval, now_s)
            self.sample(now_s)

    def sample(self, now_s: float) -> None:
        row: dict[str, Any] = {
            "elapsed_s": round(now_s - self.started_s, 3),
            "unix_s": round(time.time(), 3),
            "phase": self.phase,
            "generation": self.chain.current.number,
        }
        pids = [("server", self.chain.current.pid)] + [(one.part.name, one.pid) for one in self.loads]
        for name, pid in pids:
            process = procfs.read_process(pid)
            for key in ("rss_bytes", "pss_bytes", "descriptors", "threads", "cpu_s"):
                row[f"{name}_{key}"] = getattr(process, key) if process else None
        seen = metrics.fetch(self.admin()) if self.chain.current.admin else {}
        row.update({name: seen.get(name) for name in metrics.names()})
        for one in self.loads:
            row[f"{one.part.name}_open_connections"] = one.open_connections if one.code is None else None
        row.update(procfs.read_network())
        row.update(procfs.read_machine())
        self.samples.append(row)
        if self.writer is None:
            self.writer = csv.DictWriter(self.samples_file, list(row))
            self.writer.writeheader()
        self.writer.writerow(row)
        self.samples_file.flush()

    def look(self, generation: Generation) -> tuple[float | None, int]:
        """For the chain: open connections of that server, and resets sent in this network."""
        seen = metrics.fetch(generation.admin) if generation.admin and generation.code is None else {}
        return seen.get("server_connections_open"), procfs.read_network()["resets_sent"]

    def admin(self) -> tuple[str, int]:
        assert self.chain.current.admin
        return self.chain.current.admin

    def note_pids(self) -> None:
        """For soak.sh, which ends them should this program be killed."""
        pids = [one.pid for one in self.loads] + self.chain.pids()
        if self.rough_pid:
            pids.append(self.rough_pid)
        with open(self.settings.pids, "w", encoding="ascii") as file:
            file.write("".join(f"{pid}\n" for pid in pids))

    def log(self, text: str) -> None:
        elapsed_s = time.monotonic() - self.started_s
        self.facts.log.append((elapsed_s, text))
        print(f"soak.sh: {elapsed_s:7.1f} s  {text}", file=sys.stderr, flush=True)

    def end_by(self, number: int) -> None:
        """A signal: the first ends it in order, with a report."""
        if self.signal:
            self.log("told to end a second time: nothing is waited for any more")
            self.kill_what_is_left()
        self.signal = self.signal or number


def parse_arguments() -> argparse.Namespace:
    def cores(text: str) -> list[int]:
        return [int(word) for word in text.split(",")]

    parser = argparse.ArgumentParser(description="see scripts/soak.sh --help")
    parser.add_argument("--ringserve", required=True)
    parser.add_argument("--ringload", required=True)
    parser.add_argument("--output", required=True)
    parser.add_argument("--pids", required=True, help="file for the processes that are running")
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--restart-every", type=int, default=0, help="seconds; 0 for never")
    parser.add_argument("--interval", type=float, required=True, help="seconds")
    parser.add_argument("--server-cores", type=cores, required=True)
    parser.add_argument("--load-cores", type=cores, required=True)
    parser.add_argument("--open-files", type=int, required=True)
    parser.add_argument("--engine")
    parser.add_argument("--debug-leak", type=int, default=0)
    parser.add_argument("--own-network", action="store_true")
    parser.add_argument("--drain-grace", action="store_true", help="ringserve knows --drain-grace")
    parser.add_argument("--about", required=True, help="file with lines about machine and programs")
    return parser.parse_args()


def main() -> int:
    settings = parse_arguments()
    try:
        plan = load.make_plan(settings.connections, settings.rate, settings.open_files)
    except load.PlanError as error:
        print(f"soak.sh: {error}\nTry 'soak.sh --help'.", file=sys.stderr)
        return 2
    # Not of the terminal's foreground: soak.sh passes on what it is told.
    try:
        os.setsid()
    except PermissionError:
        # It is the first of its group, as from an interactive shell.
        pass
    processes.end_with_parent()
    processes.adopt_orphans()
    soak = Soak(settings, plan)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: soak.end_by(number))
    soak.run()
    result = verdict.judge(soak.facts)
    report.write(soak.facts, result)
    with open(f"{settings.output}/verdict.json", "w", encoding="utf-8") as file:
        json.dump(result.as_json(), file, indent=1)
        file.write("\n")
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
