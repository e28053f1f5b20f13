#!/bin/bash
# A layer of a PDF can be for the screen only, or for paper only: its /Usage says so, and an /AS array in the document asks the
# reader to go by it (ISO 32000-1 section 8.11.4.4: without /AS it is no more than a remark). Neither half is what programs do.
# poppler and Ghostscript pass over /AS, also when they print: a layer that must not be printed is. PDFium goes by
# /Usage even where no /AS asks for it: a layer that the document shows is left out. Between them a stamp "draft, not
# for patients" is on the fax or is not, and a price list loses a layer that every other reader shows.
#
# Debian 12: its Ghostscript and poppler-utils have to be there.
set -eu
for program in gs pdftops; do command -v "$program" >/dev/null || { echo "needs $program"; exit 77; }; done
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pypdfium2==5.15.2 pikepdf==10.18.0 pillow==13.0.0
cd "$folder"
echo "Ghostscript $(gs --version), $(pdftops -v 2>&1 | head -1)"
"$folder/venv/bin/python" - <<'PYTHON'
import subprocess
from importlib.metadata import version

import pikepdf
import pypdfium2
from PIL import Image
from pikepdf import Array, Dictionary, Name, String
from pypdfium2 import raw as pdfium

GS = "gs -q -dBATCH -dNOPAUSE -dPrinted=true -r72 -sDEVICE=pnggray -sOutputFile=gs.png"


def made(asked):
    """A page with one layer that is on, and says of itself that it is not for paper."""
    pdf = pikepdf.new()
    page = pdf.add_blank_page(page_size=(100, 100)).obj
    layer = pdf.make_indirect(Dictionary(Type=Name.OCG, Name=String("draft")))
    layer.Usage = Dictionary(Print=Dictionary(PrintState=Name.OFF))
    page.Resources = Dictionary(Properties=Dictionary(L=layer))
    page.Contents = pdf.make_stream(b"/OC /L BDC 10 10 80 80 re f EMC")
    default = Dictionary(Order=Array([layer]))
    if asked:
        default.AS = Array([Dictionary(Event=Name.Print, Category=Array([Name.Print]), OCGs=Array([layer]))])
    pdf.Root.OCProperties = Dictionary(OCGs=Array([layer]), D=default)
    pdf.save("layer.pdf", min_version="1.6")


def there(picture):
    return min(picture.convert("L").tobytes()) < 128


def by_program(commands, name):
    for command in commands:
        subprocess.run(command.split(), check=True)
    with Image.open(name) as opened:
        return there(opened)


print("pypdfium2", version("pypdfium2"), "with PDFium", pypdfium2.version.PDFIUM_INFO.build)
for asked in (True, False):
    made(asked)
    page = pypdfium2.PdfDocument("layer.pdf")[0]
    found = {
        "poppler, pdftops": by_program(["pdftops layer.pdf out.ps", f"{GS} out.ps"], "gs.png"),
        "Ghostscript, -dPrinted": by_program([f"{GS} layer.pdf"], "gs.png"),
        "PDFium, FPDF_PRINTING": there(page.render(scale=1, extra_flags=pdfium.FPDF_PRINTING).to_pil()),
    }
    right = not asked
    for who, printed in found.items():
        words = "and /AS asks" if asked else "no /AS asks"
        print(f"not for paper, {words}: {who} {'prints it' if printed else 'leaves it out'}", end="")
        print(", as the standard says" if printed == right else ", against the standard")
    assert list(found.values()) == [True, True, False], "this changed"
PYTHON
