"""Files that a PDF carries along and its pages do not show: the documents of a portfolio, what hangs on a page.

A *portfolio* (ISO 32000-1 section 7.11.6, /Collection) is a folder that looks like a PDF: its own page says at most
that one needs another reader. An *unencrypted wrapper* (ISO 32000-2 section 7.6.7) is one whose only file is encrypted.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

from mail2fax.documents.pages.inspection import Source, refusal
from mail2fax.documents.pages.pdfium import Document
from mail2fax.model import Reason

_MOST_FILES = 1000
_MOST_NODES = 10_000  # of the tree of names, which a file can make endless
# In every language the sheet that Acrobat puts in front names the program to be used instead.
_NOTICE = re.compile(r"Acrobat|Adobe\W*Reader")
_MOST_NOTICE = 2000  # characters


@dataclass(frozen=True, slots=True)
class File:
    """A file inside a PDF."""

    name: str
    data: bytes = field(default=b"", repr=False)  # of a portfolio's files only
    size: int = 0  # bytes


@dataclass(frozen=True, slots=True)
class Enclosed:
    """What a PDF carries besides its pages."""

    files: tuple[File, ...] = ()
    portfolio: bool = False  # these files are the document
    notice: bool = False  # and its own page only says so


def enclosed(source: Source) -> Enclosed:
    """The files inside of a PDF, a portfolio's in the order in which its reader shows them.

    Raises Permanent: LOCKED for a wrapper, DAMAGED for a portfolio
    one of whose files cannot be read.
    """
    pdf = source.pdf
    collection = pdf.Root.get("/Collection")
    listed = _unique([*_listed(pdf.Root), *(_hanging(pdf) if source.annotated else ())])
    if any(_sealed(spec) for spec in listed):
        raise refusal(Reason.LOCKED)
    if not listed:
        return Enclosed()
    if not isinstance(collection, Dictionary):
        return Enclosed(tuple(File(_name(spec), size=_size(spec)) for spec in listed))
    files = tuple(map(_file, _sorted(listed, collection)))
    return Enclosed(files, portfolio=True, notice=len(pdf.pages) == 1 and source.drawable and _is_notice(source.data))


def _listed(root: pikepdf.Object) -> Iterator[Dictionary]:
    """The file specifications of the tree of names, in its order, and the associated files (ISO 32000-2 14.13)."""
    names = root.get("/Names")
    waiting = [names.get("/EmbeddedFiles")] if isinstance(names, Dictionary) else []
    for _ in range(_MOST_NODES):
        if not waiting:
            break
        node = waiting.pop()
        if isinstance(node, Dictionary):
            yield from _specifications(list(_items(node.get("/Names")))[1::2])
            waiting += reversed(list(_items(node.get("/Kids"))))
    yield from _specifications(_items(root.get("/AF")))


def _hanging(pdf: pikepdf.Pdf) -> Iterator[Dictionary]:
    """Those of the paper clips on the pages (ISO 32000-1 section 12.5.6.15)."""
    for page in pdf.pages:
        for annotation in _items(page.obj.get("/Annots")):
            if isinstance(annotation, Dictionary) and annotation.get("/Subtype") == Name.FileAttachment:
                yield from _specifications([annotation.get("/FS")])


def _specifications(values: Iterable[Any]) -> Iterator[Dictionary]:
    for value in values:
        if isinstance(value, Dictionary) and _stream(value) is not None:
            yield value


def _items(value: Any) -> Iterable[Any]:
    return value if isinstance(value, Array) else ()


def _unique(specifications: Iterable[Dictionary]) -> list[Dictionary]:
    """Each file once, however often it is spoken of."""
    found: dict[tuple[int, int] | int, Dictionary] = {}
    for number, spec in enumerate(specifications):
        stream = _stream(spec)
        found.setdefault(stream.objgen if stream is not None and stream.is_indirect else number, spec)
    return list(found.values())[:_MOST_FILES]


def _stream(spec: Dictionary) -> Stream | None:
    held = spec.get("/EF")
    streams = [held.get(key) for key in ("/UF", "/F", "/Unix", "/DOS", "/Mac")] if isinstance(held, Dictionary) else []
    return next((stream for stream in streams if isinstance(stream, Stream)), None)


def _sealed(spec: Dictionary) -> bool:
    return spec.get("/AFRelationship") == Name.EncryptedPayload or "/EP" in spec


def _name(spec: Dictionary) -> str:
    return next((str(name) for key in ("/UF", "/F") if isinstance(name := spec.get(key), pikepdf.String)), "")


def _file(spec: Dictionary) -> File:
    stream = _stream(spec)
    try:
        data = stream.read_bytes() if stream is not None else b""
    except pikepdf.PdfError:
        raise refusal(Reason.DAMAGED) from None
    return File(_name(spec), data, len(data))


def _size(spec: Dictionary) -> int:
    """What the file says of its own size, or how much room it takes."""
    stream = _stream(spec)
    about = stream.get("/Params") if stream is not None else None
    said = about.get("/Size") if isinstance(about, Dictionary) else None
    return said if isinstance(said, int) else len(stream.read_raw_bytes()) if stream is not None else 0


def _sorted(specifications: list[Dictionary], collection: Dictionary) -> list[Dictionary]:
    """In the order that the portfolio asks for (ISO 32000-1 table 156), else as they are listed."""
    order = collection.get("/Sort")
    by = order.get("/S") if isinstance(order, Dictionary) else None
    by = next(iter(_items(by)), None) if isinstance(by, Array) else by
    if not isinstance(by, Name) or not isinstance(order, Dictionary):
        return specifications
    schema = collection.get("/Schema")
    column = schema.get(by) if isinstance(schema, Dictionary) else None
    by_name = isinstance(column, Dictionary) and column.get("/Subtype") == Name.F
    up = next(iter(_items(order.get("/A"))), order.get("/A", True))
    return sorted(
        specifications,
        key=lambda spec: _rank(_name(spec) if by_name else _value(spec.get("/CI"), by)),
        reverse=up is False,
    )


def _value(columns: Any, name: Name) -> Any:
    value = columns.get(name) if isinstance(columns, Dictionary) else None
    return value.get("/D") if isinstance(value, Dictionary) else value


def _rank(value: Any) -> tuple[float, str]:
    """Numbers before words, as numbers."""
    try:
        return float(value), ""
    except (TypeError, ValueError, ArithmeticError):
        return float("inf"), "" if value is None else str(value).casefold()


def _is_notice(data: bytes) -> bool:
    """Whether the only page does not say more than which program to open it with."""
    with Document(data) as document, document.page(0) as page:
        return bool(_NOTICE.search(page.text(_MOST_NOTICE)))
