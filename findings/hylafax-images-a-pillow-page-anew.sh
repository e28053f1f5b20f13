#!/bin/bash
# A page of 1728 dots in Group 4 that Pillow wrote is no fax to HylaFAX, although it is dot for dot what goes over the line: its
# tiffcheck 6.0.7 (Debian 12) asks for a REFORMAT, for Pillow cuts a page into strips, and for a REIMAGE, "not
# black-on-white", for Pillow writes Photometric 1. What is imaged anew is drawn by another program at another
# moment, and a screen that was made for the dots of a fax may not survive that. Both are two tags away: one strip
# (RowsPerStrip) and Photometric 0, for which Pillow inverts the dots by itself; then there is nothing to do.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0
cd "$folder"
apt-get -q -o APT::Sandbox::User=root download hylafax-server=3:6.0.7-5 hylafax-client=3:6.0.7-5 \
    libtiff6 libwebp7 liblerc4 libjbig0 libjpeg62-turbo libdeflate0 >/dev/null
for deb in *.deb; do dpkg -x "$deb" root; done
triplet=$(gcc -dumpmachine 2>/dev/null || echo x86_64-linux-gnu)
libraries=$folder/root/usr/lib/hylafax:$folder/root/usr/lib/$triplet
"$folder/venv/bin/python" - "$folder/root/usr/lib/hylafax/bin/tiffcheck" "$libraries" <<'PYTHON'
import subprocess
import sys

from PIL import Image, ImageChops, ImageDraw, __version__

tiffcheck, libraries = sys.argv[1:]
PHOTOMETRIC, ROWS_PER_STRIP = 262, 278
WAYS = {
    "as Pillow writes it": {},
    "with one strip": {ROWS_PER_STRIP: 2156},
    "with Photometric 0": {PHOTOMETRIC: 0},
    "with both": {ROWS_PER_STRIP: 2156, PHOTOMETRIC: 0},
}
page = Image.new("1", (1728, 2156), 255)
ImageDraw.Draw(page).rectangle((200, 200, 900, 400), fill=0)
print("HylaFAX 6.0.7, Pillow", __version__)
found = {}
for way, tags in WAYS.items():
    page.save("page.tif", compression="group4", dpi=(204, 196), tiffinfo=tags)
    with Image.open("page.tif") as opened:
        assert ImageChops.logical_xor(opened, page).getbbox() is None, "other dots"
    command = [tiffcheck, "-3", "-r", "196", "-w", "1728", "page.tif"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env={"LD_LIBRARY_PATH": libraries})
    first, *reasons = run.stdout.splitlines() or [""]
    found[way] = first
    print(f"{way}: {first or 'OK'}", *reasons, sep="\n    ")
assert list(found.values()) == ["REFORMAT+REIMAGE", "REIMAGE", "REFORMAT", "OK"], found
PYTHON
