"""assembly: one mail in; its documents, or the reason why there are none, and the account of every part out."""

import hashlib
import io
import os
import stat
import struct
import zipfile

import pikepdf
import pypdfium2
import pytest
from PIL import Image

from mail2fax.documents import assembly, orders, pool
from mail2fax.documents.orders import CoverSheet, Made, Task
from mail2fax.documents.pages import reviewed, typeset
from mail2fax.model import Fate, Headers, Part, Permanent, Reason
from tests.support import pdfs
from tests.support.outlook import compound

PDF = "application/pdf"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
SCAN = io.BytesIO()
Image.new("L", (850, 1100), 128).save(SCAN, "PNG", dpi=(100, 100))


@pytest.fixture
def make(tmp_path):
    """Make a mail into documents in this process."""

    def made(mail: bytes, *, careful=False, report=lambda _: None, **how) -> Made:
        folder = tmp_path / "work"
        folder.mkdir(exist_ok=True)
        return assembly.make(Task(folder, folder, **how), mail, careful=careful, report=report)

    return made


CHIP = '<a class="chip" href="https://drive.google.com/file/d/1x&amp;y/view">Report.pdf</a>'


@pytest.mark.parametrize(
    ("html", "linked"),
    [
        (f"<p>Please fax {CHIP}</p>", True),
        ("<p>Please fax <A HREF='https://acme.sharepoint.com/:b:/g/x'>it</A></p>", True),
        (f"<p>Thanks!</p><blockquote>{CHIP}</blockquote>", False),
        ('<p>Please fax it</p><a href="https://office.example/">Anna</a>', False),
    ],
)
def test_a_link_behind_a_word_is_found(make, html, linked):
    """Mail programs hide the drive's address in HTML, and say the file's name only; what is quoted is another's link."""
    mail = f"Subject: x\r\nContent-Type: text/html\r\n\r\n<html><body>{html}</body></html>\r\n".encode()
    made = make(mail)
    assert (made.reason, dict(made.detail)) == (Reason.NOTHING_FAXABLE, {"link": True} if linked else {})


def texts(made: orders.MadeDocument) -> list[str]:
    with pypdfium2.PdfDocument(made.file) as opened:
        return [page.get_textpage().get_text_range() for page in opened]


def attached(made: Made) -> list[Part]:
    """The parts without the mail's own text."""
    return [part for part in made.parts if part.reason is not Reason.MAIL_TEXT]


def account(made: Made) -> list[tuple]:
    return [(part.name, part.fate, part.reason) for part in attached(made)]


def test_pdfs_are_merged_in_order(make):
    """All PDFs of a mail are one fax in the order in which they stand, and each is accounted for."""
    made = make(pdfs.mail((pdfs.text("a", "b"), PDF, "one.pdf"), (pdfs.text("c"), PDF, "two.pdf")))
    (fax,) = made.documents
    assert texts(fax) == ["a", "b", "c"]
    assert (fax.pages, fax.size) == (3, fax.file.stat().st_size)
    assert fax.sha256 == hashlib.sha256(fax.file.read_bytes()).hexdigest()
    assert [(part.name, part.fate, part.pages) for part in attached(made)] == [
        ("one.pdf", Fate.FAXED, 2),
        ("two.pdf", Fate.FAXED, 1),
    ]
    assert made.headers.subject == "Invoice"
    assert made.reason is None


def test_pdfs_can_be_faxed_separately(make):
    """several = "separate": a document for each PDF."""
    made = make(pdfs.mail((pdfs.text("a", "b"), PDF, "1.pdf"), (pdfs.text("c"), PDF, "2.pdf")), several="separate")
    assert [texts(fax) for fax in made.documents] == [["a", "b"], ["c"]]


@pytest.mark.parametrize("several", ["merge", "separate"])
def test_a_fax_is_never_short_of_pages(make, several):
    """One PDF cannot be read: nothing of the mail is faxed, and each part says whether it was its own fault."""
    good, bad = pdfs.text("good"), b"%PDF-1.7 broken"
    made = make(pdfs.mail((good, PDF, "good.pdf"), (bad, PDF, "bad.pdf")), several=several)
    assert (made.reason, made.detail) == (Reason.PART_REFUSED, {"refused": 1, "parts": 2})
    assert made.documents == ()
    assert account(made) == [
        ("good.pdf", Fate.HELD, Reason.PART_REFUSED),
        ("bad.pdf", Fate.REFUSED, Reason.DAMAGED),
    ]


def test_a_single_pdf_s_fault_is_the_mail_s(make):
    """If the only PDF cannot be faxed, its reason is the reason."""
    made = make(pdfs.mail((pdfs.text(*"abc"), PDF, "long.pdf")), max_pages=2)
    assert (made.reason, made.detail) == (Reason.TOO_MANY_PAGES, {"pages": 3, "limit": 2})
    assert account(made) == [("long.pdf", Fate.REFUSED, Reason.TOO_MANY_PAGES)]


def test_the_page_limit_holds_for_the_fax_as_a_whole(make):
    """Two PDFs that are one fax count together; separate faxes count each for itself."""
    mail = pdfs.mail((pdfs.text(*"ab"), PDF, "1.pdf"), (pdfs.text(*"cd"), PDF, "2.pdf"))
    made = make(mail, max_pages=3)
    assert (made.reason, made.detail) == (Reason.TOO_MANY_PAGES, {"pages": 4, "limit": 3})
    assert {part.reason for part in attached(made)} == {Reason.TOO_MANY_PAGES}
    assert len(make(mail, max_pages=3, several="separate").documents) == 2


def _one() -> pikepdf.Pdf:
    made = pdfs.empty()
    pdfs.page(made)
    return made


OTHERS = {
    "word": (b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml" + b"\0" * 100, WORD, "letter.docx"),
    "heic": (b"\0\0\0\x18ftypheic" + bytes(100), "image/heic", "IMG_2042.HEIC"),
    "zip": (b"PK\x03\x04" + b"\0" * 26 + b"a.txt" + b"\0" * 100, "application/zip", "docs.zip"),
    "locked": (pdfs.saved(_one(), encryption=pikepdf.Encryption(user="secret", owner="x")), PDF, "locked.pdf"),
    "empty": (b"", PDF, "scan.pdf"),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_one_rule_for_whatever_cannot_be_faxed(make, other):
    """Whoever attaches it means it: nothing is faxed, or, if the settings say so, the rest. The good one has no fault."""
    mail = pdfs.mail((pdfs.text("a"), PDF, "a.pdf"), other)
    made = make(mail)
    assert (made.reason, made.detail, made.documents) == (Reason.PART_REFUSED, {"refused": 1, "parts": 2}, ())
    assert account(made)[0] == ("a.pdf", Fate.HELD, Reason.PART_REFUSED)
    assert account(made)[1][:2] == (other[2], Fate.REFUSED)
    made = make(mail, incomplete="send")
    assert (made.reason, texts(made.documents[0])) == (None, ["a"])
    assert [fate for _, fate, _ in account(made)] == [Fate.FAXED, Fate.REFUSED]


def test_with_nothing_good_nothing_is_sent_in_part(make):
    """incomplete = "send" needs something to send."""
    bad = (b"%PDF-1.7 broken", PDF, "bad.pdf")
    assert make(pdfs.mail(bad), incomplete="send").reason is Reason.DAMAGED
    assert make(pdfs.mail(bad, OTHERS["word"]), incomplete="send").reason is Reason.PART_REFUSED


def test_what_exchange_cuts_off_is_the_mail_s_own_text(make):
    """ATT00001.txt holds up no fax: it is the text below an attachment, or a mailing list's foot."""
    made = make(pdfs.mail((pdfs.text("a"), PDF, "a.pdf"), (b"-- \nsent to you", "text/plain", "ATT00001.txt")))
    assert made.reason is None and made.parts[-1].reason is Reason.MAIL_TEXT


def test_what_only_claims_to_be_a_pdf_holds_the_mail_up(make):
    """The sender counts on "invoice.pdf" being faxed: when it is a web page, nothing is."""
    made = make(pdfs.mail((pdfs.text("a"), PDF, "a.pdf"), (b"<html>no</html>", PDF, "invoice.pdf")))
    assert made.reason is Reason.PART_REFUSED
    assert account(made)[1] == ("invoice.pdf", Fate.REFUSED, Reason.NOT_A_PDF)
    assert make(pdfs.mail((b"", PDF, "empty.pdf"))).reason is Reason.EMPTY


def test_a_mail_without_anything_to_fax(make):
    """Nothing faxable is a reason of its own."""
    assert make(pdfs.mail()).reason is Reason.NOTHING_FAXABLE


def test_scans_are_faxed_if_the_settings_say_so(make):
    """convert decides: with "images" a scan is a page, without it is refused by name."""
    mail = pdfs.mail((SCAN.getvalue(), "image/png", "scan.png"))
    made = make(mail)
    assert account(made) == [("scan.png", Fate.FAXED, None)]
    assert made.documents[0].pages == 1
    assert attached(made)[0].detail == {}
    made = make(mail, convert=())
    assert made.reason is Reason.NOTHING_FAXABLE
    assert account(made) == [("scan.png", Fate.REFUSED, Reason.UNSUPPORTED)]


def test_text_is_faxed_if_the_settings_say_so(make):
    """convert decides about text files too; the mail's own text is not one."""
    mail = pdfs.mail(("Ärger\n".encode("latin-1"), "text/plain", "notes.txt"))
    made = make(mail, convert=("text",))
    assert account(made) == [("notes.txt", Fate.FAXED, None)]
    assert "Ärger" in texts(made.documents[0])[0]
    assert make(mail).reason is Reason.NOTHING_FAXABLE


FAKE_OFFICE = """#!/bin/sh
for last; do :; done
while [ $# -gt 0 ]; do [ "$1" = --outdir ] && out=$2; shift; done
cp "%s" "$out/$(basename "$last" .docx).pdf"
"""


def zipped(**files: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as box:
        for name, text in files.items():
            box.writestr(name.replace("__", "/") + ".xml", text)
    return out.getvalue()


def word_97(*, authors: tuple[str, ...] = (), comments: int = 0) -> bytes:
    """An old Word file's header and tables."""
    names = b"".join(struct.pack("<H", len(name)) + name.encode("utf-16-le") for name in authors)
    places = [(0, 0)] * 60
    places[4], places[51] = (0, comments), (8, len(names) + 6 if authors else 0)
    header = bytes(10) + struct.pack("<H", 0x0200) + bytes(20) + struct.pack("<H", 14) + bytes(28)
    header += (
        struct.pack("<H", 22) + bytes(88) + struct.pack("<H", 60) + b"".join(struct.pack("<II", *p) for p in places)
    )
    table = bytes(8) + struct.pack("<HHH", 0xFFFF, len(authors), 0) + names
    return compound({"WordDocument": header, "1Table": table})


THAI = "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35"
FAR = "<w:t>word</w:t>" * 10_000
REVIEWED = {
    "a letter": (zipped(word__document=f"<w:body>{FAR}</w:body>"), ()),
    "deleted": (zipped(word__document=f'{FAR}<w:del w:id="1"><w:delText>500</w:delText></w:del>'), ("changes",)),
    "both": (
        zipped(word__document=f"{FAR}<w:ins w:id='1'>", word__comments='<w:comment w:id="0">'),
        ("changes", "comments"),
    ),
    "OpenDocument": (zipped(content='<text:changed-region xml:id="a"><office:annotation>'), ("changes", "comments")),
    "a sheet": (zipped(xl__comments1='<comment ref="A1">'), ("comments",)),
    "RTF": (b"{\\rtf1 {\\deleted 500}{\\*\\annotation why?}}", ("changes", "comments")),
    "Word 97": (word_97(), ()),
    "Word 97, reviewed": (word_97(authors=("Unknown", "Ann"), comments=38), ("changes", "comments")),
    "Word 97, with a comment": (word_97(authors=("Unknown",), comments=38), ("comments",)),
    "Excel 97": (compound({"Workbook": struct.pack("<HH4s", 0x809, 4, b"") + struct.pack("<HH", 10, 0)}), ()),
    "Excel 97, with a comment": (compound({"Workbook": struct.pack("<HH4sHH", 0x809, 4, b"", 0x1C, 0)}), ("comments",)),
    "PowerPoint 97": (compound({"PowerPoint Document": struct.pack("<HHI", 0xF, 1000, 8) + bytes(8)}), ()),
    "PowerPoint 97, with a comment": (
        compound({"PowerPoint Document": struct.pack("<HHIHHI", 0xF, 1000, 8, 0xF, 0x2EE0, 0)}),
        ("comments",),
    ),
    "damaged, of 97": (word_97()[:900], ()),
    "damaged": (b"PK\x03\x04" + bytes(90), ()),
}


def test_office_files_need_an_office(make, tmp_path, monkeypatch):
    """Without LibreOffice a Word file is refused; with it, it is faxed as LibreOffice prints it."""
    word = b"PK\x03\x04" + b"\0" * 26 + b"word/document.xml" + b"\0" * 100
    mail = pdfs.mail((word, WORD, "letter.docx"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    made = make(mail, convert=("office",))
    assert (made.reason, made.detail) == (Reason.UNSUPPORTED, {"kind": WORD})
    printed = tmp_path / "printed.pdf"
    printed.write_bytes(pdfs.text("from Word"))
    office = tmp_path / "bin" / "soffice"
    office.parent.mkdir()
    office.write_text(FAKE_OFFICE % printed)
    office.chmod(office.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{office.parent}{os.pathsep}/bin:/usr/bin")
    made = make(mail, convert=("office",))
    assert texts(made.documents[0]) == ["from Word"]
    printed.unlink()
    assert make(mail, convert=("office",)).reason is Reason.DAMAGED


@pytest.mark.parametrize("case", REVIEWED)
def test_tracked_changes_and_comments_are_told(case):
    """LibreOffice prints the ones, deleted words among them, and leaves out the others: the sender is to know."""
    file, notes = REVIEWED[case]
    assert reviewed.told(file) == notes


def test_a_page_of_boxes_is_no_fax(monkeypatch):
    """Where no font has most of a text's letters it is refused; some that lack are told."""
    monkeypatch.setattr(typeset, "_shipped", lambda _: True)  # as on a machine without fonts
    for text, notes in (("plain", ()), ("Gr\u00fc\u00dfe \u2713", ()), ("one \u4e00 of many letters", ("letters",))):
        assert typeset.unshown(text, typeset.plain("x.txt", text, max_pages=1)) == notes
    with pytest.raises(Permanent) as caught:
        typeset.unshown(THAI, typeset.plain("x.txt", THAI, max_pages=1))
    assert caught.value.reason is Reason.UNSUPPORTED


def test_the_cover_page_comes_first_and_is_counted(make):
    """With a cover the fax has one page more, which says so; without the mail's quoted history."""
    sheet = CoverSheet("6474959659", sender="anna@office.example")
    body = "Please pay.\n\nOn Monday Bob wrote:\n> old words\n"
    made = make(pdfs.mail((pdfs.text("a", "b"), PDF, "a.pdf"), body=body), cover=sheet)
    (fax,) = made.documents
    first, *rest = texts(fax)
    assert (fax.pages, rest) == (3, ["a", "b"])
    assert "Please pay." in first
    assert "old words" not in first
    assert "Pages, with this one 3" in first


def test_the_preview_is_made_when_asked_for(make):
    """preview: a picture of page 1 as a fax receives it; none otherwise."""
    mail = pdfs.mail((pdfs.text("a"), PDF, "a.pdf"))
    assert make(mail).documents[0].preview is None
    assert make(mail, preview=True).documents[0].preview.startswith(b"\x89PNG")


def test_before_each_part_its_end_is_foretold(make):
    """Should the process die on a part, the account that was reported last names this part as too complex."""
    wills = []
    make(pdfs.mail((pdfs.text("a"), PDF, "1.pdf"), (pdfs.text("b"), PDF, "2.pdf")), report=wills.append)
    assert [[part.reason for part in attached(will)] for will in wills] == [
        [Reason.TOO_COMPLEX, Reason.PART_REFUSED],
        [Reason.PART_REFUSED, Reason.TOO_COMPLEX],
    ]
    assert {will.reason for will in wills} == {Reason.PART_REFUSED}
    alone = []
    make(pdfs.mail((pdfs.text("a"), PDF, "1.pdf")), report=alone.append)
    assert alone[0].reason is Reason.TOO_COMPLEX


def test_a_mail_that_is_a_bomb_has_its_reason(make):
    """What `mime` refuses as a whole is told as the mail's reason, in a reply that finds its thread by the header."""
    header = b"From: a@b.example\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n"
    bomb = b"".join(header % (n, n) for n in range(2000))
    made = make(b"Subject: Lab results\r\nMessage-ID: <1@b.example>\r\n" + bomb)
    assert made.reason is Reason.MAIL_BOMB
    assert (made.headers.subject, made.headers.message_id) == ("Lab results", "<1@b.example>")


def test_what_travels_between_the_processes_comes_back_the_same(tmp_path):
    """Orders and answers survive the way there and back, bytes and all; what is no answer is no answer."""
    part = Part("a.pdf", PDF, 5, Fate.FAXED, detail={"inside": "winmail.dat"}, pages=1, notes=("turned",))
    fax = orders.MadeDocument(tmp_path / "1.pdf", 1, 5, "0" * 64, b"\x89PNG\xff\0")
    made = Made(Headers("Übung", references=("<a>", "<b>")), (part,), (fax,), None, {"n": 1})
    answer = orders.Answer(made, final=True)
    assert pool.ANSWER.validate_json(orders.line(answer)) == answer
    for cover in (CoverSheet("6474959659"), None):
        order = orders.Order(Task(tmp_path, tmp_path, cover=cover), orders.Limits(1, 2), careful=True)
        assert orders.order(orders.line(order)) == order
    for nonsense in (b"", b"{}x", b'{"final": 7}', b'{"made": {"documents": [{"file": 3}]}}'):
        with pytest.raises(ValueError):
            pool.ANSWER.validate_json(nonsense)
