"""The contenders: names, numbers of tasks, and settings as the report shows them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

SLOTS = (10, 100, 1_000)
ALL_SLOTS = (1, *SLOTS)

StoreKind: TypeAlias = Literal["redis", "sqlite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """One task queue.

    Attributes:
        name: Name in the table.
        module: Its file in `benchmarks.peers`.
        distributions: Names of its packages, joined with ``+``.
        store: What it keeps its tasks in.
        apart: Whether it needs a separate environment (``requirements/bench-<module>.txt``),
            because it needs another version of redis-py than the others.
        least_python: The oldest Python that it runs on.
        on_asyncio: Whether ``--uvloop`` applies to it.
        slots: The concurrencies of its drain measurements.
        enqueues: Number of tasks of one enqueue measurement.
        drains: Number of tasks of one drain measurement.
        pickups: Number of tasks of the pick-up measurement.
        settings: Its settings, as text for the report.
    """

    name: str
    module: str
    distributions: str
    store: StoreKind = "redis"
    apart: bool = False
    least_python: tuple[int, int] = (3, 11)
    on_asyncio: bool = True
    slots: tuple[int, ...] = SLOTS
    enqueues: int = 2_000
    drains: int = 4_000
    pickups: int = 25
    settings: str

    def scaled(self, factor: float) -> "Peer":
        """Return a copy with *factor* times the tasks, but not too few."""
        return replace(
            self,
            enqueues=max(500, int(self.enqueues * factor)),
            drains=max(1_000, int(self.drains * factor)),
            pickups=max(10, int(self.pickups * factor)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GoPeer:
    """asynq in Go, through the program of ``tests/interop/peer``; attributes as in `Peer`."""

    name: str = "asynq (Go)"
    store: StoreKind = "redis"
    slots: tuple[int, ...] = SLOTS
    enqueues: int = 20_000
    drains: int = 20_000
    pickups: int = 25
    settings: str = (
        "enqueue: 1 goroutine, then 32 (its only way to enqueue many); drain: from the start of "
        "the server to the last task"
    )

    def scaled(self, factor: float) -> "GoPeer":
        """Return a copy with *factor* times the tasks, but not too few."""
        return replace(
            self,
            enqueues=max(2_000, int(self.enqueues * factor)),
            drains=max(3_000, int(self.drains * factor)),
            pickups=max(5, int(self.pickups * factor)),
        )


Contender: TypeAlias = Peer | GoPeer

PYASYNQ = Peer(
    name="pyasynq",
    module="pyasynq",
    distributions="pyasynq",
    enqueues=20_000,
    drains=60_000,
    pickups=100,
    settings="default settings; many: `enqueue_many` with 1,000 tasks a call",
)

GO = GoPeer()

ARDIQ = Peer(
    name="ArdiQ",
    module="ardiq",
    distributions="ardiq",
    least_python=(3, 12),
    settings=(
        "`result_ttl_ms=0`, so no results (default 5 min); a worker prefetches twice as many tasks "
        "as it runs; many: `enqueue_many` with 1,000 tasks a call"
    ),
)
"""It has a core in Rust; `PEERS` are Python, with C below the driver at most."""

PEERS = (
    Peer(
        name="arq",
        module="arq",
        distributions="arq",
        apart=True,
        settings="`keep_result=0`, `poll_delay=0.01` (default 0.5 s)",
    ),
    Peer(
        name="taskiq (stream)",
        module="taskiq",
        distributions="taskiq+taskiq-redis",
        settings=(
            "`RedisStreamBroker`, which acknowledges; no result backend; `max_prefetch` equals the "
            "concurrency (default 0)"
        ),
    ),
    Peer(
        name="taskiq (list)",
        module="taskiq_list",
        distributions="taskiq+taskiq-redis",
        settings="`ListQueueBroker`, which loses a task with its worker; the same settings",
    ),
    Peer(
        name="streaq",
        module="streaq",
        distributions="streaq",
        settings="`ttl=0`, `silent=True`; many: `enqueue_many` with 1,000 tasks a call",
    ),
    Peer(
        name="saq",
        module="saq",
        distributions="saq",
        apart=True,
        settings="`ttl=-1`, `max_concurrent_ops=1000` (default 20)",
    ),
    Peer(
        name="dramatiq",
        module="dramatiq",
        distributions="dramatiq",
        on_asyncio=False,
        settings=(
            "one process with a thread for each slot; default middleware, no results; "
            "prefetch at least 200 (default: twice the threads)"
        ),
    ),
    Peer(
        name="celery",
        module="celery",
        distributions="celery",
        on_asyncio=False,
        drains=2_000,
        settings=(
            "`-P threads`, prefetch multiplier 64 (default 4), results, events, gossip, "
            "mingle and heartbeat off"
        ),
    ),
    Peer(
        name="rq",
        module="rq",
        distributions="rq",
        on_asyncio=False,
        slots=(1,),
        drains=1_000,
        settings=(
            "`SimpleWorker` (no fork for each task), `result_ttl=0`; a process runs one task at a "
            "time; many: `enqueue_many` with 1,000 tasks a call"
        ),
    ),
    Peer(
        name="huey",
        module="huey",
        distributions="huey",
        on_asyncio=False,
        settings="`-k thread`, `results=False`; it does not acknowledge",
    ),
)

PYASYNQ_SQLITE = replace(
    PYASYNQ,
    name="pyasynq (SQLite)",
    module="pyasynq_sqlite",
    store="sqlite",
    enqueues=10_000,
    settings=(
        "default settings: `enqueue` returns once its task is on the disk; verdicts are not "
        "synced, so a power cut lets the last tasks run again"
    ),
)
PYASYNQ_SQLITE_NORMAL = replace(
    PYASYNQ_SQLITE,
    name="pyasynq (SQLite, normal)",
    module="pyasynq_sqlite_normal",
    settings="`synchronous=normal`: synced at checkpoints; a power cut loses the last tasks",
)
PYASYNQ_SQLITE_FULL = replace(
    PYASYNQ_SQLITE,
    name="pyasynq (SQLite, full)",
    module="pyasynq_sqlite_full",
    settings="`synchronous=full`: every commit is synced",
)
HUEY_SQLITE = Peer(
    name="huey (SQLite)",
    module="huey_sqlite",
    distributions="huey",
    store="sqlite",
    on_asyncio=False,
    slots=(1, 10, 100),
    pickups=50,
    settings="`SqliteHuey`, `fsync=True`: every commit is synced; otherwise as on Redis",
)
HUEY_SQLITE_UNSYNCED = replace(
    HUEY_SQLITE,
    name="huey (SQLite, unsynced)",
    module="huey_sqlite_unsynced",
    settings="`SqliteHuey`, `fsync=False`: nothing is synced; a power cut may damage the file",
)
TASKITO = Peer(
    name="taskito (SQLite)",
    module="taskito",
    distributions="taskito",
    store="sqlite",
    on_asyncio=False,
    slots=(1, 10, 100),
    drains=1_000,
    settings=(
        "a thread for each slot; `scheduler_batch_size` equals the concurrency (default 1), "
        "`scheduler_poll_interval_ms=10` (default 50), `push_dispatch=True`; synced at "
        "checkpoints; many: `enqueue_many` with 1,000 tasks a call"
    ),
)

EMBEDDED = (
    PYASYNQ_SQLITE,
    PYASYNQ_SQLITE_NORMAL,
    PYASYNQ_SQLITE_FULL,
    HUEY_SQLITE,
    HUEY_SQLITE_UNSYNCED,
    TASKITO,
)
"""Contenders without a server, for one machine."""

IN_TURN = (PYASYNQ, GO, ARDIQ, *EMBEDDED)
"""Contenders of the goals' ratios: each measurement is made for one right after the other."""


def select(only: Sequence[str]) -> list[Contender]:
    """Return the contenders with a word in their name that starts with one of *only*; or all."""
    starts = [re.compile(rf"\b{re.escape(start)}", re.IGNORECASE) for start in only]
    everyone: list[Contender] = [PYASYNQ, GO, ARDIQ, *PEERS, *EMBEDDED]
    return [one for one in everyone if not only or any(start.search(one.name) for start in starts)]
