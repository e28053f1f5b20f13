"""AUTH PLAIN and LOGIN (RFC 4954), over TLS only. aiosmtpd leads the exchange; the password is checked off the loop."""

import asyncio
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from typing import Any

from aiosmtpd.smtp import MISSING, AuthResult, LoginPassword

from mail2fax import log
from mail2fax.model import User
from mail2fax.smtp import answers
from mail2fax.smtp.connection import Connection

_FREE_FAILURES = 3  # wrong passwords of a client before each one more costs it a pause


class Login(Connection):
    """The part of a session that may end with a user."""

    login_pause = 1.0  # seconds
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    user: User | None = None

    async def log_in(self, argument: str) -> None:
        """Carry out AUTH, whose turn it is."""
        mechanisms = {"PLAIN": self.auth_PLAIN, "LOGIN": self.auth_LOGIN}
        words = argument.split()
        if not self.secure:
            self.refuse(answers.AUTH_NEEDS_TLS)
        elif self.user:
            self.refuse(answers.AUTH_ALREADY)
        elif not 1 <= len(words) <= 2:
            self.refuse(answers.AUTH_SYNTAX)
        elif words[0].upper() not in mechanisms:
            self.refuse(answers.AUTH_UNKNOWN)
        else:
            result = await mechanisms[words[0].upper()](self, words)
            if isinstance(result.auth_data, LoginPassword):  # else the client was told already
                await self._verify(result.auth_data)

    def _authenticate(self, mechanism: str, auth_data: LoginPassword) -> AuthResult:  # noqa: ARG002 -- aiosmtpd's
        """Called by aiosmtpd where it would check the password, in the loop: here it only hands on what was said."""
        return AuthResult(success=True, auth_data=auth_data)

    async def challenge_auth(
        self,
        challenge: str | bytes,
        encode_to_b64: bool = True,  # noqa: ARG002 -- aiosmtpd's signature
        log_client_response: bool = False,  # noqa: ARG002 -- never
    ) -> Any:
        """Ask for one more line: its bytes, or MISSING when the client was refused."""
        question = challenge.encode() if isinstance(challenge, str) else challenge
        self.say(f"334 {b64encode(question).decode()}")
        line = await self.read_line()
        if line is None:
            self.refuse(answers.AUTH_TOO_LONG)
        elif line.rstrip(b"\r\n") == b"*":  # RFC 4954 section 4
            self.refuse(answers.AUTH_ABORTED)
        else:
            try:
                return b64decode(line.rstrip(b"\r\n"), validate=True)
            except NotBase64:
                self.refuse(answers.AUTH_NOT_BASE64)
        return MISSING

    async def _verify(self, given: LoginPassword) -> None:
        name = given.login.decode("utf-8", "replace")
        password = given.password.decode("utf-8", "surrogateescape")
        rates = self.context.rates
        if not rates.may_log_in(self.client, name):
            log.login_refused(client=self.client, name=name)
            self.farewell = answers.AUTH_TOO_OFTEN
            return
        self.user = await self.context.users.verify(name, password)
        if self.user:
            self.say(answers.AUTH_OK)
            return
        log.login_failed(client=self.client, name=name)
        if rates.login_failed(self.client, name) > _FREE_FAILURES:
            await asyncio.sleep(self.login_pause)
        self.refuse(answers.AUTH_FAILED)
