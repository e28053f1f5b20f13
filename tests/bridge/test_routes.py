"""Several providers at once, from outside: which line takes a fax, who takes its place, and what an operator may ask."""

import asyncio
import contextlib
import re
import smtplib

import pytest

from mail2fax.model import State
from mail2fax.sandbox import hylafax, server
from mail2fax.spool import questions
from mail2fax.steps import poll
from tests.support.faxapi import LOST, Reply
from tests.support.processes import ServedBy, command
from tests.support.samples import mail, pdf


@pytest.fixture
async def far():
    """The far sides: a sandbox, HylaFAX's dialect of it, and their settings by name."""
    async with contextlib.AsyncExitStack() as stack:
        box = await stack.enter_async_context(server.serve("127.0.0.1:0"))
        hfaxd = await stack.enter_async_context(hylafax.serve(box, "127.0.0.1:0"))
        base = box.url.removesuffix("/api/fax")
        telnyx = {
            "provider": "telnyx",
            "url": f"{base}/v2",
            "account": "c-1",
            "from_number": "4165550000",
            "token": "t",
        }
        sinch = {"provider": "sinch", "url": base, "account": "p-1", "token": "s", "options.key": "k"}
        yield (
            box,
            {"telnyx": telnyx, "sinch": sinch, "hylafax": {"provider": "hylafax", "url": f"hylafax://{hfaxd.address}"}},
        )


async def test_numbers_choose_a_line_and_a_held_one_is_stood_in_for_but_never_for_a_doubt(bridge, faxapi, outbox, far):
    """One fax may be with the first provider: it stays there, unknown, when that then refuses its token."""
    box, sides = far
    lines = [
        {"name": "toronto", "senders": ["*@office.example"], "numbers": ["+1416*"], **sides["telnyx"]},
        {"name": "modems", "senders": [], **sides["hylafax"]},
    ]
    running = await bridge(line=lines, provider={"fallback": "modems"})
    toronto = await running.send(mail(pdf()), "4165550100@fax.local")
    assert (await running.until(toronto, State.DELIVERED)).line == "toronto"
    faxapi.on_post(LOST)
    doubt = await running.send(mail(pdf()), "6474959659@fax.local")
    await running.until(doubt, State.UNKNOWN)
    faxapi.on_post(*[Reply(402)] * 50)
    waiting = [await running.send(mail(pdf()), f"64749596{n}0@fax.local") for n in range(3)]
    for queue_id in waiting:
        assert (await running.until(queue_id, State.DELIVERED)).line == "modems"
    assert sorted(fax.number for fax in box.faxes) == ["4165550100", "6474959600", "6474959610", "6474959620"]
    assert [post.number for post in faxapi.posts].count("6474959659") == 1
    assert (await running.faxes(doubt))[0].state is State.UNKNOWN
    (trouble,) = await running.node.spool.read(questions.trouble_list)
    assert (trouble.line, trouble.kind, trouble.note) == ("", "held", "HTTP 402: the line's account has no credit")
    told = await outbox.wait(5)
    assert sum("495-9659" in one.subject for one in told) == 1


async def test_a_busy_number_is_called_four_times_and_answered_once(bridge, outbox, far, monkeypatch):
    """Where the provider calls once: each call is a fax of its own there, the reply tells how many and why."""
    monkeypatch.setattr(poll, "REDIALS", (0.3, 0.3, 0.3))
    box, sides = far
    running = await bridge(line=[{"name": "telnyx", "senders": ["*"], **sides["telnyx"]}])
    queue_id = await running.send(mail(pdf()), "4165550112@fax.local")
    fax = await running.until(queue_id, State.FAILED)
    assert (fax.submissions, fax.detail["calls"], fax.status) == (4, 4, "5.4.1")
    assert len({one.reference for one in box.faxes}) == 4
    reply = await outbox.next()
    assert "busy" in reply.text
    assert re.search(r"\b4\b", reply.text)
    await asyncio.sleep(1.0)  # longer than every pause of these settings: nothing follows
    assert (len(outbox.mails), len(box.faxes)) == (1, 4)


async def test_an_account_in_trouble_is_told_once_and_its_faxes_go_another_way(bridge, outbox, far, monkeypatch):
    """A fax that was taken, and then not called because there is no credit, was not sent: the other line has it."""
    box, sides = far
    lines = [
        {"name": "telnyx", "senders": ["*"], "fallback": "modems", **sides["telnyx"]},
        {"name": "modems", "senders": [], **sides["hylafax"]},
    ]
    running = await bridge(line=lines, reply={"admin": "admin@office.example"})
    queue_id = await running.send(mail(pdf()), "4165550117@fax.local")
    fax = await running.until(queue_id, State.DELIVERED, State.FAILED)
    assert (fax.state, fax.line, fax.submissions) == (State.FAILED, "modems", 2)
    assert [one.number for one in box.faxes] == ["4165550117"] * 2
    mails = await outbox.wait(2)
    assert sum("admin@office.example" in one.message["To"] for one in mails) == 1
    assert any("credit" in one.text for one in mails if "admin@office.example" in one.message["To"])


async def test_an_operator_stops_a_fax_at_its_provider_or_hears_why_not_and_names_one_from_the_portal(
    tmp_path, faxapi, outbox, far
):
    """By the commands, beside a running node."""
    _, sides = far
    lines = [
        {"name": "sinch", "senders": ["*"], "numbers": ["+14165550102"], **sides["sinch"]},
        {"name": "telnyx", "senders": ["*"], "numbers": ["+1416*"], **sides["telnyx"]},
    ]
    settings = {
        "provider": {"url": faxapi.url, "token": "t", "timeout": 5.0},
        "line": lines,
        "spool": {"url": f"sqlite:///{tmp_path}/spool.db"},
        "poll": {"first": 0.2, "longest": 0.5},
        "reply": {"relay": outbox.url},
    }
    faxapi.on_post(LOST)
    async with ServedBy(tmp_path, settings) as node:
        await node.up()
        slow, endless, lost = [
            await asyncio.to_thread(_sent, node.address, f"{number}@fax.local")
            for number in ("4165550103", "4165550102", "6474959659")
        ]
        await node.event("submitted", 2)
        code, _, _ = await command(node.file, "cancel", slow)
        assert code == 0
        code, _, said = await command(node.file, "cancel", endless)
        assert code == 1
        assert "this provider cannot stop a fax that it has" in said
        unclear, stopped = sorted(await outbox.wait(2), key=lambda one: "555-0103" in one.subject)
        assert ("495-9659" in unclear.subject, "ancelled" in stopped.subject) == (True, True)
        code, _, said = await command(node.file, "resolve", lost, "--reference", faxapi.posts[0].uuid)
        assert code == 0, said
        (*_, found) = await outbox.wait(3)
        assert "495-9659" in found.subject
        assert found.subject.startswith("Faxed to")
        assert len(faxapi.posts) == 1


def _sent(address, recipient):
    """One mail. Its queue id."""
    with smtplib.SMTP(*address, timeout=30) as client:
        client.ehlo("client.example")
        client.mail("anna@office.example")
        client.rcpt(recipient)
        code, text = client.data(mail(pdf()))
    assert code == 250
    return text.decode().split()[-1]
