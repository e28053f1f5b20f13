"""One running node: what is opened, in which order, and how it is put down again. The steps stand in `pipeline`."""

import asyncio
import contextlib
import errno
import os
import resource
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mail2fax import log, systemd
from mail2fax.collector import spare_the_collector
from mail2fax.config import Settings
from mail2fax.documents.pool import Pool
from mail2fax.health import Health
from mail2fax.rules import signed_address
from mail2fax.rules.policy import Policy
from mail2fax.smtp.listener import Listener
from mail2fax.smtp.reply_commands import ReplyCommands
from mail2fax.smtp.users import Users
from mail2fax.spool import Spool, open_spool
from mail2fax.steps.turned_away import TurnedAway
from mail2fax.steps.worker import Worker

if TYPE_CHECKING:
    from mail2fax.replies.letters import Letters
    from mail2fax.steps.pipeline import Builder

_DELAY_LOOK = 15.0  # seconds between two looks for faxes that wait long
_SUMMARY_LOOK = 60.0
_CLOCK_LOOK = 5.0  # seconds for which a clock that was set may hold faxes up
_PURGE_LOOK = 3600.0
_REFUSALS_LOOK = 2.0  # seconds until a refusal can be looked up
_OWN_DESCRIPTORS = 150  # besides those of clients: workers, the database, the provider, replies, the page
_WORD_OF_DESCRIPTORS = 30.0  # seconds between two words that none is left
_TOLD_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is up: the first 220 can be had."""

    settings: Settings
    spool: Spool
    worker: Worker
    listener: Listener
    working: asyncio.Task[None]  # ends only when it is told to, or by a fault of its own
    addresses: tuple[str, ...]  # as bound, "127.0.0.1:2525"
    page: str = ""  # as bound; "" without [web] listen
    operate: str = ""  # as bound; "" without [web] operate
    webhooks: str = ""  # as bound; "" without [web] webhooks


@contextlib.asynccontextmanager
async def running(settings: Settings, *, adopt: bool = False) -> AsyncIterator[Node]:
    """Start a node, and put it down at the end of the context: 421 to open sessions, steps finished or put back."""
    async with contextlib.AsyncExitStack() as stack:
        spool = await stack.enter_async_context(open_spool(settings, serving=True, adopt=adopt))
        health = Health()  # the page is up before the door opens, and until the last step is put down
        page = await stack.enter_async_context(_page(settings, spool, health))
        secret = await spool.secret("resend")
        pool = Pool(settings.documents)
        stack.push_async_callback(pool.close)
        policy = Policy(settings)
        answering = ReplyCommands(settings, spool, policy, pool, signed_address.key(settings.reply, secret))
        listener = Listener(settings, spool, policy, answering)
        hook = await stack.enter_async_context(_webhooks(settings, spool))
        desk = await stack.enter_async_context(_operate(settings, spool, health, pool, listener.users))
        stack.push_async_callback(listener.close)  # of a start that fails, too: its first address may be open
        health.addresses = addresses = tuple(await listener.start())
        await pool.start()  # its process loads its own libraries while we load ours
        build = await asyncio.to_thread(_builder)
        pipeline = build(settings, spool, pool, secret, stack)
        worker = Worker(spool, pipeline.stations)
        async with _at_work(worker, spool, settings, pipeline.letters) as working:
            health.working = working
            if os.geteuid() == 0:
                log.running_as_root()
            log.started(
                node=spool.node,
                listening=list(addresses),
                spool=settings.spool.url.partition("://")[0],
                provider=settings.provider.name,
            )
            yield Node(settings, spool, worker, listener, working, addresses, page, desk, hook)
            health.draining = True
            await listener.close()


def _page(settings: Settings, spool: Spool, health: Health) -> contextlib.AbstractAsyncContextManager[str]:
    """The status page, if it is asked for."""
    if not settings.web.listen:
        return contextlib.nullcontext("")
    from mail2fax.web import app  # noqa: PLC0415 -- loading it takes a tenth of the start

    return app.serving(settings, spool, health)


def _webhooks(settings: Settings, spool: Spool) -> contextlib.AbstractAsyncContextManager[str]:
    """Where providers call, if it is asked for."""
    if not settings.web.webhooks:
        return contextlib.nullcontext("")
    from mail2fax.web import webhooks  # noqa: PLC0415 -- as the status page

    return webhooks.serving(settings, spool)


def _operate(
    settings: Settings, spool: Spool, health: Health, pool: Pool, users: Users
) -> contextlib.AbstractAsyncContextManager[str]:
    """The operator's page, if it is asked for."""
    if not settings.web.operate:
        return contextlib.nullcontext("")
    from mail2fax.operate import app  # noqa: PLC0415 -- as the status page

    return app.serving(settings, spool, health, pool, users)


def _builder() -> "Builder":
    from mail2fax.steps.pipeline import build  # noqa: PLC0415 -- it takes a third of the start: the door is open by then

    return build


@contextlib.asynccontextmanager
async def _at_work(
    worker: Worker, spool: Spool, settings: Settings, letters: "Letters"
) -> AsyncIterator[asyncio.Task[None]]:
    """Let the worker work until the context ends, then until it is drained."""
    working = asyncio.create_task(worker.run(settings.spool.drain))
    chores = asyncio.create_task(_chores(spool, settings, letters))
    try:
        yield working
    finally:
        chores.cancel()
        worker.stop()
        await asyncio.wait({working, chores})
        if not working.cancelled():
            working.result()  # a worker that fell over is told, not hidden


async def _chores(spool: Spool, settings: Settings, letters: "Letters") -> None:
    """What is done beside the way: try the templates once, tell of delays, delete what was kept long enough."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_try_templates(letters, settings.reply.templates))
        group.create_task(_keep_refusals(spool))
        group.create_task(_regularly(_CLOCK_LOOK, spool.mind_the_clock))
        group.create_task(_regularly(_PURGE_LOOK, partial(_purge, spool)))
        if settings.reply.daily_summary and settings.reply.admin:
            from mail2fax.steps import daily  # noqa: PLC0415 -- loaded where it is wanted

            group.create_task(_regularly(_SUMMARY_LOOK, daily.Daily(spool, settings).summary))
        if settings.reply.delay_notice:
            look = min(_DELAY_LOOK, settings.reply.delay_notice / 4)
            group.create_task(_regularly(look, partial(_tell_delays, spool, settings.reply.delay_notice)))


async def _keep_refusals(spool: Spool) -> None:
    refusals = TurnedAway(spool)
    with log.observed(refusals.note):
        await _regularly(_REFUSALS_LOOK, refusals.write)


async def _try_templates(letters: "Letters", folder: str) -> None:
    """Say what is wrong with them before somebody waits for a reply; that loads them too, which takes a moment."""
    for problem in await asyncio.to_thread(letters.problems):
        log.template_broken(template="", folder=folder, problem=problem)


async def _regularly(seconds: float, chore: Callable[[], object]) -> None:
    while True:
        try:
            await chore()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 -- the next time may go better, and faxes matter more
            log.spool_failed(work="chores", error=error)
        await asyncio.sleep(seconds)


async def _tell_delays(spool: Spool, seconds: float) -> None:
    await spool.mind_the_clock()  # before a clock that was set makes everything seem late
    await spool.owe_delays(seconds, _TOLD_AT_ONCE)


async def _purge(spool: Spool) -> None:
    contents, histories = await spool.purge()
    if contents or histories:
        log.purged(contents=contents, histories=histories)


async def serve(settings: Settings, *, adopt: bool = False) -> None:
    """Run a node until SIGTERM or SIGINT; SIGHUP reloads certificates and the users file, at any moment.

    `adopt`: go on with what waits in a copied spool.
    """
    _allow_descriptors(settings.smtp.max_connections + _OWN_DESCRIPTORS)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_OutOfDescriptors())
    stopping: asyncio.Future[str] = loop.create_future()
    early = asyncio.Event()
    loop.add_signal_handler(signal.SIGHUP, early.set)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _note, stopping, number.name)
    try:
        async with running(settings, adopt=adopt) as node:
            spare_the_collector()
            loop.add_signal_handler(signal.SIGHUP, node.listener.reload)
            if early.is_set():  # what was read a moment ago may be old already
                node.listener.reload()
            ends: set[asyncio.Future[Any]] = {stopping, node.working}
            async with systemd.told():
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            why = stopping.result() if stopping.done() else "a fault of the worker"
            log.stopping(signal=why, in_flight=node.worker.in_flight, at_most=settings.spool.drain)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # a reload must not end what is just ending in order
    log.stopped()


def _allow_descriptors(wanted: int) -> None:
    """Raise the limit on open files as far as we may; say so if that is too little for every client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, max(wanted, soft))
    if soft != resource.RLIM_INFINITY and most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        soft = most
    if soft != resource.RLIM_INFINITY and soft < wanted:
        log.few_descriptors(limit=soft, wanted=wanted)


class _OutOfDescriptors:
    """The loop's own errors; that it cannot accept is said now and then, not once for each place of the backlog."""

    def __init__(self) -> None:
        self._silent_until = 0.0  # by the loop's clock

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """As `asyncio.loop.set_exception_handler` has it."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in {errno.EMFILE, errno.ENFILE}:
            loop.default_exception_handler(context)
        elif loop.time() > self._silent_until:
            self._silent_until = loop.time() + _WORD_OF_DESCRIPTORS
            log.out_of_descriptors(limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0], said=error.strerror or "")


def _note(stopping: "asyncio.Future[str]", name: str) -> None:
    if not stopping.done():
        stopping.set_result(name)
