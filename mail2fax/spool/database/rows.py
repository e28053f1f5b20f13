"""Rows of the spool's tables to the facts of the model, and back. Pure."""

import json
from typing import Any

from sqlalchemy import RowMapping

from mail2fax.model import Envelope, Event, Fate, Fax, Headers, Message, Notice, Part, Reason, State


def dump(value: Any) -> str | None:
    """JSON for a text column; nothing for nothing."""
    return json.dumps(value, ensure_ascii=False, default=str) if value else None


def load(text: str | None) -> dict[str, Any]:
    """What `dump` wrote."""
    loaded: dict[str, Any] = json.loads(text) if text else {}
    return loaded


def fax(row: RowMapping) -> Fax:
    """A row of `faxes`, with the database's clock as `now` where the query gave it."""
    return Fax(
        id=row["id"],
        message_id=row["message_id"],
        sender=row["sender"],
        recipient=row["recipient"],
        number=row["number"],
        line=row["line"],
        state=State(row["state"]),
        received_at=row["received_at"],
        cover=row["cover"],
        notify=_notify(row["notify"]),
        orcpt=row["orcpt"],
        attempts=row["attempts"],
        submissions=row["submissions"],
        due_at=row["due_at"],
        prepared_at=row["prepared_at"],
        submitted_at=row["submitted_at"],
        finished_at=row["finished_at"],
        replied_at=row["replied_at"],
        reply=row["reply"],
        provider_ref=row["provider_ref"],
        progress=row["progress"],
        document_id=row["document_id"],
        pages=row["pages"],
        status=row["status"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        detail=load(row["detail"]),
        held_by=row["held_by"],
        retry_of=row["retry_of"],
        noticed_at=row["noticed_at"],
        lease=row["lease"],
        now=row.get("clock"),
    )


def _notify(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split(",")) - {""}


def notify_row(notify: frozenset[str] | None) -> str | None:
    """The column `notify`."""
    return None if notify is None else ",".join(sorted(notify))


def message(row: RowMapping) -> Message:
    """A row of `messages`, without its content."""
    return Message(
        id=row["id"],
        received_at=row["received_at"],
        envelope=Envelope(
            reverse_path=row["reverse_path"],
            recipients=(),
            client=row["client"],
            helo=row["helo"],
            user=row["user"],
            ret=row["ret"],
            envid=row["envid"],
        ),
        size=row["size"],
        sha256=row["sha256"],
        headers=_headers(load(row["headers"])),
        parts=tuple(_part(part) for part in json.loads(row["parts"] or "[]")),
    )


def _headers(fields: dict[str, Any]) -> Headers:
    return Headers(
        subject=fields.get("subject", ""),
        message_id=fields.get("message_id", ""),
        references=tuple(fields.get("references", ())),
        from_=fields.get("from", ""),
        date=fields.get("date", ""),
        languages=tuple(fields.get("languages", ())),
    )


def headers_row(headers: Headers) -> str:
    """The column `headers`."""
    return json.dumps(
        {
            "subject": headers.subject,
            "message_id": headers.message_id,
            "references": headers.references,
            "from": headers.from_,
            "date": headers.date,
            "languages": headers.languages,
        },
        ensure_ascii=False,
    )


def _part(fields: dict[str, Any]) -> Part:
    reason = fields["reason"]
    return Part(
        name=fields["name"],
        kind=fields["kind"],
        size=fields["size"],
        fate=Fate(fields["fate"]),
        reason=Reason(reason) if reason else None,
        detail=fields["detail"],
        pages=fields["pages"],
        notes=tuple(fields["notes"]),
    )


def parts_row(parts: tuple[Part, ...]) -> str:
    """The column `parts`."""
    return json.dumps(
        [
            {
                "name": part.name,
                "kind": part.kind,
                "size": part.size,
                "fate": part.fate,
                "reason": part.reason,
                "detail": dict(part.detail),
                "pages": part.pages,
                "notes": part.notes,
            }
            for part in parts
        ],
        ensure_ascii=False,
        default=str,
    )


def event(row: RowMapping) -> Event:
    """A row of `events`."""
    return Event(row["fax_id"], row["at"], row["what"], row["who"], load(row["detail"]))


def notice(row: RowMapping) -> Notice:
    """A row of `notices`."""
    return Notice(
        id=row["id"],
        kind=row["kind"],
        recipient=row["recipient"],
        created_at=row["created_at"],
        fax_id=row["fax_id"],
        message_id=row["message_id"],
        detail=load(row["detail"]),
        attempts=row["attempts"],
        lease=row["lease"],
        now=row.get("clock"),
    )
