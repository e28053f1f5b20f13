"""What a PDF carries besides its pages: a portfolio's documents are faxed, other files are named, wrappers are locked."""

import pytest
from pikepdf import Array, AttachedFileSpec, Dictionary, Name

from mail2fax.documents import assembly
from mail2fax.documents.orders import Made, Task
from mail2fax.documents.pages import fit
from mail2fax.model import Fate, Permanent, Reason
from tests.support import pdfs

PDF = "application/pdf"
NOTICE = "For the best experience, open this PDF portfolio in Acrobat X or Adobe Reader X, or later."


@pytest.fixture
def make(tmp_path):
    """The account of a mail with this one PDF."""

    def made(data: bytes, **how) -> Made:
        (tmp_path / "work").mkdir(exist_ok=True)
        return assembly.make(Task(tmp_path, tmp_path / "work", **how), pdfs.mail((data, PDF, "folder.pdf")))

    return made


def carrying(files: dict[str, bytes], *, page: str = NOTICE, portfolio: bool = True, **collection) -> bytes:
    """A PDF with one page and these files inside."""
    pdf = pdfs.empty()
    pdfs.page(pdf, pdfs.words(page, size=8))
    for name, data in files.items():
        pdf.attachments[name] = AttachedFileSpec(pdf, data, filename=name)
    if portfolio:
        pdf.Root.Collection = Dictionary(Type=Name.Collection, **collection)
    return pdfs.saved(pdf)


def lines(made: Made) -> list[tuple]:
    return [(part.name, part.fate, part.reason) for part in made.parts if part.reason is not Reason.MAIL_TEXT]


def texts(made: Made) -> list[str]:
    (document,) = made.documents
    return [pdfs.shown(document.file.read_bytes(), page) for page in range(document.pages)]


def test_a_portfolio_s_documents_are_faxed_in_order(make):
    """They are attachments as in a mail, each with a line of its own; the sheet that asks for Acrobat is not faxed."""
    made = make(carrying({"a.pdf": pdfs.text("one", "two"), "b.pdf": pdfs.text("three")}))
    assert texts(made) == ["one", "two", "three"]
    assert lines(made) == [
        ("folder.pdf", Fate.IGNORED, Reason.OPENED),
        ("a.pdf", Fate.FAXED, None),
        ("b.pdf", Fate.FAXED, None),
    ]
    assert made.parts[-1].detail == {"inside": "folder.pdf"}


def test_a_portfolio_s_own_page_is_faxed_when_it_says_something(make):
    """A title page of the sender's own comes first."""
    assert texts(make(carrying({"a.pdf": pdfs.text("one")}, page="Claim 4711"))) == ["Claim 4711", "one"]


def test_the_order_is_the_portfolio_s(make):
    """/Sort names a column; the files' values in it count, as numbers."""
    pdf = pdfs.empty()
    pdfs.page(pdf, pdfs.words(NOTICE, size=8))
    for name, place in (("a.pdf", 10), ("b.pdf", 9), ("c.pdf", 1)):
        spec = AttachedFileSpec(pdf, pdfs.text(name), filename=name)
        spec.obj.CI = Dictionary(Place=place)
        pdf.attachments[name] = spec
    pdf.Root.Collection = Dictionary(Sort=Dictionary(S=Name.Place))
    assert texts(make(pdfs.saved(pdf))) == ["c.pdf", "b.pdf", "a.pdf"]


def test_other_files_of_a_portfolio_are_judged_as_attachments(make):
    """A picture is a page, a program is named as refused, a mail is opened; a locked PDF holds the fax up."""
    mail = pdfs.mail((pdfs.text("within"), PDF, "inner.pdf"))
    made = make(carrying({"1.eml": mail, "2.exe": b"MZ\x90\0" * 9, "3.pdf": pdfs.text("last")}), incomplete="send")
    assert texts(made) == ["within", "last"]
    assert ("2.exe", Fate.REFUSED, Reason.UNSUPPORTED) in lines(made)
    bad = make(carrying({"a.pdf": pdfs.text("a"), "b.pdf": b"%PDF-1.7 broken"}))
    assert bad.reason is Reason.PART_REFUSED


def test_a_portfolio_within_itself_comes_to_an_end(make):
    """Folders within folders are opened, but not without end."""
    data = pdfs.text("core")
    for _ in range(3):
        data = carrying({"inner.pdf": data})
    assert texts(make(data)) == ["core"]
    for _ in range(5):
        data = carrying({"inner.pdf": data})
    made = make(data)
    assert made.reason in {Reason.TOO_COMPLEX, Reason.PART_REFUSED}
    assert made.documents == ()


def test_a_file_that_hangs_on_a_document_is_named(make):
    """An invoice with its XML, a page with a paper clip: the pages are faxed, the file has a line."""
    made = make(carrying({"factur-x.xml": b"<a/>"}, page="Invoice", portfolio=False))
    assert texts(made) == ["Invoice"]
    assert lines(made)[1] == ("factur-x.xml", Fate.IGNORED, Reason.ENCLOSED)
    assert made.parts[-1].size == 4
    pdf = pdfs.empty()
    sheet = pdfs.page(pdf, pdfs.words("See the clip"))
    spec = AttachedFileSpec(pdf, pdfs.text("hidden"), filename="hidden.pdf")
    clip = Dictionary(Type=Name.Annot, Subtype=Name.FileAttachment, Rect=Array([0, 0, 20, 20]), FS=spec.obj)
    sheet.obj.Annots = Array([pdf.make_indirect(clip)])
    made = make(pdfs.saved(pdf))
    assert lines(made) == [("folder.pdf", Fate.FAXED, None), ("hidden.pdf", Fate.IGNORED, Reason.ENCLOSED)]


def test_a_wrapper_around_an_encrypted_document_is_locked():
    """Its page says that something else is the document, and nobody here has the key."""
    pdf = pdfs.empty()
    pdfs.page(pdf, pdfs.words("This document is protected"))
    spec = AttachedFileSpec(pdf, b"sealed", filename="secret.pdf")
    spec.obj.AFRelationship = Name.EncryptedPayload
    pdf.attachments["secret.pdf"] = spec
    pdf.Root.Collection = Dictionary(View=Name.H)
    with pytest.raises(Permanent) as refused:
        fit.fit(pdfs.saved(pdf))
    assert refused.value.reason is Reason.LOCKED


def test_a_tree_of_names_without_end_is_left():
    """A node that is its own kid costs no more than it may."""
    pdf = pdfs.empty()
    pdfs.page(pdf, pdfs.words("a"))
    node = pdf.make_indirect(Dictionary())
    node.Kids = Array([node, node])
    pdf.Root.Names = Dictionary(EmbeddedFiles=node)
    assert fit.fit(pdfs.saved(pdf)).enclosed.files == ()
