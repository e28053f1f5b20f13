"""A mail and a PDF as an office would send them, made fresh for a test."""

import io
import random
from email.message import EmailMessage
from email.policy import SMTP

import pikepdf


def pdf(pages: int = 1, *, size: int = 0, text: str = "Lab results") -> bytes:
    """A PDF with some text on each page; with `size`, at least that many bytes of noise in it as an image."""
    made = pikepdf.new()
    font = made.make_indirect(
        pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    )
    for n in range(pages):
        page = made.add_blank_page(page_size=(612, 792))
        page.Resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F1=font))
        draw = f"BT /F1 24 Tf 72 700 Td ({text}, page {n + 1}) Tj ET"
        if size and n == 0:
            side = int(size**0.5) + 1
            image = made.make_stream(random.Random(size).randbytes(side * side))
            for name, value in {
                "Type": pikepdf.Name.XObject,
                "Subtype": pikepdf.Name.Image,
                "Width": side,
                "Height": side,
                "BitsPerComponent": 8,
                "ColorSpace": pikepdf.Name.DeviceGray,
            }.items():
                image[f"/{name}"] = value
            page.Resources.XObject = pikepdf.Dictionary(I1=image)
            draw += " q 400 0 0 400 100 200 cm /I1 Do Q"
        page.Contents = made.make_stream(draw.encode())
    out = io.BytesIO()
    made.save(out, compress_streams=False)
    return out.getvalue()


def mail(
    *pdfs: bytes,
    subject: str = "A fax",
    name: str = "document.pdf",
    message_id: str = "",
    sender: str = "anna@office.example",
) -> bytes:
    """A multipart mail with these attachments."""
    made = EmailMessage(policy=SMTP)
    made["From"] = f"Anna <{sender}>"
    made["To"] = "6474959659@fax.local"
    made["Subject"] = subject
    if message_id:
        made["Message-ID"] = message_id
    made.set_content("Please fax.\n")
    for content in pdfs:
        made.add_attachment(content, "application", "pdf", filename=name)
    return made.as_bytes()
