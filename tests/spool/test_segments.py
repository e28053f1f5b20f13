"""Files that mails share: whole, zeroed when their time has come, and gone with their last mail."""

import os
import threading

import pytest
from sqlalchemy import select, text

from mail2fax.config import Settings
from mail2fax.spool import open_spool, purge
from mail2fax.spool.contents import records, segments
from mail2fax.spool.contents.records import Record
from mail2fax.spool.contents.segments import Place, Segments
from mail2fax.spool.database.schema import messages
from tests.support import spooling
from tests.support.spooling import put

KEY = bytes(range(32))


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


def told(data, n=0):
    """A record of a mail with these bytes."""
    return Record(f"MAIL{n}", 1.5, spooling.envelope(), len(data), "0" * 64), data


async def test_every_thread_has_its_own(tmp_path):
    """What one appends lies where it said, whatever others append at the same time."""
    room = Segments(tmp_path, KEY)
    places = {}

    def append(letter):
        for n in range(50):
            data = (letter + str(n)).encode() * (n + 1)
            places[room.mine().append(KEY, [told(data)])[0]] = data

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
    room = Segments(tmp_path, KEY)
    places = [room.mine().append(KEY, [told(mail(letter))])[0] for letter in "abcde"]
    assert len({place.segment for place in places}) == 3
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
    room = Segments(tmp_path, KEY)
    first = room.mine()
    with pytest.raises(OSError, match="Input/output"):
        first.append(KEY, [told(mail("a"))])
    assert not (tmp_path / first.name).exists()
    second = room.mine()
    assert second is not first
    for letter in "bc":
        second.append(KEY, [told(mail(letter))])
    assert room.mine() is second
    assert synced == [tmp_path, tmp_path]


async def test_a_short_write_is_carried_on(tmp_path, monkeypatch):
    """The kernel may take a part; on a full disk it then takes no more, and nothing of it stays."""
    room, real = Segments(tmp_path, KEY), os.pwritev
    log = room.mine()
    log.append(KEY, [told(mail("a"))])
    end = log.end
    monkeypatch.setattr(os, "pwritev", lambda file, pieces, at: real(file, [b"".join(pieces)[:20_000]], at))
    (place,) = log.append(KEY, [told(mail("b"))])
    assert room.read(place, 50_000) == mail("b")

    def full(file, data, at):
        raise OSError(28, "No space left on device")

    middle = log.end
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="No space"):
        log.append(KEY, [told(mail("c"))])
    assert (tmp_path / log.name).stat().st_size == middle > end
    assert log.over


async def test_a_segment_of_an_older_spool(tmp_path):
    """Contents alone: they are read and zeroed, and those beside them stay, whatever they say."""
    head, tail = records.pack(KEY, "segment-1:0", told(b"x" * 100)[0])
    (tmp_path / "segment-1").write_bytes(head + b"a" * 100 + tail + b"b" * 100)
    room, start = Segments(tmp_path, KEY), len(head)
    assert room.read(Place("segment-1", start), 100) == b"a" * 100
    room.blank(Place("segment-1", start), 100, whole=True)
    assert (tmp_path / "segment-1").read_bytes() == head + bytes(100) + tail + b"b" * 100


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
    assert faxes[1].message_id.encode() not in kept, "its envelope is there"
    assert (kept.count(b"a" * 50_000), kept.count(b"b" * 50), kept.count(b"c" * 50_000)) == (1, 0, 1)
    assert all(fax.message_id.encode() in kept for fax in (faxes[0], faxes[2]))
    assert await content(spool, faxes[0].message_id) == mail("a")
    with pytest.raises(FileNotFoundError):
        await content(spool, faxes[1].message_id)
    for path in set(shared):
        os.utime(path, (1, 1))
    await spool.purge()
    assert all(path.exists() for path in shared), "a log in use was removed"
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
