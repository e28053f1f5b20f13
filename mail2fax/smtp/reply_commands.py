"""An answer to one of our replies: the sender asks to send the same document again, or to cancel.

Everything is decided while the client waits, so that whoever may not, or comes too late, is told by his own mail
server in our words; a 250 stands behind the commit that made the new fax or ended the old one. The answer itself is
not kept: of its text only the first line is looked at, in a process of its own.
"""

import asyncio
import hashlib

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.documents.orders import Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Envelope, Permanent, Reason, Refused
from mail2fax.rules import signed_address
from mail2fax.rules.address import AddressError
from mail2fax.rules.policy import Policy
from mail2fax.rules.signed_address import Action, Wish
from mail2fax.smtp import answers, limits, loops
from mail2fax.spool import Incoming, Spool, Work, operator, questions


class ReplyCommands:
    """What `resend+…@` and `cancel+…@` do."""

    def __init__(self, settings: Settings, spool: Spool, policy: Policy, pool: Pool, key: bytes) -> None:
        self._settings = settings
        self._spool = spool
        self._pool = pool
        self._policy = policy
        self._key = key

    def meant(self, path: str) -> bool:
        """Whether this is to be one of our signed addresses, rather than a number."""
        local_part, _, domain = path.rpartition("@")
        return self._settings.reply.resend and signed_address.claimed(local_part) and domain.lower() in self._domains

    @property
    def _domains(self) -> list[str]:
        return self._settings.smtp.domains

    async def refusal(self, path: str, reverse_path: str) -> str | None:
        """Why this sender may not ask for this now; None if he may."""
        wish = signed_address.read(path.rpartition("@")[0], self._key)
        if wish is None:
            return answers.NOT_OUR_ADDRESS
        try:
            await self._spool.read(operator.may_ask, wish.fax_id, reverse_path, cancel=wish.action is Action.CANCEL)
        except Refused as refused:
            return answers.refused_wish(str(refused))
        return None

    async def carry_out(self, path: str, envelope: Envelope, content: Incoming) -> str:
        """Do what the answer asks for, durably. The SMTP reply."""
        wish = signed_address.read(path.rpartition("@")[0], self._key)
        if wish is None:
            return answers.NOT_OUR_ADDRESS
        # RFC 3834 section 2: whatever answers by itself, in whatever words it says so, asks for nothing.
        if loops.automatic((content.inline or b"")[: loops.HEADER_BYTES]):
            return answers.AUTO_REPLIED
        try:
            if wish.action is Action.CANCEL:
                done = await self._spool.hand_on(
                    Work.REPLY, operator.cancel, wish.fax_id, _who(envelope), Reason.CANCELLED_BY_SENDER
                )
            else:
                done = await self._resend(wish, envelope, content, _key(envelope, path, content))
        except AddressError as error:
            return str(error)
        except Refused as refused:
            return answers.refused_wish(str(refused))
        log.answered(
            fax=wish.fax_id, action=wish.action, now=done, sender=envelope.reverse_path, client=envelope.client
        )
        return answers.accepted(done, known=False)

    async def _resend(self, wish: Wish, envelope: Envelope, content: Incoming, key: str) -> str:
        """The new fax's id. Raises Refused, or AddressError, with the rule or the limit that is in the way."""
        (fax,) = await self._spool.read(questions.named, wish.fax_id)
        number = (
            signed_address.new_number(await self._first_lines(content), self._settings.numbers.country) or fax.number
        )
        refusal = self._policy.recipient(f"{number}@{self._domains[0]}").refusal
        refusal = refusal or await limits.over_budget(self._policy, self._spool, envelope.reverse_path, number)
        if refusal:
            raise Refused(refusal)
        other = "" if number == fax.number else number
        return await self._spool.hand_on(Work.SUBMIT, operator.retry_once, key, fax.id, _who(envelope), other)

    async def _first_lines(self, content: Incoming) -> str:
        """Read in a process of its own, as every mail is."""
        if content.inline is None:
            raise Refused("the answer is too long: keep it to one line")
        with self._spool.workplace() as folder:
            source = folder / "answer"
            await asyncio.to_thread(source.write_bytes, content.inline)
            try:
                return (await self._pool.make(Task(source, folder, convert=()))).text
            except Permanent:
                raise Refused("the answer could not be read: answer with plain text") from None


def _who(envelope: Envelope) -> str:
    return f"answer of {envelope.reverse_path}"


def _key(envelope: Envelope, path: str, content: Incoming) -> str:
    # A client that lost our 250 brings the same answer again: it is one wish.
    parts = (content.sha256, envelope.reverse_path, path.lower(), "answer")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
