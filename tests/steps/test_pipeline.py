"""The main job over real sockets: a mail goes in by SMTP, the fax out over HTTP, the reply back by SMTP."""

import asyncio
import re
import smtplib
import time

import pytest

from mail2fax import log
from mail2fax.model import Reason, State
from mail2fax.spool import questions
from mail2fax.spool.database import wakeup
from mail2fax.steps import worker
from tests.support.faxapi import LOST, Reply
from tests.support.patience import PATIENCE
from tests.support.samples import mail, pdf

TOKEN = "canary-token-7391"


async def test_a_mail_is_faxed_once_and_answered_in_its_thread(bridge, faxapi, outbox):
    """The promise of the whole program, seen from outside."""
    running = await bridge()
    queue_id = await running.send(mail(pdf(2), subject="Lab results", message_id="<1@office.example>"))
    reply = await outbox.next()
    (post,) = faxapi.posts
    assert (post.number, post.token) == ("6474959659", TOKEN)
    assert post.document.startswith(b"%PDF-")
    assert [name for name, _ in post.fields] == [
        "token", "number", "file", "sendCover", "coverFrom", "coverTo", "coverSubject", "coverMessage",
    ]  # fmt: skip
    assert (reply.sender, reply.recipient) == ("", "anna@office.example")
    assert reply.message["In-Reply-To"] == "<1@office.example>"
    assert reply.message["Auto-Submitted"] == "auto-replied"
    assert "Lab results" in reply.subject and "(647) 495-9659" in reply.subject
    fax = await running.until(queue_id, State.DELIVERED)
    assert (fax.pages, fax.submissions) == (2, 1)


async def test_every_recipient_gets_a_fax_and_the_sender_a_reply_for_each(bridge, faxapi, outbox):
    """Three numbers, one of them refused at the door: two faxes, two replies."""
    running = await bridge()
    host, port = running.address

    def send():
        with smtplib.SMTP(host, port) as client:
            return client.sendmail(
                "anna@office.example",
                ["6474959659@fax.local", "9005550100@fax.local", "4165550100@fax.local"],
                mail(pdf()),
            )

    refused = await asyncio.to_thread(send)
    assert list(refused) == ["9005550100@fax.local"]
    await outbox.wait(2)
    assert sorted(post.number for post in faxapi.posts) == ["4165550100", "6474959659"]


async def test_failed_is_told_without_a_guess(bridge, faxapi, outbox):
    """Failed is final; nothing is sent again."""
    faxapi.words = ["Loading", "Sending", "Failed"]
    running = await bridge()
    queue_id = await running.send(mail(pdf()))
    reply = await outbox.next()
    assert "not" in reply.subject.lower() or "fail" in reply.subject.lower()
    assert (await running.faxes(queue_id))[0].reason is Reason.PROVIDER_FAILED
    assert len(faxapi.posts) == 1


async def test_a_lost_answer_is_unknown_and_never_sent_again(bridge, faxapi, outbox):
    """After the whole request left, silence is a doubt: said in plain words, and not resolved by sending twice."""
    faxapi.on_post(LOST)
    running = await bridge()
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.UNKNOWN)
    assert fax.reason is Reason.NO_ANSWER
    await asyncio.sleep(1.0)  # longer than every pause of these settings
    assert len(faxapi.uploads) == 1


async def test_a_reference_that_is_given_twice_is_told(bridge, faxapi, outbox, monkeypatch):
    """Both faxes are polled under it; the log says that their outcomes cannot be told apart."""
    faxapi.on_post(*[Reply(body={"uuid": "the-same"})] * 2)
    told = []
    monkeypatch.setattr(log, "same_ref", lambda **facts: told.append(facts))
    running = await bridge()
    await running.send(mail(pdf()), "6474959659@fax.local", "4165550100@fax.local")
    await outbox.wait(2)
    # Once, or from both sides if both were written down in the same moment.
    assert {(facts["ref"], facts["fax"] != facts["other"]) for facts in told} == {("the-same", True)}


async def test_not_processed_is_tried_again(bridge, faxapi, outbox):
    """429 and 503 with Retry-After were not taken: one fax in the end."""
    faxapi.on_post(Reply(status=429), Reply(status=503, headers={"Retry-After": "0"}))
    running = await bridge()
    await running.send(mail(pdf()))
    await outbox.next()
    assert len(faxapi.posts) == 3


async def test_a_provider_that_is_down_is_waited_for(bridge, faxapi, outbox):
    """Accepted mail waits, and goes on by itself."""
    await faxapi.stop()
    running = await bridge()
    queue_id = await running.send(mail(pdf()))
    await running.until(queue_id, State.PREPARED)
    async with asyncio.timeout(PATIENCE):
        while not await running.node.spool.read(questions.trouble_list):
            await asyncio.sleep(0.05)
    await faxapi.start()
    await outbox.next()
    assert len(faxapi.posts) == 1


async def test_giving_up_is_told(bridge, faxapi, outbox):
    """A provider that never takes the fax: failed with 4.4.7 after [retry] give_up."""
    await faxapi.stop()
    running = await bridge(retry={"give_up": 0.5})
    queue_id = await running.send(mail(pdf()))
    await outbox.next()
    fax = await running.until(queue_id, State.FAILED)
    assert (fax.status, fax.reason) == ("4.4.7", Reason.GAVE_UP)


@pytest.mark.parametrize(
    ("attachment", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"%PDF-1.4\nnothing that anybody could read", Reason.DAMAGED),
        (b"PK\x03\x04 not a pdf", Reason.NOT_A_PDF),
    ],
)
async def test_what_cannot_be_faxed_is_named(bridge, faxapi, outbox, attachment, reason):
    """A failure reply names the attachment; nothing is sent."""
    running = await bridge()
    queue_id = await running.send(mail(attachment, name="Befund März.pdf"))
    reply = await outbox.next()
    assert "Befund März.pdf" in reply.text
    (fax,) = await running.faxes(queue_id)
    assert fax.state is State.FAILED
    message = await running.node.spool.message(queue_id)
    assert reason in {part.reason for part in message.parts}
    assert faxapi.uploads == []


async def test_no_attachment_is_told(bridge, faxapi, outbox):
    """Never silence."""
    running = await bridge()
    queue_id = await running.send(mail())
    await outbox.next()
    assert (await running.faxes(queue_id))[0].reason is Reason.NOTHING_FAXABLE
    assert faxapi.uploads == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no header at all",
        b"From: a@b.example\r\n\r\n" + b"x" * 5000 + b"\r\n",
        b"Subject: \xff\xfe caf\xe9\r\nContent-Type: text/plain; charset=nope\r\n\r\n\xe9\xff\r\n",
    ],
)
async def test_odd_mails_end_in_a_reply(bridge, outbox, content):
    """No From, no Date, no Message-ID, 8-bit, long lines: handled."""
    running = await bridge()
    await running.send(content)
    reply = await outbox.next()
    assert reply.recipient == "anna@office.example"
    assert reply.message["In-Reply-To"] is None


async def test_lines_choose_the_token_by_sender(bridge, faxapi, outbox):
    """The first [[line]] whose pattern fits, else [provider] token."""
    lines = [
        {"name": "accounting", "senders": ["*@accounting.example"], "token": "token-a"},
        {"name": "all of office", "senders": ["*@office.example"], "token": "token-b"},
    ]
    running = await bridge(line=lines)
    for sender in ("Bob@Accounting.example", "anna@office.example", "c@elsewhere.example"):
        await running.send(mail(pdf(), subject=sender), sender=sender)
    await outbox.wait(3)
    assert {post.token for post in faxapi.posts} == {"token-a", "token-b", TOKEN}


async def test_each_of_several_replies_says_which_number_it_is_about(bridge, outbox):
    """One mail to three numbers: three replies, and each says that there are others. One to one number does not."""
    running = await bridge()
    await running.send(mail(pdf()), *(f"647495965{n}@fax.local" for n in range(3)))
    for letter in await outbox.wait(3):
        number = re.search(r"\(\d{3}\) [\d-]+", letter.subject)[0]
        said = f"Your mail was for 3 numbers; this reply is about {number} only."
        assert said in " ".join(letter.text.split()) and said in re.sub("<[^>]+>", "", letter.html)
    await running.send(mail(pdf(2)))
    assert "numbers" not in (await outbox.wait(4))[3].text


async def test_a_bad_token_holds_the_line_and_bounces_nothing(bridge, faxapi, outbox):
    """401: faxes wait until the token is mended, then all go."""
    faxapi.tokens = {"other"}
    running = await bridge()
    ids = [await running.send(mail(pdf(), subject=str(n))) for n in range(3)]
    async with asyncio.timeout(PATIENCE):
        while not await running.node.spool.read(questions.trouble_list):
            await asyncio.sleep(0.05)
    assert outbox.mails == []
    faxapi.tokens = {TOKEN}
    await outbox.wait(3)
    assert len({(await running.faxes(queue_id))[0].provider_ref for queue_id in ids}) == 3


async def test_several_pdfs_are_merged_or_sent_apart(bridge, faxapi, outbox):
    """[documents] several decides: one fax of all in order, or one each."""
    running = await bridge(documents={"several": "separate"})
    await running.send(mail(pdf(1), pdf(2)))
    await outbox.wait(2)
    assert len(faxapi.posts) == 2
    assert len({post.document for post in faxapi.posts}) == 2


async def test_each_step_is_woken_by_the_one_before(bridge, faxapi, outbox, monkeypatch):
    """They are not looked for now and then: without any look of its own the way leads from the mail to the reply."""
    monkeypatch.setattr(worker, "LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(wakeup, "LOOK_SECONDS", 3600.0)
    running = await bridge()
    for subject in ("one", "another"):
        await running.send(mail(pdf(), subject=subject))
        assert (await outbox.next()).subject.endswith(f": {subject}")
    assert len(faxapi.posts) == 2


async def test_a_thousand_waiting_polls_are_no_busy_loop(bridge, faxapi, outbox):
    """Polls leave at their due times, at most `concurrency` at once."""
    faxapi.words = ["Sending"]
    running = await bridge(poll={"first": 3.0, "longest": 3.0}, provider={"concurrency": 3})
    for n in range(30):
        await running.send(mail(pdf(), subject=str(n)))
    await faxapi.until(lambda: len(faxapi.posts) == 30)
    used, begun = time.process_time(), time.monotonic()
    await asyncio.sleep(1.0)
    assert time.process_time() - used < 0.9 * (time.monotonic() - begun)


async def test_twenty_large_mails_at_once(bridge, faxapi, outbox):
    """All accepted within seconds, all faxed once, all answered, though each POST takes its time."""
    faxapi.before_post = lambda _: Reply(delay=0.5)
    running = await bridge()
    mails = [mail(pdf(1, size=1_000_000 + 100_000 * n), subject=str(n)) for n in range(20)]
    places = asyncio.Semaphore(10)

    async def send(content):
        async with places:
            return await running.send(content)

    await asyncio.gather(*(send(content) for content in mails))
    await outbox.wait(20)
    assert len(faxapi.posts) == len(faxapi.uploads) == 20


async def test_the_pieces_of_a_split_mail_get_one_reply(bridge, faxapi, outbox):
    """RFC 2046 section 5.2.2: a scanner that splits its mails is told so once, not once a piece."""
    running = await bridge()
    pieces = [
        f"From: scanner@office.example\r\nSubject: piece {number}\r\nMIME-Version: 1.0\r\n"
        f'Content-Type: message/partial; id="one@scanner"; number={number}; total=3\r\n\r\nJVBERi0x\r\n'
        for number in (1, 2, 3)
    ]
    ids = [await running.send(piece.encode()) for piece in pieces]
    reply = await outbox.next()
    assert "split" in reply.text
    for queue_id in ids:
        fax = await running.until(queue_id, State.FAILED)
        assert fax.reason is Reason.SPLIT_MAIL
        while not (await running.faxes(queue_id))[0].replied_at:
            await asyncio.sleep(0.1)
    assert len(outbox.mails) == 1
