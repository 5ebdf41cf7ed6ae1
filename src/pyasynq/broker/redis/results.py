"""Wait for the results of tasks."""

import asyncio
from typing import Final, cast

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import ANSWER_S, Driver, blocked_s, execute
from pyasynq.broker.redis.lua import results as scripts
from pyasynq.broker.redis.task_records import read_task
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import OVER
from pyasynq.runtime.clock import Clock

AWAITED_S: Final = 60
"""How long an end is told without another look; who waits looks more often."""


class RedisResults:
    """The results port.

    Who waits names the task in a sorted set of the queue; the script that ends the task sees it and
    pushes to a list on which those who wait are blocked. What Go ends is only seen when looked at.
    """

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send to *driver*; *clock* says when."""
        self._driver = driver
        self._clock = clock

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task if it is over; else wait until it is, at most *longest_s* seconds.

        After a wait the task is returned as it was before. None if there is no such task.

        Raises:
            PoisonError: If what stands under this id is no task.
        """
        task = await self._look(queue, task_id)
        if task is not None and task.state not in OVER:
            await self._wait(queue, task_id, longest_s)
        return task

    async def _look(self, queue: str, task_id: str) -> TaskInfo | None:
        """Return the task; while it is not over, whoever ends it is to tell."""
        call = scripts.await_result(
            task=keys.task(queue, task_id),
            awaited=keys.awaited(queue),
            done=keys.done(queue, task_id),
            id=task_id,
            ttl_s=AWAITED_S,
        )
        reply = cast("list[bytes | None] | None", await pipeline.run(self._driver, call))
        if reply is None:
            return None
        return read_task(queue, task_id, reply, self._clock.now())

    async def _wait(self, queue: str, task_id: str, longest_s: float) -> None:
        """Return when the end of the task is told, or *longest_s* seconds have passed.

        Who cannot be told, because Redis is full or has just become a replica, waits as long: the
        next look says what is wrong, if it is wrong still.
        """
        key = keys.done(queue, task_id)
        wait_s = blocked_s(self._driver, max(longest_s, 0.001))  # 0 would be for ever
        words = ("BLMOVE", key, key, "RIGHT", "RIGHT", wait_s)
        try:
            await execute(self._driver, *words, patience_s=wait_s + ANSWER_S)
        except BrokerError:
            await asyncio.sleep(longest_s)
