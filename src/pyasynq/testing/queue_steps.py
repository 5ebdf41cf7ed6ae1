"""The steps of the actors that keep a queue in order, each taken when asked."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from datetime import datetime

from pyasynq.broker import AggregationSet, Broker, GroupedTask, Lease
from pyasynq.core.verdict import Verdict
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.config import Config
from pyasynq.server.groups.reclaimer import Reclaimer
from pyasynq.server.groups.set_aggregator import SetAggregator
from pyasynq.server.upkeep.batch_recoverer import BatchRecoverer
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from pyasynq.server.upkeep.forwarder import Forwarder
from pyasynq.server.upkeep.janitor import Janitor
from pyasynq.server.upkeep.recoverer import Recoverer


class QueueSteps:
    """The actors of one queue.

    Attributes:
        errors: Why groups could not be combined.
    """

    def __init__(
        self,
        broker: Broker,
        queue: str,
        config: Config,
        executor: Executor,
        *,
        begun_at: datetime,
        on_written: Callable[[Lease, Verdict], None],
    ) -> None:
        """Keep *queue* in order.

        Args:
            broker: Has the queue.
            queue: Its name.
            config: Settings of the server; its clock moves only when a test moves it.
            executor: Runs a plain aggregator.
            begun_at: When the queue was empty.
            on_written: Called when the verdict on a task is written that the recoverer has found.
        """
        self.errors: list[Exception] = []
        self._groups = broker.groups
        self._queue = queue
        self._rules = config.group_rules()
        self._server_id = config.server_id
        self._clock = clock = config.clock
        self._kept_at = begun_at
        outages = OutageLog(broker.name)
        self._recoverer = Recoverer(
            broker.upkeep,
            broker.work,
            queue,
            config=config,
            outages=outages,
            on_written=on_written,
        )
        self._forwarder = Forwarder(broker.upkeep, queue, clock=clock, outages=outages)
        self._reclaimer = Reclaimer(broker.groups, queue, clock=clock, outages=outages)
        self._batch_recoverer = BatchRecoverer(broker.batches, queue, clock=clock, outages=outages)
        self._janitor = Janitor(
            broker.upkeep, queue, batch=config.janitor_batch_size, clock=clock, outages=outages
        )
        self._flow_recoverer = FlowRecoverer(broker, queue, clock=clock, outages=outages)
        self._aggregator: _Aggregator | None = None
        if config.group_aggregator is not None:
            self._aggregator = _Aggregator(
                broker,
                config.group_aggregator,
                executor,
                config=config,
                record_failure=self.errors.append,
            )
            self._aggregator.errors = self.errors

    async def take(self) -> float:
        """Take a step of each; return the seconds until a delayed task or a group is due.

        Infinite without one.
        """
        await self.end_what_is_over()
        groups_s = math.inf if self._aggregator is None else await self._combine(self._aggregator)
        return min(await self._forwarder.step(), groups_s)

    async def end_what_is_over(self) -> None:
        """End leases, aggregations and retentions; they are over only if the clock has moved."""
        now = self._clock.now()
        if now != self._kept_at:
            await self._recoverer.step()
            await self._reclaimer.step()
            await self._batch_recoverer.step()
            await self._flow_recoverer.step()
            await self._janitor.step()
            self._kept_at = now

    async def _combine(self, aggregator: "_Aggregator") -> float:
        """Combine the groups that are ready; return the seconds until another one is."""
        ready = await self._groups.ready(self._queue, self._rules, server_id=self._server_id)
        for group in ready.names:
            group_set = await self._groups.stage(self._queue, group, self._rules)
            while group_set is not None and await aggregator.combine(group_set):
                group_set = await self._groups.stage(self._queue, group, self._rules)
        return math.inf if ready.next_in_s is None else ready.next_in_s


class _Aggregator(SetAggregator):
    """Combines sets, and keeps the errors."""

    errors: list[Exception]

    async def fail(
        self, group_set: AggregationSet, tasks: Sequence[GroupedTask], error: Exception
    ) -> None:
        self.errors.append(error)
        await super().fail(group_set, tasks, error)
