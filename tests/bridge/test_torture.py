"""Many clients, faults at both ends and kills at random moments: still nothing lost, nothing doubled.

MAIL2FAX_TORTURE_SECONDS sets how long (25), MAIL2FAX_SEED what happens.
"""

import asyncio
import os
import random
from collections.abc import Sequence

import pytest

from tests.support import outbox
from tests.support.crashsweep import broken, settings
from tests.support.faxapi import LOST, RESET, FaxApi, Reply, Upload
from tests.support.ledger import Ledger
from tests.support.outbox import DROP
from tests.support.processes import ServedBy
from tests.support.samples import pdf

SECONDS = float(os.environ.get("MAIL2FAX_TORTURE_SECONDS", "25"))
SEED = int(os.environ.get("MAIL2FAX_SEED", random.randrange(10**6)))
CLIENTS = 4
SETTLING = 90.0

# What the provider does now and then, and whether it took the fax all the same.
_NOT_TAKEN = [
    Reply(status=429, headers={"Retry-After": "0"}),
    Reply(status=503, headers={"Retry-After": "1"}),
    Reply(body={"error_code": 401, "message": "Invalid Token"}),
]
_IN_DOUBT = [LOST, RESET, Reply(status=502), Reply(body=b"<html>"), Reply(cut=20), Reply(delay=8.0)]
_MAIL_FAULTS = [
    ("dot", DROP),
    ("dot", "451 4.3.0 later"),
    ("rcpt", "450 4.2.1 later"),
    ("mail", DROP),
    ("connect", "421 4.3.2 away"),
]


class Torture:
    """One run."""

    def __init__(self, faxapi: FaxApi, box: outbox.Outbox, nodes: Sequence[ServedBy], chance: random.Random) -> None:
        self.ledger = Ledger(faxapi, box)
        self.kills = self.pauses = 0
        self._faxapi, self._box, self._nodes, self._chance = faxapi, box, nodes, chance
        self._over = asyncio.Event()
        faxapi.before_post = self._answer
        faxapi.words = ["Loading", "Sending", "Success"]

    async def run(self, seconds: float) -> list[str]:
        """What went wrong."""
        for node in self._nodes:
            await node.up()
        clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        faults = [asyncio.create_task(self._mishaps()), asyncio.create_task(self._mail_faults())]
        await asyncio.sleep(seconds)
        self._over.set()
        await asyncio.gather(*faults)
        for node in self._nodes:
            if not node.running:
                await node.up()
        self._box.heal()
        async with asyncio.timeout(SETTLING):
            await asyncio.gather(*clients)
        await self.ledger.settled(SETTLING)
        statuses = [await node.stop() for node in self._nodes]
        return [*self.ledger.wrongs(), *(f"a node ended with {status}" for status in statuses if status)]

    def _answer(self, upload: Upload) -> Reply | None:
        dice = self._chance.random()
        if dice < 0.1 and not self._over.is_set():
            self.ledger.asked_again[upload.number] += 1  # it may come again: it was not taken
            return self._chance.choice(_NOT_TAKEN)
        return self._chance.choice(_IN_DOUBT) if dice < 0.2 else None

    async def _client(self) -> None:
        while not self._over.is_set():
            size = self._chance.choice([0, 0, 0, 150_000])
            pdfs = [pdf(1, size=size)] * self._chance.choice([1, 1, 1, 0])
            await self.ledger.deliver(lambda: self._chance.choice(self._nodes).address, *pdfs, numbers=1)
            await asyncio.sleep(self._chance.random())

    async def _mishaps(self) -> None:
        """Kills, and nodes that sleep past their leases."""
        while not self._over.is_set():
            await asyncio.sleep(1 + 3 * self._chance.random())
            node = self._chance.choice(self._nodes)
            if len(self._nodes) > 1 and self._chance.random() < 0.3:
                await node.sleep(6.0)  # longer than a lease
                self.pauses += 1
            else:
                await node.kill()
                self.kills += 1
                await node.up()

    async def _mail_faults(self) -> None:
        while not self._over.is_set():
            await asyncio.sleep(self._chance.random())
            self._box.fault(*self._chance.choice(_MAIL_FAULTS))


async def _tortured(folder, spool_url, count):
    chance = random.Random(SEED)
    async with FaxApi() as faxapi, outbox.serving() as box:
        wanted = settings(faxapi, box, spool_url)
        wanted["reply"]["concurrency"] = 2
        nodes = [ServedBy(folder, wanted, name=f"node{n}") for n in range(count)]
        torture = Torture(faxapi, box, nodes, chance)
        try:
            wrongs = await torture.run(SECONDS)
        finally:
            for node in nodes:
                await node.__aexit__()
        told = torture.ledger.told()
        unknown = sum(tales[-1].state == "unknown" for tales in told.values())
        print(
            f"torture: seed {SEED}, mails {len(torture.ledger.mails)}, kills {torture.kills}, pauses {torture.pauses}, "
            f"unknown {unknown}, lost {sum('lost' in wrong for wrong in wrongs)}, "
            f"doubled {sum('doubled' in wrong for wrong in wrongs)}"
        )
        assert wrongs == [], "\n".join([*wrongs, *(line for node in nodes for line in node.lines[-60:])])
        assert broken(folder) == []


@pytest.mark.slow
@pytest.mark.timeout(600 + SECONDS)
async def test_one_node_on_sqlite(tmp_path):
    """Kills and faults for a while; in the end the books balance, and the file is whole."""
    await _tortured(tmp_path, f"sqlite:///{tmp_path}/spool.db", 1)


@pytest.mark.slow
@pytest.mark.timeout(600 + SECONDS)
async def test_two_nodes_on_postgresql(tmp_path, postgres_url):
    """Kills, pauses past the lease and faults; what one node leaves the other ends."""
    await _tortured(tmp_path, postgres_url, 2)
