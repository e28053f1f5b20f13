"""Step 5: one summary, once, and what comes after it."""

import asyncio
import time
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import update

from mail2fax.config import Settings
from mail2fax.model import Outcome, Reason, State
from mail2fax.replies.letters import Letters
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.spool import Work, operator, questions
from mail2fax.spool.database.schema import faxes
from mail2fax.steps.reply import Reply
from tests.support import spooling
from tests.support.faxapi import LOST
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf


async def test_one_summary_is_not_hurried_past_its_pauses(bridge, outbox):
    """Those that wait for it leave the smarthost alone while it is away."""
    outbox.fault("mail", "451 4.3.0 later", times=-1)
    running = await bridge(reply={"group": True, "retry_first": 1.5})
    await running.send(mail(pdf()), *(f"41655501{n:02}@fax.local" for n in range(6)))
    await outbox.seen("MAIL")
    before = sum(command.upper().startswith("MAIL") for command in outbox.commands)
    begun = time.monotonic()
    await asyncio.sleep(4.0)
    tried = sum(command.upper().startswith("MAIL") for command in outbox.commands) - before
    turns = 1 + (time.monotonic() - begun) / 1.5  # of the first: its pauses only grow
    assert tried <= 5 + turns  # each of the five others hurries it once
    outbox.heal()
    await outbox.next()


async def test_a_person_s_word_is_told_after_the_summary(bridge, faxapi, outbox):
    """An unknown fax of a group is resolved: its sender hears of it, whichever of the group it was."""
    faxapi.before_post = lambda _: LOST
    running = await bridge(reply={"group": True})
    queue_id = await running.send(mail(pdf()), "4165550101@fax.local", "4165550102@fax.local")
    await outbox.next()
    spool = running.node.spool
    async with asyncio.timeout(PATIENCE):
        while not all(fax.replied_at for fax in await running.faxes(queue_id)):
            await asyncio.sleep(0.05)
    first, second = await running.faxes(queue_id)
    await spool.hand_on(Work.REPLY, operator.resolve, first.id, State.DELIVERED, "kim")
    await outbox.wait(2)
    await spool.hand_on(Work.POLL, operator.follow, second.id, faxapi.posts[0].uuid, "kim")  # found in the portal
    await outbox.wait(3)
    assert len({reply.message["Message-ID"] for reply in outbox.mails}) == 3


async def test_a_reply_relay_that_is_down_is_waited_for(bridge, faxapi, outbox):
    """The outcome is known, the sender is told when his server is back."""
    await outbox.down()
    running = await bridge()
    queue_id = await running.send(mail(pdf()))
    await running.until(queue_id, State.DELIVERED)
    await asyncio.sleep(0.5)
    await outbox.up()
    await outbox.next()
    assert len(faxapi.posts) == 1


async def test_a_reply_refused_for_good_is_undeliverable(bridge, outbox):
    """5yz ends it: visible, and told to the administrator."""
    outbox.fault("rcpt", "550 5.1.1 no such user")
    running = await bridge(reply={"admin": "Fax admin <admin@office.example>"})
    queue_id = await running.send(mail(pdf()))
    told = await outbox.next()
    assert told.recipient == "admin@office.example"
    assert (await running.faxes(queue_id))[0].reply == "undeliverable"


async def test_a_group_gets_one_summary(bridge, faxapi, outbox):
    """[reply] group: one mail tells of all numbers."""
    running = await bridge(reply={"group": True})
    queue_id = await running.send(mail(pdf()), "6474959659@fax.local", "4165550100@fax.local", "4165550101@fax.local")
    reply = await outbox.next()
    for number in ("(647) 495-9659", "(416) 555-0100", "(416) 555-0101"):
        assert number in reply.text
    async with asyncio.timeout(PATIENCE):
        while not all(fax.replied_at for fax in await running.faxes(queue_id)):
            await asyncio.sleep(0.05)
    assert len(outbox.mails) == 1


async def test_the_pieces_of_a_split_mail_are_told_of_days_later(spool):
    """The mail server was away: the pieces are still known for pieces, whatever the hour."""
    for part in (1, 2):
        await spooling.put(spool, content=b"piece %d" % part)
        piece = await spooling.claim(spool, Work.PREPARE)
        await spool.end(piece, Outcome(State.FAILED, "5.6.0", Reason.SPLIT_MAIL, {"split": "one@scanner"}), {})
    days = faxes.c.received_at - 3 * 86_400
    await spool.change(lambda connection: connection.execute(update(faxes).values(received_at=days)) and None)
    for fax in (await spool.claim(Work.REPLY, 2))[0]:
        assert len(await spool.read(questions.pieces, fax)) == 2


async def test_a_piece_whose_time_the_clock_set_right_is_told_of_by_itself(spool, outbox):
    """It was claimed with the moment of a wrong clock, by which no piece is found, not even this one."""
    await spooling.put(spool, content=b"piece 1")
    piece = await spooling.claim(spool, Work.PREPARE)
    await spool.end(piece, Outcome(State.FAILED, "5.6.0", Reason.SPLIT_MAIL, {"split": "one@scanner"}), {})
    settings = Settings.model_validate({"reply": {"relay": outbox.url}})
    smarthost = Smarthost(settings.reply, "fax.local")
    step = Reply(settings, spool, Letters(settings, b"secret"), smarthost)
    for _ in range(2):  # it waits for the others first
        fax = await spooling.claim(spool, Work.REPLY)
        days = timedelta(days=3)
        await step(replace(fax, received_at=fax.received_at - days))
        await spooling.later(spool, 60.0)
    assert "split" in (await outbox.next()).text
    await smarthost.close()
