"""The scheduler: entries, and the actors that enqueue and list them."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, Self, Unpack

from pyasynq.broker import BrokerAddress, open_broker, redact_url
from pyasynq.core.entry_errors import EntryNotFoundError
from pyasynq.core.errors import BrokerError, SchedulerStateError
from pyasynq.core.options import EnqueueOptions, check_known
from pyasynq.core.task import Task, check_task
from pyasynq.runtime.actor import OutageLog, Runnable
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.os_signals import handle_stop_signals
from pyasynq.runtime.service import Service
from pyasynq.runtime.waiting import wait_for_first
from pyasynq.scheduler.config import Config, SchedulerOptions
from pyasynq.scheduler.entry import CatchUp, Entry, PeriodicTask
from pyasynq.scheduler.heartbeater import Heartbeater
from pyasynq.scheduler.ticker import Ticker

log: Final = get_logger("pyasynq.scheduler")

FINISH_S: Final = 5.0
"""Time that a running step of the ticker has to end."""


class Scheduler:
    """Enqueues tasks at the ticks of cron texts.

    Run any number of schedulers with the same entries: each tick is enqueued once.

    Source:
        Protocol section 7.2 (asynq v0.26.0 ``scheduler.go``).

    Differs:
        Entries have the same id in every process and after every start; their histories outlive
        the scheduler (D47 to D50).
    """

    def __init__(self, broker: BrokerAddress, **options: Unpack[SchedulerOptions]) -> None:
        """Use *broker*; send nothing before the scheduler runs.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            **options: See `SchedulerOptions`.

        Raises:
            OptionError: If the broker or an option cannot be used.
            TypeError: If an option is unknown.
        """
        check_known(options, SchedulerOptions.__annotations__)
        self._service = Service()
        self._config = Config.of(options)
        self._broker = open_broker(broker, self._config.clock)
        self._address = redact_url(broker)
        self._entries: dict[str, Entry] = {}
        schedules, outages = self._broker.schedules, OutageLog(self._broker.name)
        self._ticker = Ticker(self._broker, self._entries, config=self._config, outages=outages)
        self._heartbeater = Heartbeater(
            schedules, self._entries, config=self._config, outages=outages
        )

    @property
    def state(self) -> str:
        """``new``, ``active`` or ``closed``."""
        return self._service.state

    def register(
        self,
        spec: str,
        task: Task,
        *,
        catch_up: CatchUp | None = None,
        **options: Unpack[EnqueueOptions],
    ) -> str:
        """Enqueue *task* at the ticks of *spec*, from now on if nobody knows the entry yet.

        Args:
            spec: Five fields (minute, hour, day of month, month, weekday), a descriptor such as
                ``@daily``, or ``@every 90s``; ``TZ=Europe/Paris`` may stand before it.
            task: What to enqueue.
            catch_up: How to treat missed ticks; None uses the scheduler's setting, see
                `SchedulerOptions`.
            **options: Options of each enqueueing; they win over the task's own.

        Returns:
            The entry's id, a hash of all arguments but *catch_up*, and of the scheduler's location.
            Equal entries count once.

        Raises:
            OptionError: If the spec or an option cannot work.
            TypeError: If an option is unknown.
        """
        return self.add(PeriodicTask(spec=spec, task=task, options=options, catch_up=catch_up))

    def add(self, definition: PeriodicTask) -> str:
        """Register *definition*; see `register`."""
        check_task(definition.task)
        entry = Entry(definition, location=self._config.location, catch_up=self._config.catch_up)
        known = self._entries.get(entry.id)
        if known is not None:
            known.catch_up = entry.catch_up
            return entry.id
        self._entries[entry.id] = entry
        if not entry.has_tick_after(self._config.clock.now()):
            log.warning("%r never ticks: %s will not be enqueued", entry.spec, entry.task.type)
        self._ticker.wake()
        self._heartbeater.wake()
        return entry.id

    def unregister(self, entry_id: str) -> None:
        """Stop enqueueing an entry; delete its history and its last tick.

        Raises:
            EntryNotFoundError: If there is no such entry.
        """
        entry = self._entries.pop(entry_id, None)
        if entry is None:
            raise EntryNotFoundError(entry_id)
        self._ticker.forget(entry)
        self._heartbeater.wake()

    async def run(self, *more: Runnable) -> None:
        """Work until SIGTERM, SIGINT or SIGHUP.

        Args:
            *more: Actors to run as well.

        Raises:
            SchedulerStateError: If the scheduler has run before.
        """
        with handle_stop_signals(log, self.shut_down):
            async with self.running(*more):
                await self._service.stop_requested.wait()

    @asynccontextmanager
    async def running(self, *more: Runnable) -> AsyncGenerator[Self]:
        """Work while the block runs.

        Args:
            *more: Actors to run as well.

        Raises:
            SchedulerStateError: If the scheduler has run before.
        """
        self._service.check_new(SchedulerStateError)
        enable_loggers()
        log.info("the scheduler starts: %s, entries: %d", self._address, len(self._entries))
        if not self._entries and not more:
            log.warning(
                "nothing is registered, so nothing will be enqueued: the module of an app must "
                "import what declares its periodic tasks"
            )
        actors = [self._ticker, self._heartbeater, *more]
        async with self._service.running(actors, drain=self._drain, cleanup=self._close):
            yield self

    @property
    def upcoming(self) -> datetime | None:
        """The next tick of an entry, as far as it is known; None if none comes."""
        ticks = [entry.upcoming for entry in self._entries.values() if entry.upcoming]
        return min(ticks, default=None)

    async def tick(self) -> None:
        """Enqueue what is due now, once; for tests, instead of `run`.

        Raises:
            BrokerError: If an entry could not be handled.
        """
        await self._ticker.step()

    async def ping(self) -> None:
        """Return when the broker answers and accepts writes, which a replica of Redis does not.

        Raises:
            BrokerError: If it does not.
        """
        await self._broker.ping()

    def shut_down(self) -> None:
        """Make `run` return."""
        self._service.shut_down()

    async def _drain(self) -> None:
        """Let a running step of the ticker end."""
        if not await wait_for_first(self._ticker.finish(), within_s=FINISH_S):
            log.warning(
                "a running tick is given up at the stop: it is unknown if its task was enqueued"
            )

    async def _close(self) -> None:
        try:
            await self._heartbeater.clear()
        except BrokerError as error:
            log.info("the scheduler's entries stay listed until they expire: %s", error)
        await self._broker.aclose()
        log.info("the scheduler has stopped")
