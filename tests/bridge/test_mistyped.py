"""A number that nobody can dial, handed over by a trusted relay: refused, or answered by a reply, and never dialled."""

import asyncio
import smtplib

import pytest

from mail2fax.model import Reason, Refused, State
from mail2fax.rules.answer_text import Doubt
from mail2fax.smtp import answers
from mail2fax.spool import Work, operator
from tests.support.answering import answer, say
from tests.support.samples import mail, pdf

REPLY = {"numbers": {"mistyped": "reply"}}
TYPED = {
    "416555010": "Nothing was faxed: 416555010 has 9 digits, a fax number has 10 with its area code.",
    "4165550100199": "Nothing was faxed: 4165550100199 has 13 digits, a fax number has 10 with its area code.",
    "reception": "Nothing was faxed: reception is not a fax number. A fax number has 10 digits, with its area code.",
    "1234567890": "Nothing was faxed: 1234567890 is not a fax number. A fax number has 10 digits, with its area code.",
    "9-1-416-555-0100": "begins with digits that only a telephone needs. Write 4165550100.",
    "<b>4165550100": "Nothing was faxed: <b>4165550100 is not a fax number.",
}


def words(letter) -> str:
    return " ".join(letter.text.split())


def quoted(typed: str) -> str:
    return f'"{typed}"@fax.local' if "<" in typed else f"{typed}@fax.local"


@pytest.mark.parametrize("typed", TYPED)
async def test_it_is_answered_in_words_and_never_dialled(bridge, faxapi, outbox, typed):
    """The reply is about the sender's own mail, and shows what was typed."""
    running = await bridge(**REPLY)
    queue_id = await running.send(mail(pdf(), subject="Lab results", message_id="<1@office.example>"), quoted(typed))
    letter = await outbox.next()
    assert TYPED[typed] in words(letter).replace('"<b>4165550100"', "<b>4165550100")
    assert "Answer this mail with just the right number" in words(letter)
    assert letter.subject.startswith("Not faxed to")
    assert letter.message["In-Reply-To"] == "<1@office.example>"
    assert "<b>416" not in letter.html
    fax = (await running.faxes(queue_id))[0]
    assert (fax.state, fax.reason, fax.number, fax.status) == (State.FAILED, Reason.NUMBER_MISTYPED, "", "5.1.3")
    assert not faxapi.posts


async def test_it_is_answered_in_the_senders_language(bridge, outbox):
    """A bounce would be in English."""
    running = await bridge(**REPLY, reply={"languages": {"*@office.example": "fr"}})
    await running.send(mail(pdf()), "416555010@fax.local")
    assert "416555010 a 9 chiffres" in words(await outbox.next())


@pytest.mark.parametrize(
    ("sections", "recipient", "refusal"),
    [
        ({}, "416555010", "has 9 digits, need 10"),
        ({**REPLY, "smtp": {"trusted_networks": ["192.0.2.0/24"]}}, "416555010", "Authentication required"),
        (REPLY, "9005550100", "Destination not permitted"),
        (REPLY, "+442079460000", "destination not permitted"),
        (REPLY, "6474959659%elsewhere", "mail is not relayed"),
    ],
)
async def test_everything_else_is_refused_as_before(bridge, sections, recipient, refusal):
    """By default, from strangers, and what a policy forbids: a reply would not mend that."""
    running = await bridge(**sections)
    assert refusal in await asyncio.to_thread(refused, running, f"{recipient}@fax.local")


def refused(running, recipient: str) -> str:
    with smtplib.SMTP(*running.address, timeout=30) as client:
        client.ehlo("client.example")
        code, text = client.mail("anna@office.example")
        if code == 250:
            code, text = client.rcpt(recipient)
        assert code >= 500
        return text.decode()


async def test_the_other_numbers_of_the_mail_are_faxed(bridge, faxapi):
    """Each recipient has a fate of its own, and what was mistyped costs no budget."""
    running = await bridge(**REPLY, limits={"sender_faxes_per_hour": 1})
    recipients = ("416555010@fax.local", "41655501@fax.local", "4165550100@fax.local")
    queue_id = await running.send(mail(pdf()), *recipients)
    for name, state in zip("123", (State.FAILED, State.FAILED, State.DELIVERED), strict=True):
        await running.until(f"{queue_id}-{name}", state)
    assert [post.number for post in faxapi.posts] == ["4165550100"]


async def test_the_same_mail_again_is_a_duplicate(bridge, outbox):
    """A lost 250 makes the relay send it once more; another mistake in the same mail is no duplicate."""
    running = await bridge(**REPLY)
    content = mail(pdf())
    first = await running.send(content, "416555010@fax.local")
    await outbox.next()
    assert await running.send(content, "416555010@fax.local") == first
    assert await running.send(content, "41655501@fax.local") != first


async def test_an_operator_sends_it_to_the_right_number(bridge, faxapi):
    """And to no other: there is none to send it to."""
    running = await bridge(**REPLY)
    queue_id = await running.send(mail(pdf()), "416555010@fax.local")
    fax = await running.until(queue_id, State.FAILED)
    spool = running.node.spool
    with pytest.raises(Refused, match="holds no number that can be dialled"):
        await spool.hand_on(Work.SUBMIT, operator.retry, fax.id, "kim")
    fresh = await spool.hand_on(Work.PREPARE, operator.retry, fax.id, "kim", "4165550100")
    await running.until(fresh, State.DELIVERED)
    assert [post.number for post in faxapi.posts] == ["4165550100"]


async def test_the_sender_answers_with_the_right_number(bridge, faxapi, outbox):
    """The reply offers it: the document is made then, and nothing but a number sends it on."""
    running = await bridge(**REPLY)
    await running.send(mail(pdf(), subject="Lab results"), "416555010@fax.local")
    letter = await outbox.next()
    assert "Answer this mail with just the right number: the same document is then faxed to it." in words(letter)
    assert ">Send it again<" not in letter.html
    address = str(letter.message["Reply-To"])
    for text, refusal in {
        "": answers.NOT_SENT_AGAIN[Doubt.NO_NUMBER],
        "SEND": answers.NOT_SENT_AGAIN[Doubt.NO_NUMBER],
        "416555010": '550 5.1.1 "416555010" has 9 digits, need 10: area code and number',
    }.items():
        code, said = await say(running, address, answer(text))
        assert f"{code} {said}" == refusal
    code, said = await say(running, address, answer("Sorry!\n416-555-0100"))
    assert code == 250, said
    assert [(await outbox.next()).subject for _ in range(2)] == [
        "Sending: (416) 555-0100: Lab results",
        "Faxed to (416) 555-0100: Lab results",
    ]
    code, said = await say(running, address, answer("416-555-0101"))
    assert (code, "delivered" in said) == (550, True)
    assert [post.number for post in faxapi.posts] == ["4165550100"]


async def test_a_real_mail_server_bounces_nothing(bridge, postfix, faxapi, outbox):
    """Behind Postfix: its own bounce without the setting, with it our reply, and an answer that goes the same way."""
    through = {
        "smtp": {"listen": [f"127.0.0.1:{postfix.fax_port}"]},
        "reply": {"languages": {"*@office.example": "fr"}},
    }
    await bridge(**REPLY, **through)

    async def submit(content: bytes, recipient: str) -> None:
        await asyncio.to_thread(handed_over, postfix.port, content, recipient)

    await submit(mail(pdf(), subject="Lab results"), "41655501@fax.local")
    letter = await outbox.next(60)
    assert letter.recipient == "anna@office.example" and "41655501 a 8 chiffres" in words(letter)
    assert "to=<41655501@fax.local>" in postfix.log and "status=bounced" not in postfix.log
    await submit(answer("416-555-0100"), str(letter.message["Reply-To"]))
    assert [(await outbox.next(60)).subject.partition(" :")[0] for _ in range(2)] == [
        "Envoi en cours",
        "Télécopié au (416) 555-0100",
    ]
    assert [post.number for post in faxapi.posts] == ["4165550100"]


def handed_over(port: int, content: bytes, recipient: str) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=30) as client:
        client.sendmail("anna@office.example", [recipient], content)


async def test_nothing_is_offered_for_what_cannot_be_faxed(bridge, outbox):
    """The right number would not help a mail without a document."""
    running = await bridge(**REPLY)
    await running.send(b"Subject: only text\r\n\r\nhello\r\n", "416555010@fax.local")
    assert (await outbox.next()).message["Reply-To"] is None


async def test_a_mail_without_a_fit_document_is_told_of_its_number(bridge, outbox):
    """The number is what is wrong first; whoever corrects it hears of the rest."""
    running = await bridge(**REPLY, cover={"enabled": "always", "company": "Clinic"})
    await running.send(b"Subject: only text\r\n\r\nhello\r\n", "416555010@fax.local")
    assert "has 9 digits" in words(await outbox.next())
