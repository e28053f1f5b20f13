"""Keeps what was refused at the door, for whoever asks later why a mail did not go.

A flood of refusals must cost the door nothing: they are noted in memory, written a batch at a time beside the way of
the faxes, and what comes too fast for that is dropped.
"""

import re
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from mail2fax.spool import Spool, turned_away

_MOST = 500  # noted between two batches
_LONGEST = 320  # characters of an address, and of an answer
_LONGEST_OF_ALL = 3_000  # of all recipients of one mail
# Not a mail that was refused, but a client that speaks badly, or that was asked to log in first.
_NO_MAIL = re.compile(r"5(00|01|02|03|04) ")


class TurnedAway:
    """The refusals that were not written yet."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._noted: deque[tuple[float, dict[str, str]]] = deque(maxlen=_MOST)  # and when, by the monotonic clock

    def note(self, event: str, facts: Mapping[str, Any]) -> None:
        """Look at an event of the log; called from any thread."""
        if event == "refused" and not _NO_MAIL.match(str(facts.get("answer", ""))):
            told = {name: _text(facts.get(name)) for name in ("client", "user", "sender", "answer")}
            told["recipient"] = _text(facts.get("recipient"), _LONGEST_OF_ALL)
            self._noted.append((time.monotonic(), told))

    async def write(self) -> None:
        """Write what was noted since the last time; when the database is away, the next time."""
        batch = [self._noted.popleft() for _ in range(len(self._noted))]
        if not batch:
            return
        try:
            now = time.monotonic()
            await self._spool.change(turned_away.write, [{**told, "ago": now - at} for at, told in batch])
        except BaseException:
            room = _MOST - len(self._noted)
            self._noted.extendleft(reversed(batch[-room:] if room else []))
            raise


def _text(value: Any, longest: int = _LONGEST) -> str:
    """PostgreSQL takes no NUL; and what nobody can read helps nobody."""
    return "".join(letter for letter in str(value or "") if letter.isprintable())[:longest]
