#!/bin/bash
# A TIFF may hold its pages in any order: PageNumber says which is which (TIFF 6.0, section 12), and a scanner that feeds the
# last sheet first may write a fax so. Of four programs that print one, only tiff2pdf goes by that number; Pillow, img2pdf
# and tiff2ps, which comes in the same package as tiff2pdf, print back to front. tiff2pdf also leaves out a reduced copy
# (NewSubfileType 1), which the three others take for a page. So an office whose parts use different ones faxes one file
# in two orders, and none of them says a word about it.
#
# Debian 12: its libtiff-tools and Ghostscript (which prints what tiff2ps writes) have to be there.
set -eu
for program in tiffset tiff2pdf tiff2ps gs; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0 img2pdf==0.6.3 pikepdf==10.18.0 pypdfium2==5.15.2
cd "$folder"
tiffset 2>&1 | grep -i version || true
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
from importlib.metadata import version
from pathlib import Path

import img2pdf
import pypdfium2
from PIL import Image, ImageDraw

SUBFILE, PAGE_NUMBER, REDUCED, PAGE = "254", "297", "1", "2"


def sheet(tenths, size=(1728, 1078)):
    """A page that is black from the left to so many tenths of its width: that is how it is known again."""
    page = Image.new("1", size, 1)
    ImageDraw.Draw(page).rectangle((0, 0, size[0] * tenths // 10 - 1, size[1]), fill=0)
    return page


def written(name, sheets, tags):
    first, *rest = sheets
    first.save(name, save_all=True, append_images=rest, compression="group4", dpi=(204, 98))
    for place, values in enumerate(tags):
        for value in values:
            subprocess.run(["tiffset", "-d", str(place), "-s", *value, name], check=True)


def letter(picture):
    """Which of the pages A (two tenths black), B (five) and C (eight) it is."""
    small = picture.convert("L").reduce(4)
    black = sum(small.histogram()[:128]) / (small.width * small.height)
    return "A" if black < 0.3 else "B" if black < 0.6 else "C"


def of_pdf(name, told):
    with pypdfium2.PdfDocument(name) as pdf:
        return [told(page.render(scale=1).to_pil()) for page in pdf]


def printed(name, told):
    """What each program prints, page by page, as it is `told` apart."""
    frames = []
    with Image.open(name) as opened:
        for place in range(opened.n_frames):
            opened.seek(place)
            frames.append(told(opened))
    subprocess.run(["tiff2pdf", "-o", "tiff2pdf.pdf", name], check=True)
    Path("img2pdf.pdf").write_bytes(img2pdf.convert(name))
    Path("out.ps").write_bytes(subprocess.run(["tiff2ps", "-a", name], check=True, capture_output=True).stdout)
    subprocess.run("gs -q -dBATCH -dNOPAUSE -sDEVICE=pdfwrite -sOutputFile=tiff2ps.pdf out.ps".split(), check=True)
    return {"Pillow": frames} | {name: of_pdf(f"{name}.pdf", told) for name in ("img2pdf", "tiff2ps", "tiff2pdf")}


print(*(f"{name} {version(name)}," for name in ("pillow", "img2pdf")), "tiff2pdf and tiff2ps of libtiff as above")
numbered = [[(SUBFILE, PAGE), (PAGE_NUMBER, number, "3")] for number in ("2", "1", "0")]
written("back-to-front.tif", [sheet(8), sheet(5), sheet(2)], numbered)
order = printed("back-to-front.tif", letter)
for program, pages in order.items():
    print(f"numbered 2, 1, 0: {program} prints {', '.join(pages)}")
assert order == {**dict.fromkeys(order, ["C", "B", "A"]), "tiff2pdf": ["A", "B", "C"]}, order

written("copy.tif", [sheet(2), sheet(4, (432, 270)), sheet(8)], [[(SUBFILE, PAGE)], [(SUBFILE, REDUCED)], [(SUBFILE, PAGE)]])
copies = {program: len(pages) for program, pages in printed("copy.tif", lambda _: "").items()}
for program, pages in copies.items():
    print(f"two pages and a reduced copy: {program} prints {pages}")
assert copies == {"Pillow": 3, "img2pdf": 3, "tiff2ps": 3, "tiff2pdf": 2}
PYTHON
