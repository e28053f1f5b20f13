"""A fax line that is shut, and the one fax that probes it."""

import asyncio

from mail2fax.config import Settings
from mail2fax.spool import Work, open_spool, questions
from tests.support import spooling
from tests.support.spooling import claim, later


async def test_faxes_that_fail_together_count_once(spool):
    """Eight in flight when the token was refused are one piece of news: the first probe comes after [retry] first."""
    settings = Settings.model_validate({"spool": {"url": str(spool.database.engine.url)}, "retry": {"first": 30.0}})
    spool.settings = settings.model_copy()
    for n in range(4):
        await spooling.prepared(spool, content=b"%d" % n)
    claimed, _ = await spool.claim(Work.SUBMIT, 4)
    failures = await asyncio.gather(*(spool.trouble("", "held", None, "401") for _ in claimed))
    assert set(failures) == {1}
    for fax in claimed:
        await spool.postpone(fax, 0.0)
    assert (await spool.claim(Work.SUBMIT, 4))[0] == []
    await later(spool, 36.0)
    assert len((await spool.claim(Work.SUBMIT, 4))[0]) == 1
    assert await spool.trouble("", "held", None, "401") == 2


async def test_a_slow_probe_is_the_only_one(spool):
    """As long as its lease is renewed no second one goes out, however long it takes."""
    for n in range(3):
        await spooling.prepared(spool, content=b"%d" % n)
    await spool.trouble("", "held", 0.0, "401")
    (probe,), _ = await spool.claim(Work.SUBMIT, 3)
    for _ in range(3):
        await later(spool, spool.lease_seconds * 0.4)  # together longer than it
        await spool.renew({probe.lease})
        assert (await spool.claim(Work.SUBMIT, 3))[0] == []


async def test_two_nodes_send_one_probe(postgres_url):
    """Both look at the same moment, one goes."""
    settings = Settings.model_validate({"spool": {"url": postgres_url, "lease": 5.0}})
    async with open_spool(settings, node="a") as one, open_spool(settings, node="b") as other:
        for n in range(4):
            await spooling.prepared(one, content=b"%d" % n)
        found = await asyncio.gather(*(node.trouble("", "held", 0.0, "401") for node in (one, other) * 3))
        assert max(found) <= 6
        claims = await asyncio.gather(*(node.claim(Work.SUBMIT, 4) for node in (one, other) * 4))
        assert sum(len(claimed) for claimed, _ in claims) == 1


async def test_a_start_lets_a_probe_out(spool_url):
    """Whoever mends the token restarts the node, and does not wait for the longest pause."""
    settings = Settings.model_validate({"spool": {"url": spool_url}})
    async with open_spool(settings, serving=True) as spool:
        await spooling.prepared(spool)
        await spool.trouble("", "held", 900.0, "401")
        assert (await spool.claim(Work.SUBMIT, 1))[0] == []
    async with open_spool(settings, serving=True) as spool:
        await claim(spool, Work.SUBMIT)


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
