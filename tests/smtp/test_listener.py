"""The front door over real sockets: the promise of 250, what is never lost or misread, and the traps of aiosmtpd."""

import asyncio
import contextlib
import errno
import io
import logging
import socket
import struct
import sys
import time

import aiosmtpd
import pytest
import structlog
from aiosmtpd.smtp import SMTP

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.smtp import answers, limits
from mail2fax.smtp.connection import Connection
from mail2fax.smtp.listener import Listener
from mail2fax.smtp.session import converse
from mail2fax.spool import questions
from tests.smtp.test_dotstuff import FALSE_ENDS
from tests.support.frontdoor import NUMBER, SENDER, opened


@pytest.fixture
async def door(tmp_path):
    """A listener with the shipped settings."""
    async with opened(tmp_path) as running:
        yield running


# -- the pin


def test_the_version_whose_private_names_are_overridden():
    """Another aiosmtpd may name them differently: look at smtp/connection.py before changing this."""
    assert aiosmtpd.__version__ == "1.4.6"
    for name in ("_handle_client", "_reset_timeout", "_cb_client_connected", "_set_rset_state"):
        assert callable(getattr(SMTP, name))


async def test_our_short_init_sets_what_the_long_one_sets(tmp_path):
    """Connection skips SMTP.__init__: each attribute it would set is there, or is used only by methods we override."""
    stock = SMTP(None, hostname="x", loop=asyncio.get_running_loop())
    ours = Connection(Listener(Settings(), None, None)._context, converse)
    replaced = {
        "_SMTP__ident__", "__ident__", "data_size_limit", "enable_SMTPUTF8", "_decode_data", "hostname", "tls_context",
        "require_starttls", "_timeout_duration", "_tls_handshake_okay", "_tls_protocol", "_auth_require_tls",
        "_proxy_timeout", "_authenticator", "_auth_callback", "_auth_required", "_auth_methods", "_ehlo_hook_ver",
        "_smtp_methods", "_enforce_call_limit", "event_handler",
    }  # fmt: skip
    assert set(vars(stock)) - replaced <= set(vars(ours))


# -- the promise


async def test_a_mail_is_kept_as_it_came(door):
    """250 names the queue id; envelope and bytes are the client's, dots undone, parameters decoded."""
    client = await door.client()
    await client.ask(f"MAIL FROM:<{SENDER}> RET=HDRS ENVID=QQ+2B1 BODY=8BITMIME")
    await client.ask(f"RCPT TO:<{NUMBER}> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@x.example")
    await client.ask("RCPT TO:<FAX=+14165550199@FAX.local> NOTIFY=NEVER")
    await client.ask("DATA")
    client.send(b"Subject: x\r\n\r\n..one\r\n\xff" + b"y" * 3000 + b"\r\n.\r\n")
    assert await client.answer() == "250 2.0.0 accepted as m1"
    ((envelope, content),) = door.shelf.mails
    assert content == b"Subject: x\r\n\r\n.one\r\n\xff" + b"y" * 3000 + b"\r\n"
    assert (envelope.reverse_path, envelope.ret, envelope.envid) == (SENDER, "HDRS", "QQ+1")
    assert (envelope.client, envelope.helo, envelope.user) == ("127.0.0.1", "me", "")
    one, two = envelope.recipients
    assert (one.number, one.notify, one.orcpt) == ("6135550123", {"SUCCESS", "FAILURE"}, "rfc822;Bob@x.example")
    assert (two.number, two.notify, two.address) == ("4165550199", {"NEVER"}, "FAX=+14165550199@FAX.local")


async def test_no_250_before_the_commit(door):
    """While the spool writes, the client hears nothing, however long it takes."""
    door.shelf.gate = asyncio.Event()
    client = await door.client()
    mail = asyncio.create_task(client.mail())
    await door.shelf.committing.wait()
    done, _ = await asyncio.wait({mail}, timeout=0.1)
    assert not done
    door.shelf.gate.set()
    assert (await mail).startswith("250 2.0.0 accepted as ")


async def test_the_same_mail_again_is_answered_250(door):
    """A client that lost our 250 gets it again, with a word about it (RFC 1047)."""
    client = await door.client()
    assert await client.mail() == "250 2.0.0 accepted as m1"
    assert await client.mail() == "250 2.0.0 the same mail came before, accepted as m2"


async def test_commands_sent_ahead_are_answered_in_order(door):
    """RFC 2920: three mails with all their commands in one segment, one answer each, in order."""
    client = await door.client()
    mail = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{NUMBER}>\r\nRCPT TO:<911@fax.local>\r\nDATA\r\n%d\r\n.\r\n"
    client.send("".join(mail % n for n in range(3)).encode() + b"NOOP\r\nQUIT\r\n")
    codes = [(await client.answer())[:3] for _ in range(17)]
    assert codes == ["250", "250", "550", "354", "250"] * 3 + ["250", "221"]
    assert [content for _, content in door.shelf.mails] == [b"0\r\n", b"1\r\n", b"2\r\n"]


async def test_a_client_that_only_ends_its_half_hears_every_answer(door):
    """`printf … | nc -N`: end of file after the last command cancels nothing."""
    client = await door.client()
    client.send(f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{NUMBER}>\r\nDATA\r\nx\r\n.\r\n".encode())
    client.writer.write_eof()
    assert [(await client.answer())[:3] for _ in range(5)] == ["250", "250", "354", "250", ""]


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_a_client_that_vanishes_after_the_dot_has_one_mail(door, how):
    """the commit is carried out once it was begun, whoever is still there to hear of it."""
    door.shelf.gate = asyncio.Event()
    client = await door.client()
    mail = asyncio.create_task(client.mail())
    await door.shelf.committing.wait()
    if how == "reset":
        linger = struct.pack("ii", 1, 0)  # closing is then a reset, which ends the session at once
        client.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await mail
    (open_session, task), *_ = door.listener._context.sessions.items()
    while how == "reset" and open_session.transport:
        await asyncio.sleep(0.01)
    door.shelf.gate.set()
    await asyncio.wait({task})
    assert len(door.shelf.mails) == 1
    assert door.shelf.discarded == 0


async def test_a_client_that_vanishes_in_the_middle_leaves_nothing(door):
    """Half a mail is no mail: its place is given up."""
    for end in ("close", "abort"):
        client = await door.client()
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
            await client.ask(command)
        client.send(b"half\r\n.\r")
        await client.writer.drain()
        getattr(client.writer.transport, end)()
        while door.listener._context.sessions:
            await asyncio.sleep(0.01)
        assert not door.shelf.mails
    assert door.shelf.discarded == 2
    assert door.listener._context.capacity.in_flight == 0


async def test_the_same_mail_on_two_connections_at_once_is_one_fax(tmp_path, spool):
    """Both clients are told 250, on either database, and one fax stands in the spool."""
    async with opened(tmp_path, spool=spool) as door:
        clients = [await door.client() for _ in range(4)]
        said = await asyncio.gather(*(client.mail(b"the very same\r\n") for client in clients))
        assert [answer[:9] for answer in said] == ["250 2.0.0"] * 4
        (queue_id,) = {answer.split()[-1] for answer in said}
        assert len(await spool.read(questions.named, queue_id)) == 1


async def test_a_mail_of_which_a_part_is_new_did_not_come_before(tmp_path, spool):
    """Its second number is faxed: the answer names this mail, and not the one that had the first."""
    async with opened(tmp_path, spool=spool) as door:
        client = await door.client()
        first = await client.mail()
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "RCPT TO:<4165550199@fax.local>", "DATA"):
            await client.ask(command)
        client.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
        second = await client.answer()
        assert second.startswith("250 2.0.0 accepted as ")
        assert second != first
        (fax,) = await spool.read(questions.named, second.split()[-1])
        assert fax.number == "4165550199"


async def test_a_large_mail_stands_in_the_spool(tmp_path, spool):
    """After 250 the spool holds the bytes, dots undone; after a refusal it holds nothing, not even a file."""
    content = b"Subject: x\r\n\r\n" + b".dots\r\n" * 50_000
    async with opened(tmp_path, spool=spool) as door:
        client = await door.client()
        assert await client.mail(b"Auto-Submitted: auto-replied\r\n" + content) == answers.AUTO_REPLIED
        answer = await client.mail(content.replace(b"\r\n.", b"\r\n.."))
        async with spool.content(answer.split()[-1]) as file:
            assert file.read_bytes() == content
        assert len([one for one in spool.contents.folder.iterdir() if one.is_file()]) <= 1


# -- what is never misread


@pytest.mark.parametrize("chosen", ["normalize", "refuse"])
@pytest.mark.parametrize("end", FALSE_ENDS)
async def test_a_second_mail_cannot_hide_in_the_first(tmp_path, end, chosen):
    """CVE-2024-27305: nothing is answered after a false end; the whole is one mail, or none for its bare line ends."""
    async with opened(tmp_path, {"bare_newlines": chosen}) as door:
        client = await door.client()
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
            await client.ask(command)
        client.send(b"one" + end + f"MAIL FROM:<evil@x.example>\r\nRCPT TO:<{NUMBER}>\r\nDATA\r\ntwo".encode())
        assert await client.silent()
        client.send(b"\r\n.\r\n")
        taken = chosen == "normalize" or end == b"\r\n\0.\r\n"
        assert (await client.answer()).startswith("250 2.0.0" if taken else "550 5.5.2")
        assert (await client.ask("NOOP")).startswith("250")
        assert [envelope.reverse_path for envelope, _ in door.shelf.mails] == [SENDER] * taken


async def test_too_large_a_mail_is_read_to_its_end(tmp_path):
    """552, none of its bytes is taken for a command, its place is freed at once, and the connection lives on."""
    async with opened(tmp_path, {"max_message_size": 1000}) as door:
        client = await door.client()
        assert await client.ask(f"MAIL FROM:<{SENDER}> SIZE=1001") == answers.TOO_BIG
        for command in (f"MAIL FROM:<{SENDER}> SIZE=1000", f"RCPT TO:<{NUMBER}>", "DATA"):
            await client.ask(command)
        client.send(b"x" * 600 + b"\r\n")
        while not door.listener._context.capacity.in_flight:
            await asyncio.sleep(0.01)
        client.send(b"NOOP\r\n" * 100_000)
        while door.listener._context.capacity.in_flight:
            await asyncio.sleep(0.01)
        assert door.shelf.discarded == 1
        client.send(b".\r\n")
        assert await client.answer() == answers.TOO_BIG
        assert await client.mail() == "250 2.0.0 accepted as m2"


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/secret/path"), answers.NO_ROOM),
        (OSError(errno.EIO, "Input/output error", "/secret/path"), answers.INTERNAL),
        (RuntimeError("déjà vu /secret/path"), answers.INTERNAL),
    ],
)
@pytest.mark.parametrize("when", ["write_fault", "fault"])
async def test_errors_of_ours_are_4yz_and_tell_nothing(door, monkeypatch, when, fault, answer):
    """ENOSPC, EIO or a bug, while the mail arrives or when it is committed: 4yz, a fixed text, no lost step.

    The operator reads whose mail could not be made durable, and why.
    """
    told = []
    monkeypatch.setattr(log, "not_accepted", lambda **facts: told.append((facts["sender"], facts["error"])))
    setattr(door.shelf, when, fault)
    client = await door.client()
    assert await client.mail(b"NOOP\r\nQUIT\r\n" * 20_000) == answer
    assert told == [(SENDER, fault)]
    setattr(door.shelf, when, None)
    assert (await client.mail()).startswith("250 2.0.0 accepted")


async def test_an_error_anywhere_in_a_command_is_451(door, monkeypatch):
    """also where no spool is concerned; the session goes on."""
    client = await door.client()
    monkeypatch.setattr(limits, "over_budget", lambda *_: 1 / 0)
    assert (await client.mail()).startswith("451 4.3.0")
    monkeypatch.undo()
    assert await client.ask("RSET") == answers.DONE
    assert (await client.mail()).startswith("250 2.0.0")


@pytest.mark.parametrize("early", [b"", b"x\r\n"])
async def test_an_error_after_354_ends_the_session(door, monkeypatch, early):
    """when receiving itself fails, the rest of the mail is not read as commands: the connection is closed."""
    client = await door.client()
    for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>"):
        await client.ask(command)
    monkeypatch.setattr("mail2fax.smtp.data.Reception.feed", lambda *_: 1 / 0)
    client.send(b"DATA\r\n" + early)
    assert (await client.answer())[:3] == "354"
    with contextlib.suppress(ConnectionError):
        client.send(b"x\r\nNOOP\r\nNOOP\r\n.\r\n")
        assert await client.answer() == ""


# -- the other traps


async def test_one_line_without_an_end_takes_no_memory(door):
    """30 MB in one line are refused by size or kept; the server holds none of it."""
    client = await door.client()
    for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
        await client.ask(command)
    for _ in range(300):
        client.send(b"x" * 100_000)
        await client.writer.drain()
    client.send(b"\r\n.\r\n")
    assert (await client.answer()).startswith("250 2.0.0")
    assert len(door.shelf.mails[0][1]) == 30_000_002


@pytest.mark.parametrize(
    "command",
    [
        b'MAIL FROM:<"a\rb"@b.example>', b"EHLO a\rb", b"EHLO a\0b", b"MAIL FROM:<a@b.example>\nRCPT TO:<x>", b"NOOP\t",
        b"\xffNOOP\x01", b"",
    ],
)  # fmt: skip
async def test_control_characters_are_no_command(door, command):
    """a CR, LF or NUL within a line is refused: nothing can be injected into answers, logs or headers."""
    client = await door.client()
    client.send(command + b"\r\n")
    assert (await client.answer())[:9] in {"500 5.5.2", "500 5.5.1"}


async def test_a_line_that_ends_in_lf_alone_is_no_command(door):
    """RFC 5321 section 2.3.8."""
    client = await door.client()
    client.send(b"NOOP\nNOOP\r\n")
    assert await client.answer() == answers.BAD_LINE
    assert await client.answer() == answers.DONE


async def test_long_commands_do_not_depend_on_other_clients(door):
    """a command of 1,900 octets is fine, before and after another client came; one of 3,000 is 500 and no more."""
    client = await door.client()
    long = f"MAIL FROM:<{SENDER}> AUTH=" + "x" * 1850
    for _ in range(3):
        assert await client.ask(long) == answers.SENDER_OK
        await (await door.client()).ask("RSET")
        assert await client.ask("RSET") == answers.DONE
    for size in (3000, 300_000):
        assert await client.ask(b"NOOP " + b"x" * size) == answers.LINE_TOO_LONG
        assert await client.ask("NOOP") == answers.DONE


@pytest.fixture
def everything_logged():
    """All that is logged at the finest level, as an operator sees it."""
    root, stream = logging.getLogger(), io.StringIO()
    before = root.handlers[:], root.level
    log.configure("console", "debug", stream)
    yield stream
    root.handlers[:], root.level = before
    structlog.reset_defaults()


async def test_nothing_logs_what_people_send(door, everything_logged):
    """no line of a mail, no argument of a command, nothing of aiosmtpd's own; our events name who and to whom."""
    client = await door.client()
    await client.mail(b"Subject: canary-subject\r\n\r\ncanary-text\r\n")
    await client.ask("NOOP canary-argument")
    await client.ask("RCPT TO:<canary>")
    said = everything_logged.getvalue()
    assert "canary" not in said
    assert SENDER in said
    assert "mail.log" not in said


async def test_asserts_decide_nothing(tmp_path):
    """aiosmtpd's asserts are its control flow; what we took over works without them (`python -O`)."""
    program = f"""
import asyncio, pathlib
from tests.support.frontdoor import opened
async def main():
    async with opened(pathlib.Path({str(tmp_path)!r})) as door:
        client = await door.connect()
        await client.answer()
        await client.ask("EHLO me")
        print(await client.mail(b"x" * 100_000 + bytes([13, 10])))
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(sys.executable, "-O", "-c", program, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert b"250 2.0.0 accepted as m1" in out


# -- silence, slowness, shutdown


async def test_silence_ends_a_session(tmp_path):
    """421 4.4.2, in words, then the end; half a command is silence too."""
    async with opened(tmp_path, {"timeout": 1.0}) as door:
        begun = time.monotonic()
        client = await door.client()
        client.send(b"NO")
        assert await client.answer() == answers.IDLE
        assert await client.answer() == ""
        assert time.monotonic() - begun > 1.0


async def test_a_long_commit_is_no_silence(tmp_path):
    """The client waits for us then: the clock stands still."""
    async with opened(tmp_path, {"timeout": 1.0}) as door:
        door.shelf.gate = asyncio.Event()
        client = await door.client()
        mail = asyncio.create_task(client.mail())
        await door.shelf.committing.wait()
        done, _ = await asyncio.wait({mail}, timeout=2.5)
        assert not done
        door.shelf.gate.set()
        assert (await mail).startswith("250 2.0.0")


async def test_a_mail_may_take_longer_than_the_timeout(tmp_path):
    """The clock counts silence, not the mail: pieces keep it going."""
    async with opened(tmp_path, {"timeout": 2.5}) as door:
        client = await door.client()
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
            await client.ask(command)
        for _ in range(12):
            client.send(b"piece\r\n")
            await asyncio.sleep(0.25)
        client.send(b".\r\n")
        assert (await client.answer()).startswith("250 2.0.0")


async def test_dribbling_a_mail_ends_the_session(tmp_path, monkeypatch):
    """Less than min_rate on average, after the first minute: 421 4.4.2, and the place is given up."""
    monkeypatch.setattr(Connection, "grace", 0.5)
    async with opened(tmp_path, {"timeout": 2.0, "min_rate": 1000}) as door:
        client = await door.client()
        for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
            await client.ask(command)
        said = asyncio.create_task(client.answer())
        while not said.done():
            client.send(b"x")
            await asyncio.sleep(0.05)
        assert await said == answers.TOO_SLOW
        assert door.shelf.discarded == 1


async def test_a_client_that_does_not_read_is_cut_off(tmp_path):
    """Answers it never takes do not hold the session for ever, nor fill our memory."""
    async with opened(tmp_path, {"timeout": 0.3}) as door:
        client = await door.connect()
        client.reader._transport.pause_reading()
        client.send(b"HELP\r\n" * 2_000_000)
        for _ in range(500):
            if not door.listener._context.sessions:
                break
            await asyncio.sleep(0.02)
        assert not door.listener._context.sessions
        client.writer.transport.abort()


async def test_shutdown_says_421_to_whoever_waits_or_sends(door):
    """421 4.3.2 between commands and in the middle of DATA, whose bytes are forgotten."""
    idle, sending = await door.client(), await door.client()
    for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
        await sending.ask(command)
    sending.send(b"half a mail\r\n")
    await sending.writer.drain()
    closing = asyncio.create_task(door.listener.close())
    assert await idle.answer() == answers.SHUTTING_DOWN
    assert await sending.answer() == answers.SHUTTING_DOWN
    await idle.close()
    await sending.close()
    await closing
    assert not door.shelf.mails
    with pytest.raises(ConnectionError):
        await door.connect()


async def test_shutdown_waits_for_a_commit(door):
    """A mail that is being made durable gets its 250, and only then the 421."""
    door.shelf.gate = asyncio.Event()
    client = await door.client()
    mail = asyncio.create_task(client.mail())
    await door.shelf.committing.wait()
    closing = asyncio.create_task(door.listener.close())
    await asyncio.sleep(0)
    door.shelf.gate.set()
    assert (await mail).startswith("250 2.0.0 accepted")
    assert await client.answer() == answers.SHUTTING_DOWN
    await client.close()
    await closing


async def test_five_hundred_dribbling_clients_delay_nobody(tmp_path):
    """A good client's mail takes less than a second of the processor while 500 others send a byte now and then."""
    async with opened(tmp_path, {"max_connections": 1000, "max_connections_per_client": 1000}) as door:
        crowd = [await door.connect() for _ in range(500)]

        async def dribble() -> None:
            while True:
                for client in crowd:
                    client.send(b"N")
                await asyncio.sleep(0.02)

        dribbling = asyncio.create_task(dribble())
        good = await door.client()
        begun = time.process_time()
        for _ in range(5):
            assert (await good.mail()).startswith("250 2.0.0")
        assert time.process_time() - begun < 5
        begun = time.process_time()
        assert (await good.mail(b"x" * 76 + b"\r\n")).startswith("250 2.0.0")
        assert time.process_time() - begun < 1
        dribbling.cancel()
