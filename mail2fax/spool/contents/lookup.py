"""Which row names which content, and how far the mails of each log have rows. Functions of a connection."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Connection, Insert, Table, bindparam, delete, func, null, select, union_all
from sqlalchemy.dialects import sqlite

from mail2fax.spool.contents import Contents, Kept
from mail2fax.spool.database.bulk_insert import BulkInsert
from mail2fax.spool.database.schema import documents, logs, messages

_AT_ONCE = 500  # names in one question


def kept_beside(connection: Connection) -> set[str]:
    """Names of what is kept beside the rows: files, logs, owners of chunks."""
    outside = [select(table.c.id).where(table.c.content.is_(None)) for table in (messages, documents)]
    segments = select(messages.c.segment).where(messages.c.content.is_(None)).distinct()
    return set(connection.scalars(union_all(*outside, segments)))


class Content(NamedTuple):
    """A mail's or document's bytes; without `data` they have a file or chunks of their own."""

    data: bytes | None
    size: int


_NOWHERE = (null(), null())
_CONTENT = {
    table.name: select(table.c.content, *place, table.c.size, table.c.sha256).where(table.c.id == bindparam("name"))
    for table, place in (
        (messages, (messages.c.segment, messages.c.start)),
        (documents, _NOWHERE),  # a document is never in a log
    )
}


def content(connection: Connection, contents: Contents, table: Table, name: str) -> Content:
    """What a row holds of its content. Raises FileNotFoundError, also for what the disk has lost."""
    row = connection.execute(_CONTENT[table.name], {"name": name}).one_or_none()
    if row is None:
        raise FileNotFoundError(name)
    *kept, size, sha256 = row
    place = Kept(*kept).place
    if place is None:
        return Content(row.content, size)
    data = contents.read(place, size)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise FileNotFoundError(name)
    return Content(data, size)


def with_rows(connection: Connection, names: Sequence[str]) -> set[str]:
    """Those of these mails that have a row, were it of one whose content is deleted."""
    some = [names[begin : begin + _AT_ONCE] for begin in range(0, len(names), _AT_ONCE)]
    return {name for them in some for name in connection.scalars(select(messages.c.id).where(messages.c.id.in_(them)))}


def marks(connection: Connection) -> dict[str, int]:
    """How far each log has its mails in rows: bytes from its beginning."""
    return {row.name: row.mark for row in connection.execute(select(logs))}


def _further(_connection: Connection) -> Insert:
    """A mark never goes back."""
    new = sqlite.insert(logs)
    return new.on_conflict_do_update(index_elements=["name"], set_={"mark": func.max(logs.c.mark, new.excluded.mark)})


_MARKS = BulkInsert(_further, (), "name", "mark")  # it is part of every mail's transaction


def set_marks(connection: Connection, read_to: Mapping[str, int]) -> None:
    """All mails before these bytes of these logs have rows, or need none."""
    _MARKS.insert(connection, list(read_to.items()))


def forget_marks(connection: Connection, folder: Path) -> None:
    """Of logs that are no more in the folder."""
    gone = [name for name in marks(connection) if not (folder / name).exists()]
    connection.execute(delete(logs).where(logs.c.name.in_(gone)))
