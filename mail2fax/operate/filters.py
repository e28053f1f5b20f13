"""The address of a list: what somebody filtered by stands in the URL, so that a list can be kept and sent to others."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from urllib.parse import urlencode

from mail2fax.model import State
from mail2fax.spool.search import Search

NAMES = ("state", "sender", "number", "line", "from", "to", "held", "owed")
DEFAULT_LINE = "-"  # in a URL; the default line's own name is empty


def search(query: Mapping[str, str], zone: tzinfo) -> Search:
    """The search that this query string means. What makes no sense narrows nothing."""
    line = query.get("line", "")
    last = _day(query.get("to", ""), zone)
    return Search(
        states=tuple(State(word) for word in query.get("state", "").split(",") if word in set(State)),
        sender=query.get("sender", "").strip(),
        number="".join(letter for letter in query.get("number", "") if letter.isdecimal()),
        line=None if not line else "" if line == DEFAULT_LINE else line,
        since=_day(query.get("from", ""), zone),
        until=last and last + timedelta(days=1),
        held=bool(query.get("held")),
        owed=bool(query.get("owed")),
    )


def month(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of this month ("2026-11") and of the next; without one that makes sense the present month."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        first = datetime.now(zone).date().replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    return _begins(first, zone), _begins(following, zone)


def address(path: str, query: Mapping[str, str], **changes: str) -> str:
    """The same list with something changed; an empty value leaves a filter out."""
    wanted = {**{name: query.get(name, "") for name in NAMES}, **changes}
    kept = {name: value for name, value in wanted.items() if value}
    return f"{path}?{urlencode(kept)}" if kept else path


def said(query: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What narrows the list, for people: name and value."""
    for name in NAMES:
        if query.get(name):
            yield name, query[name]


def _day(text: str, zone: tzinfo) -> datetime | None:
    try:
        return _begins(date.fromisoformat(text), zone)
    except ValueError:
        return None


def _begins(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
