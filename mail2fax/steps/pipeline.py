"""The way of every fax, in order: who does which work, and how many at once.

Most of what a start has to load is for what comes after the 250. So `node` opens the door first, and loads this then.
"""

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from mail2fax.config import Settings
from mail2fax.documents.pool import Pool
from mail2fax.model import Line
from mail2fax.providers import open_provider
from mail2fax.providers.measured import Watched
from mail2fax.replies.letters import Letters
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.spool import Spool, Work
from mail2fax.steps.notices import Remind
from mail2fax.steps.poll import Poll
from mail2fax.steps.prepare import Prepare
from mail2fax.steps.reply import Reply
from mail2fax.steps.submit import Submit, recover
from mail2fax.steps.worker import Station


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What the worker works at."""

    stations: dict[Work, Station]
    letters: Letters


Builder = Callable[[Settings, Spool, Pool, bytes, AsyncExitStack], Pipeline]


def lines(settings: Settings) -> dict[str, Line]:
    """The fax lines by name; "" is the one of [provider] token."""
    named = {line.name: Line(line.name, line.token.get_secret_value()) for line in settings.line}
    return {"": Line("", settings.provider.token.get_secret_value()), **named}


def build(settings: Settings, spool: Spool, pool: Pool, secret: bytes, stack: AsyncExitStack) -> Pipeline:
    """Open what the steps need, and have the stack close it. `secret` signs the addresses in the replies."""
    provider = Watched(open_provider(settings))
    stack.push_async_callback(provider.close)
    smarthost = Smarthost(settings.reply, settings.smtp.hostname)
    stack.push_async_callback(smarthost.close)
    letters = Letters(settings, secret)
    tokens = lines(settings)
    at_once = settings.provider.concurrency
    stations = {
        Work.PREPARE: Station(Prepare(settings, spool, pool), pool.places),
        Work.SUBMIT: Station(Submit(settings, spool, provider, tokens), at_once),
        Work.RECOVER: Station(partial(recover, spool), 1),
        Work.POLL: Station(Poll(settings, spool, provider, tokens), at_once),
        Work.REPLY: Station(Reply(settings, spool, letters, smarthost), settings.reply.concurrency),
        Work.NOTICE: Station(Remind(settings, spool, letters, smarthost), 1),
    }
    return Pipeline(stations, letters)
