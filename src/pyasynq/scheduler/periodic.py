"""Register what a provider returns as the entries of a scheduler.

Source:
    Protocol section 7.3 (asynq v0.26.0 ``periodic_task_manager.go``).

Differs:
    The whole definition identifies an entry, and equal definitions count once (D51).
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final, Self, TypeAlias, Unpack, cast

from pyasynq.broker import BrokerAddress
from pyasynq.core.errors import OptionError, SchedulerStateError
from pyasynq.core.options import check_time
from pyasynq.core.task import Task
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.callbacks import call_guarded
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import enable_loggers, get_logger
from pyasynq.runtime.threads import invoke
from pyasynq.scheduler.config import SHORTEST_INTERVAL, SchedulerOptions
from pyasynq.scheduler.entry import PeriodicTask
from pyasynq.scheduler.scheduler import Scheduler

log: Final = get_logger("pyasynq.scheduler")

PeriodicTasks: TypeAlias = Iterable[PeriodicTask]
Provider: TypeAlias = Callable[[], PeriodicTasks | Awaitable[PeriodicTasks]]

SYNC_INTERVAL: Final = timedelta(minutes=3)


class Syncer(Actor):
    """Calls the provider; registers new definitions and unregisters those no longer returned."""

    name = "syncer"

    def __init__(
        self, scheduler: Scheduler, provider: Provider, *, interval_s: float, clock: Clock
    ) -> None:
        """Call *provider* every *interval_s* seconds."""
        super().__init__(clock=clock, outages=OutageLog())
        self._scheduler = scheduler
        self._provider = provider
        self._interval_s = interval_s
        self._known: frozenset[str] = frozenset()
        self._just_called = False
        # The event loop's default pool may be busy with other work.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="pyasynq-provider")

    async def begin(self) -> None:
        """Call the provider for the first time; raise what it raises.

        Raises:
            OptionError: If the provider did not return periodic tasks.
        """
        self._apply(await self._call_provider())
        self._just_called = True

    async def step(self) -> float:
        """Call the provider; if it fails, keep the entries."""
        if self._just_called:
            self._just_called = False
            return self._interval_s
        try:
            definitions = await call_guarded("the provider", self._call_provider())
        except Exception:
            enable_loggers()  # the provider may have configured logging
            log.exception("the provider of periodic tasks failed; the entries stay as they are")
        else:
            self._apply(definitions)
        return self._interval_s

    def close(self) -> None:
        """Release the thread; one that does not return ends with the process."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _call_provider(self) -> list[PeriodicTask]:
        definitions = list(cast("PeriodicTasks", await invoke(self._thread, self._provider)))
        for definition in definitions:
            _check_periodic_task(definition)
        return definitions

    def _apply(self, definitions: Iterable[PeriodicTask]) -> None:
        found = frozenset(
            entry_id for definition in definitions if (entry_id := self._register(definition))
        )
        for entry_id in self._known - found:
            self._scheduler.unregister(entry_id)
            log.info("unregistered the periodic task %s", entry_id)
        self._known = found

    def _register(self, definition: PeriodicTask) -> str | None:
        try:
            entry_id = self._scheduler.add(definition)
        except (OptionError, TypeError) as error:
            log.error("%r at %r is not registered: %s", definition.task, definition.spec, error)  # noqa: TRY400
            return None
        if entry_id not in self._known:
            log.info("registered %r at %r as %s", definition.task, definition.spec, entry_id)
        return entry_id


class PeriodicTaskManager:
    """A scheduler that gets its entries from a provider, which it calls periodically."""

    def __init__(
        self,
        broker: BrokerAddress,
        provider: Provider,
        *,
        sync_interval: timedelta = SYNC_INTERVAL,
        **options: Unpack[SchedulerOptions],
    ) -> None:
        """Use *broker*; send nothing and call nothing before the manager runs.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            provider: Returns all periodic tasks that should exist. It may be ``async def``; if not,
                it is called in a thread.
            sync_interval: Time between two calls of the provider; 3 minutes when not given.
            **options: See `SchedulerOptions`.

        Raises:
            OptionError: If the broker or an option cannot be used.
            TypeError: If an option is unknown.
        """
        check_time("sync_interval", sync_interval, SHORTEST_INTERVAL)
        if not callable(provider):
            raise OptionError("provider", provider, "a function that returns periodic tasks")
        self._scheduler = Scheduler(broker, **options)
        self._syncer = Syncer(
            self._scheduler,
            provider,
            interval_s=sync_interval.total_seconds(),
            clock=options.get("clock") or Clock(),
        )

    async def run(self) -> None:
        """Work until SIGTERM, SIGINT or SIGHUP; raise what the first call of the provider raises.

        Raises:
            OptionError: If the provider did not return periodic tasks.
            SchedulerStateError: If the manager has run before.
        """
        await self._begin()
        await self._scheduler.run(self._syncer)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Self]:
        """Work while the block runs; raise what the first call of the provider raises.

        Raises:
            OptionError: If the provider did not return periodic tasks.
            SchedulerStateError: If the manager has run before.
        """
        await self._begin()
        async with self._scheduler.running(self._syncer):
            yield self

    def shut_down(self) -> None:
        """Make `run` return."""
        self._scheduler.shut_down()

    async def _begin(self) -> None:
        if self._scheduler.state != "new":
            raise SchedulerStateError(self._scheduler.state)
        await self._syncer.begin()


def _check_periodic_task(definition: object) -> None:
    if (
        not isinstance(definition, PeriodicTask)
        or not isinstance(definition.task, Task)  # pyright: ignore[reportUnnecessaryIsInstance]
        or not definition.spec
    ):
        raise OptionError(
            "provider", definition, "a function that returns periodic tasks with spec and task"
        )
