"""Keep the leases of running tasks, then show the server to inspectors.

Source:
    Protocol section 6.7 (asynq v0.26.0 ``heartbeat.go``).

Differs:
    Leases come first (D34); tasks are known by queue and id (D28); a lost lease stops its handler
    at once (D30).
"""

import asyncio
import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import replace
from heapq import nsmallest
from typing import Final, Protocol

from pyasynq.broker import Lease, RegistryPort, WorkPort
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.info import ServerInfo, WorkerInfo
from pyasynq.core.message import instant
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.loggers import enable_loggers
from pyasynq.server.config import Config
from pyasynq.server.run.slots import Run

BEAT_S: Final = 5.0
TTL_S: Final = 10
SHOWN_PAYLOAD: Final = 4096
SHOWN_PAYLOADS: Final = 1024 * 1024
"""Bytes of a running task's payload that inspectors see here, and of all of them together; the task
itself has all (D57).
"""

MOST_SHOWN: Final = 1000
"""Running tasks that inspectors see here, those that have run longest; all are counted."""


class Holder(Protocol):
    """Holds leases that must not end."""

    def leases(self) -> Iterable[Lease]:
        """Return them."""
        ...


class Runner(Holder, Protocol):
    """Runs the tasks it holds."""

    runs: set[Run]

    def lose(self, leases: Iterable[Lease]) -> None:
        """Stop the runs of *leases*, which are lost."""
        ...


class Heartbeater(Actor):
    """Extends leases and writes the server's state, every 5 s."""

    name = "heartbeater"

    def __init__(
        self,
        runner: Runner,
        completer: Holder,
        *,
        work: WorkPort,
        registry: RegistryPort,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Keep what *runner* and *ledger* hold."""
        super().__init__(clock=config.clock, outages=outages)
        self.status = "active"
        self._runner = runner
        self._completer = completer
        self._work = work
        self._registry = registry
        self._config = config
        self._info = ServerInfo(
            id=config.server_id,
            host=socket.gethostname() or "unknown-host",
            pid=os.getpid(),
            concurrency=config.concurrency,
            queues=dict(config.queues),
            strict_priority=config.strict_priority,
            started=config.clock.now(),
            status=self.status,
        )

    async def step(self) -> float:
        """Extend all leases, then write the server's state.

        That is for people to look at, so it may fail, and take no longer than a pause.
        """
        enable_loggers()  # a lifespan, or a thread, may have configured logging meanwhile
        period_s = min(BEAT_S, self._config.lease.total_seconds() / 6)
        failures = [await self._extend()]
        try:
            async with asyncio.timeout(period_s):
                failures.append(await self._show())
        except TimeoutError:
            failures.append(BrokerUnavailableError(f"{self._outages.name}: no answer in time"))
        for failure in failures:
            if failure is not None:
                raise failure
        return period_s

    async def clear(self) -> None:
        """Stop showing the server."""
        await self._registry.write_server(self._info, ttl_s=0)

    async def _extend(self) -> BrokerError | None:
        """Extend all leases; return the error that kept one from being extended."""
        leases = [*self._runner.leases(), *self._completer.leases()]
        lease_s = self._config.lease.total_seconds()
        answers = await self._work.extend(leases, lease_s=lease_s)
        extended = zip(leases, answers, strict=True)
        self._runner.lose(lease for lease, answer in extended if answer is False)
        return next((answer for answer in answers if isinstance(answer, BrokerError)), None)

    async def _show(self) -> BrokerError | None:
        runs = self._runner.runs
        shown = replace(
            self._info,
            status=self.status,
            active_workers=_workers(runs),
            active_worker_count=len(runs),
        )
        try:
            await self._registry.write_server(shown, ttl_s=TTL_S)
        except BrokerError as error:
            return error
        return None


def _workers(runs: Collection[Run]) -> list[WorkerInfo]:
    if len(runs) > MOST_SHOWN:
        runs = nsmallest(MOST_SHOWN, runs, key=lambda run: run.lease.taken_at_s)
    most = min(SHOWN_PAYLOAD, SHOWN_PAYLOADS // max(len(runs), 1))
    return [
        WorkerInfo(
            task_id=run.lease.id,
            task_type=run.lease.message.type,
            task_payload=run.lease.message.payload[:most],
            queue=run.lease.queue,
            started=instant(int(run.lease.taken_at_s)),
            deadline=run.active.deadline,
        )
        for run in runs
    ]
