"""`mail2fax list` on a terminal of any width, on a screenful, and on ten thousand faxes."""

import asyncio
import datetime as dt
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from mail2fax.cli import listing
from mail2fax.config import Settings
from mail2fax.model import Fax, State
from mail2fax.spool import open_spool
from mail2fax.spool.database.schema import faxes, now
from tests.support.processes import PROGRAM, command, environment
from tests.support.spooling import put

ZONE = ZoneInfo("America/Toronto")
NOW = dt.datetime(2026, 11, 28, 12, tzinfo=ZONE)


def fax(number, **changes):
    known = {
        "id": f"6FWDXM0V3AKKS-{number}",
        "message_id": "6FWDXM0V3AKKS",
        "sender": "anna-maria.schmidt-huber@accounting.office.example",
        "recipient": "4165550123@fax.local",
        "number": "4165550123",
        "line": "",
        "state": State.SUBMITTED,
        "progress": "Busy, redialing",
        "received_at": NOW - dt.timedelta(days=1, minutes=4),
        "pages": 3,
        "now": NOW,
    }
    return Fax(**{**known, **changes})


FAXES = [fax(1), fax(2, state=State.DELIVERED, progress="", reply="sent"), fax(3, received_at=NOW, held_by="kim")]


@pytest.mark.parametrize("room", [40, 50, 60, 72, 80, 100, 132, 200])
def test_no_width_cuts_an_id_or_loses_a_sender(room):
    """What is copied from a list has to name the fax; who sent it is what a list is read for."""
    head, *lines = listing.lines(FAXES, listing.Times(ZONE, NOW, short=True), room)
    assert "FROM" in head
    for one, line in zip(FAXES, lines, strict=True):
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        assert plain.split()[0] == one.id
        assert "anna-maria.sch" in plain
        assert "(416) 555-0123" in plain
        assert len(plain) <= max(room, 60)


def test_columns_go_in_their_order():
    """A narrow terminal does without the reply first, and without the date last."""
    shown = {}
    for room in (200, 96, 80, 60):
        head = next(listing.lines(FAXES, listing.Times(ZONE, NOW, short=True), room))
        shown[room] = re.sub(r"\x1b\[[0-9;]*m", "", head).split()
    assert shown[200] == ["ID", "RECEIVED", "FROM", "NUMBER", "PAGES", "STATE", "SINCE", "REPLY"]
    assert shown[96] == ["ID", "RECEIVED", "FROM", "NUMBER", "PAGES", "STATE", "SINCE"]
    assert shown[80] == ["ID", "RECEIVED", "FROM", "NUMBER", "PAGES", "STATE"]
    assert shown[60] == ["ID", "FROM", "NUMBER", "STATE"]


def on_a_terminal(file, width, *words):
    """What a terminal of this width is shown."""
    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, width, 0, 0))
    with subprocess.Popen(
        [*PROGRAM, *words, "--config", str(file)],
        stdin=follower,
        stdout=follower,
        stderr=subprocess.PIPE,
        env=environment(TERM="xterm"),
    ) as process:
        os.close(follower)
        seen = b""
        try:
            while data := os.read(leader, 65536):
                seen += data
        except OSError:  # Linux' way to say that nobody writes any more
            pass
        errors = process.stderr.read().decode()
    os.close(leader)
    assert process.returncode == 0, errors
    return re.sub(r"\x1b\[[0-9;]*m", "", seen.decode()), errors


@pytest.fixture
async def filled(tmp_path):
    """A settings file, and the ids of three faxes in its spool."""
    file = tmp_path / "mail2fax.toml"
    file.write_text(f'[spool]\nurl = "sqlite:///{tmp_path}/spool.db"\n')
    settings = Settings(spool={"url": f"sqlite:///{tmp_path}/spool.db"})
    async with open_spool(settings) as spool:
        receipts = [await put(spool, content=b"mail %d" % n) for n in range(3)]
    return file, [f"{receipt.queue_id}-1" for receipt in receipts]


async def test_a_real_terminal(filled):
    """At 60 columns each fax is one line that begins with its id."""
    file, ids = filled
    seen, errors = await asyncio.to_thread(on_a_terminal, file, 60, "list")
    lines = seen.splitlines()
    assert {line.split()[0] for line in lines[1:]} == set(ids)
    assert all(len(line) <= 60 for line in lines)
    assert errors == ""


async def test_more_than_is_shown(filled):
    """A list that ends early says so, and how to go on; the next page begins where it ended."""
    file, ids = filled
    code, printed, errors = await command(file, "list", "--limit", "2")
    assert code == 0
    shown = [line.split()[0] for line in printed.splitlines()[1:]]
    assert len(shown) == 2
    assert f"2 of 3. More: --limit, or --before {shown[-1]}" in errors
    _, printed, errors = await command(file, "list", "--limit", "2", "--before", shown[-1])
    assert [line.split()[0] for line in printed.splitlines()[1:]] == list(set(ids) - set(shown))


def test_what_was_typed_instead_of_a_number_is_a_word():
    """A mistyped number leaves no hole among the columns."""
    for typed, shown in (("416555010", "416555010"), ('"call me"', '"call_me"'), ("", "-")):
        mistyped = replace(fax(1), number="", recipient=f"{typed}@fax.local", state=State.FAILED)
        _, line, *_ = listing.lines([mistyped], listing.Times(ZONE, NOW, short=False), None)
        assert line.split()[3] == shown


async def test_what_nobody_knows_is_counted_whether_shown_or_not(filled):
    """An unknown fax that is too old for the screen still waits for somebody; one that was not asked for does not."""
    file, ids = filled
    async with open_spool(Settings(spool={"url": f"sqlite:///{file.parent}/spool.db"})) as spool:
        unknown = update(faxes).values(state="unknown", finished_at=now(), reason="no-answer", status="4.4.2")
        await spool.change(lambda connection: connection.execute(unknown))
    for words, noted in ((["--limit", "1"], True), (["--state", "delivered"], False)):
        _, _, errors = await command(file, "list", *words)
        assert (f"{len(ids)} unknown: ask the recipients" in errors) is noted


def test_a_pipe_has_whole_moments_without_blanks():
    """awk counts columns: a day and its time are one word, with the offset."""
    _, line, *_ = listing.lines(FAXES, listing.Times(ZONE, NOW, short=False), None)
    assert line.split()[1:4] == [
        "2026-11-27T11:56:00-05:00",
        "anna-maria.schmidt-huber@accounting.office.example",
        "4165550123",
    ]
