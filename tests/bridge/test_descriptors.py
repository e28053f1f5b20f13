"""Open files: as many as may be had, and a word when they are too few for every client."""

import asyncio
import resource
import smtplib
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.support.crashsweep import settings
from tests.support.processes import ServedBy
from tests.support.samples import mail, pdf


@pytest.fixture
def limits() -> Iterator[None]:
    """Put back what a test sets for the processes that it starts."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.parametrize(("soft", "connections", "then", "told"), [(256, 400, 550, 0), (256, 100, 256, 0)])
async def test_the_limit_is_raised_as_far_as_is_wanted(tmp_path, faxapi, outbox, limits, soft, connections, then, told):
    """The soft limit that a shell hands down is no limit of the service's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    wanted = {**settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db"), "smtp": {"max_connections": connections}}
    async with ServedBy(tmp_path, wanted) as node:
        await node.up()
        assert resource.prlimit(node.pid, resource.RLIMIT_NOFILE)[0] == then
        assert node.count("few open files allowed: raise LimitNOFILE or lower [smtp] max_connections") == told


async def test_too_few_are_told(tmp_path, faxapi, outbox):
    """Where the hard limit is too low the log says what to do, and mail is accepted all the same."""
    wanted = {**settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db"), "smtp": {"max_connections": 400}}
    async with ServedBy(tmp_path, wanted) as node:
        await node.up(under=("prlimit", "--nofile=300:300"))
        assert node.count("few open files allowed: raise LimitNOFILE or lower [smtp] max_connections") == 1


async def test_when_none_is_left_clients_wait_and_the_log_stays_short(tmp_path, faxapi, outbox):
    """More clients than descriptors: one line in the log, not one a place of the backlog; then mail goes as before."""
    wanted = settings(faxapi, outbox, f"sqlite:///{tmp_path}/spool.db")
    wanted["smtp"] = {"max_connections": 400, "max_connections_per_client": 400}
    async with ServedBy(tmp_path, wanted) as node:
        await node.up(under=("prlimit", "--nofile=110:110"))
        with ExitStack() as stack:
            for _ in range(120):
                stack.enter_context(socket.create_connection(node.address, timeout=30))
            await node.event(
                "no file descriptor left: new clients wait; raise LimitNOFILE or lower [smtp] max_connections"
            )
            await asyncio.sleep(3)  # the loop tries to accept once a second
        assert len(node.lines) < 60
        await asyncio.to_thread(_send, node.address)
        await outbox.next()
        assert await node.stop() == 0


def _send(address: tuple[str, int]) -> None:
    with smtplib.SMTP(*address, timeout=60) as client:
        client.sendmail("anna@office.example", "6474959659@fax.local", mail(pdf()))
