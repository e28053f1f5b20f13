"""Does a fax look like its original? Judged by poppler, which had no part in making it.

    python -m benchmarks.fidelity FOLDER_OF_PDFS [--every N] [--pages N] [--keep FOLDER]

The original page is drawn by pdftoppm at just the scale at which it stands on the fax page, laid on white paper the same
way, and compared with pdftoppm's drawing of the result, both at 50 dpi and blurred over five dots. A page *differs* when at
some place more than 90 of 255 shades separate the two, and *lost ink* when over a fifth of its darkness is gone besides.
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from mail2fax.documents.pages import fit, inspection, letter, raster
from mail2fax.documents.pages.letter import Geometry
from mail2fax.model import Permanent

DPI = 50
DIFFERS = 90
PAPER = (round(letter.WIDTH * DPI / 72), round(letter.HEIGHT * DPI / 72))


def poppler(file: Path, page: int, dpi: float) -> Image.Image:
    """The page as poppler draws it, grey. Raises CalledProcessError when it cannot."""
    at = str(page + 1)
    drawn = subprocess.run(
        ["pdftoppm", "-q", "-gray", "-cropbox", "-r", f"{dpi:.4f}", "-f", at, "-l", at, str(file)],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    return Image.open(io.BytesIO(drawn.stdout)).convert("L")


def on_paper(original: Path, page: int, geometry: Geometry) -> Image.Image:
    """The original page where it must stand on the fax page."""
    placed = letter.place(geometry)
    drawn = poppler(original, page, DPI * placed.scale * geometry.unit)  # poppler leaves UserUnit out of account
    width, height = (max(round(side * placed.scale * DPI / 72), 1) for side in geometry.upright)
    if abs(drawn.width - width) > 2 or abs(drawn.height - height) > 2:
        drawn = drawn.resize((width, height))
    if placed.turned:
        drawn = drawn.transpose(Image.Transpose.ROTATE_90)
    sheet = Image.new("L", PAPER, 255)
    sheet.paste(drawn, ((sheet.width - drawn.width) // 2, (sheet.height - drawn.height) // 2))
    return sheet


def compare(original: Path, made: Path, page: int, geometry: Geometry) -> tuple[raster.Comparison, Image.Image]:
    """How the result's page differs from the original's; also both side by side."""
    before = on_paper(original, page, geometry)
    after = poppler(made, page, DPI).resize(PAPER)
    both = Image.new("L", (2 * PAPER[0] + 4, PAPER[1]), 0)
    both.paste(before, (0, 0))
    both.paste(after, (PAPER[0] + 4, 0))
    return raster.compare(before, after), both


def pages(files: list[Path], most: int):
    """Each page of each PDF that can be faxed, as (name, page, comparison, side by side)."""
    with tempfile.TemporaryDirectory() as place:
        made = Path(place, "made.pdf")
        for file in files:
            data = file.read_bytes()
            try:
                sheets = fit.fit(data)
                geometries = inspection.inspect(data, max_pages=200).geometries
            except Permanent:
                continue
            made.write_bytes(sheets.data)
            for page, geometry in enumerate(geometries[:most]):
                try:
                    yield file.name, page, *compare(file, made, page, geometry)
                except (subprocess.SubprocessError, OSError, ValueError):
                    yield file.name, page, None, None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--every", type=int, default=1, help="look at every Nth file")
    parser.add_argument("--pages", type=int, default=2, help="pages of each file")
    parser.add_argument("--keep", type=Path, help="folder for pictures of the pages that differ")
    asked = parser.parse_args()
    files = sorted(path for path in asked.folder.rglob("*.pdf") if "bomb" not in path.name)[:: asked.every]
    seen = differs = lost = unseen = 0
    for name, page, comparison, both in pages(files, asked.pages):
        if comparison is None:
            unseen += 1
            continue
        seen += 1
        lost += comparison.lost
        if comparison.difference > DIFFERS:
            differs += 1
            print(f"{name} page {page + 1}: {comparison.difference}", "ink lost" if comparison.lost else "")
            if asked.keep:
                asked.keep.mkdir(exist_ok=True)
                both.save(asked.keep / f"{name}.{page + 1}.png")
    print(f"{seen} pages seen, {differs} differ, {lost} lost ink; poppler could not draw {unseen}", file=sys.stderr)


if __name__ == "__main__":
    main()
