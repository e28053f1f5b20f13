"""Send again, or cancel, by answering a reply: only whoever sent the fax, and once an answer."""

import asyncio
import re
import smtplib
from email import message_from_bytes
from email.policy import SMTP

import pytest
from sqlalchemy import update

from mail2fax.model import State
from mail2fax.rules.answer_text import Doubt
from mail2fax.smtp import answers
from mail2fax.spool import search
from mail2fax.spool.database.schema import faxes
from tests.support.answering import SENDER, answer, say
from tests.support.faxapi import LOST
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf


async def failed(running, faxapi, outbox) -> tuple[str, str]:
    """A fax that failed: its queue id, and the address that its reply offers. The next one stays on its way."""
    faxapi.words = ["Failed"]
    queue_id = await running.send(mail(pdf(), subject="Lab results"))
    reply = await outbox.next()
    faxapi.words = ["Sending"]
    return queue_id, str(reply.message["Reply-To"])


async def told(faxapi, outbox) -> list[str]:
    """Subjects of what follows a wish: that it is being sent again, and, once that is told, how it went."""
    begun = await outbox.next()
    faxapi.words = ["Success"]
    return [begun.subject, (await outbox.next()).subject]


async def test_answering_sends_the_same_document_again(bridge, faxapi, outbox):
    """A new fax, linked to the old one, told of in its own reply; the same answer twice is one wish."""
    running = await bridge()
    queue_id, address = await failed(running, faxapi, outbox)
    assert re.fullmatch(rf"resend\+{queue_id.lower()}-1\.[a-z2-7]{{16}}@fax\.local", address)
    code, text = await say(running, address, answer("please"))
    assert code == 250, text
    begun, ended = await told(faxapi, outbox)
    assert (begun, ended[:8]) == ("Sending again: (647) 495-9659: Lab results", "Faxed to")
    assert len(faxapi.posts) == 2
    assert faxapi.posts[0].document == faxapi.posts[1].document
    faxes = await running.faxes(queue_id)
    assert [fax.retry_of for fax in faxes] == ["", f"{queue_id}-1"]
    assert await say(running, address, answer("please")) == (code, text)
    assert len(await running.faxes(queue_id)) == 2


async def test_an_answer_may_hold_another_number(bridge, faxapi, outbox):
    """That number is dialled, if it may be, and by the line that is for it."""
    running = await bridge(line=[{"name": "near", "token": "token-of-near", "senders": ["*"], "numbers": ["+1416*"]}])
    queue_id, address = await failed(running, faxapi, outbox)
    code, text = await say(running, address, answer("900 555 0100"))
    assert (code, text[:5]) == (550, "5.7.1")
    code, text = await say(running, address, answer("call me at 416 555 0101"))
    assert f"{code} {text}" == answers.NOT_SENT_AGAIN[Doubt.WORDS]
    assert len(faxapi.posts) == 1
    code, text = await say(running, address, answer("Wrong number, sorry!\n(416) 555-0101"))
    assert code == 250, text
    assert (await told(faxapi, outbox))[0] == "Sending: (416) 555-0101: Lab results"
    assert faxapi.posts[1].number == "4165550101"
    assert [fax.line for fax in await running.faxes(queue_id)] == ["", "near"]


async def once_free(running, address: str, content: bytes) -> tuple[int, str]:
    """As `say`, as often as the answer is 450: the fax may just be on offer."""
    async with asyncio.timeout(PATIENCE):
        while (answered := await say(running, address, content))[0] == 450:
            await asyncio.sleep(0.1)
    return answered


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
    other = (await running.node.spool.read(search.found, search.Search()))[0]

    def deliver(connection):
        connection.execute(update(faxes).where(faxes.c.id == other.id).values(state="delivered"))

    await running.node.spool.change(deliver)
    code, text = await say(running, address, answer("please"))
    assert code == 550
    assert "delivered" in text


async def test_a_waiting_fax_is_cancelled_by_answering(bridge, faxapi, outbox):
    """The "still trying" mail offers it: by the word, never by a note of absence or by politeness."""
    await faxapi.stop()
    running = await bridge(reply={"delay_notice": 1}, retry={"first": 5.0, "longest": 5.0})
    queue_id = await running.send(mail(pdf(), subject="Lab results"))
    notice = await outbox.next()
    await running.until(queue_id, State.PREPARED)  # until then no subject is known
    address = str(notice.message["Reply-To"])
    assert address.startswith("cancel+")
    for note in ("Thank you!", "I am away until Monday."):
        assert await once_free(running, address, answer(note)) == (550, answers.NOT_CANCELLED[4:])
    assert (await once_free(running, address, answer("cancel")))[0] == 250
    fax = await running.until(queue_id, State.CANCELLED)
    letter = await outbox.next()
    assert fax.reason == "cancelled-by-sender"
    assert "Lab results" in letter.subject


async def test_budgets_hold_for_answers_too(bridge, faxapi, outbox):
    """ReplyCommands is no way around [limits]."""
    running = await bridge(limits={"sender_faxes_per_day": 1})
    _, address = await failed(running, faxapi, outbox)
    code, text = await say(running, address, answer("please"))
    assert (code, text[:5]) == (452, "4.7.1")
    assert len(faxapi.posts) == 1


MARKS = [
    *(f"Auto-Submitted: {word}" for word in ("auto-generated", "auto-replied", "(away) auto-notified")),
    *(f"Precedence: {word}" for word in ("bulk", "junk", "list", "auto_reply")),
    *("X-Autoreply: yes", "X-Autorespond: on", "X-Auto-Reply-From: a@b.ca", "X-Auto-Response-Suppress: All"),
    *("X-Loop: anna@office.example", "List-Id: <help.office.example>", "Return-Path: <>"),
    *("Content-Type: multipart/report;\r\n report-type=disposition-notification", "X-AutoReply:\r\n yes"),
]


async def test_no_machine_has_it_sent_again(bridge, faxapi, outbox):
    """Whatever answers by itself, by whatever mark it says so, asks for nothing: neither here nor of a person."""
    running = await bridge(reply={"sender": "Fax <desk@office.example>"})
    _, address = await failed(running, faxapi, outbox)
    for mark in MARKS:
        code, text = await say(running, address, f"{mark}\r\n".encode() + answer("SEND"))
        assert f"{code} {text}" == answers.AUTO_REPLIED, mark
    for subject in ("Automatic reply: Not faxed", "Out of office: Not faxed", "Réponse automatique : Non télécopié"):
        away = answer("SEND", subject=subject)
        assert await say(running, address, away) == (550, answers.AUTO_REPLIED[4:]), subject
    assert len(faxapi.posts) == 1 and len(outbox.mails) == 1


NOTES = ["I phoned them, they have it. Thank you!", "yes", "", "Thank you. Your ticket number is 4711.", "again please"]


async def test_what_may_have_arrived_takes_the_word(bridge, faxapi, outbox):
    """An unclear fax is sent once more by SEND on the first line, never by a bare or polite answer."""
    faxapi.on_post(LOST)
    running = await bridge()
    await running.send(mail(pdf(), subject="Lab results"))
    reply = await outbox.next()
    assert reply.subject == "Unclear: (647) 495-9659: Lab results"
    address = str(reply.message["Reply-To"])
    for note in NOTES:
        code, text = await say(running, address, answer(note))
        assert code == 550 and text.startswith("5.7.1 nothing was sent again"), (note, text)
    assert len(faxapi.posts) == 1
    faxapi.words = ["Sending"]
    code, _ = await say(running, address, answer("RENVOYER"))
    assert code == 250
    assert [subject[:15] for subject in await told(faxapi, outbox)] == ["Sending again: ", "Faxed to (647) "]
    assert len(faxapi.posts) == 2


UNCLEAR = {  # and what its author is told of it
    "Thanks! Will call them.": "says something other than the word SEND or a fax number",
    "416-555-0101 or 416-555-0199": "holds two different fax numbers",
    "900 555 0100": "may not be called from here",
    "416-555-010": "too few or too many digits",
}


async def test_a_question_reaches_a_person(bridge, faxapi, outbox):
    """It goes on to the mailbox of [reply] sender as it is; its author hears each time what was not clear."""
    running = await bridge(reply={"sender": "Fax <desk@office.example>"})
    _, address = await failed(running, faxapi, outbox)
    for note in UNCLEAR:
        code, text = await say(running, address, answer(note))
        assert (code, text[:5]) == (250, "2.0.0") and "nothing was faxed" in text
    mails = await outbox.wait(1 + 2 * len(UNCLEAR))
    passed_on = [one for one in mails if one.recipient == "desk@office.example"]
    assert len(passed_on) == len(UNCLEAR)
    assert all(b"Received: from client.example" in one.content for one in passed_on)
    said = [" ".join(one.text.split()) for one in mails[1:] if one.recipient == SENDER]
    for words in UNCLEAR.values():
        assert any(words in one for one in said), (words, said)
    for letter in (one for one in mails[1:] if one.recipient == SENDER):
        assert letter.subject == "Not sent again: (647) 495-9659: Lab results"
        assert "passed on to desk@office.example" in " ".join(letter.text.split())
        assert str(letter.message["Reply-To"]) == address
    assert len({one.message["Message-ID"] for one in mails if one.recipient == SENDER}) == 1 + len(UNCLEAR)
    assert len(faxapi.posts) == 1


async def test_a_machine_that_answers_each_letter_gets_no_more(bridge, faxapi, outbox):
    """It bears no mark: a few of its answers are answered, then they only reach the mailbox. The same one is one."""
    running = await bridge(reply={"sender": "Fax <desk@office.example>"})
    _, address = await failed(running, faxapi, outbox)
    for n in range(8):
        note = answer(f"Your ticket has a new comment. {n // 2}", subject=f"Ticket {n // 2}")
        assert (await say(running, address, note))[0] == 250
    for n in range(4):
        assert (await say(running, address, answer(f"Your ticket is closed. {n}")))[0] == 250
    mails = await outbox.wait(1 + 12 + 5)
    await asyncio.sleep(0.5)
    assert [one.recipient for one in mails[1:]].count(SENDER) == 5 and len(outbox.mails) == len(mails)


async def test_one_wish_at_a_time(bridge, faxapi, outbox):
    """Two people answer at once: one more fax. And none more while it is on its way, or after it arrived."""
    running = await bridge()
    queue_id, address = await failed(running, faxapi, outbox)
    heard = await asyncio.gather(*(say(running, address, answer(f"SEND\n\n{name}")) for name in ("Anna", "anna")))
    assert sorted(code for code, _ in heard) == [250, 550]
    assert f"is being sent again as {queue_id}-2 already" in dict(heard)[550]
    assert [subject[:8] for subject in await told(faxapi, outbox)] == ["Sending ", "Faxed to"]
    code, text = await say(running, address, answer("416-555-0101"))
    assert (code, "delivered" in text) == (550, True)
    assert len(faxapi.posts) == 2


async def test_an_answer_with_a_document_is_not_obeyed(bridge, faxapi, outbox):
    """Who attaches the right file wants that one faxed, not the old one: whatever it is, and in whatever he hides it."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)
    files = {
        "a.docx": b"PK\x03\x04word/document.xml",
        "a.tif": b"II*\0" + bytes(99),
        "a.pdf": b"none",
        "a.zip": b"PK\x03\x04",
    }
    brought = [_with(name, data) for name, data in files.items()]
    sealed = "Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n"
    for content in (mail(pdf()), *brought, f"From: {SENDER}\r\n{sealed}".encode()):
        code, text = await say(running, address, content)
        assert f"{code} {text}" == answers.NOT_SENT_AGAIN[Doubt.ATTACHMENT], content[:999]
    bomb = f"From: {SENDER}\r\nContent-Type: multipart/mixed; boundary=b\r\n" + "\r\n--b\r\n\r\nx" * 2000
    code, text = await say(running, address, bomb.encode())
    assert (code, "could not be read" in text) == (550, True)
    assert len(faxapi.posts) == 1


def _with(name, data):
    made = message_from_bytes(answer("Please send this"), policy=SMTP)
    made.add_attachment(data, "application", "octet-stream", filename=name)
    return made.as_bytes()


async def test_a_signature_with_a_large_picture_is_no_matter(bridge, faxapi, outbox):
    """An answer may be larger than what is kept in memory: it is read all the same."""
    running = await bridge()
    _, address = await failed(running, faxapi, outbox)
    made = message_from_bytes(answer("SEND"), policy=SMTP)
    made.add_attachment(bytes(300_000), "image", "png", filename="logo.png")
    assert (await say(running, address, made.as_bytes()))[0] == 250
    assert (await outbox.next()).subject.startswith("Sending again")


async def test_the_postmaster_is_nobody_who_answers(bridge, outbox):
    """His mail is passed on beside the answers, and asks for nothing."""
    running = await bridge(smtp={"postmaster": "admin@office.example"})
    code, text = await say(running, "postmaster@fax.local", answer("SEND"))
    assert code == 250, text
    passed_on = await outbox.next()
    assert passed_on.recipient == "admin@office.example" and b"SEND" in passed_on.content


async def test_it_can_be_turned_off(bridge, faxapi, outbox):
    """[reply] resend = false: no address is offered, none is taken."""
    running = await bridge(reply={"resend": False})
    faxapi.words = ["Failed"]
    await running.send(mail(pdf()))
    reply = await outbox.next()
    assert reply.message["Reply-To"] is None
    code, _ = await say(running, "resend+0000000000000-1.aaaaaaaaaaaaaaaa@fax.local", answer("please"))
    assert code == 550
