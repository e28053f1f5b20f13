"""Step 1 of 5: listen, and hold a dialogue with each client that connects.

Promises that the door is closed by default, that open sessions end with 421 when it closes, and that no mail that is
being made durable is given up for it.
"""

import asyncio
from functools import partial
from urllib.parse import urlsplit

from mail2fax import log
from mail2fax.config import ConfigError, Settings, exposed, naming, types
from mail2fax.rules.policy import Policy
from mail2fax.smtp import tls
from mail2fax.smtp.connection import Connection
from mail2fax.smtp.context import open_context
from mail2fax.smtp.reply_commands import ReplyCommands
from mail2fax.smtp.session import converse
from mail2fax.smtp.users import Users
from mail2fax.spool import Spool

_BACKLOG = 512  # connections that wait to be accepted


class Listener:
    """The SMTP server of one node."""

    def __init__(
        self, settings: Settings, spool: Spool, policy: Policy, answering: ReplyCommands | None = None
    ) -> None:
        """Without `answering` there are no addresses for sending again."""
        self._context = open_context(settings, spool, policy, answering)
        self._servers: list[asyncio.Server] = []

    @property
    def users(self) -> Users:
        """Who may log in, as read last."""
        return self._context.users

    async def start(self) -> list[str]:
        """Begin to accept. The addresses as bound, such as "127.0.0.1:2525". Raises OSError: then `close` it."""
        smtp = self._context.settings.smtp
        for key, addresses in (("listen", smtp.listen), ("listen_tls", smtp.listen_tls)):
            for address in addresses:
                with naming(f"{smtp.place(key)}: {address}"):
                    await self._bind(address, tls_first=key == "listen_tls")
        for server in self._servers:
            await server.start_serving()
        # Now, and beside those who come already: the first sender would keep all others waiting for it.
        await asyncio.to_thread(types.address_checks)
        sockets = (one for server in self._servers for one in server.sockets)
        return [_shown(one.getsockname()) for one in sockets]

    async def _bind(self, address: str, *, tls_first: bool) -> None:
        where = urlsplit(f"//{address}")
        # TLS is begun by the connection itself, also where it comes first: one way for both, and behind PROXY headers.
        connection = partial(Connection, self._context, converse, tls_first=tls_first)
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            connection, where.hostname, where.port or 0, backlog=_BACKLOG, start_serving=False
        )
        self._servers.append(server)

    def reload(self) -> None:
        """Read the certificate and the users file anew; what cannot be read stays as it was."""
        context, whole = self._context, True
        for file in exposed.files(context.settings):
            log.secret_exposed(file=file)
        try:
            context.certificate = tls.open_contexts(context.settings.smtp)
        except ConfigError as error:
            log.not_reloaded(what="certificate", problem=str(error))
            whole = False
        # On its own: a login that was taken back must not stay good because of a certificate.
        try:
            context.users.reload()
        except ConfigError as error:
            log.not_reloaded(what="users file", problem=str(error))
            whole = False
        if whole:
            log.reloaded()

    async def close(self) -> None:
        """Accept nobody more, say 421 to open sessions, wait for the mails that are being made durable."""
        context = self._context
        context.closing = True
        for server in self._servers:
            server.close()
        for session in list(context.sessions):
            session.hang_up()
        if context.sessions:
            await asyncio.wait(context.sessions.values(), timeout=context.settings.spool.drain)
        for session in list(context.sessions):
            session.abort()
        context.users.close()


def _shown(name: tuple[str, int]) -> str:
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
