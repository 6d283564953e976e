"""Restarts, with a stand-in for ringserve."""

import os
import signal
import sys
import tempfile
import time
import unittest

import processes
from processes import Reaper
from server import Chain, Generation, ServerFailed

STAND_IN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stand_in.py")
PATIENCE_S = 20.0


def look(_: Generation) -> tuple[float | None, int]:
    return 7.0, 3


class ChainTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        processes.adopt_orphans()

    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.reaper = Reaper()

    def chain(self, *mode: str, drain_limit_s: float = PATIENCE_S) -> Chain:
        cores = sorted(os.sched_getaffinity(0))
        command = [sys.executable, "-B", STAND_IN, *mode]
        chain = Chain(command, self.folder.name, cores, drain_limit_s, look)
        chain.start(time.monotonic())
        self.addCleanup(self.kill, chain)
        return chain

    def kill(self, chain: Chain) -> None:
        self.reaper.poll()
        for pid in chain.pids():
            if not self.reaper.has_ended(pid):
                processes.send_signal(pid, signal.SIGKILL)
        deadline_s = time.monotonic() + PATIENCE_S
        while any(processes.is_there(pid) for pid in chain.pids()) and time.monotonic() < deadline_s:
            self.reaper.poll()
            time.sleep(0.01)

    def tick_until(self, chain: Chain, is_so) -> list[str]:  # type: ignore[no-untyped-def]
        said = []
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so():
            self.assertLess(time.monotonic(), deadline_s, f"it never was so; {said}")
            self.reaper.poll()
            if event := chain.tick(time.monotonic(), self.reaper):
                said.append(event)
            time.sleep(0.01)
        return said

    def test_two_restarts_and_the_end(self) -> None:
        chain = self.chain()
        self.tick_until(chain, lambda: not chain.starting)
        self.assertEqual(chain.address, ("127.0.0.1", 4711))
        self.assertEqual(chain.current.admin, ("127.0.0.1", 4712))
        for number in (1, 2):
            chain.restart(time.monotonic())
            said = self.tick_until(chain, lambda: not chain.is_restarting)
            self.assertEqual(len(said), 2, said)
            self.assertEqual(chain.current.number, number)
            self.assertIsNotNone(chain.current.alone_s)
        first, second, third = chain.generations
        self.assertEqual((first.code, first.answered, first.accepted, first.open_at_drain), (0, 20, 5, 7.0))
        self.assertEqual((second.code, second.answered), (0, 30))
        self.assertEqual(chain.pids(), [third.pid])
        chain.drain(chain.current, time.monotonic())
        self.tick_until(chain, lambda: chain.has_ended)
        # Adopted from the one that had started it.
        self.assertEqual((third.code, third.answered), (0, 30))

    def test_a_crash_is_a_failure(self) -> None:
        chain = self.chain("crash")
        with self.assertRaisesRegex(ServerFailed, "server 0 ended by itself, by signal SIGSEGV"):
            self.tick_until(chain, lambda: False)

    def test_a_successor_that_ends_at_once_is_a_failure(self) -> None:
        chain = self.chain("die-on-succession")
        self.tick_until(chain, lambda: not chain.starting)
        chain.restart(time.monotonic())
        # The stand-in does not wait for it, so that it is there as a zombie: what ringserve says of it
        # counts as well.
        with open(chain.err, "a", encoding="utf-8") as file:
            file.write("ringserve: cannot start a successor: no such file\n")
        with self.assertRaisesRegex(ServerFailed, "successor"):
            self.tick_until(chain, lambda: False)

    def test_one_that_does_not_end_is_a_failure(self) -> None:
        chain = self.chain("deaf", drain_limit_s=0.3)
        self.tick_until(chain, lambda: not chain.starting)
        chain.drain(chain.current, time.monotonic())
        with self.assertRaisesRegex(ServerFailed, r"server 0 did not end within 0.3 s of SIGTERM"):
            self.tick_until(chain, lambda: False)


if __name__ == "__main__":
    unittest.main()
