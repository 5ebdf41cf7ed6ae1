"""Batches of an app: one task follows when all members have ended, whatever they did."""

import asyncio

import pytest

from pyasynq import (
    ActiveTask,
    App,
    Batch,
    BatchOutcome,
    Client,
    Inspector,
    OptionError,
    RevokeTask,
    SkipRetry,
    Task,
)
from pyasynq.broker import Broker
from tests.support.waiting import wait_until


class Bench:
    """An app whose tasks note what they do."""

    def __init__(self, broker: Broker) -> None:
        self.ran: list[int] = []
        self.followed: list[tuple[str, BatchOutcome]] = []
        self.app = app = App(broker, queues={"default": 1, "low": 1}, concurrency=5)

        @app.task("work", max_retry=0)
        async def work(task: ActiveTask, number: int, children: int = 0) -> None:
            task.batch.add(*[work.task(number=number * 10 + n) for n in range(1, children + 1)])
            self.ran.append(number)
            if number == 13:
                raise SkipRetry("unlucky")
            if number == 14:
                raise RevokeTask

        @app.task("done", queue="low")
        async def done(task: ActiveTask) -> None:
            self.followed.append(("done", task.batch_outcome))

        @app.task("alarm")
        async def alarm(task: ActiveTask) -> None:
            self.followed.append(("alarm", task.batch_outcome))

        self.work, self.done, self.alarm = work, done, alarm

    async def run(self, numbers: range, *, children: int = 0) -> str:
        """Enqueue a batch and run it to the end; return its id."""
        tasks = [self.work.task(number=number, children=children) for number in numbers]
        batch = self.app.batch(tasks, then=self.done.task(), failed=self.alarm.task())
        async with self.app:
            info = await batch.enqueue()
            async with self.app.server().running():
                await wait_until(lambda: self.followed)
        return info.id


async def test_a_task_follows_when_all_members_have_succeeded(broker: Broker) -> None:
    bench = Bench(broker)
    batch_id = await bench.run(range(10))
    assert sorted(bench.ran) == [*range(10)]
    ((name, outcome),) = bench.followed
    assert (name, outcome) == (
        "done",
        BatchOutcome(id=batch_id, queue="default", total=10, failed=0),
    )


async def test_another_task_follows_when_a_member_has_failed(broker: Broker) -> None:
    bench = Bench(broker)
    batch_id = await bench.run(range(10, 20))
    ((name, outcome),) = bench.followed
    assert name == "alarm"
    assert (outcome.total, outcome.failed, outcome.succeeded) == (10, 1, 9)
    async with Inspector(broker) as inspector:
        info = await inspector.batch("default", batch_id)
        assert (info.state, info.total, info.ended, info.failed) == ("failed", 10, 10, 1)
        assert await inspector.failed_members("default", batch_id) == [f"{batch_id}:3"]


async def test_a_member_adds_members(broker: Broker) -> None:
    bench = Bench(broker)
    await bench.run(range(1, 3), children=3)
    assert sorted(bench.ran) == [1, 2, 11, 12, 13, 21, 22, 23]
    ((name, outcome),) = bench.followed
    assert (name, outcome.total, outcome.failed) == ("alarm", 8, 1)


async def test_what_follows_an_empty_batch_runs_at_once(broker: Broker) -> None:
    bench = Bench(broker)
    await bench.run(range(0))
    ((name, outcome),) = bench.followed
    assert (name, outcome.total) == ("done", 0)


async def test_the_tasks_of_a_generator_are_enqueued_once(broker: Broker) -> None:
    batch = Batch((Task("t", b"%d" % n) for n in range(3)), then=Task("t"))
    async with Client(broker) as client:
        await client.enqueue_batch(batch)
        with pytest.raises(OptionError, match="a new generator"):
            await client.enqueue_batch(batch)


async def test_the_tasks_of_a_list_may_be_enqueued_again(broker: Broker) -> None:
    batch = Batch([Task("t")])
    async with Client(broker) as client:
        first, second = [await client.enqueue_batch(batch) for _ in range(2)]
    assert (first.total, second.total, first.id == second.id) == (1, 1, False)


async def test_a_member_that_runs_is_stopped_for_good_when_its_batch_is_cancelled(
    broker: Broker,
) -> None:
    app, began = App(broker), list[int]()

    @app.task("wait")
    async def wait(number: int) -> None:
        began.append(number)
        await asyncio.Event().wait()

    async with app, Inspector(broker) as inspector:
        info = await app.batch([wait.task(1)]).enqueue()

        async def has_ended() -> bool:
            return (await inspector.batch("default", info.id)).ended_at is not None

        async with app.server().running():
            await wait_until(lambda: began)
            await inspector.cancel_batch("default", info.id)
            await wait_until(has_ended)
        found = await inspector.batch("default", info.id)
    assert (found.state, found.failed, began) == ("cancelled", 0, [1])
