"""What callers may take of a server; both faces hold to it."""

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What one call, one connection and all calls together may take.

    Attributes:
        request_bytes: Body of a request.
        header_bytes: Its headers, or metadata.
        calls_at_once: Calls that are worked on; more are told to try again.
        sending: Time for the head of a request, and as much again for its body. At least a second.
    """

    request_bytes: int = 64 * 1024
    header_bytes: int = 16 * 1024
    calls_at_once: int = 256
    sending: timedelta = timedelta(seconds=10)


BOUNDS = Bounds()
