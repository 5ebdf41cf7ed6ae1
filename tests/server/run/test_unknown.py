"""Tasks whose type has no handler wait for a worker that has one, if the server says so."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from redis.asyncio import Redis

from pyasynq import ActiveTask, App, Client, Mux, Server, Task
from tests.server.handlers import Handler, run_burst
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.waiting import wait_until

NOT_FOUND = 'handler not found for task "t"'
SECOND = timedelta(seconds=1)


async def make_due_again(queue: RedisQueue, r: Redis, task_id: str, *, unknown_s: int) -> None:
    """Make a task due, and unknown since *unknown_s* seconds ago."""
    await queue.make_due(task_id)
    await r.hset(queue.key(f"t:{task_id}"), "unknown_since", str(int(time.time()) - unknown_s))


async def run_app_without_tasks(redis_url: str) -> None:
    """Run a burst of an app without tasks."""
    await run_burst(App(redis_url).server(burst=True), None)


async def test_an_app_puts_a_task_back_that_it_does_not_know(
    client: Client, redis_url: str, queue: RedisQueue
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await run_app_without_tasks(redis_url)
    message, fields = await queue.message(info.id), await queue.fields(info.id)
    assert (message.retried, message.error_msg) == (0, NOT_FOUND)
    assert fields.keys() == {"state", "owner", "unknown_since", "past_retried"}
    assert await queue.ids("retry") == [info.id]
    assert (await queue.count("processed"), await queue.count("failed")) == (0, 0)


async def test_a_worker_that_knows_the_task_runs_it(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"), max_retry=0)
    await run_app_without_tasks(redis_url)
    await make_due_again(queue, r, info.id, unknown_s=10)
    newer, ran = App(redis_url), list[int]()

    @newer.task("t")
    async def note(task: ActiveTask) -> None:
        ran.append(task.retried)

    async with newer.server().running():
        await wait_until(lambda: ran)
    assert ran == [0]


async def test_the_time_of_an_unknown_task_is_kept_and_its_wait_grows(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await run_app_without_tasks(redis_url)
    await make_due_again(queue, r, info.id, unknown_s=1000)
    before = time.time()
    since = (await queue.fields(info.id))["unknown_since"]
    async with App(redis_url).server().running():
        await wait_until(lambda: _waits(queue, info.id))
    assert (await queue.fields(info.id))["unknown_since"] == since
    again_at = await queue.due_at(info.id) or 0
    assert before + 230 < again_at < time.time() + 310


async def test_crashes_are_remembered_where_nobody_knows_the_task(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    await r.hset(queue.key(f"t:{info.id}"), mapping={"crashes": "2", "owner": ""})
    await run_app_without_tasks(redis_url)
    assert await queue.crashes(info.id) == 2


async def test_a_task_that_nobody_knew_for_a_day_is_archived_and_on_error_is_called(
    client: Client, redis_url: str, queue: RedisQueue, r: Redis
) -> None:
    info = await client.enqueue(Task("t"))
    errors: list[str] = []
    app = App(redis_url, on_error=lambda _task, error: errors.append(str(error)))
    await run_burst(app.server(burst=True), None)
    assert errors == []
    await make_due_again(queue, r, info.id, unknown_s=86_400)
    async with app.server().running():
        await wait_until(lambda: queue.ids("archived"))
    assert errors == [(await queue.message(info.id)).error_msg] == [NOT_FOUND]
    assert await queue.fields(info.id) == {"state": "archived"}


async def test_a_task_that_nobody_knew_until_its_deadline_is_archived_for_that(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"), deadline=datetime.now(UTC) + 2 * SECOND)
    async with App(redis_url).server().running():
        await wait_until(lambda: queue.ids("archived"))
    assert (await queue.message(info.id)).error_msg == NOT_FOUND


async def test_each_type_is_named_once_in_the_log(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue_many([Task("t"), Task("t"), Task("u")])
    await run_app_without_tasks(redis_url)
    warnings = [record.args for record in caplog.records if "no handler" in record.msg]
    assert sorted(str(args[0]) for args in warnings if isinstance(args, tuple)) == ["t", "u"]


async def test_a_prefix_of_an_apps_mux_does_not_change_that(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    app = App(redis_url)
    app.mux.handle("email:")(Handler())
    info = await client.enqueue(Task("t"))
    await run_burst(app.server(burst=True), None)
    assert (await queue.message(info.id)).retried == 0


async def test_an_app_may_spend_retries_as_asynq_does(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(App(redis_url, unknown="retry").server(burst=True), None)
    assert (await queue.message(info.id)).retried == 1


async def test_a_mux_may_let_tasks_wait(client: Client, redis_url: str, queue: QueueView) -> None:
    info = await client.enqueue(Task("t"))
    await run_burst(Server(redis_url, burst=True, unknown="wait"), Mux())
    assert (await queue.message(info.id)).retried == 0


async def _waits(queue: QueueView, task_id: str) -> bool:
    return (await queue.due_at(task_id) or 0) > time.time()
