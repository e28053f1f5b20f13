"""What the sender wrote, for the cover page: the mail's text without quoted history and signature.

Plain text where there is some, else made from the HTML. Mail programs mark quotes and signatures by habit, not by
standard: what is not recognised stays, so that no word of the sender is lost.
"""

import html
import re
from collections.abc import Iterable, Iterator

from mail2fax.documents.mime import sniff
from mail2fax.documents.mime.charset import decode
from mail2fax.documents.mime.fields import printable
from mail2fax.documents.mime.parts import Leaf
from mail2fax.rules import mail_programs

_READ, _KEPT = 262_144, 10_000  # bytes looked at, characters given back
_TAG = re.compile(r"(<[^<>]*>)")
_TAG_NAME = re.compile(r"<\s*(/?)\s*([a-zA-Z][a-zA-Z0-9]*)")
_HIDDEN = frozenset({"head", "style", "script", "title", "blockquote", "svg"})
_BREAKS = frozenset({"br", "p", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol", "hr"})
# Python refuses to read such a number, and html.unescape does not expect that.
_ENDLESS = re.compile(r"&#[0-9]{8,}")
_END = re.compile(
    r"-- ?$"  # RFC 3676 section 4.3
    r"|-{2,} ?(?:original message|message d'origine|ursprüngliche nachricht|forwarded message|message transféré)"
    r"|begin forwarded message:$|début du message réexpédié",
    re.IGNORECASE,
)
_RULE = re.compile(r"(?:\n\s*|\A)[-_=*]{5,}\s*\Z")
_ATTRIBUTION = re.compile(
    r"(?:^|\n)(?:on|le|am|el|il)\s[^\n]{5,120}(?:\n[^\n]{0,120})?"
    r"(?:wrote|a\s+écrit|schrieb|escribió|ha scritto)[^\n]{0,100}:\s*\Z",
    re.IGNORECASE,
)
# Where offices put a file when they send a link to it instead.
_LINK = re.compile(
    r"https?://\S*(?:(?:drive|docs)\.google\.com|sharepoint\.com|onedrive\.live\.com|1drv\.ms|dropbox\.com"
    r"|icloud\.com|we\.tl|wetransfer\.com|box\.com)/",
    re.IGNORECASE,
)
_HREF = re.compile(r"""\bhref\s*=\s*["']?([^"'\s>]+)""", re.IGNORECASE)


def written(leaves: Iterable[Leaf]) -> str:
    """The sender's own words; empty when there are none."""
    own = _own(leaves)
    texts = [_plain(leaf) for leaf in own if leaf.claim.type == "text/plain"]
    if not any(map(printable, texts)):
        texts = [_from_html(leaf) for leaf in own if leaf.claim.type == sniff.HTML]
    return "\n\n".join(filter(None, map(trim, texts)))[:_KEPT]


def linked(leaves: Iterable[Leaf]) -> bool:
    """Whether the sender's own words hold a link to a file on a drive, in plain sight or behind a word."""
    for leaf in _own(leaves):
        text = _from_html(leaf, links=True) if leaf.claim.type == sniff.HTML else _plain(leaf)
        if _LINK.search(trim(text)):
            return True
    return False


def _own(leaves: Iterable[Leaf]) -> list[Leaf]:
    return [leaf for leaf in leaves if leaf.mail_text and not leaf.forwarded and not leaf.verdict]


def trim(text: str) -> str:
    """The text without quoted lines, the history below it, and the signature."""
    kept: list[str] = []
    lines = text.splitlines()
    for number, line in enumerate(lines):
        if mail_programs.device(line) and not any(kept):
            continue  # a telephone's mark stands on top where somebody writes below it
        if _END.match(line) or mail_programs.device(line) or mail_programs.header(lines[number : number + 4]):
            break
        if line.startswith(">"):
            _drop_attribution(kept)
        elif line.strip() or (kept and kept[-1]):
            kept.append(printable(line, _KEPT))
    _drop_attribution(kept)
    return _RULE.sub("", "\n".join(kept)).strip()


def _drop_attribution(lines: list[str]) -> None:
    """Take "On Monday somebody wrote:" off the end."""
    if any(line.endswith(":") for line in lines[-2:]):
        lines[-4:] = _ATTRIBUTION.sub("", "\n".join(lines[-4:])).split("\n")


def _plain(leaf: Leaf) -> str:
    text = decode(leaf.data[:_READ], leaf.claim.charset).replace("\r\n", "\n").strip("\n")
    # RFC 3676 section 4.1: a line that ends in a blank goes on in the next one, but for the signature's mark.
    return re.sub(r"(?<!\n--) \n(?!>)", " ", text) if leaf.claim.flowed else text


def _from_html(leaf: Leaf, *, links: bool = False) -> str:
    text = decode(leaf.data[:_READ], leaf.claim.charset)
    return "\n".join(line.strip() for line in "".join(_visible(text, links=links)).splitlines())


def _visible(text: str, *, links: bool) -> Iterator[str]:
    """The text between the tags, with the breaks that tags make, and the links if they are wanted.

    Not html.parser: that takes hours on some input.
    """
    hidden, depth = "", 0
    comment = False
    for piece in _TAG.split(text):
        comment = comment or piece.startswith("<!--")
        tag = _TAG_NAME.match(piece)
        name = tag[2].lower() if tag else ""
        if comment:
            comment = "-->" not in piece
        elif name in _HIDDEN and name == (hidden or name):
            depth += -1 if tag and tag[1] else 1
            hidden = name if depth > 0 else ""
        elif hidden:
            continue
        elif name in _BREAKS:
            yield "\n"
        elif links and name == "a" and (link := _HREF.search(piece)):
            yield f" {html.unescape(_ENDLESS.sub('', link[1]))} "
        elif not piece.startswith("<"):
            yield html.unescape(_ENDLESS.sub("", re.sub(r"\s+", " ", piece)))
