"""Provider `rinble`: where it may go, whom it trusts, and what it costs."""

import asyncio
import ssl
import time
import tracemalloc

import pytest
import trustme

from mail2fax.config import Provider
from mail2fax.model import Permanent, Temporary
from mail2fax.providers import UnusableProvider
from mail2fax.providers.rinble import Rinble
from tests.support.faxapi import FaxApi, Reply
from tests.support.submitting import END, LINE, NUMBER, Commit, http, opened, pdf, url, verdict


@pytest.fixture
def document(tmp_path):
    """A document of a size that several chunks are needed for."""
    return pdf(tmp_path, 300_000)


@pytest.fixture
async def provider(faxapi):
    """The provider with the fake API behind it."""
    async with opened(faxapi.url) as provider:
        yield provider


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
    assert str(raised.value).startswith(f"[provider] ca_file: {file}: ")
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
