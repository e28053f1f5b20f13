"""The kinds of work that faxes need, and which state needs which."""

from collections.abc import Mapping
from enum import StrEnum

from mail2fax.model import FINAL, State


class Work(StrEnum):
    """One for each step of the way, and for what an interrupted submission needs."""

    PREPARE = "prepare"
    SUBMIT = "submit"
    RECOVER = "recover"
    POLL = "poll"
    REPLY = "reply"
    NOTICE = "notice"  # a mail owed besides outcomes


NEEDED: Mapping[State, Work] = {
    State.RECEIVED: Work.PREPARE,
    State.PREPARED: Work.SUBMIT,
    State.SUBMITTING: Work.RECOVER,
    State.SUBMITTED: Work.POLL,
    **dict.fromkeys(FINAL, Work.REPLY),
}
