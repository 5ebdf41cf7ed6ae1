"""Limits of requests and connections, for the gRPC and the HTTP server."""

import resource
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

_OTHER_FILES: Final = 96
"""Open files besides the connections of callers: databases, Redis, mail server, logs, probes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Limits of one call, of one connection and of all calls together.

    The memory that strangers can fill in gRPC is at most connections x calls of each x bytes of a
    request with its headers: 240 MiB.

    Attributes:
        request_bytes: Body of a request.
        header_bytes: Headers of a request, or its metadata.
        calls_at_once: Calls that a server works on; it answers more with "try again".
        calls_of_one: Calls of one gRPC connection, complete or not. Calls that have just ended
            count as well, so this is a few times what a client has under way.
        rpc_connections: gRPC connections.
        connections: HTTP connections, each with one request at a time.
        sending: Time for the head of an HTTP request, and the same again for its body; over gRPC
            for the whole request. At least a second.
    """

    request_bytes: int = 16 * 1024
    header_bytes: int = 8 * 1024
    calls_at_once: int = 256
    calls_of_one: int = 128
    rpc_connections: int = 80
    connections: int = 512
    sending: timedelta = timedelta(seconds=10)


BOUNDS = Bounds()


def bounds_of_process() -> Bounds:
    """Return the bounds for each of the two servers, as the file limit of this process allows."""
    may_be_open, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return BOUNDS if may_be_open == resource.RLIM_INFINITY else limit_to_files(BOUNDS, may_be_open)


def limit_to_files(bounds: Bounds, may_be_open: int) -> Bounds:
    """Return *bounds* for each of two servers in a process with *may_be_open* files at most.

    A server without free files cannot accept: it would try again at once and fill the log.
    """
    half = max(2, may_be_open - _OTHER_FILES) // 2
    return replace(
        bounds,
        connections=min(bounds.connections, half),
        rpc_connections=min(bounds.rpc_connections, half),
    )
