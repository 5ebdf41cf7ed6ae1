"""One sampler for all streams: it reads the queues once a second, while somebody looks."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError, PyasynqError, QueueNotFoundError
from pyasynq.core.json_form import to_json_types
from pyasynq.dashboard.concurrency import gather
from pyasynq.dashboard.overview import Alert, Past, Reading, broker_alerts, overview, queue_rows
from pyasynq.dashboard.problems import Problem, problem_of
from pyasynq.diagnosis.diagnosis import diagnose
from pyasynq.diagnosis.reading import read_findings
from pyasynq.inspector import Inspector
from pyasynq.runtime.loggers import get_logger

INTERVAL_S: Final = 1.0
"""Seconds between two samples."""

SLOW_S: Final = 30.0
"""Seconds between two readings of what takes longer: histories and the checks of the broker."""

COMPARED: Final = 20
"""Slow readings that are kept: alerts compare with the oldest, ten minutes ago."""

AT_ONCE: Final = 8
"""Queues that are read at the same time."""

READINGS: Final = 70
"""Readings that are kept, for rates."""

RATES: Final = timedelta(seconds=10)
FAILURES: Final = timedelta(seconds=60)
"""Times over which rates are computed: from one second to the next they would jump."""

MINUTES: Final = 60
HOUR: Final = timedelta(minutes=MINUTES)

log: Final = get_logger("pyasynq.dashboard")


class Event(msgspec.Struct, frozen=True):
    """What a stream sends: its name, and its data as JSON."""

    name: str
    data: bytes


class Sampler:
    """Reads what the overview shows, once for all who look.

    Attributes:
        responses: Responses that send streams, also those that have not begun to.
    """

    def __init__(
        self, broker: Broker, inspector: Inspector, extras: Callable[[], Mapping[str, object]]
    ) -> None:
        """Read from *broker*; *extras* returns further members of each document."""
        self.responses: int = 0
        self._broker = broker
        self._inspector = inspector
        self._extras = extras
        self._lock = asyncio.Lock()
        self._readings: deque[Reading] = deque(maxlen=READINGS)
        self._slow_readings: deque[Reading] = deque(maxlen=COMPARED)
        self._hours: Mapping[str, Sequence[int]] = {}
        self._alerts: Sequence[Alert] = ()
        self._failing_since: datetime | None = None
        self._event: Event | None = None
        self._news = asyncio.Event()
        self._streams = 0
        self._runs = False
        self._job: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        """Number of open streams."""
        return self._streams

    async def document(self) -> dict[str, object]:
        """Return the overview; it is read now, unless that was done within the interval."""
        async with self._lock:
            await self._read_if_old()
            return self._document()

    async def queue_rows(self) -> Mapping[str, Mapping[str, object]]:
        """Return the members of each queue in the overview, by its name."""
        async with self._lock:
            await self._read_if_old()
            return {str(row["queue"]): row for row in queue_rows(self._readings[-1], self._past())}

    async def _read_if_old(self) -> None:
        now = datetime.now(UTC)
        if not self._readings or (now - self._readings[-1].at).total_seconds() >= INTERVAL_S:
            await self._read(now)

    def _document(self) -> dict[str, object]:
        document = overview(self._readings[-1], self._past(), self._alerts)
        return {**document, "interval": INTERVAL_S, **self._extras()}

    def _past(self) -> Past:
        earlier = self._slow_readings[0] if len(self._slow_readings) > 1 else None
        return Past(
            before=self._since(RATES),
            minute=self._since(FAILURES),
            minutes_ago=earlier,
            hours=self._hours,
        )

    def _since(self, span: timedelta) -> Reading | None:
        """Return the oldest reading within *span*; None if there is none but the newest."""
        newest = self._readings[-1].at
        found = (it for it in self._readings if timedelta(0) < newest - it.at <= span)
        return next(found, None)

    async def _read(self, now: datetime) -> None:
        names = await self._inspector.queues()
        found = await self._broker.inspection.queue_infos(names)
        reading = Reading(
            at=now,
            queues=[it for it in found if not isinstance(it, BrokerError)],
            unreadable={
                name: str(it)
                for name, it in zip(names, found, strict=True)
                if isinstance(it, BrokerError)
            },
            servers=await self._inspector.servers(),
        )
        last = self._slow_readings[-1] if self._slow_readings else None
        if last is None or (now - last.at).total_seconds() >= SLOW_S:
            await self._read_slowly(reading)
        self._readings.append(reading)

    async def _read_slowly(self, reading: Reading) -> None:
        if self._slow_readings and reading.at - self._slow_readings[-1].at > timedelta(minutes=5):
            self._slow_readings.clear()  # nobody looked meanwhile
        self._slow_readings.append(reading)
        findings = await read_findings(self._broker, permissions=False, queues=reading.queues)
        self._alerts = broker_alerts(diagnose(findings))
        if self._broker.supports("history"):
            names = [queue.queue for queue in reading.queues]
            hours = await gather(AT_ONCE, names, self._read_hour)
            self._hours = dict(zip(names, hours, strict=True))

    async def _read_hour(self, queue: str) -> Sequence[int]:
        """Return the runs of *queue* in each of the last 60 minutes."""
        now = datetime.now(UTC)
        first = now.replace(second=0, microsecond=0) - HOUR + timedelta(minutes=1)
        runs = [0] * MINUTES
        try:
            spans = await self._inspector.run_history(queue, last=HOUR)
        except QueueNotFoundError:  # it was removed meanwhile
            return runs
        for span in spans:
            minute = round((span.start - first) / timedelta(minutes=1))
            if 0 <= minute < MINUTES:
                runs[minute] = sum(one.succeeded + one.failed for one in span.types)
        return runs

    # -- streams -----------------------------------------------------------------------------------

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the newest event, and then each later one that the caller is not too slow for."""
        self._streams += 1
        seen: Event | None = None
        try:
            if not self._runs:
                self._event, self._runs = None, True
                self._job = asyncio.create_task(self._run(), name="pyasynq dashboard sampler")
            while True:
                seen = await self._next(seen)
                if seen is None:  # the sampler has failed, and its log says why
                    return
                yield seen
        finally:
            self._streams -= 1

    async def _next(self, seen: Event | None) -> Event | None:
        while self._event is seen and self._runs:
            await self._news.wait()
        return self._event if self._event is not seen else None

    async def _run(self) -> None:
        """Sample while there are streams."""
        try:
            while self._streams:
                self._publish(await self._sample())
                await asyncio.sleep(INTERVAL_S)
        except Exception:
            log.exception("the sampler failed")
        finally:
            self._runs = False
            self._publish(None)

    def _publish(self, event: Event | None) -> None:
        self._event = event
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _sample(self) -> Event:
        try:
            document = await self.document()
        except PyasynqError as error:
            return self._failure(problem_of(error))
        self._failing_since = None
        return Event("sample", msgspec.json.encode(to_json_types(document)))

    def _failure(self, problem: Problem) -> Event:
        self._failing_since = self._failing_since or datetime.now(UTC)
        members = {**problem.members(), "since": self._failing_since}
        return Event("problem", msgspec.json.encode(to_json_types(members)))

    def end_streams(self) -> None:
        """End all streams."""
        if self._job is not None:
            self._job.cancel()

    async def aclose(self) -> None:
        """Stop sampling."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.wait([self._job])
