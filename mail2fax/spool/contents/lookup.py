"""Which row names which content. Functions of a connection; nothing here writes."""

from sqlalchemy import Connection, Table, bindparam, null, select, union_all

from mail2fax.spool.contents import Contents, Kept
from mail2fax.spool.database.schema import documents, messages


def kept_beside(connection: Connection) -> set[str]:
    """Names of what is kept beside the rows: files, segments, owners of chunks."""
    outside = [select(table.c.id).where(table.c.content.is_(None)) for table in (messages, documents)]
    segments = select(messages.c.segment).where(messages.c.content.is_(None)).distinct()
    return set(connection.scalars(union_all(*outside, segments)))


_NOWHERE = (null(), null(), null())
_CONTENT = {
    table.name: select(table.c.content, *place).where(table.c.id == bindparam("name"))
    for table, place in (
        (messages, (messages.c.segment, messages.c.start, messages.c.size)),
        (documents, _NOWHERE),  # a document is never in a segment
    )
}


def content(connection: Connection, contents: Contents, table: Table, name: str) -> bytes | None:
    """A mail's or document's bytes; None if they have a file or chunks of their own. Raises FileNotFoundError."""
    row = connection.execute(_CONTENT[table.name], {"name": name}).one_or_none()
    if row is None:
        raise FileNotFoundError(name)
    *kept, size = row
    place = Kept(*kept).place
    return contents.read(place, size) if place else row.content
