"""A spool of the first versions goes on under this one, and not the other way round."""

import contextlib
import sqlite3
import tarfile
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from mail2fax.config import Settings
from mail2fax.model import Refused, State
from mail2fax.spool import Work, open_spool, search
from mail2fax.spool.database import migrations
from tests.support.spooling import SENDER, claim, file, put

# Made by schema 0002 and killed: a mail replied, one each in its row, in a segment and in a file, one for two numbers.
OLD = Path(__file__).with_name("data") / "schema-0002.tar.gz"
CONTENTS = {b"row\n" * 300, b"segment\n" * 4000, b"file\n" * 60_000, b"two\n" * 100}


@pytest.fixture
def settings(tmp_path):
    with tarfile.open(OLD) as archive:
        archive.extractall(tmp_path, filter="data")
    return Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})


def stands_at(settings):
    with contextlib.closing(sqlite3.connect(settings.spool.url.removeprefix("sqlite:///"))) as connection, connection:
        return connection.execute("SELECT version_num FROM alembic_version").fetchone()[0]


async def test_an_older_spool_is_taken_along(settings):
    """Every mail is there with its bytes, wherever they are; faxes go on; new mails come in, and are known."""
    for _ in range(2):
        async with open_spool(settings, serving=True) as spool:
            faxes = await spool.read(search.found, search.Search(states=(State.RECEIVED,)))
            assert len(faxes) == 5
            found = set()
            for message_id in {fax.message_id for fax in faxes}:
                async with spool.content(message_id) as path:
                    found.add(path.read_bytes())
            assert found == CONTENTS
    async with open_spool(settings, serving=True) as spool:
        fax = await file(spool, await claim(spool, Work.PREPARE))
        assert fax.state is State.PREPARED
        assert not (await put(spool, content=b"new")).duplicates
        assert (await put(spool, content=b"new")).duplicates


async def test_what_an_older_program_accepted_is_known_when_it_is_repeated(settings):
    """A 250 that was lost just before the upgrade: the older program knew the reverse-path as given, not who it is."""
    async with open_spool(settings) as spool:
        receipt = await put(spool, "4165550100", "4165550101", content=b"two\n" * 100)
        assert receipt.duplicates == ("4165550100@fax.local", "4165550101@fax.local")
        some = await put(spool, "4165550100", "4165550102", content=b"two\n" * 100)
        assert some.duplicates == ("4165550100@fax.local",)
        assert not (await put(spool, "4165550100", content=b"two\n" * 100, sender="bob@office.example")).duplicates
        assert await spool.read(search.counted, search.Search(sender=SENDER.lower())) == 7


async def test_what_an_older_spool_kept_is_purged(settings, tmp_path):
    """Contents in rows and segments go as they went."""
    async with open_spool(settings, serving=True) as spool:
        for _ in range(5):
            fax = await spool.advance(await claim(spool, Work.PREPARE), State.FAILED, status="5.0.0")
            await spool.replied(await claim(spool, Work.REPLY), "sent")
            assert fax.final
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db")) as connection, connection:
        connection.execute("UPDATE faxes SET finished_at = 1")
    async with open_spool(settings, serving=True) as spool:
        assert (await spool.purge())[0] == 5
    segments = (tmp_path / "spool.db.contents").glob("segment-*")
    assert not any(path.read_bytes().strip(b"\0") for path in segments)


async def test_an_older_program_finds_nothing_that_it_could_serve(settings):
    """The first versions go on with any schema newer than theirs: this one is older to them, and they do not know it."""
    async with open_spool(settings):
        pass
    assert stands_at(settings) < "0002"
    with pytest.raises(CommandError, match="a newer mail2fax"):
        ScriptDirectory(str(Path(migrations.__file__).parent)).get_revision(stands_at(settings))


async def test_a_spool_of_a_newer_program_is_refused(settings):
    """With a word that says what to do."""
    async with open_spool(settings):
        pass
    with contextlib.closing(sqlite3.connect(settings.spool.url.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000 a newer mail2fax, 9999'")
    with pytest.raises(Refused, match=r"newer mail2fax has written this spool \(schema 9999.*restore the backup"):
        async with open_spool(settings):
            pass
