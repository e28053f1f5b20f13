"""What clients were promised, held against what the fax API and the mail server saw: nothing lost, nothing doubled.

Each mail of the ledger has its own sender, and each of its recipients its own number: so both records can be read
without asking the bridge. A client here behaves like a mail server: without a 250 it sends the same bytes again.
"""

import asyncio
import itertools
import json
import smtplib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

from mail2fax.model import FINAL, State
from tests.support.faxapi import FaxApi
from tests.support.outbox import Mail, Outbox
from tests.support.samples import mail

AGAIN = 0.2  # seconds until a client tries again
_numbers = itertools.count(4_162_000_000)
_CLIENTS = ThreadPoolExecutor(32, "client")


@dataclass(eq=False)
class Promise:
    """One mail, and the ids it was accepted under: more than one only if that was a known duplicate."""

    sender: str
    numbers: list[str]
    content: bytes
    faxable: bool
    ids: list[str] = field(default_factory=list)
    tries: int = 0
    codes: set[int] = field(default_factory=set)  # what it was answered, but for the 250


@dataclass(frozen=True)
class Told:
    """What a reply said of one fax."""

    mail_id: str  # the reply's Message-ID
    fax: str
    number: str
    state: str
    answered: bool = True  # whether the mail server said that it took the reply
    at: float = 0.0  # when the reply came, by the monotonic clock


@dataclass
class Ledger:
    """All mails of one test."""

    faxapi: FaxApi
    outbox: Outbox
    mails: list[Promise] = field(default_factory=list)
    asked_again: Counter[str] = field(default_factory=Counter)  # number -> sendings that a person asked for

    _read: list[list[Told]] = field(default_factory=list)  # of each reply: reading one takes a while

    @staticmethod
    def number() -> str:
        """A number that no other mail is for."""
        return str(next(_numbers))

    async def deliver(self, where: Callable[[], tuple[str, int]], *pdfs: bytes, numbers: int = 1) -> Promise:
        """Send a mail until somebody at `where()` says 250."""
        mine = [self.number() for _ in range(numbers)]
        sender = f"s{mine[0]}@office.example"
        content = mail(*pdfs, subject=f"Fax {mine[0]}", sender=sender, message_id=f"<{mine[0]}@office.example>")
        promise = Promise(sender, mine, content, faxable=bool(pdfs))
        self.mails.append(promise)
        while not (accepted := await asyncio.get_running_loop().run_in_executor(_CLIENTS, _offer, where(), promise)):
            await asyncio.sleep(AGAIN)
        promise.ids.append(accepted)
        return promise

    def told(self) -> dict[str, list[Told]]:
        """What the senders were told, by number."""
        for reply in self.outbox.mails[len(self._read) :]:
            self._read.append(_told(reply))
        found: dict[str, list[Told]] = {}
        for tale in itertools.chain.from_iterable(self._read):
            found.setdefault(tale.number, []).append(tale)
        return found

    def untold(self) -> list[str]:
        """Numbers of accepted mails whose sender has heard nothing yet."""
        told = self.told()
        return [number for one in self.mails if one.ids for number in one.numbers if number not in told]

    async def settled(self, timeout: float) -> None:
        """Back when every sender was told, or after so many seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self.untold():
                    await self.outbox.wait(len(self.outbox.mails) + 1)

    def wrongs(self) -> list[str]:
        """Each broken promise, in words. Empty when all were kept."""
        told = self.told()
        sent = Counter(post.number for post in self.faxapi.posts)
        known = {number: one for one in self.mails for number in one.numbers}
        return [
            *(f"lost: {number} was accepted, and its sender never told" for number in self.untold()),
            *(
                f"doubled: {number} was sent {count} times"
                for number, count in sent.items()
                if count > 1 + self.asked_again[number]
            ),
            *(f"faxed unasked: {number}" for number in sent if number not in known),
            *(wrong for number, one in known.items() for wrong in _contradictions(one, sent[number], told.get(number))),
            *("a reply to a null reverse-path" for reply in self.outbox.mails if not reply.recipient),
            *("a reply that can be replied to" for reply in self.outbox.mails if reply.sender),
            *(
                f"a reply to {reply.recipient}, who sent nothing"
                for reply in self.outbox.mails
                if reply.recipient not in {one.sender for one in self.mails}
            ),
        ]


def _told(reply: Mail) -> list[Told]:
    """What one reply says of outcomes, by its part for machines. A "still trying" says nothing of them."""
    message = reply.message
    parts = [part for part in message.walk() if part.get_content_type() == "application/json"]
    return [
        Told(message["Message-ID"], fax["id"], fax["number"], fax["state"], reply.answered, reply.at)
        for part in parts
        for fax in json.loads(part.get_payload(decode=True))["faxes"]
        if State(fax["state"]) in FINAL
    ]


def _contradictions(one: Promise, sent: int, told: list[Told] | None) -> list[str]:
    found = []
    for tale in told or []:
        if tale.state == "delivered" and not sent:
            found.append(f"lost: {tale.number} was told delivered, and never sent")
        if tale.state == "delivered" and not one.faxable:
            found.append(f"wrong: {tale.number} has nothing to fax, and was told delivered")
        if tale.fax.rpartition("-")[0] not in one.ids:
            found.append(f"wrong: {tale.number} was accepted as {one.ids}, and told as {tale.fax}")
    # A reply that was cut off by a kill is repeated, word for word and under its own Message-ID; no fax has two ends,
    # but a doubt may be followed by the provider's own word.
    ends = [tale for tale in told or [] if tale.state != "unknown"] or told or []
    if len({(tale.fax, tale.mail_id, tale.state) for tale in ends}) > len({tale.fax for tale in ends}):
        found.append(f"wrong: {one.sender} was told several outcomes: {told}")
    return found


def _offer(address: tuple[str, int], promise: Promise) -> str:
    """One try of a mail server: the queue id if the mail was accepted, else nothing."""
    promise.tries += 1
    try:
        with smtplib.SMTP(*address, timeout=30) as client:
            client.ehlo("relay.example")
            code, _ = client.mail(promise.sender)
            if code != 250:
                promise.codes.add(code)
                return ""
            for number in promise.numbers:
                code, _ = client.rcpt(f"{number}@fax.local")
                if code != 250:
                    promise.codes.add(code)
                    return ""
            code, text = client.data(promise.content)
            if code != 250:
                promise.codes.add(code)
            # "accepted as ID", or "accepted as ID when the same mail came before, not faxed again"
            return text.decode().split(" as ")[1].split()[0] if code == 250 else ""
    except smtplib.SMTPResponseException as refused:
        promise.codes.add(refused.smtp_code)
        return ""
    except (OSError, smtplib.SMTPException):
        return ""
