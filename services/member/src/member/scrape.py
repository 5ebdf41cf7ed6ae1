"""Answer a scrape with the counters of the process, and with numbers read at that moment."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from member import store
from member.clock import Clock, utc_now
from member.single_flight import SingleFlight
from member.store.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Source(Protocol):
    """A source of metrics that is read before each collection."""

    async def read(self) -> None:
        """Read the numbers."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that were read last."""
        ...


class Waiting:
    """The tasks that wait in the outbox."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        """Read from *database*."""
        self._database = database
        self._clock = clock
        self._families: Sequence[Metric] = ()

    async def read(self) -> None:
        """Read count and age, in one statement."""
        async with self._database.watching() as session:
            count, since = await store.outbox.waiting(session)
        age_s = (self._clock() - since).total_seconds() if since else 0.0
        self._families = (
            GaugeMetricFamily("member_outbox_tasks", "Tasks that wait for Redis", count),
            GaugeMetricFamily(
                "member_outbox_oldest_age_seconds", "How long the first of them has waited", age_s
            ),
        )

    def collect(self) -> Iterable[Metric]:
        """Return the metrics that were read last."""
        return self._families


class Scrape:
    """Answers scrapes; without the sources that do not answer in time."""

    def __init__(self, registry: CollectorRegistry, *sources: Source) -> None:
        """Answer with the metrics of *registry* and *sources*."""
        self._registry = registry
        self._sources = [_Fresh(source) for source in sources]
        for source in self._sources:
            registry.register(source)

    async def page(self) -> bytes:
        """Return all metrics, in Prometheus's text format."""
        await asyncio.gather(*(source.read() for source in self._sources))
        return generate_latest(self._registry)

    async def aclose(self) -> None:
        """Cancel reads that still run."""
        await asyncio.gather(*(source.aclose() for source in self._sources))


class _Fresh:
    """A source that returns no metrics while it cannot be read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._single_flight = SingleFlight(source.read)
        self._read = True

    async def read(self) -> None:
        try:
            await self._single_flight.answer()
        except Exception as error:  # noqa: BLE001 - drivers raise their own errors, too; it is logged
            self._note(read=False, error=repr(error))
        else:
            self._note(read=True)

    def collect(self) -> Iterable[Metric]:
        return self._source.collect() if self._read else ()

    async def aclose(self) -> None:
        await self._single_flight.aclose()

    def _note(self, *, read: bool, error: str = "") -> None:
        if self._read and not read:
            log.warning("left out of scrapes", source=type(self._source).__name__, error=error)
        self._read = read
