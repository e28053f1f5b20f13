"""AUTH PLAIN and LOGIN (RFC 4954), over TLS only. Passwords are checked off the loop, as fast as they are counted."""

import asyncio
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import TYPE_CHECKING

from mail2fax import log
from mail2fax.smtp import answers
from mail2fax.smtp.connection import Connection

if TYPE_CHECKING:
    from mail2fax.model import User

_FREE_FAILURES = 3  # wrong passwords of a client before each one more costs it a pause


class _Refused(Exception):  # noqa: N818 -- an answer, not a fault
    """The exchange ends here, with this answer."""


class Login:
    """Who has logged in on a connection, and how that is done."""

    pause = 1.0  # seconds

    def __init__(self, connection: Connection) -> None:
        self.user: User | None = None
        self._connection = connection
        self._context = connection.context

    @property
    def name(self) -> str:
        """The user's, "" without one."""
        return self.user.name if self.user else ""

    async def answer(self, argument: str) -> str:
        """Carry out AUTH, whose turn it is. The answer; with 421 the session ends."""
        mechanisms = {"PLAIN": self._plain, "LOGIN": self._log_in}
        mechanism, _, initial = argument.partition(" ")
        if not self._connection.secure:
            return answers.AUTH_NEEDS_TLS
        if self.user:
            return answers.AUTH_ALREADY
        if not mechanism or " " in initial.strip():
            return answers.AUTH_SYNTAX
        if mechanism.upper() not in mechanisms:
            return answers.AUTH_UNKNOWN
        try:
            name, password = await mechanisms[mechanism.upper()](initial.strip())
        except _Refused as refused:
            return str(refused)
        return await self._verify(name, password)

    async def _plain(self, initial: str) -> tuple[str, bytes]:
        """RFC 4616: authorization identity, name and password, with NUL between them."""
        given = _decoded(initial) if initial else await self._asked(b"")
        parts = given.split(b"\0")
        if len(parts) != 3:
            raise _Refused(answers.AUTH_NOT_PLAIN)
        other, name, password = parts
        # RFC 4616 section 2: nobody may act as somebody else here, so to ask for it is not to be overlooked.
        if other not in {b"", name}:
            raise _Refused(answers.AUTH_AS_OTHER)
        return _text(name), password

    async def _log_in(self, initial: str) -> tuple[str, bytes]:
        """The exchange of no RFC that Outlook and many devices know, with the name perhaps in the command."""
        name = _decoded(initial) if initial else await self._asked(b"Username:")
        return _text(name), await self._asked(b"Password:")

    async def _asked(self, question: bytes) -> bytes:
        self._connection.say(f"334 {b64encode(question).decode()}")
        line = await self._connection.read_line()
        if line is None:
            raise _Refused(answers.AUTH_TOO_LONG)
        text = line.decode("latin-1").strip()
        if text == "*":  # RFC 4954 section 4
            raise _Refused(answers.AUTH_ABORTED)
        return _decoded(text)

    async def _verify(self, name: str, password: bytes) -> str:
        client, rates = self._connection.client, self._context.rates
        # No more at once than there are threads to hash: what was counted is known before the next one is looked at.
        async with self._context.users.turns:
            if not rates.may_log_in(client, name):
                log.login_refused(client=client, name=name)
                return answers.AUTH_TOO_OFTEN
            user = await self._context.users.verify(name, password.decode("utf-8", "surrogateescape"))
            if user:
                rates.logged_in(client, name)
        if not user:
            log.login_failed(client=client, name=name)
            if rates.failed_logins(client) > _FREE_FAILURES:
                await asyncio.sleep(self.pause)
            return answers.AUTH_FAILED
        self.user = user
        return answers.AUTH_OK


def _decoded(text: str) -> bytes:
    """Base64, also without the padding that some devices leave off; "=" is nothing at all (RFC 4954 section 4)."""
    bare = text.rstrip("=")
    try:
        return b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (NotBase64, ValueError):
        raise _Refused(answers.AUTH_NOT_BASE64) from None


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
