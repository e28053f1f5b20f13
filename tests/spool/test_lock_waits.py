"""A node that sleeps keeps its locks, and a server whose clock was set back finds no deadlock: nobody waits for either."""

import asyncio
import threading
from types import SimpleNamespace

import psycopg

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import SpoolUnavailable, Work, open_spool, operator, wishes
from mail2fax.spool.database import lock_waits
from tests.support import spooling
from tests.support.patience import PATIENCE


async def test_a_row_that_somebody_keeps_locked_is_not_waited_for(postgres_url):
    """Whoever wants it is told, what came together with it is written, and it goes on when the lock is gone."""
    settings = Settings.model_validate({"spool": {"url": postgres_url}})
    async with open_spool(settings, serving=True) as spool:
        await spooling.put(spool, content=b"locked")
        fax = await spooling.claim(spool, Work.PREPARE)
        with psycopg.connect(postgres_url) as sleeper:
            sleeper.execute("select 1 from faxes where id = %s for update", [fax.id])
            async with asyncio.timeout(40):
                wanted = asyncio.gather(spool.put_back(fax), spool.try_writing(), return_exceptions=True)
                await spooling.put(spool, content=b"beside it")
                refused, tried = await wanted
            assert isinstance(refused, SpoolUnavailable)
            assert refused.passing
            assert tried is None
        await spool.put_back(fax)
        assert len((await spool.claim(Work.PREPARE, 5))[0]) == 2


async def test_renewing_waits_for_nobody(postgres_url):
    """What is just being written says by itself who acts next; the other leases are renewed."""
    settings = Settings.model_validate({"spool": {"url": postgres_url, "lease": 60.0}})
    async with open_spool(settings, serving=True) as spool:
        for content in (b"1", b"2"):
            await spooling.put(spool, content=content)
        held = [await spooling.claim(spool, Work.PREPARE) for _ in range(2)]
        await spooling.later(spool, 40.0)
        with psycopg.connect(postgres_url) as other:
            other.execute("select 1 from faxes where id = %s for update", [held[0].id])
            async with asyncio.timeout(PATIENCE):
                await spool.renew({fax.lease for fax in held})
        await spooling.later(spool, 30.0)
        assert [fax.id for fax in (await spool.claim(Work.PREPARE, 2))[0]] == [held[0].id]


async def test_a_question_waits_for_nobody(postgres_url):
    """Whether somebody may ask is asked by a few readers, for all that the node does: a row that is locked stops none."""
    settings = Settings.model_validate({"spool": {"url": postgres_url}})
    async with open_spool(settings, serving=True) as spool:
        fax = await spooling.replied(spool, State.FAILED)
        with psycopg.connect(postgres_url) as sleeper:
            for table in ("faxes", "messages"):
                sleeper.execute(f"select 1 from {table} for update")
            async with asyncio.timeout(PATIENCE):
                for _ in range(5):
                    await spool.read(wishes.may_ask, fax.id, fax.sender, cancel=False)
                await spool.read(operator.may_retry, fax.id)


class Mute:
    """A server that takes a connection and says nothing until it is told to."""

    def __init__(self):
        self.asked, self.answers = threading.Event(), threading.Event()

    def connect(self):
        self.asked.set()
        self.answers.wait(60)
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def scalar(self, *_):
        return True


def test_a_server_that_is_mute_holds_up_no_end_and_the_next_transaction_is_left_alone(monkeypatch):
    """What was blocked when it was asked for has ended by then; the connection is at something else."""
    monkeypatch.setattr(lock_waits, "_LOOK", 0.01)
    monkeypatch.setattr(lock_waits, "_LONGEST", 0.1)
    cancelled = threading.Event()
    driver = SimpleNamespace(info=SimpleNamespace(backend_pid=1), cancel=cancelled.set)
    holder = SimpleNamespace(connection=SimpleNamespace(driver_connection=_Hashed(driver)))
    server = Mute()
    waits = lock_waits.LockWaits(server)
    with waits.ended(holder):
        assert server.asked.wait(10)
    with waits.ended(holder):
        closing = threading.Thread(target=waits.close, daemon=True)
        closing.start()
        closing.join(10)
        assert not closing.is_alive()
        server.answers.set()
        waits._thread.join(10)
        assert not cancelled.is_set()


class _Hashed:
    """A driver's connection: known by itself, not by what it holds."""

    def __init__(self, driver):
        self.info, self.cancel = driver.info, driver.cancel
