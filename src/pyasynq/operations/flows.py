"""Flows and batches of one queue, or of all, and what can be done to a flow."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, Protocol, TypeVar

from pyasynq.core.batch import BatchInfo
from pyasynq.core.errors import (
    BrokerError,
    BrokerUnavailableError,
    PyasynqError,
    QueueNotFoundError,
)
from pyasynq.core.flow_info import FlowInfo
from pyasynq.core.info import TaskInfo
from pyasynq.inspector import Inspector
from pyasynq.inspector.flows import Listed
from pyasynq.operations.concurrency import gather

MOST_TASKS: Final = 50
"""Running steps whose tasks are looked up."""


class _Dated(Protocol):
    @property
    def created_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...


D = TypeVar("D", bound=_Dated)


@dataclass(frozen=True, slots=True, kw_only=True)
class Newest(Generic[D]):
    """The newest flows or batches.

    Attributes:
        items: What was found, the newest first.
        more: Whether older ones were left out.
    """

    items: Sequence[D]
    more: bool


async def newest_flows(
    inspector: Inspector, queue: str, state: Listed, limit: int
) -> Newest[FlowInfo]:
    """Return the newest *limit* flows that are stored with *queue*; with any if that is empty.

    Raises:
        QueueNotFoundError: If there is no such queue.
    """
    return await _newest(
        inspector, queue, lambda it: inspector.flows(it, state, size=limit + 1), limit
    )


async def newest_batches(inspector: Inspector, queue: str, limit: int) -> Newest[BatchInfo]:
    """Return the newest *limit* batches of *queue*, or of all queues if that is empty.

    Raises:
        QueueNotFoundError: If there is no such queue.
    """
    return await _newest(inspector, queue, lambda it: inspector.batches(it, size=limit + 1), limit)


async def _newest(
    inspector: Inspector, queue: str, read: Callable[[str], Awaitable[Sequence[D]]], limit: int
) -> Newest[D]:
    async def read_any(name: str) -> Sequence[D]:
        try:
            return await read(name)
        except BrokerUnavailableError:
            raise
        except (QueueNotFoundError, BrokerError):
            return ()  # it was removed meanwhile, or its keys are broken: the overview says so

    if queue:
        pages = [await read(queue)]
    else:
        pages = await gather(await inspector.queues(), read_any)
    found = [it for page in pages for it in page]
    found.sort(key=lambda it: it.ended_at or it.created_at, reverse=True)
    return Newest(items=found[:limit], more=len(found) > limit)


async def tasks_of_steps(inspector: Inspector, flow: FlowInfo) -> dict[str, TaskInfo]:
    """Return the tasks of the steps that run, by the names of the steps; at most `MOST_TASKS`."""
    running = [it for it in flow.steps if it.state == "running" and it.task_id is not None]
    names = {f"{it.queue}\n{it.task_id}": it.name for it in running[:MOST_TASKS]}

    async def read(place: str) -> TaskInfo | None:
        queue, _, task_id = place.partition("\n")
        try:
            return await inspector.task_info(queue, task_id)
        except BrokerUnavailableError:
            raise
        except PyasynqError:
            return None  # it has just ended, or it cannot be read

    found = await gather(list(names), read)
    return {names[it]: task for it, task in zip(names, found, strict=True) if task is not None}


def actions_of(flow: FlowInfo | BatchInfo) -> list[str]:
    """Return what can be done to a flow or batch, of `cancel`, `skip`, `signal` and `retry`."""
    if isinstance(flow, BatchInfo):
        return {"running": ["cancel"], "failed": ["retry"]}.get(flow.state, [])
    if flow.state in {"failed", "cancelled"}:
        return ["retry"]
    if flow.state != "running":
        return []
    return ["cancel", *(["skip"] if open_steps(flow) else []), *(["signal"] if gates(flow) else [])]


def open_steps(flow: FlowInfo) -> list[str]:
    """Return the names of the steps of *flow* that have not ended."""
    return [it.name for it in flow.steps if it.state in {"waiting", "running"}]


def gates(flow: FlowInfo) -> list[str]:
    """Return the names of the gates of *flow* that have not ended; those that wait now first."""
    found = [it for it in flow.steps if it.is_gate and it.state in {"waiting", "running"}]
    return [it.name for it in sorted(found, key=lambda it: it.state == "waiting")]
