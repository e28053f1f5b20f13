"""Programs that people really use, against the listener; each is skipped where it is not installed."""

import asyncio
import shutil
import smtplib
import ssl
from email.message import EmailMessage

import pytest
import trustme

from mail2fax.config import Settings
from mail2fax.rules.policy import Policy
from mail2fax.smtp.listener import Listener
from mail2fax.smtp.users import hash_line
from mail2fax.spool import open_spool
from mail2fax.spool.questions import named
from tests.support.frontdoor import NUMBER, SENDER, opened
from tests.support.outbox import Outbox
from tests.support.patience import PATIENCE, until

MAIL = f"From: {SENDER}\r\nTo: {NUMBER}\r\nSubject: from a real client\r\n\r\n.a line with a dot\r\n".encode()


async def run(*command: object, stdin: bytes = b"") -> tuple[int, str]:
    """A program's exit status and what it printed."""
    if not shutil.which(str(command[0])):
        pytest.skip(f"{command[0]} is not installed")
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdin=-1, stdout=-1, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate(stdin)
    if b"requires Net::SSLeay" in out:
        pytest.skip("this swaks has no TLS: it needs Net::SSLeay")
    return process.returncode or 0, out.decode()


@pytest.fixture
def secured(tmp_path):
    """Settings with a certificate and bob, closed to everybody else; and the authority's file."""
    authority = trustme.CA()
    authority.issue_cert("localhost", "fax.local").private_key_and_cert_chain_pem.write_to_path(
        str(tmp_path / "cert.pem")
    )
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "users").write_text(hash_line("bob", "secret") + "\n")
    (tmp_path / "users").chmod(0o600)
    return {
        "listen_tls": ["127.0.0.1:0"],
        "tls_certificate": str(tmp_path / "cert.pem"),
        "users_file": str(tmp_path / "users"),
        "trusted_networks": ["192.0.2.0/24"],
    }


# -- swaks


@pytest.mark.parametrize(
    "how", [[], ["-tls", "-a", "PLAIN"], ["-tls", "-a", "LOGIN"], ["-tlsc", "-a", "PLAIN"], ["-pipeline"]]
)
async def test_swaks(tmp_path, secured, how):
    """In plain from a trusted network, with STARTTLS or implicit TLS and either mechanism, and with pipelining."""
    login = "-a" in how
    smtp = secured if login else {}
    async with opened(tmp_path, smtp) as door:
        host, port = door.addresses["-tlsc" in how]
        credentials = ["-au", "bob", "-ap", "secret"] if login else []
        status, said = await run(
            "swaks",
            "-s",
            host,
            "-p",
            port,
            "-f",
            SENDER,
            "-t",
            NUMBER,
            *how,
            *credentials,
            "--data",
            "Subject: x\n\n.dot",
        )
        assert status == 0, said
        ((envelope, content),) = door.shelf.mails
        assert envelope.user == ("bob" if login else "")
        assert content == b"Subject: x\r\n\r\n.dot\r\n"


async def test_swaks_is_refused(tmp_path, secured):
    """A stranger, at MAIL."""
    async with opened(tmp_path, secured) as door:
        host, port = door.addresses[0]
        status, said = await run("swaks", "-s", host, "-p", port, "-f", SENDER, "-t", NUMBER)
        assert status == 23, said
        assert "<** 530 5.7.0" in said
        assert not door.shelf.mails


# -- curl


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_curl(tmp_path, secured, scheme):
    """curl verifies our certificate and logs in, with STARTTLS and with implicit TLS."""
    async with opened(tmp_path, secured) as door:
        _, port = door.addresses[scheme == "smtps"]
        status, said = await run(
            "curl", "-sS", "--ssl-reqd", "--cacert", tmp_path / "ca.pem", f"{scheme}://localhost:{port}/me",
            "--mail-from", SENDER, "--mail-rcpt", NUMBER, "-u", "bob:secret", "-T", "-", stdin=MAIL,
        )  # fmt: skip
        assert status == 0, said
        assert [content for _, content in door.shelf.mails] == [MAIL]


# -- smtplib


@pytest.mark.parametrize("implicit", [False, True])
async def test_smtplib(tmp_path, secured, implicit):
    """Python's own client: a login, several mails on one connection, 8-bit text, a refused recipient."""
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

    def send(host: str, port: int) -> list[tuple[int, bytes]]:
        kind = {"context": trust} if implicit else {}
        with (smtplib.SMTP_SSL if implicit else smtplib.SMTP)("localhost", port, **kind) as client:
            if not implicit:
                client.starttls(context=trust)
            client.login("bob", "secret")
            refused = client.sendmail(SENDER, [NUMBER, "911@fax.local"], MAIL, ["BODY=8BITMIME"], ["NOTIFY=FAILURE"])
            client.sendmail(SENDER, [NUMBER], b"Subject: \xc3\xa9\r\n\r\n" + b"x" * 200_000)
        return list(refused.values())

    async with opened(tmp_path, secured) as door:
        ((code, text),) = await asyncio.to_thread(send, *door.addresses[implicit])
        assert (code, text[:5]) in {(550, b"5.7.1"), (550, b"5.1.1"), (553, b"5.1.3")}
        assert door.shelf.mails[0][1] == MAIL
        assert door.shelf.mails[0][0].recipients[0].notify == {"FAILURE"}


def send_bytes(host: str, port: int) -> bytes:
    """The commonest idiom, `sendmail(…, message.as_bytes())`: each line ends in LF alone."""
    message = EmailMessage()
    message["Subject"] = "from a script"
    message.set_content("one\n.two\n\nthree\n")
    with smtplib.SMTP(host, port) as client:
        client.sendmail(SENDER, [NUMBER], message.as_bytes())
    assert b"\r" not in message.as_bytes()
    return message.get_payload().encode()


async def test_smtplib_with_the_bytes_of_a_message(tmp_path):
    """The mail is taken, and kept with the line ends it should have had."""
    async with opened(tmp_path) as door:
        text = await asyncio.to_thread(send_bytes, *door.addresses[0])
        ((_, content),) = door.shelf.mails
    assert content.partition(b"\r\n\r\n")[2].rstrip() == text.replace(b"\n", b"\r\n").rstrip()
    assert b"\n" not in content.replace(b"\r\n", b"")


# -- nmap


async def test_nmap_finds_no_open_relay(tmp_path):
    """smtp-open-relay tries its sixteen tricks from a trusted client, and none relays."""
    async with opened(tmp_path, {"max_errors": 1000}) as door:
        _, port = door.addresses[0]
        status, said = await run("nmap", "-Pn", "-n", "-p", port, "--script", "+smtp-open-relay", "127.0.0.1")
        assert status == 0
        assert "smtp-open-relay: Server doesn't seem to be an open relay, all tests failed" in said, said


async def test_nmap_lists_our_commands(tmp_path):
    """smtp-commands shows what is offered: no login over a plain connection."""
    async with opened(tmp_path) as door:
        _, port = door.addresses[0]
        _, said = await run("nmap", "-Pn", "-n", "-p", port, "--script", "+smtp-commands", "127.0.0.1")
        assert "fax.local, SIZE 36700160, 8BITMIME, PIPELINING, ENHANCEDSTATUSCODES, DSN" in said, said
        assert "AUTH" not in said


# -- Postfix in front


def relayed(postfix) -> dict[str, list[str]]:
    """The listener stands where Postfix hands mail for fax.local."""
    return {"listen": [f"127.0.0.1:{postfix.fax_port}"]}


async def submit(postfix, *recipients: str, **options) -> None:
    """Hand a mail to Postfix."""

    def send() -> None:
        with smtplib.SMTP("127.0.0.1", postfix.port) as client:
            client.sendmail(SENDER, recipients or [NUMBER], MAIL, **options)

    await asyncio.to_thread(send)


async def test_postfix_relays(tmp_path, postfix):
    """The mail comes with Postfix's Received line; NOTIFY is handed on since DSN is offered."""
    async with opened(tmp_path, relayed(postfix)) as door:
        await submit(postfix, rcpt_options=["NOTIFY=NEVER"])
        await until(lambda: door.shelf.mails)
        ((envelope, content),) = door.shelf.mails
        assert content.startswith(b"Received: ")
        assert content.endswith(b"\r\n\r\n.a line with a dot\r\n")
        assert envelope.recipients[0].notify == {"NEVER"}
        assert envelope.helo == "relay.office.example"


async def test_postfix_and_we_make_the_same_of_bare_line_ends(tmp_path, postfix):
    """A script's LF lines reach us through Postfix as the same text as without it."""
    async with opened(tmp_path, relayed(postfix)) as door:
        text = await asyncio.to_thread(send_bytes, "127.0.0.1", postfix.port)
        await until(lambda: door.shelf.mails)
        await asyncio.to_thread(send_bytes, *door.addresses[0])
        bodies = {content.partition(b"\r\n\r\n")[2].rstrip() for _, content in door.shelf.mails}
    assert bodies == {text.replace(b"\n", b"\r\n").rstrip()}


async def test_postfix_tries_again_after_4yz(tmp_path, postfix):
    """While our disk is full the relay keeps the mail, and brings it when there is room."""
    async with opened(tmp_path, relayed(postfix)) as door:
        door.shelf.fault = OSError(28, "No space left on device")
        await submit(postfix)
        await door.shelf.committing.wait()
        door.shelf.fault = None
        await until(lambda: door.shelf.mails)
        assert len(door.shelf.mails) == 1


async def test_postfix_bounces_with_our_words(tmp_path, postfix):
    """A number that may not be faxed: the sender's own server tells the sender, in our words."""
    outbox = Outbox(port=postfix.home_port)
    await outbox.up()
    try:
        async with opened(tmp_path, relayed(postfix)):
            await submit(postfix, "19005550123@fax.local")
            async with asyncio.timeout(PATIENCE):
                bounce = await outbox.next()
    finally:
        await outbox.down()
    assert (bounce.sender, bounce.recipient) == ("", SENDER)
    text = bounce.content.decode()
    assert "Destination not permitted: (900) 555-0123" in " ".join(text.split())
    assert "Status: 5.7.1" in text


async def test_postfix_that_lost_our_250_has_one_fax(tmp_path, postfix):
    """RFC 1047: the connection is cut between the commit and the 250; Postfix sends the same again; one fax."""
    settings = Settings.model_validate({"smtp": relayed(postfix), "spool": {"url": f"sqlite:///{tmp_path}/spool.db"}})
    receipts = []
    async with open_spool(settings, serving=True) as spool:
        listener = Listener(settings, spool, Policy(settings))
        put = spool.put

        async def put_and_cut(envelope, content):
            receipts.append(await put(envelope, content))
            if len(receipts) == 1:
                for guest in list(listener._context.sessions):
                    guest.abort()
            return receipts[-1]

        spool.put = put_and_cut
        await listener.start()
        await submit(postfix)
        await until(lambda: len(receipts) == 2)
        await listener.close()
        first, second = receipts
        assert first.duplicates == ()
        assert second.duplicates == (NUMBER,)
        assert second.queue_id == first.queue_id
        assert len(await spool.read(named, first.queue_id)) == 1
