"""Prometheus reads metrics of queues and of a worker's tasks."""

import signal
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from pyasynq import Client, Task
from tests.cli.command_runner import CommandRunner
from tests.cli.pages import read_page
from tests.cli.processes import command, worker
from tests.support.servers import TlsRedis, free_port
from tests.support.waiting import wait_until

APP = "tests.cli.apps:app"


@pytest.fixture
async def client(redis_url: str, r: Redis) -> AsyncIterator[Client]:
    """Yield a client."""
    async with Client(redis_url) as client:
        yield client


async def test_the_numbers_of_all_queues_are_served(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("t", queue="q"))
    address = f"127.0.0.1:{free_port()}"
    async with command("metrics", "--addr", address, "-u", redis_url) as process:
        await process.wait_for_line(f"metrics at http://{address}/metrics")
        assert 'asynq_queue_size{queue="q"} 1.0' in await read_page(address)
        await client.enqueue(Task("t", queue="q"))
        assert 'asynq_queue_size{queue="q"} 2.0' in await read_page(address)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_a_scrape_without_redis_is_unavailable() -> None:
    address = f"127.0.0.1:{free_port()}"
    away = f"127.0.0.1:{free_port()}"
    async with command("metrics", "--addr", address, "-u", away) as process:
        await process.wait_for_line("metrics at")
        assert await read_page(address) == ""


async def test_a_worker_serves_the_numbers_of_its_tasks(client: Client, redis_url: str) -> None:
    await client.enqueue(Task("print"))
    address = f"127.0.0.1:{free_port()}"
    args = (APP, "-u", redis_url, "--health-addr", address, "--metrics")
    async with worker(*args) as process:
        await process.wait_for_line("ran")
        sample = 'pyasynq_tasks_total{outcome="succeeded",queue="default",type="print"} 1.0'

        async def is_counted() -> bool:
            return sample in await read_page(address)

        await wait_until(is_counted)


def test_metrics_of_a_worker_need_an_address(run_cli: CommandRunner) -> None:
    result = run_cli("worker", APP, "--metrics")
    assert (result.code, "--health-addr host:port" in result.err) == (2, True)


def test_an_address_that_is_taken_is_told(run_cli: CommandRunner, redis_with_tls: TlsRedis) -> None:
    result = run_cli("metrics", "--addr", f"127.0.0.1:{redis_with_tls.port}")
    assert result.code == 2
    assert f"pyasynq metrics: cannot listen at 127.0.0.1:{redis_with_tls.port}: " in result.err


def test_an_address_that_cannot_be_is_told(run_cli: CommandRunner) -> None:
    result = run_cli("metrics", "--addr", "a..b:9876")
    assert result.code == 2
    assert "cannot listen at a..b:9876: 'a..b' cannot be the name of a host" in result.err


def test_a_target_that_cannot_be_is_told(run_cli: CommandRunner) -> None:
    result = run_cli("metrics", "--target-wait", "0s")
    assert (result.code, "--target-wait" in result.err) == (2, True)
