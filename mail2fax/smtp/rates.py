"""How many may come in, and how often: connections, mails a minute, failed logins. Counts only, no sockets."""

import time
from collections import Counter, deque
from itertools import islice

from mail2fax.config import Smtp

_KEYS = 10_000  # clients remembered at once
_LOGIN_SECONDS = 600.0
_LOGIN_FAILURES_OF_CLIENT = 10
# A user may have many clients, and must not be shut out by a stranger so soon.
_LOGIN_FAILURES_OF_USER = 50


class Window:
    """How often each key came up within the last so many seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._times: dict[str, deque[float]] = {}

    def count(self, key: str) -> int:
        """So often."""
        times = self._times.get(key)
        if not times:
            return 0
        old = time.monotonic() - self._seconds
        while times and times[0] < old:
            times.popleft()
        if not times:
            del self._times[key]
        return len(times)

    def add(self, key: str) -> None:
        """Once more."""
        if len(self._times) >= _KEYS and key not in self._times:
            # A flood of keys must cost neither memory nor time: the tenth that came first goes, unasked.
            for old in list(islice(self._times, _KEYS // 10)):
                del self._times[old]
        self._times.setdefault(key, deque()).append(time.monotonic())


class Rates:
    """The counts of one listener."""

    def __init__(self, settings: Smtp) -> None:
        self._settings = settings
        self._in_all = 0
        self._of_client: Counter[str] = Counter()
        self._mails = Window(60.0)
        self._client_failures = Window(_LOGIN_SECONDS)
        self._user_failures = Window(_LOGIN_SECONDS)

    def arrive(self) -> bool:
        """Count a connection in. False, and not counted, when there are too many in all."""
        if self._in_all >= self._settings.max_connections:
            return False
        self._in_all += 1
        return True

    def introduce(self, client: str) -> bool:
        """Count a connection that arrived as this client's. False, and not counted, when it has too many."""
        if self._of_client[client] >= self._settings.max_connections_per_client:
            return False
        self._of_client[client] += 1
        return True

    def leave(self, client: str | None) -> None:
        """Count out a connection that arrived, and that was introduced as this client's."""
        self._in_all -= 1
        if client is not None:
            self._of_client[client] -= 1
            if not self._of_client[client]:
                del self._of_client[client]

    def mail(self, client: str) -> bool:
        """Count a mail that begins. False when there were too many within a minute."""
        limit = self._settings.max_messages_per_minute
        if not limit:
            return True
        if self._mails.count(client) >= limit:
            return False
        self._mails.add(client)
        return True

    def may_log_in(self, client: str, name: str) -> bool:
        """Whether another password may be tried."""
        return (
            self._client_failures.count(client) < _LOGIN_FAILURES_OF_CLIENT
            and self._user_failures.count(name.casefold()) < _LOGIN_FAILURES_OF_USER
        )

    def login_failed(self, client: str, name: str) -> int:
        """Count a wrong password. How many of this client's there were lately."""
        self._client_failures.add(client)
        self._user_failures.add(name.casefold())
        return self._client_failures.count(client)
