"""The end of step 1: what becomes of a mail that was read and not refused, and the answer that promises it.

Promise: 250 stands behind a commit. Whatever goes wrong before it is 4yz, and the client keeps the mail.
"""

import time

from mail2fax import log
from mail2fax.model import Envelope
from mail2fax.smtp import answers
from mail2fax.smtp.context import Lobby
from mail2fax.smtp.data import answer_to
from mail2fax.spool.contents.incoming import Incoming


async def accept(lobby: Lobby, envelope: Envelope, content: Incoming, besides: str) -> str:
    """Make a mail durable, or do what it asks for. `besides` is its recipient when it is no fax. The SMTP answer."""
    try:
        if not besides:
            return await _put(lobby, envelope, content)
        if lobby.answering and lobby.answering.meant(besides):
            return await _carry_out(lobby, envelope, content, besides)
        return await _forward(lobby, envelope, content)
    except Exception as error:  # noqa: BLE001 -- nothing was promised: the client keeps the mail and tries again
        log.not_accepted(client=envelope.client, sender=envelope.reverse_path, error=error)
        return answer_to(error)


async def _put(lobby: Lobby, envelope: Envelope, content: Incoming) -> str:
    begun = time.monotonic()
    receipt = await lobby.spool.put(envelope, content)
    fresh = len(envelope.recipients) - len(receipt.duplicates)
    lobby.room.accepted(fresh)
    log.accepted(receipt=receipt, envelope=envelope, size=content.size, seconds=time.monotonic() - begun)
    return answers.accepted(receipt.queue_id, known=not fresh)


async def _carry_out(lobby: Lobby, envelope: Envelope, content: Incoming, besides: str) -> str:
    """An answer to one of our replies: of the mail itself nothing is kept."""
    assert lobby.answering is not None
    try:
        return await lobby.answering.carry_out(besides, envelope, content)
    finally:
        content.discard()


async def _forward(lobby: Lobby, envelope: Envelope, content: Incoming) -> str:
    """Postmaster's mail (RFC 5321 section 4.5.1)."""
    queue_id = await lobby.spool.forward(envelope, content, lobby.settings.smtp.postmaster)
    log.accepted_for_postmaster(queue_id=queue_id, client=envelope.client, sender=envelope.reverse_path)
    return answers.accepted(queue_id, known=False)
