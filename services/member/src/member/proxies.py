"""Find the client behind a proxy."""

import re
import time
from collections.abc import Callable, Iterable, Iterator
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    collapse_addresses,
    ip_address,
    ip_network,
)
from typing import Final, TypeAlias

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Networks: TypeAlias = tuple[IPv4Network | IPv6Network, ...]
"""Networks of trusted proxies."""

FORWARDED_FOR: Final = "x-forwarded-for"
_OF_PROXIES = frozenset({FORWARDED_FOR, "forwarded", "x-real-ip"})

_QUIET_S = 600.0
"""Time before the warning is repeated: strangers may send such headers all the time."""

# A wider network has strangers in it, except the private networks of IPv6.
_WIDEST = {4: 8, 6: 16}
_SITE = {4: 24, 6: 64}
_PRIVATE = IPv6Network("fc00::/7")

# Some proxies add the port of the client: 192.0.2.1:4711, [2001:db8::1]:4711.
_HOST = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


def read_networks(given: str | Networks) -> Networks:
    """Return the networks that a text such as ``10.0.0.0/8, 192.0.2.1`` lists.

    Raises:
        ValueError: If an entry is neither an address nor a network, or if the networks together
            are so wide that a stranger could pose as a proxy, and so as any client.
    """
    if not isinstance(given, str):
        return given
    try:
        networks = tuple(ip_network(entry.strip()) for entry in given.split(","))
    except ValueError:
        msg = "must be addresses and networks with commas between, such as 10.0.0.0/8,2001:db8::1"
        raise ValueError(msg) from None
    if any(_is_too_wide(network) for network in _merge(networks)):
        msg = (
            "trusts strangers, who could then call as anybody: name the addresses of your proxies, "
            "or networks of at most a /8, or a /16 of IPv6"
        )
        raise ValueError(msg)
    return networks


def _merge(networks: Networks) -> Iterator[IPv4Network | IPv6Network]:
    """Yield *networks*, with neighbours joined: two halves of the address space are all of it."""
    yield from collapse_addresses(it for it in networks if isinstance(it, IPv4Network))
    yield from collapse_addresses(it for it in networks if isinstance(it, IPv6Network))


def _is_too_wide(network: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv6Network) and network.subnet_of(_PRIVATE):
        return False
    return network.prefixlen < _WIDEST[network.version]


def client_address(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """Return the IP address of the client that a call came from.

    Each proxy appends the address of its caller at the right. So entries count from the right, as
    long as a trusted proxy wrote them; anybody may have sent those further to the left. An entry
    that is no address ends the search: the last address found counts as the client.

    Args:
        peer: IP address of the connected peer; any other text, as for a Unix socket, is no client.
        forwarded_for: The header ``X-Forwarded-For``, all of its lines joined by commas.
        trusted: Networks of proxies.

    Returns:
        An address without port, never an IPv4 address in the form of IPv6; empty without a client.
    """
    client = _parse(peer)
    for entry in reversed(forwarded_for.split(",")):
        before = _parse(entry)
        if client is None or before is None or not _is_within(client, trusted):
            break
        client = before
    return str(client or "")


def _is_within(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _parse(text: str) -> IPv4Address | IPv6Address | None:
    host = _HOST.fullmatch(text := text.strip())
    try:
        address = ip_address((host[1] or host[2]) if host else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Proxies:
    """Finds the clients behind proxies, and warns about a proxy that may be missing in settings."""

    def __init__(
        self, trusted: Networks, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Trust the headers of proxies in the *trusted* networks."""
        self._trusted = trusted
        self._monotonic = monotonic
        self._quiet_until_s = float("-inf")

    def client(self, peer: str, headers: Iterable[tuple[str, str]]) -> str:
        """Return the IP address of the client that a call came from, as `client_address` does.

        Args:
            peer: IP address of the connected peer.
            headers: Headers of the call, or its metadata; names in lower case.
        """
        forwarded = [(name, value) for name, value in headers if name in _OF_PROXIES]
        if forwarded:
            self._warn_unless_trusted(peer)
        forwarded_for = ",".join(value for name, value in forwarded if name == FORWARDED_FOR)
        return client_address(peer, forwarded_for, self._trusted)

    def _warn_unless_trusted(self, peer: str) -> None:
        address = _parse(peer)
        is_trusted = address is not None and _is_within(address, self._trusted)
        if is_trusted or self._monotonic() < self._quiet_until_s:
            return
        self._quiet_until_s = self._monotonic() + _QUIET_S
        log.warning(
            "a caller that is no trusted proxy names another client: if it is your proxy, add it "
            "to TRUSTED_PROXIES; until then all callers behind it share one limit",
            peer=_mask(address),
        )


def _mask(address: IPv4Address | IPv6Address | None) -> str:
    """Return a private *address* as it is, and of any other only its network."""
    if address is None or address.is_private:
        return str(address or "a Unix socket")
    return str(ip_network((address, _SITE[address.version]), strict=False))
