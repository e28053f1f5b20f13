"""What a fax provider can do, and what it says of a fax."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from mail2fax.model.states import Cause, State


@dataclass(frozen=True, slots=True)
class Line:
    """A fax line at the provider. Its repr never shows the token."""

    name: str
    token: str = field(repr=False)
    account: str = ""  # what the provider calls the account, project or connection
    from_number: str = ""  # ten digits; "" leaves it to the provider
    options: Mapping[str, Any] = field(default_factory=dict)  # what only this kind of provider has


@dataclass(frozen=True, slots=True)
class Progress:
    """What the provider says of a fax: its word, the final state if the word is a last one, and what else it tells.

    None and "" are what it does not tell.
    """

    word: str
    final: State | None = None
    known: bool = True  # whether the provider's document names this word
    pages_sent: int | None = None  # that the other side confirmed
    pages: int | None = None  # that it made of the document
    calls: int | None = None  # attempts on the line
    cause: Cause | None = None
    code: str = ""  # theirs, word for word
    remote_id: str = ""  # what the other fax machine calls itself
    seconds: float | None = None  # on the line
    cost: str = ""  # a decimal number
    currency: str = ""  # ISO 4217

    @property
    def facts(self) -> dict[str, Any]:
        """What is known besides the word, by name: the detail of an outcome."""
        values = {name: getattr(self, name) for name in _TOLD}
        return {name: value for name, value in values.items() if value not in {None, ""}}


_TOLD = ("pages_sent", "pages", "calls", "cause", "code", "remote_id", "seconds", "cost", "currency")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a provider tells and can do, so that nothing is promised that it does not keep."""

    finds: bool = False  # it can be asked whether it took a fax: a lost answer is settled
    cancels: bool = False  # a fax that it has can be stopped
    forgets: bool = False  # it keeps the document of a fax that is over, and can be told to delete it
    tells_pages: bool = False
    tells_cause: bool = False
    tells_cost: bool = False
    dials_again: bool = True  # by itself, when a line is busy; where it does not, we offer the fax again
    max_pages: int | None = None  # that one fax may have; one with more is not offered
    max_bytes: int | None = None  # that its document may have


@dataclass(frozen=True, slots=True)
class Trace:
    """What a search for a fax whose answer was lost has found."""

    ref: str = ""  # it was taken, under this reference
    never: bool = False  # it was not, and never will be: proved, not merely not seen


class Stopped(StrEnum):
    """What became of the wish to stop a fax at the provider."""

    ASKED = "asked"  # it will be stopped, or is: the next look tells
    TOO_LATE = "too-late"  # it is over
    CANNOT = "cannot"  # this provider has no such thing
