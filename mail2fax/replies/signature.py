"""DKIM: a signature by which other mail servers know that a reply is ours (RFC 6376). The library makes it.

Promise: a key that cannot sign is told at the start, and no key stands in any text.
"""

import binascii
from collections.abc import Callable
from pathlib import Path

import dkim
from dkim.crypto import parse_pem_private_key

from mail2fax.config import ConfigError, Reply, loader

_LEAST = 1024  # bits: RFC 8301 section 3.2; 2048 are what one should have
_ADVICE = "make an RSA key: openssl genrsa -out dkim.pem 2048"
_PATIENCE = 5  # seconds for the DNS
_TRIAL = b"From: <fax@office.example>\r\n\r\nx\r\n"


class Signer:
    """[reply] dkim_key_file, and under which name its public half is found."""

    def __init__(self, settings: Reply) -> None:
        """Read the key. Raises ConfigError."""
        self._key = _read(settings)
        self._selector = settings.dkim_selector.encode()
        domain = settings.dkim_domain or settings.mailbox.rpartition("@")[2].lower()
        self._domain = domain.encode("idna")  # RFC 6376 section 3.5: as the DNS has it

    @property
    def record(self) -> str:
        """Where the public half is to be published, as a TXT record."""
        return f"{self._selector.decode()}._domainkey.{self._domain.decode()}"

    def signed(self, letter: bytes) -> bytes:
        """The letter with its signature on top: of the body, and of each field that a reader goes by.

        Relaxed both ways: servers on the way fold lines and trim blanks.
        """
        signature: bytes = dkim.sign(
            letter, self._selector, self._domain, self._key, canonicalize=(b"relaxed", b"relaxed")
        )
        return signature + letter

    def problem(self, txt: Callable[..., bytes | None] = dkim.get_txt) -> str:
        """Why nobody could verify a signature now; "" when one would. Asks the DNS, by `txt`, for some seconds."""
        name = f"{self.record}.".encode()
        try:
            if not (published := txt(name, timeout=_PATIENCE)):
                return "no key is published there"
            dkim.evaluate_pk(name, published)  # dkim.verify would say no more than that it is not good
        except dkim.DnsTimeoutError:
            return "the DNS did not answer"
        except (dkim.DKIMException, binascii.Error) as error:
            return f"what is published there is no key: {error}"
        good = dkim.verify(self.signed(_TRIAL), dnsfunc=lambda *_, **__: published)
        return "" if good else "the key that is published there is another one"


def _read(settings: Reply) -> bytes:
    place = f"{settings.place('dkim_key_file')}: {settings.dkim_key_file}"
    try:
        key = Path(settings.dkim_key_file).read_bytes().replace(b"\r\n", b"\n")
    except OSError as error:
        raise ConfigError([f"{place}: {loader.why_unreadable(error)}"]) from None
    try:
        bits = parse_pem_private_key(key)["modulus"].bit_length()
    except Exception:  # noqa: BLE001 -- the library has no one error for all that is no key
        raise ConfigError([f"{place}: holds no RSA key without a password; {_ADVICE}"]) from None
    if bits < _LEAST:
        raise ConfigError([f"{place}: {bits} bits are too few, nobody would believe it; {_ADVICE}"])
    return key
