"""The outcome for machines: an application/json part, named and valued as `mail2fax show --json` is. Pure."""

import json
from collections.abc import Sequence
from typing import Any

from mail2fax.model import Fax, Message, Part
from mail2fax.replies import bodies

_TIMES = ("received_at", "submitted_at", "finished_at")


def part(message: Message, faxes: Sequence[Fax]) -> bodies.Part:
    """The part that holds it, as a file outcome.json."""
    outcome = {
        "message_id": message.headers.message_id,
        "subject": message.headers.subject,
        "sender": message.envelope.reverse_path,
        "faxes": [_fax(fax) for fax in faxes],
        "parts": [_part(one) for one in message.parts],
    }
    name = 'Content-Disposition: attachment; filename="outcome.json"\r\n'
    return bodies.attached("application/json", json.dumps(outcome, indent=1).encode("ascii"), name)


def _fax(fax: Fax) -> dict[str, Any]:
    times = {name: getattr(fax, name) for name in _TIMES}
    return {
        "id": fax.id,
        "state": fax.state.value,
        "number": fax.number,
        "recipient": fax.recipient,
        "pages": fax.pages,
        "status": fax.status,
        "reason": fax.reason.value if fax.reason else None,
        "detail": dict(fax.detail),
        "submissions": fax.submissions,
        "provider_ref": fax.provider_ref,
        "retry_of": fax.retry_of,
        **{name: moment.isoformat() if moment else None for name, moment in times.items()},
    }


def _part(one: Part) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "size": one.size,
        "fate": one.fate.value,
        "reason": one.reason.value if one.reason else None,
        "detail": dict(one.detail),
        "pages": one.pages,
        "notes": list(one.notes),
    }
