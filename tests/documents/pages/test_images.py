"""images: scans and photographs become letter pages, true to size, and bombs are refused before they are unpacked."""

import io
import struct
import zlib

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageDraw

from mail2fax.documents.pages import fit, images
from mail2fax.model import Permanent, Reason


def encoded(picture: Image.Image, form: str, **how) -> bytes:
    out = io.BytesIO()
    picture.save(out, form, **how)
    return out.getvalue()


def scan(mode: str = "L", size=(850, 1100), mark=(85, 110, 255, 220), ink=0, paper=255) -> Image.Image:
    """White paper with a black bar near its upper left corner: a tenth to three tenths across, one to two down."""
    picture = Image.new(mode, size, paper)
    ImageDraw.Draw(picture).rectangle(mark, fill=ink)
    return picture


def pages(data: bytes) -> list[tuple[float, float]]:
    """The true size of each page in points."""
    with pikepdf.open(io.BytesIO(images.to_pdf(data, max_pages=200))) as made:
        return [(float(page.MediaBox[2]), float(page.MediaBox[3])) for page in made.pages]


def bar(data: bytes, page: int = 0) -> tuple[int, int, int, int]:
    """Where the black bar stands on the letter page, in points from the upper left corner."""
    made = fit.fit(images.to_pdf(data, max_pages=200))
    with pypdfium2.PdfDocument(made.data) as document:
        picture = document[page].render(scale=1, grayscale=True).to_pil().convert("L")
    return picture.point(lambda value: 255 if value < 128 else 0).getbbox()


EXPECTED = (61, 79, 184, 159)  # of a letter page


@pytest.mark.parametrize(
    ("data", "form"),
    [
        (encoded(scan(), "PNG", dpi=(100, 100)), "PNG"),
        (encoded(scan("RGB", ink="black", paper="white"), "JPEG", dpi=(100, 100)), "JPEG"),
        (encoded(scan("CMYK", ink=(0, 0, 0, 255), paper=(0, 0, 0, 0)), "JPEG", dpi=(100, 100)), "CMYK JPEG"),
        (encoded(scan("CMYK", ink=(0, 0, 0, 255), paper=(0, 0, 0, 0)), "TIFF", dpi=(100, 100)), "CMYK TIFF"),
        (encoded(scan("1", ink=0, paper=1), "TIFF", dpi=(100, 100), compression="group4"), "G4"),
        (encoded(scan("1", ink=0, paper=1), "TIFF", dpi=(100, 100), compression="group3"), "G3"),
        (encoded(scan("I;16", ink=0, paper=65535), "TIFF", dpi=(100, 100)), "16 bit"),
        (encoded(scan("RGBA", ink="black", paper=(0, 0, 0, 0)), "PNG", dpi=(100, 100)), "transparent"),
        (encoded(scan("RGB", ink="black", paper="white"), "BMP", dpi=(100, 100)), "BMP"),
        (encoded(scan("RGB", ink="black", paper="white"), "WEBP"), "WebP"),
        (encoded(scan(), "GIF"), "GIF"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_kind_of_scan_fills_its_page(data, form):
    """Whatever colour model, code or container: a letter scan is a letter page, black on white, the right way up."""
    assert bar(data) == pytest.approx(EXPECTED, abs=2)


@pytest.mark.parametrize("dpi", [(204, 196), (204, 98), (300, 300)])
def test_the_dots_of_a_fax_may_be_oblong(dpi):
    """A fax has 204 dots across and 98 or 196 down the inch: its page is as tall as it was."""
    size = (round(8.5 * dpi[0]), 11 * dpi[1])
    mark = (size[0] // 10, size[1] // 10, size[0] * 3 // 10, size[1] // 5)
    data = encoded(scan("1", size, mark, ink=0, paper=1), "TIFF", dpi=dpi, compression="group4")
    assert pages(data) == [(pytest.approx(612, abs=1), pytest.approx(792, abs=1))]
    assert bar(data) == pytest.approx(EXPECTED, abs=2)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_sideways_is_turned_upright(orientation):
    """EXIF says how the camera was held: all eight ways end upright."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    picture = scan("RGB", ink="black", paper="white")
    held = picture.transpose(undo[orientation]) if orientation in undo else picture
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert bar(encoded(held, "JPEG", exif=exif, dpi=(100, 100))) == pytest.approx(EXPECTED, abs=3)


def test_a_tiff_of_pages_is_faxed_whole_and_an_animation_once():
    """Each frame of a TIFF is a page; of an animation only the first picture is faxed."""
    frames = [scan("1", ink=0, paper=1) for _ in range(3)]
    rest = {"save_all": True, "append_images": frames[1:]}
    assert len(pages(encoded(frames[0], "TIFF", compression="group4", **rest))) == 3
    moving = [scan(ink=shade) for shade in (0, 90)]
    assert len(pages(encoded(moving[0], "GIF", save_all=True, append_images=moving[1:]))) == 1


def test_too_many_frames_are_refused():
    """The page limit holds for scans as well, and is told before the pages are unpacked."""
    frames = [Image.new("1", (10, 10), 1)] * 4
    data = encoded(frames[0], "TIFF", save_all=True, append_images=frames[1:])
    with pytest.raises(Permanent) as caught:
        images.to_pdf(data, max_pages=3)
    assert (caught.value.reason, caught.value.detail) == (Reason.TOO_MANY_PAGES, {"pages": 4, "limit": 3})


def test_nothing_is_enlarged_beyond_its_true_size():
    """A picture that says how large it is keeps that size; one that does not is as large as on a screen."""
    assert pages(encoded(scan(size=(600, 300)), "PNG", dpi=(300, 300))) == [
        (pytest.approx(144, abs=0.1), pytest.approx(72, abs=0.1))
    ]
    assert pages(encoded(scan(size=(384, 192)), "PNG")) == [(288, 144)]
    assert pages(encoded(scan(size=(384, 192)), "PNG", dpi=(72, 72))) == [(288, 144)]


def test_a_photograph_does_not_make_a_large_fax():
    """12 million coloured dots become a grey picture of what a fax can show."""
    photograph = Image.effect_noise((4000, 3000), 60).convert("RGB")
    made = fit.fit(images.to_pdf(encoded(photograph, "JPEG"), max_pages=200))
    assert made.notes == ("turned",)
    assert len(made.data) < 5_000_000


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1000))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (png_claiming(60_000, 60_000), Reason.TOO_COMPLEX),
        (png_claiming(9_000, 9_000), Reason.TOO_COMPLEX),
        (png_claiming(1_000, 1_000), Reason.DAMAGED),
        (encoded(scan(), "PNG")[:-200], Reason.DAMAGED),
        (encoded(scan("RGB", ink="black", paper="white"), "JPEG")[:2000], Reason.DAMAGED),
        (b"II*\0", Reason.DAMAGED),
        (b"GIF89a", Reason.DAMAGED),
    ],
)
def test_bombs_and_broken_pictures_are_refused(data, reason):
    """A picture that claims billions of dots is refused before it takes memory, a broken one whatever its parser says."""
    with pytest.raises(Permanent) as caught:
        images.to_pdf(data, max_pages=200)
    assert caught.value.reason is reason


@pytest.mark.corpus
def test_the_corpus_of_images(corpus):
    """Hundreds of scans, some hostile: each becomes pages or is refused, and only the broken kinds are refused."""
    refused = []
    files = sorted(path for path in (corpus / "images").iterdir() if path.suffix != ".tsv")
    for path in files:
        try:
            made = images.to_pdf(path.read_bytes(), max_pages=200)
        except Permanent as verdict:
            refused.append((path.name, verdict.reason))
            continue
        with pikepdf.open(io.BytesIO(made)) as result:
            assert len(result.pages) >= 1, path.name
    sound = ("jpg", "jpeg", "png", "tif", "tiff", "gif", "bmp", "webp")
    broken = (
        "crash",
        "broken",
        "truncated",
        "bomb",
        "segfault",
        "oom",
        "overflow",
        "invalid",
        "jbig",
        "Lab",
        "encoded",
    )
    unexpected = [name for name, _ in refused if name.endswith(sound) and not any(word in name for word in broken)]
    assert unexpected == []
    assert len(refused) < 40
