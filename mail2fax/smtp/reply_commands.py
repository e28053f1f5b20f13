"""An answer to one of our replies: the sender asks to send the same document again, or to cancel.

Everything is decided while the client waits, so that whoever may not, or comes too late, is told by his own mail
server in our words; a 250 stands behind the commit that made the new fax or ended the old one. What is not clearly a
wish does nothing: it goes on to the person behind [reply] sender, or is refused with words that say how to ask.
"""

import asyncio
import contextlib
import hashlib
import shutil

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.documents.orders import Made, Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Envelope, Fate, Fax, Part, Permanent, Reason, Refused, State
from mail2fax.rules import answer_text, signed_address
from mail2fax.rules.address import AddressError
from mail2fax.rules.answer_text import Doubt, Doubtful
from mail2fax.rules.policy import Policy
from mail2fax.rules.signed_address import Action, Wish
from mail2fax.smtp import answers, limits, loops
from mail2fax.spool import Incoming, Spool, Work, questions, wishes

_UNREADABLE = "the answer could not be read: answer with plain text"
_MOST_TOLD = 5  # unclear answers to one fax that are answered: a machine that answers each of our mails gets no more


class ReplyCommands:
    """What `resend+…@` and `cancel+…@` do."""

    def __init__(self, settings: Settings, spool: Spool, policy: Policy, pool: Pool, key: bytes) -> None:
        self._settings = settings
        self._spool = spool
        self._pool = pool
        self._policy = policy
        self._key = key
        # A mailbox of our own domain would come back to us.
        mailbox = settings.reply.mailbox
        self._person = "" if mailbox.rpartition("@")[2].lower() in settings.smtp.domains else mailbox

    def meant(self, path: str) -> bool:
        """Whether this is to be one of our signed addresses, rather than a number."""
        local_part, _, domain = path.rpartition("@")
        return self._settings.reply.resend and signed_address.claimed(local_part) and domain.lower() in self._domains

    def known(self, path: str) -> bool:
        """Whether one of our replies gave this address, whoever may use it."""
        return signed_address.read(path.rpartition("@")[0], self._key) is not None

    @property
    def _domains(self) -> list[str]:
        return self._settings.smtp.domains

    async def refusal(self, path: str, reverse_path: str) -> str | None:
        """Why this sender may not ask for this now; None if he may."""
        wish = signed_address.read(path.rpartition("@")[0], self._key)
        if wish is None:
            return answers.NOT_OUR_ADDRESS
        try:
            await self._spool.read(wishes.may_ask, wish.fax_id, reverse_path, cancel=wish.action is Action.CANCEL)
        except Refused as refused:
            return answers.refused_wish(str(refused))
        return None

    async def carry_out(self, path: str, envelope: Envelope, content: Incoming) -> str:
        """Do what the answer asks for, durably. The SMTP reply. The answer is kept only if a person is to read it."""
        wish = signed_address.read(path.rpartition("@")[0], self._key)
        if wish is None:
            return answers.NOT_OUR_ADDRESS
        key = _key(envelope, path, content)
        with contextlib.ExitStack() as unless_kept:
            unless_kept.callback(content.discard)
            try:
                return await self._obeyed(wish, envelope, content, key)
            except Doubtful as doubtful:
                if not self._person:
                    return doubtful.answer or answers.doubtful(wish.action, doubtful.doubt)
                unless_kept.pop_all()
                return await self._pass_on(wish, envelope, content, doubtful.doubt, key)

    async def _obeyed(self, wish: Wish, envelope: Envelope, content: Incoming, key: str) -> str:
        """The SMTP reply, once what is asked for is done or refused. Raises Doubtful."""
        try:
            made = await self._read(content)
            done = await self._done(wish, envelope, made, key)
        except _Automatic:
            # RFC 3834 section 2: whatever answers by itself, in whatever words it says so, asks for nothing.
            return answers.AUTO_REPLIED
        except AddressError as error:
            raise Doubtful(Doubt.NUMBER, str(error)) from None
        except Refused as refused:
            return answers.refused_wish(str(refused))
        log.answered(
            fax=wish.fax_id, action=wish.action, now=done, sender=envelope.reverse_path, client=envelope.client
        )
        return answers.accepted(done, known=False)

    async def _done(self, wish: Wish, envelope: Envelope, made: Made, key: str) -> str:
        """Cancel, or send again. The id of the fax that this is about now."""
        if any(map(_brought, made.parts)):
            raise Doubtful(Doubt.ATTACHMENT)
        if wish.action is Action.CANCEL:
            answer_text.cancels(made.text, made.headers.from_)
            return await self._spool.hand_on(Work.REPLY, wishes.cancel, wish.fax_id, _who(envelope))
        (fax,) = await self._spool.read(questions.named, wish.fax_id)
        once = answer_text.once_more(made.text, made.headers.from_, self._settings.numbers.country)
        if not once.number:
            ours = (await self._spool.message(fax.message_id)).headers.subject
            answer_text.refuse_other(made.headers.subject, f"{fax.number or fax.recipient} {ours}")
        if not (once.number or fax.number):
            raise Doubtful(Doubt.NO_NUMBER)
        # One that may have arrived, or was sent again already, takes more than a nod: it would be sent twice.
        if not once.named and (fax.state is State.UNKNOWN or fax.retry_of):
            raise Doubtful(Doubt.NO_WORD)
        await self._refuse_unless_allowed(envelope, fax, once.number)
        return await self._send_again(fax, envelope, "" if once.number == fax.number else once.number, key)

    async def _refuse_unless_allowed(self, envelope: Envelope, fax: Fax, new: str) -> None:
        """Raises Doubtful for a number that may not be dialled, Refused for what its sender may not have."""
        number = new or fax.number
        refusal = self._policy.recipient(f"{number}@{self._domains[0]}").refusal
        if refusal and new:
            raise Doubtful(Doubt.NUMBER, refusal)
        refusal = refusal or await limits.over_budget(self._policy, self._spool, envelope.reverse_path, number)
        if refusal:
            raise Refused(refusal)

    async def _send_again(self, fax: Fax, envelope: Envelope, number: str, key: str) -> str:
        work = Work.SUBMIT if fax.document_id and not (number and fax.cover) else Work.PREPARE
        line = self._policy.line(envelope.reverse_path, number)
        fresh = await self._spool.hand_on(work, wishes.send_again, key, fax.id, _who(envelope), number, line)
        # A commit of its own: should we die before it, the new fax's own reply still comes.
        await self._spool.owe(f"{fresh}-again", "again", envelope.reverse_path, _about(fresh))
        return fresh

    async def _read(self, content: Incoming) -> Made:
        """What the answer holds, read in a process of its own, as every mail is. Raises _Automatic, Refused."""
        await content.finish()
        with self._spool.workplace() as folder:
            source = folder / "answer"
            if content.inline is None:
                await asyncio.to_thread(shutil.copyfile, content.path, source)
            else:
                await asyncio.to_thread(source.write_bytes, content.inline)
            with source.open("rb") as file:
                if loops.automatic(file.read(loops.HEADER_BYTES)):
                    raise _Automatic
            try:
                made = await self._pool.make(Task(source, folder, convert=()))
            except Permanent:
                raise Refused(_UNREADABLE) from None
        if made.reason is Reason.MAIL_BOMB:  # nothing of it was read: it is not an empty answer
            raise Refused(_UNREADABLE)
        if loops.away(made.headers.subject):
            raise _Automatic
        return made

    async def _pass_on(self, wish: Wish, envelope: Envelope, content: Incoming, doubt: Doubt, key: str) -> str:
        """Nothing is done. Whoever reads the mailbox of [reply] sender gets the answer, and its author a word of it."""
        queue_id = await self._spool.forward(envelope, content, self._person)
        said = "cancel" if wish.action is Action.CANCEL else doubt.value
        about = {**_about(wish.fax_id), "detail": {"doubt": said}}
        name = f"{wish.fax_id}-{key[:8]}"
        await self._spool.owe(name, "passed-on", envelope.reverse_path, about, most=_MOST_TOLD)
        log.answer_passed_on(fax=wish.fax_id, queue_id=queue_id, doubt=doubt, sender=envelope.reverse_path)
        return answers.passed_on(queue_id)


class _Automatic(Exception):  # noqa: N818 -- a verdict on a mail
    """A machine wrote it."""


def _brought(part: Part) -> bool:
    """Whether it may be a document that is meant to be faxed: all but a picture, which may be of a signature."""
    picture = part.kind.startswith("image/") and part.kind != "image/tiff"  # that one is a scan
    return part.fate is not Fate.IGNORED and not picture


def _about(fax_id: str) -> dict[str, str]:
    return {"fax_id": fax_id, "message_id": fax_id.partition("-")[0]}


def _who(envelope: Envelope) -> str:
    return f"answer of {envelope.reverse_path}"


def _key(envelope: Envelope, path: str, content: Incoming) -> str:
    # A client that lost our 250 brings the same answer again: it is one wish.
    parts = (content.sha256, envelope.reverse_path, path.lower(), "answer")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
