"""The order and the delivery between `prepare` and the process that makes a document.

Both travel as JSON. What comes out of a process that has read a stranger's bytes is no more trusted than those bytes: a
pickle would run as code, and `pool` checks every word. The server's own word needs no check, so that a worker does
without pydantic: a smaller process is forked faster. `assembly.make` is what turns a Task into a Made.
"""

import base64
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

from mail2fax.model import Headers, Part, Reason


@dataclass(frozen=True, slots=True)
class CoverSheet:
    """What the cover page says besides the mail's own header and text."""

    number: str  # ten digits
    company: str = ""
    template: str = ""  # path of the administrator's own; "" is the shipped one
    sender: str = ""  # reverse-path, used where the mail has no From


@dataclass(frozen=True, slots=True)
class Task:
    """One mail to be made into documents. The result depends on nothing else."""

    source: Path  # the mail as it was received; the worker is given it as an open descriptor
    folder: Path  # an existing folder of its own, in which the documents are written
    several: Literal["merge", "separate"] = "merge"
    incomplete: Literal["hold", "send"] = "hold"  # what becomes of the rest when one attachment cannot be faxed
    page_size: Literal["letter", "keep"] = "letter"
    pages: Literal["auto", "as-is", "mono"] = "auto"
    max_pages: int = 200  # of one fax, without its cover page
    convert: tuple[str, ...] = ("images",)  # of "images", "text", "office"
    cover: CoverSheet | None = None
    preview: bool = False
    print_folder: bool = False  # also write each page as the other machine prints it: 1-page-2-fine.png, …-normal.png


@dataclass(frozen=True, slots=True)
class MadeDocument:
    """One PDF, ready to be handed to the provider."""

    file: Path
    pages: int
    size: int
    sha256: str
    preview: bytes | None = None  # PNG of page 1 as a fax receives it

    __pydantic_config__: ClassVar = {"val_json_bytes": "base64"}


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a mail: its documents, or the reason why there is none, and the account of every part."""

    headers: Headers = field(default_factory=Headers)
    parts: tuple[Part, ...] = ()
    documents: tuple[MadeDocument, ...] = ()
    reason: Reason | None = None  # why there is no document
    detail: Mapping[str, Any] = field(default_factory=dict)
    text: str = ""  # how the mail's own text begins; for `reply_commands` alone, kept nowhere


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may take. It sets them on itself before it reads a byte of the mail."""

    memory: int  # bytes of address space
    cpu_seconds: int
    file_size: int = 200_000_000  # bytes of any file it writes
    files: int = 64  # open at once


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is handed."""

    task: Task
    limits: Limits
    careful: bool = False  # a worker has died on this mail: without PDFium's form filling this time


@dataclass(frozen=True, slots=True)
class Answer:
    """One line of what a worker says. The last one counts."""

    made: Made | None = None
    final: bool = False  # not final: what is to be said if the worker should die on its present part
    trace: str = ""  # where our own code failed: file, line and error type, no words of the sender's


ENDED = struct.Struct("!i")  # the forkserver's last word: a worker's exit status, or minus the signal that ended it


def line(words: Order | Answer) -> bytes:
    """An order or an answer as it travels."""
    return json.dumps(words, default=_plain).encode() + b"\n"


def _plain(thing: Any) -> Any:
    """What JSON knows no form for."""
    if isinstance(thing, Path):
        return str(thing)
    if isinstance(thing, bytes):
        return base64.urlsafe_b64encode(thing).decode()
    return {name: getattr(thing, name) for name in thing.__slots__}


def order(said: bytes) -> Order:
    """The order that travelled as this line."""
    words = json.loads(said.decode())
    task, cover = words["task"], words["task"]["cover"]
    paths = {name: Path(task[name]) for name in ("source", "folder")}
    sheet = CoverSheet(**cover) if cover else None
    words["task"] = Task(**task | paths | {"convert": tuple(task["convert"]), "cover": sheet})
    words["limits"] = Limits(**words["limits"])
    return Order(**words)
