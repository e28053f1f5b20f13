"""Handing replies over: every answer and every silence of the outgoing mail server, over real sockets."""

import asyncio
import contextlib
import re
import ssl
import time
from itertools import product

import pytest
import trustme
from hypothesis import given, settings, strategies

from mail2fax import log
from mail2fax.config import Reply
from mail2fax.model import Permanent, Reason, Temporary, Verdict
from mail2fax.smarthost import smarthost
from mail2fax.smarthost.relay import Relay
from mail2fax.smarthost.smarthost import Smarthost
from tests.support.outbox import DROP, HANG, serving

LETTER = b"Subject: Faxed\r\nMessage-ID: <1@fax.local>\r\n\r\nIt was delivered.\r\n.\r\n..dots\r\n"
ANNA = "anna@office.example"


@contextlib.asynccontextmanager
async def host(outbox, **settings):
    opened = Smarthost(Reply(**{"relay": outbox.url, "timeout": 5.0, **settings}), "fax.local")
    try:
        yield opened
    finally:
        await opened.close()


async def verdict(opened, recipient=ANNA) -> Verdict:
    with pytest.raises(Verdict) as caught:
        await opened.hand_over(LETTER, recipient)
    return caught.value


# -- handing over


async def test_a_mail_arrives_as_it_was_given(outbox):
    """Bytes, dots at line beginnings and the null reverse-path arrive unchanged."""
    async with host(outbox) as opened:
        await opened.hand_over(LETTER, ANNA)
    mail = await outbox.next()
    assert (mail.sender, mail.recipient, mail.content) == ("", ANNA, LETTER)
    assert outbox.commands[0] == "EHLO fax.local"
    assert f"SIZE={len(LETTER)}" in mail.mail_options


async def test_the_envelope_sender_is_the_configured_one(outbox):
    """Some smarthosts insist on an address in MAIL FROM."""
    async with host(outbox, envelope_sender="fax@office.example") as opened:
        await opened.hand_over(LETTER, ANNA)
    assert (await outbox.next()).sender == "fax@office.example"


async def test_nobody_is_told_that_a_reply_bounced():
    """RFC 3461 section 6.1: NOTIFY=NEVER where DSN is offered, and no RET; neither where it is not."""
    for extensions, expected in (("DSN",), ["NOTIFY=NEVER"]), (("SIZE",), []):
        async with serving(extensions=extensions) as outbox, host(outbox) as opened:
            await opened.hand_over(LETTER, ANNA)
            mail = await outbox.next()
            assert mail.rcpt_options == expected
            assert not any(option.startswith("RET") for option in mail.mail_options)


async def test_eight_bit_mail_is_announced():
    """A postmaster's mail may hold raw bytes: BODY=8BITMIME where it is offered (RFC 6152)."""
    async with serving(extensions=("8BITMIME",)) as outbox, host(outbox) as opened:
        await opened.hand_over("Subject: é\r\n\r\né\r\n".encode(), ANNA)
        assert (await outbox.next()).mail_options == ["BODY=8BITMIME"]


@pytest.mark.parametrize("recipient", ["anné@office.example", "anna@büro.example"])
async def test_an_address_beyond_ascii_needs_smtputf8(recipient):
    """RFC 6531: it is sent where SMTPUTF8 is offered, and refused at once where it is not."""
    async with serving(extensions=("SMTPUTF8", "8BITMIME")) as outbox, host(outbox) as opened:
        await opened.hand_over(LETTER, recipient)
        mail = await outbox.next()
        assert (mail.recipient, "SMTPUTF8" in mail.mail_options) == (recipient, True)
    async with serving() as outbox, host(outbox) as opened:
        refused = await verdict(opened, recipient)
        assert isinstance(refused, Permanent) and refused.status == "5.6.7"
        await opened.hand_over(LETTER, ANNA)  # and the connection is of use to the next


@settings(max_examples=150, deadline=None)
@given(strategies.text(max_size=30) | strategies.from_regex(r"[ -~]{1,20}@[ -~]{1,10}", fullmatch=True))
def test_no_recipient_says_more_than_a_recipient(recipient):
    """Whatever an address holds, no second command or parameter comes of it: it is written as it is or refused."""
    if smarthost._writable(recipient):
        assert not set("\r\n\0") & set(recipient)
        assert recipient.count(" ") == 0 or '"' in recipient


async def test_an_address_that_cannot_be_written_is_refused_here(outbox):
    """Nothing is said to the server for an address that is none."""
    async with host(outbox) as opened:
        for recipient in ("a@b> NOTIFY=SUCCESS", "a@b\r\nDATA", "a b@c", "<>", ""):
            assert (await verdict(opened, recipient)).status == "5.1.3"
    assert not outbox.commands


async def test_no_content_ends_before_its_end(outbox):
    """Dots and line ends in every order: what the server reads is what was handed over, its lines ended by CR LF."""
    pieces = (b".", b"a", b"\r\n", b"\n", b"\r", b"\r\n.")
    contents = [b"".join(some) for length in (1, 2, 3) for some in product(pieces, repeat=length)]
    async with host(outbox) as opened:
        for content in contents:
            await opened.hand_over(content, ANNA)
            read = (await outbox.next()).content
            ended = content if content.endswith(b"\n") else content + b"\r\n"
            assert read == re.sub(rb"\r\n|\r|\n", b"\r\n", ended), content
    assert outbox.sessions == 1 and len(outbox.mails) == len(contents)


# -- connections


async def test_one_connection_serves_one_mail_after_the_other(outbox):
    """Replies leave one after the other without a new connection, and the server is left with QUIT."""
    async with host(outbox) as opened:
        for _ in range(20):
            await opened.hand_over(LETTER, ANNA)
    assert outbox.sessions == 1 and len(outbox.mails) == 20
    assert outbox.commands[-1] == "QUIT"


async def test_no_more_connections_than_allowed(outbox):
    """[reply] concurrency bounds the connections, and forty replies a second are no effort."""
    async with host(outbox, concurrency=3) as opened:
        begun = time.monotonic()
        await asyncio.gather(*(opened.hand_over(LETTER, ANNA) for _ in range(200)))
        assert time.monotonic() - begun < 5.0
    assert outbox.sessions == 3 and len(outbox.mails) == 200


async def test_a_connection_that_waits_long_is_left(outbox, monkeypatch):
    """An idle connection is closed politely, and the next mail opens another."""
    monkeypatch.setattr(smarthost, "_IDLE", 0.05)
    async with host(outbox) as opened:
        await opened.hand_over(LETTER, ANNA)
        await outbox.seen("QUIT")
        await opened.hand_over(LETTER, ANNA)
    assert outbox.sessions == 2


async def test_a_kept_connection_that_ended_costs_nothing(outbox):
    """The server closed the connection meanwhile: the next mail goes over another, at once."""
    async with host(outbox) as opened:
        await opened.hand_over(LETTER, ANNA)
        outbox.drop_connections()
        await opened.hand_over(LETTER, ANNA)
        outbox.fault("mail", DROP)
        await opened.hand_over(LETTER, ANNA)
        outbox.fault("mail", "421 4.7.0 too many mails on this connection")
        await opened.hand_over(LETTER, ANNA)
    assert outbox.sessions == 4 and len(outbox.mails) == 4


@pytest.mark.parametrize("stage", ["mail", "rcpt", "data", "dot"])
async def test_one_refused_mail_does_not_poison_the_next(outbox, stage):
    """After a refusal at any stage the next mail is handed over."""
    async with host(outbox) as opened:
        await opened.hand_over(LETTER, ANNA)
        outbox.fault(stage, "550 5.7.1 not this one")
        await verdict(opened)
        await opened.hand_over(LETTER, ANNA)
    assert [mail.content for mail in outbox.mails] == [LETTER, LETTER]


async def test_a_cancelled_mail_does_not_poison_the_next(outbox):
    """A step that is cut short by the shutdown leaves no half-spoken connection behind."""
    async with host(outbox) as opened:
        await opened.hand_over(LETTER, ANNA)
        outbox.fault("rcpt", HANG)
        task = asyncio.create_task(opened.hand_over(LETTER, ANNA))
        await outbox.seen("RCPT", 2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await outbox.idle()
        await opened.hand_over(LETTER, ANNA)
    assert len(outbox.mails) == 2


# -- answers and silence

TEMPORARY = [
    ("connect", "554 5.3.2 no service here", "4.0.0"),
    ("connect", "421 4.3.2 shutting down", "4.3.2"),
    ("ehlo", "550 5.7.1 not you", "4.0.0"),
    ("mail", "450 4.7.1 slower", "4.7.1"),
    ("mail", "550 5.7.1 the null sender is not welcome", "4.0.0"),
    ("mail", "530 5.7.0 authentication required", "4.0.0"),
    ("rcpt", "450 4.2.1 greylisted", "4.2.1"),
    ("rcpt", "451 try again", "4.0.0"),
    ("rcpt", "452 5.5.3 an odd mixture", "4.0.0"),
    ("rcpt", "552 too many recipients", "4.0.0"),
    ("rcpt", "421 4.3.0 bye", "4.3.0"),
    ("rcpt", "503 5.5.1 bad sequence", "4.0.0"),
    ("data", "451 4.3.0 disk", "4.3.0"),
    ("dot", "452 4.3.1 full", "4.3.1"),
    ("dot", "250", None),
]
PERMANENT = [
    ("mail", "552 5.3.4 too big", "5.3.4"),
    ("rcpt", "550 5.1.1 no such user", "5.1.1"),
    ("rcpt", "553 no", "5.0.0"),
    ("rcpt", "550 4.1.1 an odd mixture", "5.0.0"),
    ("data", "554 5.5.0 no", "5.5.0"),
    ("dot", "552 5.2.2 mailbox full", "5.2.2"),
    ("dot", "554 5.7.1 spam", "5.7.1"),
]


@pytest.mark.parametrize(("stage", "reply", "status"), TEMPORARY)
async def test_what_may_pass_is_temporary(outbox, stage, reply, status):
    """4yz, and every refusal that speaks of us instead of this mail, let the reply wait."""
    outbox.fault(stage, reply)
    async with host(outbox) as opened:
        if status is None:
            await opened.hand_over(LETTER, ANNA)
            return
        found = await verdict(opened)
    assert isinstance(found, Temporary) and found.reason is Reason.RELAY_DEFERRED
    assert found.status == status and reply[:3] in found.note


@pytest.mark.parametrize(("stage", "reply", "status"), PERMANENT)
async def test_what_is_said_of_this_mail_is_permanent(outbox, stage, reply, status):
    """5yz on the recipient, the size or the content ends the reply, with the server's words for the operator."""
    outbox.fault(stage, reply)
    async with host(outbox) as opened:
        found = await verdict(opened)
    assert isinstance(found, Permanent) and found.reason is Reason.RELAY_REFUSED
    assert found.status == status and reply in found.note and outbox.url.removeprefix("smtp://") in found.note


@pytest.mark.parametrize("stage", ["connect", "ehlo", "mail", "rcpt", "data", "dot"])
async def test_a_lost_connection_is_temporary(outbox, stage):
    """Wherever the line is cut, the reply is offered again."""
    outbox.fault(stage, DROP)
    async with host(outbox) as opened:
        found = await verdict(opened)
        assert isinstance(found, Temporary) and found.reason is Reason.RELAY_UNREACHABLE
        await opened.hand_over(LETTER, ANNA)
    assert all(mail.content == LETTER for mail in outbox.mails)


async def test_a_lost_answer_to_the_final_dot_repeats_the_same_mail(outbox):
    """Two copies are better than none, and both carry one Message-ID."""
    outbox.fault("dot", DROP)
    async with host(outbox) as opened:
        assert isinstance(await verdict(opened), Temporary)
        await opened.hand_over(LETTER, ANNA)
    first, second = outbox.mails
    assert first.message["Message-ID"] == second.message["Message-ID"] == "<1@fax.local>"


@pytest.mark.parametrize("stage", ["connect", "mail", "dot"])
async def test_silence_has_an_end(outbox, stage):
    """[reply] timeout bounds one hand-over as a whole."""
    outbox.fault(stage, HANG)
    async with host(outbox, timeout=0.2) as opened:
        begun = time.monotonic()
        found = await verdict(opened)
    assert isinstance(found, Temporary) and found.status == "4.4.2" and "in time" in found.note
    assert time.monotonic() - begun < 3.0


async def test_nobody_listens(outbox):
    """A closed port is temporary, and the reply leaves when the server is back."""
    async with host(outbox) as opened:
        await outbox.down()
        found = await verdict(opened)
        assert isinstance(found, Temporary) and found.status == "4.4.1"
        await outbox.up()
        await opened.hand_over(LETTER, ANNA)


async def test_a_name_without_an_address():
    """A relay that has no address in the DNS is temporary, 4.4.3."""
    opened = Smarthost(Reply(relay="smtp://nobody.invalid:25"), "fax.local")
    found = await verdict(opened)
    assert isinstance(found, Temporary) and found.status == "4.4.3" and "nobody.invalid" in found.note


async def test_what_the_server_says_cannot_flood_or_forge_a_log_line(outbox):
    """A note is one line of bounded length."""
    outbox.fault("rcpt", "550-5.1.1 one\r\n550 5.1.1 " + "x" * 3000)
    async with host(outbox) as opened:
        note = (await verdict(opened)).note
    assert "\n" not in note and len(note) < 500


# -- TLS and logins


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def server_tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1", "localhost").configure_cert(context)
    return context


@pytest.fixture(scope="module")
def ca_file(authority, tmp_path_factory):
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


def secure(outbox, *, login="", scheme=""):
    scheme = scheme or ("smtps" if outbox.implicit else "smtp+starttls")
    return f"{scheme}://{login}{outbox.host}:{outbox.port}"


@pytest.mark.parametrize("implicit", [True, False])
async def test_tls_from_the_start_or_by_starttls(server_tls, ca_file, implicit):
    """smtps and smtp+starttls encrypt, and check the certificate against the given authority."""
    async with serving(tls=server_tls, implicit=implicit) as outbox:
        async with host(outbox, relay=secure(outbox), relay_ca_file=ca_file) as opened:
            await opened.check("fax@office.example")
            await opened.hand_over(LETTER, ANNA)
        assert (await outbox.next()).tls


@pytest.mark.parametrize("implicit", [True, False])
async def test_a_certificate_that_nobody_vouches_for_ends_it(server_tls, implicit):
    """An untrusted certificate is told, the reply waits, and nothing was said in the clear."""
    async with serving(tls=server_tls, implicit=implicit) as outbox:
        async with host(outbox, relay=secure(outbox, login="fax:secret-pw@")) as opened:
            found = await verdict(opened)
        assert isinstance(found, Temporary) and found.status == "4.7.5" and "certificate" in found.note
        assert not any(command.startswith(("MAIL", "AUTH")) for command in outbox.commands)


async def test_no_mail_in_the_clear_where_tls_was_asked_for():
    """A server, or somebody between us, that does not offer STARTTLS gets nothing."""
    async with serving(users={"fax": "secret-pw"}) as outbox:
        async with host(outbox, relay=secure(outbox, login="fax:secret-pw@")) as opened:
            found = await verdict(opened)
        assert isinstance(found, Temporary) and "STARTTLS" in found.note
        assert not any(command.startswith(("MAIL", "AUTH")) for command in outbox.commands)


async def test_a_server_that_speaks_no_tls_at_all(outbox, ca_file):
    """smtps to a plain port is told as such."""
    async with host(outbox, relay=secure(outbox, scheme="smtps"), relay_ca_file=ca_file) as opened:
        found = await verdict(opened)
    assert isinstance(found, Temporary) and found.status == "4.7.5"


@pytest.mark.parametrize("auth", ["PLAIN", "LOGIN", "PLAIN LOGIN"])
async def test_a_login_with_the_url_or_the_separate_password(server_tls, ca_file, auth):
    """user:password@ may hold escaped characters; relay_password goes before it. One login serves many mails."""
    async with serving(tls=server_tls, users={"fax@office": "p@ss/word"}, auth=auth) as outbox:
        for login, password in ("fax%40office:p%40ss%2Fword@", ""), ("fax%40office@", "p@ss/word"):
            more = {"relay": secure(outbox, login=login), "relay_ca_file": ca_file, "relay_password": password}
            async with host(outbox, **more) as opened:
                await opened.hand_over(LETTER, ANNA)
                await opened.hand_over(LETTER, ANNA)
        assert [mail.user for mail in outbox.mails] == ["fax@office"] * 4
        assert outbox.sessions == 2


async def test_a_refused_login_waits_and_says_no_password(outbox, capsys):
    """A wrong password loses no reply, and stands in no text, even if the server repeats it in any form."""
    password = "canary-pw-8812"
    relay = Relay.of(Reply(relay=f"smtp://fax:{password}@h:1"))
    outbox.users = {"fax": "another"}
    outbox.auth = "PLAIN"
    outbox.fault("auth", "535 5.7.8 wrong: " + " ".join(sorted(relay.secrets)))
    async with host(outbox, relay=f"smtp://fax:{password}@{outbox.host}:{outbox.port}") as opened:
        found = await verdict(opened)
    assert isinstance(found, Temporary) and "login" in found.note
    said = repr((found, found.note, found.detail, found.__cause__, relay, vars(opened)))
    assert not any(secret in said for secret in relay.secrets)
    assert found.__suppress_context__
    assert log.redact(f"it was {password}") == "it was ***"


# -- check


async def test_check_goes_as_far_as_the_recipient_and_sends_nothing(outbox):
    """`mail2fax check` does all that a reply needs, and takes it back before there is a mail."""
    outbox.users = {"fax": "pw"}
    async with host(outbox, relay=f"smtp://fax:pw@{outbox.host}:{outbox.port}") as opened:
        await opened.check("fax@office.example")
    verbs = [command.split()[0] for command in outbox.commands]
    assert verbs == ["EHLO", "AUTH", "MAIL", "RCPT", "RSET", "QUIT"]
    assert outbox.mails == []


@pytest.mark.parametrize(("stage", "answer"), [("mail", "550 5.7.1 relay access denied"), ("rcpt", "550 5.1.1 who?")])
async def test_check_tells_of_a_server_that_takes_no_replies(outbox, stage, answer):
    """A server that greets nicely and relays nothing is found before the first reply is lost."""
    outbox.fault(stage, answer)
    async with host(outbox) as opened:
        with pytest.raises(Verdict, match=answer[:9]):
            await opened.check("fax@office.example")


async def test_check_tells_what_is_wrong(outbox):
    """A server that is down is told with its name."""
    await outbox.down()
    async with host(outbox) as opened:
        with pytest.raises(Temporary, match=r"127\.0\.0\.1:\d+"):
            await opened.check("fax@office.example")
    await outbox.up()


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example", Relay("mail.example", 25)),
        ("smtps://mail.example", Relay("mail.example", 465, "implicit")),
        ("smtp+starttls://u:p%3A@mail.example", Relay("mail.example", 587, "starttls", "u", "p:")),
        ("smtp://[::1]:2525", Relay("::1", 2525)),
    ],
)
def test_the_url_is_read_into_its_parts(url, expected):
    """Ports are those of the protocol unless one is named."""
    assert Relay.of(Reply(relay=url)) == expected
    assert "p:" not in repr(expected)
