"""The status page as HTML: the facts of `overview` put into templates/web."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mail2fax.config import Settings
from mail2fax.model import Event, Fax, Part, State
from mail2fax.spool.overview import Hour, Overview
from mail2fax.web.templates import Templates

_CHART_HEIGHT = 100.0
_LATE = 900.0  # seconds a fax may wait before the page points at it, where [reply] delay_notice says nothing
_EVERY = 10  # seconds after which a page that renews itself is loaded again
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
        self._templates = Templates(settings, "web")
        self.policy = self._templates.policy
        self._late = settings.reply.delay_notice or _LATE

    def overview(self, itself: Itself, seen: Overview, *, renew: bool) -> str:
        """The front page. `renew`: it is to be loaded again and again."""
        return self._templates.render(
            "overview.html",
            itself=itself,
            seen=seen,
            now=seen.standing.clock,
            late=self._late,
            totals=_totals(seen.hours),
            bars=_bars(seen.hours),
            renew=renew,
            every=_EVERY,
        )

    def faxes(self, asked: str, found: Sequence[Fax]) -> str:
        """The faxes that were asked for."""
        now = found[0].now if found else datetime.now(UTC)
        return self._templates.render("faxes.html", asked=asked, found=found, now=now, every=0)

    def fax(self, whole: Whole, siblings: Sequence[Fax], *, renew: bool) -> str:
        """One fax and its history. `siblings` are the other faxes of the same mail."""
        fax = whole.fax
        over = fax.final and fax.replied_at
        return self._templates.render(
            "fax.html",
            fax=fax,
            whole=whole,
            siblings=siblings,
            now=fax.now,
            late=self._late,
            renew=renew,
            every=0 if over else _EVERY,
        )

    def sorry(self, why: str, asked: str) -> str:
        """A page that says why there is none: "no-answer", "nothing-found", "no-fax" or "no-page"."""
        now = datetime.now(UTC)
        return self._templates.render("sorry.html", why=why, asked=asked, now=now, every=0)


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
