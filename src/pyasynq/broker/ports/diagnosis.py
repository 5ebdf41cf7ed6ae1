"""What an operator asks when something seems to be wrong with the broker."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one server of the broker reports.

    Attributes:
        address: Host and port of a cluster's node; else empty.
        info: What it says of itself, by name; None if that is not permitted.
        settings: Its settings ``save`` and ``appendfsync``; without those that are not permitted.
        offset_s: Its clock minus that of this machine, seconds; None if that is not permitted.
        round_trip_s: How long it took to ask for the time, seconds: the offset is no more exact.
    """

    address: str
    info: Mapping[str, str] | None
    settings: Mapping[str, str]
    offset_s: float | None
    round_trip_s: float


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """A server of tasks that has shown itself.

    Attributes:
        server: Its host, process and id, with colons between.
        left_s: Seconds until it is listed no more; negative if it should have been removed.
    """

    server: str
    left_s: float


class DiagnosisPort(Protocol):
    """Look for what may be wrong."""

    async def nodes(self) -> Sequence[NodeReport]:
        """Return what the servers of the broker report; of a cluster, each primary."""
        ...

    async def forbidden(self) -> Mapping[str, str]:
        """Return the commands that pyasynq needs and may not use, and the reason for each.

        They are tried on a key that is deleted again.
        """
        ...

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the servers of tasks that have shown themselves, the one that is latest first."""
        ...
