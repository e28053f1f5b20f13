"""Send again, or cancel, by answering: signed addresses such as resend+0abc…-1.<signature>@fax.local. Pure.

Promise: an address that this module made names one fax and one action; nobody without the key can make one, or change
one. Whether the fax may still be sent again, and whether it is the sender who asks, the spool and the policy know.
"""

import base64
import hashlib
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum

from mail2fax.config import Reply

_SIGNATURE = 16  # characters of base32: 80 bits
_LONGEST = 64  # RFC 5321 section 4.5.3.1.1: a local part
_FORM = re.compile(r"(resend|cancel)\+([a-z0-9-]{1,40})\.([a-z2-7]{16})", re.IGNORECASE)
_CLAIMED = re.compile(r"(resend|cancel)\+", re.IGNORECASE)


class Action(StrEnum):
    """What an answer asks for."""

    RESEND = "resend"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a signed address says."""

    action: Action
    fax_id: str


def key(settings: Reply, shared: bytes) -> bytes:
    """What the addresses are signed with: [reply] secret, else the key that all nodes of the spool share."""
    secret = settings.secret.get_secret_value().encode()
    return hmac.digest(secret or shared, b"mail2fax resend", hashlib.sha256)


def write(action: Action, fax_id: str, key: bytes, domain: str) -> str:
    """The address that asks for this. Lower case: mail servers may fold the case of a local part."""
    local_part = f"{action}+{fax_id.lower()}.{_sign(action, fax_id, key)}"
    if len(local_part) > _LONGEST:
        raise ValueError(f"{fax_id} is too long for an address")
    return f"{local_part}@{domain}"


def claimed(local_part: str) -> bool:
    """Whether this is to be one of our addresses, rather than a number; `read` says if it is a true one."""
    return bool(_CLAIMED.match(local_part))


def read(local_part: str, key: bytes) -> Wish | None:
    """What the address asks for; None if we did not make it."""
    form = _FORM.fullmatch(local_part)
    if not form:
        return None
    action, fax_id = Action(form[1].lower()), form[2].upper()
    if not hmac.compare_digest(_sign(action, fax_id, key), form[3].lower()):
        return None
    return Wish(action, fax_id)


def _sign(action: Action, fax_id: str, key: bytes) -> str:
    digest = hmac.digest(key, f"{action}:{fax_id.upper()}".encode(), hashlib.sha256)
    return base64.b32encode(digest).decode().lower()[:_SIGNATURE]
