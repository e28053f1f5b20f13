"""How much: connections, mails, recipients, errors, bytes, disk, spool; loops, and postmaster."""

import asyncio

import pytest

from mail2fax.config import Smtp
from mail2fax.model import Usage
from mail2fax.smtp import answers
from mail2fax.smtp.limits import Rates, Window
from mail2fax.spool import operator, search
from tests.support.frontdoor import NUMBER, SENDER, opened


async def sending(client) -> None:
    """Get as far as 354."""
    for command in (f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{NUMBER}>", "DATA"):
        answer = await client.ask(command)
    assert answer == answers.GO_AHEAD


@pytest.mark.parametrize("limit", ["max_connections", "max_connections_per_client"])
async def test_connections(tmp_path, limit):
    """One too many is told 421 4.7.0; as soon as one leaves, another may come."""
    async with opened(tmp_path, {limit: 2}) as door:
        one = await door.client()
        await door.client()
        third = await door.connect()
        assert await third.answer() == answers.TOO_MANY_CONNECTIONS
        assert await third.answer() == ""
        assert (await one.ask("QUIT")) == answers.BYE
        await one.close()
        await third.close()
        while len(door.listener._context.sessions) > 1:
            await asyncio.sleep(0.01)
        assert (await (await door.client()).mail()).startswith("250 2.0.0")


async def test_recipients(tmp_path):
    """452 4.5.3 for each too many; those before are kept, and it counts as nobody's error."""
    async with opened(tmp_path, {"max_recipients": 100, "max_errors": 3}) as door:
        client = await door.client()
        await client.ask(f"MAIL FROM:<{SENDER}>")
        for n in range(100):
            assert await client.ask(f"RCPT TO:<61355501{n:02}@fax.local>") == answers.RECIPIENT_OK
        for _ in range(5):
            assert await client.ask("RCPT TO:<6135550299@fax.local>") == answers.TOO_MANY_RECIPIENTS
        await client.ask("DATA")
        client.send(b"x\r\n.\r\n")
        assert (await client.answer()).startswith("250 2.0.0")
        assert len(door.shelf.mails[0][0].recipients) == 100


async def test_mails_on_a_connection(tmp_path):
    """421 4.7.0 to the MAIL after the last, so that a relay opens a new connection and goes on."""
    async with opened(tmp_path, {"max_messages_per_connection": 2}) as door:
        client = await door.client()
        for _ in range(2):
            assert (await client.mail()).startswith("250 2.0.0")
        assert await client.mail() == answers.TOO_MANY_MESSAGES
        assert await client.answer() == ""


async def test_mails_a_minute(tmp_path):
    """452 4.7.1 from the third on, on any connection of that client."""
    async with opened(tmp_path, {"max_messages_per_minute": 2}) as door:
        for _ in range(2):
            assert (await (await door.client()).mail()).startswith("250 2.0.0")
        assert await (await door.client()).mail() == answers.TOO_MANY_A_MINUTE


@pytest.mark.parametrize("command", ["NOSUCH", "RCPT TO:<x>", "MAIL FROM:x", "RCPT TO:<1@elsewhere.example>"])
async def test_errors(tmp_path, command):
    """The last one that is borne is answered, then 421 4.7.0; a mail that is accepted starts the count anew."""
    async with opened(tmp_path, {"max_errors": 3}) as door:
        client = await door.client()
        for _ in range(2):
            assert (await client.ask(command))[0] == "5"
        assert (await client.mail()).startswith("250 2.0.0")
        for _ in range(3):
            assert (await client.ask(command))[0] == "5"
        assert await client.answer() == answers.TOO_MANY_ERRORS
        assert await client.answer() == ""


@pytest.mark.parametrize("verb", ["GET / HTTP/1.1", "POST /x HTTP/1.1", "HEAD / HTTP/1.0", "CONNECT x:25 HTTP/1.1"])
async def test_browsers_are_sent_away(tmp_path, verb):
    """Nothing in the body of a web request is taken for a command."""
    async with opened(tmp_path) as door:
        client = await door.client()
        client.send(f"{verb}\r\nHost: x\r\n\r\nMAIL FROM:<{SENDER}>\r\n".encode())
        assert await client.answer() == answers.NOT_HTTP
        assert await client.answer() == ""


async def test_bytes_in_flight(tmp_path):
    """A mail that would be too much at once is put off: at MAIL if it says its size, else when it has been read."""
    async with opened(tmp_path, {"max_bytes_in_flight": 10_000}) as door:
        one, two = await door.client(), await door.client()
        assert await one.ask(f"MAIL FROM:<{SENDER}> SIZE=10001") == answers.NO_ROOM
        await sending(one)
        one.send(b"x" * 6000 + b"\r\n")
        while not door.listener._context.capacity.in_flight:
            await asyncio.sleep(0.01)
        assert await two.ask(f"MAIL FROM:<{SENDER}> SIZE=6000") == answers.NO_ROOM
        assert await two.mail(b"y" * 6000 + b"\r\n") == answers.NO_ROOM
        one.send(b".\r\n")
        assert (await one.answer()).startswith("250 2.0.0")
        assert (await two.mail(b"y" * 6000 + b"\r\n")).startswith("250 2.0.0")
        assert door.listener._context.capacity.in_flight == 0


async def test_a_full_disk_is_seen_before_a_byte_comes(tmp_path):
    """Less than one and a half of the largest mail free: 452 4.3.1 at MAIL."""
    async with opened(tmp_path, {"max_message_size": 1000}) as door:
        door.shelf.free = 1499
        assert await (await door.client()).mail() == answers.NO_ROOM
    async with opened(tmp_path, {"max_message_size": 1000}) as door:
        door.shelf.free = 1500
        assert (await (await door.client()).mail()).startswith("250 2.0.0")


async def test_a_long_spool_puts_mail_off(tmp_path):
    """451 4.3.2; faxes accepted since the last look are counted."""
    async with opened(tmp_path, {"max_spool": 3}) as door:
        door.shelf.faxes_waiting = 2
        client = await door.client()
        assert (await client.mail()).startswith("250 2.0.0")
        assert await client.mail() == answers.SPOOL_FULL


async def test_budgets_count_what_this_mail_asks_for(tmp_path):
    """A budget of three faxes an hour, one used: two recipients of this mail fit, the third is put off."""
    async with opened(tmp_path, limits={"sender_faxes_per_hour": 3}) as door:
        door.shelf.used = Usage(faxes_hour=1)
        client = await door.client()
        await client.ask(f"MAIL FROM:<{SENDER}>")
        codes = [(await client.ask(f"RCPT TO:<613555012{n}@fax.local>"))[:9] for n in range(3)]
        assert codes == ["250 2.1.5", "250 2.1.5", "452 4.7.1"]


# -- loops


@pytest.mark.parametrize(
    ("header", "answer"),
    [
        (b"Received: x\r\n" * 50, "250 2.0.0"),
        (b"Received: x\r\n" * 51, answers.LOOP),
        (b"RECEIVED : x\r\n\tfolded\r\n" * 51, answers.LOOP),
        (b"Subject: x\r\n\r\n" + b"Received: x\r\n" * 60, "250 2.0.0"),
        (b"Auto-Submitted: auto-replied\r\n", answers.AUTO_REPLIED),
        (b"AUTO-SUBMITTED:\r\n (vacation) Auto-Replied; owner=x\r\n", answers.AUTO_REPLIED),
        (b"Auto-Submitted: auto-generated\r\n", "250 2.0.0"),
        (b"Auto-Submitted: no\r\n", "250 2.0.0"),
        (b"Subject: x\r\n\r\nAuto-Submitted: auto-replied\r\n", "250 2.0.0"),
        (b"X: " + b"y" * 200_000 + b"\r\n" + b"Received: x\r\n" * 60, "250 2.0.0"),
    ],
)
async def test_signs_of_a_loop_in_the_header(tmp_path, header, answer):
    """Hops and automatic replies are told from the header alone; an ERP's auto-generated invoice is faxed."""
    async with opened(tmp_path) as door:
        client = await door.client()
        assert (await client.mail(header + b"\r\n\r\ntext\r\n")).startswith(answer)


async def test_header_signs_are_seen_at_any_chunk_edge(tmp_path):
    """The header may come a byte at a time."""
    async with opened(tmp_path) as door:
        client = await door.client()
        await sending(client)
        for byte in b"Auto-Submitted: auto-replied\r\n\r\ntext\r\n.\r\n":
            client.send(bytes([byte]))
            await asyncio.sleep(0.001)
        assert await client.answer() == answers.AUTO_REPLIED


@pytest.mark.parametrize(
    ("sender", "code"),
    [("", "550 5.7.1"), ("fax@fax.local", "554 5.4.6"), ("FAX@Fax.Local", "554 5.4.6"), ("x@fax.local", "554 5.4.6")],
)
async def test_senders_that_would_make_a_loop(tmp_path, sender, code):
    """No reply could go to `<>`, and one to ourselves would come back as a fax: refused in the dialogue, at RCPT."""
    async with opened(tmp_path) as door:
        assert (await (await door.client()).mail(sender=sender)).startswith(code)


# -- postmaster


async def test_postmaster_is_forwarded(tmp_path):
    """RFC 5321 section 4.5.1: any case, any of our domains or none, from `<>` too; not together with a fax."""
    async with opened(tmp_path, {"postmaster": "admin@office.example"}) as door:
        client = await door.client()
        for number, to in enumerate(("postmaster", "PostMaster@FAX.local"), start=1):
            assert await client.mail(b"help\r\n", sender="", to=to) == f"250 2.0.0 accepted as m{number}"
        assert door.shelf.forwarded == [("admin@office.example", b"help\r\n")] * 2
        await client.ask(f"MAIL FROM:<{SENDER}>")
        await client.ask("RCPT TO:<postmaster>")
        assert await client.ask(f"RCPT TO:<{NUMBER}>") == answers.POSTMASTER_ALONE
        await client.ask("RSET")
        await client.ask(f"MAIL FROM:<{SENDER}>")
        await client.ask(f"RCPT TO:<{NUMBER}>")
        assert await client.ask("RCPT TO:<postmaster>") == answers.POSTMASTER_ALONE


async def test_postmaster_without_a_mailbox_is_told_so(tmp_path):
    """A clear text, not a number that cannot be read."""
    async with opened(tmp_path) as door:
        assert await (await door.client()).mail(to="postmaster@fax.local") == answers.NO_POSTMASTER


# -- counting


def test_the_door_counts_out_what_it_counted_in():
    """Nothing is kept of a client that left, and no place stays taken."""
    rates = Rates(Smtp(max_connections=2, max_connections_per_client=1))
    for client in ("192.0.2.1", "192.0.2.2", "192.0.2.1"):
        assert rates.arrive()
        assert rates.introduce(client)
        assert rates.arrive()
        assert not rates.introduce(client)
        assert not rates.arrive()
        rates.leave(None)
        rates.leave(client)
    assert (rates._in_all, rates._of_client) == (0, {})


def test_a_window_forgets(monkeypatch):
    """What is older than the window does not count, and a flood of keys does not fill the memory."""
    now = 0.0
    monkeypatch.setattr("mail2fax.smtp.limits.time.monotonic", lambda: now)
    window = Window(60.0)
    window.add("a")
    now = 59.0
    window.add("a")
    assert window.count("a") == 2
    now = 61.0
    assert window.count("a") == 1
    for n in range(20_000):
        window.add(f"key {n}")
    assert len(window._times) <= 10_000
    assert window.count("key 19999") == 1


# -- budgets, and what a verification hears of them


async def test_a_used_up_budget_says_nothing_of_a_number(tmp_path, spool):
    """Postfix keeps what it heard at RCPT for hours, and for everybody: a budget is said at DATA, as 452."""
    async with opened(tmp_path, spool=spool, limits={"total_faxes_per_day": 1}) as door:
        client = await door.client()
        assert (await client.mail()).startswith("250 2.0.0")
        await client.ask("MAIL FROM:<double-bounce@office.example>")
        assert await client.ask("RCPT TO:<6135550123@fax.local>") == answers.RECIPIENT_OK
        assert (await client.ask("DATA")).startswith("452 4.7.1 Budget of 24 hours used up: 1 faxes in all")


async def test_what_a_budget_leaves_of_one_mail_is_faxed(tmp_path, spool):
    """Of three numbers the first two fit: the third is deferred alone, and the relay brings it later."""
    async with opened(tmp_path, spool=spool, limits={"sender_faxes_per_hour": 2}) as door:
        client = await door.client()
        await client.ask(f"MAIL FROM:<{SENDER}>")
        said = [(await client.ask(f"RCPT TO:<613555012{last}@fax.local>"))[:9] for last in "123"]
        assert said == ["250 2.1.5", "250 2.1.5", "452 4.7.1"]
        assert await client.ask("DATA") == answers.GO_AHEAD
        client.send(b"x\r\n.\r\n")
        assert (await client.answer()).startswith("250 2.0.0")


async def test_a_number_that_was_faxed_enough_is_said_at_rcpt(tmp_path, spool):
    """It is about the number, so that the others of the same mail go."""
    async with opened(tmp_path, spool=spool, limits={"number_faxes_per_day": 1}) as door:
        client = await door.client()
        assert (await client.mail()).startswith("250 2.0.0")
        await client.ask("MAIL FROM:<bob@office.example>")
        assert (await client.ask(f"RCPT TO:<{NUMBER}>")).startswith("452 4.7.1 Budget of 24 hours used up: 1 faxes to")
        assert await client.ask("RCPT TO:<6135550177@fax.local>") == answers.RECIPIENT_OK


async def test_a_tag_that_changes_is_the_same_sender(tmp_path, spool):
    """A relay that signs its return paths lost our 250 and comes again the next day, with that day's tag: one fax."""
    line = {"name": "accounting", "senders": ["ann@office.example"]}
    async with opened(tmp_path, spool=spool, limits={"sender_faxes_per_day": 2}, line=[line]) as door:
        client = await door.client()
        first = await client.mail(sender="prvs=7791dd7436=ann@office.example")
        again = await client.mail(sender="prvs=0791248870=ann@office.example")
        assert again.split()[-1] == first.split()[-1]
        assert "the same mail came before" in again
        assert (await client.mail(b"another\r\n", sender="ann@office.example")).startswith("250 2.0.0")
        over = await client.mail(b"a third\r\n", sender="prvs=1792248871=ann@office.example")
        assert over.startswith("452 4.7.1 Budget of 24 hours used up: 2 faxes from this sender")
        message = await spool.message(first.split()[-1])
        assert message.envelope.reverse_path == "prvs=7791dd7436=ann@office.example"  # where the reply goes
        found = await spool.read(search.found, search.Search(sender="ann@office.example"))
        assert [fax.line for fax in found] == ["accounting", "accounting"]
        # `hold --sender` and `release --sender` mean the person, however the path is written.
        tagged = operator.waiting(sender="prvs=0791248870=ann@office.example")
        assert sorted(await spool.change(operator.hold, tagged, "kim")) == sorted(fax.id for fax in found)
        assert len(await spool.change(operator.release, operator.waiting(sender="Ann@office.example"), "kim")) == 2
