"""Mails made at the command line: files to fax, through the same rules and the same spool as any mail."""

import mimetypes
from collections.abc import Sequence
from dataclasses import replace
from email.message import EmailMessage
from email.utils import formatdate, make_msgid

from mail2fax.config import Settings
from mail2fax.model import Envelope, Receipt, Recipient, Refused
from mail2fax.rules import address
from mail2fax.rules.policy import Policy, in_words
from mail2fax.smtp import limits
from mail2fax.spool import Spool

CLIENT = "command line"


Attachment = tuple[str, bytes]  # a file's name and content


def letter(sender: str, recipient: str, subject: str, files: Sequence[Attachment]) -> bytes:
    """A mail that carries these files, in order."""
    from email.policy import SMTP  # noqa: PLC0415 -- takes a while, and every command loads this module

    mail = EmailMessage(policy=SMTP)
    mail["From"] = sender
    mail["To"] = recipient
    mail["Subject"] = subject or ", ".join(name for name, _ in files)
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = make_msgid(domain=recipient.rpartition("@")[2])
    mail.set_content("Sent from the command line.\n")
    for name, content in files:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        main, _, sub = kind.partition("/")
        mail.add_attachment(content, main, sub, filename=name)
    return mail.as_bytes()


async def send(
    settings: Settings, spool: Spool, number: str, files: Sequence[Attachment], *, sender: str = "", subject: str = ""
) -> Receipt:
    """Put a mail with these files into the spool. Raises Refused when the number may not be faxed."""
    sender = sender or settings.reply.admin_mailbox
    if not sender:
        raise Refused("say who gets the reply: --sender you@office.example, or set [reply] admin")
    policy = Policy(settings)
    if refusal := policy.sender(sender, None).refusal:
        raise Refused(in_words(refusal))
    recipient = allowed(settings, policy, number)
    if refusal := await limits.over_budget(policy, spool, sender, recipient.number):
        raise Refused(in_words(refusal))
    content = spool.incoming()
    content.write(letter(sender, recipient.address, subject, files))
    recipient = replace(recipient, line=policy.line(sender, recipient.number))
    return await spool.put(Envelope(sender, (recipient,), CLIENT), content)


def allowed(settings: Settings, policy: Policy, number: str) -> Recipient:
    """The recipient of this number. Raises Refused, or AddressError, when it may not be faxed."""
    digits = address.parse(number, settings.numbers.country).number
    ruling = policy.recipient(f"{digits}@{settings.smtp.domains[0]}")
    if ruling.recipient is None:
        raise Refused(in_words(ruling.refusal or ""))
    return ruling.recipient
