#!/bin/bash
# TIFF for fax (RFC 3949, RFC 2306) wants PageNumber in each page: its number, and how many there are, two shorts. Given as
# (0, 3) to Pillow 13.0.0, an uncompressed page has 0 of 3; one in Group 3, Group 4 or LZW, which libtiff writes, has 2 (the
# length of the pair) for its number and whatever value happened to be at hand for the total, another one in each run.
# Pillow reads the same back without a complaint. Programs that sort pages by that number, or wait for the last, go astray.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from PIL import Image, __version__, features

PAGE_NUMBER = 297
print("Pillow", __version__, "with libtiff", features.version("libtiff"))
found = {}
for compression in ("raw", "group3", "group4", "tiff_lzw"):
    page = Image.new("1", (1728, 1078), 1)
    page.save("page.tif", compression=compression, dpi=(204, 98), tiffinfo={PAGE_NUMBER: (0, 3)})
    with Image.open("page.tif") as opened:
        found[compression] = opened.tag_v2[PAGE_NUMBER]
    print(f"{compression}: (0, 3) was asked for, {found[compression]} is there")
assert found.pop("raw") == (0, 3)
assert {number for number, _ in found.values()} == {2}, "this changed"
assert {total for _, total in found.values()} != {3}, "this changed"
PYTHON
