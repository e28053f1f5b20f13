"""What the outgoing mail server's answers, and its silence, mean for one mail. The border for every foreign error here.

Permanent is only what the server says of this mail or this recipient. What it says of us (a login, a certificate, the
envelope sender) is Temporary: replies wait until an operator has mended it, instead of being lost by the hundred.
"""

import os
import re
import socket
import ssl
from collections.abc import Iterator

import aiosmtplib

from mail2fax import log
from mail2fax.model import Permanent, Reason, Temporary, Verdict

_NOTE = 300  # characters of the server's own words that are kept
_ENHANCED = re.compile(r"([245])\.\d{1,3}\.\d{1,3}\b")
_ABOUT_US = frozenset({503, 530, 534, 535, 538})  # order of commands, login or TLS wanted: RFC 5321, RFC 4954
_FULL = 552  # RFC 5321 section 4.5.3.1.10: at RCPT it means "too many", and is to be read as 452


def verdict(error: Exception, relay: str) -> Verdict:
    """The verdict that this error is. Its note: "mail.example:25 answered RCPT with 550 5.1.1 no such user"."""
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _answered(error, relay)
    return _unanswered(error, relay)


def _answered(error: aiosmtplib.SMTPResponseException, relay: str) -> Verdict:
    match error:
        case aiosmtplib.SMTPConnectResponseError() | aiosmtplib.SMTPHeloError():
            return _deferred(error, f"{relay} greeted with")
        case aiosmtplib.SMTPAuthenticationError():
            return _deferred(error, f"{relay} refused the login with", "4.7.8")
        case aiosmtplib.SMTPSenderRefused():
            return _of_sender(error, f"{relay} answered MAIL FROM:<{error.sender}> with")
        case aiosmtplib.SMTPRecipientRefused():
            return _judged(error, f"{relay} answered RCPT with", full=True)
        case _:
            return _judged(error, f"{relay} answered DATA with")


def _of_sender(error: aiosmtplib.SMTPSenderRefused, saying: str) -> Verdict:
    # Apart from the size, MAIL says nothing of this mail, but of us; Office 365 refuses the null reverse-path there.
    if error.code == _FULL:
        return _judged(error, saying)
    if 500 <= error.code < 600 and not error.sender:
        return _deferred(error, f"{saying} (does [reply] envelope_sender help?)")
    return _deferred(error, saying)


def _judged(error: aiosmtplib.SMTPResponseException, saying: str, *, full: bool = False) -> Verdict:
    code = error.code
    if not 500 <= code < 600 or code in _ABOUT_US or (full and code == _FULL):
        return _deferred(error, saying)
    return Permanent(Reason.RELAY_REFUSED, _status(error, "5.0.0"), note=_note(saying, error))


def _deferred(error: aiosmtplib.SMTPResponseException, saying: str, status: str = "4.0.0") -> Temporary:
    return Temporary(Reason.RELAY_DEFERRED, _status(error, status), note=_note(saying, error))


def _status(error: aiosmtplib.SMTPResponseException, otherwise: str) -> str:
    """The server's own enhanced status code, where it fits the verdict's class (RFC 2034)."""
    said = _ENHANCED.match(error.message)
    return said[0] if said and said[1] == otherwise[0] else otherwise


def _note(saying: str, error: aiosmtplib.SMTPResponseException) -> str:
    words = "".join(c if c.isprintable() else " " for c in error.message)
    # Blanked before it is cut: a secret cut in two would not be known again.
    return log.redact(f"{saying} {error.code} {words}")[: len(saying) + _NOTE]


def _unanswered(error: BaseException, relay: str) -> Temporary:
    """No connection, or one that ended without an answer."""
    for cause in _chain(error):
        match cause:
            case ssl.SSLCertVerificationError():
                why = f"{relay} shows a certificate that cannot be trusted: {cause.verify_message}"
                return Temporary(Reason.RELAY_UNREACHABLE, "4.7.5", note=why)
            case ssl.SSLError():
                why = f"{relay} does not speak TLS here: {cause.reason or 'the handshake failed'}"
                return Temporary(Reason.RELAY_UNREACHABLE, "4.7.5", note=why)
            case socket.gaierror():
                why = f"{relay} has no address: {cause.strerror}"
                return Temporary(Reason.RELAY_UNREACHABLE, "4.4.3", note=why)
            case TimeoutError():
                return Temporary(Reason.RELAY_UNREACHABLE, "4.4.2", note=f"{relay} did not answer in time")
            case _:
                continue
    if "XOAUTH2" in str(error):  # the library's words for a server that does not offer it
        why = f"{relay} offers no XOAUTH2, which [reply] relay_oauth_token_url asks for"
        return Temporary(Reason.RELAY_DEFERRED, "4.7.4", note=why)
    lost = isinstance(error, aiosmtplib.SMTPServerDisconnected)
    numbered = (os.strerror(one.errno) for one in _chain(error) if isinstance(one, OSError) and one.errno)
    why = next(numbered, str(error))
    note = f"{relay} closed the connection" if lost else log.redact(f"{relay}: {why}")[: _NOTE + len(relay)]
    return Temporary(Reason.RELAY_UNREACHABLE, "4.4.2" if lost else "4.4.1", note=note)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__
