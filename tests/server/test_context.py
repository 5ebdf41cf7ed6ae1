"""What a handler gets with its task, and which results it may write."""

from datetime import datetime, timedelta

import pytest

from pyasynq import ActiveTask, Client, PyasynqError, ResultError, Server, Task, current_task
from tests.server.handlers import Handler, run_burst
from tests.support.queue_view import QueueView
from tests.support.waiting import Lapse, wait_until


def test_there_is_no_current_task_outside_a_handler() -> None:
    with pytest.raises(PyasynqError, match="inside a handler"):
        current_task()


async def test_the_current_task_is_the_handlers_own(client: Client, redis_url: str) -> None:
    await client.enqueue_many([Task("t") for _ in range(10)])
    same: list[bool] = []

    async def handle(task: ActiveTask) -> None:
        same.append(current_task() is task)

    await run_burst(Server(redis_url, burst=True), handle)
    assert same == [True] * 10


async def test_a_result_can_be_read_while_the_task_runs(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    results: list[bytes | None] = []

    async def handle(task: ActiveTask) -> None:
        await task.write_result(b"half")
        await task.write_result(b"whole")
        results.append(await queue.result(task.id))

    await run_burst(Server(redis_url, burst=True), handle)
    assert results == [b"whole"]


async def test_a_result_is_not_written_once_another_worker_has_the_task(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    info = await client.enqueue(Task("t"))
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler):
        [task] = await handler.wait_for_tasks()
        await queue.take_over(info.id)
        with pytest.raises(ResultError, match=info.id):
            await task.write_result(b"late")
        handler.release()
    assert await queue.result(info.id) is None


async def test_a_result_written_after_the_end_does_not_create_the_task_again(
    client: Client, redis_url: str, queue: QueueView
) -> None:
    await client.enqueue(Task("t"))
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    server = Server(redis_url)
    async with server.running(handler):
        late = handler.tasks[0]
        late._port = server._broker.work
        with pytest.raises(ResultError):
            await late.write_result(b"late")
    assert not await queue.exists(late.id)


async def test_a_task_in_a_log_line_does_not_show_its_payload(
    client: Client, redis_url: str
) -> None:
    info = await client.enqueue(Task("t", b"secret"))
    handler = Handler()
    await run_burst(Server(redis_url, burst=True), handler)
    assert repr(handler.tasks[0]) == f"<ActiveTask 't' {info.id} in 'default'>"


async def test_a_try_after_the_first_says_when_the_last_one_failed(
    client: Client, redis_url: str, lapse: Lapse
) -> None:
    await client.enqueue(Task("t"))
    failed_at: list[datetime | None] = []

    async def handle(task: ActiveTask) -> None:
        failed_at.append(task.last_failed_at)
        if not task.retried:
            raise ValueError

    server = Server(redis_url, retry_delay=lambda *_: timedelta(0))
    async with server.running(handle):
        await wait_until(lambda: len(failed_at) == 2)
    first, second = failed_at
    assert first is None
    assert second is not None
    assert second.timestamp() in lapse
