"""clock: a clock that was wrong and is set right holds nothing up, ends nothing early, and shows no negative ages."""

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from mail2fax.config import Settings
from mail2fax.model import NO_CREDIT, State
from mail2fax.spool import Work, clock, open_spool, overview, questions, search
from mail2fax.spool.database import shared
from tests.support import spooling
from tests.support.spooling import claim, later, put, shift

HOUR, YEARS = 3600.0, 10 * 365 * 86_400.0
STEPS = [-YEARS, -2 * HOUR, -10 * 60.0, -60.0, 60.0, 10 * 60.0, 2 * HOUR, YEARS]


async def step(spool, monkeypatch, seconds: float) -> None:
    """Set the database's clock, as far as anybody can tell who looks at it and at what it has written."""
    await spool.mind_the_clock()
    await spool.change(shift, seconds)
    steady = clock.steady
    monkeypatch.setattr(clock, "steady", lambda: steady() - seconds)


@pytest.mark.parametrize("seconds", STEPS)
async def test_a_step_of_the_clock_holds_nothing_up(spool, monkeypatch, seconds):
    """What was due is due, what waits waits no longer than it was to, and no wait has grown long; on both databases."""
    await put(spool, content=b"received")
    waits = await spooling.prepared(spool, content=b"waits")
    await spool.postpone(await claim(spool, Work.SUBMIT), 30.0)
    await spool.trouble("other", "busy", 40.0, "HTTP 429")
    await step(spool, monkeypatch, seconds)
    assert await spool.mind_the_clock() == pytest.approx(seconds, abs=2)
    assert (await claim(spool, Work.PREPARE)).state is State.RECEIVED
    claimed, pause = await spool.claim(Work.SUBMIT, 1)
    if claimed:  # a step forwards: its time had come, by the only clock there is
        assert seconds > 0
    else:
        assert pause <= 40.0
    shown = await spool.read(search.found, search.Search())
    assert all(0 <= fax.age < HOUR or seconds > 0 for fax in shown)
    fax = next(fax for fax in shown if fax.id == waits.id)
    assert 0 <= (fax.now - fax.prepared_at).total_seconds() < 60  # its time for giving up has not gone by
    assert await spool.owe_delays(900.0, 10) == []  # nor does any seem late


@pytest.mark.parametrize("seconds", STEPS)
async def test_whoever_acts_when_the_clock_steps_goes_on(spool, monkeypatch, seconds):
    """A lease that would be over, or would last for years, is one from now: its holder's, and a dead holder's not for long."""
    ours = await spooling.submitting(spool, content=b"ours")
    await spooling.submitting(spool, content=b"a dead node's")
    await step(spool, monkeypatch, seconds)
    await spool.mind_the_clock()
    claimed, pause = await spool.claim(Work.RECOVER, 2)
    assert claimed == []
    assert 0 < pause <= spool.lease_seconds + 0.1
    for _ in range(2):
        await spool.renew({ours.lease})
        await later(spool, spool.lease_seconds * 0.6)
    assert [fax.message_id for fax in (await spool.claim(Work.RECOVER, 2))[0]] != [ours.message_id]
    assert (await spool.advance(ours, State.SUBMITTED, provider_ref="ref")).state is State.SUBMITTED


async def _offered(spool) -> float:
    """Seconds since the one fax in `submitting` was offered."""
    (fax,) = await spool.read(search.found, search.Search(states=(State.SUBMITTING,)))
    history = await spool.read(questions.history, fax.id)
    return (fax.now - next(event.at for event in history if event.what == State.SUBMITTING)).total_seconds()


@pytest.mark.parametrize("seconds", [-2 * HOUR, 2 * HOUR])
async def test_an_offer_is_as_old_after_a_step_as_before(spool, monkeypatch, seconds):
    """That a provider does not have it proves something of a young one only: taken for young it would be sent twice."""
    await spooling.submitting(spool)
    await later(spool, 1000.0)
    await step(spool, monkeypatch, seconds)
    await spool.mind_the_clock()
    assert await _offered(spool) == pytest.approx(1000.0, abs=10)


@pytest.mark.parametrize("seconds", [-2 * HOUR, 2 * HOUR])
async def test_what_is_owed_is_no_older_after_a_step(spool, monkeypatch, seconds):
    """A reply is not given up for a clock that was wrong, nor does a fax of before tell that an account has credit."""
    fax = await spooling.submitted(spool, content=b"before")
    await spool.trouble("", NO_CREDIT, 40.0, "no credit")
    await spooling.ended(spool, line="other")
    await spool.owe("word", "admin", "admin@office.example", {})
    await step(spool, monkeypatch, seconds)
    await spool.mind_the_clock()
    ended = await claim(spool, Work.REPLY)
    (owed,), _ = await spool.claim_notices(1)
    for since in (ended.finished_at, owed.created_at):
        assert -1 < (ended.now - since).total_seconds() < 60
    (fax,) = await spool.read(questions.named, fax.id)
    assert not await spool.read(questions.told_better, fax)
    after = replace(fax, submitted_at=fax.now)
    assert await spool.read(questions.told_better, after)


async def test_an_offer_of_a_wrong_clock_is_old_after_the_next_start(spool_url):
    """Nobody knows how long the machine was off: no absence at the provider proves that it was never taken."""
    settings = Settings.model_validate({"spool": {"url": spool_url}})
    async with open_spool(settings, serving=True) as spool:
        await spooling.submitting(spool)
        await spool.change(shift, -2 * HOUR)
    async with open_spool(settings, serving=True) as spool:
        assert await _offered(spool) >= HOUR


@pytest.mark.parametrize("seconds", [YEARS, 2 * HOUR, 10 * 60.0])
async def test_mails_of_a_wrong_clock_go_their_way_after_the_next_start(spool_url, seconds):
    """First boot before NTP: mails accepted in the future, the clock set right, the node started again."""
    settings = Settings.model_validate({"spool": {"url": spool_url}})
    async with open_spool(settings, serving=True) as spool:
        for number in range(3):
            await put(spool, content=b"%d" % number)
        await spooling.prepared(spool, content=b"waits")
        await spool.change(shift, -seconds)
    for _ in range(2):  # the second start finds nothing that it would move again
        async with open_spool(settings, serving=True) as spool:
            shown = await spool.read(search.found, search.Search())
            assert all(0 <= (fax.now - fax.received_at).total_seconds() < 60 for fax in shown)
            events = [event for fax in shown for event in await spool.read(questions.history, fax.id)]
            assert max(event.at for event in events) <= shown[0].now
    async with open_spool(settings, serving=True) as spool:
        found = [*(await spool.claim(Work.PREPARE, 9))[0], *(await spool.claim(Work.SUBMIT, 9))[0]]
        assert len(found) == 4


async def test_what_was_under_way_when_the_clock_was_set_back_is_found_later(spool, monkeypatch):
    """A transaction that ended after the others were set right had asked the clock before."""
    await put(spool)
    await step(spool, monkeypatch, -HOUR)
    assert await spool.mind_the_clock() == pytest.approx(-HOUR, abs=2)
    await spool.change(shift, -HOUR)
    assert await spool.mind_the_clock() == 0.0
    await claim(spool, Work.PREPARE)


async def test_what_waits_is_moved_once(spool, monkeypatch):
    """Not again at the next look, nor by each further node of the same spool: a busy number is not called at once."""
    await spooling.prepared(spool)
    others = clock.Clock(2.0)
    await others.look(spool.database)
    await spool.postpone(await claim(spool, Work.SUBMIT), 900.0)
    await step(spool, monkeypatch, -HOUR)
    for _ in range(2):
        await spool.mind_the_clock()
        await others.look(spool.database)
        claimed, pause = await spool.claim(Work.SUBMIT, 1)
        assert not claimed
        assert 880 < pause <= 900


async def test_a_machine_that_slept_has_no_other_clock(spool, monkeypatch):
    """The monotonic clock stands still meanwhile; nothing is moved, and a fax keeps the time of its receipt."""
    await put(spool)
    await spool.mind_the_clock()
    clocks = {name: getattr(time, name) for name in ("clock_gettime", "CLOCK_BOOTTIME") if hasattr(time, name)}
    asleep = SimpleNamespace(monotonic=lambda: time.monotonic() - HOUR, **clocks)
    monkeypatch.setattr(clock, "time", asleep)
    assert await spool.mind_the_clock() == 0.0


async def test_a_clock_that_goes_right_is_left_alone(spool):
    """No row is written, and what waits goes on waiting."""
    await spooling.prepared(spool)
    await spool.postpone(await claim(spool, Work.SUBMIT), 900.0)
    assert [await spool.mind_the_clock() for _ in range(3)] == [0.0, 0.0, 0.0]
    claimed, pause = await spool.claim(Work.SUBMIT, 1)
    assert not claimed
    assert 890 < pause <= 900


@pytest.mark.parametrize(("seconds", "found"), [(-3.0, False), (3.0, False), (-8.0, True), (8.0, True)])
async def test_what_a_time_server_adjusts_is_no_step(spool, monkeypatch, seconds, found):
    """A few seconds hold nothing up; more is set right."""
    await spooling.prepared(spool)
    await step(spool, monkeypatch, seconds)
    assert (await spool.mind_the_clock() != 0.0) is found


@pytest.mark.parametrize(("second", "ago"), [(-2 * HOUR, 0.0), (-HOUR, 40.0)], ids=["another", "the same, later"])
async def test_a_second_step_is_another(spool, monkeypatch, second, ago):
    """Of another size at once, or of the same after a while: each is set right, and not taken for the first one."""
    await spooling.prepared(spool)
    await spool.trouble("", "held", 900.0, "HTTP 401")
    await step(spool, monkeypatch, -HOUR)
    await spool.mind_the_clock()

    def longer_ago(connection):
        at, seen = map(float, shared.locked(connection, clock._LAST).split())
        shared.put(connection, clock._LAST, f"{at - ago} {seen}")

    await spool.change(longer_ago)
    await step(spool, monkeypatch, second)
    assert await spool.mind_the_clock() == pytest.approx(second, abs=2)
    assert (await spool.claim(Work.SUBMIT, 1))[0] == []
    (trouble,) = await spool.read(questions.trouble_list)
    now = await spool.read(overview.clock)
    assert 800 < (trouble.closed_until - now).total_seconds() <= 900


async def test_a_database_that_is_slow_has_not_said_its_time(spool, monkeypatch):
    """When in those seconds it looked at its clock nobody knows: nothing is moved for it, then or at the next look."""
    await spooling.prepared(spool)
    await spool.postpone(await claim(spool, Work.SUBMIT), 900.0)
    await spool.mind_the_clock()
    real, slow = clock.steady, iter((0.0, 10.0))
    monkeypatch.setattr(clock, "steady", lambda: real() + next(slow, 0.0) - 10.0)
    assert await spool.mind_the_clock() == 0.0
    monkeypatch.setattr(clock, "steady", real)
    assert await spool.mind_the_clock() == 0.0
    assert 880 < (await spool.claim(Work.SUBMIT, 1))[1] <= 900
