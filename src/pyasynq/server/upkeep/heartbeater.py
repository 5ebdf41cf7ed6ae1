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
from collections.abc import Collection, Iterable, Sequence
from heapq import nsmallest
from typing import Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

from pyasynq.broker import Lease, RegistryPort, WorkPort
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.message import ServerInfo, WorkerInfo
from pyasynq.runtime.actor import Actor, Link
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
        ledger: Holder,
        *,
        processing: WorkPort,
        registry: RegistryPort,
        config: Config,
        link: Link,
    ) -> None:
        """Keep what *runner* and *ledger* hold."""
        super().__init__(clock=config.clock, link=link)
        self.status = "active"
        self._runner = runner
        self._ledger = ledger
        self._processing = processing
        self._registry = registry
        self._config = config
        self._queues = list(config.queues)
        self._info = ServerInfo(
            host=socket.gethostname() or "unknown-host",
            pid=os.getpid(),
            server_id=config.server_id,
            concurrency=config.concurrency,
            queues=dict(config.queues),
            strict_priority=config.strict_priority,
        )
        self._info.start_time.FromDatetime(config.clock.now())

    async def step(self) -> float:
        """Extend all leases, then write the server's state.

        That is for people to look at, so it may fail, and take no longer than a pause.
        """
        enable_loggers()  # a lifespan, or a thread, may have configured logging meanwhile
        period_s = min(BEAT_S, self._config.lease.total_seconds() / 6)
        failures = [await self._extend()]
        try:
            async with asyncio.timeout(period_s):
                failures += [await self._register(), await self._show()]
        except TimeoutError:
            failures.append(BrokerUnavailableError("Redis: no answer in time"))
        for failure in failures:
            if failure is not None:
                raise failure
        return period_s

    async def clear(self) -> None:
        """Stop showing the server."""
        await self._registry.clear_server(self._info)

    async def _extend(self) -> BrokerError | None:
        """Extend all leases; return the error that kept one from being extended."""
        leases = [*self._runner.leases(), *self._ledger.leases()]
        lease_s = self._config.lease.total_seconds()
        answers = await self._processing.extend(leases, lease_s=lease_s)
        extended = zip(leases, answers, strict=True)
        self._runner.lose(lease for lease, answer in extended if answer is False)
        return next((answer for answer in answers if isinstance(answer, BrokerError)), None)

    async def _register(self) -> BrokerError | None:
        try:
            await self._registry.register(self._queues)
        except BrokerError as error:
            return error
        return None

    async def _show(self) -> BrokerError | None:
        self._info.status = self.status
        self._info.active_worker_count = len(self._runner.runs)
        try:
            await self._registry.write_server(self._info, self._workers(), ttl_s=TTL_S)
        except BrokerError as error:
            return error
        return None

    def _workers(self) -> Sequence[WorkerInfo]:
        runs: Collection[Run] = self._runner.runs
        if len(runs) > MOST_SHOWN:
            runs = nsmallest(MOST_SHOWN, runs, key=lambda run: run.lease.taken_at_s)
        most = min(SHOWN_PAYLOAD, SHOWN_PAYLOADS // max(len(runs), 1))
        return [self._worker(run, most) for run in runs]

    def _worker(self, run: Run, most: int) -> WorkerInfo:
        message = run.lease.message
        worker = WorkerInfo(
            host=self._info.host,
            pid=self._info.pid,
            server_id=self._info.server_id,
            task_id=run.lease.id,
            task_type=message.type,
            task_payload=message.payload[:most],
            queue=run.lease.queue,
            start_time=Timestamp(seconds=int(run.lease.taken_at_s)),
        )
        worker.deadline.FromDatetime(run.active.deadline)
        return worker
