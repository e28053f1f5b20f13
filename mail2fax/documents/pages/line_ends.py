"""A PDF whose line ends were changed on its way as if it were a text: by FTP in ASCII mode, or by a mail program.

Readers repair such a file and draw garbage for its pictures, without an error: the codes of JPEG and of fax machines
can make something of any bytes. LF to CR LF can be undone, since the places that the file itself speaks of prove
that it was undone right. For the rest the bytes of its pictures tell: codes use all bytes about equally often, so a
picture of some size has line feeds without a carriage return, and the other way round. Flate, in which words are
packed, bears a sum of what was packed.
"""

import io
import zlib

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream

# Codes that show no error, whatever stands in them; Flate and LZW do.
_FORGIVING = frozenset({"/DCTDecode", "/CCITTFaxDecode", "/JBIG2Decode", "/JPXDecode"})
_ENOUGH = 4096  # bytes; that one value is missing from so many has a chance of one in ten million
_NEARLY_ALL = 250  # of the 256 values: such bytes are code and not, say, a picture of stripes
_PIECE = 65_536  # bytes unpacked at a time
_END_OF_LINE = 2  # bytes before "endstream" that some count as data and others do not


def undone(data: bytes) -> tuple[bytes, pikepdf.Pdf] | None:
    """The file as it was before each LF became CR LF, if it can be proved that it was so."""
    if not 0 < data.count(b"\r\n") == data.count(b"\n"):
        return None
    before = data.replace(b"\r\n", b"\n")
    try:
        pdf = pikepdf.open(io.BytesIO(before), suppress_warnings=True)
        sound = len(pdf.pages) > 0 and not pdf.get_warnings() and not _lengths_differ(pdf) and not pdf.get_warnings()
        sound = sound and all(map(_whole, _packed(pdf)))  # a CR by itself became a blank on the way
    except pikepdf.PdfError:  # of any kind, a password too: not for us to guess at
        return None
    return (before, pdf) if sound else None


def changed(data: bytes, pdf: pikepdf.Pdf, *, repaired: bool) -> bool:
    """Whether bytes of this file's words or pictures were added, taken out or changed, as one does with line ends."""
    if repaired and _lengths_differ(pdf):
        return True
    if (
        not repaired and b"\r" in data and b"\n" in data
    ):  # looked for as little as possible: nearly always both are there
        return False
    if (0 < data.count(b"\r\n") == data.count(b"\n") or _translated(data)) and not all(map(_whole, _drawn(pdf))):
        return True
    return any(_translated(stream.read_raw_bytes()) for stream in _pictures(pdf))


def _lengths_differ(pdf: pikepdf.Pdf) -> bool:
    """Whether a picture has more bytes than it says, or fewer."""
    return any(
        isinstance(said := stream.get("/Length"), int) and abs(len(stream.read_raw_bytes()) - said) > _END_OF_LINE
        for stream in _pictures(pdf)
    )


def _pictures(pdf: pikepdf.Pdf) -> list[Stream]:
    return [
        thing
        for thing in pdf.objects
        if isinstance(thing, Stream) and thing.get("/Subtype") == Name.Image and _FORGIVING & set(_filters(thing))
    ]


def _packed(pdf: pikepdf.Pdf) -> list[Stream]:
    return [thing for thing in pdf.objects if isinstance(thing, Stream) and thing.get("/Filter") == Name.FlateDecode]


def _drawn(pdf: pikepdf.Pdf) -> list[Stream]:
    """Of these what draws: a font that is broken is told, and another takes its place."""
    pages = {stream.objgen for page in pdf.pages for stream in _contents(page)}
    return [stream for stream in _packed(pdf) if stream.objgen in pages or stream.get("/Subtype") == Name.Form]


def _contents(page: pikepdf.Page) -> list[pikepdf.Object]:
    named = page.obj.get("/Contents")
    return [stream for stream in (named if isinstance(named, Array) else [named]) if isinstance(stream, Stream)]


def _whole(stream: Stream) -> bool:
    """Whether what is packed comes out to its end, and with the right sum: readers draw what comes before a fault."""
    try:
        return unpacks(stream.read_raw_bytes())
    except zlib.error:
        return False


def unpacks(packed: bytes) -> bool:
    """Whether the end is there (RFC 1950). Raises zlib.error where it breaks off before, or for a wrong sum."""
    inflate = zlib.decompressobj()
    while not inflate.eof:
        piece = inflate.decompress(packed, _PIECE)
        packed = inflate.unconsumed_tail
        if not packed and len(piece) < _PIECE:
            break
    return inflate.eof


def _filters(stream: Stream) -> list[str]:
    named = stream.get("/Filter")
    return [
        str(name) for name in ([named] if isinstance(named, Name) else named or ()) if not isinstance(name, Dictionary)
    ]


def _translated(code: bytes) -> bool:
    """Whether no line feed, or no carriage return, stands alone in what is code."""
    feeds, returns, both = code.count(b"\n"), code.count(b"\r"), code.count(b"\r\n")
    return len(code) >= _ENOUGH and both in {feeds, returns} and len(set(code)) >= _NEARLY_ALL
