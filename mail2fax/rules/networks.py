"""Which client is meant by networks in the settings (pure).

A client is its address as text. Functions raise ValueError for what is none.
"""

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Networks = tuple[Network, ...]


def parsed(texts: Iterable[str]) -> Networks:
    """Networks such as 192.0.2.0/24, as a setting lists them."""
    return tuple(map(ipaddress.ip_network, texts))


def holding(client: str, networks: Networks) -> Network | None:
    """The first network that this client is in."""
    address = ipaddress.ip_address(client)
    # ::ffff:192.0.2.1 is how a socket for both families shows an IPv4 client.
    address = getattr(address, "ipv4_mapped", None) or address
    return next((network for network in networks if address in network), None)


def means(networks: Networks, client: str) -> bool:
    """Whether a rule for these networks, or for everybody where there are none, is for this client."""
    return not networks or holding(client, networks) is not None
