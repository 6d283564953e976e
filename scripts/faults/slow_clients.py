#!/usr/bin/env python3
"""Clients that a server must not wait for, for scripts/faults.sh.

Opens two kinds of connections: senders, which send a request head one byte a second and never end
it, and readers, which ask for a big answer and never read it. Prints `ready` once all are open, then
waits until the server has closed them, and prints what became of them as lines `name value`.

Loopback only. Python 3, standard library only.
"""

import argparse
import errno
import ipaddress
import select
import socket
import time

CONNECTING_AT_A_TIME = 200
# Senders take turns, so that their bytes come evenly and not in bursts.
TURNS_PER_SECOND = 200
GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Client:
    """One connection and what has become of it."""

    def __init__(self, address, head, drips):
        self.head = head
        self.drips = drips
        self.sent = 0
        self.opened = None
        self.closed = None
        self.refused = None
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.socket.setblocking(False)
        # Segments as they are on a network: with loopback's 64 KiB ones, the kernel lets the server
        # have megabytes under way to each reader.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
        code = self.socket.connect_ex(address)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "connect")

    def send(self, count):
        """Sends the next bytes of the head; the header's value of a sender goes on for ever."""
        piece = self.head[self.sent : self.sent + count] or b"a" * min(count, 1)
        try:
            self.sent += self.socket.send(piece)
        except BlockingIOError:
            pass
        except OSError:
            return False
        return True

    def last_words(self):
        """The status that a sender was refused with, if any."""
        try:
            line = self.socket.recv(4096).split(b"\r\n", 1)[0].split(b" ")
            return line[1].decode("ascii", "replace") if len(line) > 1 else None
        except OSError:
            return None

    def close(self, now):
        if self.drips:
            self.refused = self.last_words()
        self.closed = now
        self.socket.close()


class Crowd:
    """All connections, and the one loop that drives them."""

    def __init__(self, arguments):
        self.address = arguments.address
        host = f"{self.address[0]}:{self.address[1]}".encode()
        slow_head = b"GET / HTTP/1.1\r\nHost: " + host + b"\r\nX-Slow: "
        big_request = b"GET " + arguments.path.encode() + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        self.wanted = [(slow_head, True)] * arguments.senders + [(big_request, False)] * arguments.readers
        self.poll = select.epoll()
        self.clients = {}
        self.all = []
        self.connecting = 0
        self.failed = 0

    def open_more(self):
        while self.wanted and self.connecting < CONNECTING_AT_A_TIME:
            head, drips = self.wanted.pop()
            try:
                client = Client(self.address, head, drips)
            except OSError:
                self.failed += 1
                continue
            self.clients[client.socket.fileno()] = client
            self.all.append(client)
            self.connecting += 1
            self.poll.register(client.socket, select.EPOLLOUT | select.EPOLLRDHUP)

    def handle(self, descriptor, events):
        client = self.clients[descriptor]
        now = time.monotonic()
        if client.opened is None:
            self.connecting -= 1
            if events & (select.EPOLLHUP | select.EPOLLERR):
                self.failed += 1
                self.forget(client)
                return
            client.opened = now
            # A reader asks at once; its answer is never looked at, only its end is.
            if not client.send(1 if client.drips else len(client.head)):
                self.end(client, now)
                return
            self.poll.modify(descriptor, select.EPOLLRDHUP)
        if events & GONE:
            self.end(client, now)

    def end(self, client, now):
        self.poll.unregister(client.socket)
        del self.clients[client.socket.fileno()]
        client.close(now)

    def forget(self, client):
        self.end(client, 0)
        self.all.remove(client)

    def drip(self, turn):
        now = time.monotonic()
        slow = [client for client in self.all[turn::TURNS_PER_SECOND] if client.drips]
        for client in slow:
            if client.opened is not None and client.closed is None and not client.send(1):
                self.end(client, now)

    def run(self, seconds):
        start = time.monotonic()
        turn = 0
        is_ready = False
        while time.monotonic() - start < seconds:
            self.open_more()
            due = start + turn / TURNS_PER_SECOND
            for descriptor, events in self.poll.poll(max(0, due - time.monotonic())):
                if descriptor in self.clients:
                    self.handle(descriptor, events)
            if time.monotonic() >= due:
                self.drip(turn % TURNS_PER_SECOND)
                turn += 1
            if not is_ready and not self.wanted and self.connecting == 0:
                is_ready = True
                print("ready", flush=True)
            if is_ready and not self.clients:
                return

    def report(self):
        print("failed", self.failed)
        for name, drips in (("senders", True), ("readers", False)):
            kind = [client for client in self.all if client.drips == drips]
            times = sorted(client.closed - client.opened for client in kind if client.closed)
            print(f"{name}.opened", len(kind))
            print(f"{name}.closed", len(times))
            if times:
                print(f"{name}.closed_after_s.min {times[0]:.2f}")
                print(f"{name}.closed_after_s.median {times[len(times) // 2]:.2f}")
                print(f"{name}.closed_after_s.max {times[-1]:.2f}")
        answers = [client.refused for client in self.all if client.refused]
        for status in sorted(set(answers)):
            print(f"senders.status.{status}", answers.count(status))


def parse_address(text):
    host, _, port = text.rpartition(":")
    if not ipaddress.IPv4Address(host).is_loopback:
        raise ValueError("not an address of this machine's loopback")
    return host, int(port)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("address", type=parse_address, help="127.0.0.1:PORT")
    parser.add_argument("--senders", type=int, default=5000)
    parser.add_argument("--readers", type=int, default=5000)
    parser.add_argument("--path", default="/bytes/10000000")
    parser.add_argument("--seconds", type=float, default=40, help="give up after this time")
    arguments = parser.parse_args()
    crowd = Crowd(arguments)
    crowd.run(arguments.seconds)
    crowd.report()


if __name__ == "__main__":
    main()
