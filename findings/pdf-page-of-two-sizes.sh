#!/bin/bash
# How large is a page? One whose CropBox shows a part of it, as cut scans have, is 300 x 400 points to pdfinfo and PDFium; pdftoppm,
# of the same package as pdfinfo, and Ghostscript draw the MediaBox unless they are told otherwise, with whatever was cropped
# away. One with UserUnit 2, as plans of building and maps have it since PDF 1.6, is twice as large to
# Ghostscript and MuPDF alone: pdfinfo, poppler's drawing and PDFium read the number as points, and FPDF_GetPageWidth says so.
# A program that measures with one and draws with another places its page beside the paper, or at half its size; and
# what was cut off as none of the recipient's business is faxed.
#
# Debian 12: its Ghostscript and poppler-utils have to be there; mutool is unpacked in a temporary folder.
set -eu
for program in gs pdftoppm pdfinfo; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.15.2 pikepdf==10.18.0 pillow==13.0.0
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download mupdf-tools=1.21.1+ds2-1+deb12u1 libmujs2 libgumbo1 libjbig2dec0 libopenjp2-7 \
    >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
libraries=$(find "$folder/root" -type d -name '*-linux-gnu*' -path '*/lib/*' | paste -sd:)
echo "Ghostscript $(gs --version), $(pdftoppm -v 2>&1 | head -1)"
LD_LIBRARY_PATH=$libraries root/usr/bin/mutool -v 2>&1 | head -1
"$folder/venv/bin/python" - "$libraries" <<'PYTHON'
import re
import subprocess
import sys
from importlib.metadata import version

import pikepdf
import pypdfium2
from PIL import Image
from pikepdf import Array

WHOLE, PART, DOUBLE = (612, 792), (300, 400), (1224, 1584)


def made(name, **more):
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=WHOLE).obj
    page.Contents = pdf.make_stream(b"10 10 500 500 re f")
    for key, value in more.items():
        page["/" + key] = value
    pdf.save(name, min_version="1.6")


def drawn(command, name):
    subprocess.run(command.split(), check=True, capture_output=True, env={"LD_LIBRARY_PATH": sys.argv[1], "PATH": "/usr/bin:/bin"})
    with Image.open(name) as opened:
        return opened.size


def sizes(name):
    told = subprocess.run(["pdfinfo", name], capture_output=True, text=True, check=True).stdout
    across, down = re.search(r"Page size: +([\d.]+) x ([\d.]+)", told).groups()
    page = pypdfium2.PdfDocument(name)[0]
    return {
        "pdfinfo": (round(float(across)), round(float(down))),
        "pdftoppm": drawn(f"pdftoppm -r 72 -singlefile -gray {name} poppler", "poppler.pgm"),
        "PDFium": page.render(scale=1).to_pil().size,
        "Ghostscript": drawn(f"gs -q -dBATCH -dNOPAUSE -r72 -sDEVICE=pnggray -sOutputFile=gs.png {name}", "gs.png"),
        "MuPDF": drawn(f"root/usr/bin/mutool draw -r 72 -o mupdf.png {name} 1", "mupdf.png"),
    }


print("pypdfium2", version("pypdfium2"), "with PDFium", pypdfium2.version.PDFIUM_INFO.build)
made("cropped.pdf", CropBox=Array([100, 100, 400, 500]))
made("unit.pdf", UserUnit=2)
cropped, unit = sizes("cropped.pdf"), sizes("unit.pdf")
for who in cropped:
    print(f"{who}: cropped to 300 x 400 it is {cropped[who]}, letter with UserUnit 2 it is {unit[who]}")
assert cropped == {"pdfinfo": PART, "pdftoppm": WHOLE, "PDFium": PART, "Ghostscript": WHOLE, "MuPDF": PART}, "this changed"
assert unit == {"pdfinfo": WHOLE, "pdftoppm": WHOLE, "PDFium": WHOLE, "Ghostscript": DOUBLE, "MuPDF": DOUBLE}, "this changed"
PYTHON
