"""The actors of one server: made together, stopped in order."""

import asyncio
import functools
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pyasynq.broker import Broker, Lease
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.queue_weights import names_in
from pyasynq.core.report import is_for_others
from pyasynq.core.verdict import Verdict
from pyasynq.runtime.actor import OutageLog, Runnable, run_forever
from pyasynq.runtime.loggers import get_logger
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first
from pyasynq.server.config import Config
from pyasynq.server.mux import AsyncHandler
from pyasynq.server.queue_actors import QueueActors, QueueCrew
from pyasynq.server.remote_control import RemoteControl
from pyasynq.server.run.completer import Completer
from pyasynq.server.run.notifier import Notifier
from pyasynq.server.run.processor import Processor
from pyasynq.server.run.runner import Runner
from pyasynq.server.run.slots import ServerLoad
from pyasynq.server.run.watchdog import Watchdog
from pyasynq.server.run.workflows import Workflows
from pyasynq.server.upkeep.controller import Controller
from pyasynq.server.upkeep.health import HealthChecker
from pyasynq.server.upkeep.heartbeater import Heartbeater
from pyasynq.server.upkeep.historian import Historian
from pyasynq.server.upkeep.meter import Meter
from pyasynq.server.upkeep.subscriber import Subscriber

log: Final = get_logger("pyasynq.server")

INTERRUPT_S: Final = 2.0
"""Time that handlers have to end after they were cancelled."""

FLUSH_S: Final = 5.0
"""Longest time to write the last verdicts."""


class ServerActors:
    """Every actor of a server.

    Attributes:
        actors: The actors to run.
    """

    def __init__(
        self,
        broker: Broker,
        handler: AsyncHandler,
        config: Config,
        service: Service,
        *,
        on_stop: Callable[[], bool],
    ) -> None:
        """Make the actors; start none.

        Args:
            broker: The broker.
            handler: Handles each task.
            config: Settings of the server.
            service: Will run the actors.
            on_stop: Ends the server as operators want; returns False if it cannot.
        """
        self._config = config
        self._service = service
        self._outages = OutageLog(broker.name)
        self.completer: Completer = Completer(
            broker.work, clock=config.clock, outages=self._outages, on_written=self._on_written
        )
        self.runner: Runner = Runner(
            handler,
            broker.work,
            self.completer,
            config,
            workflows=Workflows(broker, config),
        )
        self.processor: Processor = Processor(
            self.runner, broker.work, self.completer, config, self._outages
        )
        self.heartbeater: Heartbeater = self._heartbeater(broker)
        self.meter: Meter = Meter(lambda: self.processor.taken, clock=config.clock)
        self.heartbeater.meter = self.meter
        self.notifier: Notifier = Notifier(config.hooks)
        self._followed = 0
        self.queues: QueueCrew = self._queues(broker)
        self.remote_control: RemoteControl = RemoteControl(
            self.runner,
            self.processor,
            self.heartbeater,
            self.queues,
            config=config,
            on_stop=on_stop,
        )
        self.controller: Controller = self._controller(broker)
        self.subscriber: Subscriber = self._subscriber(broker)
        self.historians: list[Historian] = self._historians(broker)
        self.health_checkers: list[HealthChecker] = self._health_checkers(broker)
        for actor in (self.heartbeater, self.controller, *self.historians, *self.health_checkers):
            actor.limit = self.queues.limit
        self.actors: Sequence[Runnable] = self._all()

    def _heartbeater(self, broker: Broker) -> Heartbeater:
        return Heartbeater(
            self.runner,
            self.completer,
            work=broker.work,
            registry=broker.registry,
            config=self._config,
            outages=self._outages,
        )

    def _queues(self, broker: Broker) -> QueueCrew:
        make = functools.partial(
            QueueActors,
            broker,
            config=self._config,
            outages=self._outages,
            on_written=self._on_written,
        )
        return QueueCrew(make, names_in(self._config.queues), self.processor, self._service)

    def _controller(self, broker: Broker) -> Controller:
        return Controller(
            self.remote_control,
            port=broker.control if broker.supports("control") else None,
            inspection=broker.inspection,
            config=self._config,
            outages=self._outages,
        )

    def _subscriber(self, broker: Broker) -> Subscriber:
        return Subscriber(
            broker.registry,
            self.runner.cancel,
            on_control=self.controller.wake,
            on_vacancy=self.queues.look,
            clock=self._config.clock,
            outages=self._outages,
        )

    def _all(self) -> list[Runnable]:
        """Return all actors, in the order in which they start."""
        return [
            self.heartbeater,
            self.meter,
            self.completer,
            self.notifier,
            self.controller,
            *self.queues,
            *self.historians,
            self.subscriber,
            *self.health_checkers,
            *self._watchdogs(),
            *self.processor.wakeups,
            self.processor,
        ]

    def _on_written(self, lease: Lease, verdict: Verdict) -> None:
        """Call hooks of this worker, and deliver what could not be created in other queues."""
        if verdict.outcome is not None:
            self.notifier.add(verdict.outcome)
        if verdict.then:
            self._followed += 1
            if any(is_for_others(entry, lease.queue) for entry in verdict.then):
                self.queues.deliver(lease.queue)

    def _historians(self, broker: Broker) -> list[Historian]:
        if not broker.supports("history"):
            return []
        counter, clock = self.runner.counter, self._config.clock
        return [Historian(broker.history, counter, clock=clock, outages=self._outages)]

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

    @property
    def is_quiet(self) -> bool:
        """Whether operators want it to take no tasks."""
        return self.remote_control.is_quiet

    def problem(self) -> str | None:
        """Return why leases and outcomes cannot be written, or tasks taken; None if they can."""
        return self.heartbeater.problem() or self.processor.wakeups.problem()

    def load(self) -> ServerLoad:
        """Return how busy the server is."""
        slots = self.runner.slots
        overdue = [run.active for run in self.runner.runs if run.active.overdue]
        return ServerLoad(
            slots=slots.count,
            busy=slots.count - slots.free,
            overdue=len(overdue),
            overdue_threads=sum(task.thread is not None for task in overdue),
            taken=self.processor.taken,
        )

    def stop(self) -> None:
        """Take no more tasks; running ones go on."""
        self.processor.stop()
        self.remote_control.show_stop()

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
        for courier in self.queues.couriers:
            with suppress(BrokerError):  # then another courier delivers it
                await courier.deliver_own()
        await self.notifier.wait_until_called()

    async def drain(self) -> None:
        """Let handlers and aggregations end; interrupt them after the shutdown timeout.

        If the service must stop by force, interrupt them at once. The other actors extend leases
        and write verdicts meanwhile.
        """
        self.processor.stop()
        self.remote_control.close()
        timeout_s = self._config.shutdown_timeout.total_seconds()
        if not await wait_for_first(
            self._wait_until_finished(), self._service.force_requested.wait(), within_s=timeout_s
        ):
            log.info("running tasks interrupted: %d", len(self.runner.runs))
            self._interrupt()
            await wait_for_first(self._wait_until_finished(), within_s=INTERRUPT_S)
        self.runner.abandon()
        await self._flush(self._service.jobs)

    async def _wait_until_finished(self) -> None:
        """Return when no handler and no aggregation runs."""
        await asyncio.gather(
            self.processor.wait_until_finished(), self.queues.wait_until_finished()
        )

    def _interrupt(self) -> None:
        self.runner.interrupt()
        self.queues.interrupt()

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
        """End processes and threads, delete the server's record, and write the last counts."""
        await self.runner.close()
        self.notifier.close()
        for clean_up, loss in (
            (self.heartbeater.clear, "the server's record stays until it expires"),
            (self.controller.clear, "what operators wanted of this server is not forgotten"),
            (self.queues.release, "other servers take over its upkeep a few seconds later"),
            *((it.step, "the counts of the last runs are lost") for it in self.historians),
        ):
            try:
                await clean_up()
            except BrokerUnavailableError as error:  # each further one would wait as long
                log.info("the server's record stays, and counts are lost: %s", error)
                return
            except BrokerError as error:  # only this key may be broken
                log.info("%s: %s", loss, error)
