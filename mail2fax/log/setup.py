"""How events are written: one stream, one form, one threshold, one filter for secrets; observers see all of them."""

import contextlib
import logging
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, TextIO

import structlog

from mail2fax.log.secrets import clean

Observer = Callable[[str, Mapping[str, Any]], None]
"""Is given each event's words and facts, whatever the level; from any thread."""

event: Any = structlog.get_logger("mail2fax")
_observers: list[Observer] = []
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "exception": 40, "critical": 50}

STORM = "storm"  # a fact of events that everybody who comes makes while something is away
_CALM = 60.0  # seconds in which the same one is written once

_PRIORITIES = {10: 7, 20: 6, 30: 4, 40: 3, 50: 2}  # of syslog


@contextlib.contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Let somebody count what happens, as long as the context lasts: no step needs to know of it."""
    _observers.append(observer)
    try:
        yield
    finally:
        _observers.remove(observer)


def configure(form: str, level: str, stream: TextIO | None = None) -> None:
    """Send our events and the libraries' to one stream, in one form, through one filter."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        clean,
    ]
    out = stream or sys.stderr
    render = _renderer(form, out)
    # Past the standard library's logging, which takes most of an event's time.
    lines = _Lines(out)
    structlog.configure(
        processors=[_observe, _Threshold(level), _Storm(), *shared, render],
        logger_factory=lambda *_: lines,
        wrapper_class=structlog.make_filtering_bound_logger(logging.NOTSET),  # observers are told of every event
        cache_logger_on_first_use=False,
    )
    global event  # noqa: PLW0603 -- a logger that is not bound is put together anew for every event
    event = structlog.get_logger("mail2fax").bind()
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These print addresses, numbers, message lines or URLs with the token (measured): our own events say enough.
    for name in ("mail.log", "httpx", "httpcore", "aiosmtplib", "uvicorn", "uvicorn.access", "pikepdf", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(form: str, out: TextIO) -> Any:
    if form == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    if out.isatty():
        return structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    return _journal if _is_journal(out) else _plain


def for_journal(line: str, level: str) -> str:
    """A line that goes to standard error past the events, with its priority where systemd's journal reads it."""
    return f"<{_PRIORITIES[_LEVELS[level]]}>{line}" if _is_journal(sys.stderr) else line


def _is_journal(out: TextIO) -> bool:
    """Whether systemd's journal reads this stream: it names the socket (systemd.exec(5), JOURNAL_STREAM)."""
    with contextlib.suppress(OSError, ValueError):
        here = os.fstat(out.fileno())
        return os.environ.get("JOURNAL_STREAM") == f"{here.st_dev}:{here.st_ino}"
    return False


def _journal(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """As `_plain`, but the journal keeps the time itself, and reads the priority before each line (sd-daemon(3))."""
    priority = _PRIORITIES[_LEVELS[event["level"]]]
    text = _plain(_logger, _method, event).partition(" ")[2]
    return "\n".join(f"<{priority}>{line}" for line in text.splitlines())


def _plain(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    """What ConsoleRenderer writes without colours, in a tenth of its time."""
    exception = event.pop("exception", "")
    head = f"{event.pop('timestamp')} [{event.pop('level'):<9}] {event.pop('event'):<30}"
    line = " ".join([head, *(f"{key}={event[key]}" for key in sorted(event))])
    return f"{line}\n{exception}" if exception else line


class _Lines:
    """Writes lines. A log that cannot be written, for a full disk, must not undo what is being told."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def info(self, line: str) -> None:
        """One line, at once."""
        with contextlib.suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()

    debug = warning = error = exception = critical = info


class _Threshold:
    """Drops events that are less serious than this; observers have seen them already."""

    def __init__(self, level: str) -> None:
        self._least = _LEVELS[level]

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if _LEVELS[method] < self._least:
            raise structlog.DropEvent
        return event


class _Storm:
    """Lets one of many equal events pass; observers have counted all of them."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], float] = {}

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        if event.pop(STORM, False):
            now = time.monotonic()
            self._said = {what: at for what, at in self._said.items() if now - at < _CALM}
            if self._said.setdefault((event["event"], event["error"]), now) != now:
                raise structlog.DropEvent
        return event


def _observe(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for observer in _observers:
        with contextlib.suppress(Exception):  # a fax must not fail for being counted
            observer(event["event"], event)
    return event
