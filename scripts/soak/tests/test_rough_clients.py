"""The rough clients against a server that is good, and against one that is not."""

import json
import socket
import tempfile
import threading
import time
import unittest
from typing import Callable

import rough_clients
from rough_clients import Rabble

PATIENCE_S = 20.0
BYTES = 40_000


def good(connection: socket.socket) -> None:
    """As a server should: whole answers, 400 for what is no request, 408 for what does not come."""
    connection.settimeout(0.3)
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            data = connection.recv(4096)
            if not data:
                return
            received += data
    except TimeoutError:
        connection.sendall(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n")
        return
    if received.startswith(b"GET /bytes/"):
        connection.settimeout(PATIENCE_S)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BYTES + bytes(BYTES))
    elif received.startswith(b"POST"):
        # The rest does not come.
        connection.settimeout(PATIENCE_S)
        while connection.recv(4096):
            pass
    else:
        connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")


def bad(connection: socket.socket) -> None:
    """Answers cut short, and garbage taken for a request."""
    connection.settimeout(0.3)
    received = connection.recv(4096)
    if received.startswith(b"GET /bytes/"):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BYTES + bytes(BYTES // 2))
    else:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


class Server:
    """A thread for each connection, until its listener is closed."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.serve = serve
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.handle, args=(connection,), daemon=True).start()

    def handle(self, connection: socket.socket) -> None:
        try:
            with connection:
                self.serve(connection)
        except OSError:
            # A reset by the client, which is what some of them are for.
            pass


class RoughClientsTest(unittest.TestCase):
    def rabble(self, serve: Callable[[socket.socket], None]) -> Rabble:
        server = Server(serve)
        self.addCleanup(server.listener.close)
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        address = "{}:{}".format(*server.listener.getsockname())
        words = [address, "--output", f"{folder.name}/out.json", "--readers", "2", "--reader-bytes", str(BYTES)]
        words += ["--stalled", "2", "--resets-per-s", "20", "--garbage-per-s", "20", "--deadline-s", "5"]
        return Rabble(rough_clients.parse_arguments(words))

    def run_until(self, rabble: Rabble, is_so: Callable[[], bool]) -> dict:  # type: ignore[type-arg]
        thread = threading.Thread(target=rabble.run)
        thread.start()
        deadline_s = time.monotonic() + PATIENCE_S
        while not is_so() and time.monotonic() < deadline_s:
            time.sleep(0.02)
        self.assertTrue(is_so(), rabble.counts)
        rabble.stopping_since = time.monotonic()
        thread.join(PATIENCE_S)
        self.assertFalse(thread.is_alive())
        with open(rabble.arguments.output, encoding="utf-8") as file:
            return json.load(file)

    def test_a_good_server(self) -> None:
        rabble = self.rabble(good)
        counts = rabble.counts

        def all_kinds_were_there() -> bool:
            return (
                counts["readers"]["whole"] >= 2
                and counts["resets"]["reset"] >= 3
                and counts["garbage"]["refused"] >= 3
                and counts["stalled"]["answered"] >= 2
            )

        found = self.run_until(rabble, all_kinds_were_there)
        self.assertIsNone(found["first_failure"])
        self.assertEqual((found["readers"]["cut"], found["readers"]["failed"], found["garbage"]["accepted"]), (0, 0, 0))
        self.assertGreaterEqual(found["readers"]["bytes"], 2 * BYTES)
        self.assertEqual(found["connect_failed"], 0)

    def test_a_bad_server_is_found_out(self) -> None:
        rabble = self.rabble(bad)
        counts = rabble.counts
        found = self.run_until(rabble, lambda: counts["readers"]["cut"] > 0 and counts["garbage"]["accepted"] > 0)
        self.assertIsNotNone(found["first_failure"])

    def test_nobody_there(self) -> None:
        rabble = self.rabble(good)
        # Port 1 of the loopback: nobody listens there.
        rabble.arguments.address = ("127.0.0.1", 1)
        found = self.run_until(rabble, lambda: rabble.connect_failed > 0)
        self.assertIn("refused", found["first_failure"])

    def test_only_the_loopback(self) -> None:
        with self.assertRaises(ValueError):
            rough_clients.parse_address("192.0.2.1:80")
        self.assertEqual(rough_clients.parse_address("127.0.0.1:80"), ("127.0.0.1", 80))


if __name__ == "__main__":
    unittest.main()
