"""Send again, or cancel, by answering a reply: only whoever sent the fax, and once an answer."""

import asyncio
import re
import smtplib
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from sqlalchemy import update

from mail2fax.model import State
from mail2fax.smtp import answers
from mail2fax.spool import questions
from mail2fax.spool.database.schema import faxes
from tests.support.samples import mail, pdf

SENDER = "anna@office.example"


def answer(text: str) -> bytes:
    made = EmailMessage(policy=SMTP)
    made["From"], made["Subject"] = SENDER, "Re: Not faxed"
    made.set_content(f"{text}\n\nOn Monday Fax wrote:\n> Your fax was not delivered. 416 555 0199\n")
    return made.as_bytes()


async def say(running, address: str, content: bytes, sender: str = SENDER) -> tuple[int, str]:
    """Send an answer. The code and text of the first refusal, or of the end."""

    def send():
        with smtplib.SMTP(*running.address, timeout=30) as client:
            client.ehlo("client.example")
            client.mail(sender)
            code, text = client.rcpt(address)
            if code == 250:
                code, text = client.data(content)
            return code, text.decode()

    return await asyncio.to_thread(send)


async def failed(running, faxapi, outbox) -> tuple[str, str]:
    """A fax that failed: its queue id, and the address that its reply offers."""
    faxapi.words = ["Failed"]
    queue_id = await running.send(mail(pdf(), subject="Lab results"))
    reply = await outbox.next()
    faxapi.words = ["Success"]
    return queue_id, str(reply.message["Reply-To"])


async def test_answering_sends_the_same_document_again(bridge, faxapi, outbox):
    """A new fax, linked to the old one, told of in its own reply; the same answer twice is one wish."""
    running = await bridge()
    queue_id, address = await failed(running, faxapi, outbox)
    assert re.fullmatch(rf"resend\+{queue_id.lower()}-1\.[a-z2-7]{{16}}@fax\.local", address)
    code, text = await say(running, address, answer("please"))
    assert code == 250, text
    again = await outbox.next()
    assert again.subject.startswith("Faxed to")
    assert len(faxapi.posts) == 2
    assert faxapi.posts[0].document == faxapi.posts[1].document
    faxes = await running.faxes(queue_id)
    assert [fax.retry_of for fax in faxes] == ["", f"{queue_id}-1"]
    assert await say(running, address, answer("please")) == (code, text)
    assert len(await running.faxes(queue_id)) == 2


async def test_the_first_line_may_hold_another_number(bridge, faxapi, outbox):
    """That number is dialled, if it may be."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)
    code, text = await say(running, address, answer("900 555 0100"))
    assert (code, text[:5]) == (550, "5.7.1")
    code, text = await say(running, address, answer("call me at 416 555 0101"))
    assert code == 553
    assert "first line" in text
    assert len(faxapi.posts) == 1
    code, text = await say(running, address, answer("(416) 555-0101"))
    assert code == 250, text
    await outbox.next()
    assert faxapi.posts[1].number == "4165550101"


@pytest.mark.parametrize("change", ["sender", "signature", "other fax", "no such fax"])
async def test_nobody_else_can_use_it(bridge, faxapi, outbox, change):
    """Another sender, a forged or changed address: refused at the door."""
    running = await bridge()
    queue_id, address = await failed(running, faxapi, outbox)
    sender = SENDER
    if change == "sender":
        sender = "eve@office.example"
    elif change == "signature":
        address = address.replace("@", "a@")
    elif change == "other fax":
        address = address.replace("-1.", "-2.")
    else:
        address = address.replace(queue_id.lower(), "0" * 13)
    code, text = await say(running, address, answer("please"), sender)
    assert code == 550
    if change != "sender":
        assert f"550 {text}" == answers.NOT_OUR_ADDRESS
    assert len(faxapi.posts) == 1


async def test_an_answer_goes_alone(bridge, faxapi, outbox):
    """One wish a mail: no fax beside it, whichever comes first."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)

    def send():
        with smtplib.SMTP(*running.address, timeout=30) as client:
            client.ehlo("client.example")
            client.mail(SENDER)
            return client.rcpt(address)[0], client.rcpt("6474959659@fax.local")

    code, (alone, text) = await asyncio.to_thread(send)
    assert code == 250
    assert f"{alone} {text.decode()}" == answers.ANSWER_ALONE


async def test_what_went_through_is_not_sent_again(bridge, faxapi, outbox):
    """An answer that comes after somebody else had it sent again, and a delivered fax: refused with the reason."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)
    other = (await running.node.spool.read(questions.fax_list, questions.Wanted()))[0]

    def deliver(connection):
        connection.execute(update(faxes).where(faxes.c.id == other.id).values(state="delivered"))

    await running.node.spool.change(deliver)
    code, text = await say(running, address, answer("please"))
    assert code == 550
    assert "delivered" in text


async def test_a_waiting_fax_is_cancelled_by_answering(bridge, faxapi, outbox):
    """The "still trying" mail offers it."""
    await faxapi.stop()
    running = await bridge(reply={"delay_notice": 1}, retry={"first": 5.0, "longest": 5.0})
    queue_id = await running.send(mail(pdf(), subject="Lab results"))
    notice = await outbox.next()
    address = str(notice.message["Reply-To"])
    assert address.startswith("cancel+")
    async with asyncio.timeout(20):
        while (await say(running, address, answer("cancel")))[0] != 250:
            await asyncio.sleep(0.2)  # it may just be on offer
    fax = await running.until(queue_id, State.CANCELLED)
    told = await outbox.next()
    assert fax.reason == "cancelled-by-sender"
    assert "Lab results" in told.subject


async def test_budgets_hold_for_answers_too(bridge, faxapi, outbox):
    """ReplyCommands is no way around [limits]."""
    running = await bridge(limits={"sender_faxes_per_day": 1})
    _, address = await failed(running, faxapi, outbox)
    code, text = await say(running, address, answer("please"))
    assert (code, text[:5]) == (550, "5.7.1")
    assert len(faxapi.posts) == 1


@pytest.mark.parametrize("word", ["auto-generated", "auto-replied", "(away) auto-notified"])
async def test_no_machine_has_it_sent_again(bridge, faxapi, outbox, word):
    """Whatever answers by itself, in whatever words, asks for nothing."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)
    code, text = await say(running, address, f"Auto-Submitted: {word}\r\n".encode() + answer("please"))
    assert f"{code} {text}" == answers.AUTO_REPLIED
    assert len(faxapi.posts) == 1


async def test_it_can_be_turned_off(bridge, faxapi, outbox):
    """[reply] resend = false: no address is offered, none is taken."""
    running = await bridge(reply={"resend": False})
    faxapi.words = ["Failed"]
    await running.send(mail(pdf()))
    reply = await outbox.next()
    assert reply.message["Reply-To"] is None
    code, _ = await say(running, "resend+0000000000000-1.aaaaaaaaaaaaaaaa@fax.local", answer("please"))
    assert code == 550
