"""The forms that a value in the settings may take, each with words that say how to write it.

Those words never repeat the value, it may hold a password: `config` shows a value where that is safe.
"""

import ipaddress
import re
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Annotated

from pydantic import AfterValidator, Field

from mail2fax import timezones

HOST = r"([^\s:@/\[\]]+|\[[0-9A-Fa-f:.]+\])"
LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
PORT = r"(6553[0-5]|655[0-2]\d|65[0-4]\d{2}|6[0-4]\d{3}|[0-5]?\d{1,4})"
HOST_PORT = re.compile(f"{HOST}:{PORT}")
SQLITE = "sqlite:///"
# What no mail address holds, and many a regular expression; an address may end in [192.0.2.1].
_REGEX = re.compile(r"[\\^$|\[\]()]|\A\.\*")
_LITERAL = re.compile(r"@\[[0-9A-Fa-f:.*?]+\]\Z|@\[IPv6:[0-9A-Fa-f:.*?]+\]\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FileMark:
    """Marks a key that names a file or folder: `config` reads it from the configuration file's folder."""

    folder: bool = False


def _written(form: str, advice: str) -> AfterValidator:
    """Accept text of this form (a regular expression), advise on anything else."""

    def check(text: str) -> str:
        if not re.fullmatch(form, text):
            raise ValueError(f"write it as {advice}")
        return text

    return AfterValidator(check)


def _said(check: Callable[[str], object], advice: str) -> AfterValidator:
    """Accept text that this function takes, advise where it raises."""

    def checked(text: str) -> str:
        try:
            check(text)
        except (ValueError, KeyError, OSError):
            raise ValueError(f"write it as {advice}") from None
        return text

    return AfterValidator(checked)


def address_checks() -> ModuleType:
    """The library that knows addresses, loaded the first time: its tables take a twentieth of a start."""
    import email_validator  # noqa: PLC0415 -- not all settings name an address

    # fax.local and root@localhost are good addresses inside an office; the library's documented way to say so.
    email_validator.SPECIAL_USE_DOMAIN_NAMES[:] = ["arpa", "invalid", "onion"]
    return email_validator


def mailbox(text: str, *, name: bool = False) -> str:
    """The address, if mail could be sent to it (RFC 5321 section 4.1.2); a ValueError says why not."""
    checks = address_checks()
    try:
        checks.validate_email(
            text,
            allow_display_name=name,
            allow_quoted_local=True,
            allow_domain_literal=True,
            check_deliverability=False,
            globally_deliverable=False,
        )
    except checks.EmailNotValidError as error:
        raise ValueError(f"is not a mail address ({str(error).rstrip('.')})") from None
    return text


def _optional_mailbox(text: str, *, name: bool) -> str:
    return mailbox(text, name=name) if text else text


def _ciphers(names: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).set_ciphers(names or "DEFAULT")
    except ssl.SSLError:
        raise ValueError("names no cipher suite: see `openssl ciphers -v`") from None
    return names


def pattern(text: str) -> str:
    """The pattern, if it can fit an address; ValueError says how to write one."""
    # "office.example" fits no reverse-path at all: a rule that never fires is an error, not a silent refusal.
    if "@" not in text and "*" not in text:
        raise ValueError("write it as *, bob@office.example or *@office.example: it must fit the whole address")
    if _REGEX.search(_LITERAL.sub("", text)):
        raise ValueError("is no regular expression: * stands for anything, as in *@office.example")
    return text


File = Annotated[str, FileMark()]
Folder = Annotated[str, FileMark(folder=True)]
HostPort = Annotated[
    str,
    _written(HOST_PORT.pattern, "host:port, such as 127.0.0.1:2525 or [::1]:2525"),
]
OptionalHostPort = Annotated[str, _written(rf"({HOST}:{PORT})?", "host:port, such as 127.0.0.1:8080")]
Ciphers = Annotated[str, AfterValidator(_ciphers)]
Network = Annotated[str, _said(ipaddress.ip_network, "192.0.2.0/24 or 192.0.2.7, without bits after the prefix")]
Mailbox = Annotated[str, AfterValidator(partial(_optional_mailbox, name=True))]
Address = Annotated[str, AfterValidator(partial(_optional_mailbox, name=False))]
Domain = Annotated[
    str,
    _written(rf"{LABEL}(\.{LABEL})*", "a domain name, such as fax.office.example"),
    AfterValidator(str.lower),
]
Pattern = Annotated[str, AfterValidator(pattern)]
Allowed = Annotated[
    str,
    _written(
        r"CA|US|territories|tollfree|\+1[2-9]\d{2,9}", 'CA, US, territories, tollfree, or a prefix such as "+1876"'
    ),
]
Denied = Annotated[
    str,
    AfterValidator(lambda text: re.sub(r"[ ().-]", "", text)),
    _written(r"(\+?1)?[2-9]\d{2,9}", 'a number, or a prefix of three digits or more, such as "+1416555"'),
]
Language = Annotated[str, _written(r"[a-z]{2,3}", "a language, such as en or fr")]
ChosenLanguage = Annotated[str, _written(r"auto|[a-z]{2,3}", "auto, or a language, such as en or fr")]
RelayUrl = Annotated[
    str,
    Field(repr=False),
    _written(
        rf"(smtp|smtps|smtp\+starttls)://([^@\s/]*@)?{HOST}(:{PORT})?/?",
        "smtp://host:25, smtps://host:465 or smtp+starttls://user@host:587",
    ),
]
_LOOPBACK = r"(localhost|127\.0\.0\.1|\[::1\])"
OptionalTokenUrl = Annotated[
    str, _written(rf"((https://{HOST}|http://{_LOOPBACK})(:{PORT})?/[^\s?#]*)?", "https://host/path")
]
SpoolUrl = Annotated[
    str,
    Field(repr=False),
    _written(
        rf"{SQLITE}[^:].*|postgresql(\+psycopg)?://.+", "sqlite:///path/spool.db or postgresql://user@host/database"
    ),
]
HttpUrl = Annotated[
    str,
    _written(rf"https?://{HOST}(:{PORT})?(/[^\s?#]*)?", "https://host:port/path"),
    AfterValidator(lambda text: text.rstrip("/")),
]
_PROVIDER_URL = rf"https?://{HOST}(:{PORT})?(/[^\s?#]*)?|hylafax://([^@\s/:]*@)?{HOST}(:{PORT})?/?"
_PROVIDER_URL_ADVICE = "https://host:port/path, or hylafax://user@host:4559 (its password goes into token_file)"
ProviderUrl = Annotated[
    str, _written(_PROVIDER_URL, _PROVIDER_URL_ADVICE), AfterValidator(lambda text: text.rstrip("/"))
]
OptionalProviderUrl = Annotated[
    str, _written(f"({_PROVIDER_URL})?", _PROVIDER_URL_ADVICE), AfterValidator(lambda text: text.rstrip("/"))
]
PROVIDERS = "rinble, hylafax, sinch, telnyx, sandbox"
ProviderName = Annotated[
    str,
    _written(rf"{PROVIDERS.replace(', ', '|')}|[\w.]+:\w+", f'{PROVIDERS} or "package.module:Class"'),
]
OptionalProviderName = Annotated[
    str,
    _written(rf"({PROVIDERS.replace(', ', '|')}|[\w.]+:\w+)?", f'{PROVIDERS} or "package.module:Class"'),
]
OwnNumber = Annotated[
    str,
    AfterValidator(lambda text: re.sub(r"^\+?1(?=\d{10}$)", "", re.sub(r"[ ().-]", "", text))),
    _written(r"([2-9]\d{9})?", 'a number of ten digits, such as "+1 416 555 0100"'),
]
NumberPattern = Annotated[
    str,
    AfterValidator(lambda text: re.sub(r"[ ().-]", "", text)),
    _written(r"\+1([2-9]\d{0,8}\*|[2-9]\d{9})", 'a number, or how it begins and a star, such as "+1416*"'),
]
Options = dict[str, str | int | bool]
OptionalDomain = Annotated[
    str, _written(rf"({LABEL}(\.{LABEL})*)?", "a domain name, such as office.example"), AfterValidator(str.lower)
]
CertificateName = Annotated[
    str,
    _written(rf"(\*\.)?{LABEL}(\.{LABEL})*", "a name as it stands in the certificate, such as mail.office.example"),
    AfterValidator(str.lower),
]
OptionalClock = Annotated[str, _written(r"(([01]\d|2[0-3]):[0-5]\d)?", "a time of the day, such as 07:30")]
Zone = Annotated[str, _said(timezones.zone, "a time zone name, such as America/Toronto")]
Count = Annotated[int, Field(ge=1)]
Limit = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(gt=0)]
LONGEST_WAIT = 7200.0
"""Seconds after which everything is due at the latest: after a step of the clock what waits longer waits wrongly."""
Wait = Annotated[float, Field(gt=0, le=LONGEST_WAIT)]
