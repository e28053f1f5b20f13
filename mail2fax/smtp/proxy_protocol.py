"""The PROXY protocol, version 1 and 2: which client a load balancer speaks for.

Only asked where the peer is one of `proxy_networks`; from anybody else such a header is a command nobody knows.
"""

import asyncio
import contextlib
from ipaddress import IPv4Address, IPv6Address

from aiosmtpd.proxy_protocol import V2_CMD, get_proxy

from mail2fax.rules.networks import Networks, holding

_WAIT = 10.0  # seconds for the header


def plain(address: str) -> str:
    """A peer's address as it is meant: an IPv4 client of an IPv6 socket is an IPv4 client, and zones say nothing."""
    if ":" not in address:
        return address
    mapped = IPv6Address(address.partition("%")[0])
    return str(mapped.ipv4_mapped or mapped)


def is_balancer(peer: str, balancers: Networks) -> bool:
    """Whether a PROXY header is required from this peer."""
    return bool(balancers) and holding(peer, balancers) is not None


async def client(reader: asyncio.StreamReader, peer: str) -> str | None:
    """Read the header: the client's address, the balancer's own for its health checks, None if it is no header."""
    header = None
    with contextlib.suppress(TimeoutError, asyncio.IncompleteReadError):
        async with asyncio.timeout(_WAIT):
            header = await get_proxy(reader)
    if not header:
        return None
    if header.version == 2 and header.command == V2_CMD.LOCAL:
        return peer
    if isinstance(header.src_addr, IPv4Address | IPv6Address):
        return plain(str(header.src_addr))
    # "UNKNOWN": the balancer does not say. Its own address must not lend the client any trust.
    return None
