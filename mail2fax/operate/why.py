"""`explain` as a form: what would happen to a mail from this sender to that number, and to this file."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path

from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request

from mail2fax.config import Settings
from mail2fax.explain import Explanation, explain
from mail2fax.operate.filters import cleaned
from mail2fax.operate.gate import NotAllowed, refuse_strangers
from mail2fax.operate.sessions import Session

_FORM = 100_000  # bytes of a form beside its file


@contextlib.asynccontextmanager
async def filled_in(request: Request, session: Session, most: int) -> AsyncIterator[FormData]:
    """The form with its file, while the context lasts. Raises NotAllowed unless it is ours, and not too large."""
    refuse_strangers(request)
    if not request.headers.get("content-type", "").startswith("multipart/form-data"):
        raise NotAllowed("This form is not ours.")  # of another kind there would be no end of fields
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > most + _FORM:
        raise NotAllowed(f"The file is too large: a mail has {most} bytes at the most.")
    async with request.form(max_files=1, max_fields=10) as fields:
        if not session.fits(str(fields.get("token", ""))):
            raise NotAllowed("This form is not of your session: it may have ended meanwhile. Try again.")
        yield fields


async def explained(settings: Settings, fields: FormData) -> Explanation:
    """What would happen. Nothing is kept or sent."""
    sender, recipient, client = (cleaned(str(fields.get(name, ""))) for name in ("sender", "recipient", "client"))
    if "@" not in recipient:
        recipient = f"{recipient}@{settings.smtp.domains[0]}"
    upload = fields.get("file")
    content = await upload.read() if isinstance(upload, UploadFile) and upload.filename else b""
    name = cleaned(upload.filename or "") if isinstance(upload, UploadFile) else ""
    return await asyncio.to_thread(_explained, settings, sender, recipient, client or "127.0.0.1", content, name)


def _explained(settings: Settings, sender: str, recipient: str, client: str, content: bytes, name: str) -> Explanation:
    if not content:
        return explain(settings, sender, recipient, client)
    with tempfile.NamedTemporaryFile(prefix="mail2fax-") as file:
        file.write(content if name.lower().endswith(".eml") else _as_mail(content, name))
        file.flush()
        return explain(settings, sender, recipient, client, file=Path(file.name))


def _as_mail(content: bytes, name: str) -> bytes:
    """A document that was not mailed yet: as if it were attached."""
    mail = EmailMessage()
    mail["From"], mail["Date"] = "somebody@example.org", formatdate()
    mail.set_content("")
    mail.add_attachment(content, "application", "octet-stream", filename=Path(name).name)
    return mail.as_bytes()
