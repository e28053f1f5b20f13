"""The words everything else is said in: facts as frozen dataclasses, states and who moves them on, verdicts as types.

    Verdict
     +-- Temporary    not taken, surely: try again later (4yz)
     |    +-- LineHeld    the provider refuses the token: nobody on this line may go on (401, 403)
     +-- Permanent    refused for good (5yz)
     +-- Unclear      may or may not have been taken: never again by itself

No input or output, no clock, no settings here.
"""

from mail2fax.model.facts import (
    ERROR,
    Document,
    Envelope,
    Event,
    Fax,
    Headers,
    Message,
    Notice,
    Receipt,
    Recipient,
    Usage,
    User,
)
from mail2fax.model.provider import Capabilities, Line, Progress, Stopped, Trace
from mail2fax.model.states import (
    FINAL,
    HELD_KINDS,
    NEXT,
    NO_CREDIT,
    NO_PAGE_WENT,
    WAITING,
    Cause,
    Fate,
    Outcome,
    Part,
    Reason,
    State,
)
from mail2fax.model.verdicts import LeaseLost, LineHeld, NoSuch, Permanent, Refused, Temporary, Unclear, Verdict

__all__ = [
    "ERROR",
    "FINAL",
    "HELD_KINDS",
    "NEXT",
    "NO_CREDIT",
    "NO_PAGE_WENT",
    "WAITING",
    "Capabilities",
    "Cause",
    "Document",
    "Envelope",
    "Event",
    "Fate",
    "Fax",
    "Headers",
    "LeaseLost",
    "Line",
    "LineHeld",
    "Message",
    "NoSuch",
    "Notice",
    "Outcome",
    "Part",
    "Permanent",
    "Progress",
    "Reason",
    "Receipt",
    "Recipient",
    "Refused",
    "State",
    "Stopped",
    "Temporary",
    "Trace",
    "Unclear",
    "Usage",
    "User",
    "Verdict",
]
