"""Step 5 of 5: tell the sender how it went. One reply a fax, or one summary a mail; never to a null reverse-path."""

import random
from collections.abc import Callable, Sequence
from functools import partial

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax, Reason, State, Verdict
from mail2fax.replies.letters import Letters, wanted
from mail2fax.rules.backoff import Backoff
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.spool import Spool, questions
from mail2fax.spool.questions import Correspondence, Piece
from mail2fax.steps.alerts import alert
from mail2fax.steps.offering import Offering

_FLOODED = 900.0  # seconds until a reply beyond [reply] max_per_hour is looked at again
_SIBLINGS = 30.0  # seconds until a reply that waits for the mail's other faxes looks again
_PIECES = 5.0  # seconds in which the pieces of a split mail come, if they come together
_FOLLOW = Backoff(1.0, _SIBLINGS)  # until one that is told of by another looks again


class Reply:
    """The step."""

    def __init__(
        self,
        settings: Settings,
        spool: Spool,
        letters: Letters,
        smarthost: Smarthost,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance`, in [0, 1), spreads the load of many that wait."""
        self._chance = chance
        self._rules = settings.reply
        self._preview = settings.reply.preview == "first"
        self._spool = spool
        self._letters = letters
        self._smarthost = smarthost
        self._offering = Offering(self._rules, chance)

    async def __call__(self, fax: Fax) -> None:
        """Send the reply that this fax owes."""
        about = await self._spool.read(questions.correspondence, fax)
        if fax.state is State.UNKNOWN and fax.finished_at:
            # A person has to find out how it ended. Once an hour: after a crash there are many.
            await alert(self._spool, "unknown", fax, "", once=f"unknown-{fax.finished_at:%Y%m%d%H}")
        if not about.message.envelope.reverse_path:
            # RFC 3834 section 2: never answer a null reverse-path.
            await self._suppress(fax, "null reverse-path")
        elif fax.reason is Reason.SPLIT_MAIL and not fax.retry_of:
            await self._piece(about, fax)
        elif self._rules.group and not fax.retry_of:
            await self._summary(about, fax)
        else:
            await self._tell(about, fax, [fax])

    async def _tell(self, about: Correspondence, fax: Fax, faxes: Sequence[Fax]) -> None:
        """Send the reply about these faxes, if anybody wants it and the sender is not flooded."""
        if not any(wanted(one) for one in faxes):
            await self._suppress(fax, "NOTIFY")
        elif 0 < self._rules.max_per_hour <= about.replies:
            await self._spool.postpone(fax, _FLOODED, event={"note": "[reply] max_per_hour is reached"})
        else:
            await self._send(about, fax, faxes)

    async def _summary(self, about: Correspondence, fax: Fax) -> None:
        """One mail for all: sent by the first fax once the last has ended."""
        faxes = [other for other in await self._spool.read(questions.named, fax.message_id) if not other.retry_of]
        leader = min(faxes, key=lambda other: int(other.id.rpartition("-")[2]))
        if await self._corrected(fax):
            await self._tell(about, fax, [fax])
        elif not all(other.final for other in faxes):
            await self._spool.postpone(fax, _SIBLINGS)
        elif leader.id != fax.id:
            await self._after(leader, fax)
        else:
            await self._tell(about, fax, faxes)

    async def _piece(self, about: Correspondence, fax: Fax) -> None:
        """A mail that came in pieces (RFC 2046 section 5.2.2): one reply for all of them, once they are there."""
        pieces = await self._spool.read(questions.pieces, fax)
        first = pieces[0] if pieces else fax  # none are found when its own time was set right by the clock
        told = next((other for other in pieces if other.replied_at), None)
        if told or (fax.attempts and first.id != fax.id):
            await self._after(told or first, fax)
        elif not fax.attempts:
            await self._spool.postpone(fax, _PIECES)
        else:
            await self._tell(about, fax, [fax])

    async def _corrected(self, fax: Fax) -> bool:
        """Whether a person's word, or a late proof, changes an outcome that the summary has told."""
        return any(event.what.startswith("reply ") for event in await self._spool.read(questions.history, fax.id))

    async def _after(self, leader: Fax | Piece, fax: Fax) -> None:
        """The first fax tells of all: hurry it, and follow."""
        if leader.replied_at:
            await self._spool.replied(fax, leader.reply, told_by=leader.id)
            return
        if fax.attempts == 0:  # once: more would hurry it past its own pauses while the smarthost is away
            await self._spool.hurry(leader.id)
        await self._spool.postpone(fax, _FOLLOW.pause(fax.attempts + 1, self._chance()))

    async def _send(self, about: Correspondence, fax: Fax, faxes: Sequence[Fax]) -> None:
        recipient = about.message.envelope.reverse_path

        async def postpone(verdict: Verdict, pause: float) -> None:
            await self._spool.postpone(fax, pause, what="reply", event={"note": verdict.note})
            log.reply_postponed(fax=fax.id, note=verdict.note, seconds=pause)

        async def give_up(verdict: Verdict) -> None:
            await self._spool.replied(fax, "undeliverable", note=verdict.note)
            log.reply_undeliverable(fax=fax.id, recipient=recipient, note=verdict.note)
            await alert(self._spool, "undeliverable", fax, verdict.note)

        owed_for = (fax.now - fax.finished_at).total_seconds() if fax.now and fax.finished_at else 0.0
        numbers = 1 if fax.retry_of else about.numbers
        letter = self._letters.outcome(about.message, faxes, preview=await self._picture(fax), numbers=numbers)
        hand_over = partial(self._smarthost.hand_over, letter, recipient)
        mail = (fax.id, fax.state, fax.finished_at)
        if await self._offering.once(
            mail, hand_over, attempts=fax.attempts, owed_for=owed_for, postpone=postpone, give_up=give_up
        ):
            told = await self._spool.replied(fax, "sent", to=recipient)
            self._offering.written(mail)
            log.replied(fax=fax.id, recipient=recipient, outcome=fax.state, seconds=told.age)

    async def _picture(self, fax: Fax) -> bytes | None:
        return await self._spool.read(questions.preview, fax.document_id) if self._preview else None

    async def _suppress(self, fax: Fax, why: str) -> None:
        await self._spool.replied(fax, "suppressed", why=why)
        log.reply_suppressed(fax=fax.id, why=why)
