"""What an answer of the provider means, or its absence. Pure: tables test it.

    HTTP status, or error_code in a 2xx     before the commit   after it
    2xx with a uuid                         the provider ref    the provider ref
    2xx without one                         Temporary           Unclear
    401 402 403 407                         LineHeld            LineHeld
    404 405 410 411, as HTTP status         LineHeld            LineHeld
    307 308                                 Temporary           Temporary
    408 421 425 429, 503 with Retry-After   Temporary           Temporary
    other 3xx, 409, other 5xx, anything odd        Temporary           Unclear
    other 4xx                               Permanent           Permanent
    no answer                               Temporary           Unclear

A poll knows two verdicts only: LineHeld for 401 402 403 407, Temporary for all else that is no status.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

from mail2fax.model import LineHeld, Permanent, Progress, Reason, State, Temporary, Unclear, Verdict

LONGEST_REF = 255
LONGEST_NUMBER = 40  # digits of a uuid that is a number
LONGEST_WORD = 40
LONGEST_MESSAGE = 120
LONGEST_PAUSE = 3600.0  # seconds: who asks for more is asked again after an hour

WORDS: Mapping[str, Progress] = MappingProxyType(
    {
        "loading": Progress("Loading"),
        "converting": Progress("Converting"),
        "pending": Progress("Pending"),
        "sending": Progress("Sending"),
        "success": Progress("Success", State.DELIVERED),
        "failed": Progress("Failed", State.FAILED),
    }
)

Redact = Callable[[str], str]
"""Blanks secrets in a text of the provider's: its messages repeat the token."""

_BUSY = "4.4.5"  # RFC 3463: mail system congestion
_NOT_LET_IN = ("token", "the provider refuses the line's token")
_ADDRESS = "nothing takes faxes at this address: see [provider] url"
# What cannot be about one fax: no other fax of the line would fare better.
_LINE = MappingProxyType(
    {401: _NOT_LET_IN, 402: ("credit", "the line's account has no credit"), 403: _NOT_LET_IN, 407: _NOT_LET_IN}
)
# Of the fixed address only where the web server itself says so: an error_code comes from the API, which is there.
_NOWHERE = frozenset({404, 405, 410, 411})
_MOVED = frozenset({307, 308})  # RFC 9110 sections 15.4.8 and 15.4.9: to be sent elsewhere, so not taken here
_NOT_PROCESSED = frozenset({408, 421, 425, 429})
# RFC 3463: 5.3.4 message too big for system, 5.6.1 media not supported. No other code tells what was wrong.
_TOO_LARGE = 413
_REFUSED_STATUS = MappingProxyType({_TOO_LARGE: "5.3.4", 415: "5.6.1"})


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer as far as it matters."""

    status: int
    body: bytes = b""
    retry_after: float | None = None  # seconds


def submission(answer: Answer, *, committed: bool, redact: Redact = str, api: "Dialect | None" = None) -> str:
    """The provider ref out of the answer to a POST, or the verdict raised. `committed`: the end may have left."""
    api = api or RINBLE
    data = _object(answer.body, listed=api.listed)
    # A uuid proves that the fax was taken, whatever else stands beside it.
    if 200 <= answer.status < 300 and (ref := api.ref(data)):
        return ref
    code = api.code(answer.status, data)
    if 200 <= code < 300:
        raise _in_doubt(f"HTTP {answer.status} without a uuid", committed=committed)
    if code in _LINE:
        raise _held(code)
    if answer.status in _NOWHERE:
        raise LineHeld(Reason.LINE_HELD, note=f"HTTP {code}: {_ADDRESS}", cause="address", http=code)
    if answer.status in _MOVED:
        note = f"HTTP {code}: the API is at another address now: see [provider] url"
        raise Temporary(Reason.PROVIDER_BUSY, _BUSY, note=note, retry_after=answer.retry_after)
    note = noted(code, api.said(data), redact)
    if code in _NOT_PROCESSED or (code == 503 and answer.retry_after is not None):
        raise Temporary(Reason.PROVIDER_BUSY, _BUSY, note=note, retry_after=answer.retry_after)
    if 400 <= code < 500 and code != 409:
        reason = Reason.TOO_LARGE if code == _TOO_LARGE else Reason.PROVIDER_REFUSED
        raise Permanent(reason, _REFUSED_STATUS.get(code), note=note, http=code)
    raise _in_doubt(note, committed=committed, retry_after=answer.retry_after)


def no_answer(note: str, *, committed: bool) -> Verdict:
    """The verdict on a POST that brought no answer."""
    if committed:
        return Unclear(Reason.NO_ANSWER, note=note)
    return Temporary(Reason.PROVIDER_UNREACHABLE, note=note)


def progress(answer: Answer, *, redact: Redact = str) -> Progress:
    """What the answer to a poll says, or the verdict raised."""
    data = told(answer, redact=redact)
    word = data.get("status")
    if not isinstance(word, str) or not word.strip():
        raise Temporary(Reason.PROVIDER_BUSY, _BUSY, note=f"HTTP {answer.status} without a status")
    return WORDS.get(word.strip().casefold()) or Progress(_shown(word, redact)[:LONGEST_WORD], known=False)


def told(answer: Answer, *, redact: Redact = str, api: "Dialect | None" = None) -> Mapping[str, Any]:
    """The JSON object that a question was answered with. Raises LineHeld, or Temporary for all that is none."""
    api = api or RINBLE
    data = _object(answer.body)
    code = api.code(answer.status, data)
    if code in _LINE:
        raise _held(code)
    if not 200 <= code < 300:
        note = noted(code, api.said(data), redact)
        raise Temporary(Reason.PROVIDER_BUSY, _BUSY, note=note, retry_after=answer.retry_after)
    return data


def retry_after(value: str | None, now: datetime) -> float | None:
    """RFC 9110 section 10.2.3: seconds, or an HTTP-date. None if absent or neither."""
    if value is None:
        return None
    value = value.strip()
    # Not isdigit alone: it also takes digits of other scripts.
    if value.isascii() and value.isdigit():
        return min(float(value[:9]), LONGEST_PAUSE)
    try:
        moment = parsedate_to_datetime(value)
        if moment.tzinfo is None:  # one of the two older forms, which mean UTC
            moment = moment.replace(tzinfo=UTC)
        return min(max((moment - now).total_seconds(), 0.0), LONGEST_PAUSE)
    except (ValueError, IndexError, OverflowError):
        return None


def _in_doubt(note: str, *, committed: bool, retry_after: float | None = None) -> Verdict:
    if committed:
        return Unclear(Reason.NO_ANSWER, note=note)
    return Temporary(Reason.PROVIDER_BUSY, _BUSY, note=note, retry_after=retry_after)


def _held(code: int) -> LineHeld:
    # The provider's message is left out: here it repeats the token.
    cause, said = _LINE[code]
    return LineHeld(Reason.LINE_HELD, note=f"HTTP {code}: {said}", cause=cause, http=code)


def _object(body: bytes, *, listed: bool = False) -> Mapping[str, Any]:
    """The JSON object in the body, whatever its content type says, or the only one of a list; else empty."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    if listed and isinstance(data, list) and len(data) == 1:
        data = data[0]
    return data if isinstance(data, dict) else {}


def _code(status: int, data: Mapping[str, Any]) -> int:
    """The HTTP status, or the error_code that stands for it in a 2xx."""
    if not 200 <= status < 300:
        return status
    nested = (value for value in data.values() if isinstance(value, dict))
    for place in (data, *nested):
        if error_code := _whole(place.get("error_code")):
            return error_code
    return status


def _whole(value: Any) -> int:
    """A number of three digits, also as text; 0 for all else."""
    text = str(value).strip() if isinstance(value, int | str) else ""
    return int(text) if len(text) == 3 and text.isascii() and text.isdigit() else 0


def ref_of(uuid: Any) -> str:
    """A reference: opaque, but a text (or a whole number) that can be kept and asked for. Empty if it is none."""
    if isinstance(uuid, int) and not isinstance(uuid, bool):
        uuid = str(uuid) if abs(uuid) < 10**LONGEST_NUMBER else ""
    if not isinstance(uuid, str) or not uuid.strip() or len(uuid) > LONGEST_REF or not uuid.isprintable():
        return ""
    return uuid


def noted(code: int, message: Any, redact: Redact) -> str:
    """For operators: the code, and what the provider says of it."""
    said = _shown(message, redact)[:LONGEST_MESSAGE] if isinstance(message, str) else ""
    return f"HTTP {code}: {said}" if said else f"HTTP {code}"


def _shown(text: str, redact: Redact) -> str:
    """A text of theirs as it may be shown: redacted before it is cut, since half a token is one too many."""
    return "".join(character if character.isprintable() else "?" for character in " ".join(redact(text).split()))


@dataclass(frozen=True, slots=True)
class Dialect:
    """Where one API puts what all of them say."""

    ref: Callable[[Mapping[str, Any]], str]  # the reference in the answer to a POST; "" if there is none
    said: Callable[[Mapping[str, Any]], Any]  # its words about an error
    code: Callable[[int, Mapping[str, Any]], int] = lambda status, _: status  # the HTTP status, or what stands for it
    listed: bool = False  # whether the answer to a POST may be a list of one


RINBLE = Dialect(lambda data: ref_of(data.get("uuid")), lambda data: data.get("message"), _code)
