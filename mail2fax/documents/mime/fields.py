"""Header fields: bytes off the wire -> text for people. Every step is linear in the length of the field.

Names, subjects and addresses come out decoded (RFC 2047, RFC 2231, or raw UTF-8 as RFC 6532 has it) and printable.
"""

import binascii
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

from mail2fax.documents.mime.charset import decode
from mail2fax.documents.mime.parts import Claim
from mail2fax.model import Headers

Fields = Mapping[str, Sequence[bytes]]  # by lower-case name; the bytes are unfolded

_SUBJECT, _NAME = 500, 200  # characters kept: enough for a label, too few to flood a reply
_KEEP_REFERENCES = 20
_TYPE = re.compile(r"\s*([\w.+-]+/[\w.+-]+)")
_PARAMETER = re.compile(r';\s*([^\s;="]+)\s*=\s*("(?:[^"\\]|\\.)*+"?|[^;]*)', re.DOTALL)
_NO_SEMICOLON = re.compile(r"([\w.+-]+/[\w.+-]+|attachment|inline)\s+(?=[\w*-]+\s*=)", re.IGNORECASE)
_CONTINUED = re.compile(r"([^*]+)\*(?:(\d{1,5})(\*)?)?$")
_WORD = re.compile(r"=\?([\w.:+-]{1,40})(?:\*[\w-]*)?\?([BbQq])\?([^?\s]*(?: [^?\s]*)*)\?=")
_BETWEEN_WORDS = re.compile(r"(?<=\?=)\s+(?==\?)")
# C0, C1, the byte order mark, and what turns or hides text (bidirectional and zero-width marks, separators).
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
# RFC 5322 section 3.6.4, without the comments, blanks and line breaks of its obsolete forms.
_MESSAGE_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_LANGUAGE = re.compile(r"(?<![\w-])[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8}){0,3}(?=\s*(?:[,;(]|$))")


def first(fields: Fields, name: str) -> bytes:
    """The first field of this name; empty when there is none."""
    return next(iter(fields.get(name, ())), b"")


def headers(fields: Fields) -> Headers:
    """What a reply needs of the mail's header. Message ids are safe to stand in a header of ours."""
    ids = _ids(fields, "references")
    if not ids:
        # RFC 5322 section 3.6.4: without References, a single id of In-Reply-To takes its place.
        answered = _ids(fields, "in-reply-to")
        ids = answered if len(answered) == 1 else []
    if len(ids) > _KEEP_REFERENCES:
        ids = ids[:1] + ids[1 - _KEEP_REFERENCES :]
    return Headers(
        subject=label(first(fields, "subject"), _SUBJECT),
        message_id=next(iter(_ids(fields, "message-id")), ""),
        references=tuple(ids),
        from_=label(first(fields, "from"), _SUBJECT),
        date=label(first(fields, "date"), 100),
        languages=_languages(fields),
    )


def claim(fields: Fields, default: str) -> Claim:
    """What a part says of itself. RFC 2045 section 5.2: without Content-Type it is `default`."""
    stated, about = parameters(first(fields, "content-type"))
    disposition, more = parameters(first(fields, "content-disposition"))
    name = more.get("filename") or about.get("name") or about.get("filename") or more.get("name") or ""
    return Claim(
        name=printable(name, _NAME),
        type=_type(stated, default, named=bool(name)),
        disposition=disposition.strip(' "').lower(),
        charset=about.get("charset", ""),
        flowed=about.get("format", "").lower() == "flowed",
        content_id=_text(first(fields, "content-id")).strip(" <>"),
        original=about.get("x-spam-type", "").lower() == "original",
    )


def label(value: bytes, length: int = _NAME) -> str:
    """A field as one printable line of at most so many characters."""
    return printable(_decode_words(_text(value)), length)


def printable(text: str, length: int = _NAME) -> str:
    """The text on one line, without characters that turn, hide or end it. A long one keeps its end: a file's type."""
    line = " ".join(_UNPRINTABLE.sub(" ", text).split())
    return line if len(line) <= length else f"{line[: length - 20]}…{line[-19:]}"


def parameters(value: bytes) -> tuple[str, dict[str, str]]:
    """A structured field's first word and its parameters, with RFC 2231 put together and RFC 2047 forgiven."""
    text = _text(value)
    if missing := _NO_SEMICOLON.match(text):
        text = f"{missing[1]};{text[missing.end() :]}"
    head, _, rest = text.partition(";")
    found: dict[str, str] = {}
    pieces: dict[str, dict[int, tuple[bool, str]]] = {}
    for match in _PARAMETER.finditer(";" + rest):
        name, text = match[1].lower(), _unquote(match[2].strip())
        if part := _CONTINUED.match(name):
            encoded = part[3] is not None or part[2] is None
            pieces.setdefault(part[1], {}).setdefault(int(part[2] or 0), (encoded, text))
        else:
            # RFC 2047 section 5 forbids encoded words here; Gmail and Outlook write them.
            found.setdefault(name, _decode_words(text))
    # RFC 2231: the extended form goes before the plain one that stands beside it.
    return head, found | {name: _decode_words(_join(parts)) for name, parts in pieces.items()}


def _type(stated: str, default: str, *, named: bool) -> str:
    if match := _TYPE.match(stated):
        return match[1].lower()
    if stated.strip():
        # RFC 2045 section 5.2 says text/plain, but a name shows that somebody attached a file.
        return "application/octet-stream" if named else "text/plain"
    return default


def _text(value: bytes) -> str:
    return decode(value, "utf-8").strip()


def _unquote(text: str) -> str:
    if not text.startswith('"'):
        return text
    # Only quotes and backslashes are unescaped: Windows programs write "C:\scan.pdf" as it is.
    return re.sub(r'\\(["\\])', r"\1", text[1:].removesuffix('"'))


def _join(parts: Mapping[int, tuple[bool, str]]) -> str:
    """RFC 2231 sections 3 and 4: one decoding, after all segments: one may end inside a character, even inside %XX."""
    charset = "utf-8"
    texts = []
    for number, (_, (encoded, text)) in enumerate(sorted(parts.items())):
        value = text if encoded else text.replace("%", "%25")
        if encoded and number == 0 and value.count("'") >= 2:
            charset, _, value = value.split("'", 2)
        texts.append(value)
    return decode(unquote_to_bytes("".join(texts)), charset)


def _decode_words(text: str) -> str:
    """RFC 2047, with neighbours of one charset put together first: some mailers cut inside a character."""
    if "=?" not in text:
        return text
    text = _BETWEEN_WORDS.sub("", text)
    done: list[str] = []
    raw: list[bytes] = []
    charset, at = "", 0
    for word in _WORD.finditer(text):
        if word.start() > at or word[1].lower() != charset:
            done += [decode(b"".join(raw), charset), text[at : word.start()]]
            raw = []
        raw.append(_word(word[2], word[3]))
        charset, at = word[1].lower(), word.end()
    return "".join([*done, decode(b"".join(raw), charset), text[at:]])


def _word(encoding: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if encoding in "Qq":
        return binascii.a2b_qp(raw.replace(b" ", b"_"), header=True)
    letters = re.sub(rb"[^A-Za-z0-9+/]", b"", raw)
    whole = letters[: len(letters) - (len(letters) % 4 == 1)]
    return binascii.a2b_base64(whole + b"=" * (-len(whole) % 4))


def _ids(fields: Fields, name: str) -> list[str]:
    return list(dict.fromkeys(_MESSAGE_ID.findall(_text(first(fields, name)))))


def _languages(fields: Fields) -> tuple[str, ...]:
    texts = [_text(first(fields, name)) for name in ("content-language", "accept-language")]
    return tuple(dict.fromkeys(tag for text in texts for tag in _LANGUAGE.findall(text)))[:8]
