"""A fax and its mail for machines: the one dialect of `--json` and of a reply's outcome.json. Pure.

Moments are in ISO 8601, UTC, with milliseconds; what is not known is null or "".
"""

from datetime import datetime
from typing import Any

from mail2fax.model.facts import Event, Fax, Message
from mail2fax.model.states import Part

_MOMENTS = ("received_at", "prepared_at", "submitted_at", "finished_at", "replied_at", "due_at")
_FOR_OPERATORS = frozenset({"line", "held_by", "reply", "prepared_at", "replied_at", "due_at"})
_OF_SENDER = ("reverse_path", "subject", "message_id")


def fax(one: Fax) -> dict[str, Any]:
    """One fax."""
    return {
        "id": one.id,
        "message_id": one.message_id,
        "sender": one.sender,
        "recipient": one.recipient,
        "number": one.number,
        "line": one.line,
        "state": one.state,
        "progress": one.progress,
        "provider_ref": one.provider_ref,
        "pages": one.pages,
        "status": one.status,
        "reason": one.reason,
        "detail": dict(one.detail),
        "attempts": one.submissions,
        "held_by": one.held_by,
        "retry_of": one.retry_of,
        "reply": one.reply,
        **{name: _moment(getattr(one, name)) for name in _MOMENTS},
    }


def part(one: Part) -> dict[str, Any]:
    """One part of a mail."""
    return {
        "name": one.name,
        "kind": one.kind,
        "size": one.size,
        "fate": one.fate,
        "reason": one.reason,
        "detail": dict(one.detail),
        "pages": one.pages,
        "notes": list(one.notes),
    }


def message(one: Message) -> dict[str, Any]:
    """The mail; `message_id` is its Message-ID, while a fax's is the queue id."""
    return {
        "client": one.envelope.client,
        "helo": one.envelope.helo,
        "user": one.envelope.user,
        "reverse_path": one.envelope.reverse_path,
        "subject": one.headers.subject,
        "message_id": one.headers.message_id,
        "size": one.size,
        "sha256": one.sha256,
    }


def event(one: Event) -> dict[str, Any]:
    """One line of a fax's history."""
    return {"at": _moment(one.at), "what": one.what, "who": one.who, "detail": dict(one.detail)}


def fax_for_sender(one: Fax) -> dict[str, Any]:
    """The same, without what only concerns operators."""
    return {name: value for name, value in fax(one).items() if name not in _FOR_OPERATORS}


def message_for_sender(one: Message) -> dict[str, Any]:
    """The same, without who brought it."""
    return {name: value for name, value in message(one).items() if name in _OF_SENDER}


def _moment(at: datetime | None) -> str | None:
    return at.isoformat(timespec="milliseconds") if at else None
