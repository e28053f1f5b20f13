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
from mail2fax.spool import Work, open_spool, questions, search
from mail2fax.spool.database import checkpoint, engine, journal
from tests.support import spooling
from tests.support.patience import PATIENCE, until
from tests.support.spooling import put


@pytest.fixture
async def spool(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_SECONDS", 2 * PATIENCE)  # who waited for a lock would be too late
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


async def step(spool):
    """Something that has to be on disk when it is told of. What it tells."""
    return await spool.claim(Work.PREPARE, 1)


async def test_no_promise_before_the_disk(spool, disk):
    """The claim is there for all to see, and its owner told nothing yet; and the next one is written meanwhile."""
    gate, begun = disk
    for content in (b"first", b"second"):
        await put(spool, content=content)
    first = asyncio.create_task(step(spool))
    await asyncio.to_thread(begun.wait, 10)
    second = asyncio.create_task(step(spool))

    async def both_are_written():
        return all(fax.lease for fax in await spool.read(search.found, search.Search()))

    await until(both_are_written)
    assert not first.done()
    assert not second.done()
    gate.set()
    claimed = [found for found, _ in await asyncio.gather(first, second)]
    assert len({fax.id for faxes in claimed for fax in faxes}) == 2


async def test_a_disk_that_fails(spool, tmp_path, monkeypatch):
    """Who waited hears of it. Before anything else is written all of the WAL is written anew, into the database."""
    await put(spool, content=b"before")
    wal = tmp_path / "spool.db-wal"

    def broken(_descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(journal, "sync_data", broken)
        with pytest.raises(OSError, match="Input/output"):
            await step(spool)
    size = wal.stat().st_size
    after = await put(spool, content=b"after")
    assert wal.stat().st_size < size, "the WAL did not begin anew"
    ((fax,), _) = await step(spool)
    assert fax.message_id == after.queue_id


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


async def test_somebody_who_reads_in_a_wal_that_failed(spool, tmp_path, monkeypatch):
    """It cannot be copied and begun anew: then its very bytes are written once more, where they are."""
    await put(spool, content=b"before")
    spool.database.journal.distrust()
    reader = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM faxes").fetchone()
    wal = tmp_path / "spool.db-wal"
    before, written, real = wal.read_bytes(), bytearray(), os.pwrite

    def note(file, data, at):
        if os.path.samestat(os.fstat(file), wal.stat()):
            written.extend(data)
        return real(file, data, at)

    monkeypatch.setattr(os, "pwrite", note)
    await put(spool, content=b"during")
    assert bytes(written) == before
    assert reader.execute("SELECT count(*) FROM faxes").fetchone() == (1,)
    reader.close()
    assert await spool.waiting() == 2


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
    files += (tmp_path / "spool.db.contents").glob("log-*")
    assert any(b"a diagnosis" in path.read_bytes() for path in files)
    assert any(spooling.SENDER.encode() in path.read_bytes() for path in files[2:])
    await spool.change(lambda connection: connection.execute(text("UPDATE faxes SET finished_at = 1")))
    assert await spool.purge() == (1, 0)

    async def it_is_gone():
        return not any(b"a diagnosis" in path.read_bytes() for path in files)

    await until(it_is_gone)
    assert not any(spooling.SENDER.encode() in path.read_bytes() for path in files[2:])


async def test_somebody_who_reads_in_the_log_keeps_nobody_waiting(spool, tmp_path):
    """What was deleted goes when they are done: a backup may take its time."""
    await put(spool)
    reader = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM faxes").fetchone()
    await put(spool, content=b"another")
    spool.database.empty_wal()
    async with asyncio.timeout(PATIENCE):
        for n in range(checkpoint._COMMITS):
            await put(spool, content=b"%d" % n)
    wal = tmp_path / "spool.db-wal"
    size = wal.stat().st_size
    reader.close()

    async def it_is_cut_off():
        await put(spool, content=os.urandom(8))
        return wal.stat().st_size < size

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
