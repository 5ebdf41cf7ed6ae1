"""The numbers: one list for each contender and metric; reports show the median."""

import statistics
from collections import defaultdict
from dataclasses import dataclass, field


@dataclass(slots=True)
class Sheet:
    """The measurements so far.

    Metrics: ``enqueue.one|flight|many``, ``drain.<slots>``, ``redis_us.<slots>``,
    ``redis_main_us.<slots>``, ``worker_us.<slots>``, ``rss.<slots>`` (bytes at the end of a drain),
    ``bytes``, ``pickup.p50|p99`` (ms); for pyasynq also ``pair`` (drain rate of two processes),
    ``long.small|large`` (drain rates) and ``rss.first|tenth|last`` (bytes).
    """

    numbers: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def add(self, name: str, metric: str, value: float) -> None:
        """Add one measurement."""
        self.numbers.setdefault(name, defaultdict(list))[metric].append(value)

    def median(self, name: str, metric: str) -> float | None:
        """Return the median of the measurements, or None without any."""
        values = self.numbers.get(name, {}).get(metric)
        return statistics.median(values) if values else None
