"""Stage tasks that are created together, and release or delete them."""

from collections.abc import Sequence
from itertools import chain
from typing import Final, cast

from redis.exceptions import ResponseError

from pyasynq.broker.ports.batches import BatchRef
from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import CommandArg, Driver, map_error
from pyasynq.broker.redis.creation import CONFLICT, CREATED, RedisCreation
from pyasynq.broker.redis.lua import batches as scripts
from pyasynq.broker.redis.new_tasks import complete_values, container_values
from pyasynq.broker.redis.reports import batch_values
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, DuplicateTaskError, TaskIDConflictError
from pyasynq.core.policy import BATCH_STAGED_S, DECISION_S, MAX_BULK

GONE: Final = -2
"""The answer of `stage_tasks` if the batch is not, or no longer, there."""


class RedisStaging:
    """The part of the port for batches that keeps tasks back until all are there."""

    def __init__(self, driver: Driver, creation: RedisCreation) -> None:
        """Send calls over *driver*; *creation* registers queues."""
        self._driver: Driver = driver
        self._creation: RedisCreation = creation

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
                **container_values(batch.queue),
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
            raise gone(batch)

    async def release(self, batch: BatchRef) -> int:
        """Give up to `MAX_BULK` staged tasks to the workers; return how many these were."""
        values = counting_values(batch.queue)
        call = scripts.release_tasks(**values, batch_id=batch.id, limit=MAX_BULK)
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
                outputs=keys.member_outputs(batch.queue, batch.id),
                task_prefix=keys.task(batch.queue),
                limit=MAX_BULK,
                decided=decided,
            )
            left = cast("int", await pipeline.run(self._driver, call))
        return left == 0


def counting_values(queue: str) -> dict[str, CommandArg]:
    """Return the keys and arguments by which scripts count members, without the batch itself."""
    return batch_values(queue) | {"task_prefix": keys.task(queue)}


def _record(batch: BatchRef) -> dict[str, CommandArg]:
    return {
        "batches": keys.batches(batch.queue),
        "batch": keys.batch(batch.queue, batch.id),
        "batch_id": batch.id,
    }


def _keys(batch: BatchRef) -> dict[str, CommandArg]:
    return _record(batch) | {"staged": keys.staged_tasks(batch.queue, batch.id)}


def _refusal(batch: BatchRef, answer: int | bytes, refused: Sequence[Plan]) -> Exception:
    if isinstance(answer, bytes):
        return map_error(ResponseError(answer.decode(errors="replace")))
    if answer == GONE:
        return gone(batch)
    message = refused[0].message
    if answer == CONFLICT:
        return TaskIDConflictError(message.queue, message.id)
    return DuplicateTaskError(message.queue, message.type)


def gone(batch: BatchRef) -> BrokerError:
    """Return the error about staged tasks that are not, or no longer, there."""
    minutes = BATCH_STAGED_S // 60
    return BrokerError(
        f"Redis: the tasks that were to be created together in {batch.queue!r} are gone: the queue "
        f"was deleted, or nothing was added for {minutes} minutes; none of them runs"
    )
