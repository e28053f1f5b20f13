"""A provider that does as it is told around the commit, and a database that is away when it hurts."""

import asyncio
import contextlib

from sqlalchemy.exc import OperationalError

from mail2fax.config import Settings
from mail2fax.model import Capabilities, Line
from mail2fax.providers.routes import Route
from mail2fax.spool import questions
from mail2fax.spool.contents.incoming import INLINE
from mail2fax.steps.submit import Submit
from mail2fax.steps.worker import Station, Worker

SETTINGS = Settings.model_validate({"retry": {"first": 0.1, "longest": 0.2}})

LARGE = b"0123456789abcdef" * (INLINE // 8)


class Scripted:
    """A provider that does as it is told around the commit."""

    capabilities = Capabilities()

    def __init__(self, *, before=None, after=None, ref="ref-1"):
        self.before, self.after, self.ref = before, after, ref
        self.ended = 0  # how often the end left

    async def submit(self, line, number, document, name, commit, reference):
        if self.before:
            await self.before()
        await commit()
        self.ended += 1
        if self.after:
            await self.after()
        return self.ref


def step(spool, provider):
    return Submit(SETTINGS, spool, routes(provider))


def routes(provider):
    return {"": Route(Line("", "canary-token-7391"), provider)}


def away(spool, monkeypatch, times, *, carried_out=False):
    """Let the next transactions fail: before they are made or, worse, after."""
    real = spool.database.journal.transaction
    left = [times]

    @contextlib.contextmanager
    def begin():
        if left[0] > 0 and not carried_out:
            left[0] -= 1
            raise OperationalError("BEGIN", {}, Exception("gone"))
        with real() as connection:
            yield connection
        if left[0] > 0:
            left[0] -= 1
            raise OperationalError("COMMIT", {}, Exception("the answer was lost"))

    monkeypatch.setattr(spool.database.journal, "transaction", begin)


async def state(spool, fax):
    return (await spool.read(questions.named, fax.id))[0].state


async def _fail_once(spool, work):
    tried = asyncio.Event()

    async def fails(_fax):
        tried.set()
        raise ZeroDivisionError

    worker = Worker(spool, {work: Station(fails, 1)})
    running = asyncio.create_task(worker.run(5.0))
    await tried.wait()
    worker.stop()
    await running
