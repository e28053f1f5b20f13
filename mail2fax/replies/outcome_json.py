"""The outcome for machines: an application/json part, in the words of `mail2fax show --json`. Pure."""

import json
from collections.abc import Sequence

from mail2fax.model import Fax, Message, jsonable
from mail2fax.replies import bodies


def part(message: Message, faxes: Sequence[Fax]) -> bodies.Part:
    """The part that holds it, as a file outcome.json."""
    outcome = {
        "message": jsonable.message_for_sender(message),
        "faxes": [jsonable.fax_for_sender(fax) for fax in faxes],
        "parts": [jsonable.part(one) for one in message.parts],
    }
    name = 'Content-Disposition: attachment; filename="outcome.json"\r\n'
    return bodies.attached("application/json", json.dumps(outcome, indent=1).encode("ascii"), name)
