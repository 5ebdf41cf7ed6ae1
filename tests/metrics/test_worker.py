"""The slots of a worker and the lag of its event loop are measured."""

import asyncio
import threading
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from pyasynq import ActiveTask, Client, Server, Task
from pyasynq.metrics import WorkerMetrics, worker
from tests.server.handlers import Handler
from tests.support.waiting import wait_until


@pytest.fixture(autouse=True)
def frequent_measurements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker be measured often."""
    monkeypatch.setattr(worker, "PERIOD_S", 0.01)


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return an empty registry."""
    return CollectorRegistry()


@asynccontextmanager
async def measuring(server: Server, registry: CollectorRegistry) -> AsyncGenerator[None]:
    """Measure *server* while the block runs."""
    job = asyncio.create_task(WorkerMetrics(server, registry).run())
    try:
        yield
    finally:
        job.cancel()


def slots(registry: CollectorRegistry) -> tuple[float | None, ...]:
    """Return the numbers of all slots, of busy ones, and of overdue threads."""
    names = ("slots", "slots_busy", "slots_overdue")
    return tuple(registry.get_sample_value(f"pyasynq_worker_{name}") for name in names)


def lags_up_to(registry: CollectorRegistry, seconds: str) -> float:
    """Return how many lags were at most *seconds*."""
    name, labels = "pyasynq_worker_loop_lag_seconds_bucket", {"le": seconds}
    return registry.get_sample_value(name, labels) or 0


async def test_busy_slots_are_counted(redis_url: str, registry: CollectorRegistry) -> None:
    handler = Handler(hold=True)
    server = Server(redis_url, concurrency=3)
    async with Client(redis_url) as client, server.running(handler), measuring(server, registry):
        await wait_until(lambda: slots(registry) == (3, 0, 0))
        await client.enqueue_many([Task("t"), Task("t")])
        await wait_until(lambda: slots(registry) == (3, 2, 0))
        handler.release()
        await wait_until(lambda: slots(registry) == (3, 0, 0))


async def test_a_server_that_takes_no_more_tasks_has_only_its_busy_slots(
    redis_url: str, registry: CollectorRegistry
) -> None:
    handler = Handler(hold=True)
    server = Server(redis_url, concurrency=3)
    async with Client(redis_url) as client, server.running(handler), measuring(server, registry):
        await client.enqueue(Task("t"))
        await handler.wait_for_tasks()
        server.stop()
        await wait_until(lambda: slots(registry) == (1, 1, 0))
        handler.release()


async def test_slots_of_threads_whose_time_is_over_are_counted(
    redis_url: str, registry: CollectorRegistry
) -> None:
    released = threading.Event()

    def hang(_task: ActiveTask) -> None:
        released.wait()

    server = Server(redis_url, concurrency=3)
    async with Client(redis_url) as client, server.running(hang), measuring(server, registry):
        await client.enqueue(Task("t", max_retry=0), timeout=timedelta(seconds=1))
        await wait_until(lambda: slots(registry) == (3, 1, 1))
        released.set()
        await wait_until(lambda: slots(registry) == (3, 0, 0))


async def test_the_lag_of_a_blocked_loop_is_measured(
    redis_url: str, registry: CollectorRegistry
) -> None:
    async with measuring(Server(redis_url), registry):
        await wait_until(lambda: lags_up_to(registry, "+Inf"))
        before = lags_up_to(registry, "+Inf") - lags_up_to(registry, "0.25")
        time.sleep(0.5)  # noqa: ASYNC251 - blocks the loop
        await wait_until(
            lambda: lags_up_to(registry, "+Inf") - lags_up_to(registry, "0.25") > before
        )
