"""Step 3 around its commit: a stop, a lost answer, a database that is away, a lease that is gone."""

import asyncio

import pytest
from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Capabilities, LeaseLost, LineHeld, Outcome, Permanent, Reason, State, Temporary, Unclear
from mail2fax.spool import SpoolUnavailable, Work, operator, questions
from mail2fax.spool.database.schema import faxes, now
from mail2fax.steps.submit import Submit
from tests.support import spooling
from tests.support.scripted import Scripted, away, routes, state, step
from tests.support.spooling import claim

INTERRUPTED = Outcome(State.UNKNOWN, "4.4.2", Reason.INTERRUPTED)


async def test_a_stop_during_the_commit_leaves_no_doubt(spool, monkeypatch):
    """The write goes on though nobody waits for it: as the end has not left, it is taken back."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    gate, real = asyncio.Event(), spool.advance

    async def slow(fax, state, **how):
        if state is State.SUBMITTING:
            gate.set()
            await asyncio.sleep(0.3)
        return await real(fax, state, **how)

    monkeypatch.setattr(spool, "advance", slow)
    provider = Scripted()
    working = asyncio.create_task(step(spool, provider)(fax))
    await gate.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert provider.ended == 0
    assert await state(spool, fax) is State.PREPARED
    assert (await claim(spool, Work.SUBMIT)).id == fax.id


async def test_a_stop_after_the_commit_is_a_doubt(spool):
    """The end may have left: unknown, and told so."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    waits = asyncio.Event()

    async def forever():
        waits.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(step(spool, Scripted(after=forever))(fax))
    await waits.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await claim(spool, Work.REPLY)).reason is Reason.INTERRUPTED


async def test_a_stop_while_the_answer_is_written_down_loses_nothing(spool, monkeypatch):
    """What the provider said is known: it stays known."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    begun, real = asyncio.Event(), spool.taken

    async def slow(fax, ref, due_in):
        begun.set()
        await asyncio.sleep(0.3)
        return await real(fax, ref, due_in)

    monkeypatch.setattr(spool, "taken", slow)
    working = asyncio.create_task(step(spool, Scripted())(fax))
    await begun.wait()
    working.cancel()
    await working
    assert await state(spool, fax) is State.SUBMITTED


@pytest.mark.parametrize("carried_out", [False, True], ids=["not made", "made, and its answer lost"])
async def test_a_database_away_during_the_commit_leaves_no_doubt(spool, monkeypatch, carried_out):
    """It is asked again; a commit that was made after all is known again by its lease."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def breaks():
        away(spool, monkeypatch, 2, carried_out=carried_out)

    provider = Scripted(before=breaks)
    await step(spool, provider)(fax)
    assert (await state(spool, fax), provider.ended) == (State.SUBMITTED, 1)
    history = await spool.read(questions.history, fax.id)
    assert [event.what for event in history].count("submitting") == 1


async def test_a_database_away_when_the_answer_comes_loses_nothing(spool, monkeypatch):
    """The reference is written down as soon as that is possible."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def breaks():
        away(spool, monkeypatch, 2)

    await step(spool, Scripted(after=breaks))(fax)
    assert await state(spool, fax) is State.SUBMITTED


async def test_what_was_surely_not_taken_goes_on_though_the_database_was_away(spool, monkeypatch):
    """A 429 after the end of the request is no doubt, and does not become one."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def breaks():
        away(spool, monkeypatch, 2)
        raise Temporary(Reason.PROVIDER_BUSY, retry_after=0.0)

    await step(spool, Scripted(after=breaks))(fax)
    assert await state(spool, fax) is State.PREPARED


async def test_a_lease_lost_before_the_commit_sends_nothing(spool):
    """Somebody else has the fax by now."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(lease="other")))

    provider = Scripted(before=overslept)
    with pytest.raises(LeaseLost):
        await step(spool, provider)(fax)
    assert provider.ended == 0


async def test_a_proof_goes_before_a_doubt(spool):
    """The heir has called it unknown, and the sender was told: the late reference makes it a fax on its way again."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        heir = await claim(spool, Work.RECOVER)
        await spool.end(heir, INTERRUPTED, {})
        await spool.replied(await claim(spool, Work.REPLY), "sent")

    await step(spool, Scripted(after=overslept))(fax)
    (known,) = await spool.read(questions.named, fax.id)
    assert (known.state, known.provider_ref != "", known.reason, known.reply) == (State.SUBMITTED, True, None, "")
    await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
    await spool.advance(await claim(spool, Work.POLL), State.DELIVERED, status="2.0.0")
    assert (await claim(spool, Work.REPLY)).state is State.DELIVERED  # a correction, as after `resolve`


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (Permanent(Reason.PROVIDER_REFUSED, http=400), Reason.PROVIDER_REFUSED),
        (Temporary(Reason.PROVIDER_BUSY, retry_after=0.0), Reason.GAVE_UP),
        (LineHeld(Reason.LINE_HELD, http=401), Reason.GAVE_UP),
    ],
    ids=["refused", "busy", "held"],
)
async def test_a_no_is_a_proof_too(spool, said, reason):
    """The heir has called it unknown, and the sender was told: the late no of the provider is told him instead."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        await spool.end(await claim(spool, Work.RECOVER), INTERRUPTED, {})
        await spool.replied(await claim(spool, Work.REPLY), "sent")
        raise said

    await step(spool, Scripted(after=overslept))(fax)
    told = await claim(spool, Work.REPLY)
    assert (told.state, told.reason, told.reply) == (State.FAILED, reason, "")


async def test_what_was_surely_not_taken_is_not_looked_for(spool):
    """A 429 that is written down late, when an heir is about to find out: the fax waits for its next offer."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    heirs = []

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        heirs.append(await claim(spool, Work.RECOVER))
        raise Temporary(Reason.PROVIDER_BUSY, retry_after=0.0)

    await step(spool, Scripted(after=overslept))(fax)
    assert await state(spool, fax) is State.PREPARED
    with pytest.raises(LeaseLost):
        await spool.end(heirs[0], INTERRUPTED, {})


async def test_a_word_to_the_administrator_is_no_condition(spool, monkeypatch):
    """A held line cannot be told of at the moment; that this fax was not taken is known all the same."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def fails(*_, **__):
        raise SpoolUnavailable("gone", passing=True)

    async def refused():
        raise LineHeld(Reason.LINE_HELD, http=401)

    monkeypatch.setattr(spool, "trouble", fails)
    await step(spool, Scripted(after=refused))(fax)
    assert await state(spool, fax) is State.PREPARED


async def test_a_proof_ends_the_looking_for_it(spool):
    """Another node asks the provider whether it has the fax, when the reference comes after all."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    looking = []

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        looking.append(await claim(spool, Work.RECOVER))

    await step(spool, Scripted(after=overslept))(fax)
    assert await state(spool, fax) is State.SUBMITTED
    with pytest.raises(LeaseLost):
        await spool.end(looking[0], INTERRUPTED, {})


async def test_a_person_s_word_goes_before_a_late_proof(spool):
    """Somebody has found out meanwhile: the late answer does not change what the sender was told."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        await spool.end(await claim(spool, Work.RECOVER), INTERRUPTED, {})
        await spool.change(operator.resolve, fax.id, State.DELIVERED, "kim")

    with pytest.raises(LeaseLost):
        await step(spool, Scripted(after=overslept))(fax)
    assert await state(spool, fax) is State.DELIVERED


async def test_only_who_goes_on_acting_may_repeat_a_move(spool):
    """A move that gave its lease back cannot be told from somebody else's."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    await spool.advance(fax, State.SUBMITTING, keep=True)
    again = await spool.advance(fax, State.SUBMITTING, keep=True)
    assert (again.state, again.submissions) == (State.SUBMITTING, 1)
    await spool.advance(again, State.SUBMITTED, provider_ref="ref-1")
    with pytest.raises(LeaseLost):
        await spool.advance(again, State.SUBMITTED, provider_ref="ref-2")


@pytest.mark.parametrize(
    ("limits", "reason", "detail"),
    [
        ({"max_pages": 1}, Reason.TOO_MANY_PAGES, {"pages": 2, "limit": 1}),
        ({"max_bytes": 9}, Reason.TOO_LARGE, {"size": 20, "limit": 9}),
        ({"max_pages": 2, "max_bytes": 20}, None, {}),
    ],
)
async def test_what_a_provider_never_takes_is_not_offered(spool, limits, reason, detail):
    """Its vendor's limits end the fax with what the sender can do about it; a line in trouble is none the better."""
    await spooling.put(spool)
    await spooling.file(spool, await claim(spool, Work.PREPARE), pages=2, content=b"%PDF-1.7 of 20 bytes")
    provider = Scripted()
    provider.capabilities = Capabilities(**limits)
    await spool.trouble("", "unreachable", 0.0, "away")
    fax = await claim(spool, Work.SUBMIT)
    await step(spool, provider)(fax)
    (fax,) = await spool.read(questions.named, fax.id)
    assert (provider.ended, fax.reason, dict(fax.detail)) == (0 if reason else 1, reason, detail)
    assert bool(await spool.read(questions.trouble_list)) is bool(reason)


def _says(verdict):
    async def say():
        raise verdict

    return say


async def test_a_doubt_before_the_commit_is_none(spool):
    """Nobody can act on a request without its end, whatever its provider's side makes of the silence."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    provider = Scripted(before=_says(Unclear(Reason.NO_ANSWER)))
    await step(spool, provider)(fax)
    assert (await state(spool, fax), provider.ended) == (State.PREPARED, 0)


async def test_an_answer_that_came_before_the_commit_is_written_down_in_order(spool):
    """A provider may take a fax of which it has not seen the end: it is taken all the same."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    early = Scripted()
    early.submit = lambda *_: asyncio.sleep(0, "ref-1")
    await step(spool, early)(fax)
    history = [event.what for event in await spool.read(questions.history, fax.id)]
    assert history[-2:] == ["submitting", "submitted"]


@pytest.mark.parametrize(("retry_after", "pause"), [(0.0, 80.0), (600.0, 600.0)])
async def test_pauses_grow_and_are_no_shorter_than_the_provider_wants(spool, retry_after, pause):
    """And a fax is given up only when it could be offered for so long, however long its document took to make."""
    settings = Settings.model_validate({"retry": {"first": 10.0, "longest": 1000.0}})
    await spooling.prepared(spool)
    long_ago = update(faxes).values(received_at=now() - 2 * settings.retry.give_up, attempts=3)
    await spool.change(lambda connection: connection.execute(long_ago) and None)
    provider = Scripted(before=_says(Temporary(Reason.PROVIDER_BUSY, retry_after=retry_after)))
    submit = Submit(settings, spool, routes(provider), chance=lambda: 0.0)
    await submit(fax := await claim(spool, Work.SUBMIT))
    (fax,) = await spool.read(questions.named, fax.id)
    assert fax.state is State.PREPARED
    assert (fax.due_at - fax.now).total_seconds() == pytest.approx(pause, abs=20)


async def test_a_refusal_of_the_document_proves_that_the_line_works(spool):
    """Whoever reads a document and refuses it has taken the token: the line is open again for the others."""
    await spooling.prepared(spool)
    await spool.trouble("", "held", 0.0, "HTTP 401")
    fax = await claim(spool, Work.SUBMIT)
    await step(spool, Scripted(after=_says(Permanent(Reason.TOO_LARGE, "5.3.4"))))(fax)
    assert await state(spool, fax) is State.FAILED
    assert await spool.read(questions.trouble_list) == []
