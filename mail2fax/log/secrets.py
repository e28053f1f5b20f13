"""Keeps secrets out of the log: two nets.

Adapters never let a secret into a text, and `hide` blanks each known one in whatever is written, in our own events and
in those of the libraries.
"""

import re
from collections.abc import MutableMapping
from typing import Any

_secrets: set[str] = set()
_longest_first: list[str] = []  # a short secret inside a long one must not break it up
_SHORTEST = 4  # characters: blanking every "x" would hide nothing and make the log unreadable
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def hide(secret: str) -> None:
    """From now on this text is blanked wherever it would be written."""
    if len(secret) >= _SHORTEST:
        _secrets.add(secret)
        _longest_first[:] = sorted(_secrets, key=len, reverse=True)


def unhide(secret: str) -> None:
    """It is worth nothing any more, and need not be looked for: a token that ran out."""
    if secret in _secrets:
        _secrets.remove(secret)
        _longest_first.remove(secret)


def redact(text: str) -> str:
    """The text with every known secret blanked."""
    for secret in _longest_first:
        if secret in text:
            text = text.replace(secret, "***")
    return text


def clean(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Blank secrets; make control characters visible, so that no sender writes log lines of his own."""
    for key, value in event.items():
        if isinstance(value, str):
            line = redact(value)
            # What is printable holds no control character: most texts need no second look.
            shown = key == "exception" or line.isprintable()
            event[key] = line if shown else _CONTROL.sub(lambda m: ascii(m[0])[1:-1], line)
        elif not isinstance(value, int | float | bool | type(None)) and not key.startswith("_"):
            event[key] = redact(_CONTROL.sub(" ", str(value)))
    return event
