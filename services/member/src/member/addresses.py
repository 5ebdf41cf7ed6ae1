"""Addresses of servers. Pure."""

from ipaddress import ip_address


def host_and_port(value: str) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 host is in brackets."""
    host, _, port = value.rpartition(":")
    return host.strip("[]"), int(port)


def is_loopback(host: str) -> bool:
    """Tell whether *host* is this machine, reachable only from itself."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
