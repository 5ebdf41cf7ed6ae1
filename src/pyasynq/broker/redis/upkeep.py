"""Keep queues in order."""

from collections.abc import Sequence
from typing import Final, cast

from pyasynq.broker.ports.upkeep import ForwardResult, Job, Look
from pyasynq.broker.ports.work import DequeueResult, Lease
from pyasynq.broker.records import decode_name, read_message, restore_run_history
from pyasynq.broker.redis import keys, pipeline, shared_keys
from pyasynq.broker.redis.connection import CommandArg, Driver
from pyasynq.broker.redis.lua import upkeep as scripts
from pyasynq.broker.redis.scripts import Script
from pyasynq.core.policy import (
    ARCHIVE_S,
    BATCH_IDLE_S,
    FLOW_IDLE_S,
    IN_CHARGE_S,
    MAX_BYTES,
    MAX_TASKS,
    MOST_ARCHIVED,
)
from pyasynq.core.states import TaskState
from pyasynq.runtime.clock import Clock

RECOVERER: Final = ""
"""The owner token of recoverers, which hold every task whose lease is over."""

GO_MARGIN_S: Final = 30
"""Go writes leases by its own clock, so they are over only after this margin, as in asynq."""

SCAN: Final = 500
"""Ids of ``active`` that one call reads."""

LOOKED_AT: Final = (
    TaskState.SCHEDULED,
    TaskState.RETRY,
    TaskState.ACTIVE,
    TaskState.COMPLETED,
    TaskState.ARCHIVED,
)


class RedisUpkeep:
    """The upkeep port."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send calls over *driver*; *clock* tells the present time."""
        self._driver = driver
        self._clock = clock

    async def look(self, queue: str, *, server_id: str) -> Look:
        """Return which jobs of *queue* are due for the server, which then holds the upkeep."""
        call = scripts.look(
            holder=keys.maintainer(queue),
            **{state.value: keys.container(queue, state) for state in LOOKED_AT},
            lease=keys.lease(queue),
            mail=keys.mail(queue),
            aggregation_sets=keys.aggregation_sets(queue),
            search=keys.group_search(queue),
            flows=keys.flows(queue),
            flows_ended=keys.ended_flows(queue),
            flow_timers=keys.flow_timers(queue),
            batches=keys.batches(queue),
            owner=server_id,
            hold_s=IN_CHARGE_S,
            archive_s=ARCHIVE_S,
            most_archived=MOST_ARCHIVED,
            flow_idle_s=FLOW_IDLE_S,
            batch_idle_s=BATCH_IDLE_S,
        )
        reply = await pipeline.run(self._driver, call)
        held_ms, next_ms, *due = cast("tuple[int, int, *tuple[bytes, ...]]", reply)
        if held_ms >= 0:
            return Look(held_elsewhere_s=held_ms / 1000)
        return Look(due=frozenset(Job(name.decode()) for name in due), next_in_s=next_ms / 1000)

    async def release(self, queue: str, *, server_id: str) -> None:
        """Let another server do what the server holds of the upkeep of *queue*, and tell all."""
        calls = [
            scripts.release(
                holder=holder,
                lease=keys.lease(queue),
                owner=server_id,
                channel=shared_keys.CONTROL_CHANNEL,
                queue=queue,
            )
            for holder in keys.holders(queue)
        ]
        pipeline.raise_first(await pipeline.run_all(self._driver, calls))

    async def forward(self, queue: str) -> ForwardResult:
        """Move a batch of due tasks of *queue* to pending, or into their groups."""
        sources = (TaskState.SCHEDULED, TaskState.RETRY)
        calls = [
            scripts.forward(
                source=keys.container(queue, source),
                pending=keys.container(queue, TaskState.PENDING),
                groups=keys.groups(queue),
                task_prefix=keys.task(queue),
                group_prefix=keys.group(queue),
                limit=MAX_TASKS,
            )
            for source in sources
        ]
        replies = await pipeline.run_all(self._driver, calls)
        pipeline.raise_first(replies)
        moved, waits = 0, list[int]()
        for count, wait_ms in cast("list[list[int]]", replies):
            moved += count
            if wait_ms >= 0:
                waits.append(wait_ms)
        next_in_s = min(waits) / 1000 if waits else None
        return ForwardResult(moved=moved, more=next_in_s == 0, next_in_s=next_in_s)

    async def expired(self, queue: str) -> DequeueResult:
        """Return a batch of tasks whose lease has expired or is missing.

        If no lease has expired, give tasks without a lease an expired one (D25) and look again. A
        recoverer calls this until nothing comes, so each of its steps searches for them once.
        """
        result = await self._expired(queue)
        if result.leases or result.poison or not await self._scan(scripts.repair_leases, queue):
            return result
        return await self._expired(queue)

    async def _expired(self, queue: str) -> DequeueResult:
        call = scripts.list_expired(
            **self._active_keys(queue), margin_s=GO_MARGIN_S, limit=MAX_TASKS, max_bytes=MAX_BYTES
        )
        reply = cast("Sequence[bytes]", await pipeline.run(self._driver, call))
        now_s, now = self._clock.now().timestamp(), self._clock.monotonic()
        result = DequeueResult(queue=queue)
        for task_id, data, crashes, retried in zip(*[iter(reply)] * 4, strict=True):
            message, is_sound = read_message(queue, task_id, data)
            name = decode_name(task_id)
            lease = Lease(message, name, name, RECOVERER, now_s, now)
            lease.started = int(crashes) >= 0
            restore_run_history(lease, max(int(crashes), 0), None, int(retried))
            (result.leases if is_sound else result.poison).append(lease)
        return result

    async def end_leases(self, queue: str, server_id: str) -> int:
        """End the leases of a server that is known to be dead; return their number."""
        return await self._scan(scripts.end_leases, queue, server_id=server_id)

    async def trim(self, queue: str, *, limit: int) -> int:
        """Delete a batch of old tasks; return their number."""
        return await self._delete_completed(queue, limit) + await self._trim_archived(queue)

    async def _delete_completed(self, queue: str, limit: int) -> int:
        call = scripts.delete_completed(
            completed=keys.container(queue, TaskState.COMPLETED),
            task_prefix=keys.task(queue),
            limit=limit,
        )
        return cast("int", await pipeline.run(self._driver, call))

    async def _trim_archived(self, queue: str) -> int:
        archived = keys.container(queue, TaskState.ARCHIVED)
        call = scripts.trim_archive(
            archived=archived,
            task_prefix=keys.task(queue),
            archive_s=ARCHIVE_S,
            most_archived=MOST_ARCHIVED,
        )
        return cast("int", await pipeline.run(self._driver, call))

    async def _scan(self, script: Script, queue: str, **values: CommandArg) -> int:
        """Run *script* over all of ``active``, from its right end."""
        start = changed = 0
        while True:
            call = script(
                **self._active_keys(queue),
                **values,
                start=start,
                limit=SCAN,
                ended_s=GO_MARGIN_S + 1,
            )
            seen, count = cast("list[int]", await pipeline.run(self._driver, call))
            changed += count
            if seen < SCAN:
                return changed
            start += seen

    @staticmethod
    def _active_keys(queue: str) -> dict[str, CommandArg]:
        return {
            "active": keys.container(queue, TaskState.ACTIVE),
            "lease": keys.lease(queue),
            "task_prefix": keys.task(queue),
        }
