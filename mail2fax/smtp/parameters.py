"""The parameters of MAIL and RCPT: SIZE, BODY, AUTH, and those of delivery status notifications (pure).

Read whether or not they were announced, since a proxy before us may have announced them in our name. Upper and lower
case of ENVID and ORCPT is kept (RFC 3461 section 5.2.1).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mail2fax.smtp import answers
from mail2fax.smtp.paths import Malformed

_PARAMETER = re.compile(r"(?P<keyword>[A-Za-z0-9][A-Za-z0-9-]*)(?:=(?P<value>[!-<>-~]+))?")
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*")
_PRINTABLE = re.compile(r"[ -~]*")
_ADDRESS_TYPE = re.compile(r"[A-Za-z0-9-]+")
_NOTIFY = frozenset({"SUCCESS", "FAILURE", "DELAY"})
_ENVID_LIMIT, _ORCPT_LIMIT = 100, 500  # RFC 3461 section 5.4


@dataclass(frozen=True, slots=True)
class OfMail:
    """What MAIL said besides its path."""

    size: int = 0  # RFC 1870; 0 when not given
    ret: str = ""  # "FULL", "HDRS" or ""
    envid: str = ""  # decoded


@dataclass(frozen=True, slots=True)
class OfRcpt:
    """What RCPT said besides its path."""

    notify: frozenset[str] | None = None
    orcpt: str = ""  # decoded, "rfc822;someone@example.org"


_NOTHING_OF_MAIL, _NOTHING_OF_RCPT = OfMail(), OfRcpt()


def of_mail(text: str) -> OfMail:
    """The parameters of MAIL. Raises Malformed."""
    if not text:
        return _NOTHING_OF_MAIL
    given = _given(text)
    _only(given, {"SIZE", "BODY", "AUTH", "RET", "ENVID"})
    # RFC 4954 section 5: AUTH= is valid from anybody; whose mail it is, the login says here.
    _xtext(given.get("AUTH", ""))
    _one_of(given, "BODY", {"7BIT", "8BITMIME"})
    size = given.get("SIZE", "0")
    if not size.isdecimal() or len(size) > 20:  # RFC 1870 section 4
        raise Malformed(answers.BAD_PARAMETER)
    return OfMail(int(size), _one_of(given, "RET", {"FULL", "HDRS"}), _envid(given.get("ENVID", "")))


def of_rcpt(text: str) -> OfRcpt:
    """The parameters of RCPT. Raises Malformed."""
    if not text:
        return _NOTHING_OF_RCPT
    given = _given(text)
    _only(given, {"NOTIFY", "ORCPT"})
    return OfRcpt(_notify(given), _orcpt(given.get("ORCPT", "")))


def _given(text: str) -> Mapping[str, str]:
    """Keyword, in capitals, to value; no keyword twice (RFC 3461 section 5.1)."""
    given: dict[str, str] = {}
    for word in text.split():
        found = _PARAMETER.fullmatch(word)
        # Every parameter we know has a value; AUTH's and ORCPT's may hold "=" only as xtext.
        if not found or found["keyword"].upper() in given:
            raise Malformed(answers.BAD_PARAMETER)
        given[found["keyword"].upper()] = found["value"] or ""
    return given


def _only(given: Mapping[str, str], known: set[str]) -> None:
    if "SMTPUTF8" in given:
        raise Malformed(answers.NO_SMTPUTF8)
    if not given.keys() <= known:
        raise Malformed(answers.UNKNOWN_PARAMETER)
    if not all(given.values()):
        raise Malformed(answers.BAD_PARAMETER)


def _one_of(given: Mapping[str, str], keyword: str, values: set[str]) -> str:
    value = given.get(keyword, "").upper()
    if value and value not in values:
        raise Malformed(answers.BAD_PARAMETER)
    return value


def _notify(given: Mapping[str, str]) -> frozenset[str] | None:
    if "NOTIFY" not in given:
        return None
    words = given["NOTIFY"].upper().split(",")
    # RFC 3461 section 4.1: NEVER stands alone.
    if words != ["NEVER"] and (not _NOTIFY.issuperset(words) or len(set(words)) < len(words)):
        raise Malformed(answers.BAD_PARAMETER)
    return frozenset(words)


def _envid(value: str) -> str:
    if len(value) > _ENVID_LIMIT:
        raise Malformed(answers.BAD_PARAMETER)
    return _xtext(value)


def _orcpt(value: str) -> str:
    if not value:
        return ""
    kind, semicolon, address = value.partition(";")
    if not semicolon or not address or not _ADDRESS_TYPE.fullmatch(kind) or len(value) > _ORCPT_LIMIT:
        raise Malformed(answers.BAD_PARAMETER)
    return f"{kind};{_xtext(address)}"


def _xtext(text: str) -> str:
    """Decode RFC 3461 section 4's xtext; only printable ASCII comes out, so nothing can break out of a header."""
    if not _XTEXT.fullmatch(text):
        raise Malformed(answers.BAD_PARAMETER)
    decoded = re.sub(r"\+([0-9A-F]{2})", lambda found: chr(int(found[1], 16)), text)
    if not _PRINTABLE.fullmatch(decoded):
        raise Malformed(answers.BAD_PARAMETER)
    return decoded
