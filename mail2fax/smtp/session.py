"""Step 1 of 5: the commands of SMTP. What can be refused cheaply is refused here; 250 after DATA means on disk.

`wire` carries the lines, `policy` decides who and which number, `door` and `room` how much, `answers` has the words.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar

from mail2fax import log
from mail2fax.model import Envelope, Recipient, Usage
from mail2fax.smtp import answers, parameters, paths
from mail2fax.smtp.accept import accept
from mail2fax.smtp.auth import Login
from mail2fax.smtp.connection import GONE
from mail2fax.smtp.context import Context
from mail2fax.smtp.data import Reception, answer_to
from mail2fax.smtp.parameters import OfMail
from mail2fax.smtp.paths import Malformed
from mail2fax.spool.contents.incoming import Incoming

_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
_HTTP = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH"})


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT have said so far."""

    reverse_path: str | None = None  # None before MAIL
    of_mail: OfMail = field(default_factory=OfMail)
    recipients: list[Recipient] = field(default_factory=list)
    besides: str = ""  # the one recipient of a mail that is no fax: postmaster, or an answer to a reply


class Session(Login):
    """One session: the commands, in the order a client says them."""

    helo = ""
    _mails = 0

    def __init__(self, context: Context, *, tls_first: bool = False) -> None:
        super().__init__(context, tls_first=tls_first)
        self.mail = Transaction()

    async def obey(self, line: bytes | None) -> None:
        """Carry out one command; None is a line that was too long. Errors of our own are 451, without a word more."""
        try:
            if line is None:
                self.refuse(answers.LINE_TOO_LONG)
            elif not line.endswith(b"\r\n") or _CONTROL.search(line, 0, len(line) - 2):
                self.refuse(answers.BAD_LINE)
            else:
                verb, _, argument = line[:-2].decode("latin-1").partition(" ")
                await self._command(verb.upper(), argument.strip(" "))
        except Malformed as malformed:
            self.refuse(malformed.answer)
        except GONE:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, the client is told to try again
            log.session_failed(client=self.client, error=error)
            self.say(answer_to(error))

    async def _command(self, verb: str, argument: str) -> None:
        command = self._commands.get(verb)
        if command:
            await command(self, argument)
        elif verb in _HTTP:
            # A browser was made to talk to us: nothing of its request is to be taken for a command (ALPACA).
            self.farewell = answers.NOT_HTTP
        else:
            self.refuse(answers.UNKNOWN_COMMAND)

    def refuse(self, answer: str, recipient: str = "") -> None:
        """Answer no, and tell the operator."""
        log.refused(
            answer=answer,
            client=self.client,
            user=self.user.name if self.user else "",
            sender=self.mail.reverse_path,
            recipient=recipient,
        )
        super().refuse(answer)

    # -- hello

    async def _hello(self, argument: str, extensions: list[str]) -> None:
        # Whatever printable name: RFC 5321 section 4.1.4 forbids to refuse mail over it.
        if not argument or " " in argument or not argument.isascii() or len(argument) > 255:
            self.refuse(answers.BAD_HELLO)
            return
        self.mail = Transaction()
        self.helo = argument
        self.say(answers.hello(self.context.settings.smtp.hostname, extensions))

    async def _say_helo(self, argument: str) -> None:
        await self._hello(argument, [])

    async def _say_ehlo(self, argument: str) -> None:
        smtp = self.context.settings.smtp
        extensions = [f"SIZE {smtp.max_message_size}", "8BITMIME", "PIPELINING", "ENHANCEDSTATUSCODES"]
        if smtp.dsn:
            extensions.append("DSN")
        if self.context.certificate and not self.secure:
            extensions.append("STARTTLS")
        # RFC 4954 section 4 and RFC 8314: no password over a plain connection.
        if self.secure and smtp.users_file:
            extensions.append("AUTH PLAIN LOGIN")
        await self._hello(argument, extensions)

    async def _starttls(self, argument: str) -> None:
        if argument:
            self.refuse(answers.NO_ARGUMENT)
        elif self.secure:
            self.refuse(answers.TLS_ALREADY)
        elif not self.context.certificate:
            self.refuse(answers.NO_TLS)
        else:
            self.say(answers.READY_FOR_TLS)
            await self.flush()
            await self.start_tls()
            # RFC 3207 section 4.2: nothing said before counts.
            self.helo, self.user, self.mail = "", None, Transaction()

    # -- a mail

    async def _mail(self, argument: str) -> None:
        if self._mails >= self.context.settings.smtp.max_messages_per_connection:
            self.farewell = answers.TOO_MANY_MESSAGES
            return
        if refusal := self._out_of_turn():
            self.refuse(refusal)
            return
        if argument[:5].upper() != "FROM:":
            raise Malformed(answers.MAIL_SYNTAX)
        reverse_path, rest = paths.reverse(argument[5:].lstrip(" "))
        of_mail = parameters.of_mail(rest)
        if refusal := await self.context.capacity.refusal(of_mail.size):
            self.refuse(refusal)
        elif not self.context.rates.mail(self.client):
            self.refuse(answers.TOO_MANY_A_MINUTE)
        else:
            self.mail = Transaction(reverse_path, of_mail)
            self.say(answers.SENDER_OK)

    def _out_of_turn(self) -> str | None:
        """Why there is no MAIL for this client now."""
        if not self.helo:
            return answers.SAY_HELLO
        if self.mail.reverse_path is not None:
            return answers.MAIL_TWICE
        return self.context.policy.client(self.client, self.user.name if self.user else "", self.secure)

    async def _rcpt(self, argument: str) -> None:
        mail = self.mail
        if mail.reverse_path is None:
            self.refuse(answers.NEED_MAIL)
            return
        if argument[:3].upper() != "TO:":
            raise Malformed(answers.RCPT_SYNTAX)
        forward_path, rest = paths.forward(argument[3:].lstrip(" "))
        of_rcpt = parameters.of_rcpt(rest)
        found = await self._recipient(forward_path, mail.reverse_path)
        if isinstance(found, str):
            self.refuse(found, forward_path)
            return
        if found is None:
            mail.besides = forward_path
        else:
            mail.recipients.append(replace(found, notify=of_rcpt.notify, orcpt=of_rcpt.orcpt) if rest else found)
        self.say(answers.RECIPIENT_OK)

    async def _recipient(self, forward_path: str, reverse_path: str) -> Recipient | str | None:
        """The fax that is asked for, the refusal, or None for postmaster and for addresses that ask to send again."""
        recipients, besides = self.mail.recipients, self.mail.besides
        if self._is_postmaster(forward_path) or self._is_answer(forward_path):
            return await self._no_fax(forward_path, reverse_path)
        if besides:
            return answers.ANSWER_ALONE if self._is_answer(besides) else answers.POSTMASTER_ALONE
        if len(recipients) >= self.context.settings.smtp.max_recipients:
            return answers.TOO_MANY_RECIPIENTS
        policy = self.context.policy
        found = policy.sender(reverse_path, self.user) or policy.recipient(forward_path)
        if isinstance(found, str):
            return found
        return await self._over_budget(found.number, reverse_path) or found

    def _is_answer(self, forward_path: str) -> bool:
        return self.context.answering is not None and self.context.answering.meant(forward_path)

    async def _no_fax(self, forward_path: str, reverse_path: str) -> str | None:
        is_answer = self._is_answer(forward_path)
        if self.mail.recipients or self.mail.besides not in {"", forward_path}:
            return answers.ANSWER_ALONE if is_answer else answers.POSTMASTER_ALONE
        if is_answer:
            return await self._answer_refusal(forward_path, reverse_path)
        return None if self.context.settings.smtp.postmaster else answers.NO_POSTMASTER

    async def _answer_refusal(self, forward_path: str, reverse_path: str) -> str | None:
        refused = self.context.policy.sender(reverse_path, self.user)
        if refused or self.context.answering is None:
            return refused
        return await self.context.answering.refusal(forward_path, reverse_path)

    def _is_postmaster(self, forward_path: str) -> bool:
        """RFC 5321 section 4.5.1: in any case of letters, with one of our domains or with none."""
        local_part, at, domain = forward_path.rpartition("@")
        if not at:
            return True
        return local_part.lower() == paths.POSTMASTER and domain.lower() in self.context.settings.smtp.domains

    async def _over_budget(self, number: str, reverse_path: str) -> str | None:
        if not self.context.has_budgets:
            return None
        spool, taken = self.context.spool, self.mail.recipients
        return self.context.policy.budget(
            _plus(await spool.usage(reverse_path), len(taken)),
            _plus(await spool.usage(None), len(taken)),
            await spool.number_today(number) + sum(one.number == number for one in taken),
        )

    async def _data(self, argument: str) -> None:
        mail = self.mail
        if argument:
            self.refuse(answers.NO_ARGUMENT)
        elif mail.reverse_path is None:
            self.refuse(answers.NEED_MAIL)
        elif not mail.recipients and not mail.besides:
            self.refuse(answers.NEED_RCPT)
        else:
            await self._receive_mail(mail, mail.reverse_path)

    async def _receive_mail(self, mail: Transaction, reverse_path: str) -> None:
        content = self.context.spool.incoming()
        limit = self.context.settings.smtp.max_message_size
        reception = Reception(content, self.context.capacity, limit, self.loop.time)
        ours = False
        try:
            self.say(answers.GO_AHEAD)
            if not await self.receive(reception):
                log.client_vanished(client=self.client)
            elif refusal := reception.refusal():
                if reception.error:
                    log.not_accepted(client=self.client, sender=reverse_path, error=reception.error)
                self.refuse(refusal)
            else:
                ours = True
                await self._commit(self._envelope(mail, reverse_path), content, mail.besides)
        finally:
            if not ours:
                content.discard()
            self.mail = Transaction()

    def _envelope(self, mail: Transaction, reverse_path: str) -> Envelope:
        return Envelope(
            reverse_path=reverse_path,
            recipients=tuple(mail.recipients),
            client=self.client,
            helo=self.helo,
            user=self.user.name if self.user else "",
            line=self.context.policy.line(reverse_path),
            ret=mail.of_mail.ret,
            envid=mail.of_mail.envid,
        )

    async def _commit(self, envelope: Envelope, content: Incoming, besides: str) -> None:
        """Make the mail durable, then promise. A client that leaves meanwhile does not undo it."""
        self.committing = True
        try:
            answer = await accept(self.context, envelope, content, besides)
        finally:
            self.committing = False
            self._reset_timeout()
        self._mails += 1
        if answer.startswith("2"):
            self.forgive()
        self.say(answer)

    # -- the rest

    async def _auth(self, argument: str) -> None:
        if not self.context.settings.smtp.users_file:
            self.refuse(answers.NO_AUTH)
        elif not self.helo:
            self.refuse(answers.SAY_HELLO)
        elif self.mail.reverse_path is not None:
            self.refuse(answers.AUTH_IN_MAIL)
        else:
            await self.log_in(argument)

    async def _rset(self, argument: str) -> None:
        if argument:
            self.refuse(answers.NO_ARGUMENT)
        else:
            self.mail = Transaction()
            self.say(answers.DONE)

    async def _noop(self, argument: str) -> None:  # noqa: ARG002 -- RFC 5321 section 4.1.1.9: ignored
        self.say(answers.DONE)

    async def _quit(self, argument: str) -> None:
        if argument:
            self.refuse(answers.NO_ARGUMENT)
        else:
            self.say(answers.BYE)
            await self.flush()
            self.leaving = True

    async def _help(self, argument: str) -> None:  # noqa: ARG002 -- the same help for everything
        self.say(answers.HELP)

    async def _vrfy(self, argument: str) -> None:  # noqa: ARG002 -- RFC 5321 section 7.3: nobody is told who exists
        self.say(answers.WILL_NOT_VERIFY)

    async def _not_implemented(self, argument: str) -> None:  # noqa: ARG002 -- whatever it is
        self.refuse(answers.NOT_IMPLEMENTED)

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


def _plus(usage: Usage, faxes: int) -> Usage:
    """As if so many faxes more had been sent."""
    return replace(usage, faxes_hour=usage.faxes_hour + faxes, faxes_day=usage.faxes_day + faxes)
