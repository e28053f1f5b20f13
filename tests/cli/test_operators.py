"""What a person may ask for, as the commands they type: beside a running node, with an event that says who it was."""

import asyncio
import contextlib
import getpass
import os
import pty
import smtplib
import sqlite3
import subprocess
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.crashsweep import settings
from tests.support.faxapi import LOST
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE
from tests.support.processes import PROGRAM, ServedBy, command
from tests.support.samples import pdf


@pytest.fixture
async def node(tmp_path, faxapi, outbox):
    """A running node on SQLite."""
    async with ServedBy(tmp_path, settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db")) as served:
        await served.up()
        yield served


@pytest.fixture
def ledger(faxapi, outbox):
    return Ledger(faxapi, outbox)


async def ask(node, *words, status=0):
    """Run a command with --json. What it printed."""
    code, printed, err = await command(node.file, *words, "--json")
    assert code == status, (words, printed, err)
    return printed if status == 0 else err


def typed(answer, *words):
    """Run a command at a terminal, and type this when it asks. What stood on the screen."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([*PROGRAM, *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.write(ours, answer.encode())
    screen = b""
    with contextlib.suppress(OSError):  # EIO: nobody writes there any more
        while piece := os.read(ours, 4096):
            screen += piece
    os.close(ours)
    assert process.wait(60) == 1
    return " ".join(screen.decode().split())


async def faxes(node, queue_id):
    """The faxes of a mail, as `show --json` tells them."""
    shown = await ask(node, "show", queue_id)
    return shown if isinstance(shown, list) else [shown]


async def events(node, fax_id):
    (fax,) = await faxes(node, fax_id)
    return [(event["what"], event["who"]) for event in fax["events"]]


async def test_hold_release_and_cancel(node, ledger, faxapi, outbox):
    """A held fax waits while others go; released it goes; cancelled it is told, and never sent."""
    me = getpass.getuser()
    await faxapi.stop()
    mails = [await ledger.deliver(lambda: node.address, pdf()) for _ in range(3)]
    await node.event("prepared", 3)
    one, other, _ = (f"{mail.ids[0]}-1" for mail in mails)
    assert (await ask(node, "hold", one))["held"] == [one]
    assert (await ask(node, "hold", "--sender", mails[1].sender))["held"] == [other]
    assert "nothing" in (await command(node.file, "hold", one))[1].lower()
    await faxapi.start()
    await faxapi.until(lambda: len(faxapi.posts) == 1)
    assert faxapi.posts[0].number == mails[2].numbers[0]
    assert (await ask(node, "cancel", other))["state"] == "cancelled"
    assert (await ask(node, "release", "--all"))["released"] == [one]
    await ledger.settled(40)
    assert ledger.wrongs() == []
    assert sorted(post.number for post in faxapi.posts) == sorted([mails[0].numbers[0], mails[2].numbers[0]])
    told = {number: tales[-1].state for number, tales in ledger.told().items()}
    assert told[mails[1].numbers[0]] == "cancelled"
    assert [what for what, who in await events(node, one) if who == me] == ["hold", "release"]
    assert [what for what, who in await events(node, other) if who == me] == ["hold", "cancelled"]


async def test_retry_and_resolve(node, ledger, faxapi, outbox):
    """An unknown fax is resolved, or sent again as a new one: the sender hears of each, and no more is sent."""
    faxapi.on_post(LOST, LOST, LOST, LOST)
    mails = [await ledger.deliver(lambda: node.address, pdf()) for _ in range(4)]
    await ledger.settled(40)
    resent, arrived, gone, doubted = (f"{mail.ids[0]}-1" for mail in mails)
    assert {tales[-1].state for tales in ledger.told().values()} == {"unknown"}
    ledger.asked_again[mails[0].numbers[0]] += 1
    said = await asyncio.to_thread(typed, "n\n", "retry", resent, "--config", str(node.file))
    assert (
        "it may have arrived, and would arrive twice" in said and "all the same? [y/N]: " in said and "Aborted" in said
    ), said
    ledger.asked_again[mails[3].numbers[0]] += 1
    code, _, err = await command(node.file, "retry", doubted, "--json")  # a program is told, and not asked
    assert code == 0 and f"`mail2fax resolve --config {node.file} {doubted} --resend` is the way" in " ".join(
        err.split()
    )
    said = await ask(node, "retry", doubted, status=1)  # what is refused anyway is not asked about
    assert "was sent again already" in said and "would arrive twice" not in said
    _, shown, _ = await command(node.file, "show", resent)
    assert "ready, perhaps delivered" in shown and " faxed" not in shown
    await ask(node, "pause")
    code, made, err = await command(node.file, "resolve", resent, "--resend", "--json")
    assert code == 0 and f"Sending is paused, by {getpass.getuser()}" in err
    assert "is being sent again as" in await ask(node, "resolve", resent, "--delivered", status=1)
    await ask(node, "resume")
    assert made["fax"] == f"{mails[0].ids[0]}-2"
    assert (await ask(node, "resolve", arrived, "--delivered"))["state"] == "delivered"
    assert (await ask(node, "resolve", gone, "--failed"))["state"] == "failed"
    await outbox.wait(8)
    told = {number: [tale.state for tale in tales] for number, tales in ledger.told().items()}
    assert told == {
        mails[0].numbers[0]: ["unknown", "delivered"],
        mails[1].numbers[0]: ["unknown", "delivered"],
        mails[2].numbers[0]: ["unknown", "failed"],
        mails[3].numbers[0]: ["unknown", "delivered"],
    }
    assert len(faxapi.posts) == 6
    me = getpass.getuser()
    assert ("retry", me) in await events(node, resent)
    assert ("delivered", me) in await events(node, arrived)
    ledger.asked_again[mails[2].numbers[0]] += 1
    assert (await ask(node, "retry", gone))["retry_of"] == gone
    assert "is delivered" in await ask(node, "retry", arrived, status=1)
    await outbox.wait(9)
    assert len(faxapi.posts) == 7
    # Twice the same command is one fax: the second is refused, unless it is said to be meant.
    second = f"{mails[2].ids[0]}-2"
    assert f"{gone} was sent again already, as {second}, which is" in await ask(node, "retry", gone, status=1)
    ledger.asked_again[mails[2].numbers[0]] += 1
    assert (await ask(node, "retry", gone, "--again"))["fax"] == f"{mails[2].ids[0]}-3"
    await outbox.wait(10)
    assert len(faxapi.posts) == 8
    wrongs = [wrong for wrong in ledger.wrongs() if "several outcomes" not in wrong]  # a person said so
    assert wrongs == []


async def test_what_makes_no_sense_is_refused_with_a_reason(node, ledger):
    """Exit status 1 and the reason for what cannot be, 2 for what is not understood; nothing changes."""
    mail = await ledger.deliver(lambda: node.address, pdf())
    await ledger.settled(40)
    name = f"{mail.ids[0]}-1"
    before = await events(node, name)
    for words in (("cancel", name), ("resolve", name, "--failed"), ("retry", name), ("resolve", name, "--resend")):
        assert f"{name} is delivered" in await ask(node, *words, status=1)
    assert "no such fax" in await ask(node, "cancel", "NOSUCH-1", status=1)
    for words in (("hold", name, "--all"), ("resolve", name, "--failed", "--resend")):
        await ask(node, *words, status=2)
    assert (await command(node.file, "hold", name))[0] == 1
    assert await events(node, name) == before
    assert ledger.wrongs() == []


async def test_purge_takes_what_was_kept_long_enough(node, ledger, tmp_path):
    """Beside the running node; afterwards nobody can send it again, and is told why."""
    mail = await ledger.deliver(lambda: node.address, pdf(size=200_000))
    await ledger.settled(40)
    assert await ask(node, "purge") == {"contents": 0, "histories": 0}
    with contextlib.closing(sqlite3.connect(tmp_path / "spool.db", timeout=10)) as spool, spool:
        spool.execute("UPDATE faxes SET finished_at = finished_at - 8 * 86400")
    spool.close()
    assert await ask(node, "purge") == {"contents": 1, "histories": 0}
    assert list((tmp_path / "spool.db.contents").iterdir()) == []
    assert "no longer kept" in await ask(node, "retry", f"{mail.ids[0]}-1", "--number", "4162009999", status=1)
    assert (await faxes(node, mail.ids[0]))[0]["state"] == "delivered"


async def test_a_spool_that_is_not_there(tmp_path, faxapi, outbox):
    """The wrong folder or settings are likelier than an empty spool: each command says so, and fails."""
    file = tmp_path / "mail2fax.toml"
    file.write_text(f'[spool]\nurl = "sqlite:///{tmp_path}/nowhere.db"\n')
    for words in (("list", "--json"), ("show", "6FWDXM0V3AKKS"), ("refused",), ("purge",)):
        code, printed, err = await command(file, *words)
        assert (code, printed) == (1, "")
        assert f"there is no spool at {tmp_path}/nowhere.db" in err
        assert f"`mail2fax serve --config {file}` makes it" in err
    assert list(tmp_path.glob("nowhere*")) == []


async def test_a_list_in_a_pipe_keeps_each_fax_on_its_line(node, ledger):
    """For grep and awk, whatever the length of an address."""
    mails = [await ledger.deliver(lambda: node.address, pdf()) for _ in range(2)]
    await ledger.settled(30)
    _, printed, _ = await command(node.file, "list")
    head, *lines = printed.splitlines()
    assert head.split()[:4] == ["ID", "RECEIVED", "FROM", "NUMBER"]
    assert {(line.split()[0], line.split()[2]) for line in lines} == {(f"{one.ids[0]}-1", one.sender) for one in mails}


async def test_a_pause_keeps_everything_until_a_resume(node, ledger, faxapi, outbox):
    """Accepted, prepared, and not handed over while sending is paused; a second pause is refused; then all goes."""
    assert await ask(node, "pause") == {"paused": True}
    assert "paused already" in await ask(node, "pause", status=1)
    mail = await ledger.deliver(lambda: node.address, pdf())
    await node.event("prepared", 1)
    assert not faxapi.posts
    by = f"paused, by {getpass.getuser()}"
    assert by in (await command(node.file, "list"))[1]
    assert by in (await command(node.file, "show", mail.ids[0]))[1]
    assert by in (await command(node.file, "test", "4165550100", "--sender", "a@b.example"))[2]
    assert await ask(node, "resume") == {"paused": False}
    await faxapi.until(lambda: len(faxapi.posts) == 1)
    assert faxapi.posts[0].number == mail.numbers[0]
    assert "not paused" in await ask(node, "resume", status=1)


async def test_what_was_refused_is_told(node):
    """Who asks why a mail did not go finds the answer that its mail server was given."""
    host, port = node.address

    def refused():
        with smtplib.SMTP(host, port, timeout=30) as client:
            client.helo("client.example")
            client.mail("anna@office.example")
            assert client.rcpt("9005551234@fax.local")[0] == 550

    await asyncio.to_thread(refused)
    async with asyncio.timeout(PATIENCE):
        while not (found := await ask(node, "refused", "anna@office.example")):
            await asyncio.sleep(0.2)
    assert "9005551234" in found[0]["recipient"] and found[0]["answer"].startswith("550 5.7.1")
    assert await ask(node, "refused", "nobody@office.example") == []
    at = datetime.fromisoformat(found[0]["at"]).astimezone(ZoneInfo("America/Toronto"))  # as all times for people
    assert (await command(node.file, "refused"))[1].startswith(at.isoformat(" ", "seconds"))
