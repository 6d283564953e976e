#!/usr/bin/env python3
"""Looks whether a server answers as README.md beside this says that peers do.

usage: check.py HOST:PORT ORDERS_JSON PATH...      (the paths that it serves)

Prints a line for each thing that was looked at, `ok`, `failed` or `remark`, what it was, and what was
wrong, with tabs between them. A remark is what a client of a benchmark does not come across, but the
users of a server would: HEAD, unknown paths, Date, `Connection: close`. Ends with code 1 if something
failed.
"""

from __future__ import annotations

import email.utils
import json
import socket
import sys
from typing import Callable, NamedTuple

PATIENCE_S = 5.0
KEPT_ALIVE = 100
PIPELINED = 16
HELLO = b"Hello, World!"


class Wrong(Exception):
    """What is wrong with an answer."""


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """One connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host = f"{host}:{port}"
        self.socket = socket.create_connection((host, port), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.input = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.input.close()
        self.socket.close()

    def request(self, method: str, path: str, body: bytes | None = None, *fields: str) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *fields]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + (body or b"")

    def exchange(self, method: str, path: str, body: bytes | None = None, *fields: str) -> Response:
        self.socket.sendall(self.request(method, path, body, *fields))
        return self.response(method)

    def response(self, method: str = "GET") -> Response:
        words = self.line().split(" ", 2)
        if len(words) < 2 or words[0] != "HTTP/1.1" or not words[1].isdigit():
            raise Wrong(f"no status line of HTTP/1.1 but {' '.join(words)[:60]!r}")
        headers: dict[str, str] = {}
        while line := self.line():
            name, colon, value = line.partition(":")
            if not colon:
                raise Wrong(f"no header field: {line[:60]!r}")
            headers[name.lower()] = value.strip()
        status = int(words[1])
        return Response(status, headers, b"" if method == "HEAD" else self.body(headers))

    def line(self) -> str:
        line = self.input.readline(65536)
        if not line.endswith(b"\n"):
            raise Wrong("the connection was closed" if not line else "an answer ends in its head")
        return line.decode("latin-1").rstrip("\r\n")

    def body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.line().split(";")[0], 16):
                pieces.append(self.exactly(size))
                self.line()
            while self.line():
                pass
            return b"".join(pieces)
        if "content-length" not in headers:
            raise Wrong("an answer with neither Content-Length nor chunks")
        return self.exactly(int(headers["content-length"]))

    def exactly(self, size: int) -> bytes:
        content = self.input.read(size)
        if len(content) != size:
            raise Wrong(f"an answer ends after {len(content)} of {size} bytes")
        return content

    def at_end(self) -> bool:
        """Whether the other side closes the connection, and sends nothing more before."""
        return self.input.read(1) == b""


def expect(response: Response, status: int, content_type: str) -> bytes:
    if response.status != status:
        raise Wrong(f"status {response.status}, not {status}")
    got = response.headers.get("content-type", "none")
    if got.split(";")[0].strip().lower() != content_type:
        raise Wrong(f"Content-Type {got}, not {content_type}")
    return response.body


def expect_hello(response: Response) -> None:
    body = expect(response, 200, "text/plain")
    if body != HELLO:
        raise Wrong(f"{body[:40]!r}, not {HELLO!r}")


def expect_json(response: Response, value: object) -> None:
    body = expect(response, 200, "application/json")
    try:
        got = json.loads(body)
    except ValueError as error:
        raise Wrong(f"no JSON: {error}") from None
    if got != value:
        raise Wrong(f"other JSON than expected: {body[:60]!r}...")


class Check:
    """What is looked at, each on connections of its own."""

    def __init__(self, host: str, port: int, orders: object, paths: list[str]) -> None:
        self.address = (host, port)
        self.orders = orders
        self.paths = paths

    def connect(self) -> Client:
        return Client(*self.address)

    def hello(self) -> None:
        with self.connect() as client:
            expect_hello(client.exchange("GET", "/"))

    def all_orders(self) -> None:
        with self.connect() as client:
            expect_json(client.exchange("GET", "/orders"), self.orders)
            expect_json(client.exchange("GET", "/orders"), self.orders)

    def ping(self) -> None:
        with self.connect() as client:
            # An answer that is always the same would be right once.
            for sequence in (2, 31_337, 0):
                body = json.dumps({"sequence": sequence}).encode()
                expect_json(client.exchange("POST", "/ping", body), {"sequence": sequence})

    def keep_alive(self) -> None:
        with self.connect() as client:
            for count in range(KEPT_ALIVE):
                try:
                    expect_hello(client.exchange("GET", "/"))
                except Wrong as wrong:
                    raise Wrong(f"request {count + 1} of a connection: {wrong}") from None

    def pipelined(self) -> None:
        with self.connect() as client:
            client.socket.sendall(client.request("GET", "/") * PIPELINED)
            for count in range(PIPELINED):
                try:
                    expect_hello(client.response())
                except Wrong as wrong:
                    raise Wrong(f"answer {count + 1} of {PIPELINED}: {wrong}") from None

    def pieces(self) -> None:
        """A request that comes in two segments."""
        with self.connect() as client:
            request = client.request("GET", "/")
            for cut in (1, 7, len(request) - 3):
                client.socket.sendall(request[:cut])
                # Nothing may come for half a request; the wait lets the halves arrive by themselves.
                client.socket.settimeout(0.05)
                try:
                    raise Wrong(f"half a request was answered with {client.socket.recv(40)!r}")
                except TimeoutError:
                    client.socket.settimeout(PATIENCE_S)
                client.socket.sendall(request[cut:])
                expect_hello(client.response())

    def head(self) -> None:
        with self.connect() as client:
            response = client.exchange("HEAD", "/")
            if response.status not in (200, 404, 405):
                raise Wrong(f"HEAD: status {response.status}")
            try:
                expect_hello(client.exchange("GET", "/"))
            except Wrong:
                raise Wrong("HEAD is answered with content") from None
            if response.status != 200:
                raise Wrong(f"HEAD: status {response.status}")

    def not_found(self) -> None:
        with self.connect() as client:
            response = client.exchange("GET", "/no/such/path")
            if response.status != 404:
                raise Wrong(f"an unknown path: status {response.status}")
            expect_hello(client.exchange("GET", "/"))

    def date(self) -> None:
        with self.connect() as client:
            text = client.exchange("GET", "/").headers.get("date")
        if text is None:
            raise Wrong("no Date")
        try:
            email.utils.parsedate_to_datetime(text)
        except ValueError:
            raise Wrong(f"Date: {text}") from None

    def close(self) -> None:
        with self.connect() as client:
            expect_hello(client.exchange("GET", "/", None, "Connection: close"))
            try:
                closed = client.at_end()
            except TimeoutError:
                closed = False
            if not closed:
                raise Wrong("Connection: close is ignored")

    def run(self) -> bool:
        """Prints the lines; whether nothing failed."""
        musts: list[tuple[str, Callable[[], None]]] = [("/", self.hello)]
        if "/orders" in self.paths:
            musts.append(("/orders", self.all_orders))
        if "/ping" in self.paths:
            musts.append(("/ping", self.ping))
        musts += [("keep-alive", self.keep_alive), ("pipelining", self.pipelined), ("pieces", self.pieces)]
        shoulds = [("HEAD", self.head), ("404", self.not_found), ("Date", self.date), ("close", self.close)]
        good = True
        for name, look in musts:
            good &= self.look(name, look, "failed")
        for name, look in shoulds:
            self.look(name, look, "remark")
        return good

    @staticmethod
    def look(name: str, look: Callable[[], None], if_not: str) -> bool:
        try:
            look()
        except TimeoutError:
            print(if_not, name, f"no answer within {PATIENCE_S:.0f} s", sep="\t")
        except (Wrong, OSError, ValueError) as error:
            print(if_not, name, error, sep="\t")
        else:
            print("ok", name, "", sep="\t")
            return True
        return False


def main() -> int:
    if len(sys.argv) < 4:
        print(__doc__.strip().splitlines()[2], file=sys.stderr)
        return 2
    host, _, port = sys.argv[1].rpartition(":")
    with open(sys.argv[2], encoding="utf-8") as file:
        orders = json.load(file)
    return 0 if Check(host, int(port), orders, sys.argv[3:]).run() else 1


if __name__ == "__main__":
    sys.exit(main())
