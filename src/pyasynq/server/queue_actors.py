"""The actors that each maintain one queue; they start and end with the queues that are served."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final, TypeAlias

from pyasynq.broker import Broker, Job, Lease
from pyasynq.core.errors import BrokerError
from pyasynq.core.verdict import Verdict
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit
from pyasynq.runtime.service import Service
from pyasynq.server.config import Config
from pyasynq.server.groups.aggregator import Aggregator
from pyasynq.server.groups.reclaimer import Reclaimer
from pyasynq.server.run.processor import Processor
from pyasynq.server.upkeep import batch_recoverer, flow_recoverer, recoverer
from pyasynq.server.upkeep.batch_recoverer import BatchRecoverer
from pyasynq.server.upkeep.courier import Courier
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from pyasynq.server.upkeep.forwarder import Forwarder
from pyasynq.server.upkeep.janitor import Janitor
from pyasynq.server.upkeep.maintainer import Maintainer, Worker
from pyasynq.server.upkeep.recoverer import Recoverer

OnWritten: TypeAlias = Callable[[Lease, Verdict], None]

QUEUES_PER_SLOT: Final = 64
"""What is done at regular times shares 2 slots, plus one for each 64 queues; each slot needs a
connection.
"""


class QueueActors:
    """The actors of one queue, so that broken keys of one queue do not stop the others."""

    def __init__(
        self,
        broker: Broker,
        queue: str,
        config: Config,
        outages: OutageLog,
        *,
        on_written: OnWritten,
    ) -> None:
        """Make the actors of *queue*; start none. See `Recoverer` for *on_written*."""
        clock, upkeep = config.clock, broker.upkeep
        self._queue = queue
        self._upkeep = upkeep
        self._server_id = config.server_id
        self.recoverer: Recoverer = Recoverer(
            upkeep, broker.work, queue, config=config, outages=outages, on_written=on_written
        )
        self.forwarder: Forwarder = Forwarder(upkeep, queue, clock=clock, outages=outages)
        self.janitor: Janitor = Janitor(
            upkeep, queue, batch=config.janitor_batch_size, clock=clock, outages=outages
        )
        self.courier: Courier | None = None
        if broker.supports("mail"):
            self.courier = Courier(broker.mail, queue, clock=clock, outages=outages)
        self.batch_recoverer: BatchRecoverer | None = None
        if broker.supports("batches"):
            self.batch_recoverer = BatchRecoverer(
                broker.batches, queue, clock=clock, outages=outages
            )
        self.flow_recoverer: FlowRecoverer | None = None
        if broker.supports("flows"):
            self.flow_recoverer = FlowRecoverer(broker, queue, clock=clock, outages=outages)
        self.reclaimer: Reclaimer | None = None
        if broker.supports("groups"):
            self.reclaimer = Reclaimer(broker.groups, queue, clock=clock, outages=outages)
        self.aggregator: Aggregator | None = None
        if (aggregate := config.group_aggregator) is not None:
            self.aggregator = Aggregator(broker, queue, aggregate, config=config, outages=outages)
        self.maintainer: Maintainer = Maintainer(
            upkeep,
            queue,
            dict(self._workers(config)),
            config=config,
            on_outage=self.recoverer.note_outage,
            outages=outages,
        )

    def _workers(self, config: Config) -> Iterator[tuple[Job, Worker]]:
        """Yield what does each job."""
        yield Job.FORWARD, Worker(actor=self.forwarder)
        yield Job.RECOVER, Worker(actor=self.recoverer, rest_s=recoverer.REST_S)
        rest_s = config.janitor_interval.total_seconds()
        yield Job.TRIM, Worker(actor=self.janitor, rest_s=rest_s)
        if self.courier is not None:
            yield Job.DELIVER, Worker(actor=self.courier)
        if self.reclaimer is not None:
            yield Job.RECLAIM, Worker(actor=self.reclaimer)
        if self.flow_recoverer is not None:
            rest_s = flow_recoverer.REST_S
            yield Job.LOOK_AFTER, Worker(actor=self.flow_recoverer, rest_s=rest_s)
        if self.batch_recoverer is not None:
            rest_s = batch_recoverer.REST_S
            yield Job.REPAIR, Worker(actor=self.batch_recoverer, rest_s=rest_s)

    def __iter__(self) -> Iterator[Actor]:
        """Yield the actors."""
        yield from (self.recoverer, self.forwarder, self.janitor)
        if self.courier is not None:
            yield self.courier
        if self.batch_recoverer is not None:
            yield self.batch_recoverer
        if self.flow_recoverer is not None:
            yield self.flow_recoverer
        if self.reclaimer is not None:
            yield self.reclaimer
        if self.aggregator is not None:
            yield self.aggregator
        yield self.maintainer

    def look(self) -> None:
        """Look at once what there is to do: no other server does it any more."""
        self.maintainer.wake()
        if self.aggregator is not None:
            self.aggregator.wake()

    async def release(self) -> None:
        """Let another server do what this one does of the upkeep.

        Raises:
            BrokerError: If that fails; the others go on after a few seconds.
        """
        if self.maintainer.is_in_charge or (self.aggregator and self.aggregator.is_in_charge):
            await self._upkeep.release(self._queue, server_id=self._server_id)


class QueueCrew:
    """The actors of all queues that a server serves.

    Attributes:
        by_queue: The actors of each queue.
        limit: Limits how many actors of the server take a step at once.
    """

    def __init__(
        self,
        make: Callable[[str], QueueActors],
        queues: Collection[str],
        processor: Processor,
        service: Service,
    ) -> None:
        """Make the actors of *queues*.

        Args:
            make: Makes the actors of one queue.
            queues: The first queues.
            processor: Takes tasks of them.
            service: Runs the actors of later queues.
        """
        self.limit: ConcurrencyLimit = ConcurrencyLimit(_slots(queues))
        self._make = make
        self._processor = processor
        self._service = service
        self._leaving: list[Aggregator] = []
        self.by_queue: dict[str, QueueActors] = {}
        for queue in queues:
            self._add(queue)

    def __iter__(self) -> Iterator[Actor]:
        """Yield the actors of all queues."""
        for actors in self.by_queue.values():
            yield from actors

    async def serve(self, queues: Mapping[str, int]) -> None:
        """Serve *queues*, with their weights, from now on, and no others.

        Tasks that run, and groups that are being combined, go on to their end.
        """
        new, former = self._processor.serve(queues)
        for wakeup in new:
            self._service.start(wakeup)
        await self._service.end(former)
        for queue in queues:
            if queue not in self.by_queue:
                for actor in self._add(queue):
                    self._service.start(actor)
        self.limit.grow(_slots(queues))
        for queue in [queue for queue in self.by_queue if queue not in queues]:
            await self._remove(queue)

    @property
    def couriers(self) -> list[Courier]:
        """The couriers of all queues."""
        couriers = (actors.courier for actors in self.by_queue.values())
        return [courier for courier in couriers if courier is not None]

    def deliver(self, queue: str) -> None:
        """Have the mail that was stored in *queue* delivered now.

        If the queue is no longer served, another server delivers it.
        """
        actors = self.by_queue.get(queue)
        if actors is not None and actors.courier is not None:
            actors.courier.wake()

    def look(self, queue: str) -> None:
        """Look at once what there is to do for *queue*, if it is served."""
        if (actors := self.by_queue.get(queue)) is not None:
            actors.look()

    async def release(self) -> None:
        """Let other servers do the upkeep.

        Raises:
            BrokerError: If that fails; the others go on after a few seconds.
        """
        for actors in self.by_queue.values():
            await actors.release()

    async def end_idle(self) -> None:
        """End the aggregators of former queues that have combined their last group."""
        idle = [one for one in self._leaving if one.is_idle]
        self._leaving = [one for one in self._leaving if one not in idle]
        await self._service.end(idle)

    def _add(self, queue: str) -> QueueActors:
        actors = self.by_queue[queue] = self._make(queue)
        for actor in actors:
            actor.limit = self.limit
        return actors

    async def _remove(self, queue: str) -> None:
        actors = self.by_queue.pop(queue)
        if actors.aggregator is not None:
            actors.aggregator.stop()
            self._leaving.append(actors.aggregator)
        await self._service.end([actor for actor in actors if actor is not actors.aggregator])
        with suppress(BrokerError):  # then another server goes on a little later
            await actors.release()

    async def wait_until_finished(self) -> None:
        """Begin to combine no more groups; return when no group is being combined."""
        await asyncio.gather(
            *(aggregator.wait_until_finished() for aggregator in self._aggregators)
        )

    def interrupt(self) -> None:
        """Cancel running aggregations, which puts their tasks back."""
        for aggregator in self._aggregators:
            aggregator.interrupt()

    @property
    def _aggregators(self) -> list[Aggregator]:
        present = (actors.aggregator for actors in self.by_queue.values())
        return [*(one for one in present if one is not None), *self._leaving]


def _slots(queues: Collection[str]) -> int:
    return 2 + len(queues) // QUEUES_PER_SLOT
