"""How light a colour is to a converter that makes grey of it. ISO 32000-1 section 8.6."""

import io
from collections.abc import Sequence
from typing import Any

import pikepdf
from pikepdf import Array, Dictionary, Name, Stream
from pypdfium2 import raw as pdfium

from mail2fax.documents.legibility.geometry import numbers
from mail2fax.documents.pages.pdfium import Document, EngineError

_DEVICE = {
    "/DeviceGray": 1, "/G": 1, "/CalGray": 1,
    "/DeviceRGB": 3, "/RGB": 3, "/CalRGB": 3,
    "/DeviceCMYK": 4, "/CMYK": 4,
}  # fmt: skip
_UNKNOWN = 0.5
_SWATCH = 8  # dots


def light(components: Sequence[float]) -> float:
    """Of a device colour: grey, red green blue, or cyan magenta yellow black."""
    if len(components) == 1:
        (found,) = components
    elif len(components) == 3:
        red, green, blue = components
        found = 0.30 * red + 0.59 * green + 0.11 * blue
    elif len(components) == 4:
        cyan, magenta, yellow, black = components
        found = 1 - min(1.0, 0.30 * cyan + 0.59 * magenta + 0.11 * yellow + black)
    else:
        return _UNKNOWN
    return min(1.0, max(0.0, found))


class Spaces:
    """The colour spaces of one document. What is not a device's is asked of PDFium, once a colour."""

    def __init__(self, document: pikepdf.Pdf) -> None:
        self._document = document
        self._known: dict[tuple[Any, ...], float] = {}

    def light(self, space: Any, components: Sequence[float]) -> float:
        """How light a colour of this space is."""
        name, detail = _named(space)
        count = _DEVICE.get(name)
        if name == "/ICCBased":
            count = _channels(detail)
        if count == len(components):
            return light(components)
        if name == "/Separation" and str(detail) in {"/Black", "/All"} and len(components) == 1:
            return light([1 - components[0]])
        key = (_identity(space), *components)
        if key not in self._known:
            self._known[key] = _asked(self._document, space, components)
        return self._known[key]

    def gradient(self, shading: Any) -> float:
        """How light a gradient is on the whole: the middle of its ends, where its function tells them."""
        try:
            lights = [self.light(shading.ColorSpace, end) for end in _ends(shading.Function)]
            return sum(lights) / len(lights)
        except (AttributeError, TypeError, ValueError, ZeroDivisionError):
            return _UNKNOWN

    @staticmethod
    def first(space: Any) -> float:
        """How light the colour is that a space begins with."""
        name, _ = _named(space)
        return 1.0 if name == "/Pattern" else 0.0


def _named(space: Any) -> tuple[str, Any]:
    """A space's family, and what stands after it."""
    if isinstance(space, Array) and len(space):
        return str(space[0]), space[1] if len(space) > 1 else None
    return str(space), None


def _channels(profile: Any) -> int:
    try:
        return int(profile.N)
    except (AttributeError, TypeError, ValueError):
        return 0


def _identity(space: Any) -> Any:
    return space.objgen if isinstance(space, pikepdf.Object) and space.is_indirect else repr(space)


def _asked(document: pikepdf.Pdf, space: Any, components: Sequence[float]) -> float:
    """Paint a swatch and look."""
    pdf = pikepdf.Pdf.new()
    try:
        spaces = Dictionary(S=pdf.copy_foreign(space if space.is_indirect else document.make_indirect(space)))
        words = " ".join(f"{number:.4f}" for number in components)
        content = Stream(pdf, f"/S cs {words} sc 0 0 {_SWATCH} {_SWATCH} re f".encode())
        page = Dictionary(
            Type=Name.Page,
            MediaBox=Array([0, 0, _SWATCH, _SWATCH]),
            Resources=Dictionary(ColorSpace=spaces),
            Contents=pdf.make_indirect(content),
        )
        pdf.pages.append(pikepdf.Page(page))
        out = io.BytesIO()
        pdf.save(out)
        with Document(out.getvalue()) as swatch, swatch.page(0) as drawn:
            seen = drawn.dots(_SWATCH, _SWATCH, pdfium.FPDF_GRAYSCALE).tobytes()
            return seen[_SWATCH * _SWATCH // 2 + _SWATCH // 2] / 255
    except (pikepdf.PdfError, EngineError, AttributeError, ValueError, TypeError):
        return _UNKNOWN


def _ends(function: Any) -> list[list[float]]:
    """The first and last colour of a gradient's function, where it says so."""
    if isinstance(function, Array):  # one for each component
        each = [_ends(one) for one in function]
        return [[ends[0][0] for ends in each], [ends[-1][0] for ends in each]]
    if function.get("/FunctionType") == 3:
        return _ends(function.Functions[0])[:1] + _ends(function.Functions[-1])[1:]
    return [numbers(function.get("/C0", [0])), numbers(function.get("/C1", [1]))]
