"""What it costs to judge a page, and to make a scan ready: processor time, the least of several turns.

    python -m benchmarks.legibility

Judging is all that `ready.make_ready` does to a page of text and lines, the file's opening included: once where it is
fine as it is, once where it must be written anew. A scan is set against the decoding of its picture in colour, by the
same library, in turns.
"""

import argparse
import functools
import io
import time
import zlib
from collections.abc import Callable, Sequence

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from benchmarks.line import pages
from benchmarks.table import machine, show
from mail2fax.documents.legibility import ready
from mail2fax.documents.pages import fit

_TURNS = 9
_TEXTS = ("sizes", "colours", "invoice", "laboratory", "form", "signed", "dark", "statement")


def judged(turns: int) -> list[tuple[str, str, float, str]]:
    """Pages of text and lines: judging alone, and with what is written anew. Milliseconds."""
    rows = []
    for name in _TEXTS:
        sheets = fit.fit(pages.page(name))
        looks, makes = _least(turns, *(functools.partial(ready.make_ready, sheets, way) for way in ("as-is", "auto")))
        rows.append((name, ", ".join(ready.make_ready(sheets, "auto").notes) or "fine", looks, f"{makes:.1f}"))
    return rows


def scans(turns: int) -> list[tuple[str, float, float, str]]:
    """Scans as scanners make them: decoding, making ready, and how many times the one is the other."""
    rows = []
    for dpi in (150, 200, 300):
        for kind, mode in (("colour", "RGB"), ("grey", "L")):
            scan = _scan(dpi).convert(mode)
            rows.append(_row(f"{dpi} dpi, {kind}, JPEG", _jpeg(scan), turns))
    rows.append(_row("200 dpi, colour, Flate", _flate(_scan(200)), turns))
    return rows


def _row(name: str, picture: "Picture", turns: int) -> tuple[str, float, float, str]:
    sheets = fit.fit(_page(picture))
    made = ready.make_ready(sheets, "auto")
    if "cleaned" not in made.notes:
        message = f"{name}: not taken for a scan"
        raise RuntimeError(message)
    decoding, making = _least(turns, picture.decode, lambda: ready.make_ready(sheets, "auto"))
    return name, decoding, making, f"{making / decoding:.2f} x"


class Picture:
    """A picture as a PDF holds it."""

    def __init__(self, data: bytes, image: Image.Image, coded: Name, decode: Callable[[], object]) -> None:
        self.data, self.size, self.mode, self.coded, self.decode = data, image.size, image.mode, coded, decode


def _jpeg(image: Image.Image) -> Picture:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=75)
    data = out.getvalue()
    return Picture(data, image, Name.DCTDecode, lambda: Image.open(io.BytesIO(data)).load())


def _flate(image: Image.Image) -> Picture:
    data = zlib.compress(image.tobytes(), 6)
    return Picture(
        data, image, Name.FlateDecode, lambda: Image.frombytes(image.mode, image.size, zlib.decompress(data))
    )


@functools.cache
def _scan(dpi: int) -> Image.Image:
    """The yellowed letter of the set, as a scanner of another resolution sees it."""
    scan = pages.picture(pages.page("scanned"), 200)
    return scan.resize((scan.width * dpi // 200, scan.height * dpi // 200), Image.Resampling.BICUBIC)


def _page(picture: Picture) -> bytes:
    pdf = pikepdf.Pdf.new()
    space = Name.DeviceGray if picture.mode == "L" else Name.DeviceRGB
    width, height = picture.size
    shown = Stream(pdf, picture.data, Type=Name.XObject, Subtype=Name.Image, Filter=picture.coded, ColorSpace=space)
    shown.Width, shown.Height, shown.BitsPerComponent = width, height, 8
    page = Dictionary(
        Type=Name.Page,
        MediaBox=Array([0, 0, 612, 792]),
        Resources=Dictionary(XObject=Dictionary(Scan=pdf.make_indirect(shown))),
        Contents=pdf.make_stream(b"612 0 0 792 0 0 cm /Scan Do"),
    )
    pdf.pages.append(pikepdf.Page(page))
    out = io.BytesIO()
    pdf.save(out, stream_decode_level=pikepdf.StreamDecodeLevel.none)
    return out.getvalue()


def _least(turns: int, *acts: Callable[[], object]) -> Sequence[float]:
    """Processor milliseconds of each, in turns."""
    least = [float("inf")] * len(acts)
    for _ in range(turns):
        for at, act in enumerate(acts):
            before = time.process_time()
            act()
            least[at] = min(least[at], 1000 * (time.process_time() - before))
    return least


def main() -> None:
    """Both tables."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--turns", type=int, default=_TURNS, help="how often each is measured (%(default)s)")
    turns = options.parse_args().turns
    print(machine())
    show(
        "A page of text and lines, ms of processor time (goal <= 15)",
        ("page", "what is done", "judged", "and made"),
        judged(turns),
    )
    show(
        "A scanned page, ms of processor time (goal <= 1.5 x)", ("scan", "decoded", "made ready", "ratio"), scans(turns)
    )


if __name__ == "__main__":
    main()
