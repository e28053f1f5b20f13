"""Which language a reply is written in. Pure."""

from collections.abc import Collection, Iterable

from mail2fax.config import Reply
from mail2fax.rules.patterns import Patterns

DEFAULT = "en"


class Choice:
    """[reply] languages and language, and what the mail itself says. `known` are the languages there are."""

    def __init__(self, settings: Reply, known: Collection[str]) -> None:
        self._by_sender = dict(settings.languages)
        self._patterns = Patterns(self._by_sender)
        self._fixed = settings.language if settings.language != "auto" else ""
        self._known = frozenset(known)

    def of(self, reverse_path: str, tags: Iterable[str]) -> str:
        """The language for this sender; `tags` are those of Content-Language, then Accept-Language (RFC 3282)."""
        pattern = self._patterns.fitting(reverse_path)
        wishes = [self._by_sender[pattern]] if pattern else [self._fixed] if self._fixed else tags
        primary = (tag.partition("-")[0].lower() for tag in wishes)
        return next((language for language in primary if language in self._known), DEFAULT)

    @property
    def unknown(self) -> list[str]:
        """Languages that the settings name, and that there is no catalogue of."""
        return sorted({*self._by_sender.values(), self._fixed} - self._known - {""})
