"""Who is logged in at the operator's page: sessions by cookie, and the token that every act must bring along.

Sessions live in this process only: a restart ends them, and nothing that could be stolen is kept on disk.
"""

import hmac
import secrets
import time
from dataclasses import dataclass, field

from mail2fax.model import User

COOKIE = "mail2fax_session"
IDLE_SECONDS = 30 * 60.0  # a session nobody used for so long is over
LONGEST_SECONDS = 12 * 3600.0  # so is one that began so long ago
_MOST = 500  # sessions at once; the ones that were idle longest make room

LOOK, ACT, DOCUMENTS = "look", "act", "documents"


@dataclass(slots=True)
class Session:
    """One person's browser."""

    name: str
    user: User | None  # as the users file had him; None: a proxy alone vouches for this person, who may look
    began: float  # seconds of a clock that only goes forwards
    used: float
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    flash: str = ""  # what came of the last act, told on the next page

    def may(self, role: str) -> bool:
        """Whether this person has that right. Who may act or see documents may look."""
        roles = self.user.roles if self.user else {LOOK}
        return role in roles or (role == LOOK and bool(roles))

    def fits(self, token: str) -> bool:
        """Whether a form was made for this session: a page of somebody else's cannot know its token (CSRF)."""
        return hmac.compare_digest(self.token.encode(), token.encode("utf-8", "replace"))

    def told(self) -> str:
        """The flash, once."""
        text, self.flash = self.flash, ""
        return text


class Sessions:
    """All of them, by the secret in the cookie."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}

    def begin(self, name: str, user: User | None) -> tuple[str, Session]:
        """A new session, and the value of its cookie."""
        now = time.monotonic()
        self._forget(now)
        key = secrets.token_urlsafe(32)
        self._open[key] = session = Session(name, user, now, now)
        return key, session

    def find(self, key: str) -> Session | None:
        """The session of this cookie, unless it is over."""
        now = time.monotonic()
        session = self._open.get(key)
        if session is None or _over(session, now):
            self._open.pop(key, None)
            return None
        session.used = now
        return session

    def end(self, key: str) -> None:
        """Log out."""
        self._open.pop(key, None)

    def _forget(self, now: float) -> None:
        for key in [key for key, session in self._open.items() if _over(session, now)]:
            del self._open[key]
        while len(self._open) >= _MOST:
            del self._open[min(self._open, key=lambda key: self._open[key].used)]


def _over(session: Session, now: float) -> bool:
    return now - session.used > IDLE_SECONDS or now - session.began > LONGEST_SECONDS
