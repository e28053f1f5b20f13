"""Outlook's .msg: the attachments of a mail that was saved as a file, or dragged into another ([MS-OXMSG])."""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import olefile

_ATTACHMENT = "__attach_version1.0_#"
_DATA, _EMBEDDED = "__substg1.0_37010102", "__substg1.0_3701000D"
# PR_ATTACH_LONG_FILENAME, PR_ATTACH_FILENAME, PR_DISPLAY_NAME: in UTF-16, then in the sender's code page
_NAMES = tuple(f"__substg1.0_{name}00{form}" for name in ("3707", "3704", "3001") for form in ("1F", "1E"))
_DEEPEST = 10  # mails within mails

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file in a mail of Outlook's. A mail inside of it gives its own attachments."""

    name: str
    data: bytes


class Unreadable(ValueError):  # noqa: N818 -- a fact about the file, caught by the one who opens it
    """It is no such file, or a damaged one."""


def attachments(data: bytes) -> Iterator[Attachment]:
    """The attachments in order, those of mails within it too. Raises Unreadable."""
    try:
        with olefile.OleFileIO(io.BytesIO(data)) as file:
            yield from _of(file, (), sorted({tuple(path) for path in file.listdir()}))
    except (OSError, ValueError, IndexError, KeyError, RecursionError, OverflowError) as error:
        raise Unreadable(str(type(error))) from None


def _of(file: olefile.OleFileIO, storage: Path, paths: Sequence[Path]) -> Iterator[Attachment]:
    depth = len(storage)
    within = [path for path in paths if path[:depth] == storage and len(path) > depth + 1]
    for each in dict.fromkeys(path[depth] for path in within if path[depth].startswith(_ATTACHMENT)):
        place = (*storage, each)
        held = {path[depth + 1] for path in within if path[depth] == each}
        if _DATA in held:
            name = next((_text(file, (*place, key)) for key in _NAMES if key in held), "")
            yield Attachment(name, file.openstream([*place, _DATA]).read())
        elif _EMBEDDED in held and depth < _DEEPEST:
            yield from _of(file, (*place, _EMBEDDED), within)


def _text(file: olefile.OleFileIO, path: Path) -> str:
    data = file.openstream(list(path)).read()
    return str(data.decode("utf-16-le" if path[-1].endswith("1F") else "cp1252", "replace")).partition("\0")[0]
