"""The end of step 1: what becomes of a mail that was read and not refused, and the answer that promises it.

Promise: 250 stands behind a commit. Whatever goes wrong before it is 4yz, and the client keeps the mail.
"""

import time

from mail2fax import log
from mail2fax.model import Envelope
from mail2fax.smtp import answers
from mail2fax.smtp.context import Context
from mail2fax.spool import Incoming


async def accept(context: Context, envelope: Envelope, content: Incoming, special: str) -> str:
    """Make a mail durable, or do what it asks for. `special` is its recipient when it is no fax. The SMTP answer."""
    try:
        if not special:
            return await _put(context, envelope, content)
        if context.answering and context.answering.meant(special):
            return await context.answering.carry_out(special, envelope, content)
        return await _forward(context, envelope, content)
    except Exception as error:  # noqa: BLE001 -- nothing was promised: the client keeps the mail and tries again
        log.not_accepted(client=envelope.client, sender=envelope.reverse_path, error=error)
        return answers.to_error(error)


async def _put(context: Context, envelope: Envelope, content: Incoming) -> str:
    begun = time.monotonic()
    receipt = await context.spool.put(envelope, content)
    fresh = len(envelope.recipients) - len(receipt.duplicates)
    context.capacity.accepted(fresh)
    log.accepted(receipt=receipt, envelope=envelope, size=content.size, seconds=time.monotonic() - begun)
    return answers.accepted(receipt.queue_id, known=not fresh)


async def _forward(context: Context, envelope: Envelope, content: Incoming) -> str:
    """Postmaster's mail (RFC 5321 section 4.5.1)."""
    queue_id = await context.spool.forward(envelope, content, context.settings.smtp.postmaster)
    log.accepted_for_postmaster(queue_id=queue_id, client=envelope.client, sender=envelope.reverse_path)
    return answers.accepted(queue_id, known=False)
