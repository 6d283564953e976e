"""Processes that the soak starts, and what they write: nothing of it waits."""

import ctypes
import os
import signal
import subprocess
from dataclasses import dataclass, field
from typing import Sequence

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
LIBC = ctypes.CDLL(None, use_errno=True)


def adopt_orphans() -> None:
    """Whose parent has ended comes to this process, so that its exit code is known: successors."""
    if LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def end_with_parent(signal_number: int = signal.SIGTERM) -> None:
    """This process gets the signal when the one that started it is gone, however that ended."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def start(command: Sequence[str], out: str, err: str, cores: Sequence[int], nice: int = 0) -> int:
    """Starts it on these cores, its output appended to two files. Its pid."""

    def prepare() -> None:
        end_with_parent()
        os.sched_setaffinity(0, cores)
        if nice:
            os.nice(nice)

    with open(out, "ab") as stdout, open(err, "ab") as stderr:
        # A session of its own: Ctrl-C on a terminal is for this program, which ends all in order.
        process = subprocess.Popen(  # pylint: disable=consider-using-with
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
            preexec_fn=prepare,
        )
    # Nobody but a Reaper waits for it.
    process.returncode = 0
    return process.pid


@dataclass
class Reaper:
    """The exit codes of all that have ended; negative for a signal."""

    codes: dict[int, int] = field(default_factory=dict)

    def poll(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.codes[pid] = os.waitstatus_to_exitcode(status)

    def has_ended(self, pid: int) -> bool:
        return pid in self.codes


def send_signal(pid: int, signal_number: int) -> None:
    try:
        os.kill(pid, signal_number)
    except ProcessLookupError:
        pass


def is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def describe_code(code: int | None) -> str:
    if code is None:
        return "not at all"
    if code < 0:
        return f"by signal {signal.Signals(-code).name}"
    return f"with code {code}"


class Follower:
    """The lines of a file that grows; those that are whole."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.offset = 0
        self.rest = b""

    def lines(self) -> list[str]:
        """Those that have come since the last call."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        self.offset += len(data)
        *whole, self.rest = (self.rest + data).split(b"\n")
        return [line.decode("utf-8", "replace") for line in whole]


def tail(path: str, count: int = 8) -> list[str]:
    """The last lines of a file, for evidence."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
