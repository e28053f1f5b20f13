"""One mail's envelope while it is being said: whom it may be for (RCPT), and whether it may be sent at all (DATA).

At RCPT only the number is judged. Mail servers ask there whether a recipient exists, with a reverse-path of their own
(Exim's callout with <>, Postfix's verification as double-bounce@), go no further than RCPT, and remember a refusal for
days, for everybody. What is about the sender is said at DATA, before a byte of the mail is sent.
"""

from dataclasses import dataclass, field

from mail2fax.model import Recipient, User
from mail2fax.smtp import answers, limits, paths
from mail2fax.smtp.context import Context
from mail2fax.smtp.parameters import OfMail


@dataclass(slots=True)
class Transaction:
    """What MAIL and RCPT have said so far."""

    reverse_path: str | None = None  # None before MAIL
    of_mail: OfMail = field(default_factory=OfMail)
    recipients: list[Recipient] = field(default_factory=list)
    special: str = ""  # the one recipient of a mail that is no fax: postmaster, or an address that we write ourselves

    @property
    def forward_paths(self) -> str:
        """All that it is for so far, as the client wrote them."""
        return ", ".join(one.address for one in self.recipients) or self.special


async def recipient(context: Context, mail: Transaction, forward_path: str, *, relay: bool) -> Recipient | str | None:
    """The fax that one RCPT asks for, the refusal, or None for an address that is no number and exists.

    `relay`: the client was let in without a login.
    """
    if _is_special(context, forward_path):
        return _special(context, mail, forward_path)
    if mail.special:
        return _alone(context, mail.special)
    if len(mail.recipients) >= context.settings.smtp.max_recipients:
        return answers.TOO_MANY_RECIPIENTS
    ruling = context.policy.recipient(forward_path)
    if ruling.recipient is None:
        return context.policy.mistyped(forward_path, relay=relay) or ruling.refusal
    return await _over_budget(context, mail, ruling.recipient.number) or ruling.recipient


async def _over_budget(context: Context, mail: Transaction, number: str) -> str | None:
    """Of a mail to several numbers those that fit are faxed; the first is all that a verification asks for."""
    taken = _numbers(mail)
    if not taken or mail.reverse_path is None:
        return await limits.over_budget_of_number(context.policy, context.spool, number)
    return await limits.over_budget(context.policy, context.spool, mail.reverse_path, number, taken)


def _numbers(mail: Transaction) -> list[str]:
    """Those that can be dialled: what was mistyped costs nothing."""
    return [one.number for one in mail.recipients if one.number]


def _special(context: Context, mail: Transaction, forward_path: str) -> str | None:
    if mail.recipients or mail.special not in {"", forward_path}:
        return _alone(context, forward_path)
    if context.answering and context.answering.meant(forward_path) and not context.answering.known(forward_path):
        return answers.NOT_OUR_ADDRESS
    return None


def _alone(context: Context, special: str) -> str:
    is_answer = context.answering and context.answering.meant(special)
    return answers.ANSWER_ALONE if is_answer else answers.POSTMASTER_ALONE


def _is_special(context: Context, forward_path: str) -> bool:
    if context.answering and context.answering.meant(forward_path):
        return True
    return _is_postmaster(context, forward_path) or context.policy.is_reply_sender(forward_path)


def _is_postmaster(context: Context, forward_path: str) -> bool:
    """RFC 5321 section 4.5.1: in any case of letters, with one of our domains or with none."""
    local_part, at, domain = forward_path.rpartition("@")
    if not at:
        return True
    return local_part.lower() == paths.POSTMASTER and domain.lower() in context.settings.smtp.domains


async def refusal(context: Context, mail: Transaction, user: User | None) -> str | None:
    """Why nothing of this mail is taken; None when its bytes may come."""
    assert mail.reverse_path is not None
    if _is_postmaster(context, mail.special or "@"):
        # RFC 5321 section 4.5.5: from anybody, <> too.
        return None if context.settings.smtp.postmaster else answers.NO_POSTMASTER
    if refused := context.policy.sender(mail.reverse_path, user).refusal:
        return refused
    if not mail.special:
        first = next(iter(_numbers(mail)), "")
        return await limits.over_budget(context.policy, context.spool, mail.reverse_path, first) if first else None
    if context.answering and context.answering.meant(mail.special):
        return await context.answering.refusal(mail.special, mail.reverse_path)
    return answers.NO_MAILBOX
