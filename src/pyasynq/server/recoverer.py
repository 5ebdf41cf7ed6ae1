"""Bring back the tasks of workers that died.

Source:
    Protocol section 6.9 (asynq v0.26.0 ``recoverer.go``).

Differs:
    Looks every 5 s by the Redis clock, in batches; a recovered task spends a retry, as there, but
    runs again at once: its delay was the lease (D31, D32). Broken messages hide no others (D27).
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from pyasynq.actor import Actor, Link
from pyasynq.broker import Lease, MaintainPath, ProcessPath
from pyasynq.clock import Clock
from pyasynq.errors import BrokerError, LeaseExpiredError
from pyasynq.message import TaskMessage
from pyasynq.settle import ARCHIVE_AS_IT_IS, RetryPolicy, Verdict, settle

log = logging.getLogger("pyasynq.server")

PERIOD_S: Final = 5.0


def _no_delay(_retried: int, _error: Exception, _message: TaskMessage) -> timedelta:
    return timedelta(0)


def _always(_error: Exception) -> bool:
    return True


AT_ONCE: Final = RetryPolicy(delay=_no_delay, is_failure=_always)


class Recoverer(Actor):
    """Settles the tasks of one queue whose lease is over."""

    def __init__(
        self,
        maintenance: MaintainPath,
        processing: ProcessPath,
        queue: str,
        *,
        dead_server: str | None,
        clock: Clock,
        link: Link,
    ) -> None:
        """Look after *queue*; do not wait for the leases of *dead_server* to end."""
        super().__init__(clock=clock, link=link)
        self.name = f"recoverer of {queue!r}"
        self._dead_server = dead_server
        self._maintenance = maintenance
        self._processing = processing
        self._queue = queue

    async def step(self) -> float:
        """Recover the tasks of the queue."""
        await self._bury()
        await self._maintenance.repair(self._queue)
        while over := await self._expired():
            if not await self._recover(over):
                break  # others were faster; what is left waits for the next pass
        return PERIOD_S

    async def _bury(self) -> None:
        if self._dead_server is not None:
            await self._maintenance.end_leases(self._queue, self._dead_server)
            self._dead_server = None

    async def _expired(self) -> list[tuple[Lease, Verdict]]:
        """Return a batch of tasks whose lease is over, and what becomes of them."""
        taken = await self._maintenance.expired(self._queue)
        now = self._clock.now()
        return [
            *((lease, ARCHIVE_AS_IT_IS) for lease in taken.poison),
            *(
                (lease, settle(lease.message, LeaseExpiredError(), now=now, policy=AT_ONCE))
                for lease in taken.leases
            ),
        ]

    async def _recover(self, over: Sequence[tuple[Lease, Verdict]]) -> int:
        """Settle *over*; return how many nobody else had settled."""
        answers = await self._processing.settle(over)
        recovered = 0
        for (lease, _), answer in zip(over, answers, strict=True):
            if isinstance(answer, BrokerError):
                raise answer
            if answer:
                recovered += 1
                log.warning("task %r in %r: its worker is gone; recovered", lease.id, lease.queue)
        return recovered
