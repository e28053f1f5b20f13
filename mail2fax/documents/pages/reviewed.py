"""What an office file holds of its making: tracked changes, which are printed, and comments, which are not.

Nothing is unpacked whole, and no XML is parsed: a file is looked through for the elements that only these have.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator

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


def told(data: bytes) -> tuple[str, ...]:
    """Of "changes" and "comments" what the file has. Nothing of the old binary formats, which do not show it."""
    changes, comments = _CHANGES, _COMMENTS
    if data.startswith(b"{\\rtf"):
        changes, comments = _RTF_CHANGES, _RTF_COMMENTS
    found = set()
    for piece in _rtf(data) if data.startswith(b"{\\rtf") else _zipped(data):
        found |= {word for word, sign in (("changes", changes), ("comments", comments)) if sign.search(piece)}
    return tuple(sorted(found))


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
