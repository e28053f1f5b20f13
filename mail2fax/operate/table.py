"""A list of faxes as CSV, for a spreadsheet: one row a fax, a header, times in UTC."""

import csv
import io
from collections.abc import Callable, Iterable
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
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def header() -> str:
    """The first line."""
    return _written([[name for name, _ in _COLUMNS]])


def lines(faxes: Iterable[Fax]) -> str:
    """One line for each."""
    return _written([_harmless(str(of(fax))) for _, of in _COLUMNS] for fax in faxes)


def _written(rows: Iterable[Iterable[str]]) -> str:
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def _harmless(text: str) -> str:
    """A spreadsheet takes what begins so for a formula, and a stranger may have written it (CSV injection)."""
    return f"'{text}" if text.startswith(_FORMULA) else text


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="seconds") if at else ""
