"""What an office file holds of its making: tracked changes, which are printed, and comments, which are not.

Nothing is unpacked whole, and no XML is parsed: a file is looked through for the elements that only these have. The
formats before 2007 hold tables of them.
"""

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator

import olefile

_PIECE = 1 << 16  # bytes
_MOST = 1 << 26  # bytes of a file that are looked through
_LONGEST = 64  # bytes of what is looked for
_TEXTS = re.compile(
    r"(?:word/(?:document|comments)|xl/(?:comments|threadedComments/)[^/]*|ppt/comments/[^/]*|content)\.xml"
)

# WordprocessingML (ISO/IEC 29500-1 section 17.13), SpreadsheetML, PresentationML; OpenDocument 1.3.
_CHANGES = re.compile(rb"<w:(?:ins|del|moveFrom|moveTo) |<text:changed-region[ >]|<table:tracked-changes[ >]")
_COMMENTS = re.compile(rb"<w:comment |<comment |<threadedComment |<p:cm |<office:annotation[ >]")
# RTF 1.9.1: characters that were put in or taken out, and annotations.
_RTF_CHANGES = re.compile(rb"\\(?:revised|deleted)(?![a-z0])")
_RTF_COMMENTS = re.compile(rb"\\\*\\annotation\b")

_COMMENT_PLACES, _REVISION_AUTHORS = 4, 51  # places in the header: plcfandRef, sttbfRMark ([MS-DOC] 2.5.6)
_SECOND_TABLE = 0x0200
_NOTE = 0x001C  # [MS-XLS] 2.4.179
_SLIDE_COMMENT = 0x2EE0  # RT_Comment10 ([MS-PPT] 2.13.24)


def told(data: bytes) -> tuple[str, ...]:
    """Of "changes" and "comments" what the file has."""
    if data.startswith(olefile.MAGIC):
        return _before_2007(data)
    changes, comments = _CHANGES, _COMMENTS
    if data.startswith(b"{\\rtf"):
        changes, comments = _RTF_CHANGES, _RTF_COMMENTS
    found = set()
    for piece in _rtf(data) if data.startswith(b"{\\rtf") else _zipped(data):
        found |= {word for word, sign in (("changes", changes), ("comments", comments)) if sign.search(piece)}
    return tuple(sorted(found))


def _before_2007(data: bytes) -> tuple[str, ...]:
    """The same of a .doc, .xls or .ppt. Changes of a workbook are not printed."""
    found = set()
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            for stream, look in _OLD.items():
                if file.exists(stream):
                    found |= look(file, file.openstream(stream).read(_MOST))
    except (OSError, ValueError, IndexError, RecursionError, struct.error):
        pass  # LibreOffice reads what it can
    return tuple(sorted(found))


def _word(file: olefile.OleFileIO, data: bytes) -> set[str]:
    """[MS-DOC] 2.5.1: the header tells where each table is. Who made changes stands in one, after "Unknown"."""
    at = 34 + 2 * _short(data, 32)
    at += 2 + 4 * _short(data, at)
    _, comments = struct.unpack_from("<II", data, at + 2 + 8 * _COMMENT_PLACES)
    start, size = struct.unpack_from("<II", data, at + 2 + 8 * _REVISION_AUTHORS)
    found = {"comments"} if comments else set()
    if size:
        tables = file.openstream("1Table" if _short(data, 10) & _SECOND_TABLE else "0Table").read(_MOST)
        found |= {"changes"} if _short(tables, start + 2) > 1 else set()
    return found


def _sheet(_: olefile.OleFileIO, data: bytes) -> set[str]:
    """[MS-XLS] 2.1.4: records, each with its type and its length."""
    at = 0
    while at + 4 <= len(data):
        kind, size = struct.unpack_from("<HH", data, at)
        if kind == _NOTE:
            return {"comments"}
        at += 4 + size
    return set()


def _slides(_: olefile.OleFileIO, data: bytes) -> set[str]:
    """[MS-PPT] 2.3.1: records within records."""
    at = 0
    while at + 8 <= len(data):
        form, kind, size = struct.unpack_from("<HHI", data, at)
        if kind == _SLIDE_COMMENT:
            return {"comments"}
        at += 8 if form & 0xF == 0xF else 8 + size
    return set()


def _short(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _rtf(data: bytes) -> Iterator[bytes]:
    yield data[:_MOST]


def _zipped(data: bytes) -> Iterator[bytes]:
    """The texts inside, in pieces that overlap."""
    left = _MOST
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as box:
            for entry in box.infolist():
                if _TEXTS.fullmatch(entry.filename) and left > 0:
                    with box.open(entry) as text:
                        end = b""
                        while (piece := text.read(_PIECE)) and left > 0:
                            left -= len(piece)
                            yield end + piece
                            end = piece[-_LONGEST:]
    except (OSError, ValueError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error):
        return  # LibreOffice reads what it can


_OLD = {"WordDocument": _word, "Workbook": _sheet, "Book": _sheet, "PowerPoint Document": _slides}
