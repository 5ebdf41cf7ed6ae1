"""Measure what batches and flows cost Redis, as ratios to plain tasks.

``make bench`` measures it, too; ``python -m benchmarks.workflows`` prints it alone.
"""

import argparse
import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from benchmarks import private_redis
from benchmarks.goals import Goal
from benchmarks.results import log_progress
from benchmarks.table import format_number, format_table
from pyasynq import ActiveTask, Batch, Client, Flow, Server, Task

TASKS: Final = 20_000
ROUNDS: Final = 3
SLOTS: Final = 100
IN_FLIGHT: Final = 32

HEAD: Final = ("Redis CPU of a task, relative to a plain one", "create", "run")

METHOD: Final = """\
The CPU time of Redis for each task, divided by that of a plain task right before: *create* is
compared with `enqueue_many`, *run* with a worker that drains what that has enqueued. The numbers
are medians. Each flow is a call of its own, which `enqueue_many` has for hundreds of tasks. What a
chain or a diamond creates while it runs counts as *run*."""

Fill: TypeAlias = Callable[[Client, int], Awaitable[object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A way in which tasks are created.

    Attributes:
        text: Description.
        fill: Creates a number of tasks.
        bound: Goal for *run*.
    """

    text: str
    fill: Fill
    bound: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """What a case costs, relative to plain tasks.

    Attributes:
        case: The case.
        create: Median for the creation of a task.
        run: Median for its run.
    """

    case: Case
    create: float
    run: float


def _tasks(count: int) -> list[Task]:
    return [Task("t", b"x" * 100) for _ in range(count)]


async def _plain(client: Client, count: int) -> None:
    await client.enqueue_many(_tasks(count))


async def _together(client: Client, count: int) -> None:
    await client.enqueue_all(_tasks(count))


async def _batch(client: Client, count: int) -> None:
    await client.enqueue_batch(Batch(_tasks(count - 1), then=Task("t")))


def _flows(draw: Callable[[Flow], None], steps: int) -> Fill:
    """Return what creates flows of a number of *steps*, which *draw* adds."""

    async def fill(client: Client, count: int) -> None:
        numbers = iter(range(count // steps))

        async def enqueue() -> None:
            for _ in numbers:
                flow = Flow("bench")
                draw(flow)
                await client.enqueue_flow(flow)

        async with asyncio.TaskGroup() as group:
            for _ in range(IN_FLIGHT):
                group.create_task(enqueue())

    return fill


def _chain(steps: int) -> Callable[[Flow], None]:
    def draw(flow: Flow) -> None:
        for task in _tasks(steps):
            flow.add(task, after=flow.all[-1:])

    return draw


def _diamond(flow: Flow) -> None:
    first, *middle, last = _tasks(10)
    flow.add(first)
    flow.add(last, after=[flow.add(task, after=flow.all[0]) for task in middle])


CASES: Final = (
    Case(text="together (enqueue_all)", fill=_together, bound=1.1),
    Case(text="member of a batch", fill=_batch, bound=1.2),
    Case(text="flow of one step", fill=_flows(_chain(1), 1), bound=1.4),
    Case(text="chain of 4 steps", fill=_flows(_chain(4), 4), bound=2.4),
    Case(text="diamond of 1, 8 and 1 steps", fill=_flows(_diamond, 10), bound=3.1),
)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflows", description=__doc__)
    parser.add_argument("--tasks", type=int, default=TASKS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args()
    print(format_ratios(asyncio.run(measure_workflows(options.tasks, options.rounds))))


async def measure_workflows(tasks: int = TASKS, rounds: int = ROUNDS) -> list[Ratio]:
    """Return what each case costs, with some *tasks*, in several *rounds*."""
    ratios: list[Ratio] = []
    async with private_redis.start() as redis:
        for case in CASES:
            log_progress(f"workflows: {case.text}")
            pairs = [await _compare(redis, case.fill, tasks) for _ in range(rounds)]
            create, run = (statistics.median(numbers) for numbers in zip(*pairs, strict=True))
            ratios.append(Ratio(case=case, create=create, run=run))
    return ratios


def format_ratios(ratios: Sequence[Ratio]) -> str:
    """Return the table and the method as Markdown."""
    rows = [
        (it.case.text, format_number(it.create, decimals=2), format_number(it.run, decimals=2))
        for it in ratios
    ]
    return "\n".join(format_table(HEAD, rows)) + f"\n\n{METHOD}"


def evaluate_workflows(ratios: Sequence[Ratio]) -> Iterator[Goal]:
    """Yield the goals for tasks of batches and flows."""
    for it in ratios:
        text = f"Redis CPU to run a task, relative to a plain one: {it.case.text}"
        yield Goal(text=text, value=it.run, bound=it.case.bound, is_floor=False)


async def _compare(redis: private_redis.Server, fill: Fill, tasks: int) -> tuple[float, float]:
    """Return what creating and running *tasks* costs, relative to plain ones."""
    plain = await _measure(redis, _plain, tasks)
    cost = await _measure(redis, fill, tasks)
    return cost[0] / plain[0], cost[1] / plain[1]


async def _measure(redis: private_redis.Server, fill: Fill, tasks: int) -> tuple[float, float]:
    """Return the CPU time of Redis, µs, for creating *tasks* and for running them."""
    redis.client.flushall()
    url, ran = f"redis://{redis.address}", 0

    async def handle(_: ActiveTask) -> None:
        nonlocal ran
        ran += 1

    began = redis.cpu_us()[0]
    async with Client(url) as client:
        await fill(client, tasks)
    created = redis.cpu_us()[0]
    await Server(url, concurrency=SLOTS, burst=True).run(handle)
    assert ran == tasks, f"{ran} of {tasks} tasks have run"
    return created - began, redis.cpu_us()[0] - created


if __name__ == "__main__":
    main()
