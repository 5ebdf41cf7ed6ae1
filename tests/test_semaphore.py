"""A semaphore limits holders on all machines; a dead holder's token is soon free."""

import asyncio
import re
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pyasynq import (
    ActiveTask,
    Client,
    NoTokenError,
    OptionError,
    Semaphore,
    SemaphoreTimeoutError,
    Server,
    Task,
)
from pyasynq.broker import Token
from tests.support.clocks import HastyClock
from tests.support.waiting import Lapse, wait_until

KEY = "asynq:sema:api"


@pytest.fixture
async def semaphore(redis_url: str) -> AsyncIterator[Semaphore]:
    """Yield a semaphore with one token."""
    semaphore = Semaphore(redis_url, "api", 1)
    yield semaphore
    await semaphore.aclose()


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[Semaphore]:
    """Yield the same semaphore, as another process has it."""
    semaphore = Semaphore(redis_url, "api", 1)
    yield semaphore
    await semaphore.aclose()


async def tokens(r: Redis) -> dict[str, float]:
    """Return the end of the token of each holder, Unix seconds."""
    found = cast("list[tuple[bytes, float]]", await r.zrange(KEY, 0, -1, withscores=True))
    return {holder.decode(): score for holder, score in found}


async def test_a_token_that_is_taken_cannot_be_taken_elsewhere(
    semaphore: Semaphore, other: Semaphore
) -> None:
    assert await semaphore.try_acquire()
    assert not await other.try_acquire()


async def test_a_token_that_was_released_can_be_taken_elsewhere(
    semaphore: Semaphore, other: Semaphore
) -> None:
    async with semaphore:
        assert not await other.try_acquire()
    assert await other.try_acquire()


async def test_outside_a_handler_each_acquisition_is_a_token(redis_url: str, r: Redis) -> None:
    semaphore = Semaphore(redis_url, "api", 2)
    assert [await semaphore.try_acquire() for _ in range(3)] == [True, True, False]
    assert len(await tokens(r)) == 2
    await semaphore.release()
    await semaphore.release()
    assert await tokens(r) == {}
    await semaphore.aclose()


async def test_a_caller_that_waits_gets_the_token_that_is_released(
    semaphore: Semaphore, other: Semaphore
) -> None:
    await other.acquire()
    waiting = asyncio.create_task(semaphore.acquire())
    await asyncio.sleep(0)
    await other.release()
    await asyncio.wait_for(waiting, 60)
    assert not await other.try_acquire()


async def test_a_wait_for_a_token_that_is_too_long_raises(
    semaphore: Semaphore, other: Semaphore
) -> None:
    await other.acquire()
    with pytest.raises(SemaphoreTimeoutError, match="all 1 tokens of semaphore 'api' are taken"):
        await semaphore.acquire(timeout=timedelta(milliseconds=50))


async def test_no_timeout_at_all_asks_once(semaphore: Semaphore, other: Semaphore) -> None:
    await semaphore.acquire(timeout=timedelta(0))
    with pytest.raises(TimeoutError):
        await other.acquire(timeout=timedelta(0))


async def test_a_token_that_is_not_held_cannot_be_released(semaphore: Semaphore) -> None:
    with pytest.raises(NoTokenError, match="no token of semaphore 'api' is held here"):
        await semaphore.release()


async def test_a_closed_semaphore_leaves_no_token(redis_url: str, r: Redis) -> None:
    semaphore = Semaphore(redis_url, "api", 3)
    await semaphore.acquire()
    await semaphore.acquire()
    await semaphore.aclose()
    assert await r.keys() == []


async def test_a_token_is_renewed_while_it_is_held(redis_url: str, r: Redis) -> None:
    semaphore = Semaphore(redis_url, "api", 1, lease=timedelta(seconds=3), clock=HastyClock())
    await semaphore.acquire()
    first = max((await tokens(r)).values())

    async def ends_later() -> bool:
        return max((await tokens(r)).values()) > first

    await wait_until(ends_later)
    await semaphore.aclose()


async def test_the_token_of_a_dead_holder_is_free_after_its_lease(
    redis_url: str, r: Redis, semaphore: Semaphore
) -> None:
    await r.zadd(KEY, {"dead": int(time.time())})
    assert not await semaphore.try_acquire()
    await semaphore.acquire(timeout=timedelta(seconds=4))


async def test_a_lost_token_is_logged(
    redis_url: str, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    semaphore = Semaphore(redis_url, "api", 1, clock=HastyClock())
    await semaphore.acquire()
    await r.delete(KEY)
    await wait_until(lambda: "lost its token of semaphore 'api'" in caplog.text)
    await semaphore.release()
    assert "was lost before it was released" in caplog.text
    await semaphore.aclose()


@pytest.mark.parametrize(
    ("scope", "limit", "lease"),
    [
        ("", 1, timedelta(seconds=30)),
        (" ", 1, timedelta(seconds=30)),
        ("api", 0, timedelta(seconds=30)),
        ("api", True, timedelta(seconds=30)),
        ("api", 1, timedelta(seconds=1)),
        ("api", 1, timedelta.max),
    ],
)
def test_arguments_that_cannot_work_are_refused(scope: str, limit: int, lease: timedelta) -> None:
    with pytest.raises(OptionError):
        Semaphore("redis://127.0.0.1:6379", scope, limit, lease=lease)


async def test_a_task_that_lost_its_token_does_not_release_another(
    redis_url: str, r: Redis
) -> None:
    semaphore = Semaphore(redis_url, "api", 2)
    await semaphore.acquire()
    await r.delete(KEY)
    taken, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        await semaphore.acquire()
        taken.set()
        await done.wait()
        await semaphore.release()

    holding = asyncio.create_task(hold())
    await taken.wait()
    await semaphore.release()
    assert len(await tokens(r)) == 1
    done.set()
    await holding
    assert await tokens(r) == {}
    await semaphore.aclose()


async def test_a_lost_token_is_released_before_others(
    redis_url: str, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    semaphore = Semaphore(redis_url, "api", 2, clock=HastyClock())
    await semaphore.acquire()
    kept = (await tokens(r)).keys()
    await semaphore.acquire()
    (lost,) = (await tokens(r)).keys() - kept
    await r.zrem(KEY, lost)
    await wait_until(lambda: f"{lost} lost its token of semaphore 'api'" in caplog.text)
    await semaphore.release()
    assert "was lost before it was released" in caplog.text
    assert (await tokens(r)).keys() == kept
    await semaphore.release()
    assert await tokens(r) == {}
    await semaphore.aclose()


async def test_a_token_taken_in_one_asyncio_task_can_be_given_back_in_another(
    semaphore: Semaphore, r: Redis
) -> None:
    await asyncio.create_task(semaphore.acquire())  # as `asyncio.wait_for` of Python 3.11 does
    await semaphore.release()
    assert await tokens(r) == {}


# -- inside a handler ------------------------------------------------------------------------------


async def run(redis_url: str, handler: object, *tasks: Task) -> None:
    """Run *tasks* with *handler*."""
    async with Client(redis_url) as client:
        assert [o for o in await client.enqueue_many(tasks) if isinstance(o, Exception)] == []
    queues = {str(task.options.queue or "default"): 1 for task in tasks}
    server = Server(redis_url, burst=True, queues=queues, concurrency=10)
    await server.run(handler)  # type: ignore[arg-type]


async def test_a_token_names_the_running_task(
    redis_url: str, r: Redis, semaphore: Semaphore, lapse: Lapse
) -> None:
    seen: list[dict[str, float]] = []

    async def handle(_task: ActiveTask) -> None:
        async with semaphore:
            seen.append(await tokens(r))

    await run(redis_url, handle, Task("t", task_id="1", queue="q", timeout=timedelta(seconds=5)))
    [(holder, ends_s)] = seen[0].items()
    assert re.fullmatch(r"\{q\}:1:[0-9a-f]+", holder)
    assert ends_s - 5 in lapse
    assert await tokens(r) == {}


async def test_a_task_that_asks_twice_holds_two_tokens(redis_url: str, r: Redis) -> None:
    semaphore = Semaphore(redis_url, "api", 2)
    seen: list[object] = []

    async def handle(_task: ActiveTask) -> None:
        async with semaphore:
            async with semaphore:
                seen.append(len(await tokens(r)))
                seen.append(await semaphore.try_acquire())
            seen.append(len(await tokens(r)))

    await run(redis_url, handle, Task("t"))
    assert seen == [2, False, 1]
    assert await tokens(r) == {}
    await semaphore.aclose()


async def test_a_running_task_gives_back_its_own_token(redis_url: str, r: Redis) -> None:
    semaphore = Semaphore(redis_url, "api", 3)
    await semaphore.acquire()
    taken = asyncio.Barrier(2)
    left: dict[str, list[str]] = {}

    async def handle(task: ActiveTask) -> None:
        async with semaphore:
            await taken.wait()
            if task.id == "1":
                await first_is_gone.wait()
        left[task.id] = [holder.rpartition(":")[0] for holder in await tokens(r)]
        first_is_gone.set()

    first_is_gone = asyncio.Event()
    await run(redis_url, handle, Task("t", task_id="1"), Task("t", task_id="1:2"))
    assert sorted(left["1:2"]) == ["", "{default}:1"]
    assert left["1"] == [""]
    await semaphore.aclose()


async def test_a_token_taken_outside_a_task_is_not_released_in_it(
    redis_url: str, semaphore: Semaphore
) -> None:
    await semaphore.acquire()
    refused: list[NoTokenError] = []

    async def handle(_task: ActiveTask) -> None:
        with pytest.raises(NoTokenError) as caught:
            await semaphore.release()
        refused.append(caught.value)

    await run(redis_url, handle, Task("t"))
    assert len(refused) == 1
    await semaphore.release()


async def test_the_same_id_in_two_queues_is_two_holders(redis_url: str) -> None:
    semaphore = Semaphore(redis_url, "api", 1)
    both = asyncio.Barrier(2)
    taken: list[bool] = []

    async def handle(_task: ActiveTask) -> None:
        taken.append(await semaphore.try_acquire())
        await both.wait()

    tasks = [Task("t", task_id="1", queue="a"), Task("t", task_id="1", queue="b")]
    await run(redis_url, handle, *tasks)
    assert sorted(taken) == [False, True]
    await semaphore.aclose()


async def test_many_tasks_never_hold_more_tokens_than_there_are(redis_url: str) -> None:
    semaphore = Semaphore(redis_url, "api", 3)
    running: list[int] = [0]
    most: list[int] = []

    async def handle(_task: ActiveTask) -> None:
        async with semaphore:
            running[0] += 1
            most.append(running[0])
            await asyncio.sleep(0)
            running[0] -= 1

    await run(redis_url, handle, *[Task("t")] * 60)
    assert len(most) == 60
    assert max(most) <= 3
    await semaphore.aclose()


async def test_a_wait_for_a_token_is_a_timedelta(semaphore: Semaphore) -> None:
    with pytest.raises(OptionError, match="timeout must be a timedelta"):
        await semaphore.acquire(timeout=cast("Any", 1))


async def test_a_caller_that_gives_up_while_redis_answers_leaves_no_token_behind(
    semaphore: Semaphore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = semaphore._broker.semaphores
    acquire = path.acquire

    async def acquire_and_hang(token: Token, *, limit: int, lease_s: float) -> bool:
        await acquire(token, limit=limit, lease_s=lease_s)
        await asyncio.Event().wait()
        return True

    with monkeypatch.context() as patch:
        patch.setattr(path, "acquire", acquire_and_hang)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await semaphore.acquire()
    await semaphore.acquire(timeout=timedelta(seconds=5))


async def test_an_acquire_that_nobody_awaits_is_reported(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    Semaphore(redis_url, "s", 1).acquire()  # type: ignore[unused-coroutine]
    assert "Semaphore.acquire() was never awaited" in caplog.text
