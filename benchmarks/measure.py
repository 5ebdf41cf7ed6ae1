"""The measurements. Each has its own Redis or SQLite file, and adds its results to the sheet."""

import asyncio
import random
import statistics
from typing import Protocol

from benchmarks import programs, stores
from benchmarks.installed import GoRun, PythonRun, Run
from benchmarks.sheet import Sheet

SLOTS_OF_LONG_RUN = 100
GOROUTINES = {"one": 1, "flight": 32, "fill": 32}
PICKUP_SLOTS = 10
PICKUP_WARM_UP = 3
PICKUP_GAP_S = (0.2, 0.6)
LEAST_TASKS_FOR_A_SLOT = 5
SURE_SHARE = 0.35
"""Part of the tasks that each of two workers gets, although one is faster than the other."""

PATIENCE_S = 60


class Measurement(Protocol):
    """A measurement of a contender."""

    def __str__(self) -> str:
        """Return a short description."""

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        """Measure it."""


class Enqueue:
    """How fast a client enqueues: ``one`` at a time, ``flight`` concurrently, ``many`` per call."""

    def __init__(self, how: str) -> None:
        self._how = how

    def __str__(self) -> str:
        return f"enqueue {self._how}"

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        if isinstance(run, GoRun) and self._how == "many":
            return
        async with stores.start(run.peer.store) as store:
            command = _enqueue_command(run, store.address, self._how, run.peer.enqueues)
            record = await programs.read_answer(command, PATIENCE_S)
        if record["rate"] is not None:
            sheet.add(run.peer.name, f"enqueue.{self._how}", record["rate"])


class Drain:
    """How fast a worker handles waiting tasks, the CPU time of Redis, and the size of a task."""

    def __init__(self, slots: int) -> None:
        self._slots = slots

    def __str__(self) -> str:
        return f"drain with {self._slots} slots"

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        n = max(run.peer.drains, LEAST_TASKS_FOR_A_SLOT * self._slots)
        async with stores.start(run.peer.store) as store:
            empty = store.size_bytes()
            await programs.read_answer(_enqueue_command(run, store.address, "fill", n), PATIENCE_S)
            sheet.add(run.peer.name, "bytes", (store.size_bytes() - empty) / n)
            before = store.cpu_us()
            record = await programs.read_answer(
                _drain_command(run, store.address, n, self._slots, PATIENCE_S), PATIENCE_S
            )
            after = store.cpu_us()
        sheet.add(run.peer.name, f"drain.{self._slots}", record["rate"])
        sheet.add(run.peer.name, f"rss.{self._slots}", record["rss"][-1])
        if "cpu_us" in record:
            sheet.add(run.peer.name, f"worker_us.{self._slots}", record["cpu_us"])
        for thread, then, now in zip(("redis_us", "redis_main_us"), before, after, strict=False):
            sheet.add(run.peer.name, f"{thread}.{self._slots}", (now - then) / n)


class Pair:
    """How fast two worker processes handle the tasks of one queue together.

    Each reports its rate from its first task on; both begin at once, and neither ends before the
    other has reported.
    """

    def __str__(self) -> str:
        return "drain with two processes"

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        assert isinstance(run, PythonRun)
        n = 2 * run.peer.drains
        async with stores.start(run.peer.store) as store:
            await programs.read_answer(_enqueue_command(run, store.address, "fill", n), PATIENCE_S)
            share = int(n * SURE_SHARE)
            command = _drain_command(run, store.address, share, SLOTS_OF_LONG_RUN, PATIENCE_S)
            command.append("--hold")
            async with programs.run(command) as first, programs.run(command) as second:
                for worker in (first, second):
                    await worker.read_answer(PATIENCE_S)
                for worker in (first, second):
                    worker.send_line()
                records = [await worker.read_answer(PATIENCE_S) for worker in (first, second)]
        sheet.add(run.peer.name, "pair", sum(record["rate"] for record in records))


class Pickup:
    """How long a task waits for an idle worker."""

    def __str__(self) -> str:
        return "pick-up by an idle worker"

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        async with stores.start(run.peer.store) as store:
            match run:
                case GoRun():
                    p50, p99 = await self._go(run, store.address)
                case PythonRun():
                    p50, p99 = await self._python(run, store.address)
        sheet.add(run.peer.name, "pickup.p50", p50)
        sheet.add(run.peer.name, "pickup.p99", p99)

    @staticmethod
    async def _go(run: GoRun, address: str) -> tuple[float, float]:
        command = run.command("pickup", address, f"--n={run.peer.pickups}")
        record = await programs.read_answer(command, PATIENCE_S)
        return record["p50_ms"], record["max_ms"]

    @staticmethod
    async def _python(run: PythonRun, address: str) -> tuple[float, float]:
        serve = run.command("serve", address, f"--concurrency={PICKUP_SLOTS}", "--limit=120")
        send = run.command("send", address, "--limit=120")
        delays: list[float] = []
        async with programs.run(send) as sender, programs.run(serve) as worker:
            for _ in range(PICKUP_WARM_UP + run.peer.pickups):
                await asyncio.sleep(random.uniform(*PICKUP_GAP_S))
                sender.send_line()
                delays.append((await worker.read_answer(PATIENCE_S))["delay_ms"])
        return percentiles(delays[PICKUP_WARM_UP:])


class LongRun:
    """How fast a worker drains a long and a short queue, and how much memory it needs."""

    def __init__(self, large: int, small: int) -> None:
        self._large = large
        self._small = small

    def __str__(self) -> str:
        return f"drain {self._small:,} and {self._large:,} tasks"

    async def __call__(self, run: Run, sheet: Sheet) -> None:
        for _ in range(3):
            record = await self._drain_queue(run, self._small)
            sheet.add(run.peer.name, "long.small", record["rate"])
        record = await self._drain_queue(run, self._large)
        sheet.add(run.peer.name, "long.large", record["rate"])
        for when, rss in zip(("first", "tenth", "last"), record["rss"], strict=True):
            sheet.add(run.peer.name, f"rss.{when}", rss)

    @staticmethod
    async def _drain_queue(run: Run, n: int) -> programs.Record:
        patience_s = PATIENCE_S + n / 5_000
        async with stores.start(run.peer.store) as store:
            fill = [*_enqueue_command(run, store.address, "fill", n), f"--limit={patience_s}"]
            await programs.read_answer(fill, patience_s)
            return await programs.read_answer(
                _drain_command(run, store.address, n, SLOTS_OF_LONG_RUN, patience_s), patience_s
            )


def _enqueue_command(run: Run, address: str, how: str, n: int) -> list[str]:
    """Return the command line that enqueues *n* tasks."""
    match run:
        case GoRun():
            return run.command("enqueue", address, f"--n={n}", f"--goroutines={GOROUTINES[how]}")
        case PythonRun():
            warm = 0 if how == "fill" else 200
            return run.command("enqueue", address, f"--n={n}", f"--how={how}", f"--warm={warm}")


def _drain_command(run: Run, address: str, n: int, slots: int, limit_s: float) -> list[str]:
    """Return the command line that handles *n* tasks."""
    flags = [f"--n={n}", f"--concurrency={slots}"]
    limit = [f"--limit={limit_s}"] if isinstance(run, PythonRun) else []
    return run.command("drain", address, *flags, *limit)


def percentiles(delays: list[float]) -> tuple[float, float]:
    """Return the median, and the 99th percentile by the nearest rank."""
    rank = -(-99 * len(delays) // 100)
    return statistics.median(delays), sorted(delays)[rank - 1]
