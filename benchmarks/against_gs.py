"""What a document costs beside ghostscript's pdfwrite on the same file: processor seconds, and the memory of a worker.

`python -m benchmarks.documents` starts it. Each file is made here, by the same chance each time. The product's figure is that of a forked worker from a mail's bytes
to the fax; ghostscript's is that of `gs -sDEVICE=pdfwrite` on the PDF. They take turns.
"""

import io
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageDraw

from mail2fax.documents import assembly
from mail2fax.documents.confinement import limits
from mail2fax.documents.orders import Limits, Task
from tests.support import pdfs

SHIPPED = Limits(1 << 30, 20)


class Cost(NamedTuple):
    cpu: float  # seconds
    memory: float  # MB at its peak
    said: str  # what became of it


def sheet(width: int, height: int, seed: int, *, colour: bool) -> Image.Image:
    """A page full of words, uneven as a scanner sees it."""
    chance = random.Random(seed)
    paper = Image.new("L", (width, height), 250)
    draw = ImageDraw.Draw(paper)
    dot = height / 3300
    for top in range(round(200 * dot), height - round(200 * dot), round((110 if colour else 42) * dot)):
        at = 200 * dot
        while at < width - 400 * dot:
            for _ in range(chance.randint(2, 9)):
                draw.rectangle(
                    (at, top + chance.randint(0, 8) * dot, at + 12 * dot, top + 34 * dot), fill=chance.randint(0, 60)
                )
                at += 22 * dot
            at += 30 * dot
    if colour:
        grain = Image.effect_noise((width // 2, height // 2), 8).resize((width, height))
        paper = Image.blend(paper, grain, 0.012)
        return Image.merge("RGB", (paper, paper.point(lambda v: min(255, v + 3)), paper.point(lambda v: max(0, v - 8))))
    return paper.convert("1", dither=Image.Dither.NONE)


def scans(pages: int, dpi: int, *, quality: int = 0) -> bytes:
    """Scanned letter pages: JPEG of this quality, or G4. A few pictures in turn, each a stream of its own."""
    width, height = round(8.5 * dpi), 11 * dpi
    codes = []
    for seed in range(min(pages, 4)):
        out = io.BytesIO()
        sheet(width, height, seed, colour=bool(quality)).save(
            out,
            *(("JPEG",) if quality else ("TIFF",)),
            **({"quality": quality} if quality else {"compression": "group4"}),
        )
        codes.append(out.getvalue())
    pdf = pikepdf.Pdf.new()
    for number in range(pages):
        code = codes[number % len(codes)]
        keys = {"Width": width, "Height": height, "Type": Name.XObject, "Subtype": Name.Image}
        if quality:
            picture = Stream(pdf, code, Filter=Name.DCTDecode, BitsPerComponent=8, ColorSpace=Name.DeviceRGB, **keys)
        else:
            tags = Image.open(io.BytesIO(code)).tag_v2
            strips = list(zip(tags[273], tags[279], strict=True))
            if len(strips) > 1:
                again = io.BytesIO()
                Image.open(io.BytesIO(code)).save(again, "TIFF", compression="group4", tiffinfo={278: height})
                codes[number % len(codes)] = code = again.getvalue()
                tags = Image.open(io.BytesIO(code)).tag_v2
                strips = list(zip(tags[273], tags[279], strict=True))
            ((start, length),) = strips
            parms = Dictionary(K=-1, Columns=width, Rows=height, BlackIs1=bool(tags[262] == 1))
            picture = Stream(
                pdf, code[start : start + length],
                Filter=Name.CCITTFaxDecode, DecodeParms=parms, BitsPerComponent=1, ColorSpace=Name.DeviceGray, **keys,
            )  # fmt: skip
        pdf.add_blank_page(page_size=(612, 792))
        page = pdf.pages[-1]
        page.obj.Resources = Dictionary(XObject=Dictionary(I=pdf.make_indirect(picture)))
        page.obj.Contents = pdf.make_stream(b"612 0 0 792 0 0 cm /I Do")
    return pdfs.saved(pdf)


def text(pages: int) -> bytes:
    pdf = pdfs.empty()
    for number in range(pages):
        lines = (
            pdfs.words(f"Page {number}, line {n} of an ordinary letter to an office", y=740 - 14 * n, size=10)
            for n in range(50)
        )
        pdfs.page(pdf, b"".join(lines))
    return pdfs.saved(pdf)


def form(fields: int) -> bytes:
    """Text fields with appearances and some without, forty to a page."""
    pdf = pdfs.empty()
    helvetica = pdf.make_indirect(Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica))
    made = []
    for number in range(fields):
        if number % 40 == 0:
            sheet = pdfs.page(pdf, pdfs.words("A form"))
            sheet.obj.Annots = Array([])
        top = 680 - number % 40 * 16
        look = Stream(
            pdf, b"/Tx BMC BT /Helv 10 Tf 2 3 Td (value %d) Tj ET EMC" % number, Type=Name.XObject, Subtype=Name.Form
        )
        look.BBox, look.Resources = Array([0, 0, 200, 14]), Dictionary(Font=Dictionary(Helv=helvetica))
        field = Dictionary(
            Type=Name.Annot, Subtype=Name.Widget, FT=Name.Tx, T=f"f{number}", V=f"value {number}", F=4,
            Rect=Array([72, top, 272, top + 14]), DA="/Helv 10 Tf 0 g", AP=Dictionary(N=pdf.make_indirect(look)),
        )  # fmt: skip
        made.append(pdf.make_indirect(field))
        sheet.obj.Annots.append(made[-1])
    pdf.Root.AcroForm = Dictionary(
        Fields=Array(made), DR=Dictionary(Font=Dictionary(Helv=helvetica)), DA="/Helv 0 Tf 0 g"
    )
    return pdfs.saved(pdf)


def map_(segments: int) -> bytes:
    """A plan of this many segments in lines of thirty, on A0."""
    chance = random.Random(3)
    out = [b"0.4 w"]
    for _ in range(segments // 30):
        x, y = chance.uniform(0, 2384), chance.uniform(0, 3370)
        out.append(b"%.2f %.2f m" % (x, y))
        for _ in range(30):
            x, y = x + chance.uniform(-20, 20), y + chance.uniform(-20, 20)
            out.append(b"%.2f %.2f l" % (x, y))
        out.append(b"S")
    pdf = pdfs.empty()
    pdfs.page(pdf, b"\n".join(out), box=(0, 0, 2384, 3370))
    return pdfs.saved(pdf)


FILES: dict[str, tuple[Callable[[], bytes], float]] = {
    "56 pages, 300 dpi colour JPEG": (lambda: scans(56, 300, quality=60), 1.5),
    "60 pages, 200 dpi colour JPEG": (lambda: scans(60, 200, quality=75), 1.5),
    "190 pages, 300 dpi G4": (lambda: scans(190, 300), 1.5),
    "5 pages, 600 dpi JPEG": (lambda: scans(5, 600, quality=80), 2.0),
    "190 pages of text": (lambda: text(190), 1.0),
    "600 form fields": (lambda: form(600), 1.0),
    "A0 map of 300,000 segments": (lambda: map_(300_000), 1.0),
}
MEMORY = 128  # MB


def _spent(pid: int) -> tuple[int, float, float]:
    _, status, used = os.wait4(pid, 0)
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def product(mail: Path, folder: Path) -> Cost:
    """A worker of our own, within the shipped limits."""
    said = folder / "said"
    if (pid := os.fork()) == 0:
        status = 1
        try:
            limits.take(SHIPPED, office=False)
            made = assembly.make(Task(mail, folder, pages="as-is"), mail.read_bytes())
            said.write_text(made.reason or f"{made.documents[0].pages} pages")
            status = 0
        finally:
            os._exit(status)
    status, cpu, memory = _spent(pid)
    return Cost(cpu, memory, said.read_text() if status == 0 else f"ended: {status}")


def ghostscript(file: Path, folder: Path) -> Cost:
    run = subprocess.Popen(
        ["gs", "-q", "-dNOPAUSE", "-dBATCH", "-dSAFER", "-sDEVICE=pdfwrite", f"-sOutputFile={folder}/gs.pdf", str(file)]
    )
    status, cpu, memory = _spent(run.pid)
    run.returncode = status
    return Cost(cpu, memory, "" if status == 0 else f"ended: {status}")


def main(rounds: int, only: str = "") -> None:
    if not shutil.which("gs"):
        print("gs is not installed: only the product's own figures")
    _warm()
    print(f"{'file':31} {'MB':>5} {'mail2fax s':>11} {'gs s':>6} {'ratio':>6} {'goal':>5} {'memory':>7}")
    for name, (make, goal) in FILES.items():
        if only not in name:
            continue
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            file, mail = folder / "file.pdf", folder / "mail"
            _apart(lambda: (file.write_bytes(make()), mail.write_bytes(pdfs.bare_mail(file.read_bytes()))))  # noqa: B023
            ours, theirs = [], []
            for _ in range(rounds):
                ours.append(product(mail, folder))
                if shutil.which("gs"):
                    theirs.append(ghostscript(file, folder))
            mine, peer = (statistics.median(cost.cpu for cost in costs) if costs else 0.0 for costs in (ours, theirs))
            ratio = f"{mine / peer:6.2f}" if peer else "      "
            memory = max(cost.memory for cost in ours)
            size = file.stat().st_size / 1e6
            print(
                f"{name:31} {size:5.1f} {mine:11.2f} {peer:6.2f} {ratio} {goal:5.1f} {memory:4.0f} MB  {ours[-1].said}",
                flush=True,
            )
    print(
        f"memory: at most {MEMORY} MB a worker; this process had {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )


def _apart(do: Callable[[], object]) -> None:
    """In a process of its own, whose memory is not that of the workers to come."""
    if (pid := os.fork()) == 0:
        try:
            do()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _warm() -> None:
    """What the forkserver does before its first fork: an ordinary mail, so that everything is loaded."""
    with tempfile.TemporaryDirectory() as place:
        assembly.make(Task(Path(place), Path(place)), pdfs.bare_mail(pdfs.text("a")))


if __name__ == "__main__":
    begin = time.time()
    main(int(sys.argv[1]), sys.argv[2])
    print(f"{time.time() - begin:.0f} s")
