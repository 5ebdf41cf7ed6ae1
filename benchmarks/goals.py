"""The goals of pyasynq, compared with the measurements. They are no tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.roster import (
    ALL_SLOTS,
    ARDIQ,
    GO,
    HUEY_SQLITE,
    PEERS,
    PYASYNQ,
    PYASYNQ_SQLITE,
    PYASYNQ_SQLITE_NORMAL,
)
from benchmarks.sheet import Sheet

US = PYASYNQ.name

PAIR_CORES = 4
"""Cores for two workers, Redis and the rest; one worker and Redis use two cores up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """One goal.

    Attributes:
        text: Description.
        value: The measurement; None if it was skipped.
        bound: The value to reach.
        is_floor: Whether *value* should be at least *bound*, rather than at most.
        unit: Text after a number.
    """

    text: str
    value: float | None
    bound: float
    is_floor: bool = True
    unit: str = "×"

    @property
    def mark(self) -> str:
        """Return ``pass``, ``FAIL`` or ``n/a``."""
        if self.value is None:
            return "n/a"
        is_met = self.value >= self.bound if self.is_floor else self.value <= self.bound
        return "pass" if is_met else "FAIL"


def evaluate_goals(sheet: Sheet, cores: int) -> Iterator[Goal]:
    """Yield the goals with their measurements from *sheet*, made on a machine with *cores*."""
    yield from _evaluate_redis(sheet, cores)
    yield from _evaluate_sqlite(sheet)


def _evaluate_redis(sheet: Sheet, cores: int) -> Iterator[Goal]:
    yield from _evaluate_drain(sheet, cores)
    yield from _evaluate_enqueue(sheet)
    yield from _evaluate_costs(sheet)
    yield from _evaluate_long_queue(sheet)


def _evaluate_drain(sheet: Sheet, cores: int) -> Iterator[Goal]:
    drain = sheet.median(US, "drain.100")
    yield Goal(
        text="drain, 100 slots, one process, relative to Go",
        value=_ratio(drain, sheet.median(GO.name, "drain.100")),
        bound=5,
    )
    yield Goal(
        text="drain, 100 slots, one process, relative to ArdiQ, which has a core in Rust",
        value=_ratio(drain, sheet.median(ARDIQ.name, "drain.100")),
        bound=8,
    )
    for when, slots in (("", (1, 100)), (" at any concurrency", ALL_SLOTS)):
        best, rival = _find_best_peer(sheet, slots)
        yield Goal(
            text=f"drain, 100 slots, one process, relative to the best Python peer{when}{rival}",
            value=_ratio(drain, best),
            bound=10,
        )
    yield Goal(
        text=f"drain, 100 slots, two processes, relative to one; needs {PAIR_CORES} cores",
        value=_ratio(sheet.median(US, "pair"), drain) if cores >= PAIR_CORES else None,
        bound=1.5,
    )


def _evaluate_enqueue(sheet: Sheet) -> Iterator[Goal]:
    """Yield the goals of clients, and of the way from a client to an idle worker."""
    flight = sheet.median(GO.name, "enqueue.flight")
    yield Goal(
        text="`enqueue_many`, relative to Go with 32 goroutines",
        value=_ratio(sheet.median(US, "enqueue.many"), flight),
        bound=2,
    )
    yield Goal(
        text="enqueue, 100 in flight, relative to Go with 32 goroutines",
        value=_ratio(sheet.median(US, "enqueue.flight"), flight),
        bound=0.7,
    )
    yield Goal(
        text="pick-up by an idle worker, p99",
        value=sheet.median(US, "pickup.p99"),
        bound=3,
        is_floor=False,
        unit=" ms",
    )


def _evaluate_costs(sheet: Sheet) -> Iterator[Goal]:
    yield Goal(
        text="Redis CPU per task, drain with 100 slots, relative to Go",
        value=_ratio(sheet.median(US, "redis_us.100"), sheet.median(GO.name, "redis_us.100")),
        bound=0.28,
        is_floor=False,
    )
    leanest, rival = _find_leanest(sheet)
    yield Goal(
        text=f"drain for each MB of the worker's memory, relative to the best contender{rival}",
        value=_ratio(rate_per_mb(sheet, US), leanest),
        bound=1,
    )


def _evaluate_long_queue(sheet: Sheet) -> Iterator[Goal]:
    yield Goal(
        text="drain of a long queue, relative to a short one",
        value=_ratio(sheet.median(US, "long.large"), sheet.median(US, "long.small")),
        bound=0.9,
    )
    yield Goal(
        text="memory of the worker at the end of the long queue, relative to its first tenth",
        value=_ratio(sheet.median(US, "rss.last"), sheet.median(US, "rss.tenth")),
        bound=1.1,
        is_floor=False,
    )


def _evaluate_sqlite(sheet: Sheet) -> Iterator[Goal]:
    """Yield the goals on SQLite, where both sync accepted tasks; huey has no bulk call."""
    ours, huey = PYASYNQ_SQLITE.name, HUEY_SQLITE.name
    yield Goal(
        text="SQLite: `enqueue_many`, relative to huey's fastest way to enqueue",
        value=_ratio(
            sheet.median(ours, "enqueue.many"),
            _find_best(sheet, huey, ("enqueue.one", "enqueue.flight")),
        ),
        bound=6,
    )
    yield Goal(
        text="SQLite: drain, 100 slots, one process, relative to huey at any concurrency",
        value=_ratio(
            sheet.median(ours, "drain.100"),
            _find_best(sheet, huey, [f"drain.{slots}" for slots in ALL_SLOTS]),
        ),
        bound=5,
    )
    for name, percentile, bound in (
        (ours, "p50", 3),
        (ours, "p99", 25),
        (PYASYNQ_SQLITE_NORMAL.name, "p99", 5),
    ):
        yield Goal(
            text=f"{name}: pick-up by an idle worker, {percentile}",
            value=sheet.median(name, f"pickup.{percentile}"),
            bound=bound,
            is_floor=False,
            unit=" ms",
        )


def _find_best(sheet: Sheet, name: str, metrics: Sequence[str]) -> float | None:
    """Return the largest median of *metrics*; None if none was measured."""
    found = (sheet.median(name, metric) for metric in metrics)
    return max((value for value in found if value is not None), default=None)


def rate_per_mb(sheet: Sheet, name: str, slots: int = 100) -> float | None:
    """Return the drain rate for each MB of the worker's memory."""
    resident = sheet.median(name, f"rss.{slots}")
    return _ratio(sheet.median(name, f"drain.{slots}"), resident and resident / 1e6)


def _find_leanest(sheet: Sheet) -> tuple[float | None, str]:
    """Return the best rate for each MB of another contender on Redis, and its name."""
    found = [
        (rate, f" ({peer.name})")
        for peer in (GO, ARDIQ, *PEERS)
        if (rate := rate_per_mb(sheet, peer.name)) is not None
    ]
    return max(found, default=(None, ""))


def _find_best_peer(sheet: Sheet, slots: Sequence[int]) -> tuple[float | None, str]:
    """Return the best drain rate of a Python peer with any of *slots*, and the peer's name."""
    found = [
        (rate, f" ({peer.name})")
        for peer in PEERS
        for count in slots
        if (rate := sheet.median(peer.name, f"drain.{count}")) is not None
    ]
    return max(found, default=(None, ""))


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None
