"""What one transaction writes when a mail was taken apart: its account, its documents, and the fax's next state.

Functions of a connection, run by the writer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from mail2fax.model import Document, Fax, Headers, Outcome, Part, State
from mail2fax.spool import moves, operator
from mail2fax.spool.contents import Contents
from mail2fax.spool.contents.incoming import Incoming
from mail2fax.spool.database import rows
from mail2fax.spool.database.schema import documents, faxes, messages, now
from mail2fax.spool.database.sql import unless_known
from mail2fax.spool.moves import Move

# Built once: that takes longer than running them.
_ACCOUNT = (
    update(messages)
    .where(messages.c.id == bindparam("of"))
    .values(headers=bindparam("headers"), parts=bindparam("parts"))
)
_REFUSAL = _ACCOUNT.values(refused=bindparam("refused"))


@dataclass(frozen=True, slots=True)
class Account:
    """What was found in a mail."""

    headers: Headers
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Filed:
    """A document that is about to be kept."""

    document: Document
    variant: str
    position: int
    content: Incoming
    preview: bytes | None


def file(
    connection: Connection,
    contents: Contents,
    fax: Fax,
    account: Account,
    filed: Sequence[Filed],
    who: str,
) -> Fax:
    """Keep the account and the documents, and give the fax its document. Filing them twice is filing them once.

    Raises LeaseLost, with nothing written: whoever has the fax now makes them again.
    """
    moved = proceed(connection, fax, [one.document for one in filed], who)
    write_account(connection, fax.message_id, account, None)
    for one in filed:
        row = {
            "id": one.document.id,
            "message_id": fax.message_id,
            "variant": one.variant,
            "position": one.position,
            "pages": one.document.pages,
            "size": one.document.size,
            "sha256": one.document.sha256,
            "content": one.content.inline,
            "preview": one.preview,
        }
        if connection.execute(unless_known(connection, documents), row).rowcount:
            contents.insert(connection, one.content)
    return moved


def proceed(connection: Connection, fax: Fax, made: Sequence[Document], who: str) -> Fax:
    """Give the fax its document; each further document of the mail becomes a fax of its own."""
    first, *others = _meant(connection, fax, made)
    move = Move(State.PREPARED, who, _document(first), {"pages": first.pages})
    moved = moves.advance(connection, fax, move)
    for document in others:
        _sibling(connection, fax, document, who)
    return moved


def _meant(connection: Connection, fax: Fax, made: Sequence[Document]) -> Sequence[Document]:
    """Of a fax that is sent again, and was one of several of its mail, the same document alone; else all."""
    before = connection.scalar(select(faxes.c.document_id).where(faxes.c.id == fax.retry_of)) if fax.retry_of else ""
    place = (before or "").rpartition(".")[2]
    return [one for one in made if one.id.rpartition(".")[2] == place] or made


def write_account(connection: Connection, message_id: str, account: Account, refusal: Outcome | None) -> None:
    """Keep what was found in a mail, and why no document can be made of it, for its other recipients too."""
    values: dict[str, Any] = {
        "of": message_id,
        "headers": rows.headers_row(account.headers),
        "parts": rows.parts_row(account.parts),
    }
    if refusal:
        outcome = {"reason": refusal.reason, "status": refusal.status, "detail": dict(refusal.detail)}
        values["refused"] = rows.dump(outcome)
    connection.execute(_REFUSAL if refusal else _ACCOUNT, values)


def _document(document: Document) -> dict[str, Any]:
    return {"document_id": document.id, "pages": document.pages}


def _sibling(connection: Connection, fax: Fax, document: Document, who: str) -> None:
    copied = {
        "message_id": fax.message_id,
        "sender": fax.sender,
        "recipient": fax.recipient,
        "number": fax.number,
        "cover": fax.cover,
        "line": fax.line,
        "notify": rows.notify_row(fax.notify),
        "orcpt": fax.orcpt,
        "received_at": fax.received_at,
    }
    fresh = {"id": operator.next_id(connection, fax.message_id), "state": State.PREPARED.value, **_document(document)}
    statement = insert(faxes).values(due_at=now(), prepared_at=now())
    connection.execute(statement, {**copied, **fresh})
    moves.write_event(connection, fresh["id"], State.PREPARED, who, {"pages": document.pages, "beside": fax.id})
