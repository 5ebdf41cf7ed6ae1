"""Whose bucket it is: keys made of addresses and of what callers typed. Pure."""

import hashlib
import unicodedata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

OTHER = "other"
_SITE_BITS = 64
_DIGITS = 32
_LONGEST_TYPED = 320


def address_key(address: str) -> str:
    """Return what calls from *address* are counted under.

    An IPv6 address counts as its /64: a single home has all of that, and could take a new address
    for each call. Whatever is no IP address, such as that of a Unix socket, shares one bucket: who
    comes in where nobody can be told apart must not be free of limits.

    Args:
        address: An IP address without port.
    """
    match _parsed(address):
        case IPv4Address() as ip:
            return str(ip)
        case IPv6Address(ipv4_mapped=IPv4Address() as ip):
            return str(ip)
        case IPv6Address() as ip:
            return str(IPv6Network((int(ip), _SITE_BITS), strict=False))
        case None:
            return OTHER


def _parsed(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def typed_key(text: str) -> str:
    """Return what calls about an account are counted under: a part of the SHA-256 of its name.

    So Redis holds no addresses of people, and keys of one length whatever callers type. Texts that
    differ in case, width or blanks around them count as one: they may mean the same account. So do
    those that differ only after more characters than a name or an address may have.
    """
    name = unicodedata.normalize("NFKC", text.strip()[:_LONGEST_TYPED]).casefold()
    # A text from JSON may hold half a surrogate pair.
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
