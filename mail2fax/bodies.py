"""The bodies of a reply put together as MIME: text and HTML as alternatives, a picture, other parts. Pure."""

from collections.abc import Sequence
from email.message import EmailMessage, MIMEPart

from mail2fax.thread import POLICY

_LONGEST_LINE = 900

PREVIEW = "first-page"  # content id of the picture


def fill(
    letter: EmailMessage, text: str, html: str, preview: bytes | None, extra: Sequence[MIMEPart], *, report: bool
) -> None:
    """Give the letter its content. `report` makes it a multipart/report whose parts are `extra` (RFC 6522)."""
    if not extra:
        _write(letter, text, html, preview)
        return
    body = MIMEPart(policy=POLICY)
    _write(body, text, html, preview)
    letter["MIME-Version"] = "1.0"
    letter["Content-Type"] = "multipart/report; report-type=delivery-status" if report else "multipart/mixed"
    letter.set_payload([body, *extra])


def _write(part: MIMEPart, text: str, html: str, preview: bytes | None) -> None:
    part.set_content(text)
    # ASCII with character references needs no encoding, which would take longer than all the rest (measured).
    html = html.encode("ascii", "xmlcharrefreplace").decode()
    part.add_alternative(html, subtype="html", cte=_cte(html))
    shown = part.get_payload(1)
    if preview and isinstance(shown, MIMEPart):
        shown.add_related(preview, "image", "png", cid=f"<{PREVIEW}>", disposition="inline")


def _cte(html: str) -> str:
    # RFC 5322 section 2.1.1: no line is longer than 998 characters.
    return "7bit" if max(map(len, html.splitlines())) < _LONGEST_LINE else "base64"
