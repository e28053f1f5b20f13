"""Mails that are owed besides outcomes: to the sender, to postmaster, and to an administrator."""

import random
from collections.abc import Callable
from dataclasses import replace
from email.utils import format_datetime
from functools import partial

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax, Message, Notice, Reason, State, Verdict
from mail2fax.replies.letters import Letters, wanted
from mail2fax.smarthost.smarthost import Smarthost
from mail2fax.spool import Spool, questions
from mail2fax.steps.offering import Offering


class Remind:
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
        self._hostname = settings.smtp.hostname
        self._spool = spool
        self._letters = letters
        self._smarthost = smarthost
        self._offering = Offering(settings.reply, chance)

    async def __call__(self, owed: Notice) -> None:
        """Send the notice, or drop it when it is no longer true."""
        letter, recipient = await self._letter(owed)
        if not letter:
            await self._spool.noticed(owed, "suppressed")
            return

        async def postpone(verdict: Verdict, pause: float) -> None:
            await self._spool.noticed(owed, "", pause)
            log.reply_postponed(fax=owed.id, note=verdict.note, seconds=pause)

        async def give_up(verdict: Verdict) -> None:
            await self._spool.noticed(owed, "undeliverable")
            log.reply_undeliverable(fax=owed.id, recipient=recipient, note=verdict.note)

        owed_for = (owed.now - owed.created_at).total_seconds() if owed.now else 0.0
        hand_over = partial(self._smarthost.hand_over, letter, recipient)
        if await self._offering.once(
            owed.id, hand_over, attempts=owed.attempts, owed_for=owed_for, postpone=postpone, give_up=give_up
        ):
            await self._spool.noticed(owed, "sent")
            self._offering.written(owed.id)
            log.noticed(fax=owed.fax_id or owed.message_id, kind=owed.kind, recipient=recipient)

    async def _letter(self, owed: Notice) -> tuple[bytes, str]:
        """The mail and whom it goes to; no bytes when it is of no use any more."""
        if owed.kind == "postmaster":
            return await self._forwarded(owed), owed.recipient
        if owed.kind == "admin":
            return self._letters.admin(owed.detail["kind"], owed.detail, notice_id=owed.id), owed.recipient
        (fax,) = await self._spool.read(questions.named, owed.fax_id)
        message = await self._spool.message(fax.message_id)
        held = any(one.line == fax.line and one.held for one in await self._spool.read(questions.trouble_list))
        waiting = replace(fax, reason=Reason.LINE_HELD) if held and fax.state is State.PREPARED else fax
        return await self._to_sender(owed, message, waiting), message.envelope.reverse_path

    async def _to_sender(self, owed: Notice, message: Message, fax: Fax) -> bytes:
        # RFC 3834 section 2: never answer a null reverse-path.
        if not message.envelope.reverse_path:
            return b""
        if owed.kind == "passed-on":
            return self._letters.passed_on(message, fax, owed.detail.get("doubt", ""), notice_id=owed.id)
        if fax.final or not wanted(fax):
            return b""  # its outcome is told, or nothing is to be
        if owed.kind == "again":
            (before,) = await self._spool.read(questions.named, fax.retry_of)
            return self._letters.again(message, fax, fresh=before.number != fax.number)
        numbers = 1 if fax.retry_of else await self._spool.read(questions.numbers, message.id)
        return self._letters.delayed(message, fax, next_at=fax.due_at, numbers=numbers)

    async def _forwarded(self, owed: Notice) -> bytes:
        message = await self._spool.message(owed.message_id)
        async with self._spool.content(owed.message_id) as path:
            # RFC 5321 section 4.4: whoever passes a mail on says so on its top.
            client = message.envelope.helo or message.envelope.client
            trace = f"Received: from {client} by {self._hostname} with ESMTP id {message.id};\r\n"
            trace += f"\t{format_datetime(message.received_at)}\r\n"
            return trace.encode() + path.read_bytes()
