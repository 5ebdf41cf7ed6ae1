"""A clean-up is finished, however often the asyncio task that does it is cancelled."""

import asyncio

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import Client, Inspector, Scheduler, Semaphore, Task
from pyasynq.runtime.actor import cancel_and_wait
from pyasynq.runtime.cleanup import run_to_end
from tests.support.queue_view import QueueView, RedisQueue
from tests.support.servers import RedisServer
from tests.support.waiting import wait_until


@pytest.fixture
def queue(r: Redis) -> QueueView:
    """Return a view of the queue ``default``."""
    return RedisQueue(r)


class Work:
    """Work that waits until a test sets `goes_on`."""

    def __init__(self) -> None:
        """Begin."""
        self.begun = 0
        self.cancellations = 0
        self.done = False
        self.job: asyncio.Task[object] | None = None
        self.goes_on = asyncio.Event()

    async def __call__(self) -> str:
        """Wait, then end."""
        self.begun += 1
        self.job = asyncio.current_task()
        await self.goes_on.wait()
        self.done = True
        return "the answer"

    def on_cancel(self) -> None:
        """Count a cancellation."""
        self.cancellations += 1


@pytest.fixture
async def work() -> Work:
    """Return work that a test ends."""
    return Work()


async def test_the_result_of_the_work_is_returned(work: Work) -> None:
    work.goes_on.set()
    assert await run_to_end(work) == "the answer"


async def test_an_error_of_the_work_is_raised() -> None:
    async def fail() -> None:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - it has no text
        await run_to_end(fail)


async def test_a_cancellation_is_raised_when_the_work_is_done(work: Work) -> None:
    job = asyncio.create_task(run_to_end(work, on_cancel=work.on_cancel))
    await wait_until(lambda: work.begun)
    job.cancel()
    await wait_until(lambda: work.cancellations)
    job.cancel()
    await wait_until(lambda: work.cancellations == 2)
    work.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert work.done


async def test_an_error_of_the_work_does_not_hide_that_it_was_cancelled() -> None:
    async def fail() -> None:
        begun.set()
        await goes_on.wait()
        raise ValueError

    begun, goes_on = asyncio.Event(), asyncio.Event()
    job = asyncio.create_task(run_to_end(fail, on_cancel=goes_on.set))
    await begun.wait()
    job.cancel("enough")
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it has no text
        await job
    assert isinstance(caught.value.__context__, asyncio.CancelledError)


async def test_a_scope_that_cancels_all_the_time_is_left_when_the_work_is_done(work: Work) -> None:
    with anyio.CancelScope() as scope:
        scope.cancel()
        asyncio.get_running_loop().call_later(0.05, work.goes_on.set)
        await run_to_end(work)
    assert work.done
    assert scope.cancelled_caught


async def test_work_that_is_cancelled_itself_begins_again(work: Work) -> None:
    job = asyncio.create_task(run_to_end(work, on_cancel=work.on_cancel))
    await wait_until(lambda: work.begun)
    assert work.job is not None
    work.job.cancel()
    await wait_until(lambda: work.begun == 2)
    work.goes_on.set()
    assert await job == "the answer"
    assert work.cancellations == 1


async def test_work_that_ends_as_cancelled_does_not_begin_again() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await run_to_end(give_up)


async def test_a_timeout_around_it_is_raised_when_the_work_is_done(work: Work) -> None:
    asyncio.get_running_loop().call_later(0.05, work.goes_on.set)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(run_to_end(work), 0.001)
    assert work.done


async def test_jobs_are_cancelled_to_their_end_although_the_caller_is_cancelled() -> None:
    async def hold_on() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            await asyncio.sleep(0)
            ended.set()

    ended = asyncio.Event()
    job = asyncio.create_task(hold_on())
    await asyncio.sleep(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await cancel_and_wait([job])
    assert ended.is_set()


# -- where it is used ------------------------------------------------------------------------------


async def connections(server: RedisServer) -> int:
    """Return the number of other connections."""
    with server.client() as client:
        return len(client.client_list()) - 1


@pytest.fixture
async def before(redis_server: RedisServer) -> int:
    """Return the number of connections before the test."""
    return await connections(redis_server)


async def test_a_client_whose_closing_is_cancelled_finishes_what_is_in_flight(
    redis_url: str, queue: QueueView, redis_server: RedisServer
) -> None:
    client = Client(redis_url)
    enqueuing = asyncio.create_task(client.enqueue(Task("t"), task_id="1"))
    await asyncio.sleep(0)
    with anyio.CancelScope() as scope:
        scope.cancel()
        await client.aclose()
    assert (await enqueuing).id == "1"
    assert await queue.pending_ids() == ["1"]


async def test_a_client_whose_closing_is_cancelled_is_closed(
    redis_url: str, redis_server: RedisServer, before: int
) -> None:
    with anyio.CancelScope() as scope:
        async with Client(redis_url) as client:
            await client.ping()
            scope.cancel()
    await wait_until(lambda: _has_connections(redis_server, before))


async def test_an_inspector_whose_closing_is_cancelled_is_closed(
    redis_url: str, redis_server: RedisServer, before: int
) -> None:
    with anyio.CancelScope() as scope:
        async with Inspector(redis_url) as inspector:
            await inspector.queues()
            scope.cancel()
    await wait_until(lambda: _has_connections(redis_server, before))


async def test_a_token_is_given_back_though_the_scope_is_cancelled(
    redis_url: str, redis_server: RedisServer
) -> None:
    semaphore = Semaphore(redis_url, "api", 1)
    with anyio.CancelScope() as scope:
        async with semaphore:
            scope.cancel()
    async with semaphore:
        pass
    await semaphore.aclose()


async def test_a_semaphore_whose_closing_is_cancelled_gives_its_tokens_back(
    redis_url: str, redis_server: RedisServer
) -> None:
    first = Semaphore(redis_url, "api", 2)
    await first.acquire()
    await first.acquire()
    with anyio.CancelScope() as scope:
        scope.cancel()
        await first.aclose()
    second = Semaphore(redis_url, "api", 2)
    assert await second.try_acquire()
    assert await second.try_acquire()
    await second.aclose()


async def test_a_scheduler_in_a_scope_that_is_cancelled_leaves_nothing_behind(
    redis_url: str, redis_server: RedisServer, before: int
) -> None:
    scheduler = Scheduler(redis_url)
    scheduler.register("@hourly", Task("t"))
    with anyio.CancelScope() as scope:
        async with scheduler.running():
            await wait_until(lambda: _records(redis_server))
            scope.cancel()
            await anyio.sleep_forever()
    assert not _records(redis_server)
    await wait_until(lambda: _has_connections(redis_server, before))


async def _has_connections(server: RedisServer, count: int) -> bool:
    return await connections(server) == count


def _records(server: RedisServer) -> list[object]:
    with server.client() as client:
        return list(client.keys("asynq:schedulers:*"))
