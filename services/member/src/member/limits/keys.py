"""Keys of buckets, made from addresses and from text that callers typed. Pure."""

import hashlib
import unicodedata
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

OTHER = "other"
_SITE_BITS = 64
_DIGITS = 32
_LONGEST_TYPED = 320


def address_key(address: str) -> str:
    """Return the key for calls from *address*.

    An IPv6 address counts as its /64: a single home owns all of that, and could use a new address
    for each call. Callers without an IP address, such as those on a Unix socket, share one key:
    they cannot be distinguished, and must not be without limits.

    Args:
        address: An IP address without port.
    """
    match _parse(address):
        case IPv4Address() as ip:
            return str(ip)
        case IPv6Address(ipv4_mapped=IPv4Address() as ip):
            return str(ip)
        case IPv6Address() as ip:
            return str(IPv6Network((int(ip), _SITE_BITS), strict=False))
        case None:
            return OTHER


def _parse(address: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(address)
    except ValueError:
        return None


def typed_key(text: str) -> str:
    """Return the key for calls about an account: a part of the SHA-256 of its name.

    So Redis holds no e-mail addresses, and all keys have the same length. Texts that differ only
    in case, in width, in surrounding blanks, or after the longest possible name or address have
    the same key: they may mean the same account.
    """
    name = unicodedata.normalize("NFKC", text.strip()[:_LONGEST_TYPED]).casefold()
    # A text from JSON may hold half a surrogate pair.
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_DIGITS]
