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
from pyasynq.errors import BrokerError, LeaseExpiredError, PoisonError
from pyasynq.message import TaskMessage
from pyasynq.settle import RetryPolicy, Verdict, settle

log = logging.getLogger("pyasynq.server")

PERIOD_S: Final = 5.0


def _no_delay(_retried: int, _error: Exception, _message: TaskMessage) -> timedelta:
    return timedelta(0)


def _always(_error: Exception) -> bool:
    return True


AT_ONCE: Final = RetryPolicy(delay=_no_delay, is_failure=_always)


class Recoverer(Actor):
    """Settles tasks whose lease is over."""

    name = "recoverer"

    def __init__(
        self,
        maintenance: MaintainPath,
        processing: ProcessPath,
        queues: Sequence[str],
        *,
        dead_server: str | None,
        clock: Clock,
        link: Link,
    ) -> None:
        """Look after *queues*; do not wait for the leases of *dead_server* to end."""
        super().__init__(clock=clock, link=link)
        self._dead_server = dead_server
        self._maintenance = maintenance
        self._processing = processing
        self._queues = queues

    async def step(self) -> float:
        """Recover the tasks of every queue."""
        await self._bury()
        for queue in self._queues:
            await self._maintenance.repair(queue)
            while leases := await self._maintenance.expired(queue):
                if not await self._recover(leases):
                    break  # others were faster; what is left waits for the next pass
        return PERIOD_S

    async def _bury(self) -> None:
        if self._dead_server is not None:
            for queue in self._queues:
                await self._maintenance.end_leases(queue, self._dead_server)
            self._dead_server = None

    async def _recover(self, leases: Sequence[Lease]) -> int:
        """Settle *leases*; return how many nobody else had settled."""
        answers = await self._processing.settle([(lease, self._verdict(lease)) for lease in leases])
        recovered = 0
        for lease, answer in zip(leases, answers, strict=True):
            if isinstance(answer, BrokerError):
                raise answer
            if answer:
                recovered += 1
                log.warning("task %r in %r: its worker is gone; recovered", lease.id, lease.queue)
        return recovered

    def _verdict(self, lease: Lease) -> Verdict:
        error = LeaseExpiredError() if lease.message.type else PoisonError(0)
        return settle(lease.message, error, now=self._clock.now(), policy=AT_ONCE)
