"""Which client is behind a proxy."""

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
"""Where proxies are that we believe."""

FORWARDED_FOR: Final = "x-forwarded-for"
_OF_PROXIES = frozenset({FORWARDED_FOR, "forwarded", "x-real-ip"})

_QUIET_S = 600.0
"""Time for which a warning is not repeated: strangers may send such headers all the time."""

# Whatever is wider has strangers in it; those of private use as a whole have none.
_WIDEST = {4: 8, 6: 16}
_SITE = {4: 24, 6: 64}
_PRIVATE = IPv6Network("fc00::/7")

# Some proxies add the port that the client called from: 192.0.2.1:4711, [2001:db8::1]:4711.
_HOST = re.compile(r"\[([^\]]+)\](?::\d+)?|([\d.]+):\d+")


def read_networks(given: str | Networks) -> Networks:
    """Return the networks that a text such as ``10.0.0.0/8, 192.0.2.1`` lists.

    Raises:
        ValueError: If one of them is neither an address nor a network, or if together they are
            so wide that a stranger could be a proxy, and anybody.
    """
    if not isinstance(given, str):
        return given
    try:
        networks = tuple(ip_network(entry.strip()) for entry in given.split(","))
    except ValueError:
        msg = "must be addresses and networks with commas between, such as 10.0.0.0/8,2001:db8::1"
        raise ValueError(msg) from None
    if any(_is_too_wide(network) for network in _merged(networks)):
        msg = (
            "trusts strangers, who could then call as anybody: name the addresses of your proxies, "
            "or networks of at most a /8, or a /16 of IPv6"
        )
        raise ValueError(msg)
    return networks


def _merged(networks: Networks) -> Iterator[IPv4Network | IPv6Network]:
    """Yield *networks*, neighbours as one: two halves of the world are the whole."""
    yield from collapse_addresses(it for it in networks if isinstance(it, IPv4Network))
    yield from collapse_addresses(it for it in networks if isinstance(it, IPv6Network))


def _is_too_wide(network: IPv4Network | IPv6Network) -> bool:
    if isinstance(network, IPv6Network) and network.subnet_of(_PRIVATE):
        return False
    return network.prefixlen < _WIDEST[network.version]


def client_address(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """Return the IP address of the client that a call came from.

    Each proxy adds whom it was called by at the right. So entries are read from there as long as
    who wrote them is trusted; what stands further to the left anybody can have sent. An entry that
    is no address ends the reading: whoever is known by then counts as the client.

    Args:
        peer: IP address of whoever is connected; anything else, such as a Unix socket, is nobody.
        forwarded_for: The header ``X-Forwarded-For``, all of its lines joined by commas.
        trusted: Networks of proxies.

    Returns:
        An address without port, an IPv4 one never in the form of IPv6; empty if there is none.
    """
    client = _parsed(peer)
    for entry in reversed(forwarded_for.split(",")):
        before = _parsed(entry)
        if client is None or before is None or not _within(client, trusted):
            break
        client = before
    return str(client or "")


def _within(address: IPv4Address | IPv6Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    host = _HOST.fullmatch(text := text.strip())
    try:
        address = ip_address((host[1] or host[2]) if host else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Proxies:
    """Tells who calls through proxies, and warns that one may have been forgotten."""

    def __init__(
        self, trusted: Networks, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Believe those in the *trusted* networks."""
        self._trusted = trusted
        self._monotonic = monotonic
        self._quiet_until_s = float("-inf")

    def client(self, peer: str, headers: Iterable[tuple[str, str]]) -> str:
        """Return the IP address of the client that a call came from, as `client_address` does.

        Args:
            peer: IP address of whoever is connected.
            headers: Those of the call, or its metadata; names in small letters.
        """
        told = [(name, value) for name, value in headers if name in _OF_PROXIES]
        if told:
            self._look_at(peer)
        forwarded_for = ",".join(value for name, value in told if name == FORWARDED_FOR)
        return client_address(peer, forwarded_for, self._trusted)

    def _look_at(self, peer: str) -> None:
        address = _parsed(peer)
        believed = address is not None and _within(address, self._trusted)
        if believed or self._monotonic() < self._quiet_until_s:
            return
        self._quiet_until_s = self._monotonic() + _QUIET_S
        log.warning(
            "a caller that is no trusted proxy tells whom it calls for: if it is your proxy, name "
            "it in TRUSTED_PROXIES, for all who call through it are limited as one until then",
            peer=_shown(address),
        )


def _shown(address: IPv4Address | IPv6Address | None) -> str:
    """Return *address*, or if it is a stranger's only the network it is in."""
    if address is None or address.is_private:
        return str(address or "a Unix socket")
    return str(ip_network((address, _SITE[address.version]), strict=False))
