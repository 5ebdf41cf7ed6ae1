"""Find the caller of an RPC."""

from typing import Any, TypeAlias
from urllib.parse import unquote

from grpc import aio

from member.callers import Caller, bearer_token, clean_user_agent
from member.proxies import Proxies

Context: TypeAlias = aio.ServicerContext[Any, Any]


def caller_of(context: Context, proxies: Proxies) -> Caller:
    """Return the caller; behind trusted *proxies*, by the metadata ``x-forwarded-for``."""
    metadata = [(name, str(value)) for name, value in context.invocation_metadata() or ()]
    by_name = dict(metadata)
    return Caller(
        address=proxies.client(peer_ip(context.peer()), metadata),
        access_token=bearer_token(by_name.get("authorization", "")),
        user_agent=clean_user_agent(by_name.get("user-agent", "")),
    )


def peer_ip(peer: str) -> str:
    """Return the IP address in gRPC's name of a *peer*; empty if it has none.

    Examples of names: ``ipv4:127.0.0.1:4711``, ``ipv6:%5B::1%5D:4711`` and ``unix:/path``.
    """
    kind, _, address = unquote(peer).partition(":")
    host, _, _port = address.rpartition(":")
    return host.strip("[]") if kind in {"ipv4", "ipv6"} else ""
