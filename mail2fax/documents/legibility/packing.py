"""Dark dots become bits, eight to a byte, as the code of fax machines is made from them."""

from PIL import Image, ImageChops

from mail2fax.documents.pages.fax_code import Ink


def eights(grey: Image.Image, width: int) -> Image.Image:
    """The dots of a grey picture from 128 on as ink so many dots wide: each eight of them a value, see `cut`.

    The picture has nearly that width already: columns are left out or repeated between one eight and the next. Eight
    neighbours are gathered by additions that wrap around: 5 ms a page, where Pillow takes 7.5 for columns and bits.
    """
    sums = grey.convert("1", dither=Image.Dither.NONE).convert("L")  # 255 where there is ink, which is -1
    for apart in (1, 2, 4):
        high = sums
        for _ in range(apart):
            high = ImageChops.add_modulo(high, high)
        sums = ImageChops.add_modulo(high, sums.crop((apart, 0, sums.width + apart, sums.height)))
    across = grey.width / width
    # Pillow takes what lies at the middle of each new dot; that of an eight is where its fifth dot comes from.
    picked = (8 * across, 0, across / 2 - 4, 0, 1, 0)
    found = sums.transform(((width + 7) // 8, grey.height), Image.Transform.AFFINE, picked)
    return ImageChops.subtract_modulo(Image.new("L", found.size), found)


def cut(eights: Image.Image, size: tuple[int, int]) -> tuple[Ink, tuple[int, int]]:
    """Ink so many dots wide and high, without the paper around it; and where its upper left dot stands.

    Rows are left out or repeated.
    """
    whole = eights.resize((eights.width, size[1]), Image.Resampling.NEAREST)
    left, top, right, bottom = whole.getbbox() or (0, 0, 1, 1)
    top, bottom = max(0, top - 1), min(size[1], bottom + 1)  # a row of paper: a line below may become thick
    written = whole.crop((left, top, right, bottom))
    return Ink(written.tobytes(), min(8 * written.width, size[0] - 8 * left), written.height), (8 * left, top)
