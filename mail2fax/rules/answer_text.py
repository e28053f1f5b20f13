"""What the text of an answer to one of our replies asks for. Pure.

Promise: only what is clearly a wish is taken for one. A wrong guess faxes a document to a stranger, or twice; a wish
that is not understood costs its sender one more mail. So every line has to be understood: a number, a word that asks,
a courtesy, or the signature below them. One word more, and a person has to read it.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from mail2fax.rules import mail_programs
from mail2fax.rules.address import parse

_FEWEST = 7  # digits: fewer are no number that anybody would dial
_MOST_WORDS = 12  # of one line
_DASHES = re.compile("[\u2010-\u2015\u2212\ufe58\ufe63\uff0d]")
_NUMBER = re.compile(r"\+?\(?\d[\d ().\-/]*")
_WORD = re.compile(r"[^\W\d_]+")


def _these(words: str) -> frozenset[str]:
    return frozenset(words.split())


# Words in lower case and without accents, in both languages.
_ASKING = _these("send resend resending retry try refax redo repeat renvoyer renvoyez envoyer envoyez reessayer")
_NAMING = _these("send resend refax renvoyer renvoyez envoyer envoyez")  # such as our replies offer
_NODDING = _these("again yes please encore oui svp stp plait")
_CANCELLING = _these("cancel stop annuler annulez")
_THANKING = _these("thanks thank thx merci cheers")
_COURTESY = _THANKING | _these(
    """you so very much many kindly hi hello hey dear good morning afternoon evening bonjour salut bonsoir sorry oops
    apologies desole desolee pardon beaucoup s il vous te regards best kind cordialement sincerely salutations
    veuillez"""
)
_PLAIN = _COURTESY | _these(
    """it this the same a an to at one more once time fax document number la le l les une un fois de nouveau meme au
    numero telecopie telecopieur"""
)
_MISTAKEN = _these("wrong incorrect mistake typo error my mauvais faux erreur errone")
_NEW = _these("new right correct corrected nouveau bon bonne exact voici here")
_LABELS = _PLAIN | _NEW | _these("tel telephone telec no num is c est use instead recipient destinataire n")
_THERE = _NEW | _these("to au a instead")  # of a number beside them: the document is meant to go there
_LEADING = re.compile(r"(?:\b(?:to|at|is|number|au|à|a|est|numéro|numero|here)|:) ?[:.,!]?\Z", re.IGNORECASE)
_HALTING = _these("dont never stop wait cancel jamais attendez annuler annulez")
_REFUSING = _these("no not don dont do never stop wait cancel hold non ne n pas jamais attendez annuler")
_QUESTION = re.compile(r".*\?|is\b", re.IGNORECASE)
_GREETING = re.compile(r"(?:hi|hello|hey|dear|bonjour|salut|bonsoir)\b(?:[ ,]+[^\W\d]+){0,2} ?[,!.:]?", re.IGNORECASE)
_SIGNING_OFF = re.compile(
    r"(?:(?:many )?thanks|thank you|thx|merci|cheers|(?:best|kind|warm)? ?regards|best|sincerely|cordialement"
    r"|salutations)(?: (?:again|so much|very much|beaucoup|encore))? ?[,.!]*",
    re.IGNORECASE,
)
# What an office's mail server writes below a text: how it begins, and stems of words of which each has several.
_NOTICE = re.compile(
    r"confidential|(?:avis|note) de conf|this (?:e-?mail|message|communication)|ce (?:courriel|message)|notice:",
    re.IGNORECASE,
)
_NOTICE_STEMS = (
    *("confiden", "intend", "privileg", "addressee", "recipient", "solely", "unauthori", "disclos", "dissemin"),
    *("scanned", "virus", "destin", "interdit", "erreur", "divulg"),
)


class Doubt(StrEnum):
    """Why a text is not clearly a wish."""

    WORDS = "words"  # it says something else, or something more
    NUMBERS = "numbers"  # two different numbers
    NUMBER = "number"  # one that cannot be faxed
    WHOSE = "whose number"  # one that may be its author's own
    NO_WORD = "no word"  # a bare answer, where the word SEND is asked for
    NO_NUMBER = "no number"  # where there was none to begin with, and one is asked for
    ATTACHMENT = "attachment"  # it brings a document of its own


class Doubtful(Exception):  # noqa: N818 -- a verdict on a text
    """Not clearly a wish: a person has to read it."""

    def __init__(self, doubt: Doubt, answer: str = "") -> None:
        """`answer`: what SMTP says of it where no person reads it; "" for the words that fit the doubt."""
        super().__init__(doubt.value)
        self.doubt = doubt
        self.answer = answer


@dataclass(frozen=True, slots=True)
class Once:
    """The wish to send the document once more."""

    number: str = ""  # ten digits; "" for the number it was
    named: bool = False  # by a number, or by a word such as SEND on the first line: not by an empty answer or a nod


def once_more(text: str, author: str = "", country: str = "CA") -> Once:
    """What an answer to a fax that did not go through asks for. `author` is the From of the answer.

    `text` is what its author wrote, as far as `own_text` could tell. Raises Doubtful; and AddressError, with the rule,
    for a number that cannot be faxed.
    """
    lines = _understood(text, author, _ASKING | _NODDING)
    numbers = {parse(number.strip(" .-/("), country).number for line in lines for number in line.numbers}
    if len(numbers) > 1:
        raise Doubtful(Doubt.NUMBERS)
    if numbers:
        _refuse_own(lines)
        return Once(numbers.pop(), named=True)
    if any(line.words & _MISTAKEN or line.leads for line in lines):
        raise Doubtful(Doubt.WORDS)  # a wrong number, or another one, and none that is right
    if lines and not any(line.asks for line in lines):
        raise Doubtful(Doubt.WORDS)  # thanks alone ask for nothing
    return Once(named=bool(lines and lines[0].words & _NAMING))


def _refuse_own(lines: Sequence["_Line"]) -> None:
    """Raises Doubtful for a number that may be of a signature: below a thank-you, or below a wish without one."""
    first = next(place for place, line in enumerate(lines) if line.numbers)
    above = lines[:first]
    meant = lines[first].words & _THERE or any(line.words & _MISTAKEN or line.leads for line in above)
    if above and not meant and (above[-1].signs_off or any(line.asks for line in above)):
        raise Doubtful(Doubt.WHOSE)


def refuse_other(subject: str, ours: str) -> None:
    """Raises Doubtful where the subject of an answer asks for something that its text does not say.

    `ours`: what the subject of our reply was made of, and so asks for nothing.
    """
    subject, ours = _folded(subject), _folded(ours)
    known = re.sub(r"\D", "", ours)
    if any(re.sub(r"\D", "", number)[-10:] not in known for number in _numbers(subject)):
        raise Doubtful(Doubt.WHOSE)
    if _HALTING & (set(_words(subject)) - set(_words(ours))):
        raise Doubtful(Doubt.WORDS)


def cancels(text: str, author: str = "") -> None:
    """Raises Doubtful unless an answer to "still trying" asks to cancel."""
    lines = _understood(text, author, _CANCELLING | _NODDING)
    if any(line.numbers for line in lines) or (lines and not any(line.words & _CANCELLING for line in lines)):
        raise Doubtful(Doubt.WORDS)


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that was understood."""

    words: frozenset[str]
    numbers: Sequence[str] = ()
    leads: bool = False  # "send it to the new number:"
    signs_off: bool = False

    @property
    def asks(self) -> bool:
        """Whether it asks for something. "Thanks again" does not."""
        return bool(self.words & _ASKING) or bool(self.words & _NODDING and not self.words & _THANKING)


def _understood(text: str, author: str, asking: frozenset[str]) -> list[_Line]:
    """The lines above history and signature. Raises Doubtful where one is not understood."""
    written, below = _above_history([line.strip() for line in _folded(text).splitlines()])
    names = frozenset(_words(author))
    lines: list[_Line] = []
    before = ""
    for place, line in enumerate(written):
        known = _line(line, asking) if line else None
        if known:
            lines.append(known)
        elif line and not _signature(written[place:], before, names, said=bool(lines)):
            raise Doubtful(Doubt.NUMBERS if len(set(_numbers(line))) > 1 else Doubt.WORDS)
        elif line:
            break
        before = line or before
    if below and not lines:
        raise Doubtful(Doubt.WORDS)  # perhaps the answer stands there
    return lines


def _line(line: str, asking: frozenset[str]) -> _Line | None:
    """What a line says; None if that is not clear."""
    if _QUESTION.match(line):
        return None  # "Is 416 … the right number?" wants an answer, not a fax
    numbers = _numbers(line)
    rest = line
    for number in numbers:
        rest = rest.replace(number, " ", 1)
    words = frozenset(_words(rest))
    if re.search(r"\d", rest) or len(words) > _MOST_WORDS:
        return None
    if numbers:
        return _Line(words, numbers) if words <= _LABELS | _ASKING | _NODDING else None
    if _leads(line, words):
        return _Line(words, leads=True)
    if words <= asking | _PLAIN | _MISTAKEN:
        return _Line(words, signs_off=bool(_SIGNING_OFF.fullmatch(line)))
    return _Line(frozenset()) if _GREETING.fullmatch(line) and not words & _REFUSING else None


def _leads(line: str, words: frozenset[str]) -> bool:
    """Whether a line without a number says that one follows."""
    known = _LABELS | _ASKING | _NODDING | _MISTAKEN
    announced = words & (_ASKING | _NEW) and words <= known and not words & _these("same meme")
    return bool(announced and _LEADING.search(line))


def _signature(lines: Sequence[str], before: str, names: frozenset[str], *, said: bool) -> bool:
    """Whether a line that says nothing begins the signature. Nobody's own number is taken for the recipient's.

    With nothing said above it, only one that holds no number, and no word against, can be left out.
    """
    words = frozenset(_words(lines[0]))
    signed_off = said and _SIGNING_OFF.fullmatch(before) and not words & _REFUSING
    begins = bool(_notice(lines) or (words and words <= names) or signed_off)
    return begins and (said or not (any(map(_numbers, lines)) or _against(lines)))


def _notice(lines: Sequence[str]) -> bool:
    """Whether these are a server's: "this message is for the lab" begins as they do."""
    below = " ".join(_words(" ".join(lines)))
    return bool(_NOTICE.match(lines[0])) and sum(stem in below for stem in _NOTICE_STEMS) > 1


def _against(lines: Sequence[str]) -> bool:
    """Whether a word against it stands below a name, but for what an office's mail server writes there."""
    below = next((place for place in range(len(lines)) if _notice(lines[place:])), len(lines))
    return any(_REFUSING & set(_words(line)) for line in lines[:below])


def _above_history(lines: Sequence[str]) -> tuple[Sequence[str], bool]:
    """The lines above the mail that is answered; and whether others than quoted ones stand below."""
    for place, line in enumerate(lines):
        rest = lines[place:]
        if line.startswith(">") or mail_programs.header(rest):
            return lines[:place], False
        if mail_programs.delimiter(line) or mail_programs.device(line):
            return lines[:place], False
        if many := mail_programs.attribution(rest):
            return lines[:place], any(other and not other.startswith(">") for other in rest[many:])
    return lines, False


def _numbers(line: str) -> list[str]:
    return [found for found in _NUMBER.findall(line) if sum(map(str.isdigit, found)) >= _FEWEST]


def _words(text: str) -> list[str]:
    """In lower case, without accents."""
    plain = "".join(sign for sign in unicodedata.normalize("NFKD", text) if not unicodedata.combining(sign))
    return _WORD.findall(plain.casefold())


def _folded(text: str) -> str:
    """As it looks: without marks that turn or hide text or make it bold; every dash and blank the plain one."""
    kept = "".join(
        " " if unicodedata.category(sign) == "Zs" else sign for sign in text if unicodedata.category(sign) != "Cf"
    )
    return re.sub(r"[*`]", "", _DASHES.sub("-", kept))
