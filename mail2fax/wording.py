"""Numbers, times and sizes as people write them in a language. Pure."""

from datetime import datetime
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date, format_datetime
from babel.numbers import format_decimal
from babel.units import format_unit

from mail2fax import address

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_STEPS = ((_DAY, "duration-day"), (_HOUR, "duration-hour"), (_MINUTE, "duration-minute"), (1, "duration-second"))


class Wording:
    """The filters of the templates, for one language and time zone."""

    def __init__(self, locale: Locale, zone: str) -> None:
        self._locale = locale
        self._zone = ZoneInfo(zone)

    def fax_number(self, number: str) -> str:
        """(647) 495-9659."""
        return address.pretty(number)

    def when(self, moment: datetime) -> str:
        """November 23, 2026, 2:05:14 p.m. EST."""
        text = format_datetime(moment, "long", tzinfo=self._zone, locale=self._locale)
        return text.replace("\u202f", " ")  # a narrow space that some mail programs show as a box

    def day(self, moment: datetime) -> str:
        """November 30, 2026."""
        return format_date(moment.astimezone(self._zone), "long", locale=self._locale)

    def duration(self, seconds: float) -> str:
        """The two largest units: 1 hr 5 min, 14 sec."""
        rest, words = max(round(seconds), 0), []
        for length, unit in _STEPS:
            count, rest = divmod(rest, length)
            if (count or (length == 1 and not words)) and len(words) < 2:
                words.append(format_unit(count, unit, "short", locale=self._locale))
        return " ".join(words)

    def count(self, number: float) -> str:
        """1,234.5; what is no number stays as it is."""
        return format_decimal(number, locale=self._locale) if isinstance(number, int | float) else str(number)

    def size(self, octets: int) -> str:
        """840 kB, 1.2 MB."""
        for unit, name in ((1_000_000, "digital-megabyte"), (1000, "digital-kilobyte")):
            if octets >= unit:
                number = octets / unit
                return format_unit(round(number, 1 if number < 10 else 0), name, "short", locale=self._locale)
        return format_unit(octets, "digital-byte", "short", locale=self._locale)
