"""Whose documents are made: a flood of one sender keeps the others waiting no longer than one of its mails."""

import asyncio
import time

import pytest
from sqlalchemy.event import listen

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Work, open_spool, turns
from tests.support import spooling


async def _flood(spool, sender, count):
    for n in range(count):
        await spooling.put(spool, content=b"%s %d" % (sender.encode(), n), sender=f"{sender}@office.example")


async def _claimed(spool, limit):
    claimed, _ = await spool.claim(Work.PREPARE, limit)
    return claimed


def _senders(claimed):
    return [fax.sender.partition("@")[0] for fax in claimed]


async def _made(spool, fax):
    await spool.advance(fax, State.FAILED)


async def test_who_waits_alone_gets_every_place(spool):
    await _flood(spool, "ann", 5)
    assert _senders(await _claimed(spool, 4)) == ["ann"] * 4
    assert _senders(await _claimed(spool, 4)) == ["ann"]


async def test_one_of_many_gets_half_of_the_places(spool):
    """A flood that came first, and two others behind it."""
    await _flood(spool, "ann", 20)
    await _flood(spool, "bob", 3)
    await _flood(spool, "eve", 1)
    working = await _claimed(spool, 4)
    assert sorted(_senders(working)) == ["ann", "ann", "bob", "eve"]
    done = next(fax for fax in working if fax.sender.startswith("eve"))
    await _made(spool, done)  # the flood has half of the places still
    assert _senders(await _claimed(spool, 1)) == ["bob"]


async def test_two_share_though_one_is_done_sooner(spool):
    """Ann's documents take minutes, Bob's a moment: she has half of the places and no more, he keeps the others."""
    await _flood(spool, "ann", 9)
    await _flood(spool, "bob", 9)
    working = await _claimed(spool, 4)
    for _ in range(5):
        assert sorted(_senders(working)) == ["ann", "ann", "bob", "bob"]
        done = next(fax for fax in working if fax.sender.startswith("bob"))
        await _made(spool, done)
        working = [fax for fax in working if fax is not done] + await _claimed(spool, 1)


async def test_a_newcomer_goes_before_those_who_were_served(spool):
    """Two floods share what there is; whoever comes then waits for one document."""
    await _flood(spool, "ann", 10)
    await _flood(spool, "bob", 10)
    working = await _claimed(spool, 2)
    assert sorted(_senders(working)) == ["ann", "bob"]
    await _flood(spool, "eve", 1)
    await _made(spool, working[0])
    assert _senders(await _claimed(spool, 1)) == ["eve"]


async def test_a_newcomer_behind_a_flood_is_found(spool):
    """Also if the flood was alone for a while: others are looked for again and again."""
    await _flood(spool, "ann", 30)
    served = []
    for n in range(20):
        (fax,) = await _claimed(spool, 1)
        served += _senders([fax])
        await _made(spool, fax)
        if n == 2:
            await _flood(spool, "eve", 1)
        await asyncio.sleep(0.1)
    assert served.index("eve") < 12


async def test_with_one_place_senders_take_turns(spool):
    await _flood(spool, "ann", 6)
    await _flood(spool, "bob", 3)
    served = []
    for _ in range(6):
        (fax,) = await _claimed(spool, 1)
        served += _senders([fax])
        await _made(spool, fax)
    assert served == ["ann", "bob"] * 3


@pytest.mark.parametrize("places", [1, 4])
async def test_others_are_not_looked_for_at_each_turn_of_a_flood(spool, places):
    """A look in vain reads all that the flood has left: there are few of them, however many places there are."""
    await _flood(spool, "ann", 24)
    looks = []

    def executed(_connection, _cursor, statement, *_):
        if "UPDATE" in statement and "NOT IN" in statement:
            looks.append(statement)

    listen(spool.database.engine, "before_cursor_execute", executed)
    begun = time.monotonic()
    for _ in range(24 // places):
        claimed = await _claimed(spool, places)
        assert _senders(claimed) == ["ann"] * places
        await asyncio.gather(*(_made(spool, one) for one in claimed))
    rounds = 2 + (time.monotonic() - begun) / turns._LOOK
    assert 1 <= len(looks) <= 3 * rounds


async def test_the_half_is_that_of_ones_own_node(postgres_url):
    """Whoever fills another node has no fewer places at this one."""
    settings = Settings.model_validate({"spool": {"url": postgres_url}})
    async with open_spool(settings, node="a") as one, open_spool(settings, node="b") as other:
        await _flood(one, "ann", 8)
        assert _senders(await _claimed(one, 4)) == ["ann"] * 4
        await _flood(one, "bob", 4)
        assert sorted(_senders(await _claimed(other, 4))) == ["ann", "ann", "bob", "bob"]


async def test_each_senders_mails_go_by_age(spool):
    await _flood(spool, "ann", 4)
    came = [fax.received_at for _ in range(4) for fax in await _claimed(spool, 1)]
    assert came == sorted(came)


async def test_nobody_is_forgotten(spool):
    """A stream of ever new senders lets those through who had their turn long ago."""
    await _flood(spool, "ann", 2)
    (fax,) = await _claimed(spool, 1)
    await _made(spool, fax)
    for n in range(20):
        await _flood(spool, f"new{n}", 1)
    served = []
    while claimed := await _claimed(spool, 1):
        served += _senders(claimed)
        await asyncio.gather(*(_made(spool, one) for one in claimed))
    assert len(served) == 21
    assert served.index("ann") < 20
