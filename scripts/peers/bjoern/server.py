"""bjoern as a peer of ringserve: a bare WSGI application, and a process for each thread asked for.

Usage: server.py HOST PORT PROCESSES
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Any, Callable, NoReturn

import bjoern
import orjson

HELLO = b"Hello, World!"
ORDERS = orjson.loads((Path(__file__).parent.parent / "orders.json").read_bytes())

# Connections that wait to be accepted; the kernel lowers it to net.core.somaxconn.
BACKLOG = 16_384
PR_SET_PDEATHSIG = 1


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    path = environ["PATH_INFO"]
    if path == "/":
        return answer(start_response, "200 OK", "text/plain; charset=utf-8", HELLO)
    if path == "/orders":
        return answer(start_response, "200 OK", "application/json", orjson.dumps(ORDERS))
    if path == "/ping" and environ["REQUEST_METHOD"] == "POST":
        try:
            sequence = orjson.loads(environ["wsgi.input"].read())["sequence"]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            return answer(start_response, "400 Bad Request", "text/plain; charset=utf-8", b"not a ping")
        return answer(start_response, "200 OK", "application/json", orjson.dumps({"sequence": sequence}))
    return answer(start_response, "404 Not Found", "text/plain; charset=utf-8", b"not found")


def answer(start_response: Callable[..., Any], status: str, content_type: str, body: bytes) -> list[bytes]:
    start_response(status, [("Content-Type", content_type), ("Content-Length", str(len(body)))])
    return [body]


def serve(host: str, port: int, reuse_port: bool) -> None:
    bjoern.listen(app, host, port, reuse_port=reuse_port, listen_backlog=BACKLOG)
    bjoern.run()


def serve_in_child(parent: int, host: str, port: int) -> NoReturn:
    """Never returns into the parent's code. Ends with the parent, however that ends."""
    status = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() == parent:
            serve(host, port, reuse_port=True)
            status = 0
    except Exception as error:  # the last that sees it
        print(f"bjoern: {error}", file=sys.stderr)
    finally:
        os._exit(status)


def supervise(host: str, port: int, processes: int) -> int:
    """Ends all processes when it is told to, or when one of them has ended."""
    children: set[int] = set()
    parent = os.getpid()
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop | {signal.SIGCHLD})
    for _ in range(processes):
        pid = os.fork()
        if pid == 0:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, stop | {signal.SIGCHLD})
            serve_in_child(parent, host, port)
        children.add(pid)
    received = signal.sigwait(stop | {signal.SIGCHLD})
    for pid in children:
        os.kill(pid, signal.SIGTERM)  # none has been waited for: the pids are still theirs
    for pid in children:
        os.waitpid(pid, 0)
    return 0 if received in stop else 1


def main() -> int:
    host, port, processes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if processes > 1:
        return supervise(host, port, processes)
    serve(host, port, reuse_port=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
