"""The recipient's local part as a GSTN address, in every form that people, Outlook and mail servers write one. Pure.

Promise: ten ASCII digits of the North American plan come out, or a refusal that says what was read and the rule.
Nothing is guessed and nothing is dropped in silence: a wrong digit faxes a stranger.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

NOT_A_NUMBER = "550 5.1.1"
SYNTAX = "553 5.1.3"
OPTION = "550 5.1.3"  # well written, but nothing here can honour it
FORBIDDEN = "550 5.7.1"

CALLING_CODE = {"CA": "1", "US": "1"}
LONGEST = 256  # RFC 5321 section 4.5.3.1.3: no path is longer

_SERVICE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)=")
_QUALIFIER = re.compile(r"/([A-Za-z][A-Za-z0-9-]*)=")
_SUFFIX = re.compile(r"\+([A-Za-z][A-Za-z0-9_-]*)\Z")
_ESCAPE = re.compile(r"\+([0-9A-Fa-f]{2})")
_SEPARATORS = re.compile(r"[ ().\-/_]")  # RFC 3192 writes "-" and "."; people and Outlook write the others
_NANP = re.compile(r"[2-9][0-8][0-9][2-9][0-9]{6}")  # area code, exchange, line: ATIS-0300051

# What people dial before a number of this very plan, from an office or from abroad, and what is left.
_DIALLED_BEFORE = re.compile(r"(91?|001|0111)([2-9][0-8][0-9][2-9][0-9]{6})")
_BEFORE = {"9": "for an outside line", "00": "abroad", "0": "abroad"}
_EXTENSION = re.compile(r"(?<=[0-9)])[ ,;]*(?:ext(?:ension)?|poste|x|#)[ .:]*[0-9]+\Z", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class GstnAddress:
    """A number that can be dialled, and whether the address asked for a cover page."""

    number: str  # ten digits, without the country code
    cover: bool = False


class AddressError(Exception):
    """No number can be read; `status` is the reply code with the enhanced one, "550 5.1.1"."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status = status
        self.text = text  # ASCII, one line


class MistypedError(AddressError):
    """Meant as a number, but none that can be dialled: whoever typed it can mend it. No policy refuses it."""

    def __init__(self, status: str, text: str, **detail: Any) -> None:
        super().__init__(status, text)
        self.detail = detail  # for templates/reply: `digits` (how many), `number` (ten that would do), `extension`


@lru_cache(maxsize=8192)
def parse(local_part: str, country: str = "CA") -> GstnAddress:
    """Read a local part, quoted or not; `country` is whose number one without +country code is.

    `FAX=` and `+number` are RFC 3192's, `IMCEAFAX-` is Outlook's, `+cover` is ours. Raises AddressError.
    """
    # "٤" and "４" are digits to str.isdigit() and int(): only ASCII is looked at (RFC 3191 section 2).
    if len(local_part) > LONGEST or not local_part.isascii() or not local_part.isprintable():
        raise MistypedError(SYNTAX, f"{shown(local_part)} {_untypable(local_part)}")
    text = _unquoted(local_part)
    if text[:9].upper() == "IMCEAFAX-":
        text = _decapsulated(text[9:])
    text, cover = _without_cover(_without_service(text))
    return GstnAddress(_dialled(text, CALLING_CODE[country]), cover)


def pretty(number: str) -> str:
    """Ten digits as people read them: (647) 495-9659. Whatever else was typed stays as it is."""
    if len(number) != 10 or not number.isdecimal():
        return number or "no number"
    return f"({number[:3]}) {number[3:6]}-{number[6:]}"


def shown(text: str) -> str:
    """What a client wrote, safe to repeat in a reply: quoted, one line, ASCII, not long."""
    clean = re.sub(r"[^ -~]", "?", text)
    return f'"{clean if len(clean) <= 60 else clean[:57] + "..."}"'


def _untypable(text: str) -> str:
    """What is wrong with the characters: pasted numbers often have hyphens and blanks that only look plain."""
    odd = next((letter for letter in text if not (letter.isascii() and letter.isprintable())), "")
    if not odd:
        return f"is not text of {LONGEST} characters at most"
    return f"is not plain ASCII text, it has the character U+{ord(odd):04X}: type the number by hand, with digits and -"


def _unquoted(text: str) -> str:
    # RFC 5321 section 4.1.2: a quoted local part, where a backslash stands before a literal character.
    if len(text) >= 2 and text.startswith('"') and text.endswith('"'):
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def _decapsulated(encoded: str) -> str:
    """Undo Exchange's encapsulation of [FAX:number] and [FAX:name@number], MS-OXCMAIL section 2.1.3.1.8."""

    def character(found: re.Match[str]) -> str:
        # Letters, digits and control characters are never escaped: "+33" of a number typed by hand is France,
        # and read as an escape it would be the first digit of somebody else's number.
        decoded = chr(int(found[1], 16))
        return found[0] if decoded.isalnum() or not decoded.isprintable() else decoded

    text = _ESCAPE.sub(character, encoded.replace("_", "/"))
    name, at, number = text.rpartition("@")
    # The same care for "+20" (Egypt, or a blank), "+29" and "+40": what is left must begin like a number.
    if bool(at) != bool(name) or not re.match(r"[+(0-9]|FAX=", number.strip() if at else number, re.IGNORECASE):
        raise AddressError(NOT_A_NUMBER, f"{shown(encoded)} holds no fax number; Outlook writes +2B for +")
    return number.strip()


def _without_service(text: str) -> str:
    if found := _SERVICE.match(text):
        if found[1].upper() != "FAX":
            raise AddressError(OPTION, f"{shown(found[0])} is another service: write FAX= or the number alone")
        text = text[found.end() :]
    # RFC 3192 section 3: /T33S= is a subaddress, others are the recipient's name and the like (RFC 2846).
    if found := _QUALIFIER.search(text):
        raise AddressError(OPTION, f"{shown(found[0])} cannot be passed on to the fax network: leave it out")
    return text


def _without_cover(text: str) -> tuple[str, bool]:
    found = _SUFFIX.search(text)
    if not found:
        return text, False
    if found[1].lower() != "cover":
        raise AddressError(OPTION, f"{shown(found[0])} is not known after a number, only +cover is")
    return text[: found.start()], True


def _dialled(text: str, code: str) -> str:
    """The ten digits to dial."""
    if found := re.search(r"[%!@]", text):
        raise AddressError(FORBIDDEN, f"{shown(text)} holds {found[0]}: mail is not relayed to other addresses")
    plus, digits = text.startswith("+"), _SEPARATORS.sub("", text.removeprefix("+"))
    if found := _EXTENSION.search(text):
        said = found[0].strip()
        text = f"{shown(said)} is an extension, which a fax cannot dial: leave it out"
        raise MistypedError(OPTION, text, extension=said)
    if not re.fullmatch(r"[0-9]+", digits):
        raise MistypedError(NOT_A_NUMBER, f"{shown(text)} is not a fax number: write its ten digits before the @")
    if plus and not digits.startswith(code):
        hint = f"; for Canada and the US write +1{digits}" if _NANP.fullmatch(digits) else ""
        raise AddressError(FORBIDDEN, f"destination not permitted: {shown(text)} is outside +{code}{hint}")
    if not plus and (found := _DIALLED_BEFORE.fullmatch(digits)):
        before = f"{found[1]}, which is dialled {_BEFORE[found[1].rstrip('1')]}"
        said = f"{shown(text)} begins with {before}: leave it out and write {found[2]}"
        raise MistypedError(FORBIDDEN, said, number=found[2])
    if not plus and digits.startswith(("011", "00")) and len(digits) > 10:
        raise AddressError(FORBIDDEN, f"destination not permitted: {shown(text)} dials abroad; +{code} is served")
    if len(digits) == 10 + len(code) or plus:
        digits = digits.removeprefix(code)
    if len(digits) != 10:
        count = f"{len(digits)} digit{'s' * (len(digits) != 1)}{f' after +{code}' if plus else ''}"
        raise MistypedError(
            NOT_A_NUMBER, f"{shown(text)} has {count}, need 10: area code and number", digits=len(digits)
        )
    if not _NANP.fullmatch(digits):
        raise MistypedError(NOT_A_NUMBER, f"{pretty(digits)} cannot exist: no area code or exchange is written so")
    return digits
