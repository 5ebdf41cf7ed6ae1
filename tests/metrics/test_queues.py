"""The counts of queues are exported under the reference's names."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from redis.asyncio import Redis

from pyasynq import Client, Inspector, OptionError, QueueInfo, Server, ServerInfo, Task
from pyasynq.metrics import QueueCollector
from tests.server.handlers import Handler
from tests.support.clocks import SteeredClock
from tests.support.waiting import wait_until


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    """Yield an inspector of an empty Redis."""
    async with Inspector(redis_url) as inspector:
        yield inspector


async def scrape(collector: QueueCollector) -> dict[str, float]:
    """Return the value of each sample, by its name and labels."""
    await collector.read()
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    samples = [line.rpartition(" ") for line in lines if not line.startswith("#")]
    return {name: float(value) for name, _, value in samples}


async def series_types(collector: QueueCollector) -> dict[str, str]:
    """Return the type of each series."""
    await collector.read()
    registry = CollectorRegistry()
    registry.register(collector)
    lines = generate_latest(registry).decode().splitlines()
    return dict(
        line.removeprefix("# TYPE ").split() for line in lines if line.startswith("# TYPE ")
    )


async def test_the_series_have_the_references_names_and_types(inspector: Inspector) -> None:
    assert await series_types(QueueCollector(inspector)) == {
        "asynq_tasks_enqueued_total": "gauge",
        "asynq_queue_size": "gauge",
        "asynq_queue_latency_seconds": "gauge",
        "asynq_queue_memory_usage_approx_bytes": "gauge",
        "asynq_queue_paused_total": "gauge",
        "asynq_tasks_processed_total": "counter",
        "asynq_tasks_failed_total": "counter",
        "asynq_queue_groups": "gauge",
        "asynq_queue_readable": "gauge",
        "pyasynq_wanted_workers": "gauge",
    }


async def test_the_numbers_are_those_of_the_queue(
    inspector: Inspector, redis_url: str, r: Redis
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", queue="q"))
        await client.enqueue(Task("t", queue="q", process_in=timedelta(hours=1)))
        await client.enqueue(Task("t", queue="q", group="g"))
    await inspector.pause("q")
    await r.mset({"asynq:{q}:processed": 5, "asynq:{q}:failed": 2})
    samples = await scrape(QueueCollector(inspector))
    states = {
        "active": 0,
        "pending": 1,
        "scheduled": 1,
        "retry": 0,
        "archived": 0,
        "completed": 0,
        "aggregating": 1,
    }
    tasks = {f'asynq_tasks_enqueued_total{{queue="q",state="{s}"}}': n for s, n in states.items()}
    assert tasks.items() <= samples.items()
    assert samples['asynq_queue_size{queue="q"}'] == 3
    assert samples['asynq_queue_paused_total{queue="q"}'] == 1
    assert samples['asynq_queue_groups{queue="q"}'] == 1
    assert samples['asynq_tasks_processed_total{queue="q"}'] == 5
    assert samples['asynq_tasks_failed_total{queue="q"}'] == 2
    assert samples['asynq_queue_readable{queue="q"}'] == 1
    assert samples['asynq_queue_memory_usage_approx_bytes{queue="q"}'] > 0
    assert samples['asynq_queue_latency_seconds{queue="q"}'] >= 0


async def test_a_queue_that_cannot_be_read_leaves_out_itself_alone(
    inspector: Inspector, redis_url: str, r: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", queue="sound"))
    await r.sadd("asynq:queues", "broken")
    await r.set("asynq:{broken}:pending", "text")
    with caplog.at_level(logging.WARNING, "pyasynq.metrics"):
        samples = await scrape(QueueCollector(inspector))
    await r.delete("asynq:{broken}:pending")
    assert samples['asynq_queue_size{queue="sound"}'] == 1
    assert samples['asynq_queue_readable{queue="sound"}'] == 1
    assert samples['asynq_queue_readable{queue="broken"}'] == 0
    assert 'asynq_queue_size{queue="broken"}' not in samples
    assert "queue 'broken' cannot be read" in caplog.text


async def test_a_queue_that_is_removed_is_shown_no_more(
    inspector: Inspector, redis_url: str
) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", queue="q"))
    collector = QueueCollector(inspector)
    await collector.read()
    await inspector.delete_queue("q", force=True)
    assert await scrape(collector) == {}


class Sampled:
    """An inspector of one queue that counts the samples of memory."""

    samples = 0

    async def queues(self) -> list[str]:
        """Return the one queue."""
        return ["q"]

    async def queue_info(self, queue: str, *, memory: bool = True) -> QueueInfo:
        """Count the sample and return it as the memory."""
        self.samples += memory
        zeros = dict.fromkeys(QueueInfo.__dataclass_fields__, 0)
        given = {"queue": queue, "timestamp": datetime.now(UTC), "latency": timedelta(0)}
        return QueueInfo(**zeros | given | {"memory_usage": self.samples if memory else 0})  # type: ignore[arg-type]

    async def servers(self) -> list[ServerInfo]:
        """Return no server."""
        return []


async def test_memory_is_sampled_once_in_its_interval() -> None:
    clock, inspector = SteeredClock(), Sampled()
    collector = QueueCollector(inspector, memory_interval=timedelta(seconds=60), clock=clock)
    memory = 'asynq_queue_memory_usage_approx_bytes{queue="q"}'
    clock.advance(seconds=100)
    assert (await scrape(collector))[memory] == 1
    clock.advance(seconds=59)
    assert (await scrape(collector))[memory] == 1
    clock.advance(seconds=1)
    assert (await scrape(collector))[memory] == 2


async def test_a_queue_wants_the_workers_that_its_tasks_need(
    inspector: Inspector, redis_url: str
) -> None:
    """The tasks in the two slots run for 40 s, so the six that wait want eight slots more."""
    clock, handler = SteeredClock(), Handler(hold=True)
    collector = QueueCollector(inspector, target_wait=timedelta(seconds=30), clock=clock)
    wanted = 'pyasynq_wanted_workers{queue="q"}'
    async with Client(redis_url) as client:
        await client.enqueue_many([Task("t", queue="q") for _ in range(8)])
    assert (await scrape(collector))[wanted] == 1
    server = Server(redis_url, queues={"q": 1}, concurrency=2)
    async with server.running(handler):
        await handler.wait_for_tasks(2)
        await wait_until(inspector.servers)
        await collector.read()
        clock.advance(seconds=40)
        assert (await scrape(collector))[wanted] == 5
        handler.release()
        await wait_until(lambda: _is_empty(inspector))
    assert (await scrape(collector))[wanted] == 0


async def _is_empty(inspector: Inspector) -> bool:
    return (await inspector.queue_info("q")).size == 0


async def test_a_target_of_no_time_is_refused(inspector: Inspector) -> None:
    with pytest.raises(OptionError, match="target_wait"):
        QueueCollector(inspector, target_wait=timedelta(0))
