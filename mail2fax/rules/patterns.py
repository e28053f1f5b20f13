"""Patterns on a whole mail address: `*` stands for anything, `?` for one character, case does not matter. Pure."""

import re
from collections.abc import Iterable


class Patterns:
    """A list of patterns, in order. Plain addresses are looked up, so that a list of thousands costs nothing."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._plain: dict[str, str] = {}
        self._wild: list[tuple[str, re.Pattern[str]]] = []
        for pattern in patterns:
            folded = pattern.casefold()
            if re.search(r"[*?]", folded):
                # Brackets are no wild cards, as they are to fnmatch: bob@[192.0.2.1] is an address.
                form = re.escape(folded).replace(r"\*", ".*").replace(r"\?", ".")
                self._wild.append((pattern, re.compile(form, re.DOTALL)))
            else:
                self._plain.setdefault(folded, pattern)

    def fitting(self, address: str) -> str | None:
        """The pattern that fits the whole address: a plain one, else the first of the others; None if none does."""
        folded = address.casefold()
        if plain := self._plain.get(folded):
            return plain
        return next((pattern for pattern, form in self._wild if form.fullmatch(folded)), None)
