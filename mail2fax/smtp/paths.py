"""Paths of MAIL and RCPT, by the grammar of RFC 5321 section 4.1.2; a reverse-path may be a little looser (pure).

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
# What other servers write and take, too (RFC 5321 section 4.5.3.1 asks to be generous, RFC 1123 section 5.2.18 knew it
# already): no brackets, a final dot, "_" in a domain.
_LOOSE_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]*[A-Za-z0-9_])?"
_LOOSE_DOMAIN = rf"{_LOOSE_LABEL}(?:\.{_LOOSE_LABEL})*"
_SENDER = re.compile(
    rf"(?P<open><)?(?:{_ROUTE})?(?P<local>{_DOT_STRING}|{_QUOTED_STRING})"
    rf"@(?P<domain>{_LOOSE_DOMAIN}|\[[!-Z^-~]+\])\.?(?(open)>)(?P<rest> .*)?"
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
    found = _SENDER.fullmatch(argument)
    if found and found["local"].lower().startswith("xn--"):
        # How some servers hand on a name in other letters (RFC 5890 is for domains): the reply would reach nobody.
        raise Malformed(answers.ENCODED_SENDER)
    # VERP and signed return paths grow beyond the 64 octets that every server must take.
    return _mailbox(argument, found, answers.BAD_SENDER, longest=256)


def forward(argument: str) -> tuple[str, str]:
    """Path and parameters of `RCPT TO:`; the path is "postmaster" for `<Postmaster>`. Raises Malformed."""
    if found := _POSTMASTER.fullmatch(argument):
        return POSTMASTER, found["rest"] or ""
    return _mailbox(argument, _PATH.fullmatch(argument), answers.BAD_RECIPIENT, longest=64)


def _mailbox(argument: str, found: re.Match[str] | None, malformed: str, *, longest: int) -> tuple[str, str]:
    if not found:
        raise Malformed(malformed if argument.isascii() else answers.NOT_ASCII)
    local, domain = found["local"], found["domain"]
    # RFC 5321 section 4.5.3.1: 64, 255 and 256 octets, the last with both brackets.
    if len(local) > longest or len(domain) > 255 or len(local) + len(domain) > longest + 189:
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
