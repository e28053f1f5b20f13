"""What was sent, for those who may see it: the pages as the other machine prints them, and the reply in its words."""

import asyncio
import email
import email.policy
import re
import tempfile
from email.message import EmailMessage
from pathlib import Path

from mail2fax.config import Settings
from mail2fax.documents.orders import Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Fax, Refused
from mail2fax.replies.letters import Letters
from mail2fax.spool import Spool, questions


async def reply(settings: Settings, spool: Spool, fax: Fax) -> tuple[str, str]:
    """Subject and text of the reply about this fax, written again from what is known of it now.

    Raises Refused when none was sent. Replies are not kept: one that was sent before an operator resolved the fax,
    or with other templates, had other words.
    """
    if fax.reply != "sent":
        raise Refused(f"{fax.id}: no reply was sent{f', it is {fax.reply}' if fax.reply else ' yet'}")
    message = await spool.message(fax.message_id)
    faxes = [fax]
    if settings.reply.group and not fax.retry_of:
        faxes = [one for one in await spool.read(questions.named, message.id) if not one.retry_of]
    letters = Letters(settings, await spool.secret("resend"))
    mail = email.message_from_bytes(letters.outcome(message, faxes), policy=email.policy.default)
    text = mail.get_body(("plain",))
    return str(mail["Subject"]), text.get_content() if text else ""


async def printed(pool: Pool, spool: Spool, fax: Fax, *, most: int) -> tuple[list[bytes], int]:
    """The first pages of a fax's document as the other machine prints them, fine, as PNG; and how many it has.

    A worker draws them, as it draws whatever came from outside. Raises Refused when there is no document.
    """
    if not fax.document_id:
        raise Refused(f"{fax.id} has no document: none was made, or it is no longer kept")
    with tempfile.TemporaryDirectory(prefix="mail2fax-") as folder:
        source = Path(folder, "mail")
        async with spool.document(fax.document_id) as path:
            await asyncio.to_thread(lambda: source.write_bytes(_as_mail(path.read_bytes())))
        task = Task(source, Path(folder), page_size="keep", pages="as-is", max_pages=1000, print_folder=True)
        await pool.make(task)
        return await asyncio.to_thread(_pictures, Path(folder), most)


def _as_mail(pdf: bytes) -> bytes:
    """Workers take mails: this one holds the document alone."""
    mail = EmailMessage()
    mail.set_content(pdf, "application", "pdf", filename="document.pdf")
    return mail.as_bytes()


def _pictures(folder: Path, most: int) -> tuple[list[bytes], int]:
    """In the order of the pages, which their names count."""
    files = sorted(folder.glob("*-fine.png"), key=lambda file: [int(n) for n in re.findall(r"\d+", file.name)])
    return [file.read_bytes() for file in files[:most]], len(files)
