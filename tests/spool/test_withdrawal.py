"""A mail's row and its content go to the disk at once: nothing is promised before both are there, and a row whose
content did not get there is taken back.
"""

import asyncio
import contextlib
import errno
import os
import threading

import pytest
from sqlalchemy import func, select, text

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, intake, open_spool, questions, withdrawal
from mail2fax.spool.contents import incoming, segments
from mail2fax.spool.database.journal import NotOnDisk
from mail2fax.spool.database.schema import deliveries, events, faxes, messages
from tests.support import spooling
from tests.support.spooling import claim, put

MIDDLING = b"middling " * 10_000
LARGE = b"large " * 100_000
TWO = ("6474959659", "4165550100")
BOTH = pytest.mark.parametrize("content", [MIDDLING, LARGE], ids=["segment", "file"])


@pytest.fixture
def settings(tmp_path):
    return Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})


@pytest.fixture
async def spool(settings):
    async with open_spool(settings, serving=True) as spool:
        yield spool


class Disk:
    """Content is synced when it is told to, and fails as often as it is told to. The log is on another one."""

    def __init__(self):
        self.gate = threading.Event()
        self.begun = threading.Event()
        self.failures = 0

    def _sync(self, _file):
        self.begun.set()
        assert self.gate.wait(20)
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    @contextlib.contextmanager
    def under(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(segments, "sync_data", self._sync)
            patch.setattr(incoming.Incoming, "sync", lambda content: self._sync(content))
            yield self


@pytest.fixture
def disk():
    with Disk().under() as disk:
        yield disk
        disk.gate.set()


@pytest.fixture
def broken(disk):
    disk.failures = 1
    disk.gate.set()
    return disk


def rows(connection):
    return [
        connection.scalar(select(func.count()).select_from(table)) for table in (messages, faxes, events, deliveries)
    ]


async def read(spool, message_id):
    async with spool.content(message_id) as path:
        return path.read_bytes()


async def is_written(spool):
    async with asyncio.timeout(10):
        while not await spool.waiting():
            await asyncio.sleep(0.01)


@BOTH
async def test_no_promise_before_the_content_is_on_disk(spool, disk, content):
    """Its row is there for all to see, the client is told nothing yet."""
    putting = asyncio.create_task(put(spool, content=content))
    await is_written(spool)
    assert disk.begun.wait(10)
    await asyncio.sleep(0.1)
    assert not putting.done()
    disk.gate.set()
    receipt = await putting
    assert await read(spool, receipt.queue_id) == content


@BOTH
async def test_a_duplicate_is_promised_no_sooner(spool, disk, content):
    """What it is a duplicate of might yet be lost. Of a mail that is a duplicate in part nothing is written either."""
    first = asyncio.create_task(put(spool, content=content))
    await is_written(spool)
    again = asyncio.create_task(put(spool, content=content))
    more = asyncio.create_task(put(spool, "4165550100", "6474959659", content=content))
    small = await put(spool, content=b"small")  # nobody else has to wait
    assert not small.duplicates
    await asyncio.sleep(0.2)
    assert not first.done()
    assert not again.done()
    assert not more.done()
    assert await spool.waiting() == 2
    disk.gate.set()
    original, duplicate, partly = await asyncio.gather(first, again, more)
    assert duplicate.queue_id == original.queue_id
    assert partly.duplicates == ("6474959659@fax.local",)
    assert await spool.waiting() == 3
    assert await read(spool, original.queue_id) == content


@BOTH
async def test_a_repeat_in_the_same_moment_is_promised_no_sooner(spool, disk, content):
    """Two connections bring one mail, and one transaction holds both. A mail may also name a number twice."""
    both = [asyncio.create_task(put(spool, content=content)) for _ in range(2)]
    twice = asyncio.create_task(put(spool, "4165550100", "4165550100", content=content))
    await is_written(spool)
    await asyncio.sleep(0.2)
    assert not any(task.done() for task in both)
    disk.failures = 1
    disk.gate.set()
    ends = await asyncio.gather(*both, return_exceptions=True)
    await asyncio.wait({twice})
    receipts = [end for end in ends if not isinstance(end, Exception)]
    assert receipts
    assert [fax.message_id for fax in await spool.read(questions.fax_list, questions.Wanted(number="6474959659"))] == [
        receipts[0].queue_id
    ]
    assert await read(spool, receipts[0].queue_id) == content


async def test_a_mail_that_names_a_number_twice_is_no_duplicate_of_itself(spool):
    """Even if its transaction failed for another's sake, and it is put once more."""

    def fails(_connection):
        raise RuntimeError("another's")

    failing = asyncio.create_task(spool.change(fails))
    async with asyncio.timeout(5):
        receipt = await put(spool, "6474959659", "6474959659", content=MIDDLING)
    with pytest.raises(RuntimeError):
        await failing
    assert receipt.duplicates == ("6474959659@fax.local",)
    assert await spool.waiting() == 1


@BOTH
async def test_a_disk_that_fails(spool, broken, content, tmp_path):
    """Nothing is left of the mail: sent again it is a new one, and written elsewhere."""
    with pytest.raises(OSError, match="Input/output"):
        await put(spool, content=content)
    assert await spool.read(rows) == [0, 0, 0, 0]
    folder = tmp_path / "spool.db.contents"
    before = {path.name for path in folder.iterdir()}
    receipt = await put(spool, content=content)
    assert not receipt.duplicates
    assert await read(spool, receipt.queue_id) == content
    assert len({path.name for path in folder.iterdir()} - before) == 1, "appended to a file that had failed"
    assert sum(path.read_bytes().count(content) for path in folder.iterdir()) == 1, "its bytes were left"


@BOTH
async def test_a_duplicate_of_a_mail_that_failed_is_a_mail(spool, disk, content):
    """It waited for the first, which was withdrawn."""
    first = asyncio.create_task(put(spool, content=content))
    await is_written(spool)
    again = asyncio.create_task(put(spool, content=content))
    await asyncio.sleep(0.1)
    disk.failures = 1
    disk.gate.set()
    with pytest.raises(OSError, match="Input/output"):
        await first
    receipt = await again
    assert not receipt.duplicates
    assert await spool.waiting() == 1
    assert await read(spool, receipt.queue_id) == content


async def test_nothing_is_accepted_while_a_mail_cannot_be_withdrawn(spool, broken, monkeypatch):
    """Whoever sends it again would be told that it is known."""

    def locked(_connection, _ids):
        raise OSError(errno.EIO, "the database, too")

    with monkeypatch.context() as patch:
        patch.setattr(withdrawal, "withdraw", locked)
        with pytest.raises(OSError, match="Input/output"):
            await put(spool, content=MIDDLING)
        with pytest.raises(OSError, match="the database, too"):
            await put(spool, content=MIDDLING)
        with pytest.raises(OSError, match="the database, too"):
            await put(spool, content=b"another")
    receipt = await put(spool, content=MIDDLING)
    assert not receipt.duplicates
    assert await spool.waiting() == 1


@BOTH
async def test_a_fax_that_went_further_stays(spool, disk, content):
    """Its document is on disk by itself: the mail that comes again is known, and faxed once."""
    putting = asyncio.create_task(put(spool, *TWO, content=content))
    await is_written(spool)
    fax = await spooling.file(spool, await claim(spool, Work.PREPARE))
    disk.failures = 1
    disk.gate.set()
    with pytest.raises(OSError, match="Input/output"):
        await putting
    assert [one.state for one in await spool.read(questions.named, fax.message_id)] == [State.PREPARED]
    again = await put(spool, *TWO, content=content)
    assert again.duplicates == (fax.recipient,)
    assert await spool.waiting() == 2
    assert await read(spool, fax.message_id) == content


@BOTH
async def test_nobody_waits_for_anothers_content(spool, disk, content):
    """Whatever the disk takes for large mails, faxes go on and small mails are taken."""
    slow = [asyncio.create_task(put(spool, content=content + b"%d" % n)) for n in range(8)]
    async with asyncio.timeout(10):
        while await spool.waiting() < 8:
            await asyncio.sleep(0.01)
        fax = await claim(spool, Work.PREPARE)
        await put(spool, content=b"small")
        await spool.advance(fax, State.FAILED, status="5.0.0")
    assert not any(task.done() for task in slow)
    disk.gate.set()
    await asyncio.gather(*slow)


@BOTH
async def test_neighbours_of_a_content_that_fails(spool, broken, content):
    """What else was written in the same moment is on disk."""
    await put(spool, content=b"one")
    fax = await claim(spool, Work.PREPARE)
    first = put(spool, content=content)
    others = (
        put(spool, content=b"small"),
        spool.advance(fax, State.FAILED, status="5.0.0"),
        spool.claim(Work.PREPARE, 1),
    )
    failed, *fine = await asyncio.gather(first, *others, return_exceptions=True)
    assert isinstance(failed, OSError)
    assert not [one for one in fine if isinstance(one, Exception)]


async def test_an_error_that_is_not_the_disks(spool, broken, monkeypatch):
    """Whatever it was: what is not known to be on disk is withdrawn."""
    broken.failures = 0

    def confused(_file):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(segments, "sync_data", confused)
        with pytest.raises(NotOnDisk):
            await put(spool, content=MIDDLING)
    assert await spool.read(rows) == [0, 0, 0, 0]
    assert not (await put(spool, content=MIDDLING)).duplicates


async def test_a_mail_that_was_not_committed_leaves_no_bytes(spool, tmp_path, monkeypatch):
    """Neither once nor, run with others and then alone, twice."""

    def full(_connection, _rows):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(intake._FAXES, "insert", full)
        puts = [put(spool, content=MIDDLING + b"%d" % n) for n in range(3)]
        assert all(isinstance(one, OSError) for one in await asyncio.gather(*puts, return_exceptions=True))
    left = b"".join(path.read_bytes() for path in (tmp_path / "spool.db.contents").iterdir())
    assert MIDDLING not in left


async def test_what_was_rolled_back_is_nobody_elses_failure(spool, broken, monkeypatch):
    """Its content could not be synced either: nobody waits for that, and nothing is appended to it."""
    real, failures = intake._FAXES.insert, [1, 1, 1]

    def insert(connection, rows):
        if failures:
            failures.pop()
            raise OSError(errno.ENOSPC, "full")
        return real(connection, rows)

    monkeypatch.setattr(intake._FAXES, "insert", insert)
    with pytest.raises(OSError, match="full"):
        await put(spool, content=MIDDLING)
    failures.clear()
    assert broken.failures == 0
    segment = spool.contents.in_use()
    for n in range(6):
        await put(spool, content=b"%d" % n)
    await put(spool, content=MIDDLING)
    assert segment == set()
    assert len(spool.contents.in_use()) == 1


# -- the machine stops


def content_file(spool_folder, content):
    """The file in which a content is, and where."""
    for path in spool_folder.iterdir():
        if (at := path.read_bytes().find(content)) >= 0:
            return path, at
    raise AssertionError("not on disk")


def zeros(path, at, size):
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(size))


LOSSES = {
    "zeros": lambda path, at: zeros(path, at + 5_000, 4096),
    "cut": lambda path, at: os.truncate(path, at + 5_000),
    "empty": lambda path, at: os.truncate(path, 0),
    "gone": lambda path, at: path.unlink(),
}


@BOTH
@pytest.mark.parametrize("loss", LOSSES)
async def test_a_power_cut_between_row_and_content(settings, tmp_path, content, loss):
    """The row is withdrawn before the door opens; its client, who heard of no 250, sends again."""
    async with open_spool(settings, serving=True) as spool:
        whole = await put(spool, content=content[1:])
    async with open_spool(settings, serving=True) as spool:
        lost = await put(spool, content=content)
    LOSSES[loss](*content_file(tmp_path / "spool.db.contents", content))
    async with open_spool(settings, serving=True) as spool:
        assert [fax.message_id for fax in await spool.read(questions.fax_list, questions.Wanted())] == [whole.queue_id]
        assert await read(spool, whole.queue_id) == content[1:]
        again = await put(spool, content=content)
        assert not again.duplicates
        assert again.queue_id != lost.queue_id
        assert await read(spool, again.queue_id) == content


@BOTH
async def test_what_the_page_cache_holds_is_written_once_more(settings, tmp_path, content, monkeypatch):
    """After kill -9 a content reads as whole though it never was on disk: made safe before anybody is told of it."""
    async with open_spool(settings, serving=True) as spool:
        receipt = await put(spool, content=content)
    path, _ = content_file(tmp_path / "spool.db.contents", content)
    number, written, synced = path.stat().st_ino, [], []
    real_write, real_sync = os.pwrite, os.fsync

    def write(file, data, at):
        if os.fstat(file).st_ino == number:
            written.append(len(data))
        return real_write(file, data, at)

    def sync(file):
        synced.append((os.fstat(file).st_ino, sum(written)))
        real_sync(file)

    monkeypatch.setattr(os, "pwrite", write)
    monkeypatch.setattr(os, "fsync", sync)
    async with open_spool(settings, serving=True) as spool:
        assert (number, len(content)) in synced
        assert path.parent.stat().st_ino in [file for file, _ in synced]
        assert (await put(spool, content=content)).queue_id == receipt.queue_id
        assert await read(spool, receipt.queue_id) == content


async def test_a_clock_that_was_ahead(settings, tmp_path):
    """A mail of an hour that has not come yet makes none of this hour old."""
    async with open_spool(settings, serving=True) as spool:
        await put(spool, content=b"from the future")
        await spool.change(lambda c: c.execute(text("UPDATE messages SET received_at = received_at + 3600")))
        await put(spool, content=MIDDLING)
    zeros(*content_file(tmp_path / "spool.db.contents", MIDDLING), 4096)
    async with open_spool(settings, serving=True) as spool:
        assert not (await put(spool, content=MIDDLING)).duplicates


async def test_a_content_that_cannot_be_read_keeps_nobody_from_starting(settings, tmp_path, monkeypatch):
    """It may have been promised: its sender hears of it when it is taken apart."""
    async with open_spool(settings, serving=True) as spool:
        await put(spool, content=MIDDLING)

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(os, "pread", broken)
        patch.setattr("mail2fax.spool.inbox._LOOKS", 2)
        async with open_spool(settings, serving=True) as spool:
            assert await spool.waiting() == 1
            with pytest.raises(OSError, match="does not get on disk"):
                await put(spool, content=MIDDLING)
            assert await put(spool, content=b"another")


async def test_what_was_promised_is_not_withdrawn(settings, tmp_path):
    """A mail older than any client waits was answered: should its bytes be gone, its sender has to hear of it."""
    async with open_spool(settings, serving=True) as spool:
        old = await put(spool, content=MIDDLING)
        back = "UPDATE messages SET received_at = received_at - 601"
        await spool.change(lambda connection: connection.execute(text(back)))
        await put(spool, content=b"the last one")
    zeros(*content_file(tmp_path / "spool.db.contents", MIDDLING), 4096)
    async with open_spool(settings, serving=True) as spool:
        assert (await put(spool, content=MIDDLING)).queue_id == old.queue_id


async def test_one_sync_for_all_that_share_a_file(settings, monkeypatch):
    """A node that starts with many mails is not kept from opening its door."""
    async with open_spool(settings, serving=True) as spool:
        await asyncio.gather(*(put(spool, content=MIDDLING + b"%d" % n) for n in range(50)))
    real, syncs = os.fsync, []
    monkeypatch.setattr(os, "fsync", lambda file: syncs.append(file) or real(file))
    async with open_spool(settings, serving=True) as spool:
        assert await spool.waiting() == 50
        assert len(syncs) < 10


async def test_what_was_tried_in_vain_is_not_withdrawn(settings, tmp_path):
    """A node that went on after the mail came has told its client so."""
    async with open_spool(settings, serving=True) as spool:
        receipt = await put(spool, content=MIDDLING)
        await spool.postpone(await claim(spool, Work.PREPARE), 0.0, what="error")
    content_file(tmp_path / "spool.db.contents", MIDDLING)[0].unlink()
    async with open_spool(settings, serving=True) as spool:
        assert (await spool.message(receipt.queue_id)).id == receipt.queue_id


async def test_what_went_further_is_not_withdrawn(settings, tmp_path):
    """It has its document."""
    async with open_spool(settings, serving=True) as spool:
        fax = await spooling.prepared(spool, content=MIDDLING)
    zeros(*content_file(tmp_path / "spool.db.contents", MIDDLING), 4096)
    async with open_spool(settings, serving=True) as spool:
        assert [one.id for one in await spool.read(questions.fax_list, questions.Wanted())] == [fax.id]
