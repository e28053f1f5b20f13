"""A day of trouble: everything that goes wrong, at once and for as long as you like, and an account at its end.

    python -m benchmarks.soak --minutes 120

Half of the mails come by a real Postfix, which tries again as Postfix does, half by clients of our own. Two nodes share
a PostgreSQL of ours. Meanwhile nodes are killed and sleep past their leases, the database is restarted, only reads for a
while and has its clock set (where libfaketime is installed), the provider and the mail server of the replies fail in
every way of their tables, and hostile documents come among ordinary ones. Needs Postfix and PostgreSQL, and root to
start them. The exit status is 1 when anything was lost, doubled, or unknown without a cause.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import random
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from benchmarks.table import machine
from tests.support import outbox, pdfs, postfix
from tests.support.crashsweep import settings
from tests.support.faxapi import LOST, RESET, FaxApi, Reply, Upload
from tests.support.ledger import Ledger, Promise, Told
from tests.support.outbox import DROP
from tests.support.ports import free_port
from tests.support.processes import ServedBy
from tests.support.samples import mail, pdf

LEASE = 5.0
SETTLING = 120.0  # seconds in which some of what was accepted must be told, at the end
TIMEOUT = 20.0  # seconds until a node gives an answer up: the provider shares a busy machine with all of this
NOT_TAKEN = (
    Reply(status=429, headers={"Retry-After": "0"}),
    Reply(status=503, headers={"Retry-After": "1"}),
    Reply(body={"error_code": 401, "message": "Invalid Token"}),
    Reply(status=402),
)
IN_DOUBT = (LOST, RESET, Reply(status=502), Reply(body=b"<html>"), Reply(cut=20), Reply(delay=TIMEOUT + 5))
MAIL_FAULTS = (("dot", DROP), ("dot", "451 4.3.0 later"), ("rcpt", "450 4.2.1 later"), ("mail", DROP))
STANDSTILL = 5.0  # seconds
STEPS = (-7200.0, -600.0, -45.0, 45.0, 600.0, 7200.0)  # seconds that the database's clock is set by
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


class Postgres:
    """A server of our own, which can be restarted, made read only, and told a wrong time."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self._folder = folder / "postgres"
        self._clock = self._folder / "clock"
        self._programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
        self._folder.mkdir()
        self._clock.write_text("+0")
        shutil.chown(self._folder, "postgres", "postgres")
        self._run("initdb", "--username", "postgres", "--auth", "trust", "--encoding", "UTF8", "--no-sync")

    def _run(self, program: str, *words: str) -> None:
        faked = {"LD_PRELOAD": str(FAKETIME), "FAKETIME_TIMESTAMP_FILE": str(self._clock)} if FAKETIME else {}
        exact = {"FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1"} if FAKETIME else {}
        command = [self._programs / program, "--pgdata", self._folder / "data", *words]
        subprocess.run(
            command,
            check=True,
            user="postgres",
            group="postgres",
            extra_groups=[],
            cwd=self._folder,
            env={**os.environ, **faked, **exact},
            stdout=subprocess.DEVNULL,
            timeout=120,
        )

    def start(self) -> None:
        options = f"-p {self.port} -h 127.0.0.1 -k {self._folder} -c fsync=off -c max_connections=200"
        self._run("pg_ctl", "--wait", "--log", str(self._folder / "log"), "--options", options, "start")

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "--wait", "--mode", mode, "stop")

    def set_clock(self, ahead: float) -> None:
        """So many seconds before the real time."""
        self._clock.write_text(f"{ahead:+.0f}")

    def only_reads(self, *, so: bool) -> None:
        with psycopg.connect(self.url, autocommit=True, connect_timeout=10) as admin:
            admin.execute("set default_transaction_read_only = off")
            admin.execute(f"alter database postgres set default_transaction_read_only = {'on' if so else 'off'}")
            if so:
                others = "where datname is not null and pid <> pg_backend_pid()"
                admin.execute(f"select pg_terminate_backend(pid) from pg_stat_activity {others}")


@dataclass
class Account:
    """What happened to everything that was accepted."""

    mails: int = 0
    faxes: int = 0
    posts: int = 0
    delivered: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    unknown: Counter[str] = field(default_factory=Counter)  # by cause
    corrected: int = 0  # told unknown first, and the provider's own word later
    repeated: Counter[str] = field(default_factory=Counter)  # replies that came twice, word for word, by cause
    wrongs: list[str] = field(default_factory=list)


async def _up(node: ServedBy) -> None:
    """Start a node until it stays up, as systemd does: while the database is away it ends at once."""
    while True:
        with contextlib.suppress(AssertionError, TimeoutError):
            await node.up(timeout=120)
            return
        await asyncio.sleep(2)


class Soak:
    """One run."""

    def __init__(self, place: Path, relay: postfix.Relay, chance: random.Random, every: float) -> None:
        self._chance, self._relay, self._place, self._every = chance, relay, place, every
        self.faxapi, self.box = FaxApi(), outbox.Outbox()
        self.ledger = Ledger(self.faxapi, self.box)
        self.happened: Counter[str] = Counter()
        self._doubtful: set[str] = set()  # numbers whose answer the provider kept or spoilt
        self._blows: list[tuple[float, float]] = []  # when nodes were killed, slept, or the database was away
        self._begun_at: dict[str, list[float]] = {}  # complete requests, by number
        self._over = asyncio.Event()
        self._nodes: list[ServedBy] = []

    async def run(self, seconds: float) -> Account:
        """All of it, then time to settle."""
        postgres = Postgres(self._place)
        await asyncio.to_thread(postgres.start)
        self.faxapi.before_post = self._answer
        self.faxapi.words = ["Loading", "Sending", "Success"]
        async with self.faxapi, contextlib.AsyncExitStack() as stack:
            await self.box.up()
            self._nodes = [await stack.enter_async_context(self._node(postgres, n)) for n in range(2)]
            await asyncio.gather(*map(_up, self._nodes))
            try:
                await self._trouble(postgres, seconds)
                await self._settle()
                return self.account(await asyncio.to_thread(self._whereabouts, postgres))
            finally:
                (self._place / "nodes.log").write_text("\n".join(line for node in self._nodes for line in node.lines))
                await asyncio.gather(*(node.stop() for node in self._nodes if node.running))
                await self.box.down()
                await asyncio.to_thread(postgres.stop, "fast")

    def _node(self, postgres: Postgres, number: int) -> ServedBy:
        wanted = settings(self.faxapi, self.box, postgres.url)
        wanted["spool"]["lease"] = LEASE
        wanted["provider"]["timeout"] = TIMEOUT
        wanted["documents"] = {"workers": 1, "cpu_seconds": 4, "wall_seconds": 20.0}
        node = ServedBy(self._place, wanted, name=f"node{number}")
        if number == 0:
            node.port = self._relay.fax_port
            node.change("smtp", listen=[f"127.0.0.1:{node.port}"])
        return node

    async def _trouble(self, postgres: Postgres, seconds: float) -> None:
        clients = [self._client(by_postfix=n % 2 == 0) for n in range(4)]
        jobs = [asyncio.create_task(job) for job in (*clients, self._blow_nodes(), self._blow_database(postgres))]
        jobs += [asyncio.create_task(self._mail_faults()), asyncio.create_task(self._watch_ourselves())]
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and not any(job.done() for job in jobs):
            await asyncio.sleep(min(30, seconds))
            left, passed = len(await self._untold()), time.monotonic() - begun
            print(f"{passed:6.0f} s: {len(self.ledger.mails)} mails, {left} untold, {dict(self.happened)}", flush=True)
        self._over.set()
        await asyncio.gather(*jobs)

    async def _settle(self) -> None:
        self.box.heal()
        for node in self._nodes:
            if not node.running:
                await _up(node)
        least, since = len(await self._untold()) + 1, time.monotonic()
        while least and time.monotonic() - since < SETTLING:  # a backlog is no loss while it shrinks
            await asyncio.sleep(2)
            if (left := len(await self._untold())) < least:
                least, since = left, time.monotonic()
        await asyncio.sleep(3 * LEASE)  # corrections of doubts, and faxes nobody waits for

    async def _untold(self) -> list[str]:
        """In a thread: reading replies takes a while, and the provider answers in this loop."""
        return await asyncio.to_thread(self.ledger.untold)

    # -- what comes in

    async def _client(self, *, by_postfix: bool) -> None:
        while not self._over.is_set():
            documents, kind = self._documents()
            self.happened[kind] += 1
            if by_postfix:
                await asyncio.to_thread(self._by_relay, documents)
            else:
                await self.ledger.deliver(lambda: self._chance.choice(self._nodes).address, *documents)
            await asyncio.sleep(2 * self._every * self._chance.random())

    def _documents(self) -> tuple[list[bytes], str]:
        dice = self._chance.random()
        if dice < 0.04:
            hostile = (pdfs.form_recursion, lambda: pdfs.deep_tree(20_000), lambda: pdfs.many_pages(20_000))
            return [self._chance.choice(hostile)()], "hostile documents"
        if dice < 0.1:
            return [], "mails with nothing to fax"
        return [pdf(1, size=self._chance.choice([0, 0, 40_000, 150_000]))], "ordinary mails"

    def _by_relay(self, documents: list[bytes]) -> None:
        number = self.ledger.number()
        sender = f"s{number}@office.example"
        content = mail(*documents, subject=f"Fax {number}", sender=sender, message_id=f"<{number}@office.example>")
        try:
            with smtplib.SMTP("127.0.0.1", self._relay.port, timeout=60) as client:
                client.sendmail(sender, [f"{number}@fax.local"], content)
        except (OSError, smtplib.SMTPException):
            self.happened["mails that Postfix did not take"] += 1
            return
        promise = Promise(sender, [number], content, faxable=bool(documents), ids=["by Postfix"])
        self.ledger.mails.append(promise)

    # -- what goes wrong

    def _answer(self, upload: Upload) -> Reply | None:
        dice = self._chance.random()
        if self._over.is_set() or dice > 0.16:
            return None
        if dice < 0.1:
            self.ledger.asked_again[upload.number] += 1  # it was not taken: it comes again
            self.happened["refused by the provider"] += 1
            return self._chance.choice(NOT_TAKEN)
        self._doubtful.add(upload.number)
        self.happened["answers lost or spoilt"] += 1
        return self._chance.choice(IN_DOUBT)

    async def _blow_nodes(self) -> None:
        while not await self._waited(15 + 20 * self._chance.random()):
            node, begun = self._chance.choice(self._nodes), time.monotonic()
            if self._chance.random() < 0.4:
                self.happened["nodes asleep past the lease"] += 1
                await node.sleep(LEASE + 4)
            else:
                self.happened["kill -9"] += 1
                await node.kill()
                await _up(node)
            self._blows.append((begun, time.monotonic()))

    async def _blow_database(self, postgres: Postgres) -> None:
        while not await self._waited(25 + 25 * self._chance.random()):
            begun, kind = time.monotonic(), self._chance.choice(["restart", "read only", "clock"])
            if kind == "restart":
                await asyncio.to_thread(postgres.stop, self._chance.choice(["fast", "immediate"]))
                await asyncio.sleep(10 * self._chance.random())
                await asyncio.to_thread(postgres.start)
            elif kind == "read only":
                await asyncio.to_thread(postgres.only_reads, so=True)
                await asyncio.sleep(4 * LEASE * self._chance.random())
                await asyncio.to_thread(postgres.only_reads, so=False)
            elif FAKETIME:
                postgres.set_clock(self._chance.choice(STEPS))
                await asyncio.sleep(20)
                postgres.set_clock(0)
            self.happened[f"database: {kind}"] += 1
            self._blows.append((begun, time.monotonic()))

    async def _mail_faults(self) -> None:
        while not await self._waited(3 * self._chance.random()):
            self.box.fault(*self._chance.choice(MAIL_FAULTS))
            self.happened["faults of the replies' mail server"] += 1

    async def _watch_ourselves(self) -> None:
        """The provider and the mail server are in this process: while it waits for the processor, nobody answers."""
        begun = time.monotonic()
        while not await self._waited(0.5):
            if time.monotonic() - begun > STANDSTILL:
                self.happened["this program stood still"] += 1
                self._blows.append((begun, time.monotonic()))
            begun = time.monotonic()

    async def _waited(self, seconds: float) -> bool:
        """True once it is over."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._over.wait()
        return self._over.is_set()

    # -- the account

    def _whereabouts(self, postgres: Postgres) -> dict[str, str]:
        """Where each fax is that nobody was told of: in the spool, or still with Postfix."""
        untold = self.ledger.untold()
        query = "select number, id, state, attempts, lease, due_at - extract(epoch from clock_timestamp()), held_by, reply from faxes"
        with psycopg.connect(postgres.url) as reader:
            rows = reader.execute(f"{query} where number = any(%s)", [untold]).fetchall()
        return dict.fromkeys(untold, "not in the spool") | {row[0]: str(row[1:]) for row in rows}

    def account(self, whereabouts: Mapping[str, str]) -> Account:
        """Each accepted fax held against what the provider and the senders saw."""
        self._at = whereabouts
        told = self.ledger.told()
        for post in self.faxapi.posts:
            self._begun_at.setdefault(post.number, []).append(post.begun_at)
        sent = {number: len(posts) for number, posts in self._begun_at.items()}
        found = Account(mails=len(self.ledger.mails), posts=sum(sent.values()))
        for promise in self.ledger.mails:
            for number in promise.numbers:
                found.faxes += 1
                self._judge(found, promise, number, told.get(number, []), sent.get(number, 0))
        return found

    def _judge(self, found: Account, promise: Promise, number: str, tales: list[Told], sent: int) -> None:
        ends = list({(tale.mail_id, tale.state): tale.state for tale in tales}.values())
        self._explain_repeats(found, tales)
        if not ends:
            found.wrongs.append(f"lost: {number} was accepted, and its sender never told: {self._at.get(number)}")
            return
        if sent > 1 + self.ledger.asked_again[number]:
            found.wrongs.append(f"doubled: {number} was sent {sent} times")
        if "delivered" in ends and not (sent and promise.faxable):
            found.wrongs.append(f"lost: {number} was told delivered, and sent {sent} times")
        if len(set(ends) - {"unknown"}) > 1 or ends.count("delivered") > 1:
            found.wrongs.append(f"wrong: {number} was told {ends}")
        found.corrected += "unknown" in ends and len(set(ends)) > 1
        if ends[-1] == "delivered":
            found.delivered += 1
        elif ends[-1] == "unknown":
            self._explain(found, number, tales[-1].at)
        else:
            found.failed["nothing to fax" if not promise.faxable else "refused or hostile"] += 1

    def _explain_repeats(self, found: Account, tales: list[Told]) -> None:
        """A reply comes again if the mail server kept its answer, or if its node did not live to write it down."""
        for earlier, later in itertools.pairwise(sorted(tales, key=lambda tale: (tale.mail_id, tale.at))):
            if (earlier.mail_id, earlier.state) != (later.mail_id, later.state):
                continue
            if not earlier.answered:
                found.repeated["the mail server lost its answer"] += 1
            elif any(begun < later.at and earlier.at < ended for begun, ended in self._blows):
                found.repeated["a node or the database was struck"] += 1
            elif later.fax in self._lost_leases():
                found.repeated["a lease ended while its node waited for the processor"] += 1
            else:
                found.wrongs.append(f"repeated without a cause: the reply of {later.number}")

    def _lost_leases(self) -> set[str]:
        """Faxes of which a node found, too late, that another one acts on them."""
        lost = (line for node in self._nodes for line in node.lines if '"event": "lease lost"' in line)
        return {json.loads(line)["fax"] for line in lost}

    def _explain(self, found: Account, number: str, told_at: float) -> None:
        begun_at = self._begun_at.get(number, [])
        if number in self._doubtful:
            found.unknown["the provider lost or spoilt its answer"] += 1
        elif any(begun - 10 < post < ended + LEASE for post in begun_at for begun, ended in self._blows):
            found.unknown["a node or the database was struck while the provider answered"] += 1
        elif not begun_at and any(begun < told_at and told_at - 60 < ended for begun, ended in self._blows):
            found.unknown["a node or the database was struck before the request was whole"] += 1
        else:
            found.wrongs.append(f"unknown without a cause: {number}")


def show(account: Account, happened: Counter[str], seconds: float) -> None:
    """The account, as a table."""
    lost = sum(wrong.startswith("lost") for wrong in account.wrongs)
    doubled = sum(wrong.startswith("doubled") for wrong in account.wrongs)
    rows = [
        ("faxes accepted", account.faxes),
        ("complete requests at the provider", account.posts),
        ("told delivered", account.delivered),
        *((f"told failed: {why}", count) for why, count in account.failed.items()),
        *((f"told unknown: {why}", count) for why, count in account.unknown.items()),
        ("of all: told unknown first, then the provider's own word", account.corrected),
        *((f"replies that came twice, word for word: {why}", count) for why, count in account.repeated.items()),
        ("LOST", lost),
        ("DOUBLED", doubled),
        ("without a cause, or contradictory", len(account.wrongs) - lost - doubled),
    ]
    print(f"\n{machine()}; {seconds / 60:.0f} minutes\n")
    for what, count in [*happened.most_common(), *rows]:
        print(f"| {what:62} | {count:7,} |")
    print("\n".join(account.wrongs))


@contextlib.contextmanager
def _place(keep: str) -> Iterator[Path]:
    if keep:
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Run it, and say how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two mails of each of four clients")
    parser.add_argument("--keep", default="", help="an existing folder for settings and logs")
    asked = parser.parse_args()
    print(f"seed {asked.seed}{'' if FAKETIME else '; no libfaketime: no clock is set'}", flush=True)
    with _place(asked.keep) as place, postfix.running() as relay:
        place.chmod(0o755)
        soak = Soak(place, relay, random.Random(asked.seed), asked.every)
        account = asyncio.run(soak.run(asked.minutes * 60))
    show(account, soak.happened, asked.minutes * 60)
    sys.exit(bool(account.wrongs))


if __name__ == "__main__":
    main()
