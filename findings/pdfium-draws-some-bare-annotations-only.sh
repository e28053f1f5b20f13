#!/bin/bash
# An annotation without an appearance stream (/AP, optional until PDF 2.0) is drawn by PDFium if it is a Square, a Circle
# or an Ink, and left out without a word if it is a Line, a Polygon or a PolyLine. A program that checks a conversion by
# comparing two drawings of PDFium sees no loss: an arrow on a plan, or a whole signed-off area, is simply not there.
# Seen with pypdfium2 5.1.0 on files made by pikepdf 10.1.0; poppler draws all six, if it is
# here to be asked (pdftoppm).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.1.0 pikepdf==10.1.0 pillow==12.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
import shutil
import subprocess
from importlib.metadata import version

import pikepdf
import pypdfium2
from PIL import Image

SHAPES = {
    "Square": {},
    "Circle": {},
    "Ink": {"InkList": [[60, 60, 120, 140, 140, 60]]},
    "Line": {"L": [60, 60, 140, 140]},
    "Polygon": {"Vertices": [60, 60, 140, 60, 100, 140]},
    "PolyLine": {"Vertices": [60, 60, 140, 60, 100, 140]},
}


def made(name, more):
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(200, 200))
    facts = {"Type": "/Annot", "Subtype": "/" + name, "Rect": [50, 50, 150, 150], "F": 4, "C": [0, 0, 0]}
    annotation = pikepdf.Dictionary()
    for key, value in {**facts, **more}.items():
        text = isinstance(value, str)
        annotation["/" + key] = pikepdf.Name(value) if text else pikepdf.Array(value) if isinstance(value, list) else value
    annotation["/BS"] = pikepdf.Dictionary(W=4)
    page.obj["/Annots"] = pikepdf.Array([pdf.make_indirect(annotation)])
    pdf.save(f"{name}.pdf")


def by_pdfium(name):
    page = pypdfium2.PdfDocument(f"{name}.pdf")[0]
    return min(page.render(may_draw_forms=True, draw_annots=True).to_pil().convert("L").getdata()) < 128


def by_poppler(name):
    subprocess.run(["pdftoppm", "-r", "72", "-singlefile", "-gray", f"{name}.pdf", name], check=True)
    return min(Image.open(f"{name}.pgm").getdata()) < 128


print("pypdfium2", version("pypdfium2"), "pikepdf", version("pikepdf"))
found = {}
for name, more in SHAPES.items():
    made(name, more)
    found[name] = by_pdfium(name)
    poppler = by_poppler(name) if shutil.which("pdftoppm") else None
    print(f"{name:9} PDFium {'draws it' if found[name] else 'leaves it out'}; poppler draws it: {poppler}")
assert found == {"Square": True, "Circle": True, "Ink": True, "Line": False, "Polygon": False, "PolyLine": False}
PYTHON
