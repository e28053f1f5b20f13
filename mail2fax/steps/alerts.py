"""A word to an administrator who alone can mend it: owed here, written and sent by `notices`."""

import re
from email.utils import parseaddr
from typing import Any

from mail2fax import log
from mail2fax.config import Settings
from mail2fax.model import Fax
from mail2fax.spool import Spool

# What a held line's note is about: the first that it says. The administrator's mail tells what to do by it.
_CAUSES = {
    "token": re.compile(r"^HTTP 40[137]\b|\btoken\b"),
    "credit": re.compile(r"^HTTP 402\b|\bcredit\b"),
    "address": re.compile(r"see \[provider\] url$"),
}
_CODE = re.compile(r"^HTTP (\d{3})(?:: (.+))?$")


async def alert(spool: Spool, kind: str, fax: Fax, note: str, once: str = "") -> None:
    """Owe [reply] admin a word, if there is an admin to be told: once a fax and kind, or once for `once`."""
    admin = parseaddr(spool.settings.reply.admin)[1]
    if admin:
        detail: dict[str, Any] = {"kind": kind, "fax": fax.id, "sender": fax.sender, "line": fax.line}
        detail["note"] = _CODE.sub(lambda found: f"{found[2] or 'the provider says no'} ({found[1]})", note)
        if kind == "line-held":
            detail["token_file"] = _token_file(spool.settings, fax.line)
            detail["cause"] = next((cause for cause, words in _CAUSES.items() if words.search(note)), "")
        about = {"fax_id": fax.id, "message_id": fax.message_id, "detail": detail}
        await spool.owe(once or f"{fax.id}-{kind[:8]}", "admin", admin, about)


async def shut(spool: Spool, fax: Fax, kind: str, note: str, pause: float | None) -> None:
    """Shut the line of a fax for a while, as `Spool.trouble` has it; an administrator is told of one that is held."""
    failures = await spool.trouble(fax.line, kind, pause, note)
    log.line_shut(line=fax.line, kind=kind, note=note, failures=failures)
    if kind == "held" and failures == 1:
        await alert(spool, "line-held", fax, note, once=f"{fax.line[:24]}-held-{hour(fax)}")


async def opened(spool: Spool, fax: Fax, trouble: str) -> None:
    """Say that a line works again: to whoever reads the log, and to the administrator who was told of it."""
    if trouble:
        log.line_open(line=fax.line)
    if trouble == "held":
        await alert(spool, "line-open", fax, "", once=f"{fax.line[:24]}-open-{hour(fax)}")


def hour(fax: Fax) -> int:
    """For what is told once an hour."""
    return int(fax.now.timestamp() // 3600) if fax.now else 0


def _token_file(settings: Settings, name: str) -> str:
    """Where the token of a line is to be put right; "" when it stands in the settings themselves."""
    return next((line.token_file for line in settings.line if line.name == name), settings.provider.token_file)
