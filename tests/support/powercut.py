"""Cut the power at any moment, build what the disk may hold then, start on it, and see what was lost or doubled.

    python -m tests.support.powercut [--states N] [--seed N] [--without-syncs-of NAME]

A real `serve` runs under load with `diskrecorder` loaded: it writes down, in order, each write, truncation, name and
sync below the spool's folder, and each 250. A cut is a place in that record. What a sync that had ended by then covers
is on disk; of everything else none, all or any part may be there, in pieces of 512 bytes or 4 KB, sizes without their
data, and names or not.
"""

import argparse
import asyncio
import hashlib
import os
import random
import re
import shutil
import smtplib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mail2fax.config import Settings
from mail2fax.spool import Spool, open_spool, search
from tests.support.ports import free_port
from tests.support.processes import ServedBy
from tests.support.samples import mail, pdf

_ACCEPTED = re.compile(rb"250 2\.0\.0 .*accepted as (\w+)")
_SIZES = (0, 10_000, 50_000, 200_000)
_CLIENTS = 6


@dataclass(frozen=True, slots=True)
class Op:
    """One line of the record."""

    kind: str
    inode: int
    offset: int
    path: str
    data: bytes


@dataclass
class Recording:
    """What a node did, and what its clients sent and were told."""

    folder: str
    ops: list[Op]
    sent: dict[str, bytes]  # all mails, by digest
    ids: dict[str, str] = field(default_factory=dict)  # queue ids to the digest of the mail that each was told for

    def told(self, at: int) -> set[str]:
        """The queue ids of each 250 before this place."""
        found = (_ACCEPTED.match(op.data) for op in self.ops[:at] if op.kind == "told")
        return {match[1].decode() for match in found if match}


def library(folder: Path) -> Path:
    """The recorder, compiled."""
    made, source = folder / "diskrecorder.so", Path(__file__).with_name("diskrecorder.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", made, source, "-ldl", "-lpthread"], check=True)
    return made


async def record(folder: Path, mails: int, chance: random.Random) -> Recording:
    """Run a node under load, kill it in the midst of it, and run it once more. The provider is away all the time."""
    spool, trace = folder / "recorded", folder / "trace"
    settings = {
        "provider": {"url": f"http://127.0.0.1:{free_port()}/api/fax", "token": "t"},
        "spool": {"url": f"sqlite:///{spool}/spool.db", "drain": 1.0},
        "retry": {"first": 0.1, "longest": 0.3},
    }
    env = {"LD_PRELOAD": str(library(folder)), "RECORD_FOLDER": str(spool), "RECORD_FILE": str(trace)}
    recording = Recording(str(spool), [], {})
    async with ServedBy(folder, settings) as node:
        for last in (False, True):
            await node.up(**env)
            sending = asyncio.create_task(_load(recording, node.address, mails // 2, chance))
            if last:
                await sending
                await asyncio.sleep(0.5)
                await node.stop()
            else:
                await asyncio.sleep(1.0)
                await node.kill()
                await sending
    recording.ops = list(read(trace))
    return recording


def read(trace: Path) -> Iterator[Op]:
    """The record's lines. One that the kill cut off ends it."""
    with trace.open("rb") as file:
        while line := file.readline():
            kind, size, inode, offset, path = line.rstrip(b"\n").split(b" ", 4)
            data = file.read(int(size))
            yield Op(kind.decode(), int(inode), int(offset), path.decode(), data)


async def _load(recording: Recording, address: tuple[str, int], mails: int, chance: random.Random) -> None:
    """Several clients at once, each on one connection; some mails come twice."""
    batches: list[list[tuple[str, bytes]]] = [[] for _ in range(_CLIENTS)]
    for n in range(mails):
        number = str(4_162_000_000 + len(recording.sent) + n)
        content = mail(pdf(1, size=chance.choice(_SIZES)), subject=number, message_id=f"<{number}@office.example>")
        for client in chance.sample(range(_CLIENTS), chance.choice((1, 1, 1, 2))):
            batches[client].append((number, content))
    for batch in batches:
        for _, content in batch:
            recording.sent[hashlib.sha256(content).hexdigest()] = content
    with ThreadPoolExecutor(_CLIENTS) as clients:
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(clients, _send, recording, address, batch) for batch in batches))


def _send(recording: Recording, address: tuple[str, int], batch: Sequence[tuple[str, bytes]]) -> None:
    with suppress(OSError, smtplib.SMTPException), smtplib.SMTP(*address, timeout=30) as client:
        client.ehlo()
        for number, content in batch:
            client.mail("anna@office.example")
            client.rcpt(f"{number}@fax.local")
            code, answer = client.data(content)
            if match := _ACCEPTED.match(f"{code} ".encode() + answer):
                recording.ids[match[1].decode()] = hashlib.sha256(content).hexdigest()


# -- states


def state(recording: Recording, at: int, chance: random.Random, place: Path, *, deaf_to: str = "") -> None:
    """Build in `place` what the disk may hold if the power goes at this place of the record.

    Syncs of files whose name holds `deaf_to` count for nothing: as if the program had left them out.
    """
    ops = recording.ops[:at]
    safe = _safe(ops, deaf_to)
    mood = chance.choice(("none", "all", "pieces", "pieces", "sizes", "mixed"))
    names = _names(ops, safe, mood, chance)
    for path, inode in names.items():
        target = place / Path(path).relative_to(recording.folder)
        if inode is None:
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_bytes(ops, inode, safe.get(inode, 0), mood, chance))


def _safe(ops: Sequence[Op], deaf_to: str) -> dict[Any, int]:
    """Up to which place of the record each file (by inode) and each folder (by path) is on disk."""
    begun: dict[tuple[int, int], int] = {}  # by file and thread
    safe: dict[Any, int] = {}
    for n, op in enumerate(ops):
        if op.kind == "sync":
            begun[op.inode, op.offset] = n
        elif op.kind == "synced" and not (deaf_to and deaf_to in op.path):
            safe[op.inode] = safe[op.path] = max(safe.get(op.inode, 0), begun[op.inode, op.offset])
    return safe


def _names(ops: Sequence[Op], safe: Mapping[Any, int], mood: str, chance: random.Random) -> dict[str, int | None]:
    names: dict[str, int | None] = {}
    for n, op in enumerate(ops):
        if op.kind not in {"create", "mkdir", "unlink", "rename"}:
            continue
        if n >= safe.get(str(Path(op.path).parent), 0) and not _kept(mood, chance):
            continue
        if op.kind == "create":
            names[op.path] = op.inode
        elif op.kind == "mkdir":
            names[op.path] = None
        elif op.kind == "unlink":
            names.pop(op.path, None)
        elif op.path in names:
            names[op.data.decode()] = names.pop(op.path)
    return names


def _kept(mood: str, chance: random.Random) -> bool:
    return mood == "all" or (mood != "none" and chance.random() < 0.5)


def _bytes(ops: Sequence[Op], inode: int, safe: int, mood: str, chance: random.Random) -> bytes:
    if mood == "mixed":
        mood = chance.choice(("none", "all", "pieces", "sizes"))
    data = bytearray()
    for n, op in enumerate(ops):
        if op.inode != inode:
            continue
        if op.kind == "truncate" and (n < safe or _kept(mood, chance)):
            del data[op.offset :]
            data.extend(bytes(op.offset - len(data)))
        elif op.kind == "write" and n < safe:
            _write(data, op.offset, op.data)
        elif op.kind == "write":
            _write_some(data, op, mood, chance)
    return bytes(data)


def _write(data: bytearray, offset: int, piece: bytes) -> None:
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(piece)] = piece


def _write_some(data: bytearray, op: Op, mood: str, chance: random.Random) -> None:
    """A write that no sync covers: whole, in part, its size alone, or not at all."""
    if mood == "all":
        _write(data, op.offset, op.data)
    elif mood == "sizes":
        data.extend(bytes(max(0, op.offset + len(op.data) - len(data))))
    elif mood == "pieces":
        grain = chance.choice((512, 4096))
        at = op.offset
        while at < op.offset + len(op.data):
            end = min((at // grain + 1) * grain, op.offset + len(op.data))
            if chance.random() < 0.5:
                _write(data, at, op.data[at - op.offset : end - op.offset])
            at = end


# -- what is held against it


async def wrongs(recording: Recording, at: int, place: Path) -> list[str]:
    """Start on a state, twice. What is lost, doubled, changed or invented."""
    found: list[str] = []
    told = recording.told(at)
    for start in ("first", "second"):
        try:
            settings = Settings.model_validate({"spool": {"url": f"sqlite:///{place}/spool.db"}})
            async with open_spool(settings, serving=True) as spool:
                found += [f"{start} start: {wrong}" for wrong in await _looked_at(recording, told, spool)]
        except Exception as error:
            found.append(f"{start} start: {error!r}")
    return found


async def _looked_at(recording: Recording, told: set[str], spool: Spool) -> list[str]:
    faxes = await spool.read(search.found, search.Search(), limit=10_000)
    mails = [fax.message_id for fax in faxes]
    # What was said just before the kill no client may have heard: it sends again.
    heard = told & set(recording.ids)
    found = [f"lost: {one}" for one in sorted(heard - set(mails)) if not await _known(recording, one, spool, mails)]
    digests: list[str] = []
    for name in mails:
        try:
            async with spool.content(name) as path:
                digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
        except FileNotFoundError:
            found.append(f"without its bytes: {name}")
            continue
        if digests[-1] not in recording.sent:
            found.append(f"nobody sent this: {name}")
        elif name in told and recording.ids.get(name, digests[-1]) != digests[-1]:
            found.append(f"another one's bytes: {name}")
    found += [f"doubled: {digest}" for digest in set(digests) if digests.count(digest) > 1]
    return found


async def _known(recording: Recording, name: str, spool: Spool, mails: Sequence[str]) -> bool:
    """Whether a mail that has no row of its own is there as another copy of the same, of which it was a duplicate."""
    for other in mails:
        with suppress(FileNotFoundError):
            async with spool.content(other) as path:
                if hashlib.sha256(path.read_bytes()).hexdigest() == recording.ids.get(name):
                    return True
    return False


@dataclass
class Report:
    """What the states showed."""

    states: int = 0
    promises: int = 0  # mails with a 250 before the cut, of all states
    wrongs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return "\n".join(
            [f"power cuts: states {self.states}, promises {self.promises}, wrong {len(self.wrongs)}", *self.wrongs]
        )


async def cuts(recording: Recording, states: int, chance: random.Random, *, deaf_to: str = "") -> Report:
    """Try so many states, spread over the whole record, each on a disk of its own.

    With `deaf_to`, cut where that sync is what counts: elsewhere, what was left out is seldom missed.
    """
    report = Report()
    places = [n for n, op in enumerate(recording.ops) if not deaf_to or _counts_on(deaf_to, op)]
    for n in range(states):
        at = places[int(len(places) * (n + chance.random()) / states)] + 1
        with tempfile.TemporaryDirectory() as place:
            state(recording, at, chance, Path(place), deaf_to=deaf_to)
            report.wrongs += [f"cut at {at}: {wrong}" for wrong in await wrongs(recording, at, Path(place))]
        report.states += 1
        report.promises += len(recording.told(at))
    return report


def _counts_on(synced: str, op: Op) -> bool:
    """Whether this is done only once that sync has ended: the WAL's before its pages are copied, a log's before a 250."""
    return op.kind == "write" and op.path.endswith(".db") if synced == "-wal" else op.kind == "told"


async def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--mails", type=int, default=160)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--without-syncs-of", default="", metavar="NAME", help="such as log-, to see that it bites")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chance = random.Random(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        recording = await record(Path(folder), options.mails, chance)
        report = await cuts(recording, options.states, chance, deaf_to=options.without_syncs_of)
    print(report)
    return int(bool(report.wrongs))


def possible() -> bool:
    """Whether this machine can record."""
    return sys.platform == "linux" and shutil.which("cc") is not None and "LD_PRELOAD" not in os.environ


if __name__ == "__main__":
    sys.exit(asyncio.run(_main()))
