"""The addresses behind a host's name."""

import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def addresses(host: str) -> list[Address]:
    """Those this machine knows of, IPv4 first, without zones. Raises OSError when it knows no such host."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    known = {ipaddress.ip_address(str(place[0]).partition("%")[0]) for *_, place in found}
    return sorted(known, key=lambda one: (one.version, str(one)))
