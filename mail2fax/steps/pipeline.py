"""The way of every fax, in order: who does which work, and how many at once.

Most of what a start has to load is for what comes after the 250. So `node` opens the door first, and loads this then.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from mail2fax.config import Settings
from mail2fax.documents.pool import Pool
from mail2fax.providers.measured import Watched
from mail2fax.providers.routes import close, open_routes
from mail2fax.replies.letters import Letters
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.spool import Spool, Work
from mail2fax.steps.notices import Remind
from mail2fax.steps.poll import Poll
from mail2fax.steps.prepare import Prepare
from mail2fax.steps.recover import Recover
from mail2fax.steps.reply import Reply
from mail2fax.steps.submit import Submit
from mail2fax.steps.worker import Station

RECOVERING = 4  # lost answers that are looked for at once


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the worker works at."""

    stations: dict[Work, Station]
    letters: Letters


Builder = Callable[[Settings, Spool, Pool, bytes, AsyncExitStack], Pipeline]


def build(settings: Settings, spool: Spool, pool: Pool, secret: bytes, stack: AsyncExitStack) -> Pipeline:
    """Open what the steps need, and have the stack close it. `secret` signs the addresses in the replies."""
    routes = open_routes(settings, Watched)
    stack.push_async_callback(close, routes)
    smarthost = Smarthost(settings.reply, settings.smtp.hostname)
    stack.push_async_callback(smarthost.close)
    letters = Letters(settings, secret)
    at_once = settings.provider.concurrency
    stations = {
        Work.PREPARE: Station(Prepare(settings, spool, pool), pool.places),
        Work.SUBMIT: Station(Submit(settings, spool, routes), at_once),
        Work.RECOVER: Station(Recover(settings, spool, routes), RECOVERING),
        Work.POLL: Station(Poll(settings, spool, routes), at_once),
        Work.REPLY: Station(Reply(settings, spool, letters, smarthost), settings.reply.concurrency),
        Work.NOTICE: Station(Remind(settings, spool, letters, smarthost), 1),
    }
    return Pipeline(stations, letters)
