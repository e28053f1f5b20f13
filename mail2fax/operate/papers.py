"""What was sent, for those who may see it: the reply to the sender, in its words."""

import email
import email.policy

from mail2fax.config import Settings
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
