"""Where replies go out: the URL of [reply] relay, read into its parts. Its repr shows no password."""

import base64
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import quote, unquote, urlsplit

from mail2fax.config import Reply

_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}  # RFC 5321, RFC 8314, RFC 6409
_TLS: dict[str, Literal["implicit", "starttls"]] = {"smtps": "implicit", "smtp+starttls": "starttls"}


@dataclass(frozen=True, slots=True)
class Relay:
    """The outgoing mail server, and how it is to be spoken to."""

    host: str
    port: int
    tls: Literal["", "implicit", "starttls"] = ""  # always verified when there is any
    user: str = ""  # "" does not log in
    password: str = field(default="", repr=False)
    ca_file: str = ""  # "" trusts the system's authorities

    @classmethod
    def of(cls, settings: Reply) -> "Relay":
        """The relay of these settings."""
        url = urlsplit(settings.relay)
        return cls(
            host=url.hostname or "localhost",
            port=url.port or _PORTS[url.scheme],
            tls=_TLS.get(url.scheme, ""),
            user=unquote(url.username or ""),
            password=settings.relay_password.get_secret_value() or unquote(url.password or ""),
            ca_file=settings.relay_ca_file,
        )

    @property
    def name(self) -> str:
        """As notes and log lines call it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def secrets(self) -> frozenset[str]:
        """The password in each form in which a server might repeat it: plain, in a URL, in AUTH PLAIN and LOGIN."""
        if not self.password:
            return frozenset()
        raw = self.password.encode()
        plain = b"\0" + self.user.encode() + b"\0" + raw
        forms = (base64.b64encode(raw).decode(), base64.b64encode(plain).decode(), quote(self.password, safe=""))
        return frozenset({self.password, *forms})
