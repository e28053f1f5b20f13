"""The body of the POST over real sockets: as documented, and nothing of its end before the commit."""

import asyncio
import email
import email.policy

import httpcore
import httpx
import pytest

from mail2fax.model import Reason, Temporary
from mail2fax.providers import held_body
from tests.support.faxapi import HANG
from tests.support.submitting import END, LINE, NUMBER, Commit, opened, pdf, shown


@pytest.fixture
def document(tmp_path):
    """A document of a size that several chunks are needed for."""
    return pdf(tmp_path, 300_000)


@pytest.fixture
async def provider(faxapi):
    """The provider with the fake API behind it."""
    async with opened(faxapi.url) as provider:
        yield provider


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
    original = held_body.HeldBody._read

    def shrink(body, size):
        with document.open("r+b") as file:
            file.truncate(100_000)
        return original(body, size)

    monkeypatch.setattr(held_body.HeldBody, "_read", shrink)
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
