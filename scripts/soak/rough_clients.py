#!/usr/bin/env python3
"""Clients as they are on a bad day, beside the load of scripts/soak.sh.

    readers   ask for a long answer and read it slowly, to its end: every byte of it must come
    resets    send half a request and reset the connection (SO_LINGER 0)
    garbage   send bytes that are no request: they must be refused, and never answered as one
    stalled   send half a head and nothing more: the server must end them by its deadline

So many of each as --readers, --resets-per-s, --garbage-per-s and --stalled say, and no more. What has
become of them is written to --output, as JSON, every second and at the end. SIGTERM ends it: no more
are opened, and readers have a while for the rest of their answers.

Loopback only. Python 3, standard library only.
"""

import argparse
import ipaddress
import json
import os
import random
import select
import signal
import socket
import struct
import sys
import time
from typing import Callable

TURN_S = 0.05
# A reader takes so much at a time, and leaves so much time between.
READ_BYTES = 16 * 1024
READ_EVERY_S = 0.25
# How long a reader may take before it counts as overdue.
READER_DEADLINE_S = 60.0
# After SIGTERM.
READERS_END_S = 30.0
GONE = select.EPOLLHUP | select.EPOLLERR

KINDS = ("readers", "resets", "garbage", "stalled")
COUNTS = {
    "readers": ("opened", "whole", "cut", "overdue", "failed", "bytes"),
    "resets": ("opened", "reset", "ended_before"),
    "garbage": ("opened", "refused", "accepted", "closed_without_answer", "overdue"),
    "stalled": ("opened", "answered", "closed_without_answer", "overdue"),
}


class Client:
    """One connection. `kind` says what it is to do."""

    def __init__(self, kind: str, address: tuple[str, int], request: bytes, now: float) -> None:
        self.kind = kind
        self.request = request
        self.started = now
        self.is_open = False
        self.received = b""
        self.body_bytes = 0
        self.wanted_bytes: int | None = None
        self.next_read = 0.0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        if kind == "readers":
            # Segments as on a network and little room, so that it is the server who has to wait.
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2 * READ_BYTES)
        try:
            self.socket.connect(address)
        except BlockingIOError:
            pass

    def status(self) -> int | None:
        """Of the answer, if its first line is there."""
        words = self.received.split(b"\r\n", 1)[0].split(b" ")
        is_answer = words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()
        return int(words[1]) if is_answer else None

    def take(self, data: bytes) -> None:
        """Counts the body's bytes behind the head."""
        if self.wanted_bytes is not None:
            self.body_bytes += len(data)
            return
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not end:
            return
        for line in head.lower().split(b"\r\n")[1:]:
            name, _, value = line.partition(b":")
            if name == b"content-length":
                self.wanted_bytes = int(value)
                self.body_bytes = len(body)

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Rabble:
    """All of them, and the one loop that drives them."""

    def __init__(self, arguments: argparse.Namespace, clock: Callable[[], float] = time.monotonic) -> None:
        self.arguments = arguments
        self.clock = clock
        self.host = f"{arguments.address[0]}:{arguments.address[1]}".encode()
        self.random = random.Random(arguments.seed)
        self.poll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.counts = {kind: dict.fromkeys(names, 0) for kind, names in COUNTS.items()}
        self.connect_failed = 0
        self.first_failure: str | None = None
        self.owed = dict.fromkeys(KINDS, 0.0)
        self.stopping_since: float | None = None

    def request(self, kind: str) -> bytes:
        host = b" HTTP/1.1\r\nHost: " + self.host + b"\r\n"
        if kind == "readers":
            path = f"/bytes/{self.arguments.reader_bytes}".encode()
            return b"GET " + path + host + b"Connection: close\r\n\r\n"
        if kind == "resets":
            half = b"POST /echo" + host + b"Content-Length: 4096\r\n\r\n" + bytes(1000)
            # Anywhere, in the head or in the body.
            return half[: self.random.randrange(1, len(half))]
        if kind == "garbage":
            # The first byte begins no method, so that it never is a request by chance.
            noise = self.random.randbytes(self.random.randrange(16, 512))
            return b"\x00" + noise + b"\r\n\r\n"
        return b"GET /" + host + b"X-Half: "

    def run(self) -> None:
        last, next_report = self.clock(), 0.0
        while not self.is_done():
            for descriptor, events in self.poll.poll(TURN_S):
                if descriptor in self.clients:
                    self.handle(self.clients[descriptor], events)
            now = self.clock()
            if self.stopping_since is None:
                self.open_more(now - last)
            last = now
            for client in list(self.clients.values()):
                self.tend(client, now)
            if now >= next_report:
                next_report = now + 1
                self.report()
        for client in list(self.clients.values()):
            self.fail_reader(client, "overdue", "a slow reader's answer did not end with the soak")
        self.report()

    def stop(self) -> None:
        """Readers go on to their end; of the others nothing is expected any more."""
        if self.stopping_since is None:
            self.stopping_since = self.clock()
            for client in list(self.clients.values()):
                if client.kind != "readers":
                    self.end(client)

    def is_done(self) -> bool:
        if self.stopping_since is None:
            return False
        return not self.clients or self.clock() - self.stopping_since > READERS_END_S

    def open_more(self, passed_s: float) -> None:
        there = dict.fromkeys(KINDS, 0)
        for client in self.clients.values():
            there[client.kind] += 1
        arguments = self.arguments
        for kind, most in (("readers", arguments.readers), ("stalled", arguments.stalled)):
            # One of each in a turn: they do not come all at once.
            if there[kind] < most:
                self.open(kind)
        for kind, per_s in (("resets", arguments.resets_per_s), ("garbage", arguments.garbage_per_s)):
            self.owed[kind] = min(self.owed[kind] + per_s * passed_s, 1 + per_s)
            while self.owed[kind] >= 1:
                self.owed[kind] -= 1
                # A server that does not answer must not make them a crowd.
                if there[kind] < 4 * per_s + 4:
                    self.open(kind)

    def open(self, kind: str) -> None:
        try:
            client = Client(kind, self.arguments.address, self.request(kind), self.clock())
        except OSError as error:
            self.note_connect_failed(error)
            return
        self.clients[client.socket.fileno()] = client
        self.poll.register(client.socket, select.EPOLLOUT)

    def handle(self, client: Client, events: int) -> None:
        if not client.is_open:
            error = client.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error or events & GONE:
                self.note_connect_failed(OSError(error, os.strerror(error)))
                self.end(client)
                return
            self.opened(client)
        elif client.kind == "readers":
            # It looks when its time has come; only that it is broken is seen at once.
            if events & select.EPOLLERR:
                self.fail_reader(client, "failed", "the connection of a slow reader broke")
        else:
            self.read_answer(client)

    def opened(self, client: Client) -> None:
        client.is_open = True
        self.counts[client.kind]["opened"] += 1
        try:
            sent = client.socket.send(client.request)
        except OSError as error:
            self.note_connect_failed(error)
            self.end(client)
            return
        assert sent == len(client.request), "a request is smaller than any socket's buffer"
        # A reader's readiness is always there.
        self.poll.modify(client.socket, 0 if client.kind == "readers" else select.EPOLLIN)

    def tend(self, client: Client, now: float) -> None:
        """What time brings."""
        if client.kind == "readers":
            if client.is_open and now >= client.next_read:
                client.next_read = now + READ_EVERY_S
                self.read_slowly(client)
            if client.socket.fileno() in self.clients and now - client.started > READER_DEADLINE_S:
                self.fail_reader(client, "overdue", "a slow reader's answer took too long")
        elif client.kind == "resets":
            # In a later turn than the one that it was opened in.
            if client.is_open and now - client.started > 2 * TURN_S:
                self.counts["resets"]["reset"] += 1
                client.reset()
                self.end(client)
        elif now - client.started > self.arguments.deadline_s:
            self.counts[client.kind]["overdue"] += 1
            deadline_s = self.arguments.deadline_s
            self.note_failure(f"{client.kind}: the server did not end it in {deadline_s:g} s")
            self.end(client)

    def read_slowly(self, client: Client) -> None:
        counts = self.counts["readers"]
        try:
            data = client.socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail_reader(client, "failed", f"a slow reader: {error}")
            return
        counts["bytes"] += len(data)
        client.take(data)
        if client.wanted_bytes is not None and client.body_bytes >= client.wanted_bytes:
            is_right = client.status() == 200 and client.body_bytes == self.arguments.reader_bytes
            if is_right:
                counts["whole"] += 1
                self.end(client)
            else:
                self.fail_reader(client, "failed", f"a slow reader got status {client.status()}")
        elif not data:
            share = f"{client.body_bytes} of {client.wanted_bytes} bytes"
            self.fail_reader(client, "cut", f"a slow reader's answer ended after {share}")

    def fail_reader(self, client: Client, count: str, why: str) -> None:
        self.counts["readers"][count] += 1
        self.note_failure(why)
        self.end(client)

    def read_answer(self, client: Client) -> None:
        """Of garbage, halves and what is to be reset."""
        try:
            data = client.socket.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            # A reset is an end, too.
            data = b""
        client.received += data
        if data:
            return
        counts, status = self.counts[client.kind], client.status()
        if client.kind == "resets":
            counts["ended_before"] += 1
        elif status is None:
            counts["closed_without_answer"] += 1
        elif client.kind == "garbage":
            counts["refused" if status >= 400 else "accepted"] += 1
            if status < 400:
                self.note_failure(f"garbage was answered with {status}: {client.request!r}")
        else:
            counts["answered"] += 1
        self.end(client)

    def end(self, client: Client) -> None:
        self.poll.unregister(client.socket)
        del self.clients[client.socket.fileno()]
        client.socket.close()

    def note_connect_failed(self, error: OSError) -> None:
        self.connect_failed += 1
        self.note_failure(f"a connection could not be opened: {error}")

    def note_failure(self, why: str) -> None:
        self.first_failure = self.first_failure or why

    def report(self) -> None:
        """Replaced as a whole, as it is read at any time."""
        in_flight = sum(client.kind == "readers" for client in self.clients.values())
        found = {
            **self.counts,
            "readers_in_flight": in_flight,
            "open": len(self.clients),
            "connect_failed": self.connect_failed,
            "first_failure": self.first_failure,
        }
        beside = self.arguments.output + ".new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(found, file)
        os.replace(beside, self.arguments.output)


def parse_address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not ipaddress.IPv4Address(host).is_loopback:
        raise ValueError("not an address of this machine's loopback")
    return host, int(port)


def parse_arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("address", type=parse_address, help="127.0.0.1:PORT")
    parser.add_argument("--output", required=True, help="file for what has become of them")
    parser.add_argument("--readers", type=int, default=8)
    parser.add_argument("--reader-bytes", type=int, default=500_000)
    parser.add_argument("--stalled", type=int, default=8)
    parser.add_argument("--resets-per-s", type=float, default=2)
    parser.add_argument("--garbage-per-s", type=float, default=2)
    parser.add_argument(
        "--deadline-s", type=float, default=30, help="by when the server must have ended what is no request"
    )
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args(words)


def main() -> None:
    rabble = Rabble(parse_arguments(sys.argv[1:]))
    signal.signal(signal.SIGTERM, lambda *_: rabble.stop())
    rabble.run()


if __name__ == "__main__":
    main()
