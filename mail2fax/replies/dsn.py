"""Delivery status notifications: the parts of a multipart/report that mail servers read (RFC 3461, RFC 3464, RFC 6522).

A fax whose outcome is unknown has none: "failed" would be a lie, and RFC 3464 knows no word for it.
"""

from collections.abc import Sequence
from email.utils import format_datetime

from mail2fax.model import Fax, Message, State
from mail2fax.replies.bodies import Part
from mail2fax.replies.headers import clean, verbatim, written

_WISH = {State.DELIVERED: "SUCCESS", State.FAILED: "FAILURE", State.CANCELLED: "FAILURE"}
_ACTIONS = {"SUCCESS": "delivered", "FAILURE": "failed", "DELAY": "delayed"}  # RFC 3464 section 2.3.3
_LONGEST = 500  # characters of one field


def wanted(fax: Fax) -> bool:
    """Whether the sender wants to hear of this fax as it stands: RFC 3461 section 4.1."""
    if fax.notify is None:
        return True
    if "NEVER" in fax.notify:
        return False
    # Neither SUCCESS nor FAILURE speaks of a fax that may have arrived: that is never kept back.
    return _wish(fax) in {*fax.notify, ""}


def due(faxes: Sequence[Fax], *, always: bool) -> bool:
    """Whether the reply on these faxes is to be a report. `always`: for failures nobody asked for, too."""
    return all(_due(fax, always=always) for fax in faxes)


def _due(fax: Fax, *, always: bool) -> bool:
    wish = _wish(fax)
    asked = fax.notify is not None and wish in fax.notify
    return asked or (always and wish == "FAILURE")


def _wish(fax: Fax) -> str:
    """The word of NOTIFY that asks for a report on a fax in this state; "" when nothing can be reported."""
    return "DELAY" if not fax.final else _WISH.get(fax.state, "")


def parts(message: Message, faxes: Sequence[Fax], hostname: str) -> list[Part]:
    """What follows the words for people: the status for machines, and the header of the mail it is about.

    The mail itself is never returned, whatever RET says: it may hold what only the recipient of the fax may see.
    """
    groups = [_of_message(message, hostname), *map(_of_fax, faxes)]
    status = Part("Content-Type: message/delivery-status\r\n", "\r\n".join(groups).encode())
    kind = 'Content-Type: text/rfc822-headers; charset="us-ascii"\r\nContent-Transfer-Encoding: 7bit\r\n'
    return [status, Part(kind, f"{_header(message)}\r\n".encode())]


def _of_message(message: Message, hostname: str) -> str:
    # RFC 3464 section 2.2.
    return _fields(
        {
            "Original-Envelope-Id": message.envelope.envid,
            "Reporting-MTA": f"dns; {hostname}",
            "Received-From-MTA": f"dns; {message.envelope.helo}" if message.envelope.helo else "",
            "Arrival-Date": format_datetime(message.received_at),
        }
    )


def _of_fax(fax: Fax) -> str:
    # RFC 3464 section 2.3. RFC 3461 section 6.3 (g): 5.0.0 where no specific reason is known.
    words = " ".join(filter(None, (fax.reason or "", fax.progress)))
    return _fields(
        {
            "Original-Recipient": fax.orcpt.replace(";", "; ", 1),
            "Final-Recipient": f"rfc822; {fax.recipient}",
            "Action": _ACTIONS[_wish(fax)],
            "Status": _status(fax),
            "Diagnostic-Code": f"x-fax; {words}" if words else "",
            "Last-Attempt-Date": format_datetime(fax.submitted_at) if fax.submitted_at else "",
            "Final-Log-ID": fax.id,
        }
    )


def _status(fax: Fax) -> str:
    """RFC 3463: the fax's own code where it fits the action, else the class. 4.4.7 fits: given up after all."""
    if fax.state is State.DELIVERED:
        return "2.0.0"
    general = "5.0.0" if fax.final else "4.0.0"
    return fax.status if fax.status.startswith(("4.", general[:2])) else general


def _fields(values: dict[str, str]) -> str:
    ascii_only = {name: clean(value, _LONGEST).encode("ascii", "replace").decode() for name, value in values.items()}
    return "".join(verbatim(name, value) for name, value in ascii_only.items() if value)


def _header(message: Message) -> str:
    """What is kept of the mail's header; RFC 6522 section 3 lets the rest be left out."""
    kept = message.headers
    fields = {"From": kept.from_, "Subject": kept.subject, "Date": kept.date, "Message-ID": kept.message_id}
    return "".join(written(name, value) for name, value in fields.items() if value)
