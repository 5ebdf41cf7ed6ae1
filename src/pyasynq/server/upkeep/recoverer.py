"""Recover the tasks of workers that died.

Source:
    Protocol section 6.9 (asynq v0.26.0 ``recoverer.go``).

Differs:
    Checks by the clock of Redis, in batches. A recovered task spends a retry, as in
    asynq, but runs again at once: the lease was its delay (D31, D32). A task that loses a second
    worker in a row waits, so that it does not run with the same tasks again; after the third it is
    archived (D66). A broken message does not block the others (D27).
"""

import math
import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

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
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.loggers import get_logger
from pyasynq.server.config import Config
from pyasynq.server.run.attempts import AttemptRecorder
from pyasynq.server.run.continuations import Continuations
from pyasynq.server.run.run_log import FAILED, UNREADABLE

log: Final = get_logger("pyasynq.server")

REST_S: Final = 5.0
"""Least time from one recovery to the next; a task of Go's workers is found 30 s before it may be
taken.
"""

SHORTEST_SPREAD_S: Final = 1.0
LONGEST_SPREAD_S: Final = 10.0
"""Tasks that lost a second worker together come back spread over a time as long as their delay;
these are the bounds of that time.
"""


class Recoverer(OnCall):
    """Settles the tasks of one queue whose leases have ended."""

    def __init__(
        self,
        upkeep: UpkeepPort,
        work: WorkPort,
        queue: str,
        *,
        config: Config,
        outages: OutageLog,
        on_written: Callable[[Lease, Verdict], None],
    ) -> None:
        """Recover *queue*; if the server replaces a dead one, end its leases at once.

        *on_written* is called for each written verdict that something follows.
        """
        super().__init__(clock=config.clock, outages=outages)
        self.name: str = f"recoverer of {queue!r}"
        self._dead_server = config.replaces
        if self._dead_server is not None:
            self.wake()
        self._max_crashes = config.max_crashes
        self._policy = _with_spread(config.policy())
        self._attempts = AttemptRecorder(config)
        self._continuations = Continuations(config)
        self._on_written = on_written
        self._lease_s = config.lease.total_seconds()
        self._outage_until = -math.inf
        self._upkeep = upkeep
        self._work = work
        self._queue = queue

    async def step(self) -> float:
        """Recover all tasks whose leases have ended."""
        try:
            await self._recover_all()
        except BrokerError:
            self.note_outage()
            raise
        return math.inf

    def note_outage(self) -> None:
        """Blame no task for leases that end now: other workers lost them in the same outage."""
        self._outage_until = self._clock.monotonic() + self._lease_s + 2 * REST_S

    async def _recover_all(self) -> None:
        await self._end_dead_leases()
        while expired := await self._read_expired():
            if not await self._recover(expired):
                break  # other servers were faster; the rest waits for the next step

    async def _end_dead_leases(self) -> None:
        if self._dead_server is not None:
            await self._upkeep.end_leases(self._queue, self._dead_server)
            self._dead_server = None

    async def _read_expired(self) -> list[tuple[Lease, Verdict]]:
        """Return a batch of tasks whose leases have ended, with their verdicts."""
        expired = await self._upkeep.expired(self._queue)
        now = self._clock.now()
        return [
            *((lease, ARCHIVE_AS_IT_IS) for lease in expired.poison),
            *(
                (lease, self._continuations.after_recovery(lease, self._verdict(lease, now)))
                for lease in expired.leases
            ),
        ]

    def _verdict(self, lease: Lease, now: datetime) -> Verdict:
        if not lease.started:
            return REQUEUE
        verdict = decide_lost(
            lease.message,
            crashes=lease.crashes + (self._clock.monotonic() >= self._outage_until),
            most=self._max_crashes,
            now=now,
            policy=self._policy,
        )
        return self._attempts.record_lost(verdict, lease.message.retried, now=now)

    async def _recover(self, expired: Sequence[tuple[Lease, Verdict]]) -> int:
        """Settle *expired*; return the number of tasks that no other server had settled."""
        answers = await self._work.settle(expired)
        recovered = 0
        for (lease, verdict), answer in zip(expired, answers, strict=True):
            if isinstance(answer, BrokerError):
                raise answer
            if answer:
                recovered += 1
                _log_recovery(lease, verdict)
                if verdict.then or verdict.outcome is not None:
                    self._on_written(lease, verdict)
        return recovered


def _with_spread(policy: RetryPolicy) -> RetryPolicy:
    """Return *policy* with a random time added to each delay, also of the user's function."""

    def delay(retried: int, error: Exception, message: TaskMessage) -> timedelta:
        wait = policy.delay(retried, error, message)
        spread_s = min(max(wait.total_seconds(), SHORTEST_SPREAD_S), LONGEST_SPREAD_S)
        return min(wait, LONGEST) + timedelta(seconds=random.uniform(0, spread_s))

    return msgspec.structs.replace(policy, delay=delay)


def _log_recovery(lease: Lease, verdict: Verdict) -> None:
    match verdict:
        case Archive(message=TaskMessage() as it):
            log.error(FAILED, lease, it.retried, it.retry, it.error_msg, "archived")
        case Archive():
            log.error(UNREADABLE, lease.id, lease.queue)
        case _:
            log.warning("%r: its worker is gone; recovered", lease)
