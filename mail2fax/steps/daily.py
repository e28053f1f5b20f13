"""A mail to [reply] admin once a day, where it is wanted: how the last 24 hours went, and what waits for somebody."""

from collections.abc import Mapping
from datetime import datetime
from email.utils import parseaddr
from typing import Any

from mail2fax import timezones
from mail2fax.config import Settings
from mail2fax.model import State
from mail2fax.spool import Spool, overview


async def summary(spool: Spool, settings: Settings) -> None:
    """Owe today's, from its time of the day on. Nodes that share a database owe one together."""
    standing = await spool.read(overview.standing)
    now = standing.clock.astimezone(timezones.zone(settings.reply.time_zone))
    if f"{now:%H:%M}" < settings.reply.daily_summary:
        return
    hours = await spool.read(overview.hours)
    detail = {"kind": "daily", **facts(standing, hours, now)}
    await spool.owe(f"daily-{now:%Y%m%d}", "admin", parseaddr(settings.reply.admin)[1], {"detail": detail})


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
