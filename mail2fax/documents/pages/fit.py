"""Make any PDF a clean letter-size fax page by page, and join several. Pure, for a worker process.

    inspect -> flatten -> lay each page on a new one -> draw both and compare -> save

The result is new: of the original only the drawing of each page is taken over, as one form XObject. So scripts,
actions, attached files, encryption, outlines, signatures and tags are gone by construction; `_strip` takes out what may
hang on pictures and fonts. It is written as PDF 1.7 without object streams or cross-reference streams: the provider's
converter is not known, a reader of 2001 can parse that, and it costs a few per cent.
"""

import io
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from PIL import Image

from mail2fax.documents.pages import flattening, inspection, letter, raster
from mail2fax.documents.pages.as_printed import as_printed
from mail2fax.documents.pages.enclosed import Enclosed, enclosed
from mail2fax.documents.pages.fax_code import Ink
from mail2fax.documents.pages.inspection import Source, refusal
from mail2fax.documents.pages.layers import Layers, only_on_screens
from mail2fax.documents.pages.letter import Box, Geometry, Placement
from mail2fax.documents.pages.long_pages import in_pieces
from mail2fax.documents.pages.pdfium import Document, EngineError, Page
from mail2fax.documents.pages.small_pictures import SmallPictures
from mail2fax.model import Reason

_SHRUNK = 0.9  # a page smaller than this was "shrunk"; A4 on letter (0.94) nobody sees
_TINY = 0.4  # below this, ordinary text is no longer legible

# What may hang on a picture or font and is not its drawing: words about it, other files, the way to them.
_NOT_DRAWING = frozenset(
    {
        *("/Metadata", "/PieceInfo", "/LastModified", "/Thumb", "/StructParent", "/StructParents", "/Measure"),
        *("/AF", "/EF", "/OPI", "/Ref", "/AA", "/Annots", "/OpenAction", "/JavaScript", "/JS"),
    }
)
_PICTURE_CODES = frozenset({"/DCTDecode", "/CCITTFaxDecode", "/JBIG2Decode", "/JPXDecode"})
_OTHER_FILE = ("/F", "/FFilter", "/FDecodeParms")  # of a stream whose bytes are elsewhere


_MOST_KEPT = 8_000_000  # bytes of a document that PDFium may hold at a time
_SMALL_PICTURE = 150_000  # bytes that a scan takes besides, see `small_pictures`

BLANK = frozenset({"blank", "all-blank"})  # notes of pages without ink: of some, of all
_NOTHING = Enclosed()


@dataclass(frozen=True, slots=True)
class Sheets:
    """A PDF of fax pages."""

    data: bytes
    pages: int
    # of "repaired", "flattened", "unmarked", "screen-only", "cut", "rastered", "damaged", "turned", "shrunk", "tiny",
    # "blank", "all-blank"
    notes: tuple[str, ...] = ()
    enclosed: Enclosed = _NOTHING  # what the original carried besides its pages
    darkness: tuple[float, ...] = ()  # of each page as it was drawn, 0 white to 1 all black


@dataclass(frozen=True, slots=True)
class _Sheet:
    """Where one page goes."""

    page: Geometry  # the original's
    placed: Placement
    size: tuple[float, float]  # of the new page, points

    @property
    def geometry(self) -> Geometry:
        """The new page's."""
        return Geometry(Box(0, 0, *self.size))


@dataclass(frozen=True, slots=True)
class _Original:
    """Of a document what its new pages are compared with."""

    data: bytes
    repaired: bool
    small: SmallPictures | None

    @classmethod
    def of(cls, source: Source) -> Self | None:
        """None for one that PDFium does not open."""
        small = SmallPictures.of(source.pdf, len(source.data))
        return cls(source.data, source.repaired, small) if source.drawable else None


@dataclass(frozen=True, slots=True)
class _Written:
    """The new document."""

    data: bytes
    unreadable: frozenset[int]  # pages whose drawing could not be decoded
    hollow: bool  # some pictures had nothing in them: for those PDFium draws black boxes
    damaged: bool  # something breaks off in the middle, and nobody can tell what came after


def fit(data: bytes, *, page_size: str = "letter", max_pages: int = 200, careful: bool = False) -> Sheets:
    """Inspect a PDF and make fax pages of it.

    Careful: without PDFium's form filling, which hangs on some files, and uncompared. Still, PDFium draws the result:
    what it cannot draw ends the worker here rather than the provider's converter there.
    Raises Permanent as `inspection.inspect` does.
    """
    source = inspection.inspect(data, max_pages=max_pages, careful=careful)
    screen_only = only_on_screens(source.pdf)
    source = as_printed(source)
    carried = enclosed(source)
    whole = len(source.geometries)
    marks = flattening.marks(source.pdf) if source.annotated else flattening.Marks()  # of long pages pieces have none
    source = in_pieces(source, max_pages=max_pages) if page_size == "letter" and not marks.ink else source
    sheets = [_sheet(page, page_size) for page in source.geometries]
    notes = ["repaired"] * source.repaired + ["flattened"] * marks.ink + ["unmarked"] * marks.notes
    notes += ["screen-only"] * screen_only + ["cut"] * (len(sheets) > whole)
    original = _Original.of(source)
    made = _made(_flat(source) if marks.ink else source.pdf, sheets)
    del source  # and with it what qpdf copied of every picture
    written = made.data
    if original:
        pictures, seen = _compare(original, sheets, made)
    elif made.unreadable:
        raise refusal(Reason.DAMAGED)
    else:
        pictures, seen = {}, _looked_at(sheets, written)
    if pictures:
        written = _with(written, pictures)
    notes += ["rastered"] * bool(pictures) + ["damaged"] * made.damaged + _placed(sheets)
    notes += blank_note([page.blank for page in seen])
    return Sheets(written, len(sheets), tuple(notes), carried, tuple(map(_darkness, seen, sheets)))


def join(documents: Sequence[bytes]) -> bytes:
    """Several PDFs of fax pages as one, in order."""
    if len(documents) == 1:
        return documents[0]
    new = pikepdf.Pdf.new()
    layers = Layers(new)
    for document in documents:
        with pikepdf.open(io.BytesIO(document)) as old:
            new.pages.extend(old.pages)
            layers.copy(old)
    layers.write()
    return saved(new)


def _sheet(page: Geometry, page_size: str) -> _Sheet:
    if page_size == "keep":
        return _Sheet(page, letter.keep(page), page.upright)
    return _Sheet(page, letter.place(page), (letter.WIDTH, letter.HEIGHT))


def _placed(sheets: Iterable[_Sheet]) -> list[str]:
    """What a reader will see that became of the pages."""
    placements = [sheet.placed for sheet in sheets]
    least = min(placed.scale for placed in placements)
    shrunk = ["tiny"] if least < _TINY else ["shrunk"] if least < _SHRUNK else []
    return ["turned"] * any(placed.turned for placed in placements) + shrunk


def _darkness(seen: raster.Comparison, sheet: _Sheet) -> float:
    """How dark a page is from 0 to 1; it was drawn on letter paper, which a page of another size does not cover."""
    width, height = sheet.geometry.upright
    covered = width * height * letter.place(sheet.geometry).scale ** 2 / (letter.WIDTH * letter.HEIGHT)
    return min(1.0, seen.ink_before / 255 / covered)


def _flat(source: Source) -> pikepdf.Pdf:
    """The pages with their annotations drawn in."""
    if source.drawable:
        return flattening.flatten(source.pdf)
    flattening.flatten_by_qpdf(source.pdf)
    return source.pdf


def _made(flat: pikepdf.Pdf, sheets: Sequence[_Sheet]) -> _Written:
    """A new document with each page laid on a sheet. Of a large one only its bytes are kept, not what they are of."""
    new, unreadable, damaged = _lay(flat, sheets)
    data, hollow, broken = _sound(new)
    return _Written(data, unreadable, hollow, damaged or broken)


def _lay(flat: pikepdf.Pdf, sheets: Sequence[_Sheet]) -> tuple[pikepdf.Pdf, frozenset[int], bool]:
    """A new document with each page laid on a sheet; whose drawing could not be decoded, and whether one breaks off."""
    new = pikepdf.Pdf.new()
    unreadable, damaged = set(), False
    for index, (page, sheet) in enumerate(zip(flat.pages, sheets, strict=True)):
        drawing = _drawing(page)
        if drawing is None:
            unreadable.add(index)
            damaged = damaged or not inspection.whole(page.obj.get("/Contents"))
            drawing = Stream(flat, b"", Type=Name.XObject, Subtype=Name.Form)
        box = sheet.page.box  # what qpdf put there is the TrimBox, and flattening may have changed the others
        drawing.BBox = Array([round(corner, 4) for corner in (box.left, box.bottom, box.right, box.top)])
        new.pages.append(_page(new, new.copy_foreign(drawing), sheet.placed.matrix, sheet.size))
    layers = Layers(new)
    layers.copy(flat)
    layers.write()
    _strip(new)
    return new, frozenset(unreadable), damaged


def _drawing(page: pikepdf.Page) -> pikepdf.Object | None:
    """All that a page draws as one form XObject; None when its content cannot be decoded."""
    try:
        drawing = page.as_form_xobject(handle_transformations=False)
        drawing.get_stream_buffer()
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 -- each filter has errors of its own
        return None
    content = page.obj.get("/Contents")
    if isinstance(content, Stream) and content.get("/Filter") == Name.FlateDecode and "/DecodeParms" not in content:
        drawing.write(content.read_raw_bytes(), filter=Name.FlateDecode)  # packed as it was: packing takes long
    return drawing


def _page(new: pikepdf.Pdf, drawing: pikepdf.Object, matrix: letter.Matrix, size: tuple[float, float]) -> pikepdf.Page:
    place = " ".join(f"{number:.6f}".rstrip("0").rstrip(".") for number in matrix)
    return pikepdf.Page(
        Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, *(round(side, 4) for side in size)]),
            Resources=Dictionary(XObject=Dictionary(Fax0=drawing)),
            Contents=new.make_stream(f"q {place} cm /Fax0 Do Q".encode()),
        )
    )


def _strip(new: pikepdf.Pdf) -> None:
    """Take from every object what is not drawing; but a font may be *named* /AA or /JS, whose name is nobody's key."""
    things = [thing for thing in new.objects if isinstance(thing, Dictionary | Stream)]
    names = {table.objgen for thing in things for table in _tables(thing) if table.is_indirect}
    for thing in things:
        if thing.objgen not in names:
            for key in _NOT_DRAWING.intersection(thing.keys()):
                del thing[key]
        if isinstance(thing, Stream):
            for key in _OTHER_FILE:
                if key in thing:
                    del thing[key]


def _tables(thing: Dictionary | Stream) -> Iterator[Dictionary]:
    """The dictionaries of an object whose keys are names of the author's choice (ISO 32000-1 section 7.8.3)."""
    resources = thing.get("/Resources")
    if isinstance(resources, Dictionary):
        yield from (table for table in resources.as_dict().values() if isinstance(table, Dictionary))
    for key in ("/CharProcs", "/Colorants"):
        if isinstance(table := thing.get(key), Dictionary):
            yield table


def _sound(new: pikepdf.Pdf) -> tuple[bytes, bool, bool]:
    """The document written such that every stream in it can be decoded: a converter may give up on one that cannot.

    What PDFium can still draw of a picture that was taken out is found missing by `_compare`, and the page becomes a
    picture itself. Also whether there was nothing in them at all: for those PDFium draws black boxes; and whether some
    break off.
    """
    broken = [thing for thing in new.objects if isinstance(thing, Stream) and not _decodes(thing)]
    if not broken:
        return saved(new), False, False
    hollow, damaged = not any(map(_begins, broken)), not all(map(inspection.whole, broken))
    for stream in broken:
        _empty(stream)
    return saved(new), hollow, damaged


def _decodes(stream: Stream) -> bool:
    if isinstance(code := stream.get("/Filter"), Name) and str(code) in _PICTURE_CODES:
        return True
    try:
        stream.get_stream_buffer()
    except pikepdf.DataDecodingError:
        return False
    except pikepdf.PdfError:  # a code for pictures (JPEG, fax), which qpdf leaves as they are
        return True
    return True


def _begins(stream: Stream) -> bool:
    """Whether at least the beginning of a stream can be decoded."""
    try:
        return bool(zlib.decompressobj().decompress(stream.read_raw_bytes(), 1))
    except zlib.error:
        return False


def _empty(stream: Stream) -> None:
    if stream.get("/Subtype") == Name.Image:
        stream.stream_dict = Dictionary(Type=Name.XObject, Subtype=Name.Form, BBox=Array([0, 0, 1, 1]))
    stream.write(b"")


def saved(new: pikepdf.Pdf) -> bytes:
    """The document as it is handed over: PDF 1.7, plain to read, the same bytes for the same pages."""
    out = io.BytesIO()
    new.save(
        out,
        force_version="1.7",
        object_stream_mode=pikepdf.ObjectStreamMode.disable,
        compress_streams=True,
        deterministic_id=True,
        fix_metadata_version=False,
    )
    return out.getvalue()


def _compare(
    original: _Original, sheets: Sequence[_Sheet], made: _Written
) -> tuple[dict[int, Image.Image], list[raster.Comparison]]:
    """Draw each page before and after: pictures for pages that lost ink, and how each page looked.

    Raises Permanent(DAMAGED) for a page that PDFium cannot load, or whose drawing cannot be decoded and of which PDFium
    shows nothing either.
    """
    pictures = {}
    pages = []
    for stretch in _stretches(len(sheets), len(original.data)):
        with Document(original.data, forms=True) as before, Document(made.data) as after:
            for index in stretch:
                seen, picture = _page_compared(original, before, sheets[index], made, after, index)
                pages.append(seen)
                if picture:
                    pictures[index] = picture
    return pictures, pages


def _stretches(count: int, size: int) -> Iterator[range]:
    """The pages of a document of so many bytes, in stretches: PDFium keeps all that it has read until it is closed."""
    a_page = size // count + _SMALL_PICTURE
    step = max(1, _MOST_KEPT // a_page)
    return (range(first, min(first + step, count)) for first in range(0, count, step))


def _page_compared(
    original: _Original, before: Document, sheet: _Sheet, made: _Written, after: Document, index: int
) -> tuple[raster.Comparison, Image.Image | None]:
    """One page, as `_compare` does it."""
    unreadable = index in made.unreadable
    with _original(before, index) as page, after.page(index) as new:
        flattening.choose(before.form, page.raw)
        if original.small:
            original.small.put(page.raw)
            original.small.put(new.raw)
        seen = raster.compare(raster.sketch(page, sheet.page), raster.sketch(new, sheet.geometry))
        if seen.blank and (unreadable or page.undrawn_picture(pale=original.repaired)):
            raise refusal(Reason.DAMAGED, page=index + 1)
    lost = unreadable or (seen.lost and not made.hollow)
    return seen, _stand_in(original.data, index, sheet) if lost else None


def _stand_in(data: bytes, index: int, sheet: _Sheet) -> Image.Image:
    """A picture of a page as it was, from a document of its own: here its pictures are as large as they are."""
    with Document(data, forms=True) as whole, whole.page(index) as page:
        flattening.choose(whole.form, page.raw)
        return raster.stand_in(page, sheet.page)


def _original(before: Document, index: int) -> Page:
    try:
        return before.page(index)
    except EngineError:
        raise refusal(Reason.DAMAGED, page=index + 1) from None


def blank_note(blank: Sequence[bool]) -> tuple[str, ...]:
    """What is to be said of a document, of whose pages it is known whether each is without ink."""
    return ("all-blank",) if all(blank) else ("blank",) if any(blank) else ()


def _looked_at(sheets: Sequence[_Sheet], written: bytes) -> list[raster.Comparison]:
    """Draw the result alone: how each page looks."""
    pages = []
    with Document(written) as after:
        for index, sheet in enumerate(sheets):
            with after.page(index) as page:
                sketch = raster.sketch(page, sheet.geometry)
                pages.append(raster.compare(sketch, sketch))
    return pages


def _with(written: bytes, pictures: Mapping[int, Image.Image]) -> bytes:
    """The document with pictures in the place of some pages."""
    with pikepdf.open(io.BytesIO(written)) as pdf:
        for index, picture in pictures.items():
            size = letter.WIDTH, letter.HEIGHT
            pdf.pages[index] = _page(pdf, raster.group4(pdf, Ink.of(picture)), (size[0], 0, 0, size[1], 0, 0), size)
        return saved(pdf)
