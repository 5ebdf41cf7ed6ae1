"""Wait for the ends of many tasks on one connection."""

import asyncio
import uuid
from contextlib import suppress
from typing import Final, cast

from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import keys
from pyasynq.broker.redis.connection import ANSWER_S, Driver, block_s, execute, execute_all
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import cancel_and_wait
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.client")

ROUND_S: Final = 1.0
"""Longest time for which the connection blocks; then tasks that nobody awaits are dropped."""

MOST_TASKS: Final = 256
"""Tasks for which one connection waits: Redis looks at each of them whenever it blocks."""

NOTICE_TTL_S: Final = 60


class EndNotices:
    """Receives the notices that tasks of one queue have ended.

    One command blocks on the lists of all awaited tasks. To add a task, this pushes to a list of
    its own, which is one of them. The command takes a notice away, so it is put back for other
    clients.
    """

    def __init__(self, driver: Driver, queue: str) -> None:
        """Wait for tasks of *queue*; nothing is sent before the first call."""
        self._driver = driver
        self._queue = queue
        self._own_list = keys.end_notices(queue, str(uuid.uuid4()))
        self._awaited: dict[str, _Awaited] = {}
        self._blocked_on: set[str] = set()
        self._waking = False
        self._job: asyncio.Task[None] | None = None

    @property
    def has_room(self) -> bool:
        """Whether it can wait for one more task."""
        return len(self._awaited) < MOST_TASKS

    @property
    def is_idle(self) -> bool:
        """Whether it waits for no task, and has no connection."""
        return not self._awaited and (self._job is None or self._job.done())

    def awaits(self, task_id: str) -> bool:
        """Return whether it waits for the task already."""
        return task_id in self._awaited

    async def wait(self, task_id: str, longest_s: float) -> None:
        """Return when the task has ended, or after *longest_s* seconds."""
        awaited = self._awaited.setdefault(task_id, _Awaited())
        awaited.unused = False
        ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        awaited.waiters.add(ended)
        try:
            await self._block_on(task_id)
            async with asyncio.timeout(longest_s):
                await ended
        except TimeoutError:
            return
        finally:
            awaited.waiters.discard(ended)

    async def aclose(self) -> None:
        """Stop waiting."""
        if self._job is not None:
            await cancel_and_wait([self._job])

    async def _block_on(self, task_id: str) -> None:
        """Make the connection block on the list of the task, too."""
        if self._job is None or self._job.done():
            self._job = asyncio.create_task(self._receive_all())
            self._job.add_done_callback(_report_failure)
        elif task_id not in self._blocked_on and not self._waking:
            self._waking = True
            await self._push(self._own_list)

    async def _receive_all(self) -> None:
        while self._awaited:
            lists = {keys.end_notices(self._queue, it): it for it in self._awaited}
            self._blocked_on, self._waking = set(self._awaited), False
            key = await self._receive(*lists)
            if key in lists:
                self._end(lists[key])
                await self._push(key)
            self._drop_unused()

    async def _receive(self, *lists: str) -> str:
        """Return the list that got a notice, which is taken away; empty if none did.

        If Redis refuses to block, because it is full or has just become a replica, sleep for the
        same time.
        """
        wait_s = block_s(self._driver, ROUND_S)
        command = ("BLPOP", self._own_list, *lists, str(wait_s))
        try:
            answer = await execute(self._driver, *command, timeout_s=wait_s + ANSWER_S)
        except BrokerError:
            await asyncio.sleep(ROUND_S)
            return ""
        return "" if answer is None else decode_name(cast("list[bytes]", answer)[0])

    def _end(self, task_id: str) -> None:
        for waiter in self._awaited.pop(task_id, _Awaited()).waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def _push(self, key: str) -> None:
        # If Redis refuses, the clients find out by asking for the task.
        with suppress(BrokerError):
            await execute_all(self._driver, [("RPUSH", key, ""), ("EXPIRE", key, NOTICE_TTL_S)])

    def _drop_unused(self) -> None:
        """Forget tasks for which nobody has waited since the last call of this."""
        for task_id, awaited in [*self._awaited.items()]:
            if awaited.unused and not awaited.waiters:
                del self._awaited[task_id]
            awaited.unused = not awaited.waiters


def _report_failure(job: asyncio.Task[None]) -> None:
    """Log the error of *job*; who waits meanwhile finds out by asking for the task."""
    if not job.cancelled() and (error := job.exception()) is not None:
        log.error("waiting for results failed; the next wait begins again", exc_info=error)


class _Awaited:
    """Those who wait for one task.

    Attributes:
        waiters: Each gets a result when the task has ended.
        unused: Nobody waited when this was last looked at; a client asks for the task in between.
    """

    __slots__ = ("unused", "waiters")

    def __init__(self) -> None:
        self.unused = False
        self.waiters: set[asyncio.Future[None]] = set()
