"""Tasks that are created together, or not at all, and batches, which count theirs.

They are staged: each has its hash and its lock, but its id is in a list of the batch and in no
container. One write decides that all of them run, then their ids are moved to their containers in
steps. The keys of a queue are in one cluster slot, so a batch of several queues has a part in each,
and the part in its home decides. The others ask the home if their client has gone.

The tasks of a batch are of one queue. So the script that ends one of them also counts it: it sets
the bit of its number, and the last one creates the task that follows (`count_members`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple, cast

from redis.exceptions import ResponseError

from pyasynq.broker.ports.batches import BatchRef, BatchRepair
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver, execute, map_error
from pyasynq.broker.redis.creation import CONFLICT, CREATED, RedisCreation
from pyasynq.broker.redis.letters import body_of
from pyasynq.broker.redis.lua import batches as scripts
from pyasynq.broker.redis.new_tasks import complete_values
from pyasynq.broker.redis.reports import batch_values
from pyasynq.broker.redis.scripts import Each, blob, pack
from pyasynq.core.batch import BatchInfo, BatchPlan, BatchState, head_of_outcome, member_id
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.core.message import instant
from pyasynq.core.policy import (
    BATCH_IDLE_S,
    BATCH_STAGED_S,
    BATCH_SWEEP_S,
    DECISION_S,
    MAX_BULK,
)
from pyasynq.core.states import TaskState

FOUND: Final = 100
"""Batches that one call finds."""

GONE: Final = -2
"""The answer of `stage_tasks` if the batch is not, or no longer, there."""

ANY_S: Final = 10 * 365 * 86_400
"""Longer than any batch is kept, seconds."""

SWEPT: Final = 10 * MAX_BULK
"""Members of one batch that a repair looks at."""

STAGING: Final = "staging"
RUNNING: Final = "running"


class _Found(NamedTuple):
    """A batch that nothing has changed for *idle_s* seconds; its state is empty if it is broken."""

    id: str
    idle_s: int
    state: str
    home: str
    staged: int
    is_counted: bool


class RedisBatches:
    """The port for batches."""

    def __init__(self, driver: Driver, creation: RedisCreation) -> None:
        """Send calls over *driver*; *creation* registers queues."""
        self._driver = driver
        self._creation = creation

    async def stage(self, batch: BatchRef, plans: Sequence[Plan], *, first: int) -> None:
        """Create tasks that nobody takes before they are released; see `BatchPort`."""
        await self._creation.register([batch.queue])
        rows = [complete_values(plan) for plan in plans]
        # All have the same key, so the calls are made in the order of the tasks.
        calls = pipeline.batches([batch.id] * len(rows), (len(row[1]) for row in rows)) or [[]]
        for indexes in calls:
            call = scripts.stage_tasks(
                list(chain.from_iterable(rows[index] for index in indexes)),
                **_keys(batch),
                **_containers(batch.queue),
                task_prefix=keys.task(batch.queue),
                home=batch.home,
                first=first,
            )
            answer, done = cast("tuple[int | bytes, int]", await pipeline.run(self._driver, call))
            if answer != CREATED:
                raise _refusal(batch, answer, [plans[index] for index in indexes[done:]])
            first += done

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        """Decide that staged tasks are to run; the home decides for all queues."""
        kept_s = DECISION_S if len(totals) > 1 else 0
        for batch, total in totals:
            await self._commit(batch, total, kept_s)

    async def _commit(self, batch: BatchRef, total: int, kept_s: int) -> None:
        call = scripts.commit_batch(**_record(batch), total=total, kept_s=kept_s)
        if await pipeline.run(self._driver, call) != 1:
            raise _gone(batch)

    async def start(self, batch: BatchRef, total: int, plan: BatchPlan) -> None:
        """Decide that the *total* staged tasks of *batch* are to run, and are counted."""
        await self._creation.register([batch.queue])
        record: list[Each] = ["home", batch.home, "kept_s", plan.kept_s]
        record += ("head", head_of_outcome(batch.queue, batch.id))
        for way, follower in (("then", plan.then), ("otherwise", plan.failed)):
            if follower is not None:
                is_here = follower.message.queue == batch.queue
                record += (way, blob(body_of(follower)), f"{way}_here", int(is_here))
        call = scripts.start_batch(
            **batch_values(batch.queue),
            batch=keys.batch(batch.queue, batch.id),
            batch_id=batch.id,
            task_prefix=keys.task(batch.queue),
            total=total,
            record=pack(record),
        )
        if await pipeline.run(self._driver, call) != 1:
            raise _gone(batch)

    async def read(self, queue: str, batch_id: str) -> BatchInfo | None:
        """Return a batch whose tasks are counted; None if there is no such batch."""
        found = await self._read(queue, batch_id=batch_id, start=0, limit=1)
        return found[0] if found else None

    async def read_all(self, queue: str, start: int, count: int) -> Sequence[BatchInfo]:
        """Return up to *count* batches of *queue*; see `BatchPort`."""
        return await self._read(queue, batch_id="", start=start, limit=count)

    async def _read(self, queue: str, *, batch_id: str, start: int, limit: int) -> list[BatchInfo]:
        call = scripts.read_batches(
            batches=keys.batches(queue),
            batch_prefix=keys.batch(queue),
            batch_id=batch_id,
            start=start,
            limit=limit,
        )
        reply = cast("list[list[bytes | None]]", await pipeline.run(self._driver, call))
        return [_info(queue, record) for record in reply]

    async def failed_members(self, queue: str, batch_id: str) -> Sequence[str]:
        """Return the ids of the members that have failed, at most 10,000, in their order."""
        key = keys.failed_members(queue, batch_id)
        numbers = cast("set[bytes]", await execute(self._driver, "SMEMBERS", key))
        return [member_id(batch_id, number) for number in sorted(map(int, numbers))]

    async def release(self, batch: BatchRef) -> int:
        """Give up to `MAX_BULK` staged tasks to the workers; return how many these were."""
        call = scripts.release_tasks(
            **_keys(batch),
            **_containers(batch.queue),
            limit=MAX_BULK,
        )
        return cast("int", await pipeline.run(self._driver, call))

    async def discard(self, batch: BatchRef) -> bool:
        """Delete the staged tasks of a queue, in steps; False if they are to run."""
        return await self._discard(batch, decided=0)

    async def _discard(self, batch: BatchRef, *, decided: int) -> bool:
        left = 1
        while left > 0:
            call = scripts.discard_batch(
                **_keys(batch),
                ended=keys.ended_members(batch.queue, batch.id),
                failed=keys.failed_members(batch.queue, batch.id),
                task_prefix=keys.task(batch.queue),
                limit=MAX_BULK,
                decided=decided,
            )
            left = cast("int", await pipeline.run(self._driver, call))
        return left == 0

    async def repair(
        self,
        queue: str,
        *,
        idle_s: int = BATCH_IDLE_S,
        swept_s: int = BATCH_SWEEP_S,
        staged_s: int = BATCH_STAGED_S,
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone."""
        found = await self._find(queue, idle_s=idle_s)
        repair = _Repair(broken=[one.id for one in found if not one.state])
        failure: BrokerError | None = None
        for one in found:
            if one.is_counted and one.state == RUNNING and one.idle_s < swept_s and not one.staged:
                continue
            try:
                await self._repair(queue, one, repair, staged_s)
            except BrokerError as error:  # the home of another batch may be reachable
                failure = error
        if failure is not None:
            raise failure
        return repair.result()

    async def _repair(self, queue: str, found: _Found, repair: "_Repair", staged_s: int) -> None:
        batch = BatchRef(queue=queue, id=found.id, home=found.home)
        if found.state == STAGING:
            await self._decide(batch, found, repair, staged_s)
        elif found.state == RUNNING and found.staged:
            repair.released += await self._release_all(batch)
        elif found.state == RUNNING and found.is_counted:
            repair.noticed += await self._sweep(batch)
        elif found.state:
            await self._discard(batch, decided=1)

    async def _decide(
        self, batch: BatchRef, found: _Found, repair: "_Repair", staged_s: int
    ) -> None:
        """Do as the home has decided; without a decision delete the tasks after *staged_s*."""
        if batch.home != batch.queue and await self._is_decided(batch):
            await self._commit(batch, found.staged, DECISION_S)
            repair.released += await self._release_all(batch)
        elif found.idle_s >= staged_s:
            repair.discarded += await self.discard(batch)

    async def _sweep(self, batch: BatchRef) -> int:
        """Count members that have ended without a report; look at up to `SWEPT` of them."""
        noticed = 0
        for _ in range(0, SWEPT, MAX_BULK):
            call = scripts.sweep_batch(
                **batch_values(batch.queue),
                batch=keys.batch(batch.queue, batch.id),
                ended=keys.ended_members(batch.queue, batch.id),
                batch_id=batch.id,
                task_prefix=keys.task(batch.queue),
                limit=MAX_BULK,
            )
            some, more = cast("list[int]", await pipeline.run(self._driver, call))
            noticed += some
            if not more:
                break
        return noticed

    async def remove(self, queue: str, *, force: bool) -> None:
        """Delete the batches of *queue* that are over; with *force* all, and their staged tasks."""
        while found := [
            it for it in await self._find(queue, idle_s=-ANY_S) if force or it.idle_s < 0
        ]:
            for one in found:
                await self._discard(BatchRef(queue=queue, id=one.id, home=""), decided=1)

    async def _find(self, queue: str, *, idle_s: int) -> list[_Found]:
        """Return up to `FOUND` batches that are idle for *idle_s* seconds, the oldest first."""
        call = scripts.idle_batches(
            batches=keys.batches(queue),
            batch_prefix=keys.batch(queue),
            staged_prefix=keys.staged_tasks(queue),
            idle_s=idle_s,
            limit=FOUND,
        )
        reply = cast("list[bytes]", await pipeline.run(self._driver, call))
        return [
            _Found(
                decode_name(name),
                int(idle),
                state.decode(),
                decode_name(home),
                int(staged),
                bool(int(counted)),
            )
            for name, idle, state, home, staged, counted in zip(*[iter(reply)] * 6, strict=True)
        ]

    async def _is_decided(self, batch: BatchRef) -> bool:
        """Return whether the home of *batch* has decided that its tasks run."""
        state = await execute(self._driver, "HGET", keys.batch(batch.home, batch.id), "state")
        return state == RUNNING.encode()

    async def _release_all(self, batch: BatchRef) -> int:
        released = 0
        while more := await self.release(batch):
            released += more
        return released


@dataclass(slots=True, kw_only=True)
class _Repair:
    """What a repair has done so far."""

    broken: list[str]
    released: int = 0
    discarded: int = 0
    noticed: int = 0

    def result(self) -> BatchRepair:
        return BatchRepair(
            released=self.released,
            discarded=self.discarded,
            noticed=self.noticed,
            broken=self.broken,
        )


def _info(queue: str, record: Sequence[bytes | None]) -> BatchInfo:
    batch_id, state, *numbers = record
    total, left, failed, made_s, ended_s = (int(number or 0) for number in numbers)
    return BatchInfo(
        id=decode_name(batch_id or b""),
        queue=queue,
        state=cast("BatchState", (state or b"").decode()),
        total=total,
        ended=total - left,
        failed=failed,
        created_at=instant(made_s),
        ended_at=instant(ended_s) if ended_s else None,
    )


def _record(batch: BatchRef) -> dict[str, CommandArg]:
    return {
        "batches": keys.batches(batch.queue),
        "batch": keys.batch(batch.queue, batch.id),
        "batch_id": batch.id,
    }


def _keys(batch: BatchRef) -> dict[str, CommandArg]:
    return _record(batch) | {"staged": keys.staged_tasks(batch.queue, batch.id)}


def _containers(queue: str) -> dict[str, CommandArg]:
    return {
        "pending": keys.container(queue, TaskState.PENDING),
        "scheduled": keys.container(queue, TaskState.SCHEDULED),
        "groups": keys.groups(queue),
        "group_prefix": keys.group(queue),
    }


def _refusal(batch: BatchRef, answer: int | bytes, refused: Sequence[Plan]) -> Exception:
    if isinstance(answer, bytes):
        return map_error(ResponseError(answer.decode(errors="replace")))
    if answer == GONE:
        return _gone(batch)
    message = refused[0].message
    if answer == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)


def _gone(batch: BatchRef) -> BrokerError:
    minutes = BATCH_STAGED_S // 60
    return BrokerError(
        f"Redis: the tasks that were to be created together in {batch.queue!r} are gone: the queue "
        f"was deleted, or nothing was added for {minutes} minutes; none of them runs"
    )
