"""A telephone exchange between two soft modems, for calls that go wrong: IAX2 (RFC 5456) over UDP on loopback.

    python exchange.py PORT CALLER CALLED

Ports of its own, of the modem that dials and of the one that answers. A number that NUMBERS does not name is put through:
each datagram goes on as it is. The others are busy, are not answered, are answered by a voice, are not in service, or are cut
so many seconds after the answer.
"""

import math
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

NUMBERS = {
    "4165550190": "busy",
    "4165550191": "nobody",
    "4165550192": "voice",
    "4165550193": "not in service",
    **{f"416555016{tens}": f"cut {tens}0" for tens in range(1, 10)},
}

# RFC 5456 section 8.2: frame types; 8.3 and 8.4: what they say; 8.6: what they carry.
_VOICE, _CONTROL, _IAX = 2, 4, 6
_NEW, _PING, _PONG, _ACK, _HANGUP, _REJECT, _ACCEPT, _INVAL, _LAGRQ, _LAGRP = 1, 2, 3, 4, 5, 6, 7, 10, 11, 12
_RINGING, _ANSWER, _BUSY = 3, 4, 5
_CALLED_NUMBER, _FORMAT, _CAUSE = 1, 9, 22
_LINEAR = 64  # 16 bits, 8000 a second
_PIECE = 0.02  # seconds of sound in a datagram


@dataclass(frozen=True)
class Frame:
    """A full frame (section 8.1.1). Mini frames, which hold sound, are never looked into."""

    source: int
    target: int
    stamp: int
    sent: int  # its own number
    awaited: int  # the number of the next frame from the other side
    kind: int
    says: int
    carries: bytes = b""

    def packed(self) -> bytes:
        head = (
            self.source | 0x8000,
            self.target,
            self.stamp,
            self.sent & 255,
            self.awaited & 255,
            self.kind,
            self.says,
        )
        return struct.pack("!HHIBBBB", *head) + self.carries

    @property
    def counts(self) -> bool:
        """Whether it takes a number of its own (section 7.1)."""
        return not (self.kind == _IAX and self.says in {_ACK, _INVAL})

    def element(self, wanted: int) -> str:
        rest = self.carries
        while len(rest) > 1:
            kind, size = rest[0], rest[1]
            if kind == wanted:
                return rest[2 : 2 + size].decode("ascii", "replace")
            rest = rest[2 + size :]
        return ""


def frame(data: bytes) -> Frame | None:
    """The full frame in a datagram; None for sound."""
    if len(data) < 12 or not data[0] & 0x80:
        return None
    source, target, stamp, sent, awaited, kind, says = struct.unpack("!HHIBBBB", data[:12])
    return Frame(source & 0x7FFF, target & 0x7FFF, stamp, sent, awaited, kind, says, data[12:])


class Through:
    """A call that is put through, and perhaps cut: both sides then hear that the other hung up."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._cut_at = math.inf
        self._began = time.monotonic()
        self._calls: dict[bool, int] = {}  # the number of the call at each side; True is who dialled
        self._next: dict[bool, int] = {True: 0, False: 0}  # number of the next frame from there
        self.over = False

    def passes(self, data: bytes, dialled: bool) -> Iterator[tuple[bytes, bool]]:
        """A datagram of one side: what goes to which."""
        if self.over:
            return
        if (full := frame(data)) is not None:
            self._calls[dialled] = full.source
            if full.counts:
                self._next[dialled] = full.sent + 1
            if full.kind == _CONTROL and full.says == _ANSWER and self._seconds is not None:
                self._cut_at = time.monotonic() + self._seconds
        yield data, not dialled

    def ticks(self) -> Iterator[tuple[bytes, bool]]:
        """What is to be sent by itself now."""
        if time.monotonic() < self._cut_at or self.over or len(self._calls) < 2:
            return
        self.over = True
        stamp = int((time.monotonic() - self._began) * 1000)
        for to in (True, False):
            numbers = (self._calls[not to], self._calls[to], stamp, self._next[not to], self._next[to])
            yield Frame(*numbers, _IAX, _HANGUP).packed(), to


class Answered:
    """A call that the exchange takes itself."""

    def __init__(self, what: str, call: int) -> None:
        self._what, self._call = what, call
        self._began = time.monotonic()
        self._peer = self._sent = self._awaited = 0
        self._spoken = -1  # pieces of sound; -1 before the answer
        self.over = False

    def passes(self, data: bytes, _dialled: bool) -> Iterator[tuple[bytes, bool]]:
        full = frame(data)
        if full is None or not full.counts:
            return
        self._peer, self._awaited = full.source, full.sent + 1
        for answer in self._answers(full):
            yield answer, True

    def ticks(self) -> Iterator[tuple[bytes, bool]]:
        if self._what != "voice" or self.over or not self._peer:
            return
        if self._spoken < 0 and self._age > 2.0:
            self._spoken = 0
            yield self._full(_CONTROL, _ANSWER), True
        while 0 <= self._spoken * _PIECE < self._age - 2.0:
            yield self._sound(), True
            self._spoken += 1

    def _answers(self, full: Frame) -> Iterator[bytes]:
        if full.kind != _IAX:
            yield self._acknowledged(full)
        elif full.says == _NEW and self._what == "not in service":
            self.over = True
            yield self._full(_IAX, _REJECT, bytes([_CAUSE, 8]) + b"no route")
        elif full.says == _NEW:
            yield self._full(_IAX, _ACCEPT, struct.pack("!BBI", _FORMAT, 4, _LINEAR))
            yield self._full(_CONTROL, _BUSY if self._what == "busy" else _RINGING)
        elif full.says in {_PING, _LAGRQ}:
            yield self._full(_IAX, _PONG if full.says == _PING else _LAGRP, stamp=full.stamp)
        else:
            self.over = full.says in {_HANGUP, _REJECT}
            yield self._acknowledged(full)

    @property
    def _age(self) -> float:
        return time.monotonic() - self._began

    def _full(self, kind: int, says: int, carries: bytes = b"", stamp: int | None = None) -> bytes:
        moment = int(self._age * 1000) if stamp is None else stamp
        made = Frame(self._call, self._peer, moment, self._sent, self._awaited, kind, says, carries)
        self._sent += 1
        return made.packed()

    def _acknowledged(self, full: Frame) -> bytes:
        return Frame(self._call, self._peer, full.stamp, self._sent, self._awaited, _IAX, _ACK).packed()

    def _sound(self) -> bytes:
        """Something like "hello? hello?": two tones that swell and stop."""
        begin = self._spoken * 160
        sound = b"".join(struct.pack("!h", _wave((begin + n) / 8000)) for n in range(160))
        if self._spoken % 500 == 0:  # the first piece, and one whenever the short time stamp may have gone round
            return self._full(_VOICE, _LINEAR, sound)
        return struct.pack("!HH", self._call, int(self._age * 1000) & 0xFFFF) + sound


def _wave(moment: float) -> int:
    loud = max(0.0, math.sin(2 * math.pi * moment / 1.6)) ** 2
    return int(8000 * loud * (math.sin(2 * math.pi * 220 * moment) + 0.6 * math.sin(2 * math.pi * 660 * moment)))


def serve(port: int, caller: int, called: int) -> None:
    """Until it is killed; a line on standard output for each call."""
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.bind(("127.0.0.1", port))
    ports = {True: caller, False: called}
    call: Through | Answered | None = None
    count = 0
    while True:
        if select.select([line], [], [], _PIECE / 2)[0]:
            data, (_, came_from) = line.recvfrom(65_536)
            dialled = came_from == caller
            full = frame(data)
            if full and full.kind == _IAX and full.says == _NEW and dialled and full.target == 0 and full.sent == 0:
                count += 1
                number = full.element(_CALLED_NUMBER)[-10:]
                call = _begun(NUMBERS.get(number, "through"), 0x1000 + count)
                print(f"call {count} to {number}: {NUMBERS.get(number, 'through')}", flush=True)
            for answer, to in call.passes(data, dialled) if call else ():
                line.sendto(answer, ("127.0.0.1", ports[to]))
        for answer, to in call.ticks() if call else ():
            line.sendto(answer, ("127.0.0.1", ports[to]))


def _begun(what: str, number: int) -> Through | Answered:
    if what == "through" or what.startswith("cut"):
        return Through(float(what.split()[1]) if what.startswith("cut") else None)
    return Answered(what, number)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
