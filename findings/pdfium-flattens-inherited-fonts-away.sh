#!/bin/bash
# The fonts of a PDF page may stand above it, in the tree of pages (/Resources is inheritable, ISO 32000-1 section 7.7.3.4).
# FPDFPage_Flatten gives the page resources of its own, which hold the form that it made of a stamp and nothing else, and
# those hide the inherited ones: in the new file the words have no font. PDFium says FLATTEN_SUCCESS, and does not show the
# loss, for where a font is missing it takes Helvetica; so does Ghostscript, with a complaint. poppler draws a page
# with the stamp alone. Whoever checks his conversion with the library that made it faxes, in the better case, a wrong
# font, and with one that has a coding of its own, gibberish. Write what is inherited into each page before flattening.
#
# Debian 12: its poppler-utils have to be there.
set -eu
command -v pdftoppm >/dev/null || { echo "needs pdftoppm"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.15.2 pikepdf==10.18.0 pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
import subprocess
from importlib.metadata import version

import pikepdf
import pypdfium2
from PIL import Image
from pikepdf import Array, Dictionary, Name
from pypdfium2 import raw as pdfium


def made(inherited):
    """A page with two words and a stamp; its font stands in the page, or in the tree above."""
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(200, 200)).obj
    font = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    if "/Resources" in page:
        del page["/Resources"]
    (pdf.Root.Pages if inherited else page).Resources = Dictionary(Font=Dictionary(F1=font))
    page.Contents = pdf.make_stream(b"BT /F1 24 Tf 10 150 Td (Amount due) Tj ET")
    stamp = pdf.make_stream(b"0 0 20 20 re f", Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 20, 20]))
    about = Dictionary(Type=Name.Annot, Subtype=Name.Stamp, Rect=Array([150, 10, 170, 30]), F=4, AP=Dictionary(N=stamp))
    page.Annots = Array([pdf.make_indirect(about)])
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def seen(drawn):
    """Whether the words, in the upper half, and the stamp, in the lower one, are there."""
    return tuple(min(drawn.convert("L").crop((0, top, 200, top + 100)).tobytes()) < 128 for top in (0, 100))


def by_pdfium(data):
    return seen(pypdfium2.PdfDocument(data)[0].render(scale=1).to_pil())


def by_poppler(data):
    command = "pdftoppm -r 72 -singlefile -gray - drawn".split()
    subprocess.run(command, input=data, check=True, capture_output=True)
    with Image.open("drawn.pgm") as drawn:
        return seen(drawn)


def flattened(data):
    document = pypdfium2.PdfDocument(data)
    page = document[0]
    assert pdfium.FPDFPage_Flatten(page, pdfium.FLAT_PRINT) == pdfium.FLATTEN_SUCCESS
    page.close()
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


version_of_poppler = subprocess.run(["pdftoppm", "-v"], capture_output=True, text=True, check=False).stderr.splitlines()[0]
print("pypdfium2", version("pypdfium2"), "with PDFium", pypdfium2.version.PDFIUM_INFO.build, "and", version_of_poppler)
for inherited in (False, True):
    data = made(inherited)
    assert by_pdfium(data) == by_poppler(data) == (True, True)
    flat = flattened(data)
    with pikepdf.open(io.BytesIO(flat)) as pdf:
        fonts = "/Font" in pdf.pages[0].obj.Resources
    place = "in the tree" if inherited else "in the page"
    print(f"font {place}, flattened: the page has fonts: {fonts}; words and stamp drawn by PDFium {by_pdfium(flat)}", end="")
    print(f", by poppler {by_poppler(flat)}")
    assert fonts is not inherited and by_pdfium(flat) == (True, True), "this changed"
    assert by_poppler(flat) == (not inherited, True), "this changed"
PYTHON
