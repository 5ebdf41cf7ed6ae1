"""What callers may take of a server; both faces hold to it."""

import resource
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

_OTHER_FILES: Final = 96
"""Open files that are no caller's connection: databases, Redis, mail server, logs, probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one call, one connection and all calls together may take.

    What strangers can have gRPC keep is at most the product: its connections times the calls of
    each times the bytes of a request with its headers, 240 MiB.

    Attributes:
        request_bytes: Body of a request.
        header_bytes: Its headers, or metadata.
        calls_at_once: Calls that are worked on; more are told to try again.
        calls_of_one: Calls of one connection of gRPC, sent whole or not. Calls that have just
            ended count as well, so this is a few times what a client has under way.
        rpc_connections: Connections of gRPC.
        connections: Of HTTP, each with one request at a time.
        sending: Time for the head of a request, and as much again for its body; for the request of
            a call of gRPC. At least a second.
    """

    request_bytes: int = 16 * 1024
    header_bytes: int = 8 * 1024
    calls_at_once: int = 256
    calls_of_one: int = 128
    rpc_connections: int = 80
    connections: int = 512
    sending: timedelta = timedelta(seconds=10)


BOUNDS = Bounds()


def allowed_here() -> Bounds:
    """Return the bounds of each of the two servers of this process."""
    may_be_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BOUNDS if may_be_open == resource.RLIM_INFINITY else within_files(BOUNDS, may_be_open)


def within_files(bounds: Bounds, may_be_open: int) -> Bounds:
    """Return *bounds* for each of two servers of a process in which so many files may be open.

    A server that is out of files cannot accept, tries again at once and fills the log.
    """
    half = max(2, may_be_open - _OTHER_FILES) // 2
    return replace(
        bounds,
        connections=min(bounds.connections, half),
        rpc_connections=min(bounds.rpc_connections, half),
    )
