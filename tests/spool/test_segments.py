"""Files that mails share: whole, zeroed when their time has come, and gone with their last mail."""

import os
import threading

import pytest
from sqlalchemy import select, text

from mail2fax.config import Settings
from mail2fax.spool import open_spool, purge
from mail2fax.spool.contents import segments
from mail2fax.spool.contents.segments import Place, Segments
from mail2fax.spool.database.schema import messages
from tests.support import spooling
from tests.support.spooling import put


@pytest.fixture
async def spool(tmp_path):
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        yield spool


def mail(letter):
    return letter.encode() * 50_000


def place(message_id):
    def ask(connection):
        columns = (messages.c.segment, messages.c.start, messages.c.content)
        segment, start, content = connection.execute(select(*columns).where(messages.c.id == message_id)).one()
        assert content is None
        return segment and Place(segment, start)

    return ask


async def content(spool, message_id):
    async with spool.content(message_id) as path:
        return path.read_bytes()


async def test_every_thread_has_its_own(tmp_path):
    """What one appends lies where it said, whatever others append at the same time."""
    room = Segments(tmp_path)
    places = {}

    def append(letter):
        for n in range(50):
            data = (letter + str(n)).encode() * (n + 1)
            places[room.mine().append(data)] = data

    threads = [threading.Thread(target=append, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(places) == 150
    assert len(room.in_use()) == 3
    assert all(room.read(place, len(data)) == data for place, data in places.items())


async def test_the_next_begins_when_one_is_full(tmp_path, monkeypatch):
    """And what came before can still be read."""
    monkeypatch.setattr(segments, "_LONGEST", 100_000)
    room = Segments(tmp_path)
    places = []
    for letter in "abcde":
        segment = room.mine()
        places.append(segment.append(mail(letter)))
        segment.sync()
    assert [place.start for place in places] == [0, 50_000, 0, 50_000, 0]
    assert len(room.in_use()) == 1
    assert [room.read(place, 50_000) for place in places] == [mail(letter) for letter in "abcde"]


async def test_its_name_is_on_disk_with_it(tmp_path, monkeypatch):
    """A file whose folder does not know it is gone after a power cut; one whose name failed is not used again."""
    synced, failures = [], [OSError(5, "Input/output error")]

    def sync_folder(folder):
        synced.append(folder)
        if failures:
            raise failures.pop()

    monkeypatch.setattr(segments, "sync_folder", sync_folder)
    room = Segments(tmp_path)
    first = room.mine()
    first.append(mail("a"))
    with pytest.raises(OSError, match="Input/output"):
        first.sync()
    second = room.mine()
    assert second is not first
    for letter in "bc":
        second.append(mail(letter))
        second.sync()
    assert room.mine() is second
    assert synced == [tmp_path, tmp_path]


async def test_a_write_that_fails_leaves_no_gap(tmp_path, monkeypatch):
    """Half a mail on a full disk is written over by the next one."""
    room, real = Segments(tmp_path), os.pwrite
    segment = room.mine()
    segment.append(mail("a"))

    def full(file, data, at):
        if at >= 60_000:
            raise OSError(28, "No space left on device")
        return real(file, data[:10_000], at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(OSError, match="No space"):
            segment.append(mail("b"))
    after = segment.append(mail("c"))
    assert after == Place(segment.name, 50_000)
    assert room.read(after, 50_000) == mail("c")


async def test_what_is_deleted_is_overwritten(spool, tmp_path):
    """The bytes of one mail go, those of its neighbours stay; the file goes when nobody needs it."""
    faxes = [await spooling.replied(spool, content=mail(letter)) for letter in "abc"]
    places = [await spool.read(place(fax.message_id)) for fax in faxes]
    shared = [tmp_path / "spool.db.contents" / where.segment for where in places]

    def older(connection, fax):
        connection.execute(text(f"UPDATE faxes SET finished_at = 1 WHERE id = '{fax.id}'"))
        return purge.contents(connection, spool.contents, 7)

    assert await spool.change(older, faxes[1]) == 1
    kept = b"".join(path.read_bytes() for path in set(shared))
    assert b"b" not in kept
    assert (kept.count(b"a"), kept.count(b"c"), kept.count(b"\0")) == (50_000, 50_000, 50_000)
    assert await content(spool, faxes[0].message_id) == mail("a")
    with pytest.raises(FileNotFoundError):
        await content(spool, faxes[1].message_id)
    for path in set(shared):
        os.utime(path, (1, 1))
    await spool.purge()
    assert all(path.exists() for path in shared), "a segment in use was removed"
    later = await put(spool, content=mail("d"))
    assert await content(spool, later.queue_id) == mail("d")


async def test_a_tool_beside_the_node_removes_nothing(tmp_path):
    """What the node appends to may look forgotten: old, and named by no row."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    folder = tmp_path / "spool.db.contents"
    async with open_spool(settings, serving=True) as spool:
        fax = await spooling.replied(spool, content=mail("a"))
        await spool.change(lambda c: c.execute(text(f"UPDATE faxes SET finished_at = 1 WHERE id = '{fax.id}'")))
        await spool.purge()
        for path in folder.iterdir():
            os.utime(path, (1, 1))
        async with open_spool(settings) as tool:
            await tool.purge()
        later = [await put(spool, content=mail(letter)) for letter in "bcdefghi"]
        assert [await content(spool, one.queue_id) for one in later] == [mail(letter) for letter in "bcdefghi"]


async def test_one_failure_is_everybodys(tmp_path, monkeypatch):
    """The kernel tells a descriptor once of what it could not write; but what was on disk before stays there."""
    failures = [None, OSError(5, "Input/output error"), None]
    monkeypatch.setattr(segments, "sync_data", lambda _: (failure := failures.pop(0)) and _raise(failure))
    segment = Segments(tmp_path).mine()
    segment.append(mail("a"))
    segment.sync()
    segment.sync()  # nothing was appended since
    segment.append(mail("b"))
    for _ in range(2):
        with pytest.raises(OSError, match="Input/output"):
            segment.sync()
    assert failures == [None]


def _raise(error):
    raise error


async def test_a_segment_goes_with_its_last_mail(tmp_path):
    """Old ones that no row names are swept at start; one with a mail in it stays."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    folder = tmp_path / "spool.db.contents"
    faxes = []
    for letter in "ab":
        async with open_spool(settings, serving=True) as spool:
            faxes.append(await spooling.replied(spool, content=mail(letter)))
    async with open_spool(settings) as spool:
        await spool.change(lambda c: c.execute(text(f"UPDATE faxes SET finished_at = 1 WHERE id = '{faxes[0].id}'")))
        await spool.change(purge.contents, spool.contents, 7)
        left = await spool.read(place(faxes[1].message_id))
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    async with open_spool(settings, serving=True) as spool:
        assert [path.name for path in folder.iterdir() if path.is_file()] == [left.segment]
        assert await content(spool, faxes[1].message_id) == mail("b")
