"""One running node: what is opened, in which order, and how it is put down again. The whole pipeline stands here."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial

from mail2fax import log, moves
from mail2fax.listener import Listener
from mail2fax.model import Line
from mail2fax.policy import Policy
from mail2fax.poll import Poll
from mail2fax.prepare import Prepare
from mail2fax.providers import open_provider
from mail2fax.render import Letters
from mail2fax.reply import Remind, Reply
from mail2fax.settings import Settings
from mail2fax.smarthost import Smarthost
from mail2fax.spool import NOTICE, POLL, PREPARE, RECOVER, REPLY, SUBMIT, Spool, open_spool
from mail2fax.submit import Submit, recover
from mail2fax.worker import Station, Worker
from mail2fax.workshop import Workshop

_DELAY_LOOK = 15.0  # seconds between two looks for faxes that wait long
_PURGE_LOOK = 3600.0
_TOLD_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is up: the first 220 can be had."""

    settings: Settings
    spool: Spool
    worker: Worker
    listener: Listener
    addresses: tuple[str, ...]  # as bound, "127.0.0.1:2525"


def lines(settings: Settings) -> dict[str, Line]:
    """The fax lines by name; "" is the one of [provider] token."""
    named = {line.name: Line(line.name, line.token.get_secret_value()) for line in settings.line}
    return {"": Line("", settings.provider.token.get_secret_value()), **named}


@contextlib.asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Node]:
    """Start a node, and put it down at the end of the context: 421 to open sessions, steps finished or put back."""
    async with contextlib.AsyncExitStack() as stack:
        spool = await stack.enter_async_context(open_spool(settings, serving=True))
        worker = Worker(spool, await _pipeline(settings, spool, stack))
        listener = Listener(settings, spool, Policy(settings))
        addresses = await listener.start()
        stack.push_async_callback(listener.close)
        async with _at_work(worker, spool, settings):
            log.started(
                node=spool.node,
                listening=addresses,
                spool=settings.spool.url.partition("://")[0],
                provider=settings.provider.name,
            )
            yield Node(settings, spool, worker, listener, tuple(addresses))
            await listener.close()


async def _pipeline(settings: Settings, spool: Spool, stack: contextlib.AsyncExitStack) -> dict[str, Station]:
    """The way of every fax, in order."""
    provider = open_provider(settings)
    stack.push_async_callback(provider.close)
    workshop = Workshop(settings.documents)
    await workshop.start()
    stack.push_async_callback(workshop.close)
    smarthost = Smarthost(settings.reply)
    stack.push_async_callback(smarthost.close)
    letters = Letters(settings, await spool.secret("resend"))
    tokens = lines(settings)
    at_once = settings.provider.concurrency
    return {
        PREPARE: Station(Prepare(settings, spool, workshop), workshop.places),
        SUBMIT: Station(Submit(settings, spool, provider, tokens), at_once),
        RECOVER: Station(partial(recover, spool), 1),
        POLL: Station(Poll(settings, spool, provider, tokens), at_once),
        REPLY: Station(Reply(settings, spool, letters, smarthost), settings.reply.concurrency),
        NOTICE: Station(Remind(settings, spool, letters, smarthost), 1),
    }


@contextlib.asynccontextmanager
async def _at_work(worker: Worker, spool: Spool, settings: Settings) -> AsyncIterator[None]:
    """Let the worker work until the context ends, then until it is drained."""
    working = asyncio.create_task(worker.run(settings.spool.drain))
    chores = asyncio.create_task(_chores(spool, settings))
    try:
        yield
    finally:
        chores.cancel()
        worker.stop()
        await asyncio.gather(working, return_exceptions=False)
        await asyncio.gather(chores, return_exceptions=True)


async def _chores(spool: Spool, settings: Settings) -> None:
    """What is done from time to time: tell of delays, delete what was kept long enough."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_regularly(_PURGE_LOOK, partial(_purge, spool)))
        if settings.reply.delay_notice:
            look = min(_DELAY_LOOK, settings.reply.delay_notice / 4)
            group.create_task(_regularly(look, partial(_tell_delays, spool, settings.reply.delay_notice)))


async def _regularly(seconds: float, chore: Callable[[], object]) -> None:
    while True:
        try:
            await chore()  # type: ignore[misc]
        except Exception:  # noqa: BLE001 -- the next time may go better, and faxes matter more
            log.spool_failed(work="chores")
        await asyncio.sleep(seconds)


async def _tell_delays(spool: Spool, seconds: float) -> None:
    if await spool.change(moves.delays, seconds, _TOLD_AT_ONCE):
        spool.wake(NOTICE)


async def _purge(spool: Spool) -> None:
    contents, histories = await spool.purge()
    if contents or histories:
        log.purged(contents=contents, histories=histories)


async def serve(settings: Settings) -> None:
    """Run a node until SIGTERM or SIGINT; SIGHUP reloads certificates and the users file."""
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[str] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _note, stopping, number.name)
    try:
        async with running(settings) as node:
            loop.add_signal_handler(signal.SIGHUP, node.listener.reload)
            log.stopping(signal=await stopping)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
    log.stopped()


def _note(stopping: "asyncio.Future[str]", name: str) -> None:
    if not stopping.done():
        stopping.set_result(name)
