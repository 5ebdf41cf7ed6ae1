"""The user's function is told whether Redis answers."""

import asyncio
import threading
from datetime import timedelta

import pytest

from pyasynq import BrokerUnavailableError, Client, Server, Task
from tests.server.handlers import Handler
from tests.support.servers import RedisServer

OFTEN = timedelta(seconds=0.05)


class Told:
    """A health check that remembers what it was told."""

    def __init__(self) -> None:
        self.news: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.threads: set[threading.Thread] = set()
        self._loop = asyncio.get_running_loop()

    def __call__(self, error: Exception | None) -> None:
        self.threads.add(threading.current_thread())
        self._loop.call_soon_threadsafe(self.news.put_nowait, error)


async def test_the_function_is_told_that_all_is_well(redis_url: str) -> None:
    told = Told()
    server = Server(redis_url, health_check=told, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert [await told.news.get(), await told.news.get()] == [None, None]


async def test_the_function_is_told_what_is_wrong_and_that_it_is_over(
    own_redis: RedisServer,
) -> None:
    told = Told()
    own_redis.stop()
    server = Server(own_redis.url, health_check=told, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert isinstance(await told.news.get(), BrokerUnavailableError)
        own_redis.start()
        assert await asyncio.wait_for(_first_none(told), 20) is None


async def test_a_plain_function_is_called_in_a_thread(redis_url: str) -> None:
    told = Told()
    server = Server(redis_url, health_check=told, health_check_interval=OFTEN)
    async with server.running(Handler()):
        await told.news.get()
    assert threading.current_thread() not in told.threads


async def test_the_function_may_be_async(redis_url: str) -> None:
    told = Told()

    async def check(error: Exception | None) -> None:
        told(error)

    server = Server(redis_url, health_check=check, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert await told.news.get() is None


async def test_a_function_that_raises_is_logged_and_stops_nothing(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    told, handler = Told(), Handler()

    async def check(error: Exception | None) -> None:
        told(error)
        raise KeyError

    server = Server(redis_url, health_check=check, health_check_interval=OFTEN)
    async with server.running(handler):
        await told.news.get()
        await told.news.get()
        await client.enqueue(Task("t"))
        await handler.began()
    assert "KeyError" in caplog.text


async def _first_none(told: Told) -> Exception | None:
    while (error := await told.news.get()) is not None:
        pass
    return error


async def test_a_function_that_fails_is_called_again_at_its_interval(
    redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: asyncio.Queue[None] = asyncio.Queue()

    def fail(_error: Exception | None) -> None:
        calls.put_nowait(None)
        raise ValueError

    server = Server(redis_url, health_check=fail, health_check_interval=OFTEN)
    async with server.running(Handler()):
        _ = [await calls.get() for _ in range(3)]
    assert "health_check failed" in caplog.text
    assert "crashed" not in caplog.text
