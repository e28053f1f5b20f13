"""images: scans and photographs become letter pages, true to size, and bombs are refused before they are unpacked."""

import base64
import io
import struct
import zlib

import pikepdf
import pypdfium2
import pytest
from PIL import Image, ImageDraw
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

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
    with pikepdf.open(io.BytesIO(images.to_pdf(data, max_pages=200).data)) as made:
        return [(float(page.MediaBox[2]), float(page.MediaBox[3])) for page in made.pages]


def bar(data: bytes, page: int = 0) -> tuple[int, int, int, int]:
    """Where the black bar stands on the letter page, in points from the upper left corner."""
    made = fit.fit(images.to_pdf(data, max_pages=200).data)
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


def tiff(picture: Image.Image, **tags) -> bytes:
    """A TIFF with just these tags besides what it needs; None takes one away."""
    made = Image.open(
        io.BytesIO(encoded(picture, "TIFF", **({} if picture.mode != "1" else {"compression": "group4"})))
    )
    known = {"across": 282, "down": 283, "unit": 296, "kind": 254, "turned": 274, "white": 281}
    info = ImageFileDirectory_v2()
    for name, value in tags.items():
        info[known[name]] = value
    return encoded(made, "TIFF", tiffinfo=info, **({"compression": "group4"} if picture.mode == "1" else {}))


def fax_page(rows: int) -> Image.Image:
    """A page as a fax machine stores it, with the bar of `scan`."""
    return scan("1", (1728, rows), (173, rows // 10, 518, rows // 5), ink=0, paper=1)


@pytest.mark.parametrize("rows", [1078, 2156])
def test_a_fax_that_says_nothing_has_the_shape_of_a_fax(rows):
    """Without a resolution, or with one that tells only the shape of a dot, a fax page is a letter page."""
    assert bar(tiff(fax_page(rows))) == pytest.approx(EXPECTED, abs=3)
    shaped = tiff(fax_page(rows), across=204.0, down=rows / 11, unit=1)
    assert bar(shaped) == pytest.approx(EXPECTED, abs=3)
    assert bar(tiff(fax_page(1056), across=204.0, down=96.0, unit=2)) == pytest.approx(EXPECTED, abs=3)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_turned_fax_keeps_its_proportions(orientation):
    """TIFF's orientation turns the dots, and the two resolutions with them."""
    turn = {
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = fax_page(1078).resize((1078 * 196 // 98, 1728 * 11 // 17 * 17 // 11))
    stored = upright.transpose(turn[orientation])
    data = tiff(stored, across=stored.width / 11.0, down=stored.height / 8.5, unit=2, turned=orientation)
    ((width, height),) = pages(data)
    assert (width, height) == (pytest.approx(612, abs=2), pytest.approx(792, abs=2))


def test_a_smaller_copy_in_a_tiff_is_no_page():
    """A thumbnail beside the scan (NewSubfileType 1) is not faxed; alone it is."""
    thumbnail = scan(size=(85, 110), mark=(8, 11, 25, 22))
    out = io.BytesIO()  # never closed: the writer closes itself once more when it is collected
    with AppendingTiffWriter(out, new=True) as writer:
        for picture, kind in ((scan(), 0), (thumbnail, 1)):
            info = ImageFileDirectory_v2()
            info[254] = kind
            picture.save(writer, "TIFF", tiffinfo=info, dpi=(100, 100))
            writer.newFrame()
        data = out.getvalue()
    assert len(pages(data)) == 1
    assert len(pages(tiff(thumbnail, kind=1))) == 1


@pytest.mark.parametrize("dpi", [75, 150, 300])
def test_a_scan_of_few_dots_has_its_true_size(dpi):
    """Flatbeds offer 75 dpi as "draft": still a letter page."""
    size = (round(8.5 * dpi), 11 * dpi)
    assert pages(encoded(scan(size=size, mark=(1, 1, 9, 9)), "PNG", dpi=(dpi, dpi))) == [
        (pytest.approx(612, abs=1), pytest.approx(792, abs=1))
    ]


def shades(picture: Image.Image, form: str, **how) -> tuple[int, int]:
    """The darkest and the lightest grey of what is faxed."""
    with pikepdf.open(io.BytesIO(images.to_pdf(encoded(picture, form, **how), max_pages=9).data)) as made:
        return pikepdf.PdfImage(made.pages[0].Resources.XObject.Scan).as_pil_image().convert("L").getextrema()


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_of_grey_stay_what_they_are(form):
    """White stays white: a blank back and faint pencil are not stretched into black."""
    assert shades(Image.new("I;16", (60, 60), 65535), form) == (255, 255)
    assert shades(scan("I;16", (60, 60), (5, 5, 9, 9), ink=60000, paper=65000), form) == pytest.approx(
        (233, 253), abs=1
    )
    twelve = scan("I;16", (60, 60), (5, 5, 9, 9), ink=0, paper=4000)  # a scanner's twelve bits
    assert shades(twelve, form) == pytest.approx((0, 249), abs=1)


def test_a_tiff_may_say_what_is_white():
    """MaxSampleValue counts; fractions go from 0 to 1; CIE Lab has its lightness."""
    info = ImageFileDirectory_v2()
    info[281] = (10000,)
    info.tagtype[281] = 3
    ten_thousand = scan("I;16", (60, 60), (5, 5, 9, 9), ink=5000, paper=10000)
    assert shades(ten_thousand, "TIFF", tiffinfo=info) == pytest.approx((127, 255), abs=1)
    assert shades(scan("F", (60, 60), (5, 5, 9, 9), ink=0.5, paper=1.0), "TIFF") == pytest.approx((127, 255), abs=1)
    lab = Image.merge("LAB", [scan(size=(60, 60), mark=(5, 5, 9, 9)), *[Image.new("L", (60, 60), 128)] * 2])
    assert shades(lab, "TIFF") == (0, 255)


def screenshot(rows: int, width: int = 1080) -> Image.Image:
    """Bars of text with blank rows between them, 90 rows apart."""
    picture = Image.new("L", (width, rows), 245)
    for top in range(40, rows - 60, 90):
        ImageDraw.Draw(picture).rectangle((100, top, 900, top + 50), fill=20)
    return picture


@pytest.mark.parametrize(
    ("data", "height"),
    [
        (encoded(screenshot(9000), "PNG"), 9000 / 200 * 72),
        (encoded(screenshot(9000).convert("RGB"), "JPEG"), 9000 / 200 * 72),
        (
            encoded(
                screenshot(9000).point(lambda value: value > 128 and 255, "1"),
                "TIFF",
                dpi=(204, 196),
                compression="group4",
            ),
            9000 / 196 * 72,
        ),
    ],
    ids=["screenshot", "photograph", "roll of a fax"],
)
def test_a_long_picture_is_cut_at_blank_rows(data, height):
    """No line is cut in two, none is lost, and nothing is made too small to read; the reply says so."""
    made = images.to_pdf(data, max_pages=20)
    assert made.notes == ("cut",)
    sheets = fit.fit(made.data)
    assert "tiny" not in sheets.notes
    with pikepdf.open(io.BytesIO(made.data)) as pdf:
        assert sum(float(page.MediaBox[3]) for page in pdf.pages) == pytest.approx(height, abs=2)
        assert all(float(page.MediaBox[3]) <= 793 for page in pdf.pages)
        assert len(pdf.pages) == sheets.pages
        for page in pdf.pages:
            picture = pikepdf.PdfImage(page.Resources.XObject.Scan).as_pil_image().convert("L")
            ends = [picture.crop((0, row, picture.width, row + 1)).getextrema() for row in (0, picture.height - 1)]
            assert min(low for low, _ in ends) > 128


def test_a_long_picture_without_a_blank_row_loses_nothing():
    """A photograph of a facade: the pieces overlap a little."""
    noise = Image.effect_noise((400, 3000), 90)
    with pikepdf.open(io.BytesIO(images.to_pdf(encoded(noise, "PNG"), max_pages=20).data)) as pdf:
        assert len(pdf.pages) == 2
        assert sum(float(page.MediaBox[3]) for page in pdf.pages) > 3000 / 200 * 72 + 5


def test_a_long_picture_counts_its_pages():
    """The page limit holds for pieces as well."""
    with pytest.raises(Permanent) as caught:
        images.to_pdf(encoded(screenshot(9000), "PNG"), max_pages=3)
    assert caught.value.reason is Reason.TOO_MANY_PAGES


# A black bar on 102 x 132 white dots, written with pillow-heif, whose encoder is not for a product to carry along.
HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAVdtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAAAAAAAAAAAAAA"
    "ACJpbG9jAAAAAERAAAEAAQAAAAABewABAAAAAAAAADUAAAAjaWluZgAAAAAAAQAAABVpbmZlAgAAAAABAABodmMxAAAAAA5waXRt"
    "AAAAAAABAAAA12lwcnAAAAC4aXBjbwAAAHlodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAsQgEBA3AAAAMAkAAAAwAAAwAeoDSAidXlupJKa5uAhoMCAAADADIAAAMAAhBiAAEAB0QBwXKwIkAAAAATY29s"
    "cm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAZgAAAIQAAAAQcGl4aQAAAAADCAgIAAAAF2lwbWEAAAAAAAAAAQABBIECAwQAAAA9"
    "bWRhdAAAADEoAa8ZgPsAX96GUjfiIB9/wNZWkUHiEBp95T68+n6lAol6SEAAAAMDpArAAA8wIsWg"
)


def test_what_telephones_make():
    """AVIF and, where its parser is installed, HEIC."""
    assert bar(
        encoded(scan("RGB", (816, 1056), (82, 106, 245, 211), ink="black", paper="white"), "AVIF")
    ) == pytest.approx(EXPECTED, abs=3)
    pi_heif = pytest.importorskip("pi_heif")
    assert pi_heif.libheif_version()
    assert bar(HEIC) == pytest.approx(EXPECTED, abs=9)  # its dots are coarse
    with pytest.raises(Permanent) as caught:
        images.to_pdf(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", max_pages=2)
    assert caught.value.reason is Reason.DAMAGED


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
    made = fit.fit(images.to_pdf(encoded(photograph, "JPEG"), max_pages=200).data)
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
            made = images.to_pdf(path.read_bytes(), max_pages=200).data
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
        "encoded",
    )
    unexpected = [name for name, _ in refused if name.endswith(sound) and not any(word in name for word in broken)]
    assert unexpected == []
    assert len(refused) < 40
