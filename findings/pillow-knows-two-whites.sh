#!/bin/bash
# A fax machine wants white as 0 (Photometric 0), and Pillow 13.0.0 saves a picture of one bit so if it is asked to: it inverts the
# dots. But white in such a picture is 255 if it was converted or read from a file, and 1 if it was made by
# Image.new("1", size, 1) or drawn with fill=1, as its manual shows; only 255 counts when dots are inverted. So a
# letter on paper that was made with 1 becomes a page that is black all over, without a warning. Saved as
# usual (Photometric 1), or as PNG, or shown, both whites are the same. Pictures of eight bits do it right.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" --quiet --disable-pip-version-check install pillow==13.0.0
cd "$folder"
"$folder/venv/bin/python" - <<'PYTHON'
from PIL import Image, ImageDraw, __version__

PHOTOMETRIC = 262


def black(photometric, white):
    """How much of the page is black, in per cent, when it is read again; a quarter of it was drawn."""
    page = Image.new("1", (1728, 2156), white)
    ImageDraw.Draw(page).rectangle((0, 0, 863, 1077), fill=0)
    page.save("page.tif", compression="group4", dpi=(204, 196), tiffinfo={PHOTOMETRIC: photometric})
    with Image.open("page.tif") as opened:
        dots = opened.convert("L").histogram()
    return round(100 * dots[0] / sum(dots))


found = {(photometric, white): black(photometric, white) for photometric in (1, 0) for white in (255, 1)}
for (photometric, white), share in found.items():
    print(f"Pillow {__version__}, Photometric {photometric}, paper made with {white}: {share} % black")
assert found == {(1, 255): 25, (1, 1): 25, (0, 255): 25, (0, 1): 100}, found
PYTHON
