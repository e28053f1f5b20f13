"""Step 1 of 5: the commands of SMTP. What can be refused cheaply is refused here; 250 after DATA means on disk.

`connection` carries the lines, `transaction` and `policy` decide who and which number, `answers` has the words.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from mail2fax import log
from mail2fax.model import Envelope
from mail2fax.smtp import answers, parameters, paths, transaction
from mail2fax.smtp.accept import accept
from mail2fax.smtp.auth import Login
from mail2fax.smtp.connection import GONE, Connection
from mail2fax.smtp.data import Reception
from mail2fax.smtp.paths import Malformed
from mail2fax.smtp.transaction import Transaction
from mail2fax.spool import Incoming

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HTTP = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"})


async def converse(connection: Connection) -> None:
    """Hold a session on this connection, from the greeting until one of the two leaves."""
    session = Session(connection)
    connection.say(answers.greeting(connection.context.settings.smtp.hostname))
    while not connection.leaving:
        await session.obey(await connection.read_line())
        connection.end_if_due()


class Session:
    """One session: the commands, in the order a client says them."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._context = connection.context
        self._say = connection.say
        self._login = Login(connection)
        self._transaction = Transaction()
        self._helo = ""
        self._sender: str | None = None  # the reverse-path that was said last, also one that was refused
        self._mails = 0

    async def obey(self, line: bytes | None) -> None:
        """Carry out one command; None is a line that was too long. Errors of our own are 451, without a word more."""
        try:
            if line is None:
                self._refuse(answers.LINE_TOO_LONG)
            elif not line.endswith(b"\r\n") or _CONTROL.search(line, 0, len(line) - 2):
                self._refuse(answers.BAD_LINE)
            else:
                verb, _, argument = line[:-2].decode("latin-1").partition(" ")
                await self._command(verb.upper(), argument.strip(" "))
        except Malformed as malformed:
            self._refuse(malformed.answer)
        except GONE:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, the client is told to try again
            log.session_failed(client=self._connection.client, error=error)
            self._refuse(answers.to_error(error))

    async def _command(self, verb: str, argument: str) -> None:
        command = self._commands.get(verb)
        if command:
            await command(self, argument)
        elif verb in _HTTP:
            # A browser was made to talk to us: nothing of its request is to be taken for a command (ALPACA).
            self._connection.farewell = answers.NOT_HTTP
        else:
            self._refuse(answers.UNKNOWN_COMMAND)

    def _refuse(self, answer: str, recipient: str = "") -> None:
        """Answer no, and tell the operator: for `recipient`, or for all that the mail has by now."""
        log.refused(
            answer=answer,
            client=self._connection.client,
            user=self._login.name,
            sender=self._sender,
            recipient=recipient or self._transaction.forward_paths,
        )
        self._connection.refuse(answer)

    def _tell(self, answer: str) -> None:
        """Say the answer, whatever its kind."""
        if answer.startswith("421"):
            self._connection.farewell = answer
        elif answer.startswith(("4", "5")):
            self._refuse(answer)
        else:
            self._say(answer)

    # -- hello

    async def _hello(self, argument: str, extensions: list[str]) -> None:
        # Whatever printable name: RFC 5321 section 4.1.4 forbids to refuse mail over it.
        if not argument or " " in argument or not argument.isascii() or len(argument) > 255:
            self._refuse(answers.BAD_HELLO)
            return
        self._transaction, self._sender = Transaction(), None
        self._helo = argument
        self._say(answers.hello(self._context.settings.smtp.hostname, extensions))

    async def _say_helo(self, argument: str) -> None:
        await self._hello(argument, [])

    async def _say_ehlo(self, argument: str) -> None:
        smtp = self._context.settings.smtp
        extensions = [f"SIZE {smtp.max_message_size}", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if smtp.dsn:
            extensions.append("DSN")
        if self._context.certificate and not self._connection.secure:
            extensions.append("STARTTLS")
        # RFC 4954 section 4 and RFC 8314: no password over a plain connection.
        if self._connection.secure and smtp.users_file:
            extensions.append("AUTH PLAIN LOGIN")
        await self._hello(argument, extensions)

    async def _starttls(self, argument: str) -> None:
        if argument:
            self._refuse(answers.NO_ARGUMENT)
        elif self._connection.secure:
            self._refuse(answers.TLS_ALREADY)
        elif not self._context.certificate:
            self._refuse(answers.NO_TLS)
        else:
            self._say(answers.READY_FOR_TLS)
            await self._connection.flush()
            await self._connection.start_tls()
            # RFC 3207 section 4.2: nothing said before counts.
            self._helo, self._login.user, self._transaction, self._sender = "", None, Transaction(), None

    # -- a mail

    async def _mail(self, argument: str) -> None:
        if self._mails >= self._context.settings.smtp.max_messages_per_connection:
            self._connection.farewell = answers.TOO_MANY_MESSAGES
            return
        if refusal := self._out_of_turn():
            self._refuse(refusal)
            return
        if argument[:5].upper() != "FROM:":
            raise Malformed(answers.MAIL_SYNTAX)
        reverse_path, rest = paths.reverse(argument[5:].lstrip(" "))
        self._sender = reverse_path
        of_mail = parameters.of_mail(rest)
        if refusal := self._turned_away() or await self._context.capacity.refusal(of_mail.size):
            self._refuse(refusal)
        elif not self._context.rates.mail(self._connection.client):
            self._refuse(answers.TOO_MANY_A_MINUTE)
        else:
            self._transaction = Transaction(reverse_path, of_mail)
            self._say(answers.SENDER_OK)

    def _out_of_turn(self) -> str | None:
        """Why there is no MAIL now."""
        if not self._helo:
            return answers.SAY_HELLO
        return answers.MAIL_TWICE if self._transaction.reverse_path is not None else None

    def _turned_away(self) -> str | None:
        """Why this client may send nothing, whoever the mail is of."""
        connection = self._connection
        who = (connection.client, self._login.name, connection.certified)
        return self._context.policy.client(*who, tls=connection.secure).refusal

    async def _rcpt(self, argument: str) -> None:
        mail = self._transaction
        if mail.reverse_path is None:
            self._refuse(answers.NEED_MAIL)
            return
        if argument[:3].upper() != "TO:":
            raise Malformed(answers.RCPT_SYNTAX)
        forward_path, rest = paths.forward(argument[3:].lstrip(" "))
        of_rcpt = parameters.of_rcpt(rest)
        found = await transaction.recipient(self._context, mail, forward_path, relay=not self._login.user)
        if isinstance(found, str):
            self._refuse(found, forward_path)
            return
        if found is None:
            mail.special = forward_path
        else:
            mail.recipients.append(replace(found, notify=of_rcpt.notify, orcpt=of_rcpt.orcpt) if rest else found)
        self._say(answers.RECIPIENT_OK)

    async def _data(self, argument: str) -> None:
        mail = self._transaction
        if argument:
            self._refuse(answers.NO_ARGUMENT)
        elif mail.reverse_path is None:
            self._refuse(answers.NEED_MAIL)
        elif not mail.recipients and not mail.special:
            self._refuse(answers.NEED_RCPT)
        elif refusal := await transaction.refusal(self._context, mail, self._login.user):
            self._refuse(refusal)
            self._transaction = Transaction()
        else:
            await self._receive_mail(mail, mail.reverse_path)

    async def _receive_mail(self, mail: Transaction, reverse_path: str) -> None:
        content = self._context.spool.incoming()
        smtp = self._context.settings.smtp
        reception = Reception(content, self._context.capacity, smtp, self._connection.loop.time)
        ours = False
        try:
            self._say(answers.GO_AHEAD)
            if not await self._connection.receive(reception):
                log.client_vanished(client=self._connection.client)
            elif refusal := reception.refusal() or self._lacks_mark(reception):
                if reception.error:
                    log.not_accepted(client=self._connection.client, sender=reverse_path, error=reception.error)
                self._refuse(refusal)
            else:
                ours = True
                await self._commit(self._envelope(mail, reverse_path), content, mail.special)
        finally:
            if not ours:
                content.discard()
            self._transaction = Transaction()

    def _lacks_mark(self, reception: Reception) -> str | None:
        if self._login.user or not self._context.required_header.is_missing(self._connection.client, reception.head):
            return None
        return answers.NO_MARK

    def _envelope(self, mail: Transaction, reverse_path: str) -> Envelope:
        line = self._context.policy.line
        return Envelope(
            reverse_path=reverse_path,
            recipients=tuple(replace(one, line=line(reverse_path, one.number)) for one in mail.recipients),
            client=self._connection.client,
            helo=self._helo,
            user=self._login.name,
            ret=mail.of_mail.ret,
            envid=mail.of_mail.envid,
        )

    async def _commit(self, envelope: Envelope, content: Incoming, special: str) -> None:
        """Make the mail durable, then promise. A client that leaves meanwhile does not undo it."""
        with self._connection.uninterrupted():
            answer = await accept(self._context, envelope, content, special)
        self._mails += 1
        if answer.startswith("2"):
            self._connection.forgive()
        self._tell(answer)

    # -- the rest

    async def _auth(self, argument: str) -> None:
        if not self._context.settings.smtp.users_file:
            self._refuse(answers.NO_AUTH)
        elif not self._helo:
            self._refuse(answers.SAY_HELLO)
        elif self._transaction.reverse_path is not None:
            self._refuse(answers.AUTH_IN_MAIL)
        else:
            self._tell(await self._login.answer(argument))

    async def _rset(self, argument: str) -> None:
        if argument:
            self._refuse(answers.NO_ARGUMENT)
        else:
            self._transaction = Transaction()
            self._say(answers.DONE)

    async def _noop(self, argument: str) -> None:  # noqa: ARG002 -- RFC 5321 section 4.1.1.9: ignored
        self._say(answers.DONE)

    async def _quit(self, argument: str) -> None:
        if argument:
            self._refuse(answers.NO_ARGUMENT)
        else:
            self._say(answers.BYE)
            await self._connection.flush()
            self._connection.leaving = True

    async def _help(self, argument: str) -> None:  # noqa: ARG002 -- the same help for everything
        self._say(answers.HELP)

    async def _vrfy(self, argument: str) -> None:  # noqa: ARG002 -- RFC 5321 section 7.3: nobody is told who exists
        self._say(answers.WILL_NOT_VERIFY)

    async def _not_implemented(self, argument: str) -> None:  # noqa: ARG002 -- whatever it is
        self._refuse(answers.NOT_IMPLEMENTED)

    _commands: ClassVar[Mapping[str, Callable[["Session", str], Awaitable[None]]]] = {
        "EHLO": _say_ehlo,
        "HELO": _say_helo,
        "STARTTLS": _starttls,
        "AUTH": _auth,
        "MAIL": _mail,
        "RCPT": _rcpt,
        "DATA": _data,
        "RSET": _rset,
        "NOOP": _noop,
        "QUIT": _quit,
        "HELP": _help,
        "VRFY": _vrfy,
        **dict.fromkeys(("EXPN", "BDAT", "TURN", "ETRN"), _not_implemented),
    }
