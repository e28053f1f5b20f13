"""Which languages there are, and which one a reply is written in.

Each is a gettext catalogue (.po), read at start-up, so that nothing has to be compiled.

English is the language of the templates themselves and needs no catalogue. An administrator adds a language by putting
its catalogue into <[reply] templates>/locale.
"""

import gettext
import io
from collections.abc import Collection, Iterable
from pathlib import Path

from babel.core import Locale, UnknownLocaleError
from babel.messages.mofile import write_mo
from babel.messages.pofile import PoFileError, read_po
from babel.support import Translations

from mail2fax.config import Reply, loader
from mail2fax.rules import senders
from mail2fax.rules.patterns import Patterns

DEFAULT = "en"
_ENGLISH = "en_CA"  # how English writes dates and numbers here


class Tongue:
    """One language: its texts, and how it writes dates and numbers."""

    def __init__(self, locale: Locale, texts: gettext.NullTranslations) -> None:
        self.locale = locale
        self.texts = texts


def english() -> Tongue:
    """The language the templates are written in."""
    return Tongue(Locale.parse(_ENGLISH), gettext.NullTranslations())


def read(path: Path) -> Tongue:
    """A catalogue. Its `Language:` field says how dates are written, such as fr_CA. Raises ValueError."""
    try:
        with path.open("rb") as file:
            catalog = read_po(file, abort_invalid=True)
        compiled = io.BytesIO()
        write_mo(compiled, catalog)
        compiled.seek(0)
        return Tongue(Locale.parse(catalog.locale or path.stem), Translations(compiled))
    except OSError as error:
        raise ValueError(f"{path}: {loader.why_unreadable(error)}") from None
    except (PoFileError, UnknownLocaleError, UnicodeError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from None


def read_all(folder: Path, problems: list[str]) -> dict[str, Tongue]:
    """Every catalogue of a folder, by the name of its file; what cannot be read is added to `problems`."""
    found: dict[str, Tongue] = {}
    try:
        files = sorted(folder.glob("*.po"))
    except OSError as error:
        problems.append(f"{folder}: cannot be read: {loader.why_unreadable(error)}")
        files = []
    for path in files:
        try:
            found[path.stem] = read(path)
        except ValueError as error:
            problems.append(str(error))
    return found


def layered(shipped: dict[str, Tongue], own: dict[str, Tongue]) -> dict[str, Tongue]:
    """The administrator's texts, and where they say nothing the shipped ones."""
    for name, tongue in own.items():
        if name in shipped:
            tongue.texts.add_fallback(shipped[name].texts)
    return {DEFAULT: english(), **shipped, **own}


class Choice:
    """[reply] languages and language, and what the mail itself says. `known` are the languages there are."""

    def __init__(self, settings: Reply, known: Collection[str]) -> None:
        self._by_sender = dict(settings.languages)
        self._patterns = Patterns(self._by_sender)
        self._fixed = settings.language if settings.language != "auto" else ""
        self._known = frozenset(known)

    def of(self, reverse_path: str, tags: Iterable[str]) -> str:
        """The language for this sender; `tags` are those of Content-Language, then Accept-Language (RFC 3282)."""
        pattern = self._patterns.fitting(senders.behind(reverse_path)) or self._patterns.fitting(reverse_path)
        wishes = [self._by_sender[pattern]] if pattern else [self._fixed] if self._fixed else tags
        primary = (tag.partition("-")[0].lower() for tag in wishes)
        return next((language for language in primary if language in self._known), DEFAULT)

    @property
    def unknown(self) -> list[str]:
        """Languages that the settings name, and that there is no catalogue of."""
        return sorted({*self._by_sender.values(), self._fixed} - self._known - {""})
