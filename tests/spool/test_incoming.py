"""A content on its way into memory or a file, and a disk that is slower than the client."""

import asyncio
import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mail2fax.spool.contents.incoming import INLINE, Incoming
from tests.support.frontdoor import opened
from tests.support.patience import PATIENCE

MB = 1024 * 1024


@pytest.fixture
def pens():
    with ThreadPoolExecutor(2) as threads:
        yield threads


@pytest.fixture
def slow(pens):
    """Both threads are busy with something else until this is set."""
    gate = threading.Event()
    for _ in range(2):
        pens.submit(gate.wait, 20)
    yield gate
    gate.set()


async def written(content: Incoming, data: bytes, pens, chance: random.Random) -> None:
    at = 0
    while at < len(data):
        step = chance.choice([1, 100, 65_536, 300_000])
        content.write(data[at : at + step])
        await content.drain()
        at += step
    await content.finish()
    content.close()


@pytest.mark.parametrize("size", [0, 1, INLINE, INLINE + 1, 400_000, 5 * MB])
async def test_every_byte_in_its_order(tmp_path, pens, size):
    """However it is cut, and whichever thread writes it: small in memory, large in a file, with the right digest."""
    data = random.Random(size).randbytes(size)
    content = Incoming(tmp_path, "one", pens)
    await written(content, data, pens, random.Random(size + 1))
    assert content.large == (size > INLINE)
    assert (content.path.read_bytes() if content.large else content.inline) == data
    assert (content.size, content.sha256) == (size, hashlib.sha256(data).hexdigest())


async def test_a_disk_that_is_behind(tmp_path, pens, slow):
    """Whoever sends can tell that memory is full, and waits until the disk has caught up."""
    content = Incoming(tmp_path, "one", pens)
    while not content.behind:
        content.write(bytes(65_536))
    assert content.size < 2 * MB
    waiting = asyncio.create_task(content.drain())
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.set()
    await asyncio.wait_for(waiting, PATIENCE)
    assert not content.behind
    await content.finish()
    content.close()


async def test_given_up_while_it_is_written(tmp_path, pens, slow):
    """The thread that writes finds no file closed under it, and leaves none."""
    content = Incoming(tmp_path, "one", pens)
    content.write(bytes(MB))
    content.discard()
    assert content.path.exists()
    slow.set()
    async with asyncio.timeout(PATIENCE):
        while content.path.exists():
            await asyncio.sleep(0.01)


async def test_a_failure_of_the_thread_is_the_next_writes(tmp_path, pens):
    """No byte is taken after one that was lost, and nothing is left behind."""
    content = Incoming(tmp_path, "one", pens)
    content.write(bytes(INLINE + 1))
    content._file.close()  # as if the disk had gone
    with pytest.raises(ValueError, match="closed file"):  # noqa: PT012 -- whichever write comes after it
        while True:
            content.write(bytes(65_536))
            await asyncio.sleep(0.01)
    with pytest.raises(ValueError, match="closed file"):
        await content.finish()
    assert not content.path.exists()


async def test_a_client_that_is_faster_than_the_disk(tmp_path):
    """It is not read from meanwhile, so that memory stays flat; then its mail arrives whole."""
    async with opened(tmp_path) as door:
        gate = threading.Event()
        for _ in range(2):
            door.shelf.pens.submit(gate.wait, 20)
        client = await door.client()
        for command in ("MAIL FROM:<me@office.example>", "RCPT TO:<6135550123@fax.local>", "DATA"):
            await client.ask(command)
        body = b"Subject: x\r\n\r\n" + (b"y" * 76 + b"\r\n") * 200_000
        client.send(body + b".\r\n")
        async with asyncio.timeout(PATIENCE):
            while not door.shelf.places[-1].behind:
                await asyncio.sleep(0.01)
        assert await client.silent()
        taken = door.shelf.places[-1].size
        assert taken < 2 * MB
        gate.set()
        assert (await client.answer()).startswith("250 2.0.0")
        assert door.shelf.mails[0][1] == body
