"""The user's function gets to know whether Redis answers."""

import asyncio
import threading
from datetime import timedelta

import pytest

from pyasynq import BrokerUnavailableError, Client, Server, Task
from tests.server.handlers import Handler
from tests.support.servers import RedisServer

OFTEN = timedelta(seconds=0.05)


class RecordingCheck:
    """A health check that records its calls."""

    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception | None] = asyncio.Queue()
        self.threads: set[threading.Thread] = set()
        self._loop = asyncio.get_running_loop()

    def __call__(self, error: Exception | None) -> None:
        self.threads.add(threading.current_thread())
        self._loop.call_soon_threadsafe(self.errors.put_nowait, error)


async def test_the_function_gets_none_while_redis_answers(redis_url: str) -> None:
    recorder = RecordingCheck()
    server = Server(redis_url, health_check=recorder, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert [await recorder.errors.get(), await recorder.errors.get()] == [None, None]


async def test_the_function_gets_the_error_and_later_none(
    own_redis: RedisServer,
) -> None:
    recorder = RecordingCheck()
    own_redis.stop()
    server = Server(own_redis.url, health_check=recorder, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert isinstance(await recorder.errors.get(), BrokerUnavailableError)
        own_redis.start()
        assert await asyncio.wait_for(_first_none(recorder), 20) is None


async def test_a_plain_function_is_called_in_a_thread(redis_url: str) -> None:
    recorder = RecordingCheck()
    server = Server(redis_url, health_check=recorder, health_check_interval=OFTEN)
    async with server.running(Handler()):
        await recorder.errors.get()
    assert threading.current_thread() not in recorder.threads


async def test_the_function_may_be_async(redis_url: str) -> None:
    recorder = RecordingCheck()

    async def check(error: Exception | None) -> None:
        recorder(error)

    server = Server(redis_url, health_check=check, health_check_interval=OFTEN)
    async with server.running(Handler()):
        assert await recorder.errors.get() is None


async def test_a_function_that_raises_is_logged_and_stops_nothing(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    recorder, handler = RecordingCheck(), Handler()

    async def check(error: Exception | None) -> None:
        recorder(error)
        raise KeyError

    server = Server(redis_url, health_check=check, health_check_interval=OFTEN)
    async with server.running(handler):
        await recorder.errors.get()
        await recorder.errors.get()
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
    assert "KeyError" in caplog.text


async def _first_none(recorder: RecordingCheck) -> Exception | None:
    while (error := await recorder.errors.get()) is not None:
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
