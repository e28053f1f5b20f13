"""Step 2 of 5: make one letter-size document of a mail, in a process of its own. Every part is accounted for."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.documents.orders import CoverSheet, MadeDocument, Task
from mail2fax.documents.pool import Pool
from mail2fax.model import Document, Fax, Headers, Outcome, Permanent, Reason, State
from mail2fax.model.text import cut
from mail2fax.rules import address
from mail2fax.spool import Account, Spool, questions

_TYPED = 60  # characters of an address that are told


class Prepare:
    """The step."""

    def __init__(self, settings: Settings, spool: Spool, pool: Pool) -> None:
        self._settings = settings
        self._spool = spool
        self._pool = pool
        # Each lock is there as long as somebody has it or waits for it.
        self._busy: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, fax: Fax) -> None:
        """Give the fax its document, or end it with the reason why there is none."""
        async with self._alone(fax.message_id):
            found = await self._known(fax) or await self._make(fax)
        if not fax.number:
            # Made all the same: the reply wants the mail's language and its account.
            found = _mistyped(fax, self._settings.numbers.country)
        if isinstance(found, Outcome):
            await self._spool.end(fax, found, {"reason": found.reason, **found.detail})
        elif found:
            await self._spool.proceed(fax, found)

    @contextlib.asynccontextmanager
    async def _alone(self, message_id: str) -> AsyncIterator[None]:
        """A mail to a hundred numbers is taken apart once: its other faxes wait here, and then find the documents."""
        async with self._busy.setdefault(message_id, asyncio.Lock()):
            yield

    async def _known(self, fax: Fax) -> Sequence[Document] | Outcome:
        """What was made of this mail for another recipient; nothing yet is an empty list."""
        refused, documents = await self._spool.read(questions.made, fax.message_id, self._variant(fax))
        if refused:
            return Outcome(State.FAILED, refused["status"], Reason(refused["reason"]), refused["detail"])
        return documents

    async def _make(self, fax: Fax) -> Outcome | None:
        """Make the documents and move the fax on, or say why there are none."""
        begun = time.monotonic()
        with self._spool.workplace() as folder:
            try:
                async with self._spool.content(fax.message_id) as source:
                    made = await self._pool.make(await self._task(fax, source, folder))
            except Permanent as verdict:
                refusal = Outcome(State.FAILED, verdict.status, verdict.reason, verdict.detail)
                await self._spool.file_account(fax.message_id, Account(Headers(), ()), refusal)
                return refusal
            account = Account(made.headers, made.parts)
            if made.reason:
                refusal = Outcome(State.FAILED, _status(made.reason), made.reason, made.detail)
                await self._spool.file_account(fax.message_id, account, refusal)
                return refusal
            if not fax.number:
                await self._spool.file_account(fax.message_id, account)
                return None
            await self._file(fax, account, made.documents)
        log.prepared(fax=fax.id, pages=sum(one.pages for one in made.documents), seconds=time.monotonic() - begun)
        return None

    async def _file(self, fax: Fax, account: Account, made: Sequence[MadeDocument]) -> None:
        variant = self._variant(fax)
        documents = [
            Document(f"{fax.message_id}.{variant}.{n}", fax.message_id, one.pages, one.size, one.sha256)
            for n, one in enumerate(made, start=1)
        ]
        kept = [(document, variant, one.file, one.preview) for document, one in zip(documents, made, strict=True)]
        await self._spool.file(fax, account, kept)

    def _variant(self, fax: Fax) -> str:
        """A document with a cover page is made for one number, all others for the whole mail."""
        return fax.number if self._covered(fax) else ""

    def _covered(self, fax: Fax) -> bool:
        wish = self._settings.cover.enabled
        return bool(fax.number) and (wish == "always" or (wish == "on-request" and fax.cover))

    async def _task(self, fax: Fax, source: Path, folder: Path) -> Task:
        rules, cover = self._settings.documents, self._settings.cover
        sheet = None
        if self._covered(fax):
            sender = (await self._spool.message(fax.message_id)).envelope.reverse_path
            sheet = CoverSheet(fax.number, cover.company, cover.template, sender)
        return Task(
            source=source,
            folder=folder,
            several=rules.several,
            incomplete=rules.incomplete,
            page_size=rules.page_size,
            pages=rules.pages,
            max_pages=rules.max_pages,
            convert=tuple(rules.convert),
            cover=sheet,
            preview=self._settings.reply.preview == "first",
        )


def _mistyped(fax: Fax, country: str) -> Outcome:
    """How a fax ends that has no number: with what is wrong about the address."""
    typed, _, _ = fax.recipient.rpartition("@")
    detail: dict[str, Any] = {"typed": cut(typed, _TYPED)}
    try:
        address.parse(typed, country)
    except address.MistypedError as error:
        detail |= error.detail
    except address.AddressError:
        pass  # another version, or another setting, took it
    return Outcome(State.FAILED, "5.1.3", Reason.NUMBER_MISTYPED, detail)


def _status(reason: Reason) -> str:
    # RFC 3463: 5.6.1 media not supported, 5.6.0 other media error, 5.3.4 too big.
    if reason in {Reason.NOTHING_FAXABLE, Reason.UNSUPPORTED, Reason.NOT_A_PDF}:
        return "5.6.1"
    return "5.3.4" if reason is Reason.TOO_MANY_PAGES else "5.6.0"
