"""Prometheus reads the numbers of queues, and of a worker's tasks."""

import signal
import urllib.request
from collections.abc import AsyncIterator

import anyio
import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from tests.cli.saying import Say
from tests.cli.workers import command, worker
from tests.support.servers import TlsRedis, free_port
from tests.support.waiting import wait_until

APP = "tests.cli.apps:app"


@pytest.fixture
async def client(redis_url: str, r: Redis) -> AsyncIterator[Client]:
    """Yield a client."""
    async with Client(redis_url) as client:
        yield client


async def page(address: str) -> str:
    """Return what is served as metrics, or nothing yet."""

    def read() -> str:
        try:
            with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:
            return ""

    return await anyio.to_thread.run_sync(read)


async def test_the_numbers_of_all_queues_are_served(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t", queue="q"))
    address = f"127.0.0.1:{free_port()}"
    async with command("metrics", "--addr", address, "-u", redis_url) as process:
        await process.says(f"metrics at http://{address}/metrics")
        assert 'asynq_queue_size{queue="q"} 1.0' in await page(address)
        await client.enqueue(Task("t", queue="q"))
        assert 'asynq_queue_size{queue="q"} 2.0' in await page(address)
        process.send(signal.SIGTERM)
        assert await process.ends() == 0


async def test_a_scrape_without_redis_is_unavailable() -> None:
    address = f"127.0.0.1:{free_port()}"
    away = f"127.0.0.1:{free_port()}"
    async with command("metrics", "--addr", address, "-u", away) as process:
        await process.says("metrics at")
        assert await page(address) == ""


async def test_a_worker_serves_the_numbers_of_its_tasks(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("print"))
    address = f"127.0.0.1:{free_port()}"
    words = (APP, "-u", redis_url, "--health-addr", address, "--metrics")
    async with worker(*words) as process:
        await process.says("ran")
        told = 'pyasynq_tasks_total{outcome="succeeded",queue="default",type="print"} 1.0'

        async def is_counted() -> bool:
            return told in await page(address)

        await wait_until(is_counted)


def test_metrics_of_a_worker_need_an_address(say: Say) -> None:
    told = say("worker", APP, "--metrics")
    assert (told.code, "--health-addr host:port" in told.err) == (2, True)


def test_an_address_that_is_taken_is_told(say: Say, redis_with_tls: TlsRedis) -> None:
    told = say("metrics", "--addr", f"127.0.0.1:{redis_with_tls.port}")
    assert told.code == 2
    assert f"pyasynq metrics: cannot listen at 127.0.0.1:{redis_with_tls.port}: " in told.err
