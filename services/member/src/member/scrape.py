"""Answer a scrape: what the process counted, and what it asks for at that moment."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Protocol

import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from member import store
from member.clock import Clock, utc_now
from member.questions import Question
from member.store.database import Database

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class Source(Protocol):
    """Something whose numbers are read before they are collected."""

    async def read(self) -> None:
        """Ask for the numbers."""
        ...

    def collect(self) -> Iterable[Metric]:
        """Return what was read last."""
        ...


class Waiting:
    """How much waits in the outbox."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        """Ask *database*."""
        self._database = database
        self._clock = clock
        self._families: Sequence[Metric] = ()

    async def read(self) -> None:
        """Ask the database, in one statement."""
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
        """Return what was read last."""
        return self._families


class Scrape:
    """Answers scrapes; a source that does not answer in time is left out, and the rest is told."""

    def __init__(self, registry: CollectorRegistry, *sources: Source) -> None:
        """Tell what *registry* holds, and *sources*."""
        self._registry = registry
        self._sources = [_Fresh(source) for source in sources]
        for source in self._sources:
            registry.register(source)

    async def page(self) -> bytes:
        """Return all numbers, in Prometheus's text format."""
        await asyncio.gather(*(source.read() for source in self._sources))
        return generate_latest(self._registry)

    async def aclose(self) -> None:
        """End what was asked last."""
        await asyncio.gather(*(source.aclose() for source in self._sources))


class _Fresh:
    """A source that has nothing to tell while it cannot be read."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._question = Question(source.read)
        self._read = True

    async def read(self) -> None:
        try:
            await self._question.answer()
        except Exception as error:  # noqa: BLE001 - drivers raise their own, too; it is logged
            self._note(read=False, error=repr(error))
        else:
            self._note(read=True)

    def collect(self) -> Iterable[Metric]:
        return self._source.collect() if self._read else ()

    async def aclose(self) -> None:
        await self._question.aclose()

    def _note(self, *, read: bool, error: str = "") -> None:
        if self._read and not read:
            log.warning("left out of scrapes", source=type(self._source).__name__, error=error)
        self._read = read
