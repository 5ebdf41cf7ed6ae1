"""Check what may be wrong with the broker."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec


class NodeReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one server of the broker reports.

    Attributes:
        address: Host and port of a cluster's node; else empty.
        info: What it reports about itself, by name; None if that is not permitted.
        settings: Its settings ``save`` and ``appendfsync``, without those that are not permitted;
            of SQLite ``synchronous``.
        offset_s: Its clock minus that of this machine, seconds; None if that is not permitted.
        round_trip_s: How long it took to ask for the time, seconds; the offset may be wrong by half
            of it.
    """

    address: str
    info: Mapping[str, str] | None
    settings: Mapping[str, str]
    offset_s: float | None
    round_trip_s: float


class SlowCommand(msgspec.Struct, frozen=True, kw_only=True):
    """A command that took a server of the broker long.

    Its arguments are left out: they may be payloads, or passwords of other programs.

    Attributes:
        at: When it began.
        duration: How long it took.
        command: Its name; of a script of ours, the name of the script.
        key: The first key of ours that it names; empty if there is none.
        client: The name of the connection that sent it; its address if it has none; empty if a
            script has called it.
    """

    at: datetime
    duration: timedelta
    command: str
    key: str
    client: str


class SlowLog(msgspec.Struct, frozen=True, kw_only=True):
    """What one server of the broker keeps about commands that took long.

    Attributes:
        address: Host and port of a cluster's node; else empty.
        limit: Shortest duration of a command that is kept; negative if none is, None if it is not
            permitted to read it.
        commands: The commands, the newest first; None if it is not permitted to read them.
    """

    address: str
    limit: timedelta | None
    commands: Sequence[SlowCommand] | None


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True):
    """The record of a server that runs tasks, or of a scheduler.

    Attributes:
        server: Its host, process id and id, joined by colons.
        left_s: Seconds until the record expires; negative if it should have been removed.
    """

    server: str
    left_s: float


class DiagnosisPort(Protocol):
    """Check what may be wrong with the broker."""

    async def nodes(self) -> Sequence[NodeReport]:
        """Return the reports of the broker's servers; on a cluster, of each primary."""
        ...

    async def slow_logs(self, most: int) -> Sequence[SlowLog]:
        """Return the slow commands of the broker's servers, at most the last *most* of each.

        Empty if the broker keeps none.
        """
        ...

    async def forbidden(self) -> Mapping[str, str]:
        """Return the commands that pyasynq needs and may not use, and the reason for each.

        They are tried on a key that is deleted at the end.
        """
        ...

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the records of all servers, in the order in which they expire."""
        ...

    async def schedulers(self) -> Sequence[Heartbeat]:
        """Return the records of all schedulers, in the order in which they expire.

        That of one that has ended without clearing its entries stays for `ENDED_S` seconds, unless
        an inspector of Go removes it.
        """
        ...
