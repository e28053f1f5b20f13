"""The templates of the replies: the shipped ones, and those of the administrator that replace them one by one.

Promise: a broken template of the administrator's never keeps a sender from being told. It is named in the log, and the
shipped one of the same name speaks in its place.
"""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, TemplateError
from markupsafe import Markup

from mail2fax import log, resources
from mail2fax.config import loader
from mail2fax.replies import jinja
from mail2fax.replies import languages as catalogue
from mail2fax.replies.filters import Wording, wrapped
from mail2fax.replies.languages import DEFAULT
from mail2fax.replies.species import species
from mail2fax.rules.address import pretty

_LOCALES = "locale"
_UNBROKEN = Markup('<span style="white-space:nowrap">{}</span>')


class Stationery:
    """Writes one text by its template, language and facts."""

    def __init__(self, folder: str, zone: str, place: str = "") -> None:
        """`place` is what problems call the setting that names the folder."""
        self._zone = zone
        self._place = place
        self._shipped = resources.templates() / "reply"
        self._own = Path(folder) if folder else None
        self._unreadable: list[str] = []
        own = catalogue.read_all(self._own / _LOCALES, self._unreadable) if self._own else {}
        plain = catalogue.read_all(self._shipped / _LOCALES, self._unreadable)
        self._tongues = {False: catalogue.layered(plain, {}), True: catalogue.layered(plain, own)}
        self._environment = cache(self._open)

    @property
    def languages(self) -> frozenset[str]:
        """Those that there are texts in."""
        return frozenset(self._tongues[True])

    def write(self, template: str, language: str, facts: Mapping[str, Any]) -> str:
        """The text of a template, such as delivered.html."""
        if self._own:
            try:
                return self.render(template, language, facts, own=True)
            except Exception as error:  # noqa: BLE001 -- whatever a foreign template does, the sender is told
                log.template_broken(template=template, folder=str(self._own), problem=told(error))
        known = language if language in self._tongues[False] else DEFAULT
        return self.render(template, known, facts, own=False)

    def render(self, template: str, language: str, facts: Mapping[str, Any], *, own: bool) -> str:
        """The text by the administrator's templates, or by the shipped ones alone. Raises what a template raises."""
        environment = self._environment(language, template.endswith(".html"), own and self._own is not None)
        text = environment.get_template(template).render(facts)
        if not text.strip():
            raise TemplateError("it writes nothing")
        return text

    def problems(self) -> Iterator[str]:
        """What is wrong with the administrator's folder, apart from what only writing shows."""
        yield from self._unreadable
        if not self._own:
            return
        try:
            files = sorted(path for path in self._own.iterdir() if path.is_file())
        except OSError as error:
            yield f"{self._place}: cannot read the folder {self._own}: {loader.why_unreadable(error)}"
            return
        known = sorted(path.name for path in self._shipped.iterdir() if path.is_file())
        for path in files:
            if path.name not in known:
                near = get_close_matches(path.name, known, 1)
                yield f"{path}: replaces nothing{f', did you mean {near[0]}?' if near else ''}"

    def _open(self, language: str, html: bool, own: bool) -> Environment:
        """One environment for text and one for HTML: what HTML imports is escaped there, whatever its name."""
        tongue = self._tongues[own][language]
        folders = [self._own, self._shipped] if own and self._own else [self._shipped]
        environment = jinja.environment(folders, tongue.texts, html=html, ours=not own)
        wording = Wording(tongue.locale, self._zone)
        environment.filters |= {
            "when": lambda moment: wording.when(moment, _UNBROKEN.format if html else str),
            "day": wording.day,
            "duration": wording.duration,
            "size": wording.size,
            "count": wording.count,
            "fax_number": (lambda number: _UNBROKEN.format(pretty(number))) if html else pretty,
            "species": lambda part: species(part.kind, part.name),
            "wrapped": wrapped,
        }
        return environment


def told(error: Exception) -> str:
    """A template's error with its file and line, where jinja2 knows them."""
    where = getattr(error, "filename", None) or getattr(error, "name", None)
    line = getattr(error, "lineno", None)
    place = f"{where}, line {line}: " if where and line else f"{where}: " if where else ""
    return f"{place}{error or type(error).__name__}"
