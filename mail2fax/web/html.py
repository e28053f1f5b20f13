"""The status page as HTML: the facts of `overview` put into templates/web.

Whatever came from outside is escaped, made printable and free of secrets, in one place, before it reaches a page.
"""

import base64
import hashlib
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import jinja2
from markupsafe import Markup

from mail2fax import __version__, log, resources, timezones
from mail2fax.config import Settings
from mail2fax.model import Event, Fax, Part, State
from mail2fax.rules.address import pretty
from mail2fax.spool.overview import Hour, Overview

_CHART_HEIGHT = 100.0
_LATE = 900.0  # seconds a fax may wait before the page points at it, where [reply] delay_notice says nothing
_STACK = (State.DELIVERED, State.FAILED, State.UNKNOWN, State.CANCELLED)  # from the bottom; above it, what waits


@dataclass(frozen=True, slots=True)
class Itself:
    """What the page says of its own node."""

    node: str
    addresses: Sequence[str]  # where mail is accepted
    started: datetime
    problems: Sequence[str]  # why the node is not ready; empty when it is
    free_bytes: int | None
    domain: str  # of the addresses that are faxed
    provider: str


@dataclass(frozen=True, slots=True)
class Whole:
    """All that the page tells of one fax."""

    fax: Fax
    events: Sequence[Event]
    parts: Sequence[Part]


class Page:
    """Makes the pages."""

    def __init__(self, settings: Settings) -> None:
        folder = resources.templates() / "web"
        self._zone = timezones.zone(settings.reply.time_zone)
        self._late = settings.reply.delay_notice or _LATE
        style = (folder / "style.css").read_text("utf-8")
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(folder),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_clean,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(version=__version__, style=Markup(style), host=socket.gethostname())  # noqa: S704 -- our own file
        self._templates.filters.update(pretty=pretty, span=span, size=size, clock=self._clock, day=self._day)

    def overview(self, itself: Itself, seen: Overview, *, refresh: bool) -> str:
        """The front page."""
        return self._templates.get_template("overview.html").render(
            itself=itself,
            seen=seen,
            now=seen.standing.clock,
            late=self._late,
            totals=_totals(seen.hours),
            bars=_bars(seen.hours),
            refresh=10 if refresh else 0,
        )

    def faxes(self, asked: str, found: Sequence[Fax]) -> str:
        """The faxes that were asked for."""
        now = found[0].now if found else datetime.now(UTC)
        return self._templates.get_template("faxes.html").render(asked=asked, found=found, now=now, refresh=0)

    def fax(self, whole: Whole, siblings: Sequence[Fax]) -> str:
        """One fax and its history. `siblings` are the other faxes of the same mail."""
        fax = whole.fax
        over = fax.final and fax.replied_at
        return self._templates.get_template("fax.html").render(
            fax=fax, whole=whole, siblings=siblings, now=fax.now, late=self._late, refresh=0 if over else 5
        )

    def sorry(self, why: str, asked: str) -> str:
        """A page that says why there is none: "no-answer", "nothing-found", "no-fax" or "no-page"."""
        now = datetime.now(UTC)
        return self._templates.get_template("sorry.html").render(why=why, asked=asked, now=now, refresh=0)

    def _clock(self, moment: datetime, now: datetime) -> Markup:
        """The time, and the day if it is another one; in full for who points at it."""
        local, today = moment.astimezone(self._zone), now.astimezone(self._zone).date()
        shown = f"{local:%H:%M:%S}" if local.date() == today else f"{local:%b} {local.day}, {local:%H:%M}"
        full = f"{local:%Y-%m-%d %H:%M:%S} {timezones.offset(local)}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), full, shown)

    def _day(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._zone):%H:%M}"


def span(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    for size_, unit, limit in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < limit:
            return f"{seconds / size_:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def size(count: int) -> str:
    """Bytes as people say them."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _clean(value: Any) -> Any:
    """A text from wherever it came, without secrets and without characters that play tricks; not our own markup."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in log.redact(value))


def _totals(hours: Sequence[Hour]) -> Mapping[str, int]:
    """How the last day went."""
    totals = {state.value: sum(hour.faxes.get(state, 0) for hour in hours) for state in State}
    return {
        **totals,
        "all": sum(totals.values()),
        "waiting": sum(totals[state.value] for state in State if state not in _STACK),
        "pages": sum(hour.pages for hour in hours),
    }


def _bars(hours: Sequence[Hour]) -> Iterator[dict[str, Any]]:
    """The chart's columns: for each hour the pieces of its bar, from the bottom up."""
    most = max((sum(hour.faxes.values()) for hour in hours), default=0) or 1
    for hour in hours:
        counts = {state.value: hour.faxes.get(state, 0) for state in _STACK}
        counts["waiting"] = sum(hour.faxes.values()) - sum(counts.values())
        pieces, top = [], _CHART_HEIGHT
        for name, count in counts.items():
            if count:
                height = count / most * _CHART_HEIGHT
                top -= height
                pieces.append({"name": name, "y": round(top, 2), "height": round(height, 2)})
        yield {"begins": hour.begins, "counts": counts, "pieces": pieces, "all": sum(hour.faxes.values())}
