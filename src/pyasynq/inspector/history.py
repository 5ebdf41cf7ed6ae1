"""Read what ran lately."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from pyasynq.broker import Broker, CountedSpan
from pyasynq.core.errors import OptionError, QueueNotFoundError
from pyasynq.core.message import instant
from pyasynq.core.run_stats import (
    KEPT_S,
    MINUTE_S,
    MOST_TYPES,
    TEN_MINUTES_S,
    RunSpan,
    add_counts,
    type_stats,
)

LONGEST: Final = timedelta(seconds=KEPT_S[TEN_MINUTES_S])


class RunHistory:
    """Reads the counts that workers have written."""

    def __init__(self, broker: Broker) -> None:
        """Ask *broker*."""
        self._broker = broker

    async def spans(self, queue: str | None, last: timedelta) -> list[CountedSpan]:
        """Return the spans of one or all queues, in no order.

        Raises:
            OptionError: If *last* is not a time that can be looked back.
            QueueNotFoundError: If there is no such queue.
            NotSupportedError: If the broker has no history.
        """
        length_s, start_s = _length_s(last), int((datetime.now(UTC) - last).timestamp())
        names = None if queue is None else [queue]
        queues = await self._broker.inspection.queues(names)
        if queue is not None and not queues:
            raise QueueNotFoundError(queue)
        spans: list[CountedSpan] = []
        for name in queues:
            spans += await self._broker.history.read(name, length_s=length_s, start_s=start_s)
        return spans

    async def run_spans(self, queue: str | None, last: timedelta) -> list[RunSpan]:
        """Return what ran in each span, the earliest first."""
        merged: dict[int, dict[str, list[int]]] = {}
        for span in await self.spans(queue, last):
            add_counts(merged.setdefault(span.start_s, {}), span.types, MOST_TYPES)
        return _run_spans(sorted(merged.items()), timedelta(seconds=_length_s(last)))


def _length_s(last: timedelta) -> int:
    if not timedelta(0) < last <= LONGEST:
        raise OptionError("last", last, f"a positive time, at most {LONGEST.days} days")
    return MINUTE_S if last.total_seconds() <= KEPT_S[MINUTE_S] else TEN_MINUTES_S


def _run_spans(
    spans: Sequence[tuple[int, dict[str, list[int]]]], length: timedelta
) -> list[RunSpan]:
    return [
        RunSpan(start=instant(start_s), length=length, types=type_stats(types))
        for start_s, types in spans
    ]
