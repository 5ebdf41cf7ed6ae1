"""The actors of one server: made together, drained in order."""

import asyncio
from collections.abc import Sequence
from typing import Final

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError
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
from pyasynq.server.run.processor import Processor
from pyasynq.server.run.watchdog import Watchdog
from pyasynq.server.upkeep.forwarder import Forwarder
from pyasynq.server.upkeep.health import HealthChecker
from pyasynq.server.upkeep.heartbeater import Heartbeater
from pyasynq.server.upkeep.janitor import Janitor
from pyasynq.server.upkeep.recoverer import Recoverer
from pyasynq.server.upkeep.subscriber import Subscriber

log: Final = get_logger("pyasynq.server")

INTERRUPTED_S: Final = 2.0
"""Time handlers have to end once they are told to stop."""

QUEUES_EACH: Final = 16
"""Actors that keep a queue in order act two at a time, and one more for each so many queues: as
many connections are enough for all of them.
"""

FLUSH_S: Final = 5.0
"""Time the last verdicts have to be written."""


class ServerActors:
    """Every actor of a server.

    Attributes:
        actors: What has to be kept running.
    """

    def __init__(self, broker: Broker, handler: AsyncHandler, config: Config) -> None:
        """Make the actors; none runs yet."""
        self._config = config
        self._outages = OutageLog(broker.name)
        clock, outages = config.clock, self._outages
        self.completer: Completer = Completer(broker.work, clock=clock, outages=outages)
        self.processor: Processor = Processor(handler, broker.work, self.completer, config, outages)
        self.heartbeater: Heartbeater = Heartbeater(
            self.processor,
            self.completer,
            work=broker.work,
            registry=broker.registry,
            config=config,
            outages=outages,
        )
        # One for each queue: where one of them is broken the others go on.
        self.recoverers: list[Recoverer] = [
            self._recoverer(broker, queue) for queue in config.queues
        ]
        self.forwarders: list[Forwarder] = [
            self._forwarder(broker, queue) for queue in config.queues
        ]
        self.janitors: list[Janitor] = [self._janitor(broker, queue) for queue in config.queues]
        self.subscriber: Subscriber = Subscriber(
            broker.registry, self.processor.cancel, clock=clock, outages=outages
        )
        self.reclaimers: list[Reclaimer] = [
            Reclaimer(broker.groups, queue, clock=clock, outages=outages)
            for queue in config.queues
            if broker.supports("groups")
        ]
        self.aggregators: list[Aggregator] = self._aggregators(broker)
        limit = ConcurrencyLimit(2 + len(config.queues) // QUEUES_EACH)
        for actor in self._keepers():
            actor.limit = limit
        self.health_checkers: list[HealthChecker] = self._health_checkers(broker)
        self.actors: Sequence[Runnable] = self._all()

    def _all(self) -> list[Runnable]:
        """Return all actors, in the order in which they start."""
        return [
            self.heartbeater,
            self.completer,
            *self._keepers(),
            self.subscriber,
            *self.health_checkers,
            *self._watchdogs(),
            *self.processor.wakeups,
            self.processor,
        ]

    def _keepers(self) -> list[Actor]:
        """Return the actors that keep one queue in order each."""
        return [
            *self.recoverers,
            *self.forwarders,
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
        )

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
        return [Watchdog(self.processor.runs, longest_s=longest_s)] if longest_s else []

    def stop(self) -> None:
        """Take no more tasks; those that run go on."""
        self.heartbeater.status = "stopped"
        self.processor.stop()

    async def emptied(self) -> None:
        """Return when the queues are empty, nothing runs and everything is written."""
        await self.processor.emptied()
        await self.completer.written()

    async def drain(self, service: Service) -> None:
        """Let handlers and aggregations end; interrupt them in time, or if *service* is in a hurry.

        Everything else goes on meanwhile: leases are extended and verdicts written.
        """
        self.processor.stop()
        self.heartbeater.status = "closed"
        patience_s = self._config.shutdown_timeout.total_seconds()
        if not await wait_for_first(
            self._finished(), service.on_cancel.wait(), within_s=patience_s
        ):
            log.info("running tasks told to stop: %d", len(self.processor.runs))
            self._interrupt()
            await wait_for_first(self._finished(), within_s=INTERRUPTED_S)
        self.processor.abandon()
        await self._flush(service.jobs)

    async def _finished(self) -> None:
        """Return when no handler and no aggregation runs."""
        await asyncio.gather(
            self.processor.finished(), *(aggregator.finished() for aggregator in self.aggregators)
        )

    def _interrupt(self) -> None:
        self.processor.interrupt()
        for aggregator in self.aggregators:
            aggregator.interrupt()

    async def _flush(self, jobs: dict[Runnable, asyncio.Task[None]]) -> None:
        written = asyncio.ensure_future(self.completer.written())
        try:
            async with asyncio.timeout(FLUSH_S):
                while not written.done():
                    waits = {written, self._writing(jobs)}
                    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        except TimeoutError:
            log.warning(
                "outcomes that could not be written: %d", len(list(self.completer.leases()))
            )
        finally:
            written.cancel()

    def _writing(self, jobs: dict[Runnable, asyncio.Task[None]]) -> asyncio.Task[None]:
        """Return the ledger's job: another one if somebody has cancelled all tasks of the loop."""
        if jobs[self.completer].done():
            jobs[self.completer] = asyncio.create_task(
                run_forever(self.completer), name=self.completer.name
            )
        return jobs[self.completer]

    async def leave(self) -> None:
        """Take the server off the lists and let go of threads."""
        self.processor.close()
        try:
            await self.heartbeater.clear()
        except BrokerError as error:
            log.info("the server's record stays until it expires: %s", error)
