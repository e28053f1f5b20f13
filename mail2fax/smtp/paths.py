"""Paths of MAIL and RCPT, by the grammar of RFC 5321 section 4.1.2 and nothing looser (pure).

A path is handed on as text: `name@domain` with no more quoting than it needs, `""` for the null reverse-path,
`postmaster` for the recipient that needs no domain. No control character ever gets through.
"""

import ipaddress
import re

from mail2fax.smtp import answers

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_DOT_STRING = rf"{_ATOM}(?:\.{_ATOM})*"
_QUOTED_STRING = r'"(?:[ !#-\[\]-~]|\\[ -~])*"'
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_DOMAIN = rf"{_LABEL}(?:\.{_LABEL})*"
_ROUTE = rf"@{_DOMAIN}(?:,@{_DOMAIN})*:"  # RFC 5321 section 4.1.1.3: accepted and stripped
_PATH = re.compile(
    rf"<(?:{_ROUTE})?(?P<local>{_DOT_STRING}|{_QUOTED_STRING})@(?P<domain>{_DOMAIN}|\[[!-Z^-~]+\])>(?P<rest> .*)?"
)
_NULL = re.compile(r"<>(?P<rest> .*)?")
_POSTMASTER = re.compile(r"<postmaster>(?P<rest> .*)?", re.IGNORECASE)
_PLAIN_LOCAL = re.compile(_DOT_STRING)
_GENERAL_LITERAL = re.compile(rf"{_LABEL}:[!-Z^-~]+")
POSTMASTER = "postmaster"


class Malformed(ValueError):  # noqa: N818 -- a verdict on a command
    """The command's argument does not follow the grammar; `answer` says so to the client."""

    def __init__(self, answer: str) -> None:
        super().__init__(answer)
        self.answer = answer


def reverse(argument: str) -> tuple[str, str]:
    """Path and parameters of `MAIL FROM:`; the path is "" for `<>`. Raises Malformed."""
    if found := _NULL.fullmatch(argument):
        return "", found["rest"] or ""
    return _mailbox(argument, answers.BAD_SENDER)


def forward(argument: str) -> tuple[str, str]:
    """Path and parameters of `RCPT TO:`; the path is "postmaster" for `<Postmaster>`. Raises Malformed."""
    if found := _POSTMASTER.fullmatch(argument):
        return POSTMASTER, found["rest"] or ""
    return _mailbox(argument, answers.BAD_RECIPIENT)


def _mailbox(argument: str, malformed: str) -> tuple[str, str]:
    found = _PATH.fullmatch(argument)
    if not found:
        raise Malformed(malformed if argument.isascii() else answers.NOT_ASCII)
    local, domain = found["local"], found["domain"]
    # RFC 5321 section 4.5.3.1: 64, 255 and 256 octets, the last with both brackets.
    if len(local) > 64 or len(domain) > 255 or len(local) + len(domain) > 253:
        raise Malformed(malformed)
    if domain.startswith("[") and not _is_literal(domain[1:-1]):
        raise Malformed(malformed)
    return f"{_unquoted(local)}@{domain}", found["rest"] or ""


def _unquoted(local: str) -> str:
    """The same local part with the least quoting: RFC 5321 section 4.1.2 calls the forms equal."""
    if not local.startswith('"'):
        return local
    value = re.sub(r"\\(.)", r"\1", local[1:-1])
    if _PLAIN_LOCAL.fullmatch(value):
        return value
    return '"' + re.sub(r'(["\\])', r"\\\1", value) + '"'


def _is_literal(text: str) -> bool:
    """Whether this is an address literal of RFC 5321 section 4.1.3, without its brackets."""
    tag, colon, address = text.partition(":")
    try:
        if not colon:
            ipaddress.IPv4Address(text)
        elif tag.casefold() == "ipv6":
            ipaddress.IPv6Address(address)
        else:
            return _GENERAL_LITERAL.fullmatch(text) is not None
    except ValueError:
        return False
    return "%" not in text  # a zone is no part of a literal
