#!/usr/bin/env python3
"""Tests of scripts/peers/check.py against servers that are right, and wrong in one thing each."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import pathlib
import socketserver
import threading
import unittest

CHECK = pathlib.Path(__file__).resolve().parent.parent / "peers" / "check.py"
spec = importlib.util.spec_from_file_location("check", CHECK)
check = importlib.util.module_from_spec(spec)
spec.loader.exec_module(check)
check.PATIENCE_S = 0.5

ORDERS = [{"id": 1001, "status": "paid"}]
PATHS = ["/", "/orders", "/ping"]


class Peer(socketserver.StreamRequestHandler):
    """Right in everything; what is wrong with it is the server's `fault`."""

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            count = 0
            while self.answer(count):
                count += 1

    def answer(self, count: int) -> bool:
        """Whether the connection stays."""
        fault = self.server.fault
        line = self.rfile.readline()
        if not line:
            return False
        method, path, _ = line.decode().split(" ")
        fields = {}
        while (field := self.rfile.readline().strip()):
            name, _, value = field.decode().partition(":")
            fields[name.lower()] = value.strip()
        content = self.rfile.read(int(fields.get("content-length", 0)))
        status, kind, body = self.content(method, path, content)
        head = [f"HTTP/1.1 {status} Whatever", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
        if fault != "no date":
            head.append("Date: Sun, 01 Mar 2026 00:00:00 GMT")
        if fault == "chunked":
            head[2] = "Transfer-Encoding: chunked"
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        sends_body = method != "HEAD" or fault == "head with content"
        self.wfile.write("\r\n".join([*head, "", ""]).encode() + (body if sends_body else b""))
        if fault == "drops pipelined" and self.rfile.peek(1):
            return False
        stays = fields.get("connection") != "close" or fault == "ignores close"
        return stays and not (fault == "short-lived" and count == 50)

    def content(self, method: str, path: str, body: bytes) -> tuple[int, str, bytes]:
        fault = self.server.fault
        if path == "/":
            return 200, "text/html" if fault == "html" else "text/plain", b"Hello, World!"
        if path == "/orders":
            return 200, "application/json", json.dumps([] if fault == "no rows" else ORDERS).encode()
        if path == "/ping" and method == "POST":
            sequence = 2 if fault == "constant ping" else json.loads(body)["sequence"]
            return 200, "application/json", json.dumps({"sequence": sequence}).encode()
        return (200 if fault == "all is found" else 404), "text/plain", b"not found"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    fault = ""


def looked_at(fault: str, paths: list[str]) -> tuple[bool, dict[str, str]]:
    """Whether nothing failed, and all that was not ok, as `{what: verdict}`."""
    with Server(("127.0.0.1", 0), Peer) as server:
        server.fault = fault
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            good = check.Check(*server.server_address, ORDERS, paths).run()
        server.shutdown()
    lines = [line.split("\t") for line in said.getvalue().splitlines()]
    return good, {what: verdict for verdict, what, _ in lines if verdict != "ok"}


class CheckTest(unittest.TestCase):
    def test_one_without_faults_passes_with_either_framing(self) -> None:
        self.assertEqual(looked_at("", PATHS), (True, {}))
        self.assertEqual(looked_at("chunked", PATHS), (True, {}))

    def test_only_what_is_served_is_looked_at(self) -> None:
        self.assertEqual(looked_at("no rows", ["/"]), (True, {}))

    def test_each_fault_is_found_where_it_is(self) -> None:
        for fault, what in [
            ("no rows", "/orders"),
            ("constant ping", "/ping"),
            ("short-lived", "keep-alive"),
            ("drops pipelined", "pipelining"),
        ]:
            with self.subTest(fault=fault):
                good, wrong = looked_at(fault, PATHS)
                self.assertFalse(good)
                self.assertEqual(wrong.get(what), "failed")

    def test_a_wrong_hello_fails(self) -> None:
        good, wrong = looked_at("html", PATHS)
        self.assertFalse(good)
        self.assertEqual(wrong["/"], "failed")

    def test_what_no_benchmark_comes_across_is_a_remark(self) -> None:
        for fault, what in [
            ("head with content", "HEAD"),
            ("all is found", "404"),
            ("no date", "Date"),
            ("ignores close", "close"),
        ]:
            with self.subTest(fault=fault):
                self.assertEqual(looked_at(fault, PATHS), (True, {what: "remark"}))

    def test_one_that_is_not_there_fails(self) -> None:
        with Server(("127.0.0.1", 0), Peer) as server:
            address = server.server_address
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertFalse(check.Check(*address, ORDERS, ["/"]).run())


if __name__ == "__main__":
    unittest.main()
