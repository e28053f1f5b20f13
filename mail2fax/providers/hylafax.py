"""Provider `hylafax`: an office's own modems, behind HylaFAX's hfaxd.

A job has its number before it is submitted: JNEW gives it, the commit writes it down, JSUBM hands the job over. So a
lost answer is settled on a new connection, where an API over HTTP leaves a doubt. docs/providers.md shows the table.
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mail2fax import log
from mail2fax.config import Provider
from mail2fax.model import (
    Capabilities,
    Cause,
    Line,
    LineHeld,
    Permanent,
    Progress,
    Reason,
    State,
    Stopped,
    Temporary,
    Trace,
    Unclear,
    Verdict,
)
from mail2fax.providers import Commit, hfaxd
from mail2fax.providers.hfaxd import Dialogue, Lost, Refused

CONNECT = 10.0  # seconds for the connection and the login
TIDY = 2.0  # seconds for taking a job back that was not submitted
PROOF = 900.0  # seconds after which a job that is not there may have been done, and swept
LONGEST_WORD = 60

OPTIONS: Mapping[str, str | int | bool] = {
    "resolution": 196,  # lines an inch: 98 (normal) or 196 (fine)
    "tries": 3,  # calls that a fax machine answers
    "dials": 12,  # calls in all
    "hours": 3,  # after which HylaFAX gives up
}

# HylaFAX's STATUSCODE, where it says more than its text. A job that used up its tries has 333 whatever the reason.
_CODES = {1: Cause.BUSY, 2: Cause.NO_FAX, 3: Cause.NO_ANSWER, 4: Cause.LINE_TROUBLE, 5: Cause.NUMBER_INVALID}
# Its texts, as they stand in the programs of 6.0.7: the first that fits.
_TEXTS = (
    (r"T1 timeout|no receiver protocol|no carrier|voice", Cause.NO_FAX),
    (r"busy", Cause.BUSY),
    (r"no answer|ringback", Cause.NO_ANSWER),
    (r"invalid dial|can not dial|bad destination", Cause.NUMBER_INVALID),
    (r"aborted|killed by|removed by", Cause.CANCELLED),
    (r"disconnected prematurely", Cause.HUNG_UP),
    (r"document|conver|postscript|pdf|too many pages", Cause.DOCUMENT),
    (r"(setup|configure|assign) modem|send program", Cause.PROVIDER),
    (
        r"dial ?tone|modem|train|response|respond|carrier|silence|timeout|synchron|remote|failure|hangup",
        Cause.LINE_TROUBLE,
    ),
    (
        r"dcn|protocol|t\.30|v\.\d\d|tcf|pps|page|frame|signal|phase|ecm|flow control|session|pin or pip",
        Cause.LINE_TROUBLE,
    ),
)
_SUSPENDED = "SUSPENDED"  # made, and not with the scheduler yet; said for a moment after JSUBM, too
_WAITING: Mapping[str, str] = {
    _SUSPENDED: "Queued",
    "PENDING": "Waiting for its time",
    "SLEEPING": "Waiting to dial again",
    "BLOCKED": "Waiting for another fax to this number",
    "READY": "Waiting for a modem",
}
_OVER = frozenset({"DONE", "FAILED"})
_ASKED = ("STATE", "STATUS", "STATUSCODE", "NPAGES", "TOTPAGES", "TOTDIALS")


class HylaFax:
    """See `providers.Provider`. No connection is kept; a provider ref is the job's number and our tag."""

    capabilities = Capabilities(finds=True, cancels=True, forgets=True, tells_pages=True, tells_cause=True)

    def __init__(self, settings: Provider) -> None:
        target = urlsplit(settings.url)
        self._host = target.hostname or "127.0.0.1"
        self._port = target.port or hfaxd.PORT
        self._user = unquote(target.username or "mail2fax")
        self._timeout = settings.timeout

    async def submit(
        self,
        line: Line,
        number: str,
        document: Path,
        name: str,  # noqa: ARG002 -- hfaxd names documents itself
        commit: Commit,
        reference: str,
    ) -> str:
        """Hand over a PDF; see `Provider.submit`."""
        offer = _Offer(number, reference, _options(line), self._timeout)
        async with self._mapped(offer), self._dialogue(line) as dialogue:
            return await offer.made(dialogue, document, commit)

    async def status(self, line: Line, ref: str) -> Progress:
        """How the job stands; see `Provider.status`."""
        async with self._mapped(), self._dialogue(line) as dialogue, asyncio.timeout(self._timeout):
            if not (state := await _state(dialogue, ref)):
                why = "cannot show it now" if state == "" else "knows no such job of this fax any more"
                raise Temporary(Reason.PROVIDER_BUSY, note=f"job {_job(ref)}: HylaFAX {why}")
            return progress({name: await dialogue.ask(name) for name in _ASKED})

    async def find(self, line: Line, reference: str, number: str, since: datetime, ref: str) -> Trace:  # noqa: ARG002
        """Whether the job was submitted; see `Provider.find`. Soon after, a job that is not there never was."""
        async with self._mapped(), self._dialogue(line) as dialogue, asyncio.timeout(self._timeout):
            state = await _state(dialogue, ref) if ref else None
            if state is not None:
                # Suspended, or not readable yet: the connection that made it may still hand it over, or delete it.
                return Trace() if state in {"", _SUSPENDED} else Trace(ref)
            if job := await _tagged(dialogue, reference):
                return Trace(f"{job}:{reference}")
        age = (datetime.now(UTC) - since).total_seconds()
        return Trace(never=bool(ref) and age < PROOF)

    async def cancel(self, line: Line, ref: str) -> Stopped:
        """Kill the job; it stays, as failed, and tells how many pages had gone."""
        async with self._mapped(), self._dialogue(line) as dialogue, asyncio.timeout(self._timeout):
            if await _state(dialogue, ref) is None:
                return Stopped.TOO_LATE
            try:
                await dialogue.say(f"JKILL {_job(ref)}")
            except Refused as refused:
                if "done" not in refused.text:
                    raise
                return Stopped.TOO_LATE
        return Stopped.ASKED

    async def forget(self, line: Line, ref: str) -> None:
        """Delete the job that is over, so that HylaFAX's own housekeeping finds its document to be nobody's."""
        async with self._mapped(), self._dialogue(line) as dialogue, asyncio.timeout(self._timeout):
            if await _state(dialogue, ref) in _OVER:
                await dialogue.say(f"JDELE {_job(ref)}")

    async def check(self, line: Line) -> None:
        """Log in, and leave."""
        _options(line)
        async with self._mapped(), self._dialogue(line):
            pass

    async def close(self) -> None:
        """Nothing is kept open."""

    @asynccontextmanager
    async def _dialogue(self, line: Line) -> AsyncIterator[Dialogue]:
        """A fresh connection, logged in."""
        log.hide(line.token)
        connection = hfaxd.opened(self._host, self._port, self._user, line.token)
        async with asyncio.timeout(min(CONNECT, self._timeout)):
            dialogue = await connection.__aenter__()
        try:
            yield dialogue
        finally:
            await connection.__aexit__(None, None, None)

    @asynccontextmanager
    async def _mapped(self, offer: "_Offer | None" = None) -> AsyncIterator[None]:
        """Hfaxd's words and the network's errors as verdicts; what our own side raised in an offer passes as it is."""
        try:
            yield
        except Refused as refused:
            raise _refusal(refused) from None
        except (Lost, OSError) as error:
            if offer and offer.failure is not None:
                raise offer.failure from None
            note = _note(error)
        else:
            return
        if offer and offer.let_go:
            raise Unclear(Reason.NO_ANSWER, note=note)
        raise Temporary(Reason.PROVIDER_UNREACHABLE, note=note)


class _Offer:
    """One fax on its way into the queue: what is known of it when the dialogue breaks."""

    def __init__(self, number: str, reference: str, options: Mapping[str, Any], timeout: float) -> None:
        self._number, self._reference, self._options, self._timeout = number, reference, options, timeout
        self.let_go = False  # JSUBM may have left
        self.failure: Exception | None = None  # what our own side raised: the file, or the commit

    async def made(self, dialogue: Dialogue, document: Path, commit: Commit) -> str:
        """Store, describe, commit, submit. The provider ref."""
        job = ""
        try:
            async with asyncio.timeout(self._timeout):
                stored = await self._stored(dialogue, document)
                job = await _new(dialogue)
                for name, value in self._parameters().items():
                    await dialogue.say(f"JPARM {name} {value}")
                await dialogue.say(f"JPARM DOCUMENT {stored}")
            ref = f"{job}:{self._reference}"
            await self._committed(commit, ref)
            async with asyncio.timeout(self._timeout):
                await dialogue.say("JSUBM")
        except Refused as refused:
            await _taken_back(dialogue, job)
            raise _not_taken(refused) if self.let_go else refused from None
        except BaseException:
            if not self.let_go:
                await _taken_back(dialogue, job)
            raise
        return ref

    async def _stored(self, dialogue: Dialogue, document: Path) -> str:
        try:
            file = document.open("rb")
        except OSError as error:
            self.failure = error
            raise
        with file:
            return await dialogue.store(file)

    def _parameters(self) -> dict[str, str | int]:
        """Everything is said: hfaxd's own defaults are refused, or cut pages off."""
        hours = int(self._options["hours"])
        return {
            "FROMUSER": "mail2fax",
            "DIALSTRING": self._number,
            "EXTERNAL": self._number,
            "NOTIFY": "none",
            "NOTIFYADDR": "nobody@localhost",
            "VRES": self._options["resolution"],
            "PAGEWIDTH": 216,  # millimetres: letter
            "PAGELENGTH": 279,
            "PAGECHOP": "none",
            "LASTTIME": f"{hours // 24:02}{hours % 24:02}00",  # days, hours, minutes
            "MAXDIALS": self._options["dials"],
            "MAXTRIES": self._options["tries"],
            "JOBINFO": f'"{self._reference}"',
        }

    async def _committed(self, commit: Commit, ref: str) -> None:
        try:
            await commit(ref)
        except Exception as error:  # noqa: BLE001 -- the caller's own: it is raised again
            self.failure = error
            raise _Ours from None
        self.let_go = True


async def _new(dialogue: Dialogue) -> str:
    """The number of a new job."""
    _, answer = await dialogue.say("JNEW")
    found = re.search(r"jobid: (\d+)", answer)
    if not found:
        raise Lost("no number of the new job was given")
    return found[1]


class _Ours(Lost):
    """A sign that our own side failed: `_Offer.failure` holds how."""


async def _taken_back(dialogue: Dialogue, job: str) -> None:
    """Delete a job that was not submitted: left to the end of the connection, its document would stay in the queue."""
    if job:
        with suppress(Refused, Lost, OSError):
            async with asyncio.timeout(TIDY):
                await dialogue.say(f"JDELE {job}")


async def _state(dialogue: Dialogue, ref: str) -> str | None:
    """The state of the job of this ref, selected now. "" if it cannot be read yet, None if there is no such job."""
    job, _, tag = ref.partition(":")
    try:
        await dialogue.say(f"JOB {job}")
        state = await dialogue.ask("STATE")
        # A server that was set up anew counts from 1 again: the number may be somebody else's fax.
        return state if not tag or await dialogue.ask("JOBINFO") == tag else None
    except Refused as refused:
        # "deleted by another party": it is just moving from the queue of those waiting to that of those that are over.
        if "corrupted" in refused.text or "another party" in refused.text:
            return ""
        if "does not exist" in refused.text:
            return None
        raise


async def _tagged(dialogue: Dialogue, tag: str) -> str:
    """The job with this tag that was submitted, waiting or over; "" for none."""
    for queue in ("sendq", "doneq"):
        for row in await dialogue.listed(queue, "%j|%a|%J"):
            job, _, rest = row.strip().partition("|")
            letter, _, found = rest.partition("|")
            if found.strip() == tag and letter != "T" and job.isdigit():
                return job
    return ""


def progress(told: Mapping[str, str]) -> Progress:
    """What hfaxd tells of a job, as we say it. Pure."""
    state, text = told["STATE"], told["STATUS"]
    sent, pages, calls = (_whole(told[name]) for name in ("NPAGES", "TOTPAGES", "TOTDIALS"))
    known = Progress("Done", State.DELIVERED, pages_sent=sent, pages=pages or None, calls=calls or None)
    if state == "DONE":
        return known
    if state == "FAILED":
        cause = _cause(_whole(told["STATUSCODE"]) or 0, text, sent or 0)
        return replace(known, word=_shown(text or "Failed"), final=State.FAILED, cause=cause, code=_shown(text))
    if state == "ACTIVE":
        word = f"Sending, {sent} of {pages} pages went" if pages else "Preparing"
        return replace(known, word=word, final=None)
    word = f"Waiting: {text}" if text else _WAITING.get(state, state.capitalize())
    return replace(known, word=_shown(word), final=None, known=state in _WAITING)


def _cause(code: int, text: str, sent: int) -> Cause:
    named = _CODES.get(code) or next((cause for form, cause in _TEXTS if re.search(form, text, re.IGNORECASE)), None)
    if named is Cause.LINE_TROUBLE and sent:
        return Cause.HUNG_UP
    return named or Cause.UNSPOKEN


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


def _shown(text: str) -> str:
    """A text of theirs as it may be shown."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(log.redact(text).split()))[:LONGEST_WORD]


def _job(ref: str) -> str:
    return ref.partition(":")[0]


def _options(line: Line) -> Mapping[str, Any]:
    """What was said of the job's options, over the defaults. Raises LineHeld for what makes no sense."""
    if unknown := set(line.options) - set(OPTIONS):
        raise LineHeld(Reason.LINE_HELD, note=f"options: hylafax knows no {min(unknown)}, but {', '.join(OPTIONS)}")
    for name, value in line.options.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise LineHeld(Reason.LINE_HELD, note=f"options: {name} must be a whole number above 0")
    return {**OPTIONS, **line.options}


def _refusal(refused: Refused) -> Temporary:
    """A no before anything was handed over."""
    note = f"hfaxd: {refused.code} {_shown(refused.text)}"
    if refused.code == 530:
        note = f"{note}: see the user in [provider] url, and its token"
        return LineHeld(Reason.LINE_HELD, note=note, cause="token")
    if refused.code >= 500:
        # About the job's description, or our rights: no other fax would fare better.
        return LineHeld(Reason.LINE_HELD, note=note)
    return Temporary(Reason.PROVIDER_BUSY, "4.4.5", note=note)


def _not_taken(refused: Refused) -> Verdict:
    """A no to JSUBM: the scheduler refused this job, or does not run."""
    note = f"hfaxd: {refused.code} {_shown(refused.text)}"
    if "NAK" in refused.text:
        return Permanent(Reason.PROVIDER_REFUSED, note=note)
    return Temporary(Reason.PROVIDER_BUSY, "4.4.5", note=note)


def _note(error: BaseException) -> str:
    """One line for operators, free of what the other side may have echoed."""
    if isinstance(error, TimeoutError):
        return "hfaxd did not answer in time"
    if isinstance(error, socket.gaierror):
        return error.strerror or "no such host"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
