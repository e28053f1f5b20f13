"""The look that all pages share: one style, one set of filters, and nothing from outside that was not made harmless.

Whatever came from outside is escaped, made printable and free of secrets, in one place, before it reaches a page.
"""

import base64
import hashlib
import socket
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mail2fax import __version__, log, resources, timezones
from mail2fax.config import Settings
from mail2fax.rules.address import pretty
from mail2fax.rules.advice import came_of, senders_turn
from mail2fax.rules.policy import in_words


class Templates:
    """The templates of some folders below templates/; the first that has a name gives it."""

    def __init__(self, settings: Settings, *folders: str) -> None:
        paths = [resources.templates() / folder for folder in folders]
        self._zone = timezones.zone(settings.reply.time_zone)
        style = _style(paths)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        self.policy = (  # Content-Security-Policy: no script, one style, no frames
            f"default-src 'none'; style-src 'sha256-{digest}'; img-src data: 'self'; form-action 'self'; "
            "base-uri 'none'; frame-ancestors 'none'"
        )
        self._environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(paths),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            finalize=_clean,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.globals.update(version=__version__, style=Markup(style), host=socket.gethostname())  # noqa: S704 -- our own file
        self._environment.filters.update(
            pretty=pretty,
            span=span,
            size=size,
            clock=self._clock,
            day=self._day,
            onlyset=_onlyset,
            came_of=came_of,
            senders_turn=senders_turn,
            in_words=in_words,
        )

    def render(self, template: str, /, **facts: Any) -> str:
        """One page."""
        return self._environment.get_template(template).render(**facts)

    def _clock(self, moment: datetime, now: datetime) -> Markup:
        """The time, and the day if it is another one; in full for who points at it."""
        local, today = moment.astimezone(self._zone), now.astimezone(self._zone).date()
        shown = f"{local:%H:%M:%S}" if local.date() == today else f"{local:%b} {local.day}, {local:%H:%M}"
        full = f"{local:%Y-%m-%d %H:%M:%S} {timezones.offset(local)}"
        return Markup('<time datetime="{}" title="{}">{}</time>').format(moment.isoformat(), full, shown)

    def _day(self, moment: datetime) -> str:
        return f"{moment.astimezone(self._zone):%H:%M}"


def _style(folders: list[Path]) -> str:
    """Every folder's style, the most general one first."""
    files = [folder / "style.css" for folder in reversed(folders)]
    return "".join(file.read_text("utf-8") for file in files if file.is_file())


def span(seconds: float) -> str:
    """A length of time as people say it."""
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    for size_, unit, limit in ((1, "s", 120), (60, "min", 7200), (3600, "h", 172_800)):
        if seconds < limit:
            return f"{seconds / size_:.0f} {unit}"
    return f"{seconds / 86_400:.0f} days"


def size(count: int) -> str:
    """Bytes as people say them."""
    amount = float(count)
    for unit in ("bytes", "KB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def _clean(value: Any) -> Any:
    """A text from wherever it came, without secrets and without characters that play tricks; not our own markup."""
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in log.redact(value))


def _onlyset(values: dict[str, str]) -> dict[str, str]:
    """Without what is empty, for an address."""
    return {name: value for name, value in values.items() if value}
