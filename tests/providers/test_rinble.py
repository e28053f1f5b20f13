"""Provider `rinble` between faults: nothing is sent twice, nothing is taken for sent that was not."""

import asyncio
import contextlib
import gzip
import zlib

import pytest

from mail2fax.model import LineHeld, Permanent, Reason, Temporary, Unclear
from tests.support.faultproxy import Fault, FaultProxy
from tests.support.faxapi import HANG, LOST, RESET, FaxApi, Reply
from tests.support.submitting import LINE, NUMBER, TAKEN, Commit, http, opened, pdf, shown, url, verdict


@pytest.fixture
def document(tmp_path):
    """A document of a size that several chunks are needed for."""
    return pdf(tmp_path, 300_000)


@pytest.fixture
async def provider(faxapi):
    """The provider with the fake API behind it."""
    async with opened(faxapi.url) as provider:
        yield provider


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


async def test_nobody_there(document):
    """Connection refused, or a name that is none: Temporary, and the note says which."""
    async with FaxApi() as gone:
        pass
    commit = Commit()
    async with opened(gone.url) as provider:
        raised = await verdict(provider, document, commit)
        assert type(raised) is Temporary
        assert raised.reason is Reason.PROVIDER_UNREACHABLE
        assert raised.note == "no connection: Connection refused"
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
        http(200, b'{"uuid": 7.5}'),
        http(200, b'{"uuid": "' + b"x" * 10_000_000 + b'"}'),
        http(200, b'{"uuid": "u-1", "more": "' + b"x" * 1_000_000 + b'"}'),
        http(200, b"\x1f\x8b\x08\x00" + b"\x00" * 50, ("Content-Encoding", "gzip")),
        http(301, b"", ("Location", "/elsewhere")),
        http(302, b"", ("Location", "http://127.0.0.1:1/")),
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
        (http(404), LineHeld),
        (http(405), LineHeld),
        (http(402), LineHeld),
        (http(307, b"", ("Location", "/api/fax/send")), Temporary),
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
        Reply(body=gzip.compress(TAKEN, mtime=0), headers={"Content-Encoding": "gzip"}),
        Reply(body=zlib.compress(TAKEN), headers={"Content-Encoding": "deflate"}),
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
    async with opened(faxapi.url, timeout=1.5) as provider:
        assert type(await verdict(provider, document)) is Unclear


async def test_a_dribbling_answer_has_one_timeout_as_a_whole(faxapi, document):
    """A byte now and then does not keep us for ever."""
    async with (
        FaultProxy(faxapi.port, down=Fault(delay=0.1, piece=1)) as proxy,
        opened(f"http://127.0.0.1:{proxy.port}/api/fax", timeout=1.5) as provider,
    ):
        async with asyncio.timeout(10):
            assert type(await verdict(provider, document)) is Unclear


async def test_a_slow_commit_is_not_the_providers_fault(faxapi, document):
    """A database slower than [provider] timeout is waited for; then the answer has its own time."""

    async def slow():
        await asyncio.sleep(2.3)

    faxapi.on_post(Reply(delay=0.2))
    async with opened(faxapi.url, timeout=2.0) as provider:
        assert await provider.submit(LINE, NUMBER, document, "x.pdf", Commit(slow))
