"""What the administrator is told by mail: what nobody else can be told, or can mend."""

from mail2fax import moves
from mail2fax.model import Fax
from mail2fax.spool import NOTICE, Spool


async def alert(spool: Spool, kind: str, fax: Fax, note: str) -> None:
    """Owe [reply] admin a word about this fax, if there is an admin to be told. Once a fax and kind."""
    admin = spool.settings.reply.admin
    if admin:
        detail = {"kind": kind, "fax": fax.id, "sender": fax.sender, "line": fax.line, "note": note}
        about = {"fax_id": fax.id, "message_id": fax.message_id, "detail": detail}
        await spool.hand_on(NOTICE, moves.owe, f"{fax.id}-{kind[:8]}", "admin", admin, about)
