"""The words of taking a mail apart: a leaf of its tree as found, an item of the account, the mail as a whole.

    bytes -- tree --> Leaf, Leaf, … -- verdict --> Item, Item, … -- mime --> Mail

Facts only. `mime` is the door: other modules take these names from there.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from mail2fax.model import Fate, Headers, Part, Reason

Kind = Literal["pdf", "image", "text", "office", ""]


@dataclass(frozen=True, slots=True)
class MimeLimits:
    """What a mail may cost. Each is far above any mail that people send, and keeps time and memory bounded."""

    depth: int = 30  # containers within containers
    parts: int = 1000  # of all containers together
    header_bytes: int = 262_144  # of one part; Exchange takes no more for a whole mail
    header_fields: int = 1000  # of one part
    decoded_bytes: int = 134_217_728  # of all parts together
    archives: bool = False  # whether a zip is opened


@dataclass(frozen=True, slots=True)
class Claim:
    """What the mail says of a part. Labels for people and hints: never a path, never believed over the bytes."""

    name: str = ""  # printable; "" when it had none
    type: str = "text/plain"
    disposition: str = ""  # "attachment", "inline" or ""
    charset: str = ""
    flowed: bool = False  # RFC 3676
    content_id: str = ""  # without its angle brackets
    original: bool = False  # the mail that a spam filter wrapped up, whatever type it gave it

    @property
    def pdf(self) -> bool:
        """Whether type or name promises a PDF, so that anything else needs a word to the sender."""
        return self.type.endswith(("pdf", "acrobat")) or self.name.lower().endswith(".pdf")

    @property
    def message(self) -> bool:
        """Whether type or name promises a mail."""
        return (
            self.type in {"message/rfc822", "message/global", "message/news"}
            or self.name.lower().endswith(".eml")
            or self.original
        )


@dataclass(frozen=True, slots=True)
class Leaf:
    """One part that holds no other: its claim, its decoded bytes, and where it hung."""

    claim: Claim
    kind: str  # content type that the bytes show; "" when they show none
    data: bytes = field(repr=False)
    inside: str = ""  # what was opened to find it: "winmail.dat", the name of a forwarded mail
    branches: tuple[tuple[int, int], ...] = ()  # each multipart/alternative above it, and which form it belongs to
    related: bool = False  # stands beside HTML that may show it (RFC 2387)
    forwarded: bool = False  # belongs to a mail within the mail
    verdict: Reason | None = None  # when that is known without its bytes
    detail: Mapping[str, str] = field(default_factory=dict)  # of the verdict

    @property
    def mail_text(self) -> bool:
        """Whether it is something the sender wrote, not a file."""
        named = bool(self.claim.name) and self.claim.type != "text/html"
        return self.claim.type.startswith("text/") and self.claim.disposition != "attachment" and not named


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the account, with the bytes if something can be made of them.

    `kind` says what: a "pdf" is to be faxed. An "image", a "text" (its data is UTF-8, whatever it came in) or an
    "office" file is faxed if [documents] convert says so: its part stands as refused, Reason.UNSUPPORTED, until then.
    With kind "" the part's verdict is final and `data` is empty.
    """

    part: Part
    data: bytes = field(default=b"", repr=False)
    kind: Kind = ""

    def ignored(self, reason: Reason) -> "Item":
        """The same part, ignored for good."""
        return Item(replace(self.part, fate=Fate.IGNORED, reason=reason))


@dataclass(frozen=True, slots=True)
class Mail:
    """All that a mail holds: every part in the order in which it stands, none left out."""

    headers: Headers
    items: tuple[Item, ...]
    text: str = ""  # what the sender wrote, without quoted history and signature
    linked: bool = False  # whether that holds a link to a file, and no file came with it
