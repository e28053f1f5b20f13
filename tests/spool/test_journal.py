"""SQLite's log: nothing is promised before it is on disk, nobody waits for another's disk, and it does not grow for ever."""

import asyncio
import contextlib
import errno
import os
import sqlite3
import sys
import threading

import pytest
from sqlalchemy import text

from mail2fax.config import Settings
from mail2fax.model import LeaseLost
from mail2fax.spool import open_spool, questions
from mail2fax.spool.database import checkpoint, journal
from tests.support import spooling
from tests.support.spooling import put


@pytest.fixture
async def spool(tmp_path):
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        yield spool


@pytest.fixture
def disk(monkeypatch):
    """A disk that syncs when it is told to."""
    real, gate, begun = journal.sync_data, threading.Event(), threading.Event()

    def sync(descriptor):
        begun.set()
        assert gate.wait(20)
        real(descriptor)

    monkeypatch.setattr(journal, "sync_data", sync)
    yield gate, begun
    gate.set()


async def until(condition):
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_no_promise_before_the_disk(spool, disk):
    """The rows are there for all to see, the client is told nothing yet; and the next mail is written meanwhile."""
    gate, begun = disk
    first = asyncio.create_task(put(spool, content=b"first"))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(put(spool, content=b"second"))

    async def both_are_written():
        return await spool.waiting() == 2

    await until(both_are_written)
    assert not first.done()
    assert not second.done()
    gate.set()
    one, other = await asyncio.gather(first, second)
    assert {fax.message_id for fax in await spool.read(questions.fax_list, questions.Wanted())} == {
        one.queue_id,
        other.queue_id,
    }


async def test_a_disk_that_fails(spool, tmp_path, monkeypatch):
    """Who waited hears of it. Before anything else is promised all of the log is written anew, into the database."""
    await put(spool, content=b"before")
    log = tmp_path / "spool.db-wal"

    def broken(_descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "sync_data", broken)
        with pytest.raises(OSError, match="Input/output"):
            await put(spool, content=b"during")
    size = log.stat().st_size
    after = await put(spool, content=b"after")
    assert log.stat().st_size < size, "the log did not begin anew"
    # Sent again, since its client heard of no 250: it is known, and not faxed twice.
    assert (await put(spool, content=b"during")).duplicates
    assert (await spool.read(questions.named, after.queue_id))[0].message_id == after.queue_id
    assert await spool.waiting() == 3


_KILLED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("UPDATE messages SET helo = 'written by one that was killed'")
os.kill(os.getpid(), 9)
"""


async def test_no_log_of_an_earlier_process_is_trusted(tmp_path):
    """A sync of it may have failed before it was killed, and the page cache holds what a power cut would take."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    file = tmp_path / "spool.db"
    async with open_spool(settings, serving=True) as spool:
        await put(spool, content=b"before")
    dying = await asyncio.create_subprocess_exec(sys.executable, "-c", _KILLED, file)
    await dying.wait()
    assert b"was killed" not in file.read_bytes()
    async with open_spool(settings, serving=True):
        assert b"was killed" in file.read_bytes()


async def test_a_log_that_cannot_be_written_anew_promises_nothing(spool, tmp_path):
    """As long as somebody else keeps it from being copied, mails are deferred."""
    await put(spool, content=b"before")
    spool.database.journal._failed = True
    reader = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM faxes").fetchone()
    spool.database.journal._connection.connection.cursor().execute("PRAGMA busy_timeout=100")
    with pytest.raises(OSError, match="once more"):
        await put(spool, content=b"during")
    reader.close()
    await put(spool, content=b"after")


async def test_the_log_begins_anew_under_load(spool, tmp_path, monkeypatch):
    """Without a pause between two mails it is copied beside them, so that it stays short."""
    monkeypatch.setattr(checkpoint, "_LONG", 500)
    size = 0

    async def client(name):
        nonlocal size
        for n in range(400):
            await put(spool, content=os.urandom(15_000) + b"%d %d" % (name, n))
            size += 15_000

    await asyncio.gather(*(client(name) for name in range(4)))
    assert (tmp_path / "spool.db-wal").stat().st_size < size / 2
    assert await spool.waiting() == 1600


async def test_what_was_deleted_is_not_in_the_log(spool, tmp_path):
    """Nor in the database: purging takes the bytes of a mail away, not only its row's mention of them."""
    await spooling.replied(spool, content=b"a diagnosis")
    files = [tmp_path / "spool.db", tmp_path / "spool.db-wal"]
    assert any(b"a diagnosis" in path.read_bytes() for path in files)
    await spool.change(lambda connection: connection.execute(text("UPDATE faxes SET finished_at = 1")))
    assert await spool.purge() == (1, 0)

    async def it_is_gone():
        return not any(b"a diagnosis" in path.read_bytes() for path in files)

    await until(it_is_gone)


async def test_somebody_who_reads_in_the_log_keeps_nobody_waiting(spool, tmp_path):
    """What was deleted goes when they are done: a backup may take its time."""
    await put(spool, content=b"a diagnosis")
    reader = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM faxes").fetchone()
    await put(spool, content=b"another")
    spool.database.empty_wal()
    async with asyncio.timeout(5):
        for n in range(checkpoint._COMMITS):
            await put(spool, content=b"%d" % n)
    log = tmp_path / "spool.db-wal"
    assert log.stat().st_size
    reader.close()

    async def it_is_cut_off():
        await put(spool, content=os.urandom(8))
        return b"a diagnosis" not in log.read_bytes()

    await until(it_is_cut_off)


async def test_a_checkpoint_that_fails_is_tried_again(spool, monkeypatch):
    """A full disk ends neither the thread nor anything else."""
    failures, real = [], checkpoint._copy
    done = threading.Event()

    def copy(connection):
        if len(failures) < 3:
            failures.append(1)
            raise sqlite3.OperationalError("database or disk is full")
        done.set()
        return real(connection)

    monkeypatch.setattr(checkpoint, "_copy", copy)
    monkeypatch.setattr(checkpoint, "_PAUSE", 0.01)
    for n in range(checkpoint._COMMITS):
        await put(spool, content=b"%d" % n)
    assert await asyncio.to_thread(done.wait, 10)


async def test_the_thread_ends_whatever_it_is_doing(spool, monkeypatch):
    """Told to stop in the very moment in which it forgets that there was something to do."""
    thread = spool.database._checkpoints
    monkeypatch.setattr(checkpoint, "_copy", lambda _: thread._stopping.set() or 0)
    for n in range(checkpoint._COMMITS):
        await put(spool, content=b"%d" % n)
    await asyncio.to_thread(thread._thread.join, 10)
    assert not thread._thread.is_alive()


async def test_a_driver_that_tells_of_the_failure_once_more(spool, monkeypatch):
    """SQLite's own descriptor may hear of it later than ours: what nobody else knows is written all the same."""
    fax = await spooling.submitting(spool)
    failures = ["sync", "rewrite"]
    real_sync, real_told = journal.sync_data, journal._told

    def sync(descriptor):
        if failures[:1] == ["sync"]:
            failures.pop(0)
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real_sync(descriptor)

    @contextlib.contextmanager
    def told():
        with real_told():
            if failures[:1] == ["rewrite"]:
                failures.pop(0)
                raise sqlite3.OperationalError("disk I/O error")
            yield

    monkeypatch.setattr(journal, "sync_data", sync)
    monkeypatch.setattr(journal, "_told", told)
    with contextlib.suppress(LeaseLost):  # it was written the first time, and is known again only by a lease
        await spool.taken(fax, "ref-1", 5.0)
    assert not failures
    assert (await spool.read(questions.named, fax.id))[0].provider_ref == "ref-1"


async def test_a_commit_that_leaves_its_transaction_open(spool):
    """The next one begins all the same."""
    await put(spool, content=b"before")
    spool.database.journal._connection.connection.cursor().execute("BEGIN IMMEDIATE")
    await put(spool, content=b"after")
    assert await spool.waiting() == 2
