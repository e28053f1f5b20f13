"""Step 4: errors only delay the next look."""

import asyncio
import json

from sqlalchemy import update

from mail2fax.model import Reason, State
from mail2fax.spool import Work, questions, search
from mail2fax.spool.database.schema import faxes, now
from tests.support import spooling
from tests.support.faxapi import Reply
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf
from tests.support.scripted import _fail_once

TOKEN = "canary-token-7391"


async def test_many_polls_are_no_errors(spool):
    """One hiccup of ours does not end a fax that was polled a hundred times, or waited long for a provider."""
    await spooling.submitted(spool)
    await spool.change(lambda connection: connection.execute(update(faxes).values(attempts=100)))
    await _fail_once(spool, Work.POLL)
    (fax,) = await spool.read(search.found, search.Search())
    assert fax.state is State.SUBMITTED


async def test_unknown_words_and_errors_only_delay_the_news(bridge, faxapi, outbox):
    """Polls survive what no document names."""
    faxapi.words = ["Loading", "Loading", "Loading", "Loading", "Dancing", "Success"]
    faxapi.on_poll(
        Reply(status=500), Reply(body=b"<html>"), Reply(body={"error_code": 401, "message": f"Invalid {TOKEN}"})
    )
    running = await bridge()
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.DELIVERED)
    history = await running.node.spool.read(questions.history, fax.id)
    assert "Dancing" in json.dumps([dict(event.detail) for event in history])
    assert TOKEN not in json.dumps([dict(event.detail) for event in history])


async def test_the_deadline_makes_it_unknown(bridge, faxapi, outbox):
    """No last word until [poll] deadline: nobody knows, and the sender is told so."""
    faxapi.words = ["Sending"]
    running = await bridge(poll={"deadline": 0.6})
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.UNKNOWN)
    assert (fax.reason, fax.status) == (Reason.NO_FINAL_WORD, "4.4.7")


async def test_one_failed_look_after_the_deadline_ends_nothing(bridge, faxapi, outbox):
    """A machine that slept through [poll] deadline wakes to a network that is not up yet: the fax had arrived."""
    faxapi.words = ["Sending"]
    running = await bridge(poll={"deadline": 2.0})
    queue_id = await running.send(mail(pdf()))
    await running.until(queue_id, State.SUBMITTED)
    await faxapi.stop()
    await running.node.spool.change(_submitted_long_ago, queue_id)
    attempts = (await running.faxes(queue_id))[0].attempts
    async with asyncio.timeout(PATIENCE):
        while (await running.faxes(queue_id))[0].attempts < attempts + 3:
            await asyncio.sleep(0.05)
    assert (await running.faxes(queue_id))[0].state is State.SUBMITTED
    faxapi.words = ["Success"]
    await faxapi.start()
    await outbox.next()
    assert (await running.until(queue_id, State.DELIVERED)).reason is None


def _submitted_long_ago(connection, queue_id):
    connection.execute(update(faxes).where(faxes.c.message_id == queue_id).values(submitted_at=now() - 30_000))


async def test_failing_looks_end_it_when_they_go_on(bridge, faxapi, outbox):
    """The provider answers, and only with errors: after a while nobody will know more."""
    faxapi.on_poll(*[Reply(status=500)] * 100)
    running = await bridge(poll={"deadline": 0.6})
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.UNKNOWN)
    assert fax.reason is Reason.NO_FINAL_WORD
    assert len(faxapi.polls) > 1  # one that fails after the deadline is not enough
