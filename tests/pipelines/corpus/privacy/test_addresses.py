"""Public addresses, against `ipaddress` wherever its registry and ours are of one date."""

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.privacy.addresses import is_public_ipv4, is_public_ipv6

NEWER = [
    ipaddress.ip_network(text) for text in ("192.0.0.0/24", "64:ff9b:1::/48", "100::/32", "2001::/23", "2002::/16")
]
NEWER += [ipaddress.ip_network(text) for text in ("3fff::/20", "5f00::/16", "::/8", "fec0::/10")]
"""Ranges on which patch releases of Python differ among themselves."""


@given(st.integers(0, 2**32 - 1))
def test_ipv4_agrees_with_the_standard_library(number: int) -> None:
    address = ipaddress.IPv4Address(number)
    if not any(address in network for network in NEWER if network.version == 4):
        assert is_public_ipv4(str(address).encode()) == (address.is_global and not address.is_multicast)


@given(st.integers(0, 2**128 - 1))
def test_ipv6_agrees_with_the_standard_library(number: int) -> None:
    address = ipaddress.IPv6Address(number)
    written_out = address.exploded
    if not any(address in network for network in NEWER if network.version == 6):
        assert is_public_ipv6(written_out.encode()) == (address.is_global and not address.is_multicast)


def test_borders_of_the_ranges() -> None:
    for public in ("9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.15.255.255", "172.32.0.0"):
        assert is_public_ipv4(public.encode()), public
    for special in (
        "10.0.0.0",
        "10.255.255.255",
        "100.64.0.0",
        "100.127.255.255",
        "192.0.0.8",
        "224.0.0.1",
        "240.0.0.0",
    ):
        assert not is_public_ipv4(special.encode()), special
    assert is_public_ipv6(b"2606:4700::1111")
    assert not is_public_ipv6(b"2001:db8::1")
    assert not is_public_ipv6(b"3fff::1")
    assert not is_public_ipv6(b"dead::beef"), "not an allocated range"
    assert not is_public_ipv6(b"00:1b:44:11:3a:b7:00:01"), "a hardware address"
    assert not is_public_ipv6(b"not an address")
