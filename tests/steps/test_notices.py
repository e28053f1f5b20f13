"""Mails owed besides the reply: a late fax, a held line, an unknown fax, a day."""

import asyncio
import re
import smtplib

import pytest
from sqlalchemy import update

from mail2fax import node
from mail2fax.config import Settings
from mail2fax.model import LineHeld, Reason, State
from mail2fax.spool import Work, fax_lines, search
from mail2fax.spool.database.schema import faxes, notices, now
from mail2fax.steps import alerts
from mail2fax.steps.daily import Daily
from tests.support import spooling
from tests.support.faxapi import LOST, Reply
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf
from tests.support.spooling import claim

TOKEN = "canary-token-7391"


async def test_the_administrator_is_told_of_a_held_line_once(bridge, faxapi, outbox):
    """Several faxes find out at the same moment: one mail, whatever went wrong before."""
    faxapi.tokens = {"other"}
    running = await bridge(reply={"admin": "Fax admin <admin@office.example>"})
    await asyncio.gather(*(running.send(mail(pdf(), subject=str(n))) for n in range(4)))
    told = await outbox.next()
    assert told.recipient == "admin@office.example"
    assert TOKEN not in told.content.decode()
    await asyncio.sleep(1.0)
    assert len(outbox.mails) == 1


@pytest.mark.parametrize(
    ("status", "subject", "advice"),
    [
        (403, "the provider refuses the token of line default", "Put the right token"),
        (402, "the account of line default has no credit", "Pay at the provider"),
        (404, "the provider's address of line default is wrong", "Correct the address in the settings"),
    ],
)
async def test_the_administrator_hears_what_holds_a_line(bridge, faxapi, outbox, status, subject, advice):
    """A token, the credit or the address: each is mended elsewhere, and none of them is told as a code alone."""
    faxapi.on_post(*[Reply(status=status)] * 9)
    running = await bridge(reply={"admin": "admin@office.example"})
    await running.send(mail(pdf()))
    told = await outbox.next()
    assert told.subject == f"mail2fax: faxes wait, {subject}"
    said = told.message.get_content()
    assert advice in said and f"({status})" in said and "HTTP" not in said


async def test_the_last_word_of_a_line_is_the_true_one(spool, monkeypatch):
    """It comes and goes: at most once an hour he hears that it is held, and never is a word that it works the last one."""
    seconds = 1_800_000_000
    monkeypatch.setattr(alerts, "_seconds", lambda _: seconds)
    line = "a name that is long, and hangs together " * 9
    object.__setattr__(spool, "settings", Settings.model_validate({"reply": {"admin": "admin@office.example"}}))
    await spooling.prepared(spool, line=line)

    async def told():
        return [one.detail["kind"] for one in sorted(await _owed(spool), key=lambda one: one.created_at)]

    async def shut():
        await spool.change(fax_lines.look_again)
        fax = await claim(spool, Work.SUBMIT)
        await alerts.shut(spool, fax, "held", LineHeld(Reason.LINE_HELD, note="HTTP 401"))
        await spool.postpone(fax, 0.0)

    async def opened():
        (fax,) = await spool.read(search.found, search.Search())
        await alerts.opened(spool, fax, await spool.calm(line))

    await shut()
    await opened()
    for _ in range(3):
        await shut()
    assert await told() == ["line-held", "line-open"]
    seconds += 3600
    for _ in range(3):
        await shut()
    await opened()
    assert await told() == ["line-held", "line-open"] * 2
    for owed in await _owed(spool):
        await spool.failed_notice(owed, None)  # each may end in an error of our own: it has its history


async def _owed(spool):
    await spool.change(lambda c: c.execute(update(notices).values(due_at=now())) and None)
    return (await spool.claim_notices(9))[0]


async def test_a_late_fax_earns_one_word(bridge, faxapi, outbox, monkeypatch):
    """[reply] delay_notice: "still trying", once."""
    monkeypatch.setattr(node, "_DELAY_LOOK", 0.2)
    await faxapi.stop()
    running = await bridge(reply={"delay_notice": 3600})
    await running.until(await running.send(mail(pdf(), subject="Lab results")), State.PREPARED)
    await running.node.spool.change(_received_long_ago)
    notice = await outbox.next()
    assert "Lab results" in notice.subject
    await faxapi.start()
    await outbox.next()
    assert len(outbox.mails) == 2


def _received_long_ago(connection):
    connection.execute(update(faxes).values(received_at=now() - 7200))


async def test_nobody_is_told_of_a_delay_who_does_not_want_to_be(bridge, faxapi, outbox):
    """RFC 3461: NOTIFY=NEVER holds for the "still trying" mail as well."""
    await faxapi.stop()
    running = await bridge(reply={"delay_notice": 1})

    def send():
        with smtplib.SMTP(*running.address, timeout=30) as client:
            client.ehlo("client.example")
            client.mail("anna@office.example")
            client.rcpt("6474959659@fax.local", ["NOTIFY=NEVER"])
            return client.data(mail(pdf()))[1].decode().split()[-1]

    queue_id = await asyncio.to_thread(send)
    async with asyncio.timeout(PATIENCE):
        while (await running.faxes(queue_id))[0].noticed_at is None:
            await asyncio.sleep(0.05)
    await faxapi.start()
    await running.until(queue_id, State.DELIVERED)
    async with asyncio.timeout(PATIENCE):
        while (await running.faxes(queue_id))[0].reply != "suppressed":
            await asyncio.sleep(0.05)
    assert outbox.mails == []


async def test_the_administrator_is_told_of_an_unknown_fax_and_of_the_day(bridge, faxapi, outbox):
    """Once an hour that somebody has to find out how a fax ended; and once a day how all went, where it is wanted."""
    faxapi.on_post(LOST, LOST)
    running = await bridge(reply={"admin": "Fax admin <admin@office.example>", "daily_summary": "00:00"})
    await outbox.wait(1)  # the day, before there is anything to tell of it
    for n in range(2):
        await running.send(mail(pdf(), subject=str(n)))
    mails = {mail.subject: mail for mail in await outbox.wait(4)}
    told = [mail for mail in outbox.mails if mail.recipient == "admin@office.example"]
    day_mail, unknown = sorted(mail.subject.partition(",")[0] for mail in told)
    # The day is told of at the start: a mail may have come before it, or not.
    assert re.fullmatch("mail2fax: 0 of [012] faxes? delivered", day_mail)
    assert unknown == "mail2fax: it is not known whether a fax arrived"
    assert "mail2fax resolve" in mails["mail2fax: it is not known whether a fax arrived"].text
    (day,) = [mail.text for mail in told if " delivered" in mail.subject]
    assert "Received" in day and "On the way" in day


async def test_a_day_that_is_owed_is_not_asked_for_again(spool):
    """One look at the clock a minute, and nothing is written, until the next day; a node beside it owes the same mail."""
    reply = {"admin": "admin@office.example", "daily_summary": "00:00"}
    settings = Settings.model_validate({"reply": reply, "spool": {"url": spool.settings.spool.url}})
    chore = Daily(spool, settings)
    await chore.summary()
    (owed,), _ = await spool.claim_notices(8)
    await spool.noticed(owed, "sent")
    asked = Asked(spool)
    chore._spool = asked  # what it asks for is the promise
    await chore.summary()
    assert asked.for_what == ["clock"]
    await Daily(spool, settings).summary()
    assert (await spool.claim_notices(8))[0] == []


class Asked:
    """A spool that notes what it is asked, and can do no more than answer."""

    def __init__(self, spool):
        self._spool = spool
        self.for_what = []

    async def read(self, question, *about):
        """As the spool has it."""
        self.for_what.append(question.__name__)
        return await self._spool.read(question, *about)
