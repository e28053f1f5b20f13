"""What our certificate says of itself: for which names it holds, and until when."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_STEPS = 10  # of a handshake; TLS 1.3 takes three


@dataclass(frozen=True, slots=True)
class Certificate:
    """The first certificate of the file."""

    names: tuple[str, ...]
    until: datetime

    def holds_for(self, name: str) -> bool:
        """Whether a client that asks for this name accepts it (RFC 6125: a `*` stands for one label)."""
        parent = name.partition(".")[2]
        return name in self.names or (bool(parent) and f"*.{parent}" in self.names)


def described(context: ssl.SSLContext, file: str) -> Certificate:
    """The certificate of this server context, from this PEM file. Raises ssl.SSLError: expired, or no server's.

    Python shows what is in a certificate only to a client that trusts it: so a client that trusts nothing else is
    shown it, in memory.
    """
    pem = Path(file).read_text("ascii", errors="replace")
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=_first(pem))
    told: Any = _handshake(context, client)
    names = tuple(value.lower() for kind, value in told.get("subjectAltName", ()) if kind in {"DNS", "IP Address"})
    until = datetime.fromtimestamp(ssl.cert_time_to_seconds(told["notAfter"]), UTC)
    return Certificate(names, until)


def _first(pem: str) -> str:
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    body = pem.partition(begin)[2].partition(end)[0]
    return f"{begin}{body}{end}\n"


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext) -> Any:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    asking = client.wrap_bio(to_client, to_server)
    for _ in range(_STEPS):
        for side in (asking, serving):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
            if side is asking:
                return asking.getpeercert()
    raise ssl.SSLError("no handshake with ourselves")
