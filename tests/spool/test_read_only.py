"""A PostgreSQL that only reads for a while: told at once, and used again without a restart."""

import asyncio
import contextlib
import secrets
import smtplib

import httpx
import psycopg
import pytest

from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import SpoolUnavailable, open_spool
from tests.support import samples
from tests.support.crashsweep import settings
from tests.support.faxapi import Reply
from tests.support.patience import until
from tests.support.processes import ServedBy
from tests.support.spooling import put


class Server:
    """A PostgreSQL database, and what its administrator does to it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def only_reads(self, *, so: bool = True) -> None:
        """As a managed server when its disk is full: new sessions are read only, and old ones are ended."""
        name = self.url.rpartition("/")[2]
        with psycopg.connect(self.url, autocommit=True) as admin:
            admin.execute("set default_transaction_read_only = off")
            admin.execute(f"alter database {name} set default_transaction_read_only = {'on' if so else 'off'}")
            if so:
                others = "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s and pid <> %s"
                admin.execute(others, (name, admin.info.backend_pid))


@pytest.fixture
def server(postgres_url) -> Server:
    return Server(postgres_url)


async def test_it_is_used_again_when_it_writes_again(server):
    """Connections that may not write are given up: nobody restarts a node for it."""
    wanted = Settings.model_validate({"spool": {"url": server.url, "lease": 2.0}})
    async with open_spool(wanted, serving=True) as spool:
        await put(spool, content=b"before")
        server.only_reads()
        for _ in range(8):  # each connection of the pool learns of it
            with pytest.raises(SpoolUnavailable):
                await put(spool, content=secrets.token_bytes(8))
            with pytest.raises(SpoolUnavailable):
                await spool.try_writing()
        server.only_reads(so=False)
        for number in range(12):
            with contextlib.suppress(SpoolUnavailable):  # each connection finds out once
                await put(spool, content=b"after %d" % number)
        await put(spool, content=b"at last")
        await spool.try_writing()


async def test_ready_says_what_a_client_would_hear(server, bridge):
    """While it only reads, /readyz is 503 and spool_up 0; then both are well again by themselves."""
    node = await bridge(spool={"url": server.url}, web={"listen": "127.0.0.1:0"})
    async with httpx.AsyncClient(base_url=f"http://{node.node.page}", timeout=30) as client:

        async def status() -> int:
            return (await client.get("/readyz")).status_code

        async def up() -> bool:
            return "mail2fax_spool_up 1.0" in (await client.get("/metrics")).text

        assert (await status(), await up()) == (200, True)
        server.only_reads()
        await until(lambda: _is(status, 503))
        assert not await up()
        server.only_reads(so=False)
        await until(lambda: _is(status, 200))
        assert await up()


async def _is(ask, wanted) -> bool:
    return await ask() == wanted


async def test_a_reference_is_written_however_long_the_database_is_away(server, bridge, faxapi, outbox):
    """Longer than a lease: the fax is nobody's doubt, and its sender hears once, that it was delivered."""
    node = await bridge(spool={"url": server.url, "lease": 2.0})
    answer = asyncio.Event()
    faxapi.on_post(Reply(gate=answer))
    queue_id = await node.send(samples.mail(samples.pdf()))
    await faxapi.until(lambda: len(faxapi.posts) == 1)
    server.only_reads()
    answer.set()
    await asyncio.sleep(7)  # three leases' time
    server.only_reads(so=False)
    await node.until(queue_id, State.DELIVERED, seconds=30)
    mails = await outbox.wait(1)
    await outbox.idle()
    assert len(faxapi.posts) == 1
    assert [mail.subject for mail in mails] == ["Faxed to (647) 495-9659: A fax"]


async def test_a_reply_that_was_taken_is_not_offered_again(server, tmp_path, faxapi, outbox):
    """However long the spool cannot be told of it, and though the step gives up and its lease ends meanwhile."""
    wanted = settings(faxapi, outbox, server.url)
    wanted["spool"]["lease"] = 2.0
    outbox.on_taken = lambda: server.only_reads() if len(outbox.mails) == 1 else None
    async with ServedBy(tmp_path, wanted) as node:
        await node.up()
        await asyncio.to_thread(_send, node.address)
        await node.event("step failed")
        server.only_reads(so=False)
        await node.event("replied")
        assert len(outbox.mails) == 1
        assert await node.stop() == 0


def _send(address: tuple[str, int]) -> None:
    with smtplib.SMTP(*address) as client:
        client.sendmail("anna@office.example", "6474959659@fax.local", samples.mail(samples.pdf()))
