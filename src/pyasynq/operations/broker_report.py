"""What operators see of the broker itself: checks, facts, slow commands, places of queues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from pyasynq.broker import Broker, Heartbeat, NodeReport, SlowLog
from pyasynq.core.info import QueuePlace
from pyasynq.diagnosis.checks import Check
from pyasynq.diagnosis.diagnosis import diagnose
from pyasynq.diagnosis.reading import read_findings, try_to

Kind: TypeAlias = Literal["text", "number", "bytes", "limit", "seconds", "switch"]
"""How the value of a fact is shown: a limit in bytes, or 0 without one; a switch is 0 or 1."""

FACTS: Final[Mapping[str, Kind]] = {
    "redis_version": "text",
    "valkey_version": "text",
    "sqlite_version": "text",
    "redis_mode": "text",
    "role": "text",
    "file": "text",
    "uptime_in_seconds": "seconds",
    "connected_clients": "number",
    "blocked_clients": "number",
    "used_memory": "bytes",
    "used_memory_peak": "bytes",
    "maxmemory": "limit",
    "maxmemory_policy": "text",
    "mem_fragmentation_ratio": "text",
    "instantaneous_ops_per_sec": "number",
    "total_commands_processed": "number",
    "evicted_keys": "number",
    "expired_keys": "number",
    "rejected_connections": "number",
    "aof_enabled": "switch",
    "rdb_last_bgsave_status": "text",
    "rdb_changes_since_last_save": "number",
    "connected_slaves": "number",
    "size": "bytes",
    "free": "bytes",
    "log_size": "bytes",
    "disk_free": "bytes",
}
"""What is shown first of the report of a server, in this order, and how."""

UNTRIED: Final = "permissions"
"""The check that is left out: it would try all commands each time."""

MOST_SLOW: Final = 50
"""Slow commands that are shown of each server."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One value of a server's report.

    Attributes:
        name: Its name, as the server calls it.
        value: Its text.
        kind: How it is shown.
    """

    name: str
    value: str
    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerReport:
    """The broker at one time.

    Attributes:
        name: Its name.
        checks: The checks of ``pyasynq doctor``.
        nodes: The report of each server.
        heartbeats: Those of the workers' servers; None if they cannot be read.
        slow_logs: The slow commands of each server; empty if the broker keeps none.
        places: Where a cluster keeps each queue; empty without a cluster.
    """

    name: str
    checks: Sequence[Check]
    nodes: Sequence[NodeReport]
    heartbeats: Sequence[Heartbeat] | None
    slow_logs: Sequence[SlowLog]
    places: Sequence[QueuePlace]


async def read_broker(broker: Broker) -> BrokerReport:
    """Return what *broker* reports; what it does not permit is left out.

    Raises:
        BrokerUnavailableError: If it does not answer.
    """
    findings = await read_findings(broker, permissions=False)
    queues = [queue.queue for queue in findings.queues or ()]
    has_places = bool(queues) and broker.supports("cluster")
    return BrokerReport(
        name=findings.broker,
        checks=[it for it in diagnose(findings) if it.check != UNTRIED],
        nodes=findings.nodes,
        heartbeats=findings.heartbeats,
        slow_logs=await broker.diagnosis.slow_logs(MOST_SLOW),
        places=(await try_to(broker.cluster.places(queues)) or ()) if has_places else (),
    )


def facts_of(node: NodeReport) -> list[Fact]:
    """Return what is shown first of the report of *node*."""
    info = node.info or {}
    return [
        Fact(name=name, value=info[name], kind=kind if info[name].isdecimal() else "text")
        for name, kind in FACTS.items()
        if name in info
    ]
