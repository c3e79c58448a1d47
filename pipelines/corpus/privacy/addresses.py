"""Which IP addresses belong to somebody on the public internet.

The IANA special-purpose registries as of 2025 are written out here: Python's own copies in `ipaddress` change between
patch releases, and a span must not depend on the interpreter that found it.
"""

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

_SPECIAL_IPV4: Final = tuple(
    IPv4Network(network)
    for network in (
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12"),
        *("192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("224.0.0.0/4", "240.0.0.0/4"),
    )
)
"""RFC 6890 and its registry: private, shared, loopback, link-local, documentation, benchmarks; multicast; reserved."""

_SPECIAL_IPV6: Final = tuple(
    IPv6Network(network)
    for network in (
        *("::/8", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32", "3fff::/20"),
        *("5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
    )
)
_ALLOCATED_IPV6: Final = IPv6Network("2000::/3")
"""Unicast that registries hand out. Compressed forms must lie in it, because `a::b` is a path in several languages."""


@lru_cache(maxsize=4096)  # a log names few addresses often
def is_public_ipv4(candidate: bytes) -> bool:
    """Whether four dotted decimal octets are a global unicast address."""
    address = IPv4Address(candidate.decode())
    return not any(address in network for network in _SPECIAL_IPV4)


def is_public_ipv6(candidate: bytes) -> bool:
    """Whether this is an IPv6 address at all, of global unicast, and no eight pairs of a hardware address (EUI-64)."""
    try:
        address = IPv6Address(candidate.decode())
    except ValueError:
        return False
    if any(address in network for network in _SPECIAL_IPV6):
        return False
    if b"::" in candidate:
        return address in _ALLOCATED_IPV6
    return max(map(len, candidate.split(b":"))) > 2
