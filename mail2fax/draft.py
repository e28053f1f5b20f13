"""What the templates of the replies are given: the variables by name. Pure.

docs/replies.md lists them for administrators who write their own templates.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mail2fax.model import Fax, Message, State

_WORST_FIRST = (State.UNKNOWN, State.FAILED, State.CANCELLED, State.DELIVERED)


@dataclass(frozen=True, slots=True)
class Draft:
    """One reply before it is put in words."""

    kind: str  # which template: "delivered", "failed", "unknown", "cancelled", "delayed" or "summary"
    message: Message
    faxes: Sequence[Fax]
    language: str
    host: str  # the name mail2fax greets with
    sender: str  # whom people may ask
    next_at: datetime | None = None  # of the next attempt, when delayed
    resend_until: datetime | None = None  # None: this mail cannot be answered to send again
    resend_addresses: Mapping[str, str] = field(default_factory=dict)  # by queue id
    cancel_address: str = ""
    preview: str = ""  # content id of the picture of the first page

    @property
    def fax(self) -> Fax | None:
        """The fax it is about; None in a summary."""
        return self.faxes[0] if self.kind != "summary" else None

    @property
    def tone(self) -> str:
        """Which colour: a summary has that of its worst outcome."""
        states = {fax.state for fax in self.faxes}
        return self.kind if self.fax else next(state for state in _WORST_FIRST if state in states).value

    @property
    def facts(self) -> dict[str, Any]:
        """The variables."""
        count = Counter(fax.state.value for fax in self.faxes)
        return {
            **{name: getattr(self, name) for name in (*self.__slots__, "fax", "tone")},
            "count": {state.value: count[state.value] for state in State},
        }
