"""The loop that drives the steps: errors of our own end in a word to the sender."""

from sqlalchemy import text

from mail2fax.model import Reason
from mail2fax.spool import Work, moves
from mail2fax.steps.worker import ATTEMPTS
from tests.support.scripted import _fail_once
from tests.support.spooling import claim, put


async def test_errors_without_end_are_told(spool):
    """After so many errors of our own the fax ends, and the sender hears of it."""
    await put(spool)

    def fail(connection):
        (fax_id,) = connection.scalars(text("SELECT id FROM faxes"))
        for _ in range(ATTEMPTS - 1):
            moves.write_event(connection, fax_id, "error", "tester", {"error": "internal"})

    await spool.change(fail)
    await _fail_once(spool, Work.PREPARE)
    assert (await claim(spool, Work.REPLY)).reason is Reason.INTERNAL
