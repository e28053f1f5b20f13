"""Step 4: errors only delay the next look."""

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest
from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Capabilities, Cause, Progress, Reason, State, Temporary
from mail2fax.spool import Work, fax_lines, questions, search
from mail2fax.spool.database.schema import faxes, now
from mail2fax.steps import poll
from mail2fax.steps.poll import REDIALS, Poll
from tests.support import spooling
from tests.support.faxapi import Reply
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf
from tests.support.scripted import Scripted, _fail_once, routes
from tests.support.spooling import claim

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


# -- dialled again by us


class Said(Scripted):
    """A provider that says this word of a fax, or raises it, and that does not call again by itself."""

    capabilities = Capabilities(finds=True, dials_again=False)

    def __init__(self, word):
        super().__init__()
        self.word = word

    async def status(self, line, ref):
        if isinstance(self.word, Exception):
            raise self.word
        return self.word


async def polled(spool, provider, **changed):
    """A submitted fax, looked at once."""
    await spooling.submitted(spool)
    if changed:
        await spool.change(lambda c: c.execute(update(faxes).values(**changed)) and None)
    fax = await claim(spool, Work.POLL)
    await Poll(Settings(), spool, routes(provider), chance=lambda: 0.0)(fax)
    return (await spool.read(questions.named, fax.id))[0]


BUSY = Progress("failed", State.FAILED, cause=Cause.BUSY, code="user_busy")


async def test_a_busy_line_is_dialled_again_later(spool):
    """The provider does not, and no page went: a new submission, after five minutes."""
    fax = await polled(spool, Said(BUSY))
    assert (fax.state, fax.detail["redials"]) == (State.PREPARED, 1)
    assert (fax.due_at - fax.now).total_seconds() == pytest.approx(REDIALS[0], abs=5)


async def test_the_last_call_ends_it_and_tells_them_all(spool):
    """One reply, with the number of calls and the cause."""
    fax = await polled(spool, Said(BUSY), detail='{"redials": 3}')
    assert (fax.state, fax.status, fax.reason) == (State.FAILED, "5.4.1", Reason.PROVIDER_FAILED)
    assert dict(fax.detail) == {"calls": 4, "cause": "busy", "code": "user_busy"}


@pytest.mark.parametrize(
    "word",
    [
        Progress("failed", State.FAILED, cause=Cause.BUSY, pages_sent=1),
        Progress("failed", State.FAILED, cause=Cause.HUNG_UP),
        Progress("failed", State.FAILED, cause=Cause.NO_FAX),
        Progress("failed", State.FAILED),
    ],
)
async def test_what_may_repeat_a_page_or_cannot_help_is_not_dialled_again(spool, word):
    """Only busy and no answer, and only if no page went."""
    assert (await polled(spool, Said(word))).state is State.FAILED


async def test_a_provider_that_dials_by_itself_is_left_to_it(spool):
    """Its last word is one."""
    provider = Said(BUSY)
    provider.capabilities = Capabilities(dials_again=True)
    assert (await polled(spool, provider)).state is State.FAILED


async def test_a_fax_that_was_stopped_at_the_provider_is_cancelled(spool):
    """By whom is in its history; the sender is told of a cancellation, not of a failure."""
    word = Progress("failed", State.FAILED, cause=Cause.CANCELLED)
    fax = await polled(spool, Said(word), detail='{"stop": "root"}')
    assert (fax.state, fax.reason) == (State.CANCELLED, Reason.CANCELLED_BY_OPERATOR)


# -- an account in trouble

BROKE = Progress("failed", State.FAILED, cause=Cause.ACCOUNT, code="account_disabled")


async def test_an_account_in_trouble_holds_the_line_and_not_the_fax(spool):
    """It was taken and then not called: it waits again, the line says why, and an administrator is told."""
    fax = await polled(spool, Said(BROKE))
    assert (fax.state, fax.status, fax.reason) == (State.PREPARED, "", None)
    (trouble,) = await spool.read(questions.trouble_list)
    assert (trouble.kind, trouble.held, trouble.failures) == ("no-credit", True, 1)
    assert trouble.note == "the line's account has no credit, or is at a limit: account_disabled"
    assert (await spool.claim(Work.SUBMIT, 8))[0] == []


async def test_an_account_in_trouble_ends_what_partly_went(spool):
    """The sender is told; nothing is sent twice."""
    fax = await polled(spool, Said(replace(BROKE, pages_sent=1)))
    assert (fax.state, fax.status, fax.detail["cause"]) == (State.FAILED, "5.3.0", "account")


async def test_an_account_in_trouble_is_not_waited_for_for_ever(spool):
    """A fax that is older than [retry] give_up ends with what is wrong."""
    fax = await polled(spool, Said(BROKE), received_at=now() - 90_000)
    assert (fax.state, fax.status, fax.detail["cause"]) == (State.FAILED, "5.3.0", "account")


async def test_an_account_that_is_told_of_at_the_poll_is_probed_by_one_fax_at_a_time(spool):
    """That the provider takes the probe says nothing there; the probe's own last word opens the line, or does not."""
    fax = await polled(spool, Said(BROKE))
    await spooling.prepared(spool, content=b"waits", line=fax.line)
    for word, free in ((BROKE, 0), (Progress("sent", State.DELIVERED), 1)):
        await spool.change(fax_lines.look_again)
        (probe,) = (await spool.claim(Work.SUBMIT, 8))[0]
        probe = await spool.advance(probe, State.SUBMITTING, keep=True)
        assert (await spool.taken(probe, "ref", 0.0))[1] == ""
        assert (await spool.claim(Work.SUBMIT, 8))[0] == []
        await Poll(Settings(), spool, routes(Said(word)))(await claim(spool, Work.POLL))
        assert len(await spool.read(questions.trouble_list)) == 1 - free
    assert len((await spool.claim(Work.SUBMIT, 8))[0]) == 1


@pytest.mark.parametrize("word", [BUSY, BROKE], ids=["busy", "no credit"])
async def test_what_an_operator_stopped_is_not_offered_anew(spool, word):
    """However it ended at the provider: neither dialled again nor kept until there is credit."""
    fax = await polled(spool, Said(word), detail='{"stop": "root"}')
    assert fax.state is State.FAILED
    assert await spool.read(questions.trouble_list) == []


async def test_pages_that_were_heard_of_are_not_told_of_a_failure(spool):
    """A webhook said that they went, and the provider says now that the fax failed: nobody is told a count."""
    fax = await polled(spool, Said(Progress("failed", State.FAILED)), detail='{"heard": {"pages_sent": 2}}')
    assert fax.state is State.FAILED
    assert "pages_sent" not in fax.detail


# -- looks that fail, and the deadline

AGE, PATIENCE_OVER = 21_600.0, poll.PATIENCE + 1.0


@pytest.mark.parametrize(
    ("reason", "older", "failing", "ends"),
    [
        (Reason.PROVIDER_BUSY, -100.0, PATIENCE_OVER, False),
        (Reason.PROVIDER_BUSY, 100.0, 10.0, False),
        (Reason.PROVIDER_BUSY, 100.0, PATIENCE_OVER, True),
        (Reason.PROVIDER_UNREACHABLE, 100.0, PATIENCE_OVER, False),
        (Reason.PROVIDER_UNREACHABLE, 86_500.0, 10.0, False),
        (Reason.PROVIDER_UNREACHABLE, 86_500.0, PATIENCE_OVER, True),
    ],
)
async def test_failing_looks_end_it_after_the_deadline_and_a_while(spool, monkeypatch, reason, older, failing, ends):
    """`older` than [poll] deadline by so many seconds; where nobody was reached [retry] give_up comes on top."""
    seconds = [1000.0]
    monkeypatch.setattr(poll, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    fax = await spooling.submitted(spool)
    look = Poll(Settings(), spool, routes(Said(Temporary(reason))), chance=lambda: 0.0)
    for _ in range(2):
        aged = update(faxes).values(submitted_at=now() - AGE - older, due_at=now())
        await spool.change(lambda c, aged=aged: c.execute(aged) and None)
        await look(await claim(spool, Work.POLL))
        seconds[0] += failing
    (fax,) = await spool.read(questions.named, fax.id)
    assert (fax.state is State.UNKNOWN, fax.reason is Reason.NO_FINAL_WORD) == (ends, ends)


@pytest.mark.parametrize(
    ("word", "age", "pause"),
    [
        (Temporary(Reason.PROVIDER_BUSY, retry_after=700.0), 0.0, 700.0),
        (Progress("Sending"), AGE - 20.0, 20.0),
    ],
)
async def test_the_next_look_comes_when_the_provider_wants_it_and_at_the_deadline(spool, word, age, pause):
    """However long pauses have grown."""
    fax = await polled(spool, Said(word), submitted_at=now() - age)
    assert fax.state is State.SUBMITTED
    assert (fax.due_at - fax.now).total_seconds() == pytest.approx(pause, abs=20)
