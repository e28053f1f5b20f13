"""A list of faxes as CSV, for a spreadsheet: one row a fax, a header, times in UTC."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from mail2fax.model import Fax

MEDIA_TYPE = "text/csv; charset=utf-8"
_COLUMNS: tuple[tuple[str, Callable[[Fax], object]], ...] = (
    ("fax", lambda fax: fax.id),
    ("received", lambda fax: _moment(fax.received_at)),
    ("sender", lambda fax: fax.sender),
    ("number", lambda fax: fax.number),
    ("line", lambda fax: fax.line or "default"),
    ("pages", lambda fax: "" if fax.pages is None else fax.pages),
    ("state", lambda fax: fax.state.value),
    ("reason", lambda fax: fax.reason.value if fax.reason else ""),
    ("finished", lambda fax: _moment(fax.finished_at)),
    ("reply", lambda fax: fax.reply),
    ("provider_reference", lambda fax: fax.provider_ref),
)
_PIECE = 1000  # lines
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def rows(faxes: Iterable[Fax]) -> Iterator[str]:
    """The table in pieces of many lines, the header first: to send a piece takes longer than to write it."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(name for name, _ in _COLUMNS)
    for count, fax in enumerate(faxes, start=1):
        writer.writerow(_harmless(str(of(fax))) for _, of in _COLUMNS)
        if count % _PIECE == 0:
            yield out.getvalue()
            out.seek(0)
            out.truncate()
    yield out.getvalue()


def _harmless(text: str) -> str:
    """A spreadsheet takes what begins so for a formula, and a stranger may have written it (CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""
