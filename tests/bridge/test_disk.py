"""A disk that is full or broken, a database that is locked or away: 4yz at the door, nothing lost, and it goes on by
itself once the fault is gone.
"""

import asyncio
import contextlib
import resource
import shutil
import signal
import sqlite3
from urllib.parse import urlsplit

import pytest

from tests.support.crashsweep import broken, settings
from tests.support.faultproxy import FaultProxy
from tests.support.faxapi import Reply
from tests.support.ledger import Ledger
from tests.support.patience import PATIENCE
from tests.support.processes import ServedBy
from tests.support.samples import pdf

needs_strace = pytest.mark.skipif(not shutil.which("strace"), reason="no strace")


@pytest.fixture
async def ledger(faxapi, outbox):
    return Ledger(faxapi, outbox)


@pytest.fixture
async def node(tmp_path, faxapi, outbox):
    """A node on SQLite; what it was given is settled at the end, and its file is whole."""
    async with ServedBy(tmp_path, settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db")) as served:
        await served.up()
        yield served
        assert await served.stop() == 0
        assert broken(tmp_path) == []


async def _through(fault, node, ledger):
    """Mails before, during and after a fault. Those that came during it."""
    await ledger.deliver(lambda: node.address, pdf())
    async with fault:
        kinds = ([pdf()], [pdf(size=50_000)], [pdf(size=300_000)], [])
        during = [asyncio.create_task(ledger.deliver(lambda: node.address, *pdfs)) for pdfs in kinds]
        async with asyncio.timeout(90):
            while not all(mail.codes for mail in ledger.mails[1:]) or len(ledger.mails) < 1 + len(kinds):
                await asyncio.sleep(0.05)
        assert not any(task.done() for task in during)
    await asyncio.wait_for(asyncio.gather(*during), 60)
    await ledger.deliver(lambda: node.address, pdf())
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == [], "\n".join(node.lines[-40:])
    codes = set().union(*(mail.codes for mail in ledger.mails))
    assert codes <= {451, 452, 421}, codes
    assert {tale.state for tales in ledger.told().values() for tale in tales} == {"delivered", "failed"}
    return codes


@contextlib.asynccontextmanager
async def no_larger_files(node, size):
    """A disk without room, as far as one process can see: EFBIG where ENOSPC would be."""
    resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(node.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@contextlib.asynccontextmanager
async def injected(node, trap):
    """System calls of a running node fail, as long as the context lasts."""
    strace = await asyncio.create_subprocess_exec(
        *(
            "strace",
            "-f",
            "-o",
            "/dev/null",
            "-p",
            str(node.pid),
            "-e",
            f"trace={trap.partition(':')[0]}",
            "-e",
            f"inject={trap}",
        ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    said = await asyncio.wait_for(strace.stderr.readline(), PATIENCE)
    if b"ttach" not in said:
        strace.kill()
        pytest.skip(f"strace may not look at our own process: {said.decode()}")
    draining = asyncio.create_task(strace.stderr.read())
    try:
        yield
    finally:
        strace.send_signal(signal.SIGINT)  # it lets go
        await asyncio.wait_for(strace.wait(), PATIENCE)
        await draining


@contextlib.asynccontextmanager
async def locked(file):
    """Somebody else writes, and takes long: a backup, or a tool that hangs."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


async def test_no_room_for_the_database(node, ledger):
    """Nothing fits into the log of the database: deferred, then taken."""
    await _through(no_larger_files(node, 4096), node, ledger)


@needs_strace
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
async def test_an_fsync_that_fails(node, ledger, error):
    """No 250 stands on a write of which the disk says that it failed."""
    await _through(injected(node, f"fsync,fdatasync:error={error}"), node, ledger)


@needs_strace
async def test_a_full_disk(node, ledger):
    """ENOSPC at each write of the database."""
    await _through(injected(node, "pwrite64:error=ENOSPC"), node, ledger)


async def test_no_room_for_a_large_mail_leaves_room_for_a_small_one(node, ledger, tmp_path):
    """What does not fit is deferred, and leaves nothing behind; others are taken meanwhile."""
    async with no_larger_files(node, 2_000_000):
        large = asyncio.create_task(ledger.deliver(lambda: node.address, pdf(size=2_500_000)))
        async with asyncio.timeout(PATIENCE):
            while not (ledger.mails and ledger.mails[0].codes):
                await asyncio.sleep(0.05)
        await ledger.deliver(lambda: node.address, pdf())
        assert ledger.mails[0].codes == {452}
    await asyncio.wait_for(large, 60)
    await ledger.settled(PATIENCE)
    assert ledger.wrongs() == []
    folder = tmp_path / "spool.db.contents"
    names = {file.name for file in folder.iterdir() if not file.name.startswith(("work-", "log-"))}
    assert names == {large.result().ids[0], f"{large.result().ids[0]}..1"}


@pytest.mark.slow
async def test_a_locked_database(node, ledger, tmp_path):
    """Clients are not kept waiting one after the other: all are deferred together."""
    await _through(locked(tmp_path / "spool.db"), node, ledger)


@pytest.mark.slow
async def test_a_database_server_that_is_stopped_and_started(tmp_path, faxapi, outbox, postgres_url, ledger):
    """Deferred while it is away; what the provider answers meanwhile is not forgotten."""
    gate = asyncio.Event()
    faxapi.on_post(Reply(gate=gate))
    parts = urlsplit(postgres_url)
    proxy = FaultProxy(parts.port)
    await proxy.__aenter__()
    user = f"{parts.username}:{parts.password}@" if parts.password else f"{parts.username}@"
    url = parts._replace(netloc=f"{user}127.0.0.1:{proxy.port}").geturl()
    wanted = settings(faxapi, outbox, url)
    wanted["spool"]["lease"] = 20.0
    async with ServedBy(tmp_path, wanted) as node:
        await node.up()
        await ledger.deliver(lambda: node.address, pdf())
        await faxapi.until(lambda: len(faxapi.posts) == 1)
        await proxy.__aexit__()  # every connection is cut, and nobody listens
        waiting = asyncio.create_task(ledger.deliver(lambda: node.address, pdf()))
        async with asyncio.timeout(PATIENCE):
            while len(ledger.mails) < 2 or not ledger.mails[1].codes:
                await asyncio.sleep(0.05)
        gate.set()
        await asyncio.sleep(1.0)
        await proxy.__aenter__()
        await asyncio.wait_for(waiting, 60)
        await ledger.settled(PATIENCE)
        assert ledger.wrongs() == []
        assert ledger.mails[1].codes <= {451, 421}
        assert {tale.state for tales in ledger.told().values() for tale in tales} == {"delivered"}
        assert await node.stop() == 0
    await proxy.__aexit__()
