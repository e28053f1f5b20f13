"""No token reaches a log, an exception, the spool, a reply or a page, though the provider repeats it everywhere.

The canary is a token with characters that every encoding writes in its own way around a core that all leave alone:
finding the core anywhere is a leak.
"""

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import traceback
from urllib.parse import quote, quote_plus

import httpx
import pytest

from mail2fax import log
from mail2fax.config import Provider, Settings
from mail2fax.config.keys import KEYS
from mail2fax.model import Line, State, Verdict
from mail2fax.providers import held_body
from mail2fax.providers.rinble import Rinble
from tests.support.faxapi import LOST, RESET, Reply
from tests.support.samples import mail, pdf

CORE = "c4narycore7391"
TOKEN = f'{CORE} +/&="%'
LINE = Line("accounting", TOKEN)

ECHO = json.dumps({"status": 0, "message": f"Invalid Token {TOKEN}", "error": {"token": TOKEN}}).encode()
HEADERS = {
    "Location": f"/login?token={quote(TOKEN, safe='')}",
    "Set-Cookie": f"token={quote_plus(TOKEN)}",
    "X-Request": f"/api/fax/status?token={quote_plus(TOKEN)}",
}
ECHOES = [
    *(Reply(status, ECHO, HEADERS) for status in (200, 302, 400, 401, 403, 404, 409, 429, 500, 503)),
    *(Reply(body={"error_code": code, "message": TOKEN}) for code in (400, 401, 404, 500, "403")),
    Reply(body={"status": f"Invalid Token {TOKEN}"}),
    Reply(body={"status": ("x" * 30) + TOKEN}),
    Reply(body={"uuid": 7, "status": TOKEN}),
    Reply(body=f"<html>{TOKEN}</html>".encode(), headers={"Content-Type": "text/html"}),
    Reply(raw=f"HTTP/1.1 500 Bad token {TOKEN}\r\n\r\n{TOKEN}".encode(), end="close"),
    Reply(raw=f"{TOKEN}\r\n\r\n".encode(), end="close"),
    Reply(raw=f"HTTP/1.1 200 OK\r\nContent-Length: {TOKEN}\r\n\r\n".encode(), end="close"),
    LOST,
    RESET,
]


@pytest.fixture(params=["console", "json"])
def everything_logged(request):
    """What is written when an operator wants to see all of it, the libraries' own chatter too."""
    written = io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    log.configure(request.param, "debug", written)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    for name in ("httpx", "httpcore", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


def clean(text, where):
    """Nothing of the token stands there."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    assert CORE not in text, f"{where}: …{text[max(0, text.find(CORE) - 80) :][:200]}…"


def told(error):
    """All that an exception says, and all that hangs on to it."""
    parts = [str(error), repr(error), repr(error.args), repr(vars(error)), repr(getattr(error, "__notes__", ""))]
    parts += traceback.format_exception(error)
    for other in (error.__cause__, error.__context__):
        parts += [told(other)] if other else []
    return "\n".join(parts)


@pytest.fixture
def document(tmp_path):
    """What is faxed."""
    path = tmp_path / "document.pdf"
    path.write_bytes(pdf())
    return path


async def commit():
    """Nothing to write down."""


@pytest.mark.parametrize("everything_logged", ["console"], indirect=True)
@pytest.mark.parametrize("reply", ECHOES, ids=lambda reply: repr(reply)[:50])
async def test_what_the_provider_repeats_stays_at_the_border(faxapi, document, everything_logged, reply):
    """Each odd answer, to a POST and to a poll: exceptions, words and logs are clean."""
    faxapi.on_post(reply)
    faxapi.on_poll(reply)
    provider = Rinble(Provider(url=faxapi.url, timeout=2.0))
    for request in (
        lambda: provider.submit(LINE, "6474959659", document, "1.pdf", commit),
        lambda: provider.status(LINE, "u-1"),
    ):
        try:
            clean(repr(await request()), "an answer")
        except Verdict as verdict:
            clean(told(verdict), "a verdict")
    await provider.close()
    assert faxapi.posts[0].token == TOKEN
    assert faxapi.polls[0].token == TOKEN
    assert "HTTP Request" in everything_logged.getvalue() or reply.raw or reply.cut == 0
    clean(everything_logged.getvalue(), "the log")


async def test_the_filter_cuts_the_query_off_before_any_handler_sees_it(faxapi):
    """Also for a handler of somebody's own, which does not redact."""
    seen = io.StringIO()
    handler = logging.StreamHandler(seen)
    library = logging.getLogger("httpx")
    level = library.level
    library.addHandler(handler)
    library.setLevel(logging.DEBUG)
    provider = Rinble(Provider(url=faxapi.url, timeout=2.0))
    try:
        await provider.status(LINE, "u-1")
    finally:
        library.removeHandler(handler)
        library.setLevel(level)
        await provider.close()
    assert f"GET {faxapi.url}/status " in seen.getvalue()
    clean(seen.getvalue(), "a handler")


async def test_nothing_that_holds_a_token_shows_it(document):
    """Not in its repr, as a debugger or a log would print it."""
    line = Line("", TOKEN)
    with document.open("rb") as file:
        for thing in (
            line,
            held_body.HeldBody(file, "1.pdf", field="file", before=[("token", TOKEN)], after=[]),
            Provider(token=TOKEN),
            Settings(),
        ):
            clean(f"{thing!r} {thing!s} {[thing]}", type(thing).__name__)
    provider = Rinble(Provider(token=TOKEN))
    clean(repr(provider), "the provider")
    await provider.close()


@pytest.mark.parametrize("everything_logged", ["console", "json"], indirect=True)
async def test_the_whole_bridge_keeps_them(bridge, faxapi, outbox, tmp_path, everything_logged):
    """Every outcome once, with a provider that repeats the token: log, spool, replies and pages are clean."""
    running = await bridge(
        provider={"token": TOKEN},
        line=[{"name": "accounting", "senders": ["*@accounting.example"], "token": TOKEN + "2"}],
        reply={"admin": "admin@office.example"},
        web={"listen": "127.0.0.1:0"},
    )
    scripts = [
        ([], ["Loading", f"Odd {TOKEN}", "Success"], State.DELIVERED),
        ([], ["Failed"], State.FAILED),
        ([Reply(400, ECHO, HEADERS)], [], State.FAILED),
        ([LOST], [], State.UNKNOWN),
        ([Reply(429, ECHO, {"Retry-After": "0"}), Reply(401, ECHO, HEADERS)], ["Success"], State.DELIVERED),
    ]
    mails = []
    for replies, words, state in scripts:
        faxapi.on_post(*replies)
        faxapi.words = words or ["Success"]
        mails.append(
            await running.send(mail(pdf()), sender="bob@accounting.example" if replies else "a@office.example")
        )
        await running.until(mails[-1], state)
    await outbox.wait(len(scripts))
    assert {post.token for post in faxapi.posts} == {TOKEN, TOKEN + "2"}
    for sent in outbox.mails:
        clean(sent.content, "a reply")
    async with httpx.AsyncClient(trust_env=False, base_url=f"http://{running.node.page}") as browser:
        for path in (
            "/",
            "/find?q=6474959659",
            "/healthz",
            "/readyz",
            "/metrics",
            *(f"/fax/{name}-1" for name in mails),
        ):
            clean((await browser.get(path)).text, path)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        clean(await asyncio.to_thread(path.read_bytes), path.name)
    assert "Odd ***" in everything_logged.getvalue()
    clean(everything_logged.getvalue(), "the log")


@pytest.mark.parametrize("arguments", [["check", "--json"], ["check"], ["list", "--json"]])
def test_no_command_prints_them(tmp_path, arguments):
    """The effective settings are masked, whatever is wrong with the rest of them."""
    secrets = {key.variable: TOKEN for key in KEYS if key.secret and key.variable}
    assert "MAIL2FAX_REPLY__RELAY_OAUTH_CLIENT_SECRET" in secrets
    config = {
        "MAIL2FAX_PROVIDER__URL": "http://127.0.0.1:1/api/fax",
        "MAIL2FAX_REPLY__RELAY": "smtp://bridge@127.0.0.1:1",
        "MAIL2FAX_SPOOL__URL": f"sqlite:///{tmp_path}/spool.db",
    }
    done = subprocess.run(
        [sys.executable, "-m", "mail2fax.cli.main", *arguments],
        env=os.environ | secrets | config,
        capture_output=True,
        timeout=60,
        cwd=tmp_path,
    )
    clean(done.stdout, "standard output")
    clean(done.stderr, "standard error")


def test_a_short_secret_does_not_uncover_a_long_one(monkeypatch):
    """Whatever order they were made known in, and however they overlap."""
    monkeypatch.setattr(log.secrets, "_secrets", set())
    for secret in ("abcd", "xabcdx", "b%2Bcd"):
        log.hide(secret)
    assert log.redact("<xabcdx> <abcd> <b%2Bcd>") == "<***> <***> <***>"


def test_a_secret_of_a_letter_or_two_is_not_blanked_everywhere(monkeypatch):
    """It would hide nothing, and make every line of the log unreadable."""
    monkeypatch.setattr(log.secrets, "_secrets", set())
    for secret in ("", "x", "abc"):
        log.hide(secret)
    assert log.redact("extra abc") == "extra abc"
