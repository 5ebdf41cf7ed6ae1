"""Tasks that are created together, or not at all.

They are staged: each has its hash and its lock, but its id is in a list of the batch and in no
container. One write decides that all of them run, then their ids are moved to their containers in
steps. The keys of a queue are in one cluster slot, so a batch of several queues has a part in each,
and the part in its home decides. The others ask the home if their client has gone.
"""

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple, cast

from redis.exceptions import ResponseError

from pyasynq.broker.ports.batches import BatchRef, BatchRepair
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver, execute, map_error
from pyasynq.broker.redis.creation import CONFLICT, CREATED, RedisCreation
from pyasynq.broker.redis.lua import batches as scripts
from pyasynq.broker.redis.new_tasks import complete_values
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.core.policy import BATCH_IDLE_S, BATCH_STAGED_S, DECISION_S, MAX_BULK
from pyasynq.core.states import TaskState

FOUND: Final = 100
"""Batches that one call finds."""

GONE: Final = -2
"""The answer of `stage_tasks` if the batch is not, or no longer, there."""

ANY_S: Final = 10 * 365 * 86_400
"""Longer than any batch is kept, seconds."""

STAGING: Final = "staging"
RUNNING: Final = "running"


class _Found(NamedTuple):
    """A batch that nothing has changed for *idle_s* seconds; its state is empty if it is broken."""

    id: str
    idle_s: int
    state: str
    home: str
    staged: int


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
                task_prefix=keys.task(batch.queue),
                limit=MAX_BULK,
                decided=decided,
            )
            left = cast("int", await pipeline.run(self._driver, call))
        return left == 0

    async def repair(
        self, queue: str, *, idle_s: int = BATCH_IDLE_S, staged_s: int = BATCH_STAGED_S
    ) -> BatchRepair:
        """Go on with up to 100 batches of *queue* whose clients have gone."""
        released = discarded = 0
        failure: BrokerError | None = None
        found = await self._find(queue, idle_s=idle_s)
        for one in found:
            try:
                more = await self._repair(queue, one, staged_s)
            except BrokerError as error:  # the home of another batch may be reachable
                failure = error
                continue
            released += more.released
            discarded += more.discarded
        if failure is not None:
            raise failure
        broken = [one.id for one in found if not one.state]
        return BatchRepair(released=released, discarded=discarded, broken=broken)

    async def _repair(self, queue: str, found: _Found, staged_s: int) -> BatchRepair:
        batch = BatchRef(queue=queue, id=found.id, home=found.home)
        released = discarded = 0
        is_staging = found.state == STAGING
        if is_staging and found.home != queue and await self._is_decided(batch):
            await self._commit(batch, found.staged, DECISION_S)
            released = await self._release_all(batch)
        elif is_staging and found.idle_s >= staged_s:
            discarded = int(await self.discard(batch))
        elif found.state == RUNNING and found.staged:
            released = await self._release_all(batch)
        elif found.state and not is_staging:
            await self._discard(batch, decided=1)
        return BatchRepair(released=released, discarded=discarded)

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
            _Found(decode_name(name), int(idle), state.decode(), decode_name(home), int(staged))
            for name, idle, state, home, staged in zip(*[iter(reply)] * 5, strict=True)
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
