"""Step 2: a document that was made, and a commit that never came."""

import asyncio
import os
import threading

import pytest

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, open_spool
from tests.support import spooling
from tests.support.patience import PATIENCE
from tests.support.scripted import LARGE, state
from tests.support.spooling import claim, put


async def test_a_document_whose_commit_never_came_is_made_again(spool, monkeypatch):
    """Its file was there: the next attempt is not stopped by it."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    with monkeypatch.context() as patch:
        patch.setattr("mail2fax.spool.filing.file", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await spooling.file(spool, fax, LARGE)
    filed = await spooling.file(spool, fax, LARGE)
    async with spool.document(filed.document_id) as path:
        assert path.read_bytes() == LARGE


async def test_a_document_is_whole_though_its_step_was_cancelled(spool, monkeypatch):
    """The write is carried out all the same, with what was to be written."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    gate, begun, real = threading.Event(), threading.Event(), spool.database.journal.transaction

    def late():
        begun.set()
        assert gate.wait(10)
        return real()

    monkeypatch.setattr(spool.database.journal, "transaction", late)
    step = asyncio.create_task(spooling.file(spool, fax, b"%PDF-1.4 whole"))
    await asyncio.to_thread(begun.wait, 10)
    step.cancel()
    await asyncio.wait({step})
    gate.set()
    async with asyncio.timeout(PATIENCE):
        while await state(spool, fax) is not State.PREPARED:
            await asyncio.sleep(0.01)
    async with spool.document(f"{fax.message_id}..1") as path:
        assert path.read_bytes() == b"%PDF-1.4 whole"


async def test_workplaces_of_the_dead_are_swept(tmp_path):
    """They hold pages of other people's faxes."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as spool:
        receipt = await put(spool, content=LARGE)
        folder = tmp_path / "spool.db.contents"
        old, young = folder / "work-old", folder / "work-young"
        for place in (old, young):
            place.mkdir()
            (place / "page.pdf").write_bytes(b"%PDF")
        os.utime(old, (1, 1))
        os.utime(folder / receipt.queue_id, (1, 1))
        await spool.purge()
        assert {path.name for path in folder.iterdir()} == {"work-young", receipt.queue_id}
