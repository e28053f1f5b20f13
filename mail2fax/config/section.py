"""What the sections of the settings share."""

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """What all sections share: frozen, nothing unknown, no silent conversions."""

    # Deferred: `Settings` builds its own checks of all sections, those of each by itself are hardly ever asked for.
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)
    _file: str = ""
    _variables: Mapping[str, str] = {}

    def written(self, file: str, variables: Mapping[str, str]) -> Self:
        """The same section, which knows from which file it is, and from which variables some keys are."""
        known = self.model_copy()
        known._file, known._variables = file, variables  # noqa: SLF001 -- a section of ours
        return known

    def place(self, key: str) -> str:
        """Where a key is written, for errors that come up in its use: `mail2fax.toml: [smtp] listen`, or a variable."""
        whole = self._variables.get("", self._file)  # a variable may hold the section as a whole
        return self._variables.get(key) or ": ".join(filter(None, [whole, f"{self.heading} {key}"]))

    def file_of(self, key: str) -> str:
        """The settings file that this key is from; "" when it is from the environment, or from no file."""
        return "" if {key, ""} & self._variables.keys() else self._file

    @property
    def heading(self) -> str:
        """As in the file: [smtp]."""
        return f"[{type(self).__name__.lower()}]"

    def _refuse_idle(self, **needed: tuple[str, ...]) -> None:
        """Raise ValueError when one of these keys is set without the one that it needs: who wrote it believes in it."""
        for other, keys in needed.items():
            for key in keys:
                if getattr(self, key) and not getattr(self, other):
                    raise ValueError(f"{key} needs {other}: without it, it does nothing")

    def _refuse_beyond(self, **most: str) -> None:
        """Raise ValueError when one of these keys was written as more than the one that holds for it anyway.

        Only when both were written: who raises one of them need not know of the other's default.
        """
        for key, bound in most.items():
            if {key, bound} <= self.model_fields_set and getattr(self, key) > getattr(self, bound) > 0:
                raise ValueError(f"{key} is more than {bound}, {getattr(self, bound)}: it would never be reached")


_TODO = {
    errno.EADDRINUSE: " by another program: `ss -ltnp` says which",
    errno.EADDRNOTAVAIL: ": `ip address` lists those this machine has",
}


@contextlib.contextmanager
def naming(place: str) -> Iterator[None]:
    """Say in an OSError of what is done here which setting it is about: the system knows only a number for it."""
    try:
        yield
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
        raise OSError(f"{place}: {why}{_TODO.get(error.errno or 0, '')}") from None
