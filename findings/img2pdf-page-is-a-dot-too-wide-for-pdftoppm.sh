#!/bin/bash
# A fax page of 1728 x 2156 dots at 204 x 196 to the inch, wrapped in a PDF dot for dot, should come out of it again when the
# PDF is drawn at 204 x 196. Ghostscript does that. pdftoppm rounds up: 609.882353 points, as img2pdf writes the width, and
# even Pillow's 609.8823529411765 are 1729 dots to it, a row that no fax machine knows, and the picture is stretched for
# it. libtiff's tiff2pdf cuts the same number off at 609.8823, and there are 1728; but there, too, some of the rules
# below stand a row beside their place. To have a fax back, take the picture out (pdfimages), or let Ghostscript draw.
#
# Debian 12: its libtiff-tools, Ghostscript and poppler-utils have to be there.
set -eu
for program in tiff2pdf gs pdftoppm; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0 img2pdf==0.6.3 pikepdf==10.18.0
cd "$folder"
echo "Ghostscript $(gs --version), $(pdftoppm -v 2>&1 | head -1)"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
from importlib.metadata import version
from pathlib import Path

import img2pdf
import pikepdf
from PIL import Image, ImageChops, ImageDraw

SIZE = (1728, 2156)
page = Image.new("1", SIZE, 255)
pen = ImageDraw.Draw(page)
for row in range(8, SIZE[1], 16):  # rules of one row, as in a form
    pen.line((0, row, SIZE[0], row), fill=0)
page.save("fax.tif", compression="group4", dpi=(204, 196))
page.save("Pillow.pdf", dpi=(204, 196))
Path("img2pdf.pdf").write_bytes(img2pdf.convert("fax.tif"))
subprocess.run(["tiff2pdf", "-o", "tiff2pdf.pdf", "fax.tif"], check=True)


def drawn(command, name):
    subprocess.run(command.split(), check=True)
    with Image.open(name) as opened:
        back = opened.convert("1")
    apart = ImageChops.logical_xor(page, back.crop((0, 0, *SIZE)))
    moved = sum(apart.getpixel((864, row)) and not page.getpixel((864, row)) for row in range(SIZE[1]))
    return back.size, bool(moved)


print(*(f"{name} {version(name.lower())}" for name in ("img2pdf", "Pillow")))
found = {}
for writer in ("img2pdf", "Pillow", "tiff2pdf"):
    with pikepdf.open(f"{writer}.pdf") as pdf:
        wide = pdf.pages[0].mediabox[2]
    at = "gs -q -dBATCH -dNOPAUSE -dAdjustWidth=0 -sDEVICE=tiffg4 -r204x196 -sOutputFile=gs.tif"
    found[writer, "Ghostscript"] = drawn(f"{at} {writer}.pdf", "gs.tif")
    found[writer, "pdftoppm"] = drawn(f"pdftoppm -mono -rx 204 -ry 196 -singlefile {writer}.pdf poppler", "poppler.pbm")
    for drawer in ("Ghostscript", "pdftoppm"):
        size, moved = found[writer, drawer]
        print(f"{writer}, {wide} points wide, by {drawer}: {size[0]} x {size[1]}, rules {'moved' if moved else 'in place'}")
for (_, drawer), told in found.items():
    assert drawer != "Ghostscript" or told == (SIZE, False), "this changed"
assert found["img2pdf", "pdftoppm"] == found["Pillow", "pdftoppm"] == ((1729, 2156), True), "this changed"
assert found["tiff2pdf", "pdftoppm"] == (SIZE, True), "this changed"
PYTHON
