"""Bring back the tasks of workers that died.

Source:
    Protocol section 6.9 (asynq v0.26.0 ``recoverer.go``).

Differs:
    Looks every 5 s by the Redis clock, in batches; a recovered task spends a retry, as there, but
    runs again at once: its delay was the lease (D31, D32). A task that loses a second worker in a
    row waits, so that it does not meet the same tasks again, and is given up after the third (D66).
    Broken messages hide no others (D27).
"""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from pyasynq.broker import Lease, UpkeepPort, WorkPort
from pyasynq.core.errors import BrokerError
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import LONGEST
from pyasynq.core.verdict import (
    ARCHIVE_AS_IT_IS,
    REQUEUE,
    Archive,
    RetryPolicy,
    Verdict,
    decide_lost,
)
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.config import Config
from pyasynq.server.run.failures import FAILED, UNREADABLE

log: Final = get_logger("pyasynq.server")

PERIOD_S: Final = 5.0

SHORTEST_SPREAD_S: Final = 1.0
LONGEST_SPREAD_S: Final = 10.0
"""Tasks that lost a second worker together come back over as long as their delay is, or so."""


class Recoverer(Actor):
    """Settles the tasks of one queue whose lease is over."""

    def __init__(
        self,
        upkeep: UpkeepPort,
        work: WorkPort,
        queue: str,
        *,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Look after *queue*; do not wait for the leases of a server that is replaced to end."""
        super().__init__(clock=config.clock, outages=outages)
        self.name: str = f"recoverer of {queue!r}"
        self._dead_server = config.replaces
        self._most_crashes = config.max_crashes
        self._policy = _spread(config.policy())
        self._lease_s = config.lease.total_seconds()
        self._blind_until = -math.inf
        self._upkeep = upkeep
        self._work = work
        self._queue = queue

    async def step(self) -> float:
        """Recover the tasks of the queue."""
        try:
            await self._recover_all()
        except BrokerError:
            # Whoever could not reach Redis lost its leases, too: that says nothing of the tasks.
            self._blind_until = self._clock.monotonic() + self._lease_s + 2 * PERIOD_S
            raise
        return PERIOD_S

    async def _recover_all(self) -> None:
        await self._bury()
        while over := await self._expired():
            if not await self._recover(over):
                break  # others were faster; what is left waits for the next pass

    async def _bury(self) -> None:
        if self._dead_server is not None:
            await self._upkeep.end_leases(self._queue, self._dead_server)
            self._dead_server = None

    async def _expired(self) -> list[tuple[Lease, Verdict]]:
        """Return a batch of tasks whose lease is over, and what becomes of them."""
        taken = await self._upkeep.expired(self._queue)
        now = self._clock.now()
        return [
            *((lease, ARCHIVE_AS_IT_IS) for lease in taken.poison),
            *((lease, self._verdict(lease, now)) for lease in taken.leases),
        ]

    def _verdict(self, lease: Lease, now: datetime) -> Verdict:
        if not lease.started:
            return REQUEUE
        return decide_lost(
            lease.message,
            crashes=lease.crashes + (self._clock.monotonic() >= self._blind_until),
            most=self._most_crashes,
            now=now,
            policy=self._policy,
        )

    async def _recover(self, over: Sequence[tuple[Lease, Verdict]]) -> int:
        """Settle *over*; return how many nobody else had settled."""
        answers = await self._work.settle(over)
        recovered = 0
        for (lease, verdict), answer in zip(over, answers, strict=True):
            if isinstance(answer, BrokerError):
                raise answer
            if answer:
                recovered += 1
                _log(lease, verdict)
        return recovered


def _spread(policy: RetryPolicy) -> RetryPolicy:
    """Return *policy* with delays that differ, whatever the user's own function says."""

    def delay(retried: int, error: Exception, message: TaskMessage) -> timedelta:
        wait = policy.delay(retried, error, message)
        spread_s = min(max(wait.total_seconds(), SHORTEST_SPREAD_S), LONGEST_SPREAD_S)
        return min(wait, LONGEST) + timedelta(seconds=random.uniform(0, spread_s))

    return RetryPolicy(delay=delay, is_failure=policy.is_failure)


def _log(lease: Lease, verdict: Verdict) -> None:
    match verdict:
        case Archive(message=TaskMessage() as it):
            log.error(FAILED, lease, it.retried, it.retry, it.error_msg, "archived")
        case Archive():
            log.error(UNREADABLE, lease.id, lease.queue)
        case _:
            log.warning("%r: its worker is gone; recovered", lease)
