"""A mail to [reply] admin once a day, where it is wanted: how the last 24 hours went, and what waits for somebody."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mail2fax import timezones
from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Spool, overview


class Daily:
    """The chore that owes it. Nodes that share a database owe one together."""

    def __init__(self, spool: Spool, settings: Settings) -> None:
        self._spool = spool
        self._reply = settings.reply
        self._owed = ""  # the last day whose mail this process has owed: it is not asked for again

    async def summary(self) -> None:
        """Owe today's, from its time of the day on."""
        clock = await self._spool.read(overview.clock)
        now = clock.astimezone(timezones.zone(self._reply.time_zone))
        day = f"{now:%Y%m%d}"
        if day == self._owed or f"{now:%H:%M}" < self._reply.daily_summary:
            return
        standing, hours = await self._spool.read(overview.standing), await self._spool.read(overview.hours)
        detail = {"kind": "daily", **facts(standing, hours, now)}
        await self._spool.owe(f"daily-{day}", "admin", self._reply.admin_mailbox, {"detail": detail})
        self._owed = day


def facts(standing: overview.Standing, hours: list[overview.Hour], now: datetime) -> Mapping[str, Any]:
    """The day in numbers, as JSON takes them."""
    ended = {state.value: sum(hour.faxes.get(state, 0) for hour in hours) for state in State}
    return {
        "day": f"{now:%Y-%m-%d}",
        "received": sum(ended.values()),
        "delivered": ended["delivered"],
        "pages": sum(hour.pages for hour in hours),
        "failed": ended["failed"],
        "unknown": ended["unknown"],
        "cancelled": ended["cancelled"],
        "waiting": sum(standing.waiting.values()),
        "held": standing.held,
        "undeliverable": standing.undeliverable,
        "shut": [trouble.line for trouble in standing.troubles],
        "paused": standing.paused.who if standing.paused else "",
    }
