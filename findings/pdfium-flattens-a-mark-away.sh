#!/bin/bash
# A highlight, a frame or a pen's stroke that brings no appearance along (/AP) is drawn by PDFium all the same: it makes
# one. FPDFPage_Flatten, which is to put the annotations of a page into the page, does not. On a page that was only loaded it
# deletes such a mark, says FLATTEN_SUCCESS, and nothing is drawn. On a page that was drawn once before, however
# small, it finds the appearances that drawing left in the document, and the mark stays. So a converter that
# flattens before it draws loses what a reader shows, a test that looks at the page first never sees it, and the
# order of two calls that seem to have nothing to do with each other decides about a signed-off paragraph.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.15.2 pikepdf==10.18.0 pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import io
from importlib.metadata import version

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name
from pypdfium2 import raw as pdfium

QUAD = Array([50, 150, 150, 150, 50, 50, 150, 50])
MARKS = {
    "Square": {},
    "Circle": {},
    "Ink": {"InkList": Array([Array([60, 60, 120, 140, 140, 60])])},
    "Highlight": {"QuadPoints": QUAD},
    "Underline": {"QuadPoints": QUAD},
}


def made(kind):
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(200, 200))
    mark = Dictionary(Type=Name.Annot, Subtype=Name("/" + kind), Rect=Array([50, 50, 150, 150]), F=4, C=Array([0, 0, 0]))
    for key, value in MARKS[kind].items():
        mark["/" + key] = value
    page.obj.Annots = Array([pdf.make_indirect(mark)])
    out = io.BytesIO()
    pdf.save(out)
    return out.getvalue()


def dark(page):
    return sum(page.render(scale=1).to_pil().convert("L").histogram()[:128])


def flattened(data, drawn_before):
    """What the call says, and how many dots are dark in the file that comes out."""
    document = pypdfium2.PdfDocument(data)
    page = document[0]
    if drawn_before:
        page.render(scale=0.05)
    said = pdfium.FPDFPage_Flatten(page, pdfium.FLAT_PRINT)
    page.close()
    out = io.BytesIO()
    document.save(out)
    return said == pdfium.FLATTEN_SUCCESS, dark(pypdfium2.PdfDocument(out.getvalue())[0])


print("pypdfium2", version("pypdfium2"), "with PDFium", pypdfium2.version.PDFIUM_INFO.build)
for kind in MARKS:
    data = made(kind)
    shown = dark(pypdfium2.PdfDocument(data)[0])
    straight, after = flattened(data, drawn_before=False), flattened(data, drawn_before=True)
    print(f"{kind}: {shown} dark dots as drawn; flattened at once {straight[1]}, flattened after a drawing {after[1]}")
    assert shown > 0 and straight == (True, 0) and after[0] and after[1] > 0, "this changed"
PYTHON
