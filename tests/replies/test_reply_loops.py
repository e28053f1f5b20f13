"""Replies meet machines that answer everything: the number of mails and faxes stays bounded."""

import asyncio
import smtplib

import pytest

from tests.support.samples import mail, pdf

QUIET = 1.5  # seconds without a mail after which nothing more is to come
BOUND = 4  # faxes, and replies, of one mail


def send(bridge, sender, recipient, content):
    """One SMTP transaction with the bridge. The code that ended it."""
    with smtplib.SMTP(*bridge.address, timeout=30) as client:
        client.ehlo("office.example")
        for code, _ in (client.mail(sender), client.rcpt(recipient)):
            if code >= 400:
                return code
        try:
            return client.data(content)[0]
        except smtplib.SMTPDataError as refusal:  # instead of 354
            return refusal.smtp_code


async def test_a_reply_that_reaches_a_bridge_is_neither_faxed_nor_answered(bridge, faxapi, outbox, tmp_path):
    """Two bridges that forward to each other: the null reverse-path ends it at the door (RFC 3834 section 2)."""
    first, second = await bridge(), await bridge(spool={"url": f"sqlite:///{tmp_path}/second.db"})
    await first.send(mail(pdf()))
    reply = await outbox.next()
    for node in (first, second):
        assert await asyncio.to_thread(send, node, reply.sender, "6474959659@fax.local", reply.content) >= 500
        # A server that forwards with an address of its own: the reply says of itself that it is one.
        assert await asyncio.to_thread(send, node, "list@office.example", "6474959659@fax.local", reply.content) >= 500
    assert len(faxapi.posts) == 1


@pytest.mark.parametrize("honest", [True, False], ids=["honest", "naive"])
async def test_a_vacation_responder_ends_nowhere(bridge, faxapi, outbox, honest):
    """It answers each reply at every address the reply names; the naive one does not even say that it is a machine."""
    faxapi.words = ["Failed"]
    node = await bridge()
    await node.send(mail(pdf(), message_id="<1@office.example>"))
    answered = 0
    while answered <= BOUND:
        try:
            reply = await outbox.next(QUIET if answered else 20)
        except TimeoutError:
            break
        answered += 1
        said = "Auto-Submitted: auto-replied\r\n" if honest else ""
        answer = f"{said}From: anna@office.example\r\nSubject: Away {answered}\r\nIn-Reply-To: {reply.message['Message-ID']}\r\n\r\nI am away.\r\n"
        for name in ("From", "Reply-To"):
            for address in reply.message[name].addresses if reply.message[name] else ():
                await asyncio.to_thread(send, node, "anna@office.example", address.addr_spec, answer.encode())
    assert 1 <= answered <= BOUND and len(faxapi.posts) <= BOUND
    assert not honest or len(faxapi.posts) == 1
