"""Mails for tests, put together by hand: what is written here is what is on the wire, faults and all."""

import base64
import binascii
import struct
import zlib
from collections.abc import Iterable

CRLF = b"\r\n"


def pdf(text: str = "Hello", *, pages: int = 1) -> bytes:
    """A small whole PDF of letter pages that show the text."""
    content = f"BT /F 24 Tf 72 700 Td ({text}) Tj ET".encode()
    kids = " ".join(f"{4 + number} 0 R" for number in range(pages))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {pages} >>".encode(),
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    ]
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
    page = b"/Parent 2 0 R /MediaBox [0 0 612 792] /Contents 3 0 R /Resources << /Font << /F %s >> >>" % font
    objects += [b"<< /Type /Page %s >>" % page] * pages
    file = b"%PDF-1.4\n"
    offsets = []
    for number, body in enumerate(objects, 1):
        offsets.append(len(file))
        file += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        file
        + b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n"
        % (
            size,
            table,
            size,
            len(file),
        )
    )


def png(width: int, height: int) -> bytes:
    """A white picture of this size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress((b"\0" + b"\xff" * ((width + 7) // 8)) * height)
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(data: bytes, encoding: str) -> bytes:
    """The data in a transfer encoding."""
    if encoding == "base64":
        return base64.encodebytes(data).replace(b"\n", CRLF)
    if encoding == "quoted-printable":
        return binascii.b2a_qp(data, istext=False).replace(b"\n", CRLF)
    if encoding == "x-uuencode":
        lines = [binascii.b2a_uu(data[at : at + 45]) for at in range(0, len(data), 45)]
        return (b"begin 644 file\n" + b"".join(lines) + b"`\nend\n").replace(b"\n", CRLF)
    return data


def part(
    data: bytes,
    kind: str = "application/pdf",
    *,
    name: str = "",
    encoding: str = "base64",
    disposition: str = "attachment",
    headers: Iterable[str] = (),
) -> bytes:
    """An entity with its header. Without a kind, an encoding or a disposition that field is left out."""
    lines = [f"Content-Type: {kind}"] if kind else []
    lines += [f"Content-Transfer-Encoding: {encoding}"] if encoding else []
    if disposition:
        lines.append(f"Content-Disposition: {disposition}" + (f'; filename="{name}"' if name else ""))
    return CRLF.join([*(line.encode() for line in [*lines, *headers]), b"", encoded(data, encoding)])


def text(words: str = "Please see attached.", kind: str = "text/plain; charset=utf-8") -> bytes:
    """A text as mail programs write it."""
    return part(words.encode(), kind, encoding="8bit", disposition="")


def multipart(*parts: bytes, kind: str = "mixed", boundary: str = "=_boundary") -> bytes:
    """Parts in a multipart."""
    line = b"--" + boundary.encode()
    body = b"".join(line + CRLF + each + CRLF for each in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"'.encode() + CRLF * 2 + body + line + b"--" + CRLF


def mail(content: bytes, *, subject: str = "A fax", headers: Iterable[str] = ()) -> bytes:
    """A message around an entity."""
    lines = [
        "From: Anna <anna@office.example>",
        "To: <6474959659@fax.local>",
        f"Subject: {subject}",
        "Date: Fri, 14 Nov 2025 09:30:00 -0500",
        "Message-ID: <1@office.example>",
        "MIME-Version: 1.0",
        *headers,
    ]
    return CRLF.join(line.encode() for line in lines) + CRLF + content


def office_mail(*documents: bytes, words: str = "Please see attached.") -> bytes:
    """An ordinary mail: a text, and PDFs called scan-1.pdf, scan-2.pdf, …"""
    parts = (part(data, name=f"scan-{number}.pdf") for number, data in enumerate(documents, 1))
    return mail(multipart(text(words), *parts))


def winmail(*files: tuple[str, bytes]) -> bytes:
    """A TNEF stream with these files."""

    def attribute(name: int, data: bytes) -> bytes:
        return struct.pack("<BII", 2, name, len(data)) + data + struct.pack("<H", sum(data) & 0xFFFF)

    stream = b"\x78\x9f\x3e\x22\x01\x00"
    for name, data in files:
        stream += attribute(0x0006_9002, bytes(14))
        stream += attribute(0x0001_8010, name.encode("cp1252") + b"\0")
        stream += attribute(0x0006_800F, data)
    return stream


def cms(content: bytes | None, *, kind: str = "2a864886f70d010702", chunk: int = 0) -> bytes:
    """CMS signed data without any signer; BER with indefinite lengths if cut into chunks."""

    def value(tag: int, *inner: bytes) -> bytes:
        data = b"".join(inner)
        if chunk and tag & 0x20:
            return bytes([tag, 0x80]) + data + b"\0\0"
        size = len(data).to_bytes(4, "big")
        return bytes([tag, 0x84]) + size + data

    octets = b""
    if content is not None and chunk:
        pieces = (content[at : at + chunk] for at in range(0, len(content), chunk))
        octets = value(0xA0, value(0x24, *(value(0x04, piece) for piece in pieces)))
    elif content is not None:
        octets = value(0xA0, value(0x04, content))

    def identifier(oid: str) -> bytes:
        return bytes([6, len(oid) // 2]) + bytes.fromhex(oid)

    signed = value(
        0x30, b"\x02\x01\x01", value(0x31), value(0x30, identifier("2a864886f70d010701"), octets), value(0x31)
    )
    return value(0x30, identifier(kind), value(0xA0, signed))
