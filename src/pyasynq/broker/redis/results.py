"""Wait for the results of tasks."""

import asyncio
from typing import Final, cast

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import ANSWER_S, Driver, block_s, execute
from pyasynq.broker.redis.lua import results as scripts
from pyasynq.broker.redis.task_records import read_task
from pyasynq.core.errors import BrokerError
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import ENDED
from pyasynq.runtime.clock import Clock

WAITER_TTL_S: Final = 60
"""Time for which a waiter stays registered; waiting clients renew it more often."""


class RedisResults:
    """The results port.

    A client that waits adds the task's id to a sorted set of the queue. The script that ends the
    task finds the id there and pushes to a list on which the client blocks. Go's workers do not, so
    the client must also poll.
    """

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send calls over *driver*; *clock* tells the present time."""
        self._driver = driver
        self._clock = clock

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task at once if it has ended; else wait for its end, at most *longest_s*.

        After a wait the task is returned as it was before the wait. None if there is no such task.

        Raises:
            PoisonError: If the stored task cannot be decoded.
        """
        task = await self._check(queue, task_id)
        if task is not None and task.state not in ENDED:
            await self._wait(queue, task_id, longest_s)
        return task

    async def _check(self, queue: str, task_id: str) -> TaskInfo | None:
        """Return the task; if it has not ended, register this client as a waiter."""
        call = scripts.await_result(
            task=keys.task(queue, task_id),
            awaited=keys.awaited_ids(queue),
            done=keys.end_notices(queue, task_id),
            id=task_id,
            ttl_s=WAITER_TTL_S,
        )
        reply = cast("list[bytes | None] | None", await pipeline.run(self._driver, call))
        if reply is None:
            return None
        return read_task(queue, task_id, reply, self._clock.now())

    async def _wait(self, queue: str, task_id: str, longest_s: float) -> None:
        """Return when a worker has ended the task, or after *longest_s* seconds.

        If Redis refuses to block, because it is full or has just become a replica, sleep for the
        same time. If the error persists, the next check raises it.
        """
        key = keys.end_notices(queue, task_id)
        wait_s = block_s(self._driver, max(longest_s, 0.001))  # 0 would block forever
        command = ("BLMOVE", key, key, "RIGHT", "RIGHT", wait_s)
        try:
            await execute(self._driver, *command, timeout_s=wait_s + ANSWER_S)
        except BrokerError:
            await asyncio.sleep(longest_s)
