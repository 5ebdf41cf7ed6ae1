"""The actors of one server: made together, stopped in order."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from pyasynq.broker import Broker, Lease
from pyasynq.core.errors import BrokerError
from pyasynq.core.verdict import Verdict
from pyasynq.runtime.actor import Actor, OutageLog, Runnable, run_forever
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first
from pyasynq.server.config import Config
from pyasynq.server.groups.aggregator import Aggregator
from pyasynq.server.groups.reclaimer import Reclaimer
from pyasynq.server.mux import AsyncHandler
from pyasynq.server.run.completer import Completer
from pyasynq.server.run.notifier import Notifier
from pyasynq.server.run.processor import Processor
from pyasynq.server.run.runner import Runner
from pyasynq.server.run.slots import ServerLoad
from pyasynq.server.run.watchdog import Watchdog
from pyasynq.server.upkeep.courier import Courier
from pyasynq.server.upkeep.forwarder import Forwarder
from pyasynq.server.upkeep.health import HealthChecker
from pyasynq.server.upkeep.heartbeater import Heartbeater
from pyasynq.server.upkeep.historian import Historian
from pyasynq.server.upkeep.janitor import Janitor
from pyasynq.server.upkeep.recoverer import Recoverer
from pyasynq.server.upkeep.subscriber import Subscriber

log: Final = get_logger("pyasynq.server")

INTERRUPT_S: Final = 2.0
"""Time that handlers have to end after they were cancelled."""

QUEUES_PER_SLOT: Final = 16
"""The actors of queues share 2 slots, plus one for each 16 queues; each slot needs a connection."""

FLUSH_S: Final = 5.0
"""Longest time to write the last verdicts."""


class ServerActors:
    """Every actor of a server.

    Attributes:
        actors: The actors to run.
    """

    def __init__(self, broker: Broker, handler: AsyncHandler, config: Config) -> None:
        """Make the actors; start none."""
        self._config = config
        self._outages = OutageLog(broker.name)
        clock, outages = config.clock, self._outages
        self.completer: Completer = Completer(
            broker.work, clock=clock, outages=outages, on_written=self._on_written
        )
        self.runner: Runner = Runner(handler, broker.work, self.completer, config)
        self.processor: Processor = Processor(
            self.runner, broker.work, self.completer, config, outages
        )
        self.heartbeater: Heartbeater = Heartbeater(
            self.runner,
            self.completer,
            work=broker.work,
            registry=broker.registry,
            config=config,
            outages=outages,
        )
        # One for each queue: if the keys of one queue are broken, the others go on.
        self.recoverers: list[Recoverer] = [
            self._recoverer(broker, queue) for queue in config.queues
        ]
        self.forwarders: list[Forwarder] = [
            self._forwarder(broker, queue) for queue in config.queues
        ]
        self.couriers: dict[str, Courier] = self._couriers(broker)
        self.notifier: Notifier = Notifier(config.hooks)
        self._followed = 0
        self.janitors: list[Janitor] = [self._janitor(broker, queue) for queue in config.queues]
        self.subscriber: Subscriber = Subscriber(
            broker.registry, self.runner.cancel, clock=clock, outages=outages
        )
        self.reclaimers: list[Reclaimer] = [
            Reclaimer(broker.groups, queue, clock=clock, outages=outages)
            for queue in config.queues
            if broker.supports("groups")
        ]
        self.aggregators: list[Aggregator] = self._aggregators(broker)
        limit = ConcurrencyLimit(2 + len(config.queues) // QUEUES_PER_SLOT)
        self.historians: list[Historian] = self._historians(broker)
        for actor in (*self._queue_actors(), *self.historians):
            actor.limit = limit
        self.health_checkers: list[HealthChecker] = self._health_checkers(broker)
        self.actors: Sequence[Runnable] = self._all()

    def _all(self) -> list[Runnable]:
        """Return all actors, in the order in which they start."""
        return [
            self.heartbeater,
            self.completer,
            self.notifier,
            *self._queue_actors(),
            *self.historians,
            self.subscriber,
            *self.health_checkers,
            *self._watchdogs(),
            *self.processor.wakeups,
            self.processor,
        ]

    def _queue_actors(self) -> list[Actor]:
        """Return the actors that each maintain one queue."""
        return [
            *self.recoverers,
            *self.forwarders,
            *self.couriers.values(),
            *self.janitors,
            *self.reclaimers,
            *self.aggregators,
        ]

    def _recoverer(self, broker: Broker, queue: str) -> Recoverer:
        return Recoverer(
            broker.upkeep,
            broker.work,
            queue,
            config=self._config,
            outages=self._outages,
            on_written=self._on_written,
        )

    def _couriers(self, broker: Broker) -> dict[str, Courier]:
        if not broker.supports("mail"):
            return {}
        clock, outages = self._config.clock, self._outages
        return {
            queue: Courier(broker.mail, queue, clock=clock, outages=outages)
            for queue in self._config.queues
        }

    def _on_written(self, lease: Lease, verdict: Verdict) -> None:
        """Call hooks of this worker, and deliver what could not be created in other queues."""
        if verdict.outcome is not None:
            self.notifier.add(verdict.outcome)
        if verdict.then:
            self._followed += 1
            courier = self.couriers.get(lease.queue)
            if courier is not None and any(p.message.queue != lease.queue for p in verdict.then):
                courier.wake()

    def _forwarder(self, broker: Broker, queue: str) -> Forwarder:
        return Forwarder(
            broker.upkeep,
            queue,
            longest_s=self._config.delayed_task_check_interval.total_seconds(),
            clock=self._config.clock,
            outages=self._outages,
        )

    def _janitor(self, broker: Broker, queue: str) -> Janitor:
        return Janitor(
            broker.upkeep,
            queue,
            period_s=self._config.janitor_interval.total_seconds(),
            batch=self._config.janitor_batch_size,
            clock=self._config.clock,
            outages=self._outages,
        )

    def _historians(self, broker: Broker) -> list[Historian]:
        if not broker.supports("history"):
            return []
        counter, clock = self.runner.counter, self._config.clock
        return [Historian(broker.history, counter, clock=clock, outages=self._outages)]

    def _aggregators(self, broker: Broker) -> list[Aggregator]:
        aggregate = self._config.group_aggregator
        if aggregate is None:
            return []
        return [
            Aggregator(broker, queue, aggregate, config=self._config, outages=self._outages)
            for queue in self._config.queues
        ]

    def _health_checkers(self, broker: Broker) -> list[HealthChecker]:
        config = self._config
        if config.health_check is None:
            return []
        return [
            HealthChecker(
                broker.ping,
                config.health_check,
                period_s=config.health_check_interval.total_seconds(),
                clock=config.clock,
                outages=self._outages,
            )
        ]

    def _watchdogs(self) -> list[Watchdog]:
        longest_s = self._config.blocked_warning.total_seconds()
        return [Watchdog(self.runner.runs, longest_s=longest_s)] if longest_s else []

    def problem(self) -> str | None:
        """Return why leases and outcomes cannot be written, or tasks taken; None if they can."""
        return self.heartbeater.problem() or self.processor.wakeups.problem()

    def load(self) -> ServerLoad:
        """Return how busy the server is."""
        overdue = [run.active for run in self.runner.runs if run.active.overdue]
        return ServerLoad(
            slots=self._config.concurrency,
            busy=self._config.concurrency - self.runner.slots.free,
            overdue=len(overdue),
            overdue_threads=sum(task.thread is not None for task in overdue),
            taken=self.processor.taken,
        )

    def stop(self) -> None:
        """Take no more tasks; running ones go on."""
        self.heartbeater.status = "stopped"
        self.processor.stop()

    async def wait_until_empty(self) -> None:
        """Return when the queues are empty, no task runs and all verdicts are written.

        Tasks that follow others may have come into the queues meanwhile.
        """
        seen = -1
        while seen != self._followed:
            seen = self._followed
            await self.processor.wait_until_empty()
            await self._wait_until_written()

    async def _wait_until_written(self) -> None:
        """Return when verdicts are written, and what follows them is sent and called."""
        await self.completer.wait_until_written()
        for courier in self.couriers.values():
            with suppress(BrokerError):  # then another courier delivers it
                await courier.deliver_own()
        await self.notifier.wait_until_called()

    async def drain(self, service: Service) -> None:
        """Let handlers and aggregations end; interrupt them after the shutdown timeout.

        If *service* must stop by force, interrupt them at once. The other actors extend leases and
        write verdicts meanwhile.
        """
        self.processor.stop()
        self.heartbeater.status = "closed"
        timeout_s = self._config.shutdown_timeout.total_seconds()
        if not await wait_for_first(
            self._wait_until_finished(), service.force_requested.wait(), within_s=timeout_s
        ):
            log.info("running tasks interrupted: %d", len(self.runner.runs))
            self._interrupt()
            await wait_for_first(self._wait_until_finished(), within_s=INTERRUPT_S)
        self.runner.abandon()
        await self._flush(service.jobs)

    async def _wait_until_finished(self) -> None:
        """Return when no handler and no aggregation runs."""
        await asyncio.gather(
            self.processor.wait_until_finished(),
            *(aggregator.wait_until_finished() for aggregator in self.aggregators),
        )

    def _interrupt(self) -> None:
        self.runner.interrupt()
        for aggregator in self.aggregators:
            aggregator.interrupt()

    async def _flush(self, jobs: dict[Runnable, asyncio.Task[None]]) -> None:
        written = asyncio.ensure_future(self._wait_until_written())
        try:
            async with asyncio.timeout(FLUSH_S):
                while not written.done():
                    waits = {written, self._completer_job(jobs)}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            left = len(list(self.completer.leases()))
            if left:
                log.warning("outcomes that could not be written: %d", left)
            else:
                log.warning("mail is not delivered yet, or hooks have not returned")
        finally:
            written.cancel()

    def _completer_job(self, jobs: dict[Runnable, asyncio.Task[None]]) -> asyncio.Task[None]:
        """Return the completer's job; start a new one if the end of the loop has cancelled it."""
        if jobs[self.completer].done():
            jobs[self.completer] = asyncio.create_task(
                run_forever(self.completer), name=self.completer.name
            )
        return jobs[self.completer]

    async def close(self) -> None:
        """Release threads, delete the server's record, and write the last counts."""
        self.runner.close()
        self.notifier.close()
        try:
            await self.heartbeater.clear()
        except BrokerError as error:
            log.info("the server's record stays until it expires: %s", error)
            return
        try:
            for historian in self.historians:
                await historian.step()
        except BrokerError as error:
            log.info("the counts of the last runs are lost: %s", error)
