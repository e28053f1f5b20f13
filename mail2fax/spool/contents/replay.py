"""Mails that are on disk and have no row: a power cut took the rows, which are not synced before the 250 (`inbox`).

What is found is written once more: the page cache outlives a process, and may hold what never came to the disk.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import NamedTuple

from mail2fax import log
from mail2fax.spool.contents import CHUNK, records
from mail2fax.spool.contents.records import HEAD, Record
from mail2fax.spool.contents.segments import PREFIX, Place, Segments
from mail2fax.spool.database.fsync import sync_folder, write_once_more
from mail2fax.spool.database.ids import is_id


class Found(NamedTuple):
    """A mail that is whole. Without a place it has a file of its own."""

    record: Record
    place: Place | None


def candidates(folder: Path) -> list[str]:
    """Files that may be a mail's own."""
    return [path.name for path in folder.iterdir() if is_id(path.name)]


class Replay(NamedTuple):
    """What a start found: mails, oldest first, and how far each log was read."""

    mails: list[Found]
    read_to: Mapping[str, int]


def find(folder: Path, segments: Segments, marks: Mapping[str, int], known: AbstractSet[str]) -> Replay:
    """Look behind the watermark of each log, and at the end of each file that no row knows. What is found is synced."""
    mails: list[Found] = []
    read_to: dict[str, int] = {}
    for path in sorted(folder.iterdir()):
        begun = len(mails)
        if path.name.startswith(PREFIX):
            mark = marks.get(path.name, 0)
            if path.stat().st_size > mark:
                mails += _in_log(path, segments, mark)
                read_to[path.name] = path.stat().st_size
        elif is_id(path.name) and path.name not in known:
            mails += _of_its_own(path, segments.key)
        if len(mails) > begun:
            _write_once_more(path, mails[begun:])
    if mails:
        sync_folder(folder)
    mails.sort(key=lambda found: (found.record.received_at or 0.0, found.record.id))
    return Replay(mails, read_to)


def _in_log(path: Path, segments: Segments, at: int) -> Iterator[Found]:
    """Up to where no record begins: whatever was promised lies before that, since a log is synced whole."""
    with path.open("rb", buffering=0) as file:
        while head := segments.head(file.fileno(), path.name, at):
            start = at + HEAD
            at += head.length
            told = records.record(segments.key, head, os.pread(file.fileno(), head.tail, start + head.size))
            if told and _digest(file.fileno(), start, head.size) == told.sha256:
                yield Found(told, Place(path.name, start))


def _of_its_own(path: Path, key: bytes) -> Iterator[Found]:
    with path.open("rb", buffering=0) as file:
        end = path.stat().st_size - HEAD
        head = records.head(key, path.name, os.pread(file.fileno(), HEAD, end)) if end > 0 else None
        if head and head.size + head.tail == end:
            told = records.record(key, head, os.pread(file.fileno(), head.tail, head.size))
            if told and _digest(file.fileno(), 0, head.size) == told.sha256:
                yield Found(told, None)


def _digest(file: int, at: int, size: int) -> str:
    digest, end = hashlib.sha256(), at + size
    while data := os.pread(file, min(CHUNK, end - at), at):
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def _write_once_more(path: Path, mails: list[Found]) -> None:
    """From the first of these on. What the disk refuses is accepted all the same: it may have been promised."""
    try:
        write_once_more(path, min(found.place.start - HEAD if found.place else 0 for found in mails))
    except OSError as error:
        log.unsafe(file=path.name, error=error)
