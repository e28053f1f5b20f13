#!/bin/bash
# A program that fills a PDF form may write the new value, leave the drawing of the old one, and ask the reader to draw it anew
# (NeedAppearances true, ISO 32000-1 table 218). Whether that happens depends on who draws: poppler and qpdf do, PDFium does if
# its form filling is initialized and otherwise draws no field at all, and Ghostscript 10 draws the old value. So one
# valid file is faxed with the new amount, the old amount or none, by which library a server happens to use, and each
# says that all went well. Without that wish all that draw agree on the old value; nobody mentions that /V says another.
#
# Debian 12: its Ghostscript, poppler-utils and qpdf have to be there.
set -eu
for program in gs pdftoppm qpdf; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.15.2 pikepdf==10.18.0 pillow==13.0.0
cd "$folder"
echo "Ghostscript $(gs --version), $(pdftoppm -v 2>&1 | head -1), $(qpdf --version | head -1)"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
from importlib.metadata import version

import pikepdf
import pypdfium2
from PIL import Image
from pikepdf import Array, Dictionary, Name, String

OLD, NEW = "I", "WWWWWWWWWW"  # a value that is short, one that is long: how far the ink reaches tells which is drawn


def made(ask):
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(300, 100)).obj
    page.Contents = pdf.make_stream(b"q Q")
    fonts = Dictionary(Font=Dictionary(Helv=Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)))
    drawing = f"/Tx BMC q BT 0 g /Helv 20 Tf 4 10 Td ({OLD}) Tj ET Q EMC".encode()
    about = {"Type": Name.XObject, "Subtype": Name.Form, "BBox": Array([0, 0, 280, 40]), "Resources": fonts}
    look, shown = String("/Helv 20 Tf 0 g"), Dictionary(N=pdf.make_stream(drawing, **about))
    field = pdf.make_indirect(Dictionary(Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=String("amount"), F=4, DA=look))
    field.V, field.Rect, field.AP = String(NEW), Array([10, 30, 290, 70]), shown
    page.Annots = Array([field])
    pdf.Root.AcroForm = Dictionary(Fields=Array([field]), DR=fonts, DA=look, NeedAppearances=ask)
    pdf.save("form.pdf")


def value(picture):
    box = picture.convert("L").point(lambda grey: 255 if grey < 128 else 0).getbbox()
    return "nothing" if box is None else "the new value" if box[2] - box[0] > 60 else "the old value"


def by_pdfium(name, forms):
    document = pypdfium2.PdfDocument(name)
    if forms:
        document.init_forms()
    return value(document[0].render(scale=1).to_pil())


def by_program(command, name):
    subprocess.run(command.split(), check=True)
    with Image.open(name) as opened:
        return value(opened)


print("pypdfium2", version("pypdfium2"))
found = {}
for ask in (True, False):
    made(ask)
    subprocess.run("qpdf --generate-appearances --flatten-annotations=all form.pdf flat.pdf".split(), check=True)
    found[ask] = {
        "poppler": by_program("pdftoppm -r 72 -singlefile -gray form.pdf poppler", "poppler.pgm"),
        "qpdf": by_pdfium("flat.pdf", forms=False),
        "PDFium with forms": by_pdfium("form.pdf", forms=True),
        "PDFium without": by_pdfium("form.pdf", forms=False),
        "Ghostscript": by_program("gs -q -dBATCH -dNOPAUSE -r72 -sDEVICE=pnggray -sOutputFile=gs.png form.pdf", "gs.png"),
    }
    for who, drawn in found[ask].items():
        print(f"NeedAppearances {ask}: {who} draws {drawn}")
new, old, nothing = "the new value", "the old value", "nothing"
drawers = list(found[True])
assert found[True] == dict(zip(drawers, (new, new, new, nothing, old), strict=True)), "this changed"
assert found[False] == dict(zip(drawers, (old, old, old, nothing, old), strict=True)), "this changed"
PYTHON
