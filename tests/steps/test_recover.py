"""A lost answer that can be settled: found, proved absent, not seen, and a provider that cannot be asked just now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Capabilities, LineHeld, Reason, State, Temporary, Trace, Unclear
from mail2fax.spool import Work, fax_lines, operator, questions, search
from mail2fax.spool.database.schema import events, faxes, now
from mail2fax.steps.alerts import shut
from mail2fax.steps.recover import LOOK_FOR, Recover
from tests.support import spooling
from tests.support.scripted import SETTINGS, Scripted, routes, step
from tests.support.spooling import claim


class Asked(Scripted):
    """A provider that loses its answer, and can be asked afterwards."""

    capabilities = Capabilities(finds=True, dials_again=False)

    def __init__(self, answer=None, **how):
        super().__init__(after=self._lost, **how)
        self.answer = answer
        self.asked = []
        self.offered = None

    async def _lost(self):
        raise Unclear(Reason.NO_ANSWER, note="the answer was lost")

    async def find(self, line, reference, number, since, ref):
        self.asked.append((reference, number, ref))
        self.offered = since
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


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


async def test_the_provider_hears_when_by_the_clock_that_its_adapter_has(spool):
    """A database server's clock may be another: an offer would seem too young, and its absence a proof."""
    provider = Asked(Trace())
    fax = await looking(spool, provider)
    await spooling.later(spool, -1000.0)  # the database's clock is ahead
    fax = replace(fax, now=fax.now + timedelta(seconds=1000))
    await look(spool, provider, fax)
    assert abs((datetime.now(UTC) - provider.offered).total_seconds()) < 60


async def test_the_administrator_hears_that_a_line_works_again(spool):
    """Also when the probe's own answer was lost, and the fax was found."""
    object.__setattr__(spool, "settings", Settings.model_validate({"reply": {"admin": "admin@office.example"}}))
    provider = Asked(Trace("ref"))
    fax = await looking(spool, provider)
    await spool.change(fax_lines.calm, "")
    await shut(spool, fax, "held", LineHeld(Reason.LINE_HELD))
    await look(spool, provider, fax)
    owed, _ = await spool.claim_notices(2)
    assert {notice.detail["kind"] for notice in owed} == {"line-held", "line-open"}


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
