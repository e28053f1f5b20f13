"""Who may log in: the lines `name:hash[:patterns[:roles]]` of [smtp] users_file, and the check of a password.

Promise: the event loop never waits for a hash, and an unknown name takes as long as a wrong password.
"""

import asyncio
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from mail2fax.config import ConfigError, loader, types
from mail2fax.model import User

# OWASP's smallest advice for argon2id, 19 MiB and two passes: mail programs log in for every mail, and two logins
# at once must stay small beside the mails in flight.
HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
LONGEST = 1024  # characters of a password that are worth hashing
ROLES = ("look", "act", "documents")  # rights at the operator's page; act and documents hold look
_AT_ONCE = 2  # more would only share the processors, and each hash takes 19 MiB while it is made


class Users:
    """The users file as last read. Without a file nobody can log in."""

    def __init__(self, file: str) -> None:
        self._file = Path(file) if file else None
        self._users: dict[str, User] = {}
        self._nobody = ""
        self._threads = ThreadPoolExecutor(_AT_ONCE, "login")
        self.turns = asyncio.Semaphore(_AT_ONCE)  # held by whoever has a password checked
        self.reload()

    def __len__(self) -> int:
        return len(self._users)

    def named(self, name: str) -> User | None:
        """The user of this name, whatever the password."""
        return self._users.get(name.casefold())

    def reload(self) -> None:
        """Read the file again; a file with mistakes raises ConfigError and leaves the users as they were."""
        users = _read(self._file) if self._file else {}
        # Costs as much as a login: a start without logins does not wait for it.
        self._nobody = _nobody(users) if self._file else ""
        self._users = users

    async def verify(self, name: str, password: str) -> User | None:
        """The user, if there is one of this name with this password."""
        user = self.named(name)
        right = await asyncio.get_running_loop().run_in_executor(
            self._threads, _fits, user.hash if user else self._nobody, password
        )
        return user if right else None

    def close(self) -> None:
        """No logins from now on."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def hash_line(name: str, password: str, patterns: Sequence[str] = (), roles: Sequence[str] = ()) -> str:
    """The line of the users file for this login; ValueError says what cannot be written there."""
    check_name(name)
    if not password or len(password) > LONGEST:
        raise ValueError(f"a password has 1 to {LONGEST} characters")
    for pattern in patterns:
        if ":" in pattern or "," in pattern:
            raise ValueError("a pattern has no colons or commas")
        types.pattern(pattern)
    _known_roles(roles)
    fields = [name, HASHER.hash(password), ",".join(patterns), ",".join(roles)]
    return ":".join(fields).rstrip(":")


def check_name(name: str) -> None:
    """Raise ValueError for a login name that the users file cannot hold."""
    if not name or not name.isprintable() or any(character in name for character in ":# "):
        raise ValueError("a login name has no blanks, colons or #, and is not empty")


def _fits(hashed: str, password: str) -> bool:
    try:
        # surrogateescape: a client may send any bytes as a password, and they reach us so.
        return len(password) <= LONGEST and HASHER.verify(hashed, password.encode("utf-8", "surrogateescape"))
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


def _nobody(users: dict[str, User]) -> str:
    """A hash that no password fits, as costly to check as those in the file."""
    costs = [argon2.extract_parameters(user.hash) for user in users.values()]
    costliest = max(costs, key=lambda cost: cost.memory_cost * cost.time_cost, default=None)
    hasher = argon2.PasswordHasher.from_parameters(costliest) if costliest else HASHER
    return hasher.hash(secrets.token_urlsafe())


def _read(file: Path) -> dict[str, User]:
    try:
        text = file.read_text("utf-8-sig")  # Windows puts a byte order mark in front
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: cannot be read: {loader.why_unreadable(error)}"]) from None
    users: dict[str, User] = {}
    problems: list[str] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            user = _parsed(line.strip())
        except ValueError as error:
            problems.append(f"{file}: line {number}: {error}")
            continue
        if user.name.casefold() in users:
            problems.append(f"{file}: line {number}: {user.name} stands here twice")
        users[user.name.casefold()] = user
    if problems:
        raise ConfigError(problems)
    return users


def _parsed(line: str) -> User:
    name, _, rest = line.partition(":")
    hashed, _, rest = rest.partition(":")
    patterns, _, roles = rest.partition(":")
    try:
        argon2.extract_parameters(hashed)
    except InvalidHashError:
        # The line is not repeated: what stands there may be the password itself.
        raise ValueError("write it as name:hash, as `mail2fax passwd` does") from None
    senders = tuple(pattern.strip() for pattern in patterns.split(",") if pattern.strip())
    for sender in senders:
        types.pattern(sender)
    return User(name, hashed, _known_roles([role.strip() for role in roles.split(",") if role.strip()]), senders)


def _known_roles(roles: Sequence[str]) -> frozenset[str]:
    for role in roles:
        if role not in ROLES:
            raise ValueError(f"{role!r} is no role: write {', '.join(ROLES)}")
    return frozenset(roles)
