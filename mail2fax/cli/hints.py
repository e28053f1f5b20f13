"""Commands that our own words name, as they can be typed here: by the path we were called by, and on these settings."""

import os
import re
import shlex
import shutil
import sys
from functools import cache
from pathlib import Path

NAME = "mail2fax"
# The commands that take the settings by --config, and those that do not.
SETTLED = frozenset({
    "serve", "check", "explain", "migrate", "init", "test", "list", "show", "send", "retry", "resolve", "cancel",
    "hold", "release", "purge", "pause", "resume", "refused",
})  # fmt: skip
ALONE = frozenset({"demo", "sandbox", "passwd"})
_COMMAND = re.compile(rf"\b{NAME} (?P<word>{'|'.join(sorted(SETTLED | ALONE))})\b")

_given: list[str] = []  # "--config" and its file, as somebody typed it


def remember(file: Path | None) -> None:
    """These settings were named by hand, so a command that is typed next has to name them, too."""
    by_environment = file is not None and str(file) == os.environ.get("MAIL2FAX_CONFIG")
    _given[:] = ["--config", shlex.quote(str(file))] if file and not by_environment else []


def typed(text: str) -> str:
    """The text with each `mail2fax COMMAND` in it as it can be typed here."""
    return _COMMAND.sub(_as_typed, text)


def _as_typed(found: re.Match[str]) -> str:
    word = found["word"]
    return " ".join([program(), word, *(_given if word in SETTLED else ())])


@cache
def program() -> str:
    """What to type to run this program."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return f"{shlex.quote(sys.executable)} -m {NAME}"
    known = shutil.which(NAME)
    if called.name != NAME or not called.is_file() or (known and called.samefile(known)):
        return NAME
    return shlex.quote(str(called))
