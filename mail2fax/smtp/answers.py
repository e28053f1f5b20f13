"""What the listener answers, in one place: each 2yz, 4yz and 5yz with its enhanced status code (RFC 2034, RFC 3463).

Fixed texts: no client gets to see a path, an exception or another one's address. Sentences are for the log of a mail
server and for the bounce it writes, so they say what to do where that is not plain.
"""

import errno

from mail2fax.rules.answer_text import Doubt
from mail2fax.rules.signed_address import Action

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

# -- a session
BYE = "221 2.0.0 bye"
READY_FOR_TLS = "220 2.0.0 ready to start TLS"
DONE = "250 2.0.0 OK"
HELP = "214 2.0.0 mail a PDF to <number>@ this host's domain; see RFC 5321 for the commands"
WILL_NOT_VERIFY = "252 2.0.0 cannot verify an address, but will take a mail for it"
TOO_MANY_CONNECTIONS = "421 4.7.0 too many connections, try again later"
TOO_MANY_ERRORS = "421 4.7.0 too many errors, closing"
TOO_MANY_MESSAGES = "421 4.7.0 too many mails on this connection, open a new one"
NOT_HTTP = "421 4.7.0 this is not a web server"
BAD_PROXY = "421 4.7.0 a PROXY header is required from here"
IDLE = "421 4.4.2 silent for too long, closing"
TOO_SLOW = "421 4.4.2 too slow, closing"
SHUTTING_DOWN = "421 4.3.2 shutting down, try again later"
INTERNAL = "451 4.3.0 internal error, try again later"

# -- commands
UNKNOWN_COMMAND = "500 5.5.1 command unknown"
NOT_IMPLEMENTED = "502 5.5.1 not implemented"
LINE_TOO_LONG = "500 5.5.2 command line too long"
BAD_LINE = "500 5.5.2 a command is one line of printable text that ends in CR LF"
SAY_HELLO = "503 5.5.1 say EHLO first"
BAD_HELLO = "501 5.5.4 syntax: EHLO your.host.name"
NO_ARGUMENT = "501 5.5.4 this command takes no argument"
MAIL_SYNTAX = "501 5.5.4 syntax: MAIL FROM:<reverse-path> [parameters]"
RCPT_SYNTAX = "501 5.5.4 syntax: RCPT TO:<number@domain> [parameters]"
MAIL_TWICE = "503 5.5.1 one MAIL at a time"
NEED_MAIL = "503 5.5.1 MAIL first"
NEED_RCPT = "503 5.5.1 RCPT first"

# -- paths and parameters
SENDER_OK = "250 2.1.0 sender OK"
RECIPIENT_OK = "250 2.1.5 recipient OK"
BAD_SENDER = "553 5.1.7 not a mail address: write it as <name@domain>"
BAD_RECIPIENT = "553 5.1.3 not a mail address: write it as <number@domain>"
NOT_ASCII = "553 5.6.7 internationalized addresses are not supported"
ENCODED_SENDER = "553 5.6.7 internationalized addresses are not supported, nor xn-- before the @: no reply would arrive"
NO_SMTPUTF8 = "555 5.6.7 SMTPUTF8 is not supported"
BAD_PARAMETER = "501 5.5.4 bad parameter"
UNKNOWN_PARAMETER = "555 5.5.4 parameter not supported"

# -- who, and how much
NO_POSTMASTER = "550 5.1.1 nobody reads postmaster here: ask whoever runs this fax gateway"
NO_MAILBOX = "550 5.1.1 nobody reads this address: answer the reply itself, or write to <number>@ to send a fax"
POSTMASTER_ALONE = "452 4.5.3 postmaster's mail goes without other recipients"
ANSWER_ALONE = "452 4.5.3 an answer to a reply goes without other recipients"
NOT_OUR_ADDRESS = "550 5.1.1 unknown or altered reply address: mail the document to <number>@ again"
TOO_MANY_RECIPIENTS = "452 4.5.3 too many recipients in one mail"
TOO_MANY_A_MINUTE = "452 4.7.1 too many mails a minute, try again later"
TOO_BIG = "552 5.3.4 the mail is larger than this server takes"
NO_ROOM = "452 4.3.1 no room for the mail right now, try again later"
SPOOL_FULL = "451 4.3.2 too many faxes are waiting, try again later"

# -- DATA
GO_AHEAD = "354 end with <CR LF>.<CR LF>"
BARE_LINE_END = "550 5.5.2 bare CR or LF in the mail: each line must end in CR LF (RFC 5321 section 2.3.8)"
LOOP = "554 5.4.6 too many Received lines: a mail loop"
NO_MARK = "550 5.7.1 the mail lacks the header that [smtp] required_header asks for: send it by your own mail server"
AUTO_REPLIED = "550 5.7.1 an automatic reply is not faxed"

# -- an answer to one of our replies that is not clearly a wish, by what is in doubt
NOT_CANCELLED = "550 5.7.1 nothing was cancelled: to cancel the fax, answer with the one word CANCEL"
NOT_SENT_AGAIN = {
    Doubt.WORDS: "550 5.7.1 nothing was sent again: answer with the one word SEND, or with the new fax number alone",
    Doubt.NUMBER: "550 5.1.3 nothing was sent again: this number cannot be faxed; answer with the right one alone",
    Doubt.WHOSE: "550 5.1.3 nothing was sent again: if the number in the answer is the new one, answer with it alone",
    Doubt.NUMBERS: "550 5.1.3 nothing was sent again: the answer holds two numbers; answer with one number alone",
    Doubt.NO_WORD: "550 5.7.1 nothing was sent again: to fax the document once more, answer with the one word SEND",
    Doubt.NO_NUMBER: "550 5.1.3 nothing was sent: answer with the right fax number alone",
    Doubt.ATTACHMENT: "550 5.7.1 nothing was sent again: to fax another document, mail it to <number>@ this domain",
}

# -- TLS and AUTH
NO_TLS = "454 4.7.0 TLS is not available"
TLS_ALREADY = "503 5.5.1 TLS is on already"
NO_AUTH = "502 5.5.1 AUTH is not available"
AUTH_NEEDS_TLS = "538 5.7.11 STARTTLS first: no password over a plain connection"
AUTH_ALREADY = "503 5.5.1 logged in already"
AUTH_IN_MAIL = "503 5.5.1 not during a mail transaction"
AUTH_SYNTAX = "501 5.5.4 syntax: AUTH mechanism [initial-response]"
AUTH_UNKNOWN = "504 5.5.4 mechanism not supported: PLAIN or LOGIN"
AUTH_OK = "235 2.7.0 logged in"
AUTH_FAILED = "535 5.7.8 user or password wrong"
AUTH_TOO_OFTEN = "421 4.7.0 too many failed logins, try again later"
AUTH_ABORTED = "501 5.7.0 login given up"
AUTH_NOT_BASE64 = "501 5.5.2 not base64"
AUTH_NOT_PLAIN = "501 5.5.2 AUTH PLAIN is a name and a password, each after a NUL"
AUTH_AS_OTHER = "535 5.7.8 nobody may log in as one user and act as another"
AUTH_TOO_LONG = "500 5.5.6 response too long"


def greeting(hostname: str) -> str:
    """The first line of a session."""
    return f"220 {hostname} ESMTP mail2fax"


def hello(hostname: str, extensions: list[str]) -> str:
    """The answer to EHLO or HELO, as many lines as there are extensions and one."""
    lines = [hostname, *extensions]
    return "\r\n".join([f"250-{line}" for line in lines[:-1]] + [f"250 {lines[-1]}"])


def accepted(queue_id: str, *, known: bool) -> str:
    """The promise after DATA: given only once the mail is on disk."""
    # RFC 5321 section 6.1, RFC 1047: a client that lost our 250 sends the same bytes again. They are not faxed again.
    return f"250 2.0.0 {'the same mail came before, ' if known else ''}accepted as {queue_id}"


def refused_wish(why: str) -> str:
    """The answer to somebody who may not send again or cancel, or comes too late."""
    return why if why[:1] in "45" else f"550 5.7.1 {why}"


def to_error(error: BaseException) -> str:
    """What a client is told of an error of ours: always to try again, never what it was."""
    full = isinstance(error, OSError) and error.errno in _DISK_FULL
    return NO_ROOM if full else INTERNAL


def doubtful(action: Action, doubt: Doubt) -> str:
    """The answer to what is not clearly a wish, where nobody is there to read it."""
    return NOT_CANCELLED if action is Action.CANCEL else NOT_SENT_AGAIN[doubt]


def passed_on(queue_id: str) -> str:
    """The promise that a person gets an answer that asked for nothing clearly."""
    return f"250 2.0.0 nothing was faxed or cancelled; passed on to a person as {queue_id}"
