"""Provider `rinble`: polls survive everything, and no exception of the library comes through."""

import ssl

import anyio
import httpcore
import httpx
import pytest

from mail2fax.model import Line, LineHeld, Progress, State, Temporary, Unclear
from tests.support.faxapi import HANG, LOST, RESET, Reply
from tests.support.submitting import LINE, http, opened, pdf, shown, verdict


@pytest.fixture
def document(tmp_path):
    """A document of a size that several chunks are needed for."""
    return pdf(tmp_path, 300_000)


@pytest.fixture
async def provider(faxapi):
    """The provider with the fake API behind it."""
    async with opened(faxapi.url) as provider:
        yield provider


# -- polls


async def test_a_fax_is_followed_to_its_end(faxapi, provider):
    """The words in their order, on one connection that stays open."""
    faxapi.words = ["Loading", "Converting", "Pending", "Sending", "Redialing", "Success"]
    seen = [await provider.status(LINE, "u-1") for _ in faxapi.words]
    assert [progress.word for progress in seen] == faxapi.words
    assert [progress.final for progress in seen] == [None] * 5 + [State.DELIVERED]
    assert faxapi.connections == 1


async def test_failed_is_a_last_word(faxapi, provider):
    """Without a reason: none is given."""
    faxapi.words = ["failed"]
    assert await provider.status(LINE, "u-1") == Progress("Failed", State.FAILED)


@pytest.mark.parametrize("text", ["4f11W59b-", "a b", "a+b", "a&uuid=c", "a#b", "é%20", "a/b?c=d;e", "%", "'\""])
async def test_token_and_uuid_are_opaque(faxapi, provider, text):
    """Whatever stands in them arrives as it is."""
    await provider.status(Line("", text), text)
    assert (faxapi.polls[0].token, faxapi.polls[0].uuid) == (text, text)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (http(401), LineHeld),
        (http(403), LineHeld),
        (http(200, b'{"error_code": 401, "message": "Invalid Token"}'), LineHeld),
        (http(404), Temporary),
        (http(200, b'{"error_code": 404}'), Temporary),
        (http(302, b"", ("Location", "/login")), Temporary),
        (http(429, b"", ("Retry-After", "9")), Temporary),
        (http(500), Temporary),
        (http(503), Temporary),
        (http(200, b"<html>"), Temporary),
        (http(200, b'{"status": 0}'), Temporary),
        (http(200, b'{"status": ""}'), Temporary),
        (http(200, b"x" * 10_000_000), Temporary),
        (LOST, Temporary),
        (RESET, Temporary),
        (HANG, Temporary),
        (Reply(cut=20, end="close"), Temporary),
        (Reply(raw=b"nonsense\r\n\r\n", end="close"), Temporary),
    ],
    ids=shown,
)
async def test_no_poll_fails_a_fax(faxapi, reply, kind):
    """Whatever comes back, or nothing: asked again later, and the next poll goes through."""
    faxapi.on_poll(reply)
    async with opened(faxapi.url, timeout=1.0 if reply is HANG else 5.0) as provider:
        with pytest.raises(Temporary) as raised:
            await provider.status(LINE, "u-1")
        assert type(raised.value) is kind
        assert await provider.status(LINE, "u-1") == Progress("Success", State.DELIVERED)


async def test_polls_survive_a_restart_of_the_provider(faxapi, provider):
    """Down: Temporary. Up again: the next poll goes through on a new connection."""
    await provider.status(LINE, "u-1")
    await faxapi.stop()
    with pytest.raises(Temporary):
        await provider.status(LINE, "u-1")
    await faxapi.start()
    assert await provider.status(LINE, "u-1")


async def test_no_session_of_one_line_becomes_anothers(faxapi, provider, document):
    """Cookies are not kept."""
    faxapi.on_poll(Reply(headers={"Set-Cookie": "session=first; Path=/"}))
    await provider.status(LINE, "u-1")
    await provider.status(Line("second", "t2"), "u-2")
    assert "cookie" not in faxapi.polls[1].headers


# -- every exception class of the library


def subclasses(kind):
    for sub in kind.__subclasses__():
        yield sub
        yield from subclasses(sub)


FOREIGN = sorted(
    {*subclasses(httpx.HTTPError), httpx.InvalidURL, httpx.StreamConsumed, httpx.CookieConflict, ssl.SSLError}
    | {OSError, RuntimeError, ValueError, anyio.BusyResourceError, TimeoutError, httpcore.ReadError},
    key=lambda kind: kind.__name__,
)


class Raising(httpx.AsyncBaseTransport):
    """Raises at the start, or once the whole request was read."""

    def __init__(self, error, *, whole):
        self.error, self.whole = error, whole

    async def handle_async_request(self, request):
        if self.whole:
            async for _ in request.stream:
                pass
        raise self.error


def made(kind):
    """An exception of that class, with the secret URL in its text."""
    secret = f"https://x/status?token={LINE.token}"
    if issubclass(kind, httpx.HTTPStatusError):
        return kind(secret, request=httpx.Request("GET", secret), response=httpx.Response(500))
    if kind is httpx.StreamConsumed:
        return kind()
    return kind("reading from") if kind is anyio.BusyResourceError else kind(secret)


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("whole", [False, True], ids=["before", "after"])
async def test_every_foreign_error_is_a_verdict_by_the_commit(kind, whole, document):
    """Temporary before it, Unclear after it, for each class there is; and no text of theirs is repeated."""
    async with opened("http://127.0.0.1:1/api/fax") as provider:
        provider.api.sender._transport = Raising(made(kind), whole=whole)
        raised = await verdict(provider, document)
        assert type(raised) is (Unclear if whole else Temporary)
        assert LINE.token not in str(raised)
        assert raised.__cause__ is None
        assert raised.__context__ is None


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
async def test_every_foreign_error_only_delays_a_poll(kind):
    """Temporary, whatever it is."""
    async with opened("http://127.0.0.1:1/api/fax") as provider:
        provider.api.asker._transport = Raising(made(kind), whole=False)
        with pytest.raises(Temporary) as raised:
            await provider.status(LINE, "u-1")
        assert type(raised.value) is Temporary
        assert LINE.token not in str(raised.value)
