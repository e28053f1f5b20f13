"""Who may send: TLS and logins, balancers, and that a stranger gets nowhere."""

import asyncio
import socket
import ssl
import struct
from base64 import b64encode

import pytest
import trustme

from mail2fax import log
from mail2fax.config import Smtp
from mail2fax.smtp import answers, tls, users
from mail2fax.smtp.auth import Login
from mail2fax.smtp.connection import Connection
from mail2fax.smtp.users import hash_line
from tests.support.frontdoor import SENDER, opened
from tests.support.patience import PATIENCE

PASSWORD = "correct horse"
STRANGERS = {"trusted_networks": ["192.0.2.0/24"]}


@pytest.fixture(scope="module")
def authority():
    """A certificate authority of our own."""
    return trustme.CA()


@pytest.fixture
def trusting(authority):
    """What a client needs to trust our certificate."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture(scope="module")
def users_line():
    """A line of the users file: bound to one sender pattern."""
    return hash_line("bob", PASSWORD, ("*@office.example",))


@pytest.fixture
def secured(tmp_path, authority, users_line):
    """The settings of a door with a certificate and a user, closed to strangers."""
    authority.issue_cert("fax.local").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
    (tmp_path / "users").write_text(users_line + "\n")
    (tmp_path / "users").chmod(0o600)
    return {
        **STRANGERS,
        "listen_tls": ["127.0.0.1:0"],
        "tls_certificate": str(tmp_path / "cert.pem"),
        "users_file": str(tmp_path / "users"),
    }


def plain(name: str = "bob", password: str = PASSWORD) -> str:
    """AUTH PLAIN with its initial response."""
    return "AUTH PLAIN " + b64encode(f"\0{name}\0{password}".encode()).decode()


@pytest.fixture
def no_pause(monkeypatch):
    """Wrong passwords cost no seconds in tests."""
    monkeypatch.setattr(Login, "pause", 0.0)


# -- STARTTLS and implicit TLS


async def test_starttls_forgets_everything_before(tmp_path, secured, trusting):
    """RFC 3207 section 4.2: EHLO is said anew; the offer of STARTTLS is gone, that of AUTH is there."""
    async with opened(tmp_path, secured) as door:
        client = await door.connect()
        await client.answer()
        hello = await client.ask("EHLO me")
        assert "STARTTLS" in hello
        assert "AUTH" not in hello
        await client.starttls(trusting)
        assert await client.ask(f"MAIL FROM:<{SENDER}>") == answers.SAY_HELLO
        hello = await client.ask("EHLO me")
        assert "STARTTLS" not in hello
        assert "AUTH PLAIN LOGIN" in hello
        assert await client.ask("STARTTLS") == answers.TLS_ALREADY


async def test_commands_before_tls_are_not_said_in_tls(tmp_path, secured, trusting):
    """CVE-2024-34083: what came in one segment with STARTTLS is dropped: no stray answer, and MAIL is out of order."""
    async with opened(tmp_path, {**secured, "trusted_networks": ["127.0.0.0/8"]}) as door:
        client = await door.client()
        client.send(b"STARTTLS\r\nEHLO evil\r\nMAIL FROM:<e@x.example>\r\n")
        assert (await client.answer()).startswith("220 2.0.0")
        await client.writer.start_tls(trusting, server_hostname="fax.local")
        assert await client.silent()
        assert await client.ask("MAIL FROM:<e@x.example>") == answers.SAY_HELLO


async def test_implicit_tls_takes_logins(tmp_path, secured, trusting):
    """aiosmtpd hides AUTH there and answers 538: not so here; the mail says who sent it."""
    async with opened(tmp_path, secured) as door:
        client = await door.client(at=1, tls=trusting)
        assert await client.ask(plain()) == answers.AUTH_OK
        assert (await client.mail()).startswith("250 2.0.0")
        assert door.shelf.mails[0][0].user == "bob"


async def test_old_tls_is_refused(tmp_path, secured):
    """RFC 8996: nothing below TLS 1.2; whoever does not get through the handshake leaves no session behind."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    async with opened(tmp_path, secured) as door:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await door.connect(at=1, tls=old)
        client = await door.connect(at=1)
        client.send(b"EHLO plain\r\n")
        with pytest.raises((ssl.SSLError, ConnectionError, AssertionError, UnicodeDecodeError)):
            assert (await client.answer()).startswith("250")
        while door.listener._context.sessions:
            await asyncio.sleep(0.01)


async def test_a_new_certificate_is_used_from_the_next_connection(tmp_path, secured, authority):
    """Listener.reload: old connections go on, new ones see the new certificate; a broken file changes nothing."""
    other = trustme.CA()
    trusting_other = ssl.create_default_context()
    other.configure_trust(trusting_other)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with opened(tmp_path, secured) as door:
        before = await door.client(at=1, tls=trusting)
        other.issue_cert("fax.local").private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "cert.pem"))
        door.listener.reload()
        assert await before.ask("NOOP") == answers.DONE
        await door.client(at=1, tls=trusting_other)
        (tmp_path / "cert.pem").write_text("broken")
        door.listener.reload()
        await door.client(at=1, tls=trusting_other)


async def test_require_tls(tmp_path, secured, trusting):
    """530 to MAIL in plain, from trusted networks too."""
    async with opened(tmp_path, {**secured, "trusted_networks": ["127.0.0.0/8"], "require_tls": True}) as door:
        client = await door.client()
        assert (await client.ask(f"MAIL FROM:<{SENDER}>")).startswith("530 5.7.0")
        await client.starttls(trusting)
        await client.ask("EHLO me")
        assert (await client.mail()).startswith("250 2.0.0")


# -- AUTH


async def test_a_stranger_gets_nowhere(tmp_path, secured):
    """530 to MAIL without a login, 538 to AUTH without TLS, and nothing follows from either."""
    async with opened(tmp_path, secured) as door:
        client = await door.client()
        assert (await client.mail()).startswith("530 5.7.0")
        assert await client.ask(plain()) == answers.AUTH_NEEDS_TLS
        assert await client.ask("AUTH CRAM-MD5") == answers.AUTH_NEEDS_TLS
        assert not door.shelf.mails


async def test_both_mechanisms_in_all_forms(tmp_path, secured, trusting):
    """PLAIN and LOGIN, with and without initial response, the name in any case of letters."""
    name, password = b64encode(b"Bob").decode(), b64encode(PASSWORD.encode()).decode()
    whole = plain().split()[2]
    forms = [
        [plain()],
        ["auth plain", whole],
        ["AUTH LOGIN", name, password],
        [f"AUTH LOGIN {name}", password],
    ]
    async with opened(tmp_path, secured) as door:
        for form in forms:
            client = await door.client(at=1, tls=trusting)
            for question in form[:-1]:
                assert (await client.ask(question)).startswith("334 ")
            assert await client.ask(form[-1]) == answers.AUTH_OK
            assert await client.ask(plain()) == answers.AUTH_ALREADY


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (["AUTH"], "501 5.5.4"),
        (["AUTH PLAIN a b"], "501 5.5.4"),
        (["AUTH CRAM-MD5"], "504 5.5.4"),
        (["AUTH PLAIN !!!"], "501 5.5.2"),
        (["AUTH PLAIN AAAA"], "501 5.5.2"),
        (["AUTH PLAIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "*"], "501 5.7.0"),
        (["AUTH LOGIN", "!!!"], "501 5.5.2"),
        (["AUTH LOGIN", "x" * 4000], answers.AUTH_TOO_LONG),
        ([plain(password="wrong")], "535 5.7.8"),
        ([plain(name="nobody")], "535 5.7.8"),
        ([plain(password="w\N{LATIN SMALL LETTER U WITH DIAERESIS}")], "535 5.7.8"),
    ],
)
async def test_logins_that_fail(tmp_path, secured, trusting, said, code):
    """Each with its own code and without a word on what was wrong with the password; the session goes on."""
    async with opened(tmp_path, secured) as door:
        client = await door.client(at=1, tls=trusting)
        for line in said[:-1]:
            assert (await client.ask(line)).startswith("334 ")
        assert (await client.ask(said[-1])).startswith(code)
        assert (await client.ask(f"MAIL FROM:<{SENDER}>")).startswith("530 5.7.0")
        assert await client.ask("NOOP") == answers.DONE


async def test_a_user_is_bound_to_sender_patterns(tmp_path, secured, trusting):
    """bob may be anybody at the office, and nobody elsewhere."""
    async with opened(tmp_path, secured) as door:
        client = await door.client(at=1, tls=trusting)
        await client.ask(plain())
        assert (await client.mail(sender="boss@elsewhere.example")).startswith("550 5.7.1")
        await client.ask("RSET")
        assert (await client.mail(sender="boss@office.example")).startswith("250 2.0.0")


async def test_no_auth_within_a_mail_or_before_hello(tmp_path, secured, trusting):
    """RFC 4954 section 4."""
    async with opened(tmp_path, {**secured, "trusted_networks": ["127.0.0.0/8"]}) as door:
        client = await door.connect(at=1, tls=trusting)
        await client.answer()
        assert await client.ask(plain()) == answers.SAY_HELLO
        await client.ask("EHLO me")
        await client.ask(f"MAIL FROM:<{SENDER}>")
        assert await client.ask(plain()) == answers.AUTH_IN_MAIL


# -- handshakes


@pytest.fixture
def failures(monkeypatch):
    """What the log says of handshakes: client and reason."""
    heard = []
    monkeypatch.setattr(log, "tls_failed", lambda *, client, reason: heard.append((client, reason)))
    return heard


async def heard(failures: list) -> str:
    """The reason of the one failure."""
    async with asyncio.timeout(PATIENCE):
        while not failures:
            await asyncio.sleep(0.01)
    ((client, reason),) = failures
    assert client == "127.0.0.1"
    return reason


def of_client(ciphers: str) -> ssl.SSLContext:
    """A client that trusts anybody and knows these suites of TLS 1.2."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(ciphers)
    return context


def shake_hands(address: tuple[str, int], context: ssl.SSLContext, *, starttls: bool) -> None:
    """As a blocking client does it, which sends the alert that says why it leaves."""
    with socket.create_connection(address) as plain_socket:
        if starttls:
            plain_socket.recv(1000)
            plain_socket.sendall(b"EHLO me\r\nSTARTTLS\r\n")
            while b"220 2.0.0" not in plain_socket.recv(1000):
                pass
        context.wrap_socket(plain_socket, server_hostname="fax.local").close()


@pytest.mark.parametrize("starttls", [False, True])
@pytest.mark.parametrize(
    ("client", "words"),
    [
        (of_client("AES128-SHA"), "no shared cipher: see [smtp] tls_ciphers"),
        (ssl.create_default_context(), "tlsv1 alert unknown ca"),
    ],
)
async def test_a_handshake_that_fails_is_named(tmp_path, secured, failures, starttls, client, words):
    """Client and reason, in OpenSSL's words: this line is what finds the device that never gets in."""
    async with opened(tmp_path, secured) as door:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(shake_hands, door.addresses[not starttls], client, starttls=starttls)
        assert await heard(failures) == words


async def test_a_device_that_knows_no_tls_1_2_is_named(tmp_path, secured, failures):
    """A ClientHello of TLS 1.0, byte by byte: our own OpenSSL would not say it."""
    body = b"\x03\x01" + b"r" * 32 + b"\0" + b"\0\x04\0\x2f\0\x35" + b"\x01\0"
    hello = b"\x01" + len(body).to_bytes(3, "big") + body
    async with opened(tmp_path, secured) as door:
        client = await door.connect(at=1)
        client.send(b"\x16\x03\x01" + len(hello).to_bytes(2, "big") + hello)
        assert await heard(failures) == "unsupported protocol: the client knows nothing newer than TLS 1.1"


async def test_a_client_that_leaves_without_a_word_is_named(tmp_path, secured, failures):
    """Programs on asyncio close without an alert when they do not trust a certificate."""
    async with opened(tmp_path, secured) as door:
        with pytest.raises(ssl.SSLError):
            await door.connect(at=1, tls=ssl.create_default_context())
        assert "does it trust our certificate?" in await heard(failures)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"EHLO me\r\n", "not TLS: a plain client on a TLS port, or one that does not know STARTTLS"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "not TLS: a web client on a TLS port"),
        (b"", tls.SILENT),
    ],
)
async def test_a_plain_client_on_the_tls_port_is_named(tmp_path, secured, failures, monkeypatch, said, words):
    """Whether it speaks first or waits for our greeting."""
    monkeypatch.setattr(Connection, "handshake", 0.3)
    async with opened(tmp_path, secured) as door:
        client = await door.connect(at=1)
        client.send(said)
        assert await heard(failures) == words


async def test_a_tls_client_on_the_plain_port_is_named(tmp_path, secured, failures, trusting):
    """It waits for TLS, and its hello may hold no line end: it is let go at once, and told apart from nonsense."""
    async with opened(tmp_path, secured) as door:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await door.connect(tls=trusting)
        assert await heard(failures) == tls.ON_PLAIN_PORT


async def test_a_look_at_the_tls_port_is_no_failure(tmp_path, secured, failures):
    """A balancer's check connects and leaves; that is not worth a line."""
    async with opened(tmp_path, secured) as door:
        await (await door.connect(at=1)).close()
        while door.listener._context.sessions:
            await asyncio.sleep(0.01)
    assert not failures


async def test_older_suites_by_a_setting(tmp_path, secured, authority):
    """RFC 5246 section 9's mandatory suite, for a device that keeps TLS 1.2 to the letter."""
    certificate = authority.issue_cert("fax.local", key_type=trustme.KeyType.RSA)
    certificate.private_key_and_cert_chain_pem.write_to_path(secured["tls_certificate"])
    old = of_client("AES128-SHA")
    async with opened(tmp_path, {**secured, "tls_ciphers": "DEFAULT:AES128-SHA"}) as door:
        client = await door.client(at=1, tls=old)
        assert client.writer.get_extra_info("cipher")[0] == "AES128-SHA"
        assert await client.ask(plain()) == answers.AUTH_OK


def test_suites_that_nobody_knows_are_a_mistake_in_the_settings():
    """Told at the start, by section and key."""
    with pytest.raises(ValueError, match="names no cipher suite"):
        Smtp(tls_ciphers="AES129-SHA")


# -- guessing


async def test_guesses_at_the_same_moment_are_counted_one_by_one(tmp_path, secured, trusting, no_pause, monkeypatch):
    """Thirty connections guess at once: ten passwords are looked at, as if they had come one after another."""
    looked_at = []
    monkeypatch.setattr(users, "_fits", lambda *given: looked_at.append(given))
    async with opened(tmp_path, secured) as door:
        clients = [await door.client(at=1, tls=trusting) for _ in range(30)]
        said = await asyncio.gather(*(client.ask(plain(password="wrong")) for client in clients))
    assert sorted(answer[:3] for answer in said) == ["421"] * 20 + ["535"] * 10
    assert len(looked_at) == 10


async def test_right_passwords_at_the_same_moment_are_all_good(tmp_path, secured, trusting):
    """Twenty devices behind one address log in together: none of them counts as a guess."""
    async with opened(tmp_path, secured) as door:
        clients = [await door.client(at=1, tls=trusting) for _ in range(20)]
        said = await asyncio.gather(*(client.ask(plain()) for client in clients))
    assert said == [answers.AUTH_OK] * 20


async def test_guessing_is_slowed_and_then_stopped(tmp_path, secured, trusting, no_pause):
    """Ten wrong passwords from one client, and not even the right one is looked at any more; 421."""
    async with opened(tmp_path, secured) as door:
        client = await door.client(at=1, tls=trusting)
        for _ in range(10):
            assert await client.ask(plain(password="wrong")) == answers.AUTH_FAILED
        assert await client.ask(plain()) == answers.AUTH_TOO_OFTEN
        assert await client.answer() == ""
        client = await door.client(at=1, tls=trusting)
        assert await client.ask(plain()) == answers.AUTH_TOO_OFTEN


async def test_a_login_does_not_stop_the_loop(tmp_path, secured, trusting):
    """The hash is made in a thread: another client's NOOPs are answered meanwhile."""
    async with opened(tmp_path, secured) as door:
        other, client = await door.client(), await door.client(at=1, tls=trusting)
        login, answered = asyncio.create_task(client.ask(plain())), 0
        while not login.done():
            await other.ask("NOOP")
            answered += 1
        assert await login == answers.AUTH_OK
        assert answered > 3


async def test_users_are_read_anew(tmp_path, secured, trusting, monkeypatch):
    """Listener.reload: a user who is gone is gone; a file with mistakes changes nothing, one open to all is told."""
    exposed = []
    monkeypatch.setattr(log, "secret_exposed", lambda *, file: exposed.append(file))
    async with opened(tmp_path, secured) as door:
        (tmp_path / "users").chmod(0o640)
        door.listener.reload()
        assert str(tmp_path / "users") not in exposed
        (tmp_path / "users").chmod(0o644)
        door.listener.reload()
        assert str(tmp_path / "users") in exposed
        (tmp_path / "users").write_text("no such line\n")
        door.listener.reload()
        client = await door.client(at=1, tls=trusting)
        assert await client.ask(plain()) == answers.AUTH_OK
        (tmp_path / "users").write_text("\n")
        door.listener.reload()
        client = await door.client(at=1, tls=trusting)
        assert await client.ask(plain()) == answers.AUTH_FAILED


async def test_without_a_users_file_there_is_no_auth(tmp_path):
    """502, and nothing is offered."""
    async with opened(tmp_path) as door:
        client = await door.connect()
        await client.answer()
        assert "AUTH" not in await client.ask("EHLO me")
        assert await client.ask(plain()) == answers.NO_AUTH


# -- PROXY

BALANCED = {"proxy_networks": ["127.0.0.1/32"], "trusted_networks": ["192.0.2.0/24"]}


def version_2(command: int, source: str, port: int = 5) -> bytes:
    """A PROXY header of version 2 for an IPv4 client."""
    addresses = socket.inet_aton(source) + socket.inet_aton("127.0.0.1") + struct.pack("!HH", port, 25)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, 0x11]) + struct.pack("!H", len(addresses)) + addresses


@pytest.mark.parametrize(
    ("header", "allowed"),
    [
        (b"PROXY TCP4 192.0.2.9 127.0.0.1 5 25\r\n", True),
        (b"PROXY TCP4 198.51.100.9 127.0.0.1 5 25\r\n", False),
        (b"PROXY TCP6 2001:db8::1 ::1 5 25\r\n", False),
        (b"PROXY TCP6 ::ffff:192.0.2.9 ::1 5 25\r\n", True),
        (version_2(1, "192.0.2.9"), True),
        (version_2(1, "198.51.100.9"), False),
        (version_2(0, "192.0.2.9"), False),
    ],
)
async def test_the_client_is_whom_the_balancer_names(tmp_path, header, allowed):
    """Trust, limits and the log go by the client behind the balancer, never by the balancer's own address."""
    async with opened(tmp_path, BALANCED) as door:
        client = await door.connect()
        client.send(header)
        assert (await client.answer()).startswith("220 ")
        await client.ask("EHLO me")
        answer = await client.mail()
        assert answer.startswith("250 2.0.0" if allowed else "530 5.7.0")
        if allowed:
            assert door.shelf.mails[0][0].client == "192.0.2.9"


@pytest.mark.parametrize(
    "header",
    [
        b"EHLO me\r\n",
        b"PROXY UNKNOWN\r\n",
        b"PROXY TCP4 x y 1 2\r\n",
        b"PROXY\r\n",
        b"\r\n\r\n\0\r\nQUIX\n" + b"x" * 30,
    ],
)
async def test_a_balancer_must_say_whom_it_speaks_for(tmp_path, header):
    """No header, a broken one, or one that names nobody: 421, before any greeting."""
    async with opened(tmp_path, BALANCED) as door:
        client = await door.connect()
        client.send(header)
        assert await client.answer() == answers.BAD_PROXY
        assert await client.answer() == ""


async def test_nobody_else_can_name_a_client(tmp_path):
    """T9: from an address that is no balancer's, a PROXY header is an unknown command."""
    async with opened(tmp_path, {**BALANCED, "proxy_networks": ["203.0.113.0/24"]}) as door:
        client = await door.connect()
        assert (await client.answer()).startswith("220 ")
        assert await client.ask("PROXY TCP4 192.0.2.9 127.0.0.1 5 25") == answers.UNKNOWN_COMMAND
        await client.ask("EHLO me")
        assert (await client.mail()).startswith("530 5.7.0")


async def test_tls_after_a_proxy_header_in_one_segment(tmp_path, secured, trusting):
    """HAProxy sends the header and passes the client's handshake on: both may arrive together."""
    async with opened(tmp_path, {**secured, **BALANCED}) as door:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = trusting.wrap_bio(incoming, outgoing, server_hostname="fax.local")
        client = await door.connect(at=1)
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        client.send(b"PROXY TCP4 192.0.2.9 127.0.0.1 5 25\r\n" + outgoing.read())
        greeting = b""
        while not greeting:
            incoming.write(await client.reader.read(65536))
            try:
                tls.do_handshake()
                client.send(outgoing.read())
                greeting = tls.read()
            except ssl.SSLWantReadError:
                client.send(outgoing.read())
        assert greeting.startswith(b"220 fax.local")
