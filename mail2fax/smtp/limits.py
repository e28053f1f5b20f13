"""How much: connections, mails a minute, failed logins; bytes, disk and waiting faxes; the budgets. No sockets here."""

import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from mail2fax.config import Smtp
from mail2fax.model import Usage
from mail2fax.rules.policy import Policy
from mail2fax.smtp import answers
from mail2fax.spool import Spool

_KEYS = 10_000  # clients remembered at once
_LOGIN_SECONDS = 600.0
_LOGIN_FAILURES_OF_CLIENT = 10
# A user may have many clients, and must not be shut out by a stranger so soon.
_LOGIN_FAILURES_OF_USER = 50
_LOOK = 1.0  # seconds between two looks at the disk and at the spool


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

    def take_back(self, key: str) -> None:
        """The last time was none."""
        if times := self._times.get(key):
            times.pop()

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
        """Count one more password as wrong, until `logged_in` says otherwise. False, and not counted: too many were."""
        failures = self._client_failures.count(client), self._user_failures.count(name.casefold())
        if failures[0] >= _LOGIN_FAILURES_OF_CLIENT or failures[1] >= _LOGIN_FAILURES_OF_USER:
            return False
        self._client_failures.add(client)
        self._user_failures.add(name.casefold())
        return True

    def logged_in(self, client: str, name: str) -> None:
        """The password that was counted last is right."""
        self._client_failures.take_back(client)
        self._user_failures.take_back(name.casefold())

    def failed_logins(self, client: str) -> int:
        """How many wrong passwords of this client there were lately."""
        return self._client_failures.count(client)


class Capacity:
    """Asked at MAIL, before a byte of the mail is on its way."""

    def __init__(self, settings: Smtp, spool: Spool) -> None:
        self._settings = settings
        self._spool = spool
        self.in_flight = 0  # bytes of mails that are being received
        self._looked = -_LOOK
        self._free: int | None = None
        self._waiting = 0

    async def refusal(self, size: int) -> str | None:
        """Why a mail that says it has this size (0: it does not say) cannot be taken now."""
        if size > self._settings.max_message_size:
            return answers.TOO_BIG
        if self.in_flight + size > self._settings.max_bytes_in_flight:
            return answers.NO_ROOM
        await self._look()
        if self._free is not None and self._free < self._settings.spare:
            return answers.NO_ROOM
        if self._settings.max_spool and self._waiting >= self._settings.max_spool:
            return answers.SPOOL_FULL
        return None

    def receive(self, size: int) -> bool:
        """Count bytes that arrived. False when it is too much at once; they are counted all the same."""
        self.in_flight += size
        return self.in_flight <= self._settings.max_bytes_in_flight

    def received(self, size: int) -> None:
        """These bytes are no longer in flight."""
        self.in_flight -= size

    def accepted(self, faxes: int) -> None:
        """So many faxes more are waiting, until the next look tells exactly."""
        self._waiting += faxes

    async def _look(self) -> None:
        now = time.monotonic()
        if now - self._looked < _LOOK:
            return
        self._looked = now  # before the wait: one asks for all
        self._free = self._spool.free_bytes()
        if self._settings.max_spool:
            self._waiting = await self._spool.waiting()


async def over_budget(policy: Policy, spool: Spool, sender: str, number: str, taken: Sequence[str] = ()) -> str | None:
    """Why one more fax to this number is beyond [limits], None if it is not. `taken`: the same mail's other numbers."""
    if not policy.has_budgets:
        return None
    mine, everyone = await spool.usage(sender), await spool.usage(None)
    today = await spool.number_today(number) + sum(one == number for one in taken)
    return policy.budget(_plus(mine, len(taken)), _plus(everyone, len(taken)), today).refusal


async def over_budget_of_number(policy: Policy, spool: Spool, number: str) -> str | None:
    """Why no fax more may go to this number today, whoever sends it; None if one may."""
    if not policy.has_budgets:
        return None
    return policy.budget(Usage(), Usage(), await spool.number_today(number)).refusal


def _plus(usage: Usage, faxes: int) -> Usage:
    """As if so many faxes more had been sent."""
    return replace(usage, faxes_hour=usage.faxes_hour + faxes, faxes_day=usage.faxes_day + faxes)
