"""One sampler for all who look: it reads the queues at most once a second."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerError, QueueNotFoundError
from pyasynq.diagnosis.diagnosis import diagnose
from pyasynq.diagnosis.reading import read_findings
from pyasynq.inspector import Inspector
from pyasynq.operations.concurrency import gather
from pyasynq.operations.overview import Alert, Past, Reading, broker_alerts, overview, queue_rows

INTERVAL_S: Final = 1.0
"""Seconds between two samples."""

SLOW_S: Final = 30.0
"""Seconds between two readings of what takes longer: histories and the checks of the broker."""

COMPARED: Final = 20
"""Slow readings that are kept: alerts compare with the oldest, ten minutes ago."""

READINGS: Final = 70
"""Readings that are kept, for rates."""

RATES: Final = timedelta(seconds=10)
FAILURES: Final = timedelta(seconds=60)
"""Times over which rates are computed: from one second to the next they would jump."""

MINUTES: Final = 60
HOUR: Final = timedelta(minutes=MINUTES)


class Sampler:
    """Reads what the overview shows, once for all who look.

    Attributes:
        interval_s: Seconds for which a reading is new.
    """

    def __init__(
        self, broker: Broker, inspector: Inspector, *, interval_s: float = INTERVAL_S
    ) -> None:
        """Read from *broker*."""
        self.interval_s: float = interval_s
        self._broker = broker
        self._inspector = inspector
        self._lock = asyncio.Lock()
        self._readings: deque[Reading] = deque(maxlen=READINGS)
        self._slow_readings: deque[Reading] = deque(maxlen=COMPARED)
        self._hours: Mapping[str, Sequence[int]] = {}
        self._alerts: Sequence[Alert] = ()

    async def document(self) -> dict[str, Any]:
        """Return the overview; it is read now, unless that was done within the interval."""
        async with self._lock:
            await self._read_if_old()
            document = overview(self._readings[-1], self._past(), self._alerts)
            return {**document, "interval": self.interval_s}

    async def queue_rows(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the members of each queue in the overview, by its name."""
        async with self._lock:
            await self._read_if_old()
            return {str(row["queue"]): row for row in queue_rows(self._readings[-1], self._past())}

    async def _read_if_old(self) -> None:
        now = datetime.now(UTC)
        if not self._readings or (now - self._readings[-1].at).total_seconds() >= self.interval_s:
            await self._read(now)

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
            hours = await gather(names, self._read_hour)
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
