"""A client creates all tasks or none, whatever fails on the way."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import TypeVar, cast

import pytest

from pyasynq import Client, Clock, DuplicateTaskError, OptionError, SyncClient, Task, TaskInfo
from pyasynq.broker import BatchPort, BatchRef, BatchRepair, Broker, Container, RemoveResult
from pyasynq.client.client import CHUNK
from pyasynq.client.middleware import CallNext
from pyasynq.core.batch import Batch, BatchInfo, BatchPlan
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerUnavailableError, PyasynqError
from pyasynq.core.options import Options
from pyasynq.core.policy import MAX_BULK
from pyasynq.core.states import TaskState
from tests.support.brokers import KINDS, broker_of
from tests.support.factories import a_pending, enqueue
from tests.support.servers import RedisServer

MANY = 2 * CHUNK + 1

T = TypeVar("T")


@pytest.fixture(params=KINDS)
async def broker(
    request: pytest.FixtureRequest, redis_server: RedisServer
) -> AsyncIterator[Broker]:
    async with broker_of(request.param, redis_server, Clock()) as broker:
        yield broker


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    async with Client(broker) as client:
        yield client


async def pending(broker: Broker, queue: str = "default") -> list[str]:
    """Return the ids of the pending tasks, the next to run first."""
    container = Container(queue=queue, state=TaskState.PENDING)
    return [task.id for task in (await broker.inspection.tasks(container, 0, 10_000)).tasks]


async def are_clean(broker: Broker, *queues: str) -> bool:
    """Return whether nothing at all is left of *queues*: then they need no force to be removed."""
    answers = [await broker.inspection.remove(queue, force=False) for queue in queues]
    return set(answers) == {RemoveResult.DONE}


# -- all of them -----------------------------------------------------------------------------------


async def test_all_tasks_are_enqueued_in_order(client: Client, broker: Broker) -> None:
    ids = await client.enqueue_all([Task("t")] * MANY)
    assert len(set(ids)) == MANY
    assert await pending(broker) == ids


async def test_tasks_may_come_from_a_generator(client: Client, broker: Broker) -> None:
    ids = await client.enqueue_all(Task("t", b"%d" % n) for n in range(MAX_BULK + 1))
    assert len(ids) == MAX_BULK + 1
    assert await pending(broker) == ids


async def test_no_tasks_are_enqueued_too(client: Client) -> None:
    assert await client.enqueue_all([]) == []


async def test_the_options_of_the_call_are_added_to_each(client: Client, broker: Broker) -> None:
    await client.enqueue_all([Task("t", task_id="1"), Task("t", task_id="2")], queue="low")
    assert await pending(broker, "low") == ["1", "2"]


async def test_tasks_of_several_queues_are_enqueued(client: Client, broker: Broker) -> None:
    tasks = [Task("t", queue=queue, task_id=queue) for queue in "abc"]
    assert await client.enqueue_all(tasks) == ["a", "b", "c"]
    assert [await pending(broker, queue) for queue in "abc"] == [["a"], ["b"], ["c"]]


async def test_middleware_is_called_for_each_task_in_order(broker: Broker) -> None:
    seen: list[str] = []

    async def note(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        seen.append(task.type)
        return await call_next(task, options)

    async with Client(broker, middleware=[note]) as client:
        await client.enqueue_all([Task("a"), Task("b")])
    assert seen == ["a", "b"]


def test_the_sync_client_enqueues_all(redis_url: str) -> None:
    with SyncClient(redis_url) as client:
        assert client.enqueue_all(Task("t", task_id=f"{n}") for n in range(3)) == ["0", "1", "2"]


# -- none of them ----------------------------------------------------------------------------------


async def test_one_refused_task_refuses_all(client: Client, broker: Broker) -> None:
    await client.enqueue(Task("t", b"p"), unique=timedelta(hours=1), task_id="first")
    tasks = [Task("t", b"%d" % n) for n in range(MANY)]
    late = Task("t", b"p", unique=timedelta(hours=1))
    with pytest.raises(DuplicateTaskError):
        await client.enqueue_all([*tasks, late])
    assert await pending(broker) == ["first"]
    await broker.inspection.remove("default", force=True)


async def test_a_generator_that_raises_leaves_nothing(client: Client, broker: Broker) -> None:
    def rows() -> Iterator[Task]:
        for _ in range(MANY):
            yield Task("t", queue="q")
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"):
        await client.enqueue_all(rows())
    assert await are_clean(broker, "q")


@pytest.mark.parametrize("wrong", ["a text", Task("t", b"large" * 1_000_000)], ids=type)
async def test_a_task_that_is_not_allowed_leaves_nothing(
    wrong: object, client: Client, broker: Broker
) -> None:
    tasks = [*[Task("t", queue="q")] * MANY, wrong]
    with pytest.raises(OptionError):
        await client.enqueue_all(cast("list[Task]", tasks))
    assert await are_clean(broker, "q")


async def test_a_middleware_that_raises_leaves_nothing(broker: Broker) -> None:
    async def refuse(task: Task, options: Options, call_next: CallNext) -> TaskInfo:
        if task.type == "bad":
            raise LookupError("bad")
        return await call_next(task, options)

    async with Client(broker, middleware=[refuse]) as client:
        with pytest.raises(LookupError, match="bad"):
            await client.enqueue_all([*[Task("t", queue="q")] * CHUNK, Task("bad")])
    assert await are_clean(broker, "q")


async def test_a_cancelled_call_leaves_nothing(client: Client, broker: Broker) -> None:
    reached = asyncio.Event()

    def tasks() -> Iterator[Task]:
        for _ in range(MANY):
            yield Task("t", queue="q")
        reached.set()
        job.cancel()
        yield Task("t", queue="q")

    job = asyncio.create_task(client.enqueue_all(tasks()))
    with pytest.raises(asyncio.CancelledError):
        await job
    assert reached.is_set()
    assert await are_clean(broker, "q")


async def test_tasks_is_a_list(client: Client) -> None:
    with pytest.raises(OptionError, match="a list of Tasks"):
        await client.enqueue_all(cast("list[Task]", Task("t")))


# -- a client that dies ----------------------------------------------------------------------------


class Dies(BaseException):
    """The process is killed."""


class Passing:
    """A port that passes each call on to the real one."""

    def __init__(self, port: BatchPort) -> None:
        self._port = port

    async def pass_on(self, call: Awaitable[T]) -> T:
        return await call

    async def stage(self, batch: BatchRef, plans: Sequence[Plan], *, first: int) -> None:
        await self.pass_on(self._port.stage(batch, plans, first=first))

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        await self.pass_on(self._port.commit(totals))

    async def release(self, batch: BatchRef) -> int:
        return await self.pass_on(self._port.release(batch))

    async def discard(self, batch: BatchRef) -> bool:
        return await self.pass_on(self._port.discard(batch))

    async def start(self, batch: BatchRef, total: int, plan: BatchPlan) -> None:
        await self.pass_on(self._port.start(batch, total, plan))

    async def read(self, queue: str, batch_id: str) -> BatchInfo | None:
        return await self._port.read(queue, batch_id)

    async def read_all(self, queue: str, start: int, count: int) -> Sequence[BatchInfo]:
        return await self._port.read_all(queue, start, count)

    async def failed_members(self, queue: str, batch_id: str) -> Sequence[str]:
        return await self._port.failed_members(queue, batch_id)

    async def outputs(self, queue: str, batch_id: str) -> Mapping[int, bytes] | None:
        return await self._port.outputs(queue, batch_id)

    async def retry(self, queue: str, batch_id: str) -> bool:
        return await self._port.retry(queue, batch_id)

    async def cancel(
        self, queue: str, batch_id: str, *, times: int | None = None
    ) -> Sequence[str] | None:
        return await self._port.cancel(queue, batch_id, times=times)

    async def is_cancelled(self, queue: str, batch_id: str) -> bool:
        return await self._port.is_cancelled(queue, batch_id)

    async def repair(
        self, queue: str, *, idle_s: int = 60, swept_s: int = 300, staged_s: int = 3600
    ) -> BatchRepair:
        return await self._port.repair(queue, idle_s=idle_s, swept_s=swept_s, staged_s=staged_s)


class Mortal(Passing):
    """The port of a client that dies at a call, before it or after the broker has answered."""

    def __init__(self, port: BatchPort, lives: int, moment: str) -> None:
        super().__init__(port)
        self._lives = lives
        self._moment = moment

    async def pass_on(self, call: Awaitable[T]) -> T:
        self._lives -= 1
        if self._lives == -1 and self._moment == "after":
            await call
        if self._lives < 0:
            cast("Coroutine[object, object, T]", call).close()
            raise Dies
        return await call


CALLS = 6
"""To stage in two queues, to look at the second again, to decide, and to release twice."""


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("lives", range(CALLS))
async def test_all_or_none_are_there_after_a_client_has_died(
    lives: int, moment: str, client: Client, broker: Broker
) -> None:
    tasks = [Task("t", queue=queue) for queue in "qr" for _ in range(CHUNK)]
    real = broker.batches
    broker.batches = Mortal(real, lives, moment)
    with pytest.raises(Dies):
        await client.enqueue_all(tasks)
    broker.batches = real
    for queue in "qr":
        await real.repair(queue, idle_s=0, staged_s=0)
    counts = {queue: len(await pending(broker, queue)) for queue in "qr"}
    is_there = bool(counts["q"])
    assert counts == dict.fromkeys("qr", CHUNK if is_there else 0)
    assert is_there or await are_clean(broker, "q", "r")


class Unheard(Passing):
    """A port whose decision is not answered."""

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        await super().commit(totals)
        raise BrokerUnavailableError("no answer in time")


class Lost(Passing):
    """A port whose decision does not reach the broker."""

    async def commit(self, totals: Sequence[tuple[BatchRef, int]]) -> None:
        raise BrokerUnavailableError("no answer in time")


class Away(Passing):
    """A port whose broker is away after the decision."""

    async def release(self, batch: BatchRef) -> int:
        raise BrokerUnavailableError("no answer in time")


async def test_a_decision_whose_answer_is_lost_counts(client: Client, broker: Broker) -> None:
    broker.batches = Unheard(broker.batches)
    ids = await client.enqueue_all([Task("t")] * 3)
    assert await pending(broker) == ids


async def test_a_decision_that_is_lost_leaves_nothing(client: Client, broker: Broker) -> None:
    broker.batches = Lost(broker.batches)
    with pytest.raises(BrokerUnavailableError):
        await client.enqueue_all([Task("t", queue="q")] * 3)
    assert await are_clean(broker, "q")


async def test_decided_tasks_that_cannot_be_released_now_are_accepted(
    client: Client, broker: Broker
) -> None:
    real = broker.batches
    broker.batches = Away(real)
    ids = await client.enqueue_all([Task("t")] * 3)
    assert await pending(broker) == []
    await real.repair("default", idle_s=0)
    assert await pending(broker) == ids


async def test_the_first_error_is_raised(client: Client, broker: Broker) -> None:
    await enqueue(broker, a_pending("0", queue="q"))
    with pytest.raises(PyasynqError, match="'0' is in 'q'"):
        await client.enqueue_all(Task("t", queue="q", task_id=f"{n}") for n in range(MANY))
    await broker.inspection.remove("q", force=True)


# -- batches ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "named"),
    [
        ([Task("t"), Task("t", queue="q")], "make a batch for each queue"),
        ([Task("t", task_id="1")], "a member has an id of its batch"),
        ([Task("t", group="g")], "it is no member of a batch"),
    ],
    ids=["queue", "id", "group"],
)
async def test_a_task_that_cannot_be_a_member_refuses_the_batch(
    members: Sequence[Task], named: str, client: Client, broker: Broker
) -> None:
    with pytest.raises(OptionError, match=named):
        await client.enqueue_batch(Batch([Task("t"), *members]))
    assert await are_clean(broker, "default")


@pytest.mark.parametrize(
    "follower", [Task("t", task_id="1"), Task("t", unique=timedelta(hours=1))], ids=["id", "lock"]
)
async def test_what_follows_a_batch_must_not_be_refused(follower: Task) -> None:
    with pytest.raises(OptionError, match="it must not be refused"):
        Batch([], then=follower)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("lives", range(3))
async def test_a_whole_batch_or_none_is_there_after_a_client_has_died(
    lives: int, moment: str, client: Client, broker: Broker
) -> None:
    real = broker.batches
    broker.batches = Mortal(real, lives, moment)
    with pytest.raises(Dies):
        await client.enqueue_batch(Batch([Task("t", queue="q")] * CHUNK))
    broker.batches = real
    await real.repair("q", idle_s=0, staged_s=0)
    found = await real.read_all("q", 0, 9) if await broker.inspection.queues() else []
    assert [it.total for it in found] in ([], [CHUNK])
    assert len(await pending(broker, "q")) == (CHUNK if found else 0)
    assert found or await are_clean(broker, "q")
    await broker.inspection.remove("q", force=True)


def test_the_sync_client_enqueues_a_batch(redis_url: str) -> None:
    with SyncClient(redis_url) as client:
        info = client.enqueue_batch(Batch(Task("t", queue="q") for _ in range(3)))
    assert (info.queue, info.total, info.state) == ("q", 3, "running")
