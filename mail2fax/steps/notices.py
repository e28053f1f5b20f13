"""Mails to the administrator: the alerts that no sender can be told, or can mend."""

from email.utils import parseaddr

from mail2fax.model import Fax
from mail2fax.spool import Spool


async def alert(spool: Spool, kind: str, fax: Fax, note: str, once: str = "") -> None:
    """Owe [reply] admin a word, if there is an admin to be told: once a fax and kind, or once for `once`."""
    admin = parseaddr(spool.settings.reply.admin)[1]
    if admin:
        detail = {"kind": kind, "fax": fax.id, "sender": fax.sender, "line": fax.line, "note": note}
        about = {"fax_id": fax.id, "message_id": fax.message_id, "detail": detail}
        await spool.owe(once or f"{fax.id}-{kind[:8]}", "admin", admin, about)
