"""The sandbox's strict reading of a multipart form (RFC 7578): what the real provider may be as particular about.

Pure; works on anything that can be searched and sliced like bytes, so that a large form may stay in a file.
"""

import re
from dataclasses import dataclass
from mmap import mmap

ORDER = ("token", "number", "file", "sendCover", "coverFrom", "coverTo", "coverSubject", "coverMessage")

_NAME = re.compile(rb'Content-Disposition: form-data; name="([^"]+)"(?:; filename="([^"]*)")?')


class NotAsDocumented(Exception):  # noqa: N818 -- an answer to whoever sent the form
    """The form is not what the API's documentation shows. The text says where."""


@dataclass(frozen=True, slots=True)
class Form:
    """What the form says, and where in it the document lies."""

    token: str
    number: str
    name: str  # of the file
    start: int
    end: int


def fields(content: bytes | mmap, content_type: str, file: str) -> tuple[dict[str, str], Form]:
    """The texts of any form by name, and where its file is: for the other dialects."""
    parts = _parts(content, b"--" + _boundary(content_type))
    texts = {name: bytes(content[start:end]).decode(errors="replace") for name, _, start, end in parts if name != file}
    found = next(((name, start, end) for field, name, start, end in parts if field == file), None)
    if found is None or content[found[1] : found[1] + 5] != b"%PDF-":
        raise NotAsDocumented(f"there is no {file}, or it is not a PDF")
    return texts, Form("", texts.get("to", "").removeprefix("+1"), *found)


def _boundary(content_type: str) -> bytes:
    boundary = re.fullmatch(r"multipart/form-data; boundary=([0-9A-Za-z'()+_,./:=?-]{1,70})", content_type)
    if not boundary:
        raise NotAsDocumented("the content type is not multipart/form-data with a boundary")
    return boundary[1].encode()


def read(content: bytes | mmap, content_type: str) -> Form:
    """The form, held against the documentation field by field."""
    parts = _parts(content, b"--" + _boundary(content_type))
    names = tuple(name for name, *_ in parts)
    if names != ORDER:
        raise NotAsDocumented(f"the fields are {', '.join(names)}, not {', '.join(ORDER)}")
    texts = {
        name: bytes(content[start:end]).decode(errors="replace") for name, _, start, end in parts if name != "file"
    }
    _, file_name, start, end = parts[2]
    form = Form(texts["token"], texts["number"], file_name, start, end)
    _check(form, content, texts)
    return form


def _check(form: Form, content: bytes | mmap, texts: dict[str, str]) -> None:
    if not re.fullmatch(r"[2-9][0-9]{9}", form.number, re.ASCII):
        raise NotAsDocumented("the number is not ten digits")
    if not form.name:
        raise NotAsDocumented("the file has no name")
    if content[form.start : form.start + 5] != b"%PDF-":
        raise NotAsDocumented("the file is not a PDF")
    if texts["sendCover"] != "N":
        raise NotAsDocumented("sendCover is not N")
    if filled := [name for name in ORDER[4:] if texts[name]]:
        raise NotAsDocumented(f"{', '.join(filled)} should be empty")


def _parts(content: bytes | mmap, delimiter: bytes) -> list[tuple[str, str, int, int]]:
    """Name, file name, start and end of each part."""
    parts: list[tuple[str, str, int, int]] = []
    at = 0
    while content[at : at + len(delimiter) + 2] == delimiter + b"\r\n":
        head = at + len(delimiter) + 2
        start = content.find(b"\r\n\r\n", head) + 4
        end = content.find(b"\r\n" + delimiter, start)
        named = _NAME.match(content[head:start]) if start > 3 else None
        if end < 0 or not named:
            raise NotAsDocumented(f"part {len(parts) + 1} of the form cannot be read")
        parts.append((named[1].decode(), (named[2] or b"").decode(errors="replace"), start, end))
        at = end + 2
    if content[at:] not in {delimiter + b"--", delimiter + b"--\r\n"}:
        raise NotAsDocumented("the form does not end with its closing boundary")
    return parts
