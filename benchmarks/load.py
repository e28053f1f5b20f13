"""The client that sends the load, in a process of its own: SMTP over plain sockets, on one epoll.

    python -m benchmarks.load PORT --connections 16 --size 10000 --seconds 1 [--kind prose] [--fresh] [--count N]

Prints one JSON object. The envelope goes out in one piece (RFC 2920, all servers here offer it), the mail when the
354 has come. When time is up no mail is begun any more; those under way are finished and counted, and the rate is
over the whole time until the last 250.
"""

import argparse
import json
import os
import select
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from benchmarks import mails
from benchmarks.mails import Mail

_PIECE = 262_144  # bytes handed to the kernel at once
_PER_CONNECTION = 900  # mails; servers dismiss a client after so many


class RefusedError(RuntimeError):
    """The server did not take a mail."""


@dataclass
class Plan:
    """What is to be sent, and what came of it."""

    port: int
    mail: Mail
    numbers: Iterator[int]
    until: float
    most: int
    fresh: bool = False
    begun: int = 0
    seconds: list[float] = field(default_factory=list)  # of each mail, from MAIL to the last 250
    last: float = 0.0

    def next(self) -> int | None:
        """The number of the next mail to send, None when there is none."""
        if self.begun >= self.most or (self.until and time.monotonic() >= self.until):
            return None
        self.begun += 1
        return next(self.numbers)


class Connection:
    """One connection: which answer it waits for, and what it still has to write."""

    def __init__(self, plan: Plan, poll: select.epoll) -> None:
        self._plan = plan
        self._poll = poll
        self._open()

    def _open(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", self._plan.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self._poll.register(self.socket, select.EPOLLIN)
        self._out: list[memoryview] = []
        self._in = b""
        self._awaited = [b"220"]
        self._then = self._hello
        self._sent = 0
        self.open = True

    def _hello(self) -> None:
        self._say(b"EHLO client.example\r\n", [b"250"], self._mail)

    def _mail(self) -> None:
        if self._sent >= _PER_CONNECTION or (self._plan.fresh and self._sent):
            self._say(b"QUIT\r\n", [b"221"], self._again)
            return
        number = self._plan.next()
        if number is None:
            self._say(b"QUIT\r\n", [b"221"], self._close)
            return
        self._sent += 1
        self._number = number
        self._begun = time.monotonic()
        envelope = f"MAIL FROM:<{mails.sender(number)}>\r\nRCPT TO:<{mails.RECIPIENT}>\r\nDATA\r\n"
        self._say(envelope.encode(), [b"250", b"250", b"354"], self._content)

    def _content(self) -> None:
        mail = self._plan.mail
        self._awaited, self._then = [b"250"], self._taken
        body = memoryview(mail.body)
        first = mail.head + mail.number(self._number)
        self._out = [memoryview(first)] + [body[at : at + _PIECE] for at in range(0, len(body), _PIECE)]
        self.write()

    def _taken(self) -> None:
        self._plan.last = time.monotonic()
        self._plan.seconds.append(self._plan.last - self._begun)
        self._mail()

    def _again(self) -> None:
        self._close()
        self._open()

    def _close(self) -> None:
        self._poll.unregister(self.socket)
        self.socket.close()
        self.open = False

    def _say(self, words: bytes, awaited: list[bytes], then: Any) -> None:
        self._awaited, self._then = awaited, then
        self.socket.sendall(words)

    def write(self) -> None:
        """Write what the kernel takes."""
        try:
            while self._out:
                sent = self.socket.sendmsg(self._out[:2])
                while sent:
                    step = min(sent, len(self._out[0]))
                    self._out[0] = self._out[0][step:]
                    sent -= step
                    if not self._out[0]:
                        del self._out[0]
        except BlockingIOError:
            self._poll.modify(self.socket, select.EPOLLIN | select.EPOLLOUT)
            return
        self._poll.modify(self.socket, select.EPOLLIN)

    def read(self) -> None:
        """Read answers, and go on once all that are awaited have come."""
        data = self.socket.recv(65_536)
        if not data:
            raise RefusedError("the server closed the connection")
        self._in += data
        while self._awaited:
            line, end, rest = self._in.partition(b"\n")
            if not end:
                return
            self._in = rest
            if line[3:4] == b"-":
                continue
            if not line.startswith(self._awaited.pop(0)):
                raise RefusedError(line.decode("latin-1").strip())
        self._then()


def run(plan: Plan, connections: int) -> None:
    """Send until the plan is carried out."""
    poll = select.epoll()
    by_number: dict[int, Connection] = {}
    everybody = [Connection(plan, poll) for _ in range(connections)]
    for one in everybody:
        by_number[one.socket.fileno()] = one
    while any(one.open for one in everybody):
        for number, events in poll.poll(5.0):
            one = by_number[number]
            if events & select.EPOLLOUT:
                one.write()
            if events & ~select.EPOLLOUT and one.open:
                one.read()
                by_number[one.socket.fileno()] = one


def quantile(values: list[float], share: float) -> float:
    """The value below which this share of them lies."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)]


def main() -> None:
    """Send, and print what came of it."""
    options = argparse.ArgumentParser()
    options.add_argument("port", type=int)
    options.add_argument("--connections", type=int, default=1)
    options.add_argument("--size", type=int, default=10_000)
    options.add_argument("--kind", choices=["office", "prose"], default="office")
    options.add_argument("--seconds", type=float, default=1.0)
    options.add_argument("--count", type=int, default=sys.maxsize, help="mails at the most")
    options.add_argument("--fresh", action="store_true", help="a new connection for each mail")
    wanted = options.parse_args()
    mail = getattr(mails, wanted.kind)(wanted.size)
    first = time.time_ns() // 1000 % 10**9 * 1000 + os.getpid() % 1000
    begun = time.monotonic()
    until = begun + wanted.seconds if wanted.seconds else 0.0
    plan = Plan(wanted.port, mail, count(first), until, wanted.count, fresh=wanted.fresh)
    run(plan, wanted.connections)
    size = len(mail.head) + len(mail.number(0)) + len(mail.body) - 3
    result = {
        "messages": len(plan.seconds),
        "bytes": size * len(plan.seconds),
        "seconds": plan.last - begun,
        "p50": quantile(plan.seconds, 0.5),
        "p99": quantile(plan.seconds, 0.99),
    }
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
