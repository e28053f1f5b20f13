"""A lost answer that can be settled: found, proved absent, not seen, and a provider that cannot be asked just now."""

from dataclasses import replace

import pytest
from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Capabilities, Cause, Progress, Reason, State, Temporary, Trace, Unclear
from mail2fax.spool import Work, fax_lines, operator, questions, search
from mail2fax.spool.database.schema import events, faxes, now
from mail2fax.steps.poll import REDIALS, Poll
from mail2fax.steps.recover import LOOK_FOR, Recover
from tests.support import spooling
from tests.support.scripted import SETTINGS, Scripted, routes, step
from tests.support.spooling import claim


class Asked(Scripted):
    """A provider that loses its answer, and can be asked afterwards."""

    capabilities = Capabilities(finds=True, dials_again=False)

    def __init__(self, answer=None, word=None, **how):
        super().__init__(after=self._lost, **how)
        self.answer, self.word = answer, word
        self.asked = []

    async def _lost(self):
        raise Unclear(Reason.NO_ANSWER, note="the answer was lost")

    async def find(self, line, reference, number, since, ref):
        self.asked.append((reference, number, ref))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def status(self, line, ref):
        return self.word


async def looking(spool, provider):
    """A fax whose answer was lost, claimed to be looked for."""
    await spooling.prepared(spool)
    await step(spool, provider)(await claim(spool, Work.SUBMIT))
    return await claim(spool, Work.RECOVER)


async def look(spool, provider, fax, **how):
    await Recover(SETTINGS, spool, routes(provider), **how)(fax)
    return (await spool.read(questions.named, fax.id))[0]


async def test_a_fax_that_is_found_goes_on_as_if_nothing_had_happened(spool):
    """Under the reference that the provider shows for it, and only once."""
    provider = Asked(Trace("ref-of-theirs"))
    fax = await looking(spool, provider)
    found = await look(spool, provider, fax)
    assert (found.state, found.provider_ref, found.submissions) == (State.SUBMITTED, "ref-of-theirs", 1)
    assert provider.asked == [(fax.id, fax.number, "")]


async def test_a_fax_that_was_never_taken_is_offered_again(spool):
    """Where the provider proves it, nobody need be asked."""
    provider = Asked(Trace(never=True))
    fax = await look(spool, provider, await looking(spool, provider))
    assert (fax.state, fax.provider_ref) == (State.PREPARED, "")


async def test_what_is_not_seen_is_unknown_after_a_while_and_never_sent_again(spool):
    """Absence proves nothing: lists lag."""
    provider = Asked(Trace())
    fax = await looking(spool, provider)
    assert (await look(spool, provider, fax)).state is State.SUBMITTING
    await _offered_before(spool, fax, LOOK_FOR + 1)
    fax = await look(spool, provider, await _again(spool, fax))
    assert (fax.state, fax.reason, provider.ended) == (State.UNKNOWN, Reason.NO_ANSWER, 1)


async def test_a_provider_that_cannot_be_asked_is_asked_for_longer(spool):
    """Away is not the same as "I do not have it"."""
    provider = Asked(Temporary(Reason.PROVIDER_UNREACHABLE))
    fax = await looking(spool, provider)
    await _offered_before(spool, fax, LOOK_FOR * 3)
    assert (await look(spool, provider, fax)).state is State.SUBMITTING
    await _offered_before(spool, fax, SETTINGS.poll.deadline)
    assert (await look(spool, provider, await _again(spool, fax))).state is State.UNKNOWN


async def test_a_crash_is_looked_for_too(spool):
    """The node died after the commit: the next one asks, with the reference that was written down before."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    await spool.advance(fax, State.SUBMITTING, provider_ref="job-7")
    provider = Asked(Trace("job-7"))
    fax = await look(spool, provider, await claim(spool, Work.RECOVER))
    assert (fax.state, provider.asked[0][2]) == (State.SUBMITTED, "job-7")


async def _offered_before(spool, fax, seconds):
    def older(connection):
        where = (events.c.fax_id == fax.id, events.c.what == State.SUBMITTING.value)
        connection.execute(update(events).where(*where).values(at=now() - seconds))

    await spool.change(older)


async def _again(spool, fax):
    await spool.change(lambda connection: connection.execute(update(faxes).values(due_at=now())) and None)
    return await claim(spool, Work.RECOVER)


# -- resolve --reference


async def test_a_reference_from_the_portal_lets_the_polls_go_on(spool):
    """An operator found the fax: its outcome is asked for, and told."""
    provider = Scripted()
    await spooling.submitting(spool)
    (fax,) = await spool.read(search.found, search.Search())
    await spool.change(lambda c: c.execute(update(faxes).values(due_at=now())) and None)
    await look(spool, provider, await claim(spool, Work.RECOVER))
    await spool.replied(await claim(spool, Work.REPLY), "sent")
    await spool.change(operator.follow, fax.id, " 4f11-portal ", "root")
    fax = await claim(spool, Work.POLL)
    assert (fax.state, fax.provider_ref, fax.reply, fax.reason, fax.finished_at) == (
        State.SUBMITTED, "4f11-portal", "", None, None,
    )  # fmt: skip


# -- dialled again by us


async def polled(spool, provider, detail=None):
    """A submitted fax, looked at once."""
    await spooling.submitted(spool)
    if detail:
        await spool.change(lambda c: c.execute(update(faxes).values(detail=detail)) and None)
    fax = await claim(spool, Work.POLL)
    await Poll(Settings(), spool, routes(provider), chance=lambda: 0.0)(fax)
    return (await spool.read(questions.named, fax.id))[0]


BUSY = Progress("failed", State.FAILED, cause=Cause.BUSY, code="user_busy")


async def test_a_busy_line_is_dialled_again_later(spool):
    """The provider does not, and no page went: a new submission, after five minutes."""
    fax = await polled(spool, Asked(word=BUSY))
    assert (fax.state, fax.detail["redials"]) == (State.PREPARED, 1)
    assert (fax.due_at - fax.now).total_seconds() == pytest.approx(REDIALS[0], abs=5)


async def test_the_last_call_ends_it_and_tells_them_all(spool):
    """One reply, with the number of calls and the cause."""
    fax = await polled(spool, Asked(word=BUSY), '{"redials": 3}')
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
    assert (await polled(spool, Asked(word=word))).state is State.FAILED


async def test_a_provider_that_dials_by_itself_is_left_to_it(spool):
    """Its last word is one."""
    provider = Asked(word=BUSY)
    provider.capabilities = Capabilities(dials_again=True)
    assert (await polled(spool, provider)).state is State.FAILED


async def test_a_fax_that_was_stopped_at_the_provider_is_cancelled(spool):
    """By whom is in its history; the sender is told of a cancellation, not of a failure."""
    word = Progress("failed", State.FAILED, cause=Cause.CANCELLED)
    fax = await polled(spool, Asked(word=word), '{"stop": "root"}')
    assert (fax.state, fax.reason) == (State.CANCELLED, Reason.CANCELLED_BY_OPERATOR)


# -- an account in trouble

BROKE = Progress("failed", State.FAILED, cause=Cause.ACCOUNT, code="account_disabled")


async def test_an_account_in_trouble_holds_the_line_and_not_the_fax(spool):
    """It was taken and then not called: it waits again, the line says why, and an administrator is told."""
    fax = await polled(spool, Asked(word=BROKE))
    assert (fax.state, fax.status, fax.reason) == (State.PREPARED, "", None)
    (trouble,) = await spool.read(questions.trouble_list)
    assert (trouble.kind, trouble.held, trouble.failures) == ("no-credit", True, 1)
    assert trouble.note == "the line's account has no credit, or is at a limit: account_disabled"
    assert (await spool.claim(Work.SUBMIT, 8))[0] == []


@pytest.mark.parametrize("more", [{"pages_sent": 1}, {}])
async def test_an_account_in_trouble_ends_what_partly_went_or_waits_too_long(spool, more):
    """The sender is told; nothing is sent twice, and nothing for ever."""
    if not more:
        await spooling.submitted(spool)
        await spool.change(lambda c: c.execute(update(faxes).values(received_at=now() - 90_000)) and None)
        late = await claim(spool, Work.POLL)
        await Poll(Settings(), spool, routes(Asked(word=BROKE)))(late)
        (fax,) = await spool.read(questions.named, late.id)
    else:
        fax = await polled(spool, Asked(word=replace(BROKE, **more)))
    assert (fax.state, fax.status, fax.detail["cause"]) == (State.FAILED, "5.3.0", "account")


async def test_an_account_that_is_told_of_at_the_poll_is_probed_by_one_fax_at_a_time(spool):
    """That the provider takes the probe says nothing there; the probe's own last word opens the line, or does not."""
    fax = await polled(spool, Asked(word=BROKE))
    await spooling.prepared(spool, content=b"waits", line=fax.line)
    for word, free in ((BROKE, 0), (Progress("sent", State.DELIVERED), 1)):
        await spool.change(fax_lines.look_again)
        (probe,) = (await spool.claim(Work.SUBMIT, 8))[0]
        probe = await spool.advance(probe, State.SUBMITTING, keep=True)
        assert (await spool.taken(probe, "ref", 0.0))[1] == ""
        assert (await spool.claim(Work.SUBMIT, 8))[0] == []
        await Poll(Settings(), spool, routes(Asked(word=word)))(await claim(spool, Work.POLL))
        assert len(await spool.read(questions.trouble_list)) == 1 - free
    assert len((await spool.claim(Work.SUBMIT, 8))[0]) == 1


# -- another line


async def test_waiting_faxes_go_by_the_line_that_a_held_ones_fallback_names(spool):
    """All but the probe, and none that may have been sent."""
    spool._fallbacks = {"a": "b"}
    doubtful = await spooling.submitting(spool, content=b"doubt", line="a")
    waiting = [await spooling.prepared(spool, content=bytes([n]), line="a") for n in range(3)]
    await spool.trouble("a", "held", 900.0, "HTTP 401")
    claimed, _ = await spool.claim(Work.SUBMIT, 8)
    assert claimed == []
    claimed, _ = await spool.claim(Work.SUBMIT, 8)
    assert {(fax.id, fax.line) for fax in claimed} == {(fax.id, "b") for fax in waiting}
    assert (await spool.read(questions.named, doubtful.id))[0].line == "a"


async def test_two_lines_in_trouble_send_nothing_to_and_fro(spool):
    """A fallback that is in trouble itself takes nothing."""
    spool._fallbacks = {"a": "b", "b": "a"}
    fax = await spooling.prepared(spool, line="a")
    for line in ("a", "b"):
        await spool.trouble(line, "held", 900.0, "HTTP 401")
    await spool.claim(Work.SUBMIT, 8)
    assert (await spool.read(questions.named, fax.id))[0].line == "a"
