"""PDFs for tests, built object by object so that each holds just what a test needs. `text` is the ordinary one."""

import base64
import io
import zlib
from email.message import EmailMessage

import pikepdf
import pypdfium2
from pikepdf import Array, Dictionary, Name, Stream


def empty() -> pikepdf.Pdf:
    """A PDF to build on."""
    return pikepdf.Pdf.new()


def page(pdf: pikepdf.Pdf, content: bytes = b"", *, box=(0, 0, 612, 792), **keys) -> pikepdf.Page:
    """Add a page that draws the content, with Helvetica as /F1."""
    font = Dictionary(Type=Name.Font, Subtype=Name.Type1, BaseFont=Name.Helvetica, Encoding=Name.WinAnsiEncoding)
    resources = keys.pop("Resources", Dictionary(Font=Dictionary(F1=font)))
    pdf.add_blank_page(page_size=(10, 10))
    made = pdf.pages[-1]
    made.obj.MediaBox = Array(box)
    made.obj.Resources = resources
    made.obj.Contents = pdf.make_stream(content)
    for key, value in keys.items():
        made.obj[f"/{key}"] = value
    return made


def saved(pdf: pikepdf.Pdf, **how) -> bytes:
    """The file."""
    out = io.BytesIO()
    pdf.save(out, **how)
    return out.getvalue()


def words(text: str, *, x=72, y=700, size=24) -> bytes:
    """Content that shows a line of text."""
    return f"BT /F1 {size} Tf {x} {y} Td ({text}) Tj ET\n".encode("latin-1")


def text(*lines: str, box=(0, 0, 612, 792), **keys) -> bytes:
    """A PDF with one page a line."""
    pdf = empty()
    for line in lines:
        page(pdf, words(line), box=box, **keys)
    return saved(pdf)


def corner(box=(0, 0, 612, 792), **keys) -> bytes:
    """A page with a black square of a fifth of its shorter side at its upper left corner, before any rotation."""
    left, bottom, right, top = box
    side = min(right - left, top - bottom) / 5
    pdf = empty()
    page(pdf, f"{left} {top - side} {side} {side} re f".encode(), box=box, **keys)
    return saved(pdf)


def annotated(annotation: Dictionary, appearance: bytes = b"", **root) -> bytes:
    """A page with one annotation, and its appearance if one is given."""
    pdf = empty()
    sheet = page(pdf)
    if appearance:
        box = annotation.Rect
        form = Stream(pdf, appearance, Type=Name.XObject, Subtype=Name.Form)
        form.BBox = Array([0, 0, float(box[2]) - float(box[0]), float(box[3]) - float(box[1])])
        annotation.AP = Dictionary(N=pdf.make_indirect(form))
    made = pdf.make_indirect(annotation)
    sheet.obj.Annots = Array([made])
    for key, value in root.items():
        pdf.Root[f"/{key}"] = value(pdf, made) if callable(value) else value
    return saved(pdf)


def many_pages(count: int) -> bytes:
    """Pages that share one object's worth of bytes each, written by hand because building them would take long."""
    kids = b" ".join(b"%d 0 R" % (3 + n) for n in range(count))
    objects = [b"<</Type/Catalog/Pages 2 0 R>>", b"<</Type/Pages/Count %d/Kids[%s]>>" % (count, kids)]
    objects += [b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]>>"] * count
    return by_hand(objects)


def deep_tree(depth: int) -> bytes:
    """One page under so many page tree nodes, each the only kid of the one above."""
    objects = [b"<</Type/Catalog/Pages 2 0 R>>"]
    objects += [
        b"<</Type/Pages/Count 1/Kids[%d 0 R]%s>>" % (n + 3, b"/Parent %d 0 R" % (n + 1) if n else b"")
        for n in range(depth)
    ]
    objects.append(b"<</Type/Page/Parent %d 0 R/MediaBox[0 0 612 792]>>" % (depth + 1))
    return by_hand(objects)


def by_hand(objects: list[bytes]) -> bytes:
    """A file of these objects, numbered from 1, the first being the catalog."""
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate(objects, start=1):
        places.append(out.tell())
        out.write(b"%d 0 obj\n%s\nendobj\n" % (number, body))
    start = out.tell()
    out.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
    out.write(b"".join(b"%010d 00000 n \n" % place for place in places))
    out.write(b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start))
    return out.getvalue()


def stream(data: bytes, entries: bytes = b"") -> bytes:
    """The body of a stream object for `by_hand`."""
    return b"<</Length %d%s>>stream\n%s\nendstream" % (len(data), entries, data)


def deflate_bomb(megabytes: int) -> bytes:
    """A page whose content inflates to this much, from a thousandth of a thousandth of it."""
    once = zlib.compress(b" " * (megabytes << 20), 9)
    twice = zlib.compress(once, 9)
    return by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R>>",
            stream(twice, b"/Filter[/FlateDecode/FlateDecode]"),
        ]
    )


def form_recursion() -> bytes:
    """A page whose drawing draws itself, twice over."""
    names = b"/Resources<</XObject<</A 4 0 R/B 4 0 R>>>>"
    return by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 5 0 R%s>>" % names,
            stream(b"/A Do /B Do", b"/Type/XObject/Subtype/Form/BBox[0 0 612 792]" + names),
            stream(b"/A Do"),
        ]
    )


def claimed_image(width: int, height: int) -> bytes:
    """A page with an image that claims a size it has no data for."""
    keys = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8/ColorSpace/DeviceRGB" % (width, height)
    return by_hand(
        [
            b"<</Type/Catalog/Pages 2 0 R>>",
            b"<</Type/Pages/Count 1/Kids[3 0 R]>>",
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 5 0 R/Resources<</XObject<</I 4 0 R>>>>>>",
            stream(zlib.compress(b"\0" * 1000), keys + b"/Filter/FlateDecode"),
            stream(b"612 0 0 792 0 0 cm /I Do"),
        ]
    )


def mail(*attachments: tuple[bytes, str, str], body: str = "Please fax the attached.", **headers: str) -> bytes:
    """A mail with these attachments: bytes, content type, file name."""
    made = EmailMessage()
    made["From"] = headers.pop("From", "Anna <anna@office.example>")
    made["Subject"] = headers.pop("Subject", "Invoice")
    for name, value in headers.items():
        made[name.replace("_", "-")] = value
    made.set_content(body)
    for data, kind, name in attachments:
        main, _, sub = kind.partition("/")
        made.add_attachment(data, maintype=main, subtype=sub, filename=name)
    return made.as_bytes()


def bare_mail(data: bytes, name: str = "document.pdf") -> bytes:
    """A mail that is itself a PDF, quickly made however large it is."""
    return (
        b'From: scan@office.example\r\nSubject: Scan\r\nContent-Type: application/pdf; name="%s"\r\n'
        b'Content-Disposition: attachment; filename="%s"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        % (name.encode(), name.encode())
    ) + base64.encodebytes(data)


def drawn(data: bytes, page: int = 0):
    """The page at 36 dpi, grey."""
    with pypdfium2.PdfDocument(data) as document:
        return document[page].render(scale=0.5, grayscale=True).to_pil().convert("L")


def shown(data: bytes, page: int = 0) -> str:
    with pypdfium2.PdfDocument(data) as document:
        return document[page].get_textpage().get_text_range()


def ink(data: bytes, page: int = 0) -> int:
    """How many of the page's dots are dark."""
    return sum(drawn(data, page).histogram()[:128])


def black(data: bytes) -> tuple[int, int, int, int]:
    """The bounding box of what is drawn, in points from the upper left corner."""
    picture = drawn(data).point(lambda value: 255 if value < 128 else 0)
    return tuple(2 * edge for edge in picture.getbbox())
