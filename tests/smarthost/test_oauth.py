"""A relay that wants XOAUTH2: tokens from a server that gives, refuses, is away, and lets them run out."""

import asyncio
import base64
import contextlib
import json
import ssl

import pytest
import trustme

from mail2fax import log
from mail2fax.config import Reply
from mail2fax.model import Reason, Temporary
from mail2fax.smarthost.oauth import Tokens
from mail2fax.smarthost.smarthost import Smarthost
from tests.support import tokens as fake
from tests.support.outbox import serving
from tests.support.tokens import HANG

LETTER = b"Subject: Faxed\r\n\r\nIt was delivered.\r\n"
ANNA, USER, SECRET = "anna@office.example", "fax@office.example", "s3cret-of-the-app&="
REFUSED = {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid client secret {SECRET}."}


@pytest.fixture(autouse=True)
def _own_secrets(monkeypatch):
    monkeypatch.setattr(log.secrets, "_secrets", set())
    monkeypatch.setattr(log.secrets, "_longest_first", [])


@pytest.fixture
async def tokens():
    async with fake.serving() as server:
        yield server


def rules(tokens, relay: str, **more) -> Reply:
    return Reply(
        relay=relay,
        relay_oauth_token_url=tokens.url,
        relay_oauth_client_id="app-1",
        relay_oauth_client_secret=SECRET,
        relay_oauth_scope="https://outlook.example/.default",
        **{"timeout": 30.0, **more},
    )


@pytest.fixture
async def relay(tmp_path):
    """A mail server that offers XOAUTH2 over TLS, and the URL and authority by which it is reached."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    async with serving(tls=context, users={USER: "no token yet"}, auth="XOAUTH2", host="localhost") as box:
        yield box, f"smtp+starttls://{USER.replace('@', '%40')}@localhost:{box.port}", str(tmp_path / "ca.pem")


@contextlib.asynccontextmanager
async def host(tokens, relay, **more):
    box, url, authority = relay
    opened = Smarthost(rules(tokens, url, relay_ca_file=authority, **more), "fax.local")
    try:
        yield opened, box
    finally:
        await opened.close()


async def refusal(opened) -> Temporary:
    with pytest.raises(Temporary) as caught:
        await opened.hand_over(LETTER, ANNA)
    assert SECRET not in str(caught.value)
    assert "token-" not in str(caught.value)
    return caught.value


async def test_a_reply_goes_with_a_token(tokens, relay):
    """One token for many replies at once; it is asked for as RFC 6749 section 4.4.2 says."""
    async with host(tokens, relay) as (opened, box):
        box.users[USER] = "token-1-of-many"
        await asyncio.gather(*(opened.hand_over(LETTER, ANNA) for _ in range(12)))
        assert {(mail.user, mail.tls) for mail in await box.wait(12)} == {(USER, True)}
    assert tokens.asked == [
        {
            "grant_type": "client_credentials",
            "client_id": "app-1",
            "client_secret": SECRET,
            "scope": "https://outlook.example/.default",
        }
    ]
    login = base64.b64encode(f"user={USER}\1auth=Bearer {tokens.token}\1\1".encode()).decode()
    assert log.redact(f"{tokens.token} {login}") == "*** ***"


async def test_a_token_is_used_until_shortly_before_its_end(tokens):
    """An hour: five minutes before; a short one: a tenth before. The old one is no longer searched for in the log."""
    now = [0.0]
    held = Tokens(rules(tokens, "smtps://fax@localhost"), USER, lambda: now[0])
    for lifetime, later, expected in (
        (3600, 0.0, 1),
        (100, 3299.0, 1),
        (100, 3301.0, 2),
        (100, 3390.0, 2),
        ("600", 3392.0, 3),
        (None, 3931.0, 3),
        (None, 3933.0, 4),
        (None, 4202.0, 4),
        (None, 4204.0, 5),
    ):
        tokens.lifetime, now[0] = lifetime, later
        assert await held.get() == f"token-{expected}-of-many", later
    assert log.redact("token-1-of-many token-5-of-many") == "token-1-of-many ***"


async def test_the_relay_refuses_a_token(tokens, relay):
    """It was taken back: the reply waits, and another is asked for, but not for each of many replies."""
    async with host(tokens, relay) as (opened, box):
        verdict = await refusal(opened)
        assert "refused the login with 535" in verdict.note
        for _ in range(3):
            assert "gave a token that the relay refused; see [reply] relay_oauth_scope" in (await refusal(opened)).note
        assert (len(tokens.asked), box.sessions) == (1, 1)
        opened._tokens._asked_at -= 11
        box.users[USER] = "token-2-of-many"
        await opened.hand_over(LETTER, ANNA)
        assert len(box.mails) == 1
    assert len(tokens.asked) == 2


async def test_a_refused_token_stays_hidden(tokens, relay):
    """A relay that repeats it, by itself or as it was said, shows it to nobody; nor does one that is still believed."""
    async with host(tokens, relay) as (opened, box):
        login = base64.b64encode(f"user={USER}\1auth=Bearer token-1-of-many\1\1".encode()).decode()
        box.fault("auth", f"535 5.7.8 not token-1-of-many {login}")
        assert (await refusal(opened)).note.endswith("not *** ***")
        assert log.redact(f"token-1-of-many {login}") == "*** ***"
        opened._tokens._asked_at -= 11
        box.users[USER] = "token-2-of-many"
        await opened.hand_over(LETTER, ANNA)
    assert log.redact(f"token-1-of-many token-2-of-many {login}") == "*** *** ***"


async def test_few_old_tokens_are_hidden(tokens):
    """A relay that refuses for days leaves no list that grows; the same token, given again, stays hidden."""
    now = [0.0]
    held = Tokens(rules(tokens, "smtps://fax@localhost"), USER, lambda: now[0])
    for _ in range(50):
        held.refused(await held.get())
        now[0] += 11
    assert len(log.secrets._secrets) == 2 * 33 + 1  # this one, 32 old ones, and the application's secret
    tokens.answer = 200, '{"access_token": "token-50-of-many", "expires_in": 3600}'
    assert log.redact(await held.get()) == "***"


async def test_a_relay_without_xoauth2(tokens, relay):
    """The operator reads what is missing; no token is said to a server that cannot take one."""
    async with host(tokens, relay) as (opened, box):
        box.auth = "PLAIN LOGIN"
        verdict = await refusal(opened)
    assert "offers no XOAUTH2" in verdict.note
    assert not any(command.startswith("AUTH") for command in box.commands)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, json.dumps(REFUSED), "gave no token: invalid_client: AADSTS7000215: Invalid client secret ***."),
        (400, '{"error": "invalid_scope"}', "gave no token: invalid_scope; see [reply] relay_oauth_client_id"),
        (200, "<html>log in</html>", "gave no token: missing_token"),
        (200, '{"token_type": "Bearer"}', "gave no token: missing_token"),
        (200, '{"access_token": 7}', "a token that cannot be used"),
        (200, '{"access_token": "a\\u0001b"}', "a token that cannot be used"),
        (200, "[]", "HTTP 200 without a token"),
        (200, '{"access_token": "x", "expires_in": "soon"}', "HTTP 200 without a token"),
        (302, "", "gave no token: missing_token"),
        (503, "down for maintenance", "gave no token: HTTP 503"),
        (429, "slower", "gave no token: HTTP 429"),
    ],
)
async def test_no_token_is_given(tokens, relay, status, body, words):
    """Whatever it says instead, replies wait, and the operator reads who said what; the server is left in peace."""
    tokens.answer = status, body
    async with host(tokens, relay) as (opened, box):
        verdict = await refusal(opened)
        assert words in verdict.note
        assert f"127.0.0.1:{tokens.port}" in verdict.note
        assert verdict.reason is Reason.RELAY_DEFERRED
        assert (await refusal(opened)).note == verdict.note
        assert (len(tokens.asked), box.sessions) == (1, 0)
        opened._tokens._asked_at -= 11
        tokens.answer, box.users[USER] = None, "token-2-of-many"
        await opened.hand_over(LETTER, ANNA)


async def test_a_secret_is_blanked_before_its_words_are_cut(tokens, relay):
    """What is long is cut, and a secret that stood across the cut would not be known again."""
    async with host(tokens, relay) as (opened, _):
        for before in range(200, 300, 4):
            tokens.answer = 401, json.dumps({"error": "invalid_client", "error_description": "x" * before + SECRET})
            opened._tokens._asked_at -= 11
            note = (await refusal(opened)).note
            assert len(note) <= 300
            assert SECRET[:3] not in note, before


async def test_the_token_server_is_away(tokens, relay):
    """Nobody listens, then nobody answers: replies wait, and go when it is back."""
    async with host(tokens, relay) as (opened, box):
        await tokens.down()
        verdict = await refusal(opened)
        assert "cannot be asked for a token" in verdict.note
        assert verdict.reason is Reason.RELAY_UNREACHABLE
        await tokens.up()
        tokens.answer = HANG, ""
        opened._tokens._asked_at -= 11
        opened._tokens._timeout = 2.0
        assert "did not answer in time" in (await refusal(opened)).note
        opened._tokens._asked_at -= 11
        opened._tokens._timeout = 15.0
        tokens.answer, box.users[USER] = None, f"token-{len(tokens.asked) + 1}-of-many"
        await opened.hand_over(LETTER, ANNA)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"relay_oauth_client_secret": ""}, "needs relay_oauth_client_id and"),
        ({"relay": "smtp+starttls://localhost"}, "needs a user in relay"),
        ({"relay": "smtp+starttls://fax:pass@localhost"}, "a password of the relay is given, too"),
        ({"relay_password": "pass"}, "a password of the relay is given, too"),
        ({"relay": "smtp://fax@localhost"}, "needs TLS to the relay"),
        ({"relay_oauth_token_url": "http://login.example/token"}, "write it as https://host/path"),
    ],
)
def test_settings_that_cannot_work(tokens, more, words):
    """Told at the start; a secret never goes out in the clear."""
    good = rules(tokens, "smtp+starttls://fax@localhost").model_dump() | {"relay_oauth_client_secret": SECRET}
    with pytest.raises(ValueError, match=words):
        Reply(**{**good, "relay_password": "", "secret": "", **more})
