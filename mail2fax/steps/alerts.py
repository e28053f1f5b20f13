"""A word to an administrator who alone can mend it: owed here, written and sent by `notices`.

Of a line he hears that it is held once an hour at the most, that it works again as often, and in the end what is true.
"""

from zlib import crc32

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import HELD_KINDS, Fax, Verdict
from mail2fax.spool import Spool, questions

_HELD, _OPEN = "held", "open"


async def alert(spool: Spool, kind: str, fax: Fax, note: str, once: str = "", **more: str) -> None:
    """Owe [reply] admin a word, if there is an admin to be told: once a fax and kind, or once for `once`.

    `more` is what only this kind of word says, by the names that the template knows.
    """
    admin = spool.settings.reply.admin_mailbox
    if admin:
        detail = {"kind": kind, "fax": fax.id, "sender": fax.sender, "line": fax.line, "note": note, **more}
        about = {"fax_id": fax.id, "message_id": fax.message_id, "detail": detail}
        await spool.owe(once or f"{fax.id}-{kind[:8]}", "admin", admin, about)


async def shut(spool: Spool, fax: Fax, kind: str, verdict: Verdict) -> None:
    """Shut the line of a fax for a while, as `Spool.trouble` has it; an administrator is told of one that is held."""
    failures = await spool.trouble(fax.line, kind, verdict.retry_after, verdict.note)
    log.line_shut(line=fax.line, kind=kind, note=verdict.note, failures=failures)
    if kind in HELD_KINDS and await _last_word(spool, fax.line) != _HELD:
        more = {"token_file": _token_file(spool.settings, fax.line), "cause": verdict.detail.get("cause", "")}
        # What is kept back for this hour's sake, since it was told in this hour already, is told by a later failure.
        once = f"{_of(fax.line)}-{_HELD}-{_seconds(fax) // 3600}"
        await alert(spool, "line-held", fax, _in_words(verdict), once, **more)


def _in_words(verdict: Verdict) -> str:
    """Its note for people: a code of HTTP behind what was said, not before it."""
    code = verdict.detail.get("http")
    return f"{verdict.note.removeprefix(f'HTTP {code}: ')} ({code})" if code else verdict.note


async def opened(spool: Spool, fax: Fax, trouble: str) -> None:
    """Say that a line works again: to whoever reads the log, and to the administrator who was told of it."""
    if trouble:
        log.line_open(line=fax.line)
    if trouble in HELD_KINDS and await _last_word(spool, fax.line) == _HELD:
        await alert(spool, "line-open", fax, "", f"{_of(fax.line)}-{_OPEN}-{_seconds(fax)}")


async def _last_word(spool: Spool, line: str) -> str:
    """What the administrator was told of a line last: that it is held, that it works, or "" for nothing."""
    notice_id = await spool.read(questions.last_notice, f"{_of(line)}-")
    return notice_id.split("-")[1] if notice_id else ""


def _of(line: str) -> str:
    """A name of any length and letters, as it can stand in an id."""
    return f"{crc32(line.encode()):08x}"


def _seconds(fax: Fax) -> int:
    return int(fax.now.timestamp()) if fax.now else 0


def _token_file(settings: Settings, name: str) -> str:
    """Where the token of a line is to be put right; "" when it stands in the settings themselves."""
    return next((line.token_file for line in settings.line if line.name == name), settings.provider.token_file)
