"""What was kept long enough goes, and robs nobody."""

import asyncio
import time

from sqlalchemy import text

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, open_spool, operator, purge
from tests.support import spooling
from tests.support.spooling import claim


async def test_a_retry_is_not_robbed_by_a_purge(postgres_url):
    """A person sends again what is just being deleted: one of the two is refused, never half of each."""
    settings = Settings.model_validate({"spool": {"url": postgres_url}})
    async with open_spool(settings) as spool:
        old = await spooling.replied(spool, State.FAILED)
        back = text("UPDATE faxes SET finished_at = finished_at - 30 * 86400")
        await spool.change(lambda connection: connection.execute(back))
        locked, seen = asyncio.Event(), asyncio.get_running_loop()

        def slow_retry(connection):
            fresh = operator.retry(connection, old.id, "kim")
            seen.call_soon_threadsafe(locked.set)
            time.sleep(0.5)
            return fresh

        retrying = asyncio.create_task(spool.change(slow_retry))
        await locked.wait()
        assert await spool.change(purge.contents, spool.contents, 7.0) == 0
        await retrying
        fax = await claim(spool, Work.SUBMIT)
        async with spool.document(fax.document_id) as path:
            assert path.exists()
