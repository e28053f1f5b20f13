"""Why something did not go through, as types that say what may be done about it."""

from typing import Any

from mail2fax.model.states import Reason


class Verdict(Exception):  # noqa: N818 -- a verdict on an attempt, not only an error
    """Why a step did not go through, with what the sender is to be told.

    `status` is an enhanced status code (RFC 3463), `reason` and `detail` choose and fill the sentence in the
    templates, `note` is one line for operators, free of secrets.
    """

    status = "4.0.0"

    def __init__(
        self,
        reason: Reason,
        status: str | None = None,
        *,
        note: str = "",
        retry_after: float | None = None,
        **detail: Any,
    ) -> None:
        super().__init__(note or reason.value)
        self.reason = reason
        self.status = status or type(self).status
        self.note = note or reason.value
        self.retry_after = retry_after  # seconds, when the other side asked for it
        self.detail = detail


class Temporary(Verdict):
    """Surely not taken: safe to try again."""

    status = "4.4.1"


class LineHeld(Temporary):
    """The provider refuses the line's token: every fax of this line waits, nothing is bounced.

    `detail` may tell an administrator what to mend: the `cause`, "token", "credit" or "address", and the `http` code.
    """

    status = "4.7.8"


class Permanent(Verdict):
    """Refused for good."""

    status = "5.0.0"


class Unclear(Verdict):
    """May or may not have been taken. Never sent again by itself: promise 2."""

    status = "4.4.2"


class LeaseLost(Exception):  # noqa: N818 -- a fact about who may write
    """Somebody else may be acting on this fax now: write nothing."""


class Refused(Exception):  # noqa: N818 -- an answer to an operator
    """What an operator asked for makes no sense for this fax. The text says why and what would."""


class NoSuch(Refused):
    """There is no fax or mail of the name that was asked for."""
