"""Every event an operator may see is one function here, so that its words stand in one place.

Two nets keep secrets out: adapters never let one into a text, and `hide` blanks each known one in whatever is
written, in our own events and in those of the libraries.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog

from mail2fax.settings import Log

_secrets: set[str] = set()
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_event = structlog.stdlib.get_logger("mail2fax")


def hide(secret: str) -> None:
    """From now on this text is blanked wherever it would be written."""
    if secret:
        _secrets.add(secret)


def redact(text: str) -> str:
    """The text with every known secret blanked."""
    for secret in _secrets:
        text = text.replace(secret, "***")
    return text


def configure(settings: Log, stream: TextIO | None = None) -> None:
    """Send our events and the libraries' to one stream, in one form, through one filter."""
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _clean,
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    out = stream or sys.stderr
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings, out)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level.upper())
    # These print addresses, numbers, message lines or URLs with the token (measured): our own events say enough.
    for name in ("mail.log", "httpx", "httpcore", "aiosmtplib", "uvicorn", "uvicorn.access", "pikepdf", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(settings: Log, out: TextIO) -> Any:
    if settings.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank secrets; make control characters visible, so that no sender writes log lines of his own."""
    for key, value in event.items():
        if isinstance(value, str):
            line = redact(value)
            event[key] = line if key == "exception" else _CONTROL.sub(lambda m: ascii(m[0])[1:-1], line)
        elif not isinstance(value, int | float | bool | type(None)) and not key.startswith("_"):
            event[key] = redact(_CONTROL.sub(" ", str(value)))
    return event


# -- the node


def started(*, node: str, listening: list[str], spool: str, provider: str) -> None:
    """The first 220 can be had from now on."""
    _event.info("started", node=node, listening=" ".join(listening), spool=spool, provider=provider)


def stopping(*, signal: str) -> None:
    """No new mail from now on; steps in flight are finished."""
    _event.info("stopping", signal=signal)


def stopped() -> None:
    """Everything was put down where another start finds it."""
    _event.info("stopped")
