"""What bytes are, told by the bytes alone: a file's name and declared type are often wrong."""

import re
import struct

PDF = "application/pdf"
TNEF = "application/ms-tnef"
PKCS7 = "application/pkcs7-mime"
ZIP = "application/zip"
OLE = "application/x-ole-storage"
TEXT = "text/plain"
HTML = "text/html"
CALENDAR = "text/calendar"
CARD = "text/vcard"
ENCRYPTED_TEXT = "application/pgp-encrypted"
SIGNATURE = "application/pgp-signature"
BINARY = "application/octet-stream"

IMAGES = frozenset(
    {"image/png", "image/jpeg", "image/gif", "image/tiff", "image/bmp", "image/webp", "image/avif", "image/heic"}
)
ARCHIVES = frozenset({ZIP, "application/gzip", "application/x-7z-compressed", "application/vnd.rar"})

_MAGIC = (
    (rb"\x89PNG\r\n\x1a\n", "image/png"),
    (rb"\xff\xd8\xff", "image/jpeg"),
    (rb"GIF8[79]a", "image/gif"),
    (rb"II[*+]\0|MM\0[*+]", "image/tiff"),
    (rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0", "image/bmp"),
    (rb"RIFF.{4}WEBP", "image/webp"),
    (rb".{4}ftyp(?:hei[cmsx]|hev[cmx]|mif1|msf1)", "image/heic"),
    (rb".{4}ftypavi[fs]", "image/avif"),
    (rb"\x78\x9f\x3e\x22", TNEF),
    (rb"PK\x03\x04|PK\x05\x06", ZIP),
    (rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", OLE),
    (rb"\x1f\x8b\x08", "application/gzip"),
    (rb"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (rb"Rar!\x1a\x07", "application/vnd.rar"),
    (rb"\{\\rtf", "application/rtf"),
    (rb"\0\x05\x16\x07\0[\1\2]\0\0", "application/applefile"),
    # A SEQUENCE that opens with an object identifier of PKCS #7 or S/MIME (RFC 5652 section 3).
    (rb"\x30[\x80-\x84].{0,4}?\x06[\x09\x0b]\x2a\x86\x48\x86\xf7\x0d\x01[\x07\x09]", PKCS7),
)
_FIRST = re.compile(b"|".join(b"(%s)" % magic for magic, _ in _MAGIC), re.DOTALL)
_TEXTS = (
    (re.compile(rb"BEGIN:VCALENDAR", re.IGNORECASE), CALENDAR),
    (re.compile(rb"BEGIN:VCARD", re.IGNORECASE), CARD),
    (re.compile(rb"-----BEGIN PGP MESSAGE-----"), ENCRYPTED_TEXT),
    (re.compile(rb"-----BEGIN PGP SIGNATURE-----"), SIGNATURE),
    (re.compile(rb"<!doctype html|<html|<head|<body", re.IGNORECASE), HTML),
)
_OFFICE = "application/vnd.openxmlformats-officedocument."
_ZIPPED = (
    (b"word/document", _OFFICE + "wordprocessingml.document"),
    (b"xl/workbook", _OFFICE + "spreadsheetml.sheet"),
    (b"ppt/presentation", _OFFICE + "presentationml.presentation"),
)
XPS, IWORK, OUTLOOK = "application/vnd.ms-xpsdocument", "application/vnd.apple.iwork", "application/vnd.ms-outlook"
_OTHER_ZIPPED = (
    (b"FixedDocSeq", XPS),
    (b"FixedDocumentSequence", XPS),
    (b"Index/Document.iwa", IWORK),
    (b"index.apxl", IWORK),
)
_OPEN_DOCUMENT = re.compile(rb"mimetype(application/vnd\.oasis\.opendocument\.[a-z]{1,20})")
# Names of the streams in an OLE compound file, UTF-16 as they stand in its directory.
_STORED = (
    ("EncryptedPackage", "application/vnd.ms-office-encrypted"),
    ("__substg1.0_", OUTLOOK),
    ("WordDocument", "application/msword"),
    ("Workbook", "application/vnd.ms-excel"),
    ("PowerPoint Document", "application/vnd.ms-powerpoint"),
)
ENCRYPTED_OFFICE = "application/vnd.ms-office-encrypted"
_OFFICE_FILES = frozenset({name for _, name in _ZIPPED} | {name for _, name in _STORED[2:]} | {"application/rtf"})
# A container that does not show what it holds, although its name ends so.
_NAMED = (
    (ZIP, ".docx", _ZIPPED[0][1]),
    (ZIP, ".xlsx", _ZIPPED[1][1]),
    (ZIP, ".pptx", _ZIPPED[2][1]),
    (OLE, ".doc", "application/msword"),
    (OLE, ".xls", "application/vnd.ms-excel"),
    (OLE, ".ppt", "application/vnd.ms-powerpoint"),
)
_TEXT_BYTES = bytes({7, 8, 9, 10, 12, 13, 27} | set(range(0x20, 0x100)))


def kind(data: bytes) -> str:
    """The content type that the first bytes show; "" when they show none.

    %PDF- may stand anywhere in the first 1,024 bytes (as in Acrobat: scanners and MacBinary put bytes before it), but
    bytes that are surely something else go first: a stored zip shows its first file's %PDF- there too.
    """
    head = data[:1024]
    if head.startswith(b"%PDF-"):
        return PDF
    if found := _FIRST.match(head):
        return _closer(_MAGIC[(found.lastindex or 1) - 1][1], data)
    return PDF if b"%PDF-" in head else ""


def by_name(kind: str, name: str) -> str:
    """The same, but an office file that only its name tells from any other container gets its own content type."""
    return next((office for box, end, office in _NAMED if kind == box and name.lower().endswith(end)), kind)


def office(kind: str) -> bool:
    """Whether an office program makes pages of it."""
    return kind in _OFFICE_FILES or kind.startswith("application/vnd.oasis.opendocument.")


def text_kind(data: bytes) -> str:
    """What sort of text this is, from its first characters; "" when it is no text."""
    head = data[:8192]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return TEXT
    if head.translate(None, _TEXT_BYTES):
        return ""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    return next((name for begins, name in _TEXTS if begins.match(start)), TEXT)


def pixels(data: bytes) -> tuple[int, int] | None:
    """Width and height of a picture such as mail signatures carry; None when they are not at hand."""
    head = data[:32].ljust(32, b"\0")
    width = height = 0
    if head.startswith(b"\x89PNG"):
        width, height = struct.unpack(">II", head[16:24])
    elif head.startswith(b"GIF8"):
        width, height = struct.unpack("<HH", head[6:10])
    elif head.startswith(b"BM"):
        width, height = struct.unpack("<ii", head[18:26])
    elif head.startswith(b"\xff\xd8"):
        width, height = _jpeg(data)
    return (width, abs(height)) if width and height else None


_MOST_SEGMENTS = 1000  # before the frame; a colour profile takes up to 255


def _jpeg(data: bytes) -> tuple[int, int]:
    """Width and height stand in the frame header, SOF0 to SOF15 (ISO 10918-1, B.2.2)."""
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if data[at : at + 1] != b"\xff" or at + 9 > len(data):
            break
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return 0, 0


def _closer(name: str, data: bytes) -> str:
    """An office file tells itself by the names inside its container."""
    if name == ZIP:
        if document := _OPEN_DOCUMENT.search(data, 0, 200):
            return document[1].decode()
        # File names stand in clear, at the latest in the directory at the end.
        ends = data[:8192] + data[-65_536:]
        return next((found for inner, found in (*_ZIPPED, *_OTHER_ZIPPED) if inner in ends), ZIP)
    if name == OLE:
        return next((office for inner, office in _STORED if inner.encode("utf-16-le") in data), OLE)
    return name
