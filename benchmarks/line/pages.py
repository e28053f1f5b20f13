"""The set of pages: drawn by Typst (pages.typ), or pictures of such pages as a camera and a scanner make them.

python -m benchmarks.line.pages FOLDER    writes each as a PDF
"""

import functools
import io
import random
import sys
from pathlib import Path

import pikepdf
import pypdfium2
import typst
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image, ImageChops, ImageDraw, ImageFilter

DRAWN = (
    *("sizes", "colours", "invoice", "laboratory", "form", "signed", "label", "dark", "map", "statement"),
)  # by pages.typ
PICTURES = ("photographed", "scanned", "portrait")
NAMES = DRAWN + PICTURES

_TEMPLATE = Path(__file__).with_name("pages.typ")
_POINTS = (612, 792)  # a letter page


def page(name: str) -> bytes:
    """One page as a PDF."""
    if name in DRAWN:
        return typst.compile(_TEMPLATE, format="pdf", sys_inputs={"page": name}, pdf_tags=False)
    return {"photographed": _photographed, "scanned": _scanned, "portrait": _portrait}[name]()


def picture(pdf: bytes, dpi: float = 300, *, index: int = 0) -> Image.Image:
    """How a page looks, in colour."""
    document = pypdfium2.PdfDocument(pdf)
    return document[index].render(scale=dpi / 72).to_pil().convert("RGB")


@functools.cache
def _letter(name: str) -> Image.Image:
    return picture(page(name), 200)


def _photographed() -> bytes:
    """A letter on a table under a lamp: tilted, darker to one corner, noisy, a little out of focus."""
    sheet = _letter("signed")
    table = Image.new("RGB", (1850, 2400), (92, 70, 52))
    width, height = sheet.size
    paper = ImageChops.multiply(sheet, Image.new("RGB", sheet.size, (236, 230, 216))).convert("RGBA")
    corners = (
        -90,
        -70,
        -40,
        height + 90,
        width + 60,
        height + 50,
        width + 110,
        -90,
    )  # of the table, seen from the sheet
    tilted = paper.transform(table.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    table.paste(tilted, (0, 0), tilted)
    lit = ImageChops.multiply(table, _light(table.size))
    soft = lit.filter(ImageFilter.GaussianBlur(0.8))
    return _on_paper(_noisy(soft, 14), quality=80)


def _light(size: tuple[int, int]) -> Image.Image:
    """A lamp at the upper left: white there, a third of it at the far corner."""
    small = Image.new("L", (64, 64))
    small.putdata([round(255 - 2.0 * ((x**1.1 + y**1.15) * 0.62)) for y in range(64) for x in range(64)])
    return small.resize(size, Image.Resampling.BICUBIC).convert("RGB")


def _scanned() -> bytes:
    """An old letter on a flatbed at 200 dpi: yellow, stained, its ink gone brown."""
    text = Image.new("RGB", _letter("statement").size, "white")
    text.paste(_letter("signed").crop((0, 0, 1700, 1000)), (0, 60))
    text.paste(_letter("statement").crop((100, 300, 1650, 1100)), (100, 1150))
    ink = ImageChops.add(text, Image.new("RGB", text.size, (58, 44, 30)))
    paper = Image.new("RGB", text.size, (226, 206, 156))
    stains = Image.frombytes("L", (17, 22), random.Random(3).randbytes(17 * 22)).resize(
        text.size, Image.Resampling.BICUBIC
    )
    paper = ImageChops.multiply(paper, stains.point(lambda grey: 185 + grey // 4).convert("RGB"))
    return _on_paper(_noisy(ImageChops.multiply(ink, paper), 10), quality=75)


def _portrait() -> bytes:
    """A scene in soft greys and colours, as a photograph has them, and a caption."""
    scene = Image.new("RGB", (1200, 900))
    draw = ImageDraw.Draw(scene)
    for y in range(900):
        draw.line((0, y, 1200, y), fill=(150 + y // 12, 180 + y // 18, 225 - y // 14))
    for number, (left, top, shade) in enumerate(((-200, 520, 120), (350, 600, 90), (-100, 700, 60))):
        draw.ellipse((left, top, left + 1100, top + 700), fill=(shade, shade + 25 - number * 8, shade - 30))
    draw.ellipse((480, 180, 760, 560), fill=(214, 170, 140))
    draw.ellipse((440, 120, 800, 330), fill=(70, 48, 34))
    for x in (560, 660):
        draw.ellipse((x, 350, x + 34, 368), fill=(245, 245, 245))
        draw.ellipse((x + 10, 350, x + 26, 368), fill=(40, 40, 50))
    draw.arc((570, 420, 680, 490), 20, 160, fill=(140, 60, 60), width=7)
    draw.polygon([(380, 900), (470, 590), (620, 540), (780, 590), (860, 900)], fill=(50, 70, 120))
    return _on_paper(_noisy(scene.filter(ImageFilter.GaussianBlur(2)), 8), box=(90, 260, 522, 584), caption=_caption())


def _caption() -> bytes:
    return (
        b"BT /F 12 Tf 90 230 Td (The new director of the regional library, photographed in the valley.) Tj "
        b"0 -18 Td (She takes office on the first of September and will visit every branch.) Tj ET"
    )


def _noisy(image: Image.Image, sigma: float) -> Image.Image:
    """With the grain of a sensor, the same each time."""
    dice = random.Random(7)
    tile = Image.frombytes(
        "L", (256, 256), bytes(min(255, max(0, round(dice.gauss(128, sigma)))) for _ in range(1 << 16))
    )
    grain = Image.new("L", image.size)
    for x in range(0, image.width, 256):
        for y in range(0, image.height, 256):
            grain.paste(tile.transpose(Image.Transpose(dice.randrange(7))), (x, y))
    return ImageChops.add(image, grain.convert("RGB"), 1, -128)


def _on_paper(
    image: Image.Image,
    *,
    quality: int = 85,
    box: tuple[float, float, float, float] = (0, 0, *_POINTS),
    caption: bytes = b"",
) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=quality)
    pdf = pikepdf.Pdf.new()
    shown = Stream(
        pdf,
        out.getvalue(),
        Type=Name.XObject,
        Subtype=Name.Image,
        Width=image.width,
        Height=image.height,
        BitsPerComponent=8,
        ColorSpace=Name.DeviceRGB,
        Filter=Name.DCTDecode,
    )
    left, bottom, right, top = box
    drawn = f"q {right - left} 0 0 {top - bottom} {left} {bottom} cm /Picture Do Q ".encode() + caption
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica)
    pdf.pages.append(
        pikepdf.Page(
            Dictionary(
                Type=Name.Page,
                MediaBox=Array([0, 0, *_POINTS]),
                Resources=Dictionary(XObject=Dictionary(Picture=shown), Font=Dictionary(F=font)),
                Contents=pdf.make_stream(drawn),
            )
        )
    )
    whole = io.BytesIO()
    pdf.save(whole, deterministic_id=True)
    return whole.getvalue()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for one in NAMES:
        (folder / f"{one}.pdf").write_bytes(page(one))
