"""The whole of step 2 inside a worker: one mail in, its documents and the account of every part out.

    mime.take_apart -> each part, and what is inside of it, as sheets of fax pages -> cover page, join -> files

A fax short of pages is worse than a bounce: if one attachment cannot be faxed, nothing of the mail is, unless the
settings say so. An attachment is every part that is not ignored: who attaches a Word file beside a PDF means both.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from mail2fax.documents import mime
from mail2fax.documents.legibility import ready
from mail2fax.documents.mime import Item, Mail
from mail2fax.documents.orders import Made, MadeDocument, Task
from mail2fax.documents.pages import fit, images, office, raster, reviewed, typeset
from mail2fax.documents.pages.enclosed import Enclosed
from mail2fax.documents.pages.fit import Sheets
from mail2fax.model import Fate, Part, Permanent, Reason

_PDF = "application/pdf"
_FILE = "application/octet-stream"
_MOST_UNPACKED = 134_217_728  # bytes of all files inside of portfolios
_DEEPEST = 5  # portfolios within portfolios
_TEXT = 500  # characters of the mail's text that are handed on
_CONVERT = {"image": "images", "text": "text", "office": "office"}  # what [documents] convert calls each kind


def _nobody(_: Made) -> None:
    """Nobody wants to know."""


def make(task: Task, mail: bytes, *, careful: bool = False, report: Callable[[Made], None] = _nobody) -> Made:
    """Make a mail, as it was received, into documents, in files of the task's folder.

    Before each part, `report` is told what is to be said should this process die on it. Careful: see `fit.fit`.
    What a mail can be guilty of is in what is returned; what is raised is our own fault, or the disk's.
    """
    try:
        apart = mime.take_apart(mail, _limits(task))
    except Permanent as verdict:
        return Made(mime.header_of(mail, _limits(task)), reason=verdict.reason, detail=verdict.detail)
    del mail  # its parts are copies
    made = _Assembly(task, apart, careful=careful).make(report)
    return replace(made, text=apart.text[:_TEXT])


def _limits(task: Task) -> mime.MimeLimits:
    return mime.MimeLimits(archives="archives" in task.convert)


@dataclass(slots=True)
class _Line:
    """A line of the account, and what it is about."""

    item: Item
    meant: bool  # an attachment: the sender meant it to be faxed
    of_use: bool  # a PDF, what claims to be one or may be a piece of one, or what [documents] convert asks for
    part: Part
    depth: int = 0  # how many documents it was found in


class _Assembly:
    """One mail on its way: the account as it stands, and the sheets that are ready."""

    def __init__(self, task: Task, mail: Mail, *, careful: bool) -> None:
        self._task = task
        self._mail = mail
        self._careful = careful
        self._lines = [self._line(item) for item in mail.items]
        self._unpacked = 0  # bytes of what was found inside of documents
        self._ready: list[Sheets] = []

    def make(self, report: Callable[[Made], None]) -> Made:
        """Every part in turn, then the documents, if every part came through."""
        at = 0
        while at < len(self._lines):  # it grows by what is found inside of documents
            line = self._lines[at]
            at += 1
            if line.meant and self._can_be_pages(line.item):
                line.part = _refused(line.item.part, Reason.TOO_COMPLEX)
                report(self._refusal() or Made())
                self._lines[at:at] = self._turn(line)
        return self._made()

    def _line(self, item: Item, depth: int = 0) -> _Line:
        part = item.part
        claims = part.kind == _PDF or part.name.lower().endswith(".pdf")
        claims = claims or part.reason in {Reason.NOT_A_PDF, Reason.SPLIT_MAIL}
        meant = part.fate is not Fate.IGNORED
        return _Line(item, meant, self._can_be_pages(item) or (meant and not item.kind and claims), part, depth)

    def _can_be_pages(self, item: Item) -> bool:
        return item.kind == "pdf" or (bool(item.kind) and _CONVERT[item.kind] in self._task.convert)

    def _turn(self, line: _Line) -> list[_Line]:
        """Make a part into sheets, or say in its line why not. What was found inside of it are lines of their own."""
        item = line.item
        try:
            sheets = self._sheets(item)
            found = self._found(line, sheets.enclosed)
        except Permanent as verdict:
            line.part = _refused(item.part, verdict.reason, verdict.detail)
            return []
        except MemoryError:
            line.part = _refused(item.part, Reason.TOO_COMPLEX)
            return []
        except Exception:
            # The first time the pool logs it as a fault of ours and asks for care; then it is the file's.
            if not self._careful:
                raise
            line.part = _refused(item.part, Reason.DAMAGED)
            return []
        line.item = Item(item.part)  # its bytes are not needed any more
        part = replace(item.part, detail=_origin(item.part))
        if sheets.enclosed.notice and found:
            line.meant = line.of_use = False
            line.part = replace(part, fate=Fate.IGNORED, reason=Reason.OPENED)
            return found
        self._ready.append(sheets)
        line.part = replace(part, fate=Fate.FAXED, reason=None, pages=sheets.pages, notes=sheets.notes)
        return found

    def _found(self, line: _Line, enclosed: Enclosed) -> list[_Line]:
        """Lines for the files inside of a document: a portfolio's are attachments, others are named."""
        if not enclosed.portfolio:
            inside = _origin(line.item.part) | {"inside": line.item.part.name}
            parts = (
                Part(mime.printable(file.name), _FILE, file.size, Fate.IGNORED, Reason.ENCLOSED, inside)
                for file in enclosed.files
            )
            return [self._line(Item(part)) for part in parts]
        self._unpacked += sum(len(file.data) for file in enclosed.files)
        if self._unpacked > _MOST_UNPACKED or line.depth == _DEEPEST:
            raise Permanent(Reason.TOO_COMPLEX, "5.6.0")
        return [
            self._line(item, line.depth + 1)
            for file in enclosed.files
            for item in mime.found_inside(line.item.part.name, file.name, file.data, _limits(self._task))
        ]

    def _sheets(self, item: Item) -> Sheets:
        task, data = self._task, item.data
        notes: tuple[str, ...] = ()
        if item.kind == "image":
            data, notes = images.to_pdf(data, max_pages=task.max_pages)
        elif item.kind == "text":
            text = data.decode(errors="replace")
            data = typeset.plain(item.part.name, text, max_pages=task.max_pages)
            notes = typeset.unshown(text, data)
        elif item.kind == "office":
            notes = reviewed.told(data)
            data = office.to_pdf(data, item.part.kind, task.folder)
        sheets = fit.fit(data, page_size=task.page_size, max_pages=task.max_pages, careful=self._careful)
        sheets = replace(sheets, notes=(*notes, *sheets.notes))
        return sheets if self._careful else ready.make_ready(sheets, task.pages)

    def _made(self) -> Made:
        """The documents, or why there are none."""
        in_part = self._task.incomplete == "send" and bool(self._ready)
        if refusal := self._refusal(in_part=in_part):
            return refusal
        faxes = [self._ready] if self._task.several == "merge" else [[sheets] for sheets in self._ready]
        documents = (self._document(number, fax) for number, fax in enumerate(faxes, start=1))
        return Made(self._mail.headers, tuple(line.part for line in self._lines), tuple(documents))

    def _refusal(self, *, in_part: bool = False) -> Made | None:
        """Why nothing is faxed, by the account as it stands; None if there is no reason. `in_part`: see [documents]."""
        reason, detail = self._verdict(in_part=in_part)
        return Made(self._mail.headers, self._withheld(reason), reason=reason, detail=detail) if reason else None

    def _verdict(self, *, in_part: bool) -> tuple[Reason | None, Mapping[str, Any]]:
        meant = [line.part for line in self._lines if line.meant]
        refused = [part for part in meant if part.fate is Fate.REFUSED]
        if not any(line.of_use for line in self._lines):
            return Reason.NOTHING_FAXABLE, {"link": True} if self._mail.linked else {}
        if len(refused) == 1 == len(meant):
            return refused[0].reason, refused[0].detail
        if refused and not in_part:
            return Reason.PART_REFUSED, {"refused": len(refused), "parts": len(meant)}
        pages = sum(sheets.pages for sheets in self._ready)
        if self._task.several == "merge" and pages > self._task.max_pages:
            return Reason.TOO_MANY_PAGES, {"pages": pages, "limit": self._task.max_pages}
        return None, {}

    def _withheld(self, reason: Reason) -> tuple[Part, ...]:
        """The account when nothing is faxed: parts without fault are held back because of the others."""
        why = Reason.TOO_MANY_PAGES if reason is Reason.TOO_MANY_PAGES else Reason.PART_REFUSED
        parts = (line.part for line in self._lines)
        return tuple(replace(part, fate=Fate.HELD, reason=why) if part.fate is Fate.FAXED else part for part in parts)

    def _document(self, number: int, fax: Iterable[Sheets]) -> MadeDocument:
        sheets = list(fax)
        pages = sum(each.pages for each in sheets)
        if self._task.cover:
            cover = typeset.cover(self._task.cover, self._mail.headers, self._mail.text, pages=pages)
            sheets.insert(0, ready.make_ready(fit.fit(cover), self._task.pages))
        data = fit.join([each.data for each in sheets])
        file = self._task.folder / f"{number}.pdf"
        file.write_bytes(data)
        for name, picture in raster.printed(data) if self._task.print_folder else ():
            (self._task.folder / f"{number}-{name}.png").write_bytes(picture)
        return MadeDocument(
            file=file,
            pages=sum(each.pages for each in sheets),
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            preview=raster.preview(data) if self._task.preview else None,
        )


def _refused(part: Part, reason: Reason, detail: Mapping[str, Any] | None = None) -> Part:
    return replace(part, fate=Fate.REFUSED, reason=reason, detail=_origin(part) | dict(detail or {}))


def _origin(part: Part) -> dict[str, Any]:
    """Of the detail that `mime` gave, what stays true whatever becomes of the part: in which container it was found."""
    return {name: value for name, value in part.detail.items() if name == "inside"}
