"""Who acts on a fax, and a person who holds it at the wrong moment."""

from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Reason, State
from mail2fax.spool import Work, open_spool, operator
from mail2fax.spool.database.schema import faxes
from tests.support import spooling
from tests.support.spooling import claim, later, put


async def test_a_hold_during_the_step_holds_what_was_not_taken(spool):
    """It comes back to `prepared`, and stays there."""
    await spooling.prepared(spool)
    fax = await claim(spool, Work.SUBMIT)
    await spool.change(operator.hold, operator.waiting(), "kim")
    fax = await spool.advance(fax, State.SUBMITTING, keep=True)
    await spool.advance(fax, State.PREPARED)
    assert await spool.claim(Work.SUBMIT, 1) == ([], None)


async def test_a_hold_does_not_keep_an_outcome_from_its_reply(spool):
    """Nothing faxable in it, found out while it was being held: the sender is told."""
    await put(spool)
    fax = await claim(spool, Work.PREPARE)
    await spool.change(operator.hold, operator.waiting(), "kim")
    await spool.advance(fax, State.FAILED)
    assert (await claim(spool, Work.REPLY)).held_by == ""


async def test_a_hold_survives_the_node_that_worked_on_the_fax(spool):
    """Held under a lease, then the node dies: nobody takes the fax, a person may release or cancel it."""
    for n in range(2):
        await spooling.prepared(spool, content=b"%d" % n)
    (one, other), _ = await spool.claim(Work.SUBMIT, 2)
    await spool.change(operator.hold, operator.waiting(), "kim")
    await later(spool, spool.lease_seconds)
    assert (await spool.claim(Work.SUBMIT, 2))[0] == []
    await spool.change(operator.cancel, other.id, "kim", Reason.CANCELLED_BY_OPERATOR)
    await spool.change(operator.release, operator.waiting(), "kim")
    assert (await claim(spool, Work.SUBMIT)).id == one.id


async def test_a_held_fax_of_a_dead_node_does_not_keep_the_next_from_starting(tmp_path):
    """One node: what its predecessor had in hand is freed, the hold stays."""
    settings = Settings.model_validate({"spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    async with open_spool(settings, serving=True) as dead:
        await spooling.submitting(dead)
        await dead.change(lambda connection: connection.execute(update(faxes).values(held_by="kim")))
        await spooling.prepared(dead, content=b"2")
        await claim(dead, Work.SUBMIT)
        await dead.change(operator.hold, operator.waiting(), "kim")
    async with open_spool(settings, serving=True) as heir:
        assert await heir.claim(Work.SUBMIT, 1) == ([], None)
        await claim(heir, Work.RECOVER)
        await heir.change(operator.release, operator.waiting(), "kim")
        await claim(heir, Work.SUBMIT)
