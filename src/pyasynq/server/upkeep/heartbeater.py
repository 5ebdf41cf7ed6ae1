"""Extend the leases of running tasks, then write the server's record for inspectors.

Source:
    Protocol section 6.7 (asynq v0.26.0 ``heartbeat.go``).

Differs:
    Leases come first (D34); queue and id identify a task (D28); a lost lease stops its handler at
    once (D30).
"""

import asyncio
import os
import socket
from collections.abc import Collection, Iterable
from dataclasses import replace
from heapq import nsmallest
from importlib.metadata import PackageNotFoundError, version
from typing import Final, Protocol

from pyasynq.broker import Lease, RegistryPort, WorkPort
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.info import ProcessInfo, ServerInfo, WorkerInfo
from pyasynq.core.message import instant
from pyasynq.core.queue_weights import names_in
from pyasynq.runtime.actor import OutageLog, Wakeable
from pyasynq.runtime.loggers import enable_loggers
from pyasynq.server.config import Config
from pyasynq.server.run.slots import Run

BEAT_S: Final = 5.0
TTL_S: Final = 10

MOST_MISSED: Final = 3
"""The server is not ready if nothing could be written for this number of periods."""

MAX_PAYLOAD: Final = 4096
MAX_PAYLOADS: Final = 1024 * 1024
"""Bytes that the record has of a running task's payload, and of all payloads together; the task
itself has the whole payload (D57).
"""

MAX_WORKERS: Final = 1000
"""The record lists at most this number of running tasks, the oldest ones, but counts all."""


class LeaseHolder(Protocol):
    """Holds leases that must not end."""

    def leases(self) -> Iterable[Lease]:
        """Return the leases."""
        ...


class Runner(LeaseHolder, Protocol):
    """Runs the tasks of the leases it holds."""

    runs: set[Run]

    def stop_lost(self, leases: Iterable[Lease]) -> None:
        """Stop the runs of *leases*, which this server no longer holds."""
        ...


class ProcessMeter(Protocol):
    """Measures the process of the server."""

    def measure(self) -> ProcessInfo:
        """Return what was measured since the last call."""
        ...


class Heartbeater(Wakeable):
    """Extends leases and writes the server's record, every 5 s or a sixth of a shorter lease.

    Attributes:
        info: The server, without its running tasks.
        meter: Measures its process; None until one does.
    """

    name = "heartbeater"

    def __init__(
        self,
        runner: Runner,
        completer: LeaseHolder,
        *,
        work: WorkPort,
        registry: RegistryPort,
        config: Config,
        outages: OutageLog,
    ) -> None:
        """Extend the leases of *runner* and *completer*."""
        super().__init__(clock=config.clock, outages=outages)
        self._succeeded_at_s: float | None = None
        self._failure: BrokerError | None = None
        self._runner = runner
        self._completer = completer
        self._work = work
        self._registry = registry
        self._config = config
        self.info: ServerInfo = ServerInfo(
            id=config.server_id,
            host=socket.gethostname() or "unknown-host",
            pid=os.getpid(),
            concurrency=config.concurrency,
            queues=names_in(config.queues),
            strict_priority=config.strict_priority,
            started=config.clock.now(),
            status="active",
            version=_version(),
            deployment=config.deployment,
        )
        self.meter: ProcessMeter | None = None
        self._found: Collection[str] = ()

    async def step(self) -> float:
        """Extend all leases, then write the server's record.

        The record is only for people, so writing it may fail, and takes one period at most.
        """
        enable_loggers()  # a lifespan or a thread may have configured logging meanwhile
        try:
            await self._write(self._period_s)
        except BrokerError as error:
            self._failure = error
            raise
        self._failure = None
        self._succeeded_at_s = self._clock.monotonic()
        return self._period_s

    def problem(self) -> str | None:
        """Return why leases or record could not be written lately; None if they could."""
        if self._failure is not None:
            return str(self._failure)
        if self._succeeded_at_s is None:
            return "the server's record has not been written yet"
        silent_s = self._clock.monotonic() - self._succeeded_at_s
        if silent_s > MOST_MISSED * self._period_s:
            return f"the server's record was last written {silent_s:.0f} s ago"
        return None

    def show(self, info: ServerInfo, *, found: Collection[str] | None = None) -> None:
        """Show *info* from now on.

        Args:
            info: The server.
            found: Those of its queues that only a pattern names; None for the same as before.
        """
        found = self._found if found is None else found
        if (info, set(found)) != (self.info, set(self._found)):
            self.info, self._found = info, found
            self.wake()

    @property
    def _period_s(self) -> float:
        return min(BEAT_S, self._config.lease.total_seconds() / 6)

    async def _next_step(self) -> float:
        async with self._stepping:
            return await self.step()  # it takes a slot of the limit only for the record

    async def _write(self, period_s: float) -> None:
        failures = [await self._extend()]
        try:
            async with asyncio.timeout(period_s):
                failures.append(await self._write_server())
        except TimeoutError:
            failures.append(BrokerUnavailableError(f"{self._outages.name}: no answer in time"))
        for failure in failures:
            if failure is not None:
                raise failure

    async def clear(self) -> None:
        """Delete the server's record."""
        await self._registry.write_server(self.info, ttl_s=0)

    async def _extend(self) -> BrokerError | None:
        """Extend all leases; return the first error of those that could not be extended."""
        leases = [*self._runner.leases(), *self._completer.leases()]
        lease_s = self._config.lease.total_seconds()
        answers = await self._work.extend(leases, lease_s=lease_s)
        extended = zip(leases, answers, strict=True)
        self._runner.stop_lost(lease for lease, answer in extended if answer is False)
        return next((answer for answer in answers if isinstance(answer, BrokerError)), None)

    async def _write_server(self) -> BrokerError | None:
        runs = self._runner.runs
        info = replace(
            self.info,
            active_workers=_workers(runs),
            active_worker_count=len(runs),
            process=None if self.meter is None else self.meter.measure(),
        )
        try:
            async with self._limit_slot():
                await self._registry.write_server(info, ttl_s=TTL_S, found=self._found)
        except BrokerError as error:
            return error
        return None


def _version() -> str:
    try:
        return version("pyasynq")
    except PackageNotFoundError:  # it runs from its sources and was not installed
        return "unknown"


def _workers(runs: Collection[Run]) -> list[WorkerInfo]:
    if len(runs) > MAX_WORKERS:
        runs = nsmallest(MAX_WORKERS, runs, key=lambda run: run.lease.taken_at_s)
    max_bytes = min(MAX_PAYLOAD, MAX_PAYLOADS // max(len(runs), 1))
    return [
        WorkerInfo(
            task_id=run.lease.id,
            task_type=run.lease.message.type,
            task_payload=run.lease.message.payload[:max_bytes],
            queue=run.lease.queue,
            started=instant(int(run.lease.taken_at_s)),
            deadline=run.active.deadline,
        )
        for run in runs
    ]
