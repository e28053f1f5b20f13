#!/bin/bash
# A fax machine that took its sheet upside down may say so by Orientation 3 instead of turning the dots. img2pdf 0.6.3 hands such
# a TIFF to Pillow, which turns the dots as it loads them, and then adds the page's /Rotate for the same tag: turned
# twice, 3 stands upside down again, and 6 and 8, on paper that is as wide as it should be high, as well. The same picture
# as JPEG, whose EXIF tag Pillow leaves to others, comes out right. tiff2ps, of the libtiff package, passes over
# the tag altogether; tiff2pdf, its neighbour there, obeys it. A page is a page to each, so nobody hears of it.
#
# Debian 12: its libtiff-tools and Ghostscript (which draws what tiff2ps writes) have to be there.
set -eu
for program in tiff2pdf tiff2ps gs; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0 img2pdf==0.6.3 pikepdf==10.18.0 pypdfium2==5.15.2
cd "$folder"
tiff2pdf 2>&1 | grep -i '^libtiff' || true
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
from importlib.metadata import version
from pathlib import Path

import img2pdf
import pypdfium2
from PIL import Image, ImageDraw

ORIENTATION = 274
CORNERS = {1: "top left", 3: "bottom right", 6: "top right", 8: "bottom left"}  # where the first dot belongs, TIFF 6.0


def corner(pdf):
    """Which quarter of the page is black."""
    with pypdfium2.PdfDocument(pdf) as opened:
        drawn = opened[0].render(scale=0.5).to_pil().convert("L").resize((2, 2), Image.Resampling.BOX)
    darkest = min(((drawn.getpixel((x, y)), y, x) for x in (0, 1) for y in (0, 1)))
    return ("top", "bottom")[darkest[1]] + " " + ("left", "right")[darkest[2]]


print("img2pdf", version("img2pdf"), "Pillow", version("pillow"))
page = Image.new("1", (1728, 2156), 1)
ImageDraw.Draw(page).rectangle((0, 0, 800, 1000), fill=0)
found = {}
for orientation, right in CORNERS.items():
    page.save("page.tif", compression="group4", dpi=(204, 196), tiffinfo={ORIENTATION: orientation})
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    page.convert("L").save("page.jpg", dpi=(204, 196), exif=exif)
    Path("img2pdf, TIFF.pdf").write_bytes(img2pdf.convert("page.tif"))
    Path("img2pdf, JPEG.pdf").write_bytes(img2pdf.convert("page.jpg"))
    subprocess.run(["tiff2pdf", "-o", "tiff2pdf.pdf", "page.tif"], check=True)
    Path("out.ps").write_bytes(subprocess.run(["tiff2ps", "page.tif"], check=True, capture_output=True).stdout)
    subprocess.run("gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=tiff2ps.pdf out.ps".split(), check=True)
    found[orientation] = {name: corner(f"{name}.pdf") for name in ("img2pdf, TIFF", "img2pdf, JPEG", "tiff2pdf", "tiff2ps")}
    print(f"orientation {orientation}, the black corner belongs at the {right}: {found[orientation]}")
for orientation, right in CORNERS.items():
    assert found[orientation]["img2pdf, JPEG"] == found[orientation]["tiff2pdf"] == right, "this changed"
    assert found[orientation]["tiff2ps"] == "top left", "this changed"
assert [found[o]["img2pdf, TIFF"] for o in CORNERS] == ["top left", "top left", "bottom right", "bottom right"], "this changed"
PYTHON
