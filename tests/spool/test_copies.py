"""copies: a copied spool that a second node serves faxes nothing of what the first may have faxed."""

import shutil

import psycopg
import pytest
from sqlalchemy import text

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, copies, open_spool, search
from tests.support import spooling
from tests.support.spooling import claim, put


def settings(folder) -> Settings:
    return Settings.model_validate({"spool": {"url": f"sqlite:///{folder}/spool.db"}})


async def filled(folder) -> None:
    async with open_spool(settings(folder), serving=True) as spool:
        await put(spool, content=b"received")
        await spooling.prepared(spool, content=b"prepared")
        await spooling.submitted(spool, content=b"at the provider")


async def waiting(spool) -> list[str]:
    """Who holds each fax that waits."""
    shown = await spool.read(search.found, search.Search())
    return [fax.held_by for fax in shown if fax.state in {State.RECEIVED, State.PREPARED}]


async def test_what_waits_in_a_copy_is_held_until_it_is_adopted(tmp_path):
    """Both go on to serve: the original faxes, the copy holds what it has, takes new mail, and polls."""
    original, copy = tmp_path / "original", tmp_path / "copy"
    original.mkdir()
    await filled(original)
    shutil.copytree(original, copy)
    async with open_spool(settings(original), serving=True) as spool:
        assert await waiting(spool) == ["", ""]
    for _ in range(2):  # the next start changes nothing about it
        async with open_spool(settings(copy), serving=True) as spool:
            assert await waiting(spool) == [copies.HOLDER] * 2
            assert [(await spool.claim(work, 9))[0] for work in (Work.PREPARE, Work.SUBMIT)] == [[], []]
    async with open_spool(settings(copy), serving=True) as spool:
        new = await put(spool, content=b"new")
        assert (await claim(spool, Work.PREPARE)).message_id == new.queue_id
        assert (await claim(spool, Work.POLL)).state is State.SUBMITTED
    async with open_spool(settings(copy), serving=True, adopt=True) as spool:
        assert set(await waiting(spool)) == {""}
        assert (await spool.claim(Work.SUBMIT, 9))[0]


async def test_another_machine_is_elsewhere(tmp_path, monkeypatch):
    """A clone of the whole disk, or a volume that another machine has mounted."""
    await filled(tmp_path)
    (tmp_path / "machine-id").write_text("another\n")
    monkeypatch.setattr(copies, "_MACHINE", tmp_path / "machine-id")
    async with open_spool(settings(tmp_path), serving=True) as spool:
        assert await waiting(spool) == [copies.HOLDER] * 2


async def test_a_postgresql_database_that_was_copied_or_restored_is_elsewhere(postgres_url):
    """As by pg_dump and pg_restore, or `create database … template`: its waiting faxes are held until it is adopted."""
    place, _, name = postgres_url.rpartition("/")
    original, copy = (
        Settings.model_validate({"spool": {"url": f"{place}/{one}", "lease": 5.0}}) for one in (name, f"{name}_copy")
    )
    async with open_spool(original, serving=True) as spool:
        await put(spool, content=b"received")
        await spooling.prepared(spool, content=b"prepared")
    with psycopg.connect(f"{place}/postgres", autocommit=True) as admin:
        admin.execute(f"create database {name}_copy template {name}")
        try:
            async with open_spool(original, serving=True) as spool, open_spool(original, serving=True):
                assert await waiting(spool) == ["", ""]
            async with open_spool(copy, serving=True) as spool, open_spool(copy, serving=True):
                assert await waiting(spool) == [copies.HOLDER] * 2
            async with open_spool(copy, serving=True, adopt=True) as spool:
                assert set(await waiting(spool)) == {""}
        finally:
            admin.execute(f"drop database {name}_copy with (force)")


async def test_a_server_that_does_not_tell_who_it_is(postgres_url):
    """An administrator may keep its number from us: then no copy is noticed, and nothing else is different."""
    settings = Settings.model_validate({"spool": {"url": postgres_url, "lease": 5.0}})
    async with open_spool(settings, serving=True) as spool:
        await put(spool)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(copies, "_SERVER", text("SELECT nothing_of_the_kind()"))
            assert await spool.change(lambda connection: copies.home(None, connection)) == ""
            await copies.settle_in(spool.database, adopt=False)
        assert await waiting(spool) == [""]
