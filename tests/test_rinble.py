"""Provider `rinble` over real sockets: nothing is sent twice, nothing is taken for sent that was not."""

import asyncio
import contextlib
import email
import email.policy
import ssl
import time
import tracemalloc

import anyio
import httpcore
import httpx
import pytest
import trustme

from mail2fax.model import Line, LineHeld, Permanent, Progress, Reason, State, Temporary, Unclear, Verdict
from mail2fax.providers import UnusableProvider, held
from mail2fax.providers.rinble import Rinble
from mail2fax.settings import Provider
from tests.faultproxy import Fault, FaultProxy
from tests.faxapi import HANG, LOST, RESET, FaxApi, Reply

LINE = Line("", "token-of-the-line")
NUMBER = "6474959659"
END = b'\r\nContent-Disposition: form-data; name="sendCover"'


@pytest.fixture
def document(tmp_path):
    """A document of a size that several chunks are needed for."""
    return pdf(tmp_path, 300_000)


def pdf(folder, size):
    path = folder / f"{size}.pdf"
    path.write_bytes(b"%PDF-1.7\n".ljust(size, b"\x8e")[:size])
    return path


@contextlib.asynccontextmanager
async def opened(url, **settings):
    """The provider, closed again."""
    provider = Rinble(Provider(url=url, **({"timeout": 5.0} | settings)))
    try:
        yield provider
    finally:
        await provider.close()


@pytest.fixture
async def provider(faxapi):
    """The provider with the fake API behind it."""
    async with opened(faxapi.url) as provider:
        yield provider


def shown(value):
    """A short name for a parameter."""
    return repr(value)[:60] if not isinstance(value, type) else value.__name__


class Commit:
    """Counts, and looks around when it is called."""

    def __init__(self, then=None):
        self.calls = 0
        self.then = then

    async def __call__(self):
        self.calls += 1
        if self.then:
            await self.then()


async def verdict(provider, document, commit=None, number=NUMBER):
    """The verdict on a submission, which must come."""
    with pytest.raises(Verdict) as raised:
        await provider.submit(LINE, number, document, "2Q4X.pdf", commit or Commit())
    return raised.value


# -- the form, and its held-back end


async def test_the_form_is_as_documented(faxapi, provider, document):
    """Eight fields in the documented order, the cover ones empty, the file as it is on disk."""
    ref = await provider.submit(LINE, NUMBER, document, "2Q4X.pdf", Commit())
    (post,) = faxapi.posts
    assert ref == post.uuid
    assert post.fields == [
        ("token", b"token-of-the-line"),
        ("number", b"6474959659"),
        ("file", document.read_bytes()),
        ("sendCover", b"N"),
        ("coverFrom", b""),
        ("coverTo", b""),
        ("coverSubject", b""),
        ("coverMessage", b""),
    ]
    assert post.name == "2Q4X.pdf"


async def test_another_reader_of_multipart_reads_the_same(faxapi, provider, document):
    """The standard library's parser finds the eight parts, too, with names, file name and type."""
    await provider.submit(LINE, NUMBER, document, 'a "b"\r\nX: é.pdf', Commit())
    (post,) = faxapi.posts
    head = f"Content-Type: {post.content_type}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + bytes(post.data), policy=email.policy.HTTP).iter_parts())
    assert [part.get_param("name", header="Content-Disposition") for part in parts][:3] == ["token", "number", "file"]
    assert len(parts) == 8
    assert parts[2].get_content_type() == "application/pdf"
    # One header line, whatever stands in the name.
    assert len(parts[2].items()) == 2


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1_000_000])
async def test_nothing_of_the_end_leaves_before_the_commit_returned(faxapi, provider, tmp_path, size):
    """When the commit is called, all but the end has arrived; while it lasts, nothing more does."""
    document = pdf(tmp_path, size)

    async def look():
        await faxapi.until(lambda: faxapi.uploads)
        (upload,) = faxapi.uploads
        await faxapi.until(lambda: upload.data.endswith(b"\r\n\r\n" + document.read_bytes()))
        with pytest.raises(TimeoutError):
            await faxapi.until(lambda: not upload.data.endswith(document.read_bytes()), timeout=0.1)
        assert END not in upload.data
        assert not upload.complete

    commit = Commit(look)
    await provider.submit(LINE, NUMBER, document, "x.pdf", commit)
    assert commit.calls == 1
    assert END in faxapi.posts[0].data


class OddError(Exception):
    """Not of this world."""


ODD = OddError("why")
ODD.__cause__ = KeyError("the cause")


@pytest.mark.parametrize(
    "error",
    [
        ODD,
        OSError(28, "No space left on device"),
        TimeoutError("database"),
        httpx.ReadError("not ours"),
        httpcore.WriteError("not ours"),
        Temporary(Reason.INTERNAL),
        asyncio.CancelledError(),
    ],
    ids=shown,
)
async def test_a_commit_that_fails_ends_the_request_without_its_end(faxapi, provider, document, error):
    """And its exception comes through unchanged, the very same object with the same cause."""
    cause = error.__cause__

    async def fail():
        raise error

    with pytest.raises(type(error)) as raised:
        await provider.submit(LINE, NUMBER, document, "x.pdf", Commit(fail))
    assert raised.value is error
    assert error.__cause__ is cause
    await faxapi.until(lambda: faxapi.cuts)
    assert not faxapi.posts


async def test_a_cancelled_submission_never_sends_the_end(faxapi, provider, document):
    """Cancelled while the commit runs: the request stays without its end."""
    entered = asyncio.Event()

    async def wait():
        entered.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(provider.submit(LINE, NUMBER, document, "x.pdf", Commit(wait)))
    await entered.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await faxapi.until(lambda: faxapi.cuts)
    assert not faxapi.posts


async def test_a_cancellation_after_the_commit_comes_through(faxapi, provider, document):
    """The caller knows that its commit returned, and judges."""
    faxapi.on_post(HANG)
    task = asyncio.create_task(provider.submit(LINE, NUMBER, document, "x.pdf", Commit()))
    await faxapi.until(lambda: faxapi.posts)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_document_that_shrinks_is_never_sent_whole(faxapi, provider, document, monkeypatch):
    """Not what was announced: the request ends before its end, with the error of our own side."""
    original = held.HeldBody._read

    def shrink(body, size):
        with document.open("r+b") as file:
            file.truncate(100_000)
        return original(body, size)

    monkeypatch.setattr(held.HeldBody, "_read", shrink)
    commit = Commit()
    with pytest.raises(OSError, match="shorter"):
        await provider.submit(LINE, NUMBER, document, "x.pdf", commit)
    await faxapi.until(lambda: faxapi.cuts)
    assert not faxapi.posts
    assert commit.calls == 0


async def test_a_missing_document_is_our_own_error(faxapi, provider, tmp_path):
    """Nothing is said to the provider."""
    with pytest.raises(FileNotFoundError):
        await provider.submit(LINE, NUMBER, tmp_path / "none.pdf", "x.pdf", Commit())
    assert faxapi.connections == 0


async def test_eight_at_once_do_not_mix(faxapi, provider, tmp_path):
    """Each fax has its own number, file and ref."""
    documents = [pdf(tmp_path, 200_000 + n) for n in range(8)]
    refs = await asyncio.gather(
        *(provider.submit(LINE, f"416555010{n}", documents[n], f"{n}.pdf", Commit()) for n in range(8))
    )
    assert len(set(refs)) == 8
    for post in faxapi.posts:
        n = int(post.number[-1])
        assert refs[n] == post.uuid
        assert post.document == documents[n].read_bytes()


# -- faults before the commit: surely not taken


@pytest.mark.parametrize("how", ["close", "reset", "half-close"])
@pytest.mark.parametrize("after", [1, 150, 500, 70_000, 299_000])
async def test_a_line_that_breaks_before_the_end_was_surely_not_taken(faxapi, tmp_path, how, after):
    """Whatever the break looks like: no commit, no complete request, Temporary, and one connection only."""
    async with (
        FaultProxy(faxapi.port, up=Fault(after, how)) as proxy,
        opened(f"http://127.0.0.1:{proxy.port}/api/fax") as provider,
    ):
        commit = Commit()
        raised = await verdict(provider, pdf(tmp_path, 8_000_000), commit)
        assert type(raised) is Temporary
        assert raised.reason is Reason.PROVIDER_UNREACHABLE
        assert commit.calls == 0
    assert not faxapi.posts
    assert faxapi.connections == 1


async def test_a_server_that_reads_no_further_runs_into_the_timeout(tmp_path):
    """The pieces no longer leave: Temporary after [provider] timeout, and no commit."""
    async with silent() as stalled, opened(url(stalled), timeout=0.5) as provider:
        commit = Commit()
        raised = await verdict(provider, pdf(tmp_path, 30_000_000), commit)
        assert type(raised) is Temporary
        assert commit.calls == 0


@contextlib.asynccontextmanager
async def silent():
    """A server that takes connections, reads nothing and says nothing."""
    writers = []

    def accepted(reader, writer):
        reader._transport.pause_reading()
        writers.append(writer)

    server = await asyncio.start_server(accepted, "127.0.0.1", 0)
    async with server:
        yield server
        for writer in writers:
            writer.transport.abort()


def url(server, scheme="http"):
    return f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/fax"


async def test_nobody_there(document):
    """Connection refused, or a name that is none: Temporary, and the note says which."""
    async with FaxApi() as gone:
        pass
    commit = Commit()
    async with opened(gone.url) as provider:
        raised = await verdict(provider, document, commit)
        assert type(raised) is Temporary
        assert raised.reason is Reason.PROVIDER_UNREACHABLE
        assert raised.note == "ConnectError, Connection refused"
    async with opened("http://no-such-host.invalid/api/fax") as provider:
        raised = await verdict(provider, document, commit)
        assert type(raised) is Temporary
    assert commit.calls == 0


async def test_a_handshake_that_never_ends(document):
    """Connected, but no TLS: Temporary after the connect timeout."""
    async with silent() as server, opened(url(server, "https"), timeout=0.3) as provider:
        assert type(await verdict(provider, document)) is Temporary


EARLY = [
    (400, {}, Permanent),
    (401, {}, LineHeld),
    (403, {}, LineHeld),
    (408, {}, Temporary),
    (409, {}, Temporary),
    (413, {}, Permanent),
    (429, {"Retry-After": "9"}, Temporary),
    (301, {"Location": "http://127.0.0.1:1/"}, Temporary),
    (500, {}, Temporary),
    (503, {}, Temporary),
    (503, {"Retry-After": "9"}, Temporary),
]


@pytest.mark.parametrize("end", ["close", "hang"])
@pytest.mark.parametrize(("status", "headers", "kind"), EARLY)
async def test_an_early_refusal_is_heard(faxapi, provider, tmp_path, status, headers, kind, end):
    """Refused while 4 MB are on their way: judged by its status, without a commit, and without sending the rest."""
    faxapi.on_post(Reply(status, b"no", headers, early=100_000, end=end))
    commit = Commit()
    raised = await verdict(provider, pdf(tmp_path, 4_000_000), commit)
    assert type(raised) is kind
    assert raised.retry_after == (9.0 if headers.get("Retry-After") else None)
    assert commit.calls == 0


async def test_an_early_end_of_the_connection_is_noticed_before_the_commit(faxapi, provider, tmp_path):
    """The server hung up half-way without a word: no commit on a dead connection."""
    faxapi.on_post(Reply(early=100_000, cut=0, end="close"))
    commit = Commit()
    raised = await verdict(provider, pdf(tmp_path, 4_000_000), commit)
    assert type(raised) is Temporary
    assert commit.calls == 0


async def test_an_early_success_is_no_proof_of_anything_but_success(faxapi, provider, tmp_path):
    """A server that gives a uuid and hangs up before the end has the fax: commit, and keep the ref."""
    faxapi.on_post(Reply(early=100_000, end="close"))
    commit = Commit()
    ref = await provider.submit(LINE, NUMBER, pdf(tmp_path, 8_000_000), "x.pdf", commit)
    assert ref == faxapi.uploads[0].uuid
    assert commit.calls == 1


async def test_an_early_success_does_not_stop_the_rest(faxapi, provider, tmp_path):
    """A server that answers before it has read all, and reads on, gets the whole form."""
    faxapi.on_post(Reply(early=100_000, end="hang"))
    commit = Commit()
    ref = await provider.submit(LINE, NUMBER, pdf(tmp_path, 1_000_000), "x.pdf", commit)
    assert ref == faxapi.uploads[0].uuid
    assert commit.calls == 1


# -- faults after the commit: unclear, unless the provider said that it did not take it


def http(status, body=b"", *headers):
    """An answer of our own making."""
    return Reply(status, body, dict(headers))


TAKEN = b'{"uuid": "u-1", "status": "Loading"}'


@pytest.mark.parametrize(
    "reply",
    [
        LOST,
        RESET,
        Reply(cut=1, end="close"),
        Reply(cut=12, end="close"),
        Reply(cut=12, end="reset"),
        Reply(cut=60, end="close"),
        Reply(body=TAKEN, cut=-20, end="close"),
        Reply(body=TAKEN, cut=-20, end="reset"),
        Reply(raw=b"\x15\x03\x01\x00\x02\x02F", end="close"),
        Reply(raw=b"220 mail.example ESMTP\r\n", end="close"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", end="close"),
        Reply(raw=b"HTTP/1.1 200 OK\r\nX: " + b"x" * 200_000, end="close"),
        Reply(raw=b"HTTP/1.1 101 Switching Protocols\r\n\r\n", end="close"),
        Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\n", end="close"),
        http(200, b""),
        http(204),
        http(200, b"<html>Bad Gateway</html>", ("Content-Type", "text/html")),
        http(200, TAKEN[:20]),
        http(200, b'{"status": "Loading"}'),
        http(200, b'{"uuid": 7}'),
        http(200, b'{"uuid": "' + b"x" * 10_000_000 + b'"}'),
        http(200, b"\x1f\x8b\x08\x00" + b"\x00" * 50, ("Content-Encoding", "gzip")),
        http(301, b"", ("Location", "/elsewhere")),
        http(302, b"", ("Location", "http://127.0.0.1:1/")),
        http(307, b"", ("Location", "/api/fax/send")),
        http(409),
        http(500),
        http(502),
        http(503),
        http(503, b"", ("Retry-After", "soon")),
        http(504),
        http(200, b'{"error_code": 500}'),
        http(200, b'{"error_code": "409"}'),
    ],
    ids=shown,
)
async def test_what_is_not_said_after_the_commit_is_unclear(faxapi, provider, document, reply):
    """And one complete request has been made, not two."""
    faxapi.on_post(reply)
    commit = Commit()
    raised = await verdict(provider, document, commit)
    assert type(raised) is Unclear
    assert raised.reason is Reason.NO_ANSWER
    assert commit.calls == 1
    assert len(faxapi.posts) == 1
    assert faxapi.connections == 1


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (http(400), Permanent),
        (http(404), Permanent),
        (http(405), Permanent),
        (http(413), Permanent),
        (http(422), Permanent),
        (http(200, b'{"error_code": 400}'), Permanent),
        (http(401), LineHeld),
        (http(403), LineHeld),
        (http(200, b'{"error_code": "401"}'), LineHeld),
        (http(408), Temporary),
        (http(429), Temporary),
        (http(503, b"", ("Retry-After", "0")), Temporary),
        (http(503, b"", ("Retry-After", "Sun, 01 Mar 2026 12:00:10 GMT")), Temporary),
        # The status line decides: what cuts the rest short does not hide it.
        (Reply(413, b"x" * 500, cut=-100, end="reset"), Permanent),
        (Reply(401, b"x" * 500, cut=-100, end="close"), LineHeld),
        (Reply(429, b"x" * 500, cut=-100, end="hang"), Temporary),
        (Reply(400, b"x" * 10_000_000), Permanent),
    ],
    ids=shown,
)
async def test_what_the_provider_says_after_the_commit_is_believed(faxapi, document, reply, kind):
    """It refused, or did not process it, in words."""
    faxapi.on_post(reply)
    async with opened(faxapi.url, timeout=1.0 if reply.end == "hang" else 5.0) as provider:
        assert type(await verdict(provider, document)) is kind


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=TAKEN, headers={"Content-Type": "text/html; charset=nonsense"}),
        Reply(body=TAKEN, headers={"Content-Length": "9999"}, end="close"),
        Reply(body=TAKEN, headers={"Content-Length": "9999"}, end="reset"),
        Reply(body=b"\xef\xbb\xbf" + TAKEN),
        Reply(body=b"\r\n\t" + TAKEN + b"\n"),
        Reply(201, TAKEN),
        Reply(raw=b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + TAKEN, end="close"),
        Reply(raw=b"HTTP/1.0 200 OK\r\n\r\n" + TAKEN, end="close"),
        Reply(raw=b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n" + TAKEN + b"\r\n0\r\n\r\n"),
    ],
    ids=shown,
)
async def test_a_uuid_is_read_out_of_any_2xx(faxapi, provider, document, reply):
    """Wrong content type, wrong length, another form of HTTP: the answer's shape is what counts."""
    faxapi.on_post(reply)
    assert await provider.submit(LINE, NUMBER, document, "x.pdf", Commit()) == "u-1"


@pytest.mark.parametrize("reply", [HANG, Reply(cut=20, end="hang")], ids=["no answer", "half an answer"])
async def test_a_provider_that_never_answers_runs_into_the_timeout(faxapi, document, reply):
    """Unclear after [provider] timeout."""
    faxapi.on_post(reply)
    async with opened(faxapi.url, timeout=0.3) as provider:
        assert type(await verdict(provider, document)) is Unclear


async def test_a_dribbling_answer_has_one_timeout_as_a_whole(faxapi, document):
    """A byte now and then does not keep us for ever."""
    async with (
        FaultProxy(faxapi.port, down=Fault(delay=0.1, piece=1)) as proxy,
        opened(f"http://127.0.0.1:{proxy.port}/api/fax", timeout=0.5) as provider,
    ):
        async with asyncio.timeout(4):
            assert type(await verdict(provider, document)) is Unclear


async def test_a_slow_commit_is_not_the_providers_fault(faxapi, document):
    """A database slower than [provider] timeout is waited for; then the answer has its own time."""

    async def slow():
        await asyncio.sleep(1.2)

    faxapi.on_post(Reply(delay=0.2))
    async with opened(faxapi.url, timeout=1.0) as provider:
        assert await provider.submit(LINE, NUMBER, document, "x.pdf", Commit(slow))


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
        provider._sender._transport = Raising(made(kind), whole=whole)
        raised = await verdict(provider, document)
        assert type(raised) is (Unclear if whole else Temporary)
        assert LINE.token not in str(raised)
        assert raised.__cause__ is None
        assert raised.__context__ is None


@pytest.mark.parametrize("kind", FOREIGN, ids=lambda kind: kind.__name__)
async def test_every_foreign_error_only_delays_a_poll(kind):
    """Temporary, whatever it is."""
    async with opened("http://127.0.0.1:1/api/fax") as provider:
        provider._asker._transport = Raising(made(kind), whole=False)
        with pytest.raises(Temporary) as raised:
            await provider.status(LINE, "u-1")
        assert type(raised.value) is Temporary
        assert LINE.token not in str(raised.value)


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


# -- where it may go


async def test_no_proxy_of_the_environment_is_used(faxapi, document, monkeypatch):
    """HTTP_PROXY of some shell must not see faxes."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with opened(faxapi.url) as provider:
        assert await provider.submit(LINE, NUMBER, document, "x.pdf", Commit())
        assert await provider.status(LINE, "u-1")


async def test_no_redirect_is_followed(faxapi, provider, document):
    """The token would go where somebody else points."""
    async with FaxApi() as elsewhere:
        for status in (301, 302, 303, 307, 308):
            reply = http(status, b"", ("Location", elsewhere.url + "/status?token=x&uuid=u"))
            faxapi.on_post(reply)
            faxapi.on_poll(reply)
            await verdict(provider, document)
            with pytest.raises(Temporary):
                await provider.status(LINE, "u-1")
        assert elsewhere.connections == 0


@pytest.fixture(scope="module")
def authority():
    """Who signs certificates here."""
    return trustme.CA()


@pytest.fixture
async def tls_faxapi(authority):
    """The fake API behind TLS, with a certificate of a private authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with FaxApi(tls=context) as api:
        yield api


async def test_tls_with_a_private_authority(tls_faxapi, authority, tmp_path):
    """ca_file names it; the end is held back there, too, and an early refusal heard."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    document = pdf(tmp_path, 2_000_000)

    async def look():
        await tls_faxapi.until(lambda: tls_faxapi.uploads)
        (upload,) = tls_faxapi.uploads
        await tls_faxapi.until(lambda: upload.data.endswith(document.read_bytes()[-1000:]))
        assert END not in upload.data

    async with opened(tls_faxapi.url, ca_file=str(tmp_path / "ca.pem")) as provider:
        await provider.check(LINE)
        assert await provider.submit(LINE, NUMBER, document, "x.pdf", Commit(look))
        assert await provider.status(LINE, "u-1")
        commit = Commit()
        tls_faxapi.on_post(Reply(413, early=50_000, end="hang"))
        assert type(await verdict(provider, pdf(tmp_path, 20_000_000), commit)) is Permanent
        assert commit.calls == 0


async def test_a_certificate_that_is_not_trusted(tls_faxapi, document):
    """Nothing is sent, and the note says what is wrong with it."""
    async with opened(tls_faxapi.url) as provider:
        commit = Commit()
        for raised in (await verdict(provider, document, commit), await failed_check(provider)):
            assert type(raised) is Temporary
            assert "certificate" in raised.note
        with pytest.raises(Temporary):
            await provider.status(LINE, "u-1")
        assert commit.calls == 0
    assert not tls_faxapi.uploads


@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_a_ca_file_that_cannot_be_used_is_an_answer_to_the_operator(tmp_path, content):
    """Missing, empty or something else: the error names the key and the file."""
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(UnusableProvider) as raised:
        Rinble(Provider(url="https://127.0.0.1/api/fax", ca_file=str(file)))
    assert str(raised.value).startswith(f'[provider] ca_file = "{file}": ')
    assert not str(raised.value).endswith(": ")


async def failed_check(provider):
    with pytest.raises(Temporary) as raised:
        await provider.check(LINE)
    return raised.value


async def test_check_reaches_the_address_and_sends_nothing(faxapi, provider):
    """A connection, and no request; with nobody there the note says so."""
    await provider.check(LINE)
    await faxapi.until(lambda: faxapi.connections == 1)
    assert not faxapi.uploads
    assert not faxapi.polls
    await faxapi.stop()
    assert "refused" in (await failed_check(provider)).note
    await faxapi.start()


# -- cost


async def test_a_large_document_is_streamed(tmp_path):
    """32 MB go out with less than 2 MB of memory, and other tasks are not kept waiting."""
    document = tmp_path / "large.pdf"
    with document.open("wb") as file:
        file.truncate(32_000_000)
    longest = 0.0

    async def watch():
        nonlocal longest
        while True:
            before = time.thread_time()  # our own work only, however busy the machine is
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)

    sink = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with sink, opened(url(sink), timeout=30.0) as provider:
        watching = asyncio.create_task(watch())
        await provider.submit(LINE, NUMBER, document, "x.pdf", Commit())
        tracemalloc.start()
        await provider.submit(LINE, NUMBER, document, "x.pdf", Commit())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        watching.cancel()
    assert peak < 2_000_000
    assert longest < 0.05


async def swallow(reader, writer):
    """Takes a POST without keeping it."""
    head = await reader.readuntil(b"\r\n\r\n")
    left = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while left:
        left -= len(await reader.read(min(left, 65_536)))
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n" + b'{"uuid": "u"}')
    await writer.drain()
    writer.close()


async def test_each_post_has_a_connection_of_its_own(faxapi, provider, document):
    """A used one that the server is just closing would leave the fax in doubt."""
    for _ in range(3):
        await provider.submit(LINE, NUMBER, document, "x.pdf", Commit())
    assert faxapi.connections == 3
    assert {post.headers["connection"] for post in faxapi.posts} == {"close"}
