"""What a zip holds, within limits: no more files and bytes than a mail may have, whatever it says of itself."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from mail2fax.documents.mime.parts import MimeLimits
from mail2fax.model import Permanent, Reason

_NO_FILES = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini")  # what file managers leave behind
_ENCRYPTED = 1 << 0  # APPNOTE.TXT section 4.4.4
_BROKEN = (zipfile.BadZipFile, zlib.error, NotImplementedError, OSError, EOFError, ValueError, RuntimeError)


@dataclass(frozen=True, slots=True)
class File:
    """A file of a zip; without its bytes when it is locked or damaged."""

    name: str
    data: bytes = field(default=b"", repr=False)
    verdict: Reason | None = None


def files(data: bytes, limits: MimeLimits) -> Iterator[File]:
    """Its files in order. Raises Permanent: MAIL_BOMB."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except _BROKEN:
        yield File("", verdict=Reason.DAMAGED)
        return
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and not _left_behind(entry.filename)]
    if len(entries) > limits.parts:
        raise Permanent(Reason.MAIL_BOMB, "5.6.0", note="a zip of too many files")
    left = limits.decoded_bytes
    for entry in entries:
        found = _read(archive, entry, left)
        left -= len(found.data)
        yield found


def _left_behind(name: str) -> bool:
    return name.startswith(_NO_FILES[0]) or name.rpartition("/")[2] in _NO_FILES[1:]


def _read(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, most: int) -> File:
    name = entry.filename.rpartition("/")[2]
    if entry.flag_bits & _ENCRYPTED:
        return File(name, verdict=Reason.LOCKED)
    try:
        with archive.open(entry) as file:
            data = file.read(most + 1)  # what it says of its size is not believed
    except _BROKEN:
        return File(name, verdict=Reason.DAMAGED)
    if len(data) > most:
        raise Permanent(Reason.MAIL_BOMB, "5.6.0", note="a zip that is too large when unpacked")
    return File(name, data)


def preview(data: bytes, limits: MimeLimits) -> File | None:
    """The PDF that programs of Apple's put beside their own form of a document."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
        entry = archive.getinfo("QuickLook/Preview.pdf")
    except (*_BROKEN, KeyError):
        return None
    found = _read(archive, entry, limits.decoded_bytes)
    return None if found.verdict else found
