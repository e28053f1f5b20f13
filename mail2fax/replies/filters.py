"""Numbers, times and sizes as people write them in a language. Pure."""

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from babel import Locale
from babel.dates import format_date, format_time, get_datetime_format
from babel.numbers import format_decimal
from babel.units import format_unit

from mail2fax import timezones

_WIDTH = 72
_BLANKS = re.compile(r"[ \n]+")
_KEPT = 64  # moments and sizes whose words are kept: text and HTML say the same ones
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = ((_DAY, "duration-day"), (_HOUR, "duration-hour"), (_MINUTE, "duration-minute"), (1, "duration-second"))


class Wording:
    """The filters of the templates, for one language and time zone."""

    def __init__(self, locale: Locale, zone: str) -> None:
        self._locale = locale
        self._zone = timezones.zone(zone)
        self._both = str(get_datetime_format("long", locale=locale)).replace("'", "")

    def when(self, moment: datetime, whole: Callable[[str], str] = str) -> str:
        """November 23, 2026, 2:05 p.m. UTC-05:00. `whole` keeps the time on one line, where lines are broken later."""
        there = moment.astimezone(self._zone)
        # Without its zone, for the same moment elsewhere would be its equal.
        day, time = _said(there.replace(second=0, microsecond=0, tzinfo=None), self._locale)
        # Not Babel's own name of the zone: it goes by the season, and is wrong where clocks are no longer changed.
        before, after = self._both.replace("{1}", day).split("{0}")
        return before + whole(f"{time} {timezones.offset(there)}") + after

    def day(self, moment: datetime) -> str:
        """November 30, 2026."""
        return format_date(moment.astimezone(self._zone), "long", locale=self._locale)

    def duration(self, seconds: float) -> str:
        """The two largest units: 1 hr 5 min, 14 sec."""
        rest = max(round(seconds), 0)
        words: list[str] = []
        for length, unit in _STEPS:
            count, rest = divmod(rest, length)
            if (count or (length == 1 and not words)) and len(words) < 2:
                words.append(format_unit(count, unit, "short", locale=self._locale))
        return " ".join(words)

    def count(self, number: float) -> str:
        """1,234.5; what is no number stays as it is."""
        return format_decimal(number, locale=self._locale) if isinstance(number, int | float) else str(number)

    def size(self, octets: int) -> str:
        """312 bytes, 840 kB, 1.2 MB."""
        return _size(octets, self._locale)


@lru_cache(_KEPT)
def _size(octets: int, locale: Locale) -> str:
    if octets < 1000:
        return format_unit(octets, "digital-byte", "long", locale=locale)
    if octets < 1_000_000:
        return format_unit(round(octets / 1000), "digital-kilobyte", "short", locale=locale)
    millions = octets / 1_000_000
    return format_unit(round(millions, int(millions < 10)), "digital-megabyte", "short", locale=locale)


@lru_cache(_KEPT)
def _said(there: datetime, locale: Locale) -> tuple[str, str]:
    """Day and time in words. Babel's narrow space is one that some mail programs show as a box."""
    time = format_time(there, "short", locale=locale).replace("\u202f", " ")
    return format_date(there, "long", locale=locale), time


def wrapped(text: str, indent: int = 0) -> str:
    """A paragraph of plain text in lines of 72 characters; all but the first are indented. No word is broken.

    No line begins with ">", as in "File > Print", where textwrap would break: a mail program takes it for a quotation.
    """
    # Not str.split(): a space that must not be broken stays one.
    first, *words = _BLANKS.sub(" ", text).strip().split(" ")
    lines = [first]
    for word in words:
        if len(lines[-1]) + len(word) < _WIDTH or word.startswith(">"):
            lines[-1] += f" {word}"
        else:
            lines.append(" " * indent + word)
    return "\n".join(lines)
