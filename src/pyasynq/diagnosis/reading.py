"""Read what the checks need."""

from collections.abc import Awaitable, Mapping, Sequence
from typing import Final, TypeVar

from pyasynq.broker import Broker, Heartbeat
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.info import QueueInfo
from pyasynq.core.policy import ENDED_S, MOST_ENDED
from pyasynq.diagnosis.diagnosis import Findings, SchedulerFinding
from pyasynq.inspector import Inspector

T = TypeVar("T")

LEAST_LEFT_S: Final = -1.0
"""Time left to a scheduler that runs: up to the end of the second in which its record expires."""


async def read_findings(
    broker: Broker, *, permissions: bool = True, queues: Sequence[QueueInfo] | None = None
) -> Findings:
    """Return what *broker* reports.

    Args:
        broker: The broker.
        permissions: Try the commands that pyasynq needs, on a key that is deleted at the end.
        queues: All queues, if they were read already.

    Raises:
        BrokerUnavailableError: If it does not answer.
    """
    inspector = Inspector(broker)
    server_info: Mapping[str, str] | None = {}
    if broker.supports("cluster"):
        server_info = await try_to(broker.cluster.server_info())
    # Before servers(), which removes the dead ones from Redis.
    heartbeats = await try_to(broker.diagnosis.heartbeats())
    return Findings(
        broker=broker.name,
        nodes=await broker.diagnosis.nodes(),
        cluster=server_info if server_info and "cluster_state" in server_info else {},
        forbidden=await try_to(broker.diagnosis.forbidden()) if permissions else {},
        heartbeats=heartbeats,
        servers=await try_to(inspector.servers()),
        schedulers=await try_to(_read_schedulers(broker)),
        queues=await _read_queues(inspector) if queues is None else queues,
    )


async def _read_schedulers(broker: Broker) -> list[SchedulerFinding]:
    """Return the schedulers; entries are read only if one has ended."""
    heartbeats = await broker.diagnosis.schedulers()
    findings = [SchedulerFinding(name=_name(it)) for it in heartbeats if it.left_s >= LEAST_LEFT_S]
    ended = [it for it in heartbeats if -ENDED_S < it.left_s < LEAST_LEFT_S][-MOST_ENDED:]
    running = {entry.id for entry in await broker.schedules.entries()} if ended else set[str]()
    for it in ended:
        entries = await broker.schedules.entries_of(it.server)
        left = {entry.task.type for entry in entries if entry.id not in running}
        findings.append(SchedulerFinding(name=_name(it), ended_s=-it.left_s, left=sorted(left)))
    return findings


def _name(scheduler: Heartbeat) -> str:
    """Return its host and process id, without the id of this start."""
    return scheduler.server.rpartition(":")[0]


async def _read_queues(inspector: Inspector) -> Sequence[QueueInfo] | None:
    names = await try_to(inspector.queues())
    if names is None:
        return None
    infos = [await try_to(inspector.queue_info(name, memory=False)) for name in names]
    return [info for info in infos if info is not None]


async def try_to(read: Awaitable[T]) -> T | None:
    """Return what *read* returns; None if it is refused, which the check of permissions reports."""
    try:
        return await read
    except BrokerUnavailableError:
        raise
    except BrokerError:
        return None
