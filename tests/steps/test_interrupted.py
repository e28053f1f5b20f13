"""What comes between: a stop, a lost answer, a database that is away, a person who asks at the wrong moment.

White-box tests of the steps, each for a hole that was found in them or that must never open.
"""

import asyncio
import contextlib
import os
import threading
import time

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import OperationalError

from mail2fax.config import Settings
from mail2fax.model import LeaseLost, Line, Reason, State, Temporary
from mail2fax.spool import POLL, PREPARE, RECOVER, REPLY, SUBMIT, moves, open_spool, operator, purge, questions
from mail2fax.spool.contents.incoming import INLINE
from mail2fax.spool.database.schema import faxes, now
from mail2fax.steps.submit import Submit
from mail2fax.steps.worker import ATTEMPTS, Station, Worker
from tests.support import spooling
from tests.support.faxapi import LOST
from tests.support.samples import mail, pdf
from tests.support.spooling import claim, put

SETTINGS = Settings.model_validate({"retry": {"first": 0.1, "longest": 0.2}})
LARGE = b"0123456789abcdef" * (INLINE // 8)


class Scripted:
    """A provider that does as it is told around the commit."""

    def __init__(self, *, before=None, after=None, ref="ref-1"):
        self.before, self.after, self.ref = before, after, ref
        self.ended = 0  # how often the end left

    async def submit(self, line, number, document, name, commit):
        if self.before:
            await self.before()
        await commit()
        self.ended += 1
        if self.after:
            await self.after()
        return self.ref


def step(spool, provider):
    return Submit(SETTINGS, spool, provider, {"": Line("", "canary-token-7391")})


def away(spool, monkeypatch, times, *, carried_out=False):
    """Let the next transactions fail: before they are made or, worse, after."""
    real = spool._journal.transaction
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

    monkeypatch.setattr(spool._journal, "transaction", begin)


async def state(spool, fax):
    return (await spool.read(questions.named, fax.id))[0].state


# -- submitting


async def test_a_stop_during_the_commit_leaves_no_doubt(spool, monkeypatch):
    """The write goes on though nobody waits for it: as the end has not left, it is taken back."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)
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
    assert (await claim(spool, SUBMIT)).id == fax.id


async def test_a_stop_after_the_commit_is_a_doubt(spool):
    """The end may have left: unknown, and told so."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)
    waits = asyncio.Event()

    async def forever():
        waits.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(step(spool, Scripted(after=forever))(fax))
    await waits.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert (await claim(spool, REPLY)).reason is Reason.INTERRUPTED


async def test_a_stop_while_the_answer_is_written_down_loses_nothing(spool, monkeypatch):
    """What the provider said is known: it stays known."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)
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
    fax = await claim(spool, SUBMIT)

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
    fax = await claim(spool, SUBMIT)

    async def breaks():
        away(spool, monkeypatch, 2)

    await step(spool, Scripted(after=breaks))(fax)
    assert await state(spool, fax) is State.SUBMITTED


async def test_what_was_surely_not_taken_goes_on_though_the_database_was_away(spool, monkeypatch):
    """A 429 after the end of the request is no doubt, and does not become one."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)

    async def breaks():
        away(spool, monkeypatch, 2)
        raise Temporary(Reason.PROVIDER_BUSY, retry_after=0.0)

    await step(spool, Scripted(after=breaks))(fax)
    assert await state(spool, fax) is State.PREPARED


async def test_a_lease_lost_before_the_commit_sends_nothing(spool):
    """Somebody else has the fax by now."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(lease="other")))

    provider = Scripted(before=overslept)
    with pytest.raises(LeaseLost):
        await step(spool, provider)(fax)
    assert provider.ended == 0


async def test_a_lease_lost_after_the_commit_writes_nothing(spool):
    """The heir has called it unknown: the late answer does not change what the sender was told."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)

    async def overslept():
        await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())))
        heir = await claim(spool, RECOVER)
        await spool.advance(heir, State.UNKNOWN, status="4.4.2", reason=Reason.INTERRUPTED)

    with pytest.raises(LeaseLost):
        await step(spool, Scripted(after=overslept))(fax)
    assert await state(spool, fax) is State.UNKNOWN


async def test_only_who_goes_on_acting_may_repeat_a_move(spool):
    """A move that gave its lease back cannot be told from somebody else's."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)
    await spool.advance(fax, State.SUBMITTING, keep=True)
    again = await spool.advance(fax, State.SUBMITTING, keep=True)
    assert (again.state, again.submissions) == (State.SUBMITTING, 1)
    await spool.advance(again, State.SUBMITTED, provider_ref="ref-1")
    with pytest.raises(LeaseLost):
        await spool.advance(again, State.SUBMITTED, provider_ref="ref-2")


# -- fax lines


async def test_faxes_that_fail_together_count_once(spool):
    """Eight in flight when the token was refused are one piece of news: the first probe comes after [retry] first."""
    settings = Settings.model_validate({"spool": {"url": str(spool._engine.url)}, "retry": {"first": 0.5}})
    spool.settings = settings.model_copy()
    for n in range(4):
        await spooling.prepared(spool, content=b"%d" % n)
    claimed, _ = await spool.claim(SUBMIT, 4)
    failures = await asyncio.gather(*(spool.trouble("", "held", None, "401") for _ in claimed))
    assert set(failures) == {1}
    for fax in claimed:
        await spool.postpone(fax, 0.0)
    assert (await spool.claim(SUBMIT, 4))[0] == []
    await asyncio.sleep(0.6)
    assert len((await spool.claim(SUBMIT, 4))[0]) == 1
    assert await spool.trouble("", "held", None, "401") == 2


async def test_a_slow_probe_is_the_only_one(spool):
    """As long as its lease is renewed no second one goes out, however long it takes."""
    for n in range(3):
        await spooling.prepared(spool, content=b"%d" % n)
    await spool.trouble("", "held", 0.0, "401")
    (probe,), _ = await spool.claim(SUBMIT, 3)
    for _ in range(3):
        await asyncio.sleep(0.8)  # together longer than the lease
        await spool.renew({probe.lease})
        assert (await spool.claim(SUBMIT, 3))[0] == []


async def test_two_nodes_send_one_probe(postgres_url):
    """Both look at the same moment, one goes."""
    settings = Settings.model_validate({"spool": {"url": postgres_url, "lease": 5.0}})
    async with open_spool(settings, node="a") as one, open_spool(settings, node="b") as other:
        for n in range(4):
            await spooling.prepared(one, content=b"%d" % n)
        found = await asyncio.gather(*(node.trouble("", "held", 0.0, "401") for node in (one, other) * 3))
        assert max(found) <= 6
        claims = await asyncio.gather(*(node.claim(SUBMIT, 4) for node in (one, other) * 4))
        assert sum(len(claimed) for claimed, _ in claims) == 1


async def test_a_start_lets_a_probe_out(spool_url):
    """Whoever mends the token restarts the node, and does not wait for the longest pause."""
    settings = Settings.model_validate({"spool": {"url": spool_url}})
    async with open_spool(settings, serving=True) as spool:
        await spooling.prepared(spool)
        await spool.trouble("", "held", 900.0, "401")
        assert (await spool.claim(SUBMIT, 1))[0] == []
    async with open_spool(settings, serving=True) as spool:
        await claim(spool, SUBMIT)


# -- errors of our own


async def test_many_polls_are_no_errors(spool):
    """One hiccup of ours does not end a fax that was polled a hundred times, or waited long for a provider."""
    await spooling.submitted(spool)
    await spool.change(lambda connection: connection.execute(update(faxes).values(attempts=100)))
    await _fail_once(spool, POLL)
    (fax,) = await spool.read(questions.fax_list, questions.Wanted())
    assert fax.state is State.SUBMITTED


async def test_errors_without_end_are_told(spool):
    """After so many errors of our own the fax ends, and the sender hears of it."""
    await put(spool)

    def fail(connection):
        (fax_id,) = connection.scalars(text("SELECT id FROM faxes"))
        for _ in range(ATTEMPTS - 1):
            moves.write_event(connection, fax_id, "error", "tester", {"error": "internal"})

    await spool.change(fail)
    await _fail_once(spool, PREPARE)
    assert (await claim(spool, REPLY)).reason is Reason.INTERNAL


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


# -- holds


async def test_a_hold_during_the_step_holds_what_was_not_taken(spool):
    """It comes back to `prepared`, and stays there."""
    await spooling.prepared(spool)
    fax = await claim(spool, SUBMIT)
    await spool.change(operator.hold, operator.waiting(), "kim")
    fax = await spool.advance(fax, State.SUBMITTING, keep=True)
    await spool.advance(fax, State.PREPARED)
    assert await spool.claim(SUBMIT, 1) == ([], None)


async def test_a_hold_does_not_keep_an_outcome_from_its_reply(spool):
    """Nothing faxable in it, found out while it was being held: the sender is told."""
    await put(spool)
    fax = await claim(spool, PREPARE)
    await spool.change(operator.hold, operator.waiting(), "kim")
    await spool.advance(fax, State.FAILED)
    assert (await claim(spool, REPLY)).held_by == ""


async def test_a_hold_survives_the_node_that_worked_on_the_fax(spool):
    """Held under a lease, then the node dies: nobody takes the fax, a person may release or cancel it."""
    for n in range(2):
        await spooling.prepared(spool, content=b"%d" % n)
    (one, other), _ = await spool.claim(SUBMIT, 2)
    await spool.change(operator.hold, operator.waiting(), "kim")
    await asyncio.sleep(2.1)  # the lease's own time
    assert (await spool.claim(SUBMIT, 2))[0] == []
    await spool.change(operator.cancel, other.id, "kim", Reason.CANCELLED_BY_OPERATOR)
    await spool.change(operator.release, operator.waiting(), "kim")
    assert (await claim(spool, SUBMIT)).id == one.id


async def test_a_held_fax_of_a_dead_node_does_not_keep_the_next_from_starting(tmp_path):
    """One node: what its predecessor had in hand is freed, the hold stays."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as dead:
        await spooling.submitting(dead)
        await dead.change(lambda connection: connection.execute(update(faxes).values(held_by="kim")))
        await spooling.prepared(dead, content=b"2")
        await claim(dead, SUBMIT)
        await dead.change(operator.hold, operator.waiting(), "kim")
    async with open_spool(settings, serving=True) as heir:
        assert await heir.claim(SUBMIT, 1) == ([], None)
        await claim(heir, RECOVER)
        await heir.change(operator.release, operator.waiting(), "kim")
        await claim(heir, SUBMIT)


# -- contents


async def test_a_document_whose_commit_never_came_is_made_again(spool, monkeypatch):
    """Its file was there: the next attempt is not stopped by it."""
    await put(spool)
    fax = await claim(spool, PREPARE)
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
    fax = await claim(spool, PREPARE)
    gate, begun, real = threading.Event(), threading.Event(), spool._journal.transaction

    def late():
        begun.set()
        assert gate.wait(10)
        return real()

    monkeypatch.setattr(spool._journal, "transaction", late)
    step = asyncio.create_task(spooling.file(spool, fax, b"%PDF-1.4 whole"))
    await asyncio.to_thread(begun.wait, 10)
    step.cancel()
    await asyncio.wait({step})
    gate.set()
    async with asyncio.timeout(10):
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
        assert await spool.change(purge.contents, spool._contents, 7.0) == 0
        await retrying
        fax = await claim(spool, SUBMIT)
        async with spool.document(fax.document_id) as path:
            assert path.exists()


# -- replies


async def test_one_summary_is_not_hurried_past_its_pauses(bridge, outbox):
    """Those that wait for it leave the smarthost alone while it is away."""
    outbox.fault("mail", "451 4.3.0 later", times=-1)
    running = await bridge(reply={"group": True, "retry_first": 1.5})
    await running.send(mail(pdf()), *(f"41655501{n:02}@fax.local" for n in range(6)))
    await outbox.seen("MAIL")
    before = sum(command.upper().startswith("MAIL") for command in outbox.commands)
    await asyncio.sleep(4.0)
    tried = sum(command.upper().startswith("MAIL") for command in outbox.commands) - before
    assert tried <= 8  # each of the five others hurries the first once; it has three turns of its own
    outbox.heal()
    await outbox.next()


async def test_a_person_s_word_is_told_after_the_summary(bridge, faxapi, outbox):
    """An unknown fax of a group is resolved: its sender hears of it, whichever of the group it was."""
    faxapi.before_post = lambda _: LOST
    running = await bridge(reply={"group": True})
    queue_id = await running.send(mail(pdf()), "4165550101@fax.local", "4165550102@fax.local")
    await outbox.next()
    spool = running.node.spool
    async with asyncio.timeout(20):
        while not all(fax.replied_at for fax in await running.faxes(queue_id)):
            await asyncio.sleep(0.05)
    for n, fax in enumerate(await running.faxes(queue_id)):
        await spool.hand_on(REPLY, operator.resolve, fax.id, State.DELIVERED, "kim")
        await outbox.wait(2 + n)
    assert len({reply.message["Message-ID"] for reply in outbox.mails}) == 3
