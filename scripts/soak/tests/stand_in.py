"""A stand-in for ringserve: what it says and how it takes signals, without serving anybody.

    stand_in.py [die-on-succession | deaf | crash]
"""

import os
import signal
import subprocess
import sys
import time

mode = sys.argv[1] if len(sys.argv) > 1 else ""
is_successor = "STAND_IN_SUCCESSOR" in os.environ


def say(text: str) -> None:
    print(f"ringserve: {text}", file=sys.stderr, flush=True)


def succeed(*_: object) -> None:
    environment = {**os.environ, "STAND_IN_SUCCESSOR": "1"}
    child = subprocess.Popen([sys.executable, *sys.argv], env=environment)
    say(f"process {child.pid} takes over; end this one when it is ready")


def end(*_: object) -> None:
    if mode == "deaf":
        return
    say("finishing what was received; a second signal stops at once")
    say(f"stopped after {30 if is_successor else 20} requests on 5 connections (0 refused, 0 timed out)")
    os._exit(0)


if mode == "die-on-succession" and is_successor:
    sys.exit(1)
signal.signal(signal.SIGUSR2, succeed)
signal.signal(signal.SIGTERM, end)
say("metrics on http://127.0.0.1:4712/metrics")
print("ringserve: listening on http://127.0.0.1:4711 (1 shard, uring)", flush=True)
if mode == "crash":
    os.kill(os.getpid(), signal.SIGSEGV)
while True:
    time.sleep(60)
