"""Telnyx's webhooks: whether one is really from Telnyx, and what it says of a fax. Pure; `web.webhooks` hears them.

Each is signed with the account's Ed25519 key over its time, a bar and the body, byte for byte
(developers.telnyx.com/docs/development/sdk/python/webhooks and /api-reference/callbacks/fax-delivered).
"""

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mail2fax.providers import verdicts

TOLERANCE = 300  # seconds that a webhook may be old, or ahead of our clock
_KEY, _SIGNATURE = 32, 64  # bytes
_MOST = 1_000_000  # of pages, or seconds: more is no fax


class Untrusted(Exception):  # noqa: N818 -- an answer
    """Not from Telnyx, or too old to be believed. The text says why, in words of ours."""


@dataclass(frozen=True, slots=True)
class Event:
    """What was heard of a fax."""

    ref: str  # the provider ref; "" for what is about no fax of ours
    facts: Mapping[str, Any] = field(default_factory=dict)  # as in `model.Progress`: pages_sent, seconds


def public_key(text: str) -> Ed25519PublicKey:
    """The account's public key as Telnyx's portal shows it: 32 bytes in base64. Raises ValueError."""
    return Ed25519PublicKey.from_public_bytes(_bytes(text, _KEY))


def verify(key: Ed25519PublicKey, body: bytes, timestamp: str, signature: str, now: float) -> None:
    """Raise Untrusted unless the owner of the key signed this body within five minutes of `now`, Unix time."""
    # Not isdigit alone: it also takes digits of other scripts.
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise Untrusted("no time of signing")
    if abs(now - int(timestamp)) > TOLERANCE:
        raise Untrusted("too old, or this machine's clock is wrong")
    try:
        key.verify(_bytes(signature, _SIGNATURE), f"{timestamp}|".encode() + body)
    except (ValueError, InvalidSignature):
        raise Untrusted("not signed with webhook_key") from None


def read(body: bytes) -> Event:
    """What a verified webhook says: which fax, and how many pages went if that is told."""
    try:
        data = _within(json.loads(body), "data")
    except (ValueError, RecursionError):
        return Event("")
    payload = _within(data, "payload")
    ref = payload.get("fax_id")
    if not str(data.get("event_type")).startswith("fax.") or payload.get("direction") == "inbound":
        return Event("")
    told = {"pages_sent": payload.get("page_count"), "seconds": payload.get("call_duration_secs")}
    delivered = data.get("event_type") == "fax.delivered"
    facts = {name: value for name, value in told.items() if delivered and _count(value)}
    return Event(verdicts.ref_of(ref), facts)


def _within(data: Any, name: str) -> Mapping[str, Any]:
    inner = data.get(name) if isinstance(data, dict) else None
    return inner if isinstance(inner, dict) else {}


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MOST


def _bytes(text: str, length: int) -> bytes:
    """Base64 of just so many bytes. Raises ValueError."""
    try:
        data = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        data = b""
    if len(data) != length:
        raise ValueError(f"not the base64 of {length} bytes")
    return data
