"""A call does the same work in a long queue as in a short one, counted in steps of SQLite."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pyasynq.broker import Broker, Container, GroupRules, Lease, open_broker
from pyasynq.broker.sqlite import store
from pyasynq.broker.sqlite.connection import connect
from pyasynq.broker.sqlite_url import SqliteAddress
from pyasynq.core.states import Action, TaskState
from pyasynq.core.verdict import DONE, REQUEUE, Verdict
from tests.support.factories import (
    a_grouped,
    a_pending,
    a_scheduled,
    archived,
    completed,
    create,
    enqueue,
    retried,
    take,
)

SHORT, LONG = 100, 2000
MANY = "many"
"""The queue with as many tasks in each state."""

Call = Callable[[Broker], Awaitable[object]]

SCHEDULED = Container(queue=MANY, state=TaskState.SCHEDULED, group="")
PENDING = Container(queue=MANY, state=TaskState.PENDING, group="")
COMPLETED = Container(queue=MANY, state=TaskState.COMPLETED, group="")
GROUPED = Container(queue=MANY, state=TaskState.AGGREGATING, group="g")
RULES = GroupRules(grace_s=3600, max_size=5)


def settled(make: Callable[[Lease], Verdict]) -> Call:
    """Return a call that takes a task and settles it."""

    async def call(broker: Broker) -> None:
        (lease,) = await take(broker, queue=MANY)
        assert await broker.work.settle([(lease, make(lease))]) == [True]

    return call


CALLS: dict[str, Call] = {
    "create": lambda b: create(b, [a_pending("new", queue=MANY)]),
    "create one that exists": lambda b: create(b, [a_scheduled("scheduled 5", queue=MANY)]),
    "take": lambda b: take(b, 5, queue=MANY),
    "take from another queue": lambda b: take(b, 5, queue="other"),
    "done": settled(lambda _lease: DONE),
    "complete": settled(completed),
    "retry": settled(retried),
    "archive": settled(archived),
    "requeue": settled(lambda _lease: REQUEUE),
    "forward": lambda b: b.upkeep.forward(MANY),
    "expired": lambda b: b.upkeep.expired(MANY),
    "trim": lambda b: b.upkeep.trim(MANY, limit=10),
    "ready groups": lambda b: b.groups.ready(MANY, RULES, server_id="me"),
    "stage": lambda b: b.groups.stage(MANY, "g", RULES),
    "reclaim": lambda b: b.groups.reclaim(MANY),
    "task": lambda b: b.inspection.task(MANY, "pending 5"),
    "pending tasks": lambda b: b.inspection.tasks(PENDING, 0, 5),
    "scheduled tasks": lambda b: b.inspection.tasks(SCHEDULED, 0, 5),
    "completed tasks": lambda b: b.inspection.tasks(COMPLETED, 0, 5),
    "run some": lambda b: b.inspection.apply(Action.RUN, SCHEDULED, 5),
    "run one": lambda b: b.inspection.apply(Action.RUN, SCHEDULED, ["scheduled 5"]),
    "archive some": lambda b: b.inspection.apply(Action.ARCHIVE, SCHEDULED, 5),
    "delete some": lambda b: b.inspection.apply(Action.DELETE, GROUPED, 5),
    "pause": lambda b: b.inspection.pause(MANY, paused=True),
    "queues": lambda b: b.inspection.queues(),
}


class Steps:
    """Counts the steps of SQLite's virtual machine on all connections."""

    def __init__(self) -> None:
        self.count = 0

    def connect(self, address: SqliteAddress, *, sync: bool) -> sqlite3.Connection:
        connection = connect(address, sync=sync)
        connection.set_progress_handler(self._step, 1)
        return connection

    def _step(self) -> int:
        self.count += 1
        return 0


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Steps:
    """Count the steps of the brokers that the test makes."""
    steps = Steps()
    monkeypatch.setattr(store, "connect", steps.connect)
    return steps


async def a_queue(path: Path, count: int) -> Broker:
    """Return a broker with *count* tasks in each state that can have many."""
    broker = open_broker(f"sqlite:///{path}")
    done = [a_pending(f"completed {n}", queue=MANY) for n in range(count)]
    await create(broker, done)
    while leases := await take(broker, 100, queue=MANY):
        await broker.work.settle([(lease, completed(lease)) for lease in leases])
    await create(broker, [a_pending(f"pending {n}", queue=MANY) for n in range(count)])
    await create(broker, [a_scheduled(f"scheduled {n}", queue=MANY) for n in range(count)])
    await create(broker, [a_grouped(f"grouped {n}", queue=MANY) for n in range(count)])
    await enqueue(broker, a_pending(queue="other"))
    return broker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Return a file with a short queue and one with a long queue."""
    folder = tmp_path_factory.mktemp("queues")
    paths = {count: folder / f"{count}.db" for count in (SHORT, LONG)}

    async def fill() -> None:
        for count, path in paths.items():
            broker = await a_queue(path, count)
            await broker.aclose()

    asyncio.run(fill())
    return paths


@pytest.fixture
async def brokers(
    files: dict[int, Path], steps: Steps, tmp_path: Path
) -> AsyncIterator[dict[int, Broker]]:
    """Yield a broker over a copy of each file."""
    del steps  # it counts what these brokers do
    brokers: dict[int, Broker] = {}
    for count, path in files.items():
        copy = tmp_path / path.name
        copy.write_bytes(path.read_bytes())
        brokers[count] = open_broker(f"sqlite:///{copy}")
        await brokers[count].ping()
    yield brokers
    for broker in brokers.values():
        await broker.aclose()


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_does_the_same_work_in_a_long_queue(
    name: str, brokers: dict[int, Broker], steps: Steps
) -> None:
    async def work_in(count: int) -> int:
        before = steps.count
        await CALLS[name](brokers[count])
        return steps.count - before

    short, long = await work_in(SHORT), await work_in(LONG)
    assert 0 < long < 1.5 * short + 50
