"""Read pages back: which of the words that an OCR finds on the original does it find on what arrived?"""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

from PIL import Image

_PAPER = (2550, 3300)  # a letter page at 300 dpi
_STRIP_LENGTHS = 279  # TIFF 6.0 tag
_WORD = re.compile(r"[^\W_]{2,}")
_MODES = {
    "map": "11",
    "label": "11",
    "form": "11",
}  # tesseract's page segmentation: text here and there; else by itself


def words(page: Image.Image, name: str = "") -> Counter[str]:
    """The words that tesseract reads on a page of any resolution."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "page.png")
        page.convert("L").resize(_PAPER, Image.Resampling.BICUBIC).save(file, dpi=(300, 300), compress_level=1)
        command = [_tesseract(), str(file), "-", "--psm", _MODES.get(name, "3"), "-l", "eng"]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env={"OMP_THREAD_LIMIT": "1"})
    return Counter(_WORD.findall(run.stdout.lower()))


def read_back(original: Counter[str], arrived: Counter[str]) -> tuple[int, int]:
    """How many of the original's words were read again, and how many there are."""
    return (original & arrived).total(), original.total()


def frames(file: Path) -> list[Image.Image]:
    """The pages of a fax's TIFF; `info["size"]` is how many bytes each took."""
    found = []
    with Image.open(file) as tiff:
        for number in range(tiff.n_frames):
            tiff.seek(number)
            found.append(tiff.copy())
            found[-1].info["size"] = sum(tiff.tag_v2[_STRIP_LENGTHS])
    return found


def _tesseract() -> str:
    if program := shutil.which("tesseract"):
        return program
    message = "tesseract is missing: apt-get install tesseract-ocr"
    raise RuntimeError(message)
