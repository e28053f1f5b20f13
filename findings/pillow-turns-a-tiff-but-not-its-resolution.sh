#!/bin/bash
# A fax page has 204 dots an inch across and 98 or 196 lines an inch down. Pillow 12.0.0 turns the pixels of a TIFF whose
# Orientation is 5 to 8 when it loads them, and leaves the pair in info["dpi"] as it stands in the file: across and down
# are then the wrong way round, and a program that trusts both draws the page a quarter as high as it is wide.
# Before load() the size is that of the file, after it the turned one; the resolution never changes.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==12.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from PIL import Image, __version__

ORIENTATION = 274
found = {}
for orientation in (1, 3, 6, 8):
    page = Image.new("1", (1728, 1078), 1)
    page.save("page.tif", tiffinfo={ORIENTATION: orientation}, dpi=(204, 98), compression="group4")
    with Image.open("page.tif") as opened:
        opened.load()
        dpi = tuple(round(float(value)) for value in opened.info["dpi"])
        found[orientation] = (opened.size, dpi)
        print(f"Pillow {__version__}, orientation {orientation}: {opened.size} dots at {dpi} an inch")
upright, turned = ((1728, 1078), (204, 98)), ((1078, 1728), (204, 98))
assert found == {1: upright, 3: upright, 6: turned, 8: turned}, found
PYTHON
