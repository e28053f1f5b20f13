"""The log first, the rows second, and then the 250."""

import asyncio
import contextlib
import errno
import os
import shutil
import sqlite3
import threading

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mail2fax.config import Settings
from mail2fax.model import Envelope, Recipient, State
from mail2fax.spool import SpoolUnavailable, Work, inbox, intake, open_spool, search
from mail2fax.spool.contents import segments
from mail2fax.spool.database import engine
from tests.support.patience import PATIENCE
from tests.support.spooling import SENDER, claim, put

SMALL, LARGE = b"small", b"large" * 60_000
BOTH = pytest.mark.parametrize("content", [SMALL, LARGE], ids=["in the log", "in a file"])


@pytest.fixture
def settings(tmp_path):
    return Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})


@pytest.fixture
async def spool(settings):
    async with open_spool(settings, serving=True) as spool:
        yield spool


def files(tmp_path):
    return [path for path in (tmp_path / "spool.db.contents").iterdir() if path.is_file()]


async def faxes(spool):
    return await spool.read(search.found, search.Search())


async def read(spool, message_id):
    async with spool.content(message_id) as path:
        return path.read_bytes()


async def without_rows(settings, *contents):
    """Accept mails on a node, and take away all that it wrote to the database about them: a power cut may."""
    async with open_spool(settings, serving=True) as spool:
        receipts = [await put(spool, content=content) for content in contents]
    with contextlib.closing(sqlite3.connect(settings.spool.url.removeprefix("sqlite:///"))) as connection, connection:
        for table in ("events", "faxes", "deliveries", "messages", "logs"):
            connection.execute(f"DELETE FROM {table}")
    return receipts


# -- before the 250


@BOTH
async def test_no_row_before_its_content_is_on_disk(spool, content, monkeypatch):
    """Nobody sees the mail, and nobody is told of it, until it is synced: nothing ever has to be taken back."""
    gate, begun = threading.Event(), threading.Event()

    def later(real):
        def sync(descriptor):
            begun.set()
            assert gate.wait(20)
            real(descriptor)

        return sync

    monkeypatch.setattr(segments, "sync_data", later(os.fdatasync))
    monkeypatch.setattr(os, "fsync", later(os.fsync))
    putting = asyncio.create_task(put(spool, content=content))
    await asyncio.to_thread(begun.wait, 10)
    await asyncio.sleep(0.1)
    assert not putting.done()
    assert await faxes(spool) == []
    gate.set()
    receipt = await putting
    assert [fax.message_id for fax in await faxes(spool)] == [receipt.queue_id]


async def test_all_that_came_together_are_one_sync(spool, monkeypatch):
    """However many connections there are, and the rows wait for no disk."""
    await put(spool)
    log, wal, real = [], [], os.fdatasync
    monkeypatch.setattr(segments, "sync_data", lambda file: log.append(file) or real(file))
    monkeypatch.setattr("mail2fax.spool.database.journal.sync_data", wal.append)
    await asyncio.gather(*(put(spool, content=b"%d" % n) for n in range(60)))
    assert len(log) < 20
    assert wal == []


@BOTH
async def test_a_disk_that_fails(spool, content, tmp_path, monkeypatch):
    """The client is told to come again; nothing is left of the mail, and its repeat is a new one."""

    def broken(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segments, "sync_data", broken)
        patch.setattr(os, "fsync", broken)
        with pytest.raises(OSError, match="Input/output"):
            await put(spool, content=content)
    assert await faxes(spool) == []
    assert not any(content in path.read_bytes() for path in files(tmp_path))
    receipt = await put(spool, content=content)
    assert not receipt.duplicates
    assert await read(spool, receipt.queue_id) == content


@BOTH
async def test_a_database_that_refuses(spool, content, tmp_path, monkeypatch):
    """The same, though the mail was on disk; what came with it and was taken stays."""
    real = spool.database.journal.transaction

    def away():
        raise OperationalError("BEGIN", {}, Exception("disk I/O error"))

    monkeypatch.setattr(spool.database.journal, "transaction", away)
    with pytest.raises(SpoolUnavailable, match="disk I/O"):
        await put(spool, content=content)
    monkeypatch.setattr(spool.database.journal, "transaction", real)
    assert not any(content in path.read_bytes() for path in files(tmp_path))
    assert not (await put(spool, content=content)).duplicates


async def test_one_that_the_database_refuses_keeps_no_other_from_being_taken(spool, tmp_path, settings):
    """They share a log and a transaction. What lies behind the refused one in the log is found by a start all the same."""
    bad = Envelope(SENDER, (Recipient("x@fax.local", "1" * 5000),), client=None)

    async def put_bad():
        incoming = spool.incoming()
        incoming.write(b"refused" * 100)
        await spool.put(bad, incoming)

    results = await asyncio.gather(
        put(spool, content=b"one"), put_bad(), put(spool, content=b"other"), return_exceptions=True
    )
    assert isinstance(results[1], Exception)
    assert not any(b"refused" in path.read_bytes() for path in files(tmp_path))
    await spool.change(lambda c: [c.execute(text(f"DELETE FROM {t}")) for t in ("events", "faxes", "deliveries")])
    await spool.change(lambda c: [c.execute(text(f"DELETE FROM {t}")) for t in ("messages", "logs")])
    async with open_spool(settings) as second:
        await second._inbox.recover(second.contents)
        assert {fax.message_id for fax in await faxes(second)} == {results[0].queue_id, results[2].queue_id}


def prefixes(wal):
    """Of a write-ahead log each that ends with a commit (sqlite.org/fileformat2.html, section 4.1): so much may be left."""
    size, data = int.from_bytes(wal[8:12], "big"), 32
    while data + 24 <= len(wal):
        ended = wal[data + 4 : data + 8] != bytes(4)  # a commit's frame tells how long the database is
        data += 24 + size
        if ended:
            yield wal[:data]


@pytest.mark.parametrize("bad", [b"", b"0", b"2"], ids=["none", "the first", "the last"])
async def test_a_power_cut_between_the_commits_of_a_batch_that_was_refused(settings, tmp_path, monkeypatch, bad):
    """Each mail is then committed by itself, unsynced: the first commit does not tell that the log was read to its end."""
    real, together = intake.put, []

    def refused_together(connection, contents, node, arrivals):
        if len(arrivals) > 1:
            together.append(len(arrivals))
            raise ValueError("not together")
        if arrivals[0].content.inline == bad:
            raise ValueError("not at all")
        return real(connection, contents, node, arrivals)

    async with open_spool(settings, serving=True) as spool:
        monkeypatch.setattr(intake, "put", refused_together)
        putting = [put(spool, content=b"%d" % n) for n in range(3)]
        answers = await asyncio.gather(*putting, return_exceptions=True)
        promised = {answer.queue_id for answer in answers if not isinstance(answer, Exception)}
        shutil.copytree(tmp_path, tmp_path / "cut")
    monkeypatch.setattr(intake, "put", real)
    assert (together, len(promised)) == ([3], 2 if bad else 3)
    for number, left in enumerate(prefixes((tmp_path / "cut/spool.db-wal").read_bytes())):
        place = shutil.copytree(tmp_path / "cut", tmp_path / str(number))
        (place / "spool.db-wal").write_bytes(left)
        (place / "spool.db-shm").unlink()
        url = {"url": f"sqlite:///{place}/spool.db"}
        async with open_spool(Settings.model_validate({"spool": url}), serving=True) as spool:
            found = {fax.message_id for fax in await faxes(spool)}
            assert found == promised, number


async def test_large_mails_that_are_refused_take_nothing_from_the_log(spool, monkeypatch):
    """What was appended to it last is of others, and was promised."""
    monkeypatch.setattr(inbox, "_THREADS", 1)
    kept = [await put(spool, content=b"kept %d" % n) for n in range(4)]

    def away():
        raise OperationalError("BEGIN", {}, Exception("disk I/O error"))

    with monkeypatch.context() as patch:
        patch.setattr(spool.database.journal, "transaction", away)
        for _ in range(4):
            with pytest.raises(SpoolUnavailable):
                await put(spool, content=LARGE)
    assert [await read(spool, receipt.queue_id) for receipt in kept] == [b"kept %d" % n for n in range(4)]


@BOTH
async def test_a_duplicate_leaves_no_bytes(spool, content, tmp_path):
    """It is told the id of the first at once, and is not kept a second time. Also if both come together."""
    receipts = await asyncio.gather(*(put(spool, content=content) for _ in range(5)))
    assert len({receipt.queue_id for receipt in receipts}) == 1
    assert sum(bool(receipt.duplicates) for receipt in receipts) == 4
    assert sum(path.read_bytes().count(content) for path in files(tmp_path)) == 1
    assert await read(spool, receipts[0].queue_id) == content


# -- what a start finds


async def test_a_start_puts_in_what_a_power_cut_took(settings):
    """Under the same ids, with the same envelopes and bytes, in the order in which they came; once."""
    contents = (SMALL, LARGE, b"third")
    receipts = await without_rows(settings, *contents)
    for _ in range(2):
        async with open_spool(settings, serving=True) as spool:
            found = sorted(await faxes(spool), key=lambda fax: fax.received_at)
            assert [fax.message_id for fax in found] == [receipt.queue_id for receipt in receipts]
            assert [fax.state for fax in found] == [State.RECEIVED] * 3
            assert [await read(spool, fax.message_id) for fax in found] == list(contents)
            assert {fax.sender for fax in found} == {SENDER.casefold()}
            assert (await put(spool, content=SMALL)).duplicates


async def test_a_start_that_is_killed_is_carried_on_by_the_next(settings, monkeypatch):
    """Of many mails some are in already, and copies zeroed; the others are found all the same."""
    contents = [b"mail %d" % n for n in range(12)]
    receipts = await without_rows(settings, *contents[:6], contents[0], contents[3], *contents[6:])
    monkeypatch.setattr(inbox, "_AT_ONCE", 3)
    real, batches = intake.put, []

    def put_some(*what):
        batches.append(what)
        if len(batches) == 4:
            raise KeyError("killed")
        return real(*what)

    with monkeypatch.context() as patch:
        patch.setattr(intake, "put", put_some)
        with pytest.raises(KeyError):
            async with open_spool(settings, serving=True):
                pass
    async with open_spool(settings, serving=True) as spool:
        assert {fax.message_id for fax in await faxes(spool)} == {receipt.queue_id for receipt in receipts}
        assert {await read(spool, fax.message_id) for fax in await faxes(spool)} == set(contents)
        assert len(await faxes(spool)) == len(contents)


async def test_what_has_its_row_is_not_put_in_again(settings):
    """Whatever became of it since."""
    async with open_spool(settings, serving=True) as spool:
        for content in (SMALL, LARGE):
            await put(spool, content=content)
            await spool.advance(await claim(spool, Work.PREPARE), State.FAILED, status="5.0.0")
    async with open_spool(settings, serving=True) as spool:
        assert [fax.state for fax in await faxes(spool)] == [State.FAILED] * 2


@pytest.mark.parametrize("loss", ["its last byte", "a zeroed page", "a flipped bit"])
async def test_what_is_not_whole_is_not_put_in(settings, tmp_path, loss, monkeypatch):
    """Its client heard of no 250. What was promised before it is found."""
    monkeypatch.setattr(inbox, "_THREADS", 1)  # both in one log
    first, _ = await without_rows(settings, b"first", b"second" * 2000)
    (log,) = (path for path in files(tmp_path) if path.stat().st_size)
    data = bytearray(log.read_bytes())
    if loss == "its last byte":
        del data[-1]
    elif loss == "a zeroed page":
        data[4096:8192] = bytes(4096)
    else:
        data[5000] ^= 1
    log.write_bytes(data)
    async with open_spool(settings, serving=True) as spool:
        assert [fax.message_id for fax in await faxes(spool)] == [first.queue_id]


async def test_a_database_that_was_removed_gets_no_mails_of_the_old_one(settings, tmp_path):
    """The contents were left behind: their records are sealed with another key."""
    await without_rows(settings, SMALL, LARGE)
    for path in tmp_path.glob("spool.db*"):
        if path.is_file():
            path.unlink()
    async with open_spool(settings, serving=True) as spool:
        assert await faxes(spool) == []


async def test_nothing_that_a_mail_says_is_read_as_a_record(settings, tmp_path):
    """Its bytes may be those of a real record, stand where one could, and end a file."""
    await without_rows(settings, b"victim")
    (log,) = (path for path in files(tmp_path) if path.stat().st_size)
    record = log.read_bytes()
    log.unlink()
    async with open_spool(settings, serving=True) as spool:
        evil = await put(spool, content=b"x" * 4000 + record)
        great = await put(spool, content=b"y" * 300_000 + record)
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
        connection.execute("UPDATE logs SET mark = mark - ?", (len(record),))
        connection.execute("DELETE FROM messages WHERE 0")
    cut = tmp_path / "spool.db.contents" / great.queue_id
    os.truncate(cut, 300_000 + len(record))
    async with open_spool(settings, serving=True) as spool:
        assert {fax.message_id for fax in await faxes(spool)} == {evil.queue_id, great.queue_id}


async def test_a_disk_that_refuses_the_second_writing_keeps_nobody_from_starting(settings, monkeypatch):
    """The mail may have been promised: it is put in, and said in the log."""
    await without_rows(settings, SMALL)

    real = os.pwrite

    def broken(file, data, at):
        if SMALL in data:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(file, data, at)

    monkeypatch.setattr(os, "pwrite", broken)
    async with open_spool(settings, serving=True) as spool:
        assert len(await faxes(spool)) == 1


async def test_a_content_that_the_disk_lost_is_told(settings, tmp_path):
    """A row whose bytes are others than it knows is not faxed: whoever reads it hears of it."""
    async with open_spool(settings, serving=True) as spool:
        receipt = await put(spool, content=b"lost" * 100)
    for path in files(tmp_path):
        path.write_bytes(bytes(path.stat().st_size))
    async with open_spool(settings, serving=True) as spool:
        with pytest.raises(FileNotFoundError):
            await read(spool, receipt.queue_id)


async def test_a_reader_beside_it_keeps_no_start_waiting(settings, tmp_path, monkeypatch):
    """A shell or a backup that reads for ever, as some replication tools do."""
    monkeypatch.setattr(engine, "BUSY_SECONDS", 2 * PATIENCE)  # who waited for it would be too late
    async with open_spool(settings, serving=True) as spool:
        await put(spool, content=b"before")
        reader = sqlite3.connect(tmp_path / "spool.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM faxes").fetchone()
    async with asyncio.timeout(PATIENCE), open_spool(settings, serving=True) as spool:
        await put(spool, content=b"after")
        await claim(spool, Work.PREPARE)
        assert len(await faxes(spool)) == 2
    reader.close()
