"""The address of a list: what somebody filtered by stands in the URL, so that a list can be kept and sent to others."""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from urllib.parse import urlencode

from mail2fax.model import State
from mail2fax.spool.search import Search

NAMES = ("state", "sender", "number", "line", "from", "to", "held", "owed")
DEFAULT_LINE = "-"  # in a URL; the default line's own name is empty
_LONGEST = 320  # characters of what somebody looks for, as of an address
_DIGITS = 18  # any number of these fits into 64 bits


def cleaned(text: str) -> str:
    """What somebody typed, without what no database takes (NUL) and nobody can see, and not without end."""
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST].strip()


def row(text: str) -> int:
    """A row's number; 0 where there is none, or none that a database could have."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0


def search(query: Mapping[str, str], zone: tzinfo) -> Search:
    """The search that this query string means. What makes no sense narrows nothing."""
    line = cleaned(query.get("line", ""))
    return Search(
        states=tuple(State(word) for word in query.get("state", "").split(",") if word in set(State)),
        sender=cleaned(query.get("sender", "")),
        number="".join(letter for letter in query.get("number", "") if letter.isdecimal()),
        line=None if not line else "" if line == DEFAULT_LINE else line,
        since=_day(query.get("from", ""), zone),
        until=_day(query.get("to", ""), zone, days=1),
        held=bool(query.get("held")),
        owed=bool(query.get("owed")),
    )


def month(text: str, zone: tzinfo) -> tuple[datetime, datetime]:
    """The first moment of this month ("2026-11") and of the next; without one that makes sense the present month."""
    try:
        return _month(date.fromisoformat(f"{text}-01"), zone)
    except (ValueError, OverflowError):
        return _month(datetime.now(zone).date().replace(day=1), zone)


def _month(first: date, zone: tzinfo) -> tuple[datetime, datetime]:
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


def _day(text: str, zone: tzinfo, days: int = 0) -> datetime | None:
    """When the day that is so many days after this one begins: where clocks change, a day has not 24 hours."""
    try:
        return _begins(date.fromisoformat(text) + timedelta(days=days), zone)
    except (ValueError, OverflowError):
        return None


def _begins(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)
