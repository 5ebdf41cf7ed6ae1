"""Wait for the results of tasks."""

import asyncio
from typing import Final, cast

from pyasynq.broker.redis import keys, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.end_notices import EndNotices
from pyasynq.broker.redis.lua import results as scripts
from pyasynq.broker.redis.task_records import read_task
from pyasynq.core.info import TaskInfo
from pyasynq.core.states import ENDED
from pyasynq.runtime.clock import Clock

WAITER_TTL_S: Final = 60
"""Time for which a waiter stays registered; waiting clients renew it more often."""

MOST_CHECKS: Final = 8
"""Calls that look at tasks at once: each uses a connection, and many waits may begin together."""


class RedisResults:
    """The results port.

    A client that waits adds the task's id to a sorted set of the queue. The script that ends the
    task finds the id there and pushes to a list on which the client blocks, for all tasks of a
    queue on one connection. Go's workers do not push, so the client must also poll.
    """

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Send calls over *driver*; *clock* tells the present time."""
        self._driver = driver
        self._clock = clock
        self._checks = asyncio.Semaphore(MOST_CHECKS)
        self._notices: dict[str, list[EndNotices]] = {}

    async def wait(self, queue: str, task_id: str, *, longest_s: float) -> TaskInfo | None:
        """Return the task at once if it has ended; else wait for its end, at most *longest_s*.

        After a wait the task is returned as it was before the wait. None if there is no such task.

        Raises:
            PoisonError: If the stored task cannot be decoded.
        """
        async with self._checks:
            task = await self._check(queue, task_id)
        if task is not None and task.state not in ENDED:
            await self._notices_for(queue, task_id).wait(task_id, longest_s)
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

    def _notices_for(self, queue: str, task_id: str) -> EndNotices:
        """Return what waits for the task; each has a connection while it waits."""
        several = self._notices.get(queue, [])
        found = [it for it in several if it.awaits(task_id)] or [
            it for it in several if it.has_room
        ]
        if found:
            return found[0]
        self._forget_idle()
        new = EndNotices(self._driver, queue)
        self._notices.setdefault(queue, []).append(new)
        return new

    def _forget_idle(self) -> None:
        """Forget what waits for nothing: an app may have a queue for each of its customers."""
        for queue, several in [*self._notices.items()]:
            several[:] = [it for it in several if not it.is_idle]
            if not several:
                del self._notices[queue]

    async def aclose(self) -> None:
        """Stop waiting."""
        for several in self._notices.values():
            for notices in several:
                await notices.aclose()
