"""[smtp] client_certificates: a name in a certificate lets a client in, and nothing else about it does."""

import asyncio
import os
import shutil
import smtplib
import ssl
from contextlib import suppress

import pytest
import trustme

from mail2fax import log
from mail2fax.config import ConfigError, Smtp
from mail2fax.smtp import tls
from tests.support import postfix
from tests.support.frontdoor import NUMBER, SENDER, opened
from tests.support.patience import PATIENCE

NAME = "mail.office.example"


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def secured(tmp_path, authority):
    """A door that is closed but for whoever shows a certificate of that name."""
    authority.issue_cert("fax.local").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return {
        "trusted_networks": ["192.0.2.0/24"],
        "listen_tls": ["127.0.0.1:0"],
        "tls_certificate": str(tmp_path / "cert.pem"),
        "client_certificates": [NAME],
        "client_ca_file": str(tmp_path / "ca.pem"),
    }


def client(authority, shown: trustme.LeafCert | None = None, version=ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client that trusts us, and shows this certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.maximum_version = version
    if shown:
        shown.configure_cert(context)
    return context


@pytest.fixture
def failures(monkeypatch):
    """Why handshakes failed, as the log says it."""
    told: list[str] = []
    monkeypatch.setattr(log, "tls_failed", lambda *, client, reason: told.append(reason))
    return told


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_name_lets_in(tmp_path, secured, authority, version):
    """With STARTTLS and from the first byte on, and from the handshake on only; the network is not asked then."""
    shown = client(authority, authority.issue_cert("Mail.Office.example", "other.example"), version)
    async with opened(tmp_path, secured) as door:
        first = await door.client()
        assert (await first.ask(f"MAIL FROM:<{SENDER}>")).startswith("530 5.7.0")
        await first.starttls(shown)
        await first.ask("EHLO me")
        assert (await first.mail()).startswith("250 2.0.0")
        second = await door.client(at=1, tls=shown)
        assert (await second.mail()).startswith("250 2.0.0")
    assert len(door.shelf.mails) == 2


async def test_a_mistyped_number(tmp_path, secured, authority):
    """Who is let in by a certificate is a relay like one in a trusted network: the reply tells, not its bounce."""
    shown = client(authority, authority.issue_cert(NAME))
    async with opened(tmp_path, secured, numbers={"mistyped": "reply"}) as door:
        relay = await door.client(at=1, tls=shown)
        assert (await relay.ask(f"MAIL FROM:<{SENDER}>")).startswith("250")
        assert (await relay.ask("RCPT TO:<416555010@fax.local>")).startswith("250")


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ((), "shows no certificate that is let in"),
        (("stranger.example",), "shows no certificate but for stranger.example that is let in"),
        ((f"x.{NAME}",), f"shows no certificate but for x.{NAME} that is let in"),
        (("*.office.example",), "shows no certificate but for *.office.example that is let in"),
    ],
)
async def test_another_name_does_not(tmp_path, secured, authority, names, words):
    """TLS stands, and MAIL is refused in words that say what was shown."""
    shown = authority.issue_cert(*names) if names else None
    async with opened(tmp_path, secured) as door:
        guest = await door.client(at=1, tls=client(authority, shown))
        answer = await guest.mail()
    assert answer.startswith("530 5.7.0 Authentication required: 127.0.0.1 is not in a trusted network and ")
    assert words in answer
    assert not door.shelf.mails


async def test_a_certificate_that_anybody_can_make(tmp_path, secured, authority, failures):
    """The right name by another authority: no TLS at all, and the operator reads why."""
    shown = client(authority, trustme.CA().issue_cert(NAME))
    async with opened(tmp_path, secured) as door:
        with suppress(ssl.SSLError, ConnectionError, AssertionError):  # TLS 1.3: after the client thinks it is through
            guest = await door.client(at=1, tls=shown)
            await guest.mail()
        async with asyncio.timeout(PATIENCE):
            while not failures:
                await asyncio.sleep(0.01)
    assert not door.shelf.mails
    assert failures[0].startswith("the client's certificate: ")
    assert failures[0].endswith("see [smtp] client_ca_file")


async def test_only_those_networks_are_asked(tmp_path, secured, authority):
    """A mail server elsewhere that shows a certificate of its own making still gets TLS, as it always did."""
    shown = client(authority, trustme.CA().issue_cert("mail.elsewhere.example"))
    chosen = {
        **secured,
        "client_certificate_networks": ["198.51.100.0/24"],
        "trusted_networks": ["127.0.0.0/8"],
    }
    async with opened(tmp_path, chosen) as door:
        guest = await door.client(at=1, tls=shown)
        assert (await guest.mail()).startswith("250 2.0.0")
    own = client(authority, authority.issue_cert(NAME))
    async with opened(tmp_path, {**chosen, "trusted_networks": ["198.51.100.0/24"]}) as door:
        guest = await door.client(at=1, tls=own)
        assert (await guest.mail()).startswith("530 5.7.0")


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_file_of_no_authority(tmp_path, secured, content):
    """One line that names the key and the file."""
    file = tmp_path / "authorities.pem"
    if content:
        file.write_text(content)
    with pytest.raises(
        ConfigError, match=r"^\[smtp\] client_ca_file: .*authorities\.pem: (No such file|holds no cert)"
    ):
        tls.open_contexts(Smtp(**{**secured, "client_ca_file": str(file)}))


async def test_postfix_with_a_certificate(tmp_path, secured, authority):
    """By the line of docs/relays.md: let in by its name, from an address that is not trusted."""
    if not shutil.which("postfix") or os.geteuid() != 0:
        pytest.skip("needs Postfix, and root to start it")
    chain = tmp_path / "chain.pem"
    authority.issue_cert(NAME).private_key_and_cert_chain_pem.write_to_path(str(chain))
    more = f"smtp_tls_security_level = encrypt\nsmtp_tls_chain_files = {chain}\n"
    with postfix.running(more) as relay:
        async with opened(tmp_path, {**secured, "listen": [f"127.0.0.1:{relay.fax_port}"]}) as door:
            with smtplib.SMTP("127.0.0.1", relay.port) as submitting:
                await asyncio.to_thread(submitting.sendmail, SENDER, [NUMBER], b"Subject: x\r\n\r\nx\r\n")
            async with asyncio.timeout(PATIENCE):
                while not door.shelf.mails:
                    await asyncio.sleep(0.05)
