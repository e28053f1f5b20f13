"""Lines that mail programs write into an answer: above the mail that is answered, and below what was typed. Pure.

Promise: only what has the very form is taken for one. "Sent from the other machine already" is its author's word, and
so is "Le fax est arrivé à 8 h 05": whoever takes it for a program's thinks that nothing was said.
"""

import re
from collections.abc import Sequence

_DEVICE = r"""(?:phone|i-?phone|ipad|ipod|mobile|cell|tablet|smartphone|galaxy|samsung|android|blackberry|pixel|huawei
    |motorola|device|mac|appareil|téléphone|portable|cellulaire|tablette|iphone)"""
# What is sold as a program for mail, and what it says of itself.
_PROGRAM = r"(?:outlook|yahoo|proton|gmail|mail|courrier|samsung|thunderbird|aol|workspace|blackberry|spark|nine|k-9)"
_DEVICE_LINE = re.compile(
    rf"""(?:sent\ (?:from|with|via|using)|envoyé\ (?:de|depuis|à\ partir\ de|avec))\ \[?
        (?:(?:my|mon|ma)\ (?:[\w'-]+,?\ ){{0,4}}?{_DEVICE}\b|(?:the\ |l'application\ )?{_PROGRAM}\b)
        (?:(?!\d{{3}}).){{0,80}}
    |(?:get|obtenir|obtenez|télécharger|téléchargez)\ (?:<[^<>]*>\ )?outlook\ (?:for|pour)\ .{{0,80}}
    |provenance\ ?:\ courrier.{{0,100}}""",
    re.IGNORECASE | re.VERBOSE,
)
# A person's word about the fax, though it begins as a program's line does.
_PERSON = re.compile(
    r"\b(?:fax|machine|télécopie|télécopieur|already|déjà|no|not|pas|n'|don'?t|need|again|resend|send|stop|instead|wrong)\b",
    re.IGNORECASE,
)
_DELIMITER = re.compile(
    r"--\s*\Z|-{2,} ?(?:original message|message d'origine|forwarded message|message transféré)", re.IGNORECASE
)
_RULE = re.compile(r"[-_=*]{3,}\s*\Z")
_FROM = re.compile(r"\*?(?:from|de|von)\s?:", re.IGNORECASE)
_MAILBOX = re.compile(r"<[^<>\s@]+@[^<>\s@]+>")
# A moment, not "To:" alone: "From: 416 555 0100, To: 416 555 0199" is how people correct a number.
_SENT = re.compile(r"\*?(?:sent|date|envoyé(?: le)?|gesendet)\s?:.*\S", re.IGNORECASE)
_ATTRIBUTION = re.compile(r"(?:on|le)\s.{5,240}\b(?:wrote|a\s+écrit)\s?:\s*\Z", re.IGNORECASE)
_WRAPPED = 3  # lines that an attribution may take


def device(line: str) -> bool:
    """Whether a program or telephone says who it is: "Sent from my iPhone", "Obtenir Outlook pour iOS"."""
    return bool(_DEVICE_LINE.fullmatch(line.strip())) and not _PERSON.search(line)


def delimiter(line: str) -> bool:
    """Whether the signature (RFC 3676 section 4.3) or the mail that is answered begins here."""
    return bool(_DELIMITER.match(line))


def header(lines: Sequence[str]) -> bool:
    """Whether these lines begin with the header of the mail that is answered, as Outlook writes it."""
    if lines and _RULE.match(lines[0]):
        rest = [line for line in lines[1:3] if line.strip()]
        return bool(rest and _FROM.match(rest[0]))
    if not lines or not _FROM.match(lines[0]):
        return False
    return bool(_MAILBOX.search(lines[0])) or any(map(_SENT.match, lines[1:4]))


def attribution(lines: Sequence[str]) -> int:
    """How many lines an attribution takes that begins with the first of these: "On Monday Bob wrote:"; 0 for none."""
    for many in range(1, min(_WRAPPED, len(lines)) + 1):
        if not lines[many - 1].strip():
            return 0
        if _ATTRIBUTION.match(" ".join(line.strip() for line in lines[:many])):
            return many
    return 0
