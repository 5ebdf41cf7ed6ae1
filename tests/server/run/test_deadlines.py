"""A handler that does not stop at its deadline is logged, with its slot, and so is its late end."""

import asyncio
import logging
import threading
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from pyasynq import ActiveTask, Client, Mux, Server, Task
from pyasynq.metrics import TaskMetrics
from pyasynq.server import actors
from pyasynq.server.run import deadlines
from tests.server.handlers import Handler, actors_of, run_burst
from tests.support.queue_view import QueueView
from tests.support.waiting import wait_until

SECOND = timedelta(seconds=1)
OVER = "the time of task hung (t in 'default') is over"


class Hanging:
    """A plain handler that hangs until `release`."""

    def __init__(self) -> None:
        self._free = threading.Event()

    def __call__(self, _task: ActiveTask) -> None:
        """Wait far longer than any timeout in these tests."""
        self._free.wait(30)

    def release(self) -> None:
        """Let it end."""
        self._free.set()


@pytest.fixture(autouse=True)
def log_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log a handler soon after its time is over."""
    monkeypatch.setattr(deadlines, "STOP_GRACE_S", 0.1)


async def test_a_thread_that_outlives_its_timeout_is_named_once_with_its_stack(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, concurrency=3).running(hanging):
        await wait_until(lambda: OVER in caplog.text)
        hanging.release()
    assert caplog.text.count(OVER) == 1
    assert "overdue handlers hold 1 of 3 slots\n" in caplog.text
    assert 'threading.py", line' not in caplog.text.split("__call__")[0]
    assert "self._free.wait(30)" in caplog.text


async def test_a_worker_whose_last_slot_hangs_says_that_it_takes_no_task(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, concurrency=1).running(hanging):
        await wait_until(lambda: OVER in caplog.text)
        hanging.release()
    [over] = [record for record in caplog.records if OVER in record.getMessage()]
    assert over.levelno == logging.ERROR
    assert "overdue handlers hold 1 of 1 slots, so no task is taken" in over.getMessage()


async def test_a_worker_whose_last_thread_hangs_says_that_it_calls_no_plain_function(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, threads=1).running(hanging):
        await wait_until(lambda: OVER in caplog.text)
        hanging.release()
    [over] = [record for record in caplog.records if OVER in record.getMessage()]
    assert over.levelno == logging.ERROR
    assert "overdue handlers hold 1 of 2 slots, so no plain function is called" in over.getMessage()


async def test_the_late_end_of_a_thread_is_logged_and_its_task_has_failed(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, concurrency=1).running(hanging):
        await wait_until(lambda: OVER in caplog.text)
        hanging.release()
        await wait_until(lambda: queue.ids("retry"))
    assert "task hung (t in 'default') has ended, 0." in caplog.text
    assert "after its time; overdue handlers hold 0 of 1 slots" in caplog.text
    assert (await queue.message("hung")).error_msg == "context deadline exceeded"


async def test_a_task_whose_time_is_over_has_failed_though_the_server_stops_before_its_thread(
    client: Client,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    queue: QueueView,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(actors, "INTERRUPT_S", 0.1)
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, shutdown_timeout=timedelta()).running(hanging) as server:
        await wait_until(lambda: OVER in caplog.text)
        [job] = [run.job for run in actors_of(server).runner.runs if run.job]
    assert (await queue.ids("retry"), await queue.pending_ids()) == (["hung"], [])
    assert (await queue.message("hung")).retried == 1
    job.cancel()  # as the end of the loop does
    await asyncio.wait([job])
    assert "has ended" not in caplog.text
    hanging.release()


async def test_an_async_handler_that_a_stop_ends_after_its_time_has_failed(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture, queue: QueueView
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)

    async def handle(_task: ActiveTask) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    async with Server(redis_url, shutdown_timeout=timedelta()).running(handle):
        await wait_until(lambda: OVER in caplog.text)
    assert (await queue.ids("retry"), await queue.pending_ids()) == (["hung"], [])


async def test_a_thread_that_outlives_its_lease_too_keeps_its_slot(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    hanging = Hanging()
    async with Server(redis_url, concurrency=1).running(hanging) as server:
        await wait_until(lambda: OVER in caplog.text)
        runner = actors_of(server).runner
        runner.stop_lost([*runner.leases()])
        ended, _ = await asyncio.wait([run.job for run in runner.runs if run.job], timeout=0.1)
        assert (ended, runner.slots.free) == (set(), 0)
        hanging.release()
        await wait_until(lambda: runner.slots.free)


async def test_an_async_handler_that_catches_its_cancellation_is_named(
    client: Client,
    redis_url: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(deadlines, "STOP_GRACE_S", 0)
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    free = asyncio.Event()

    async def handle(_task: ActiveTask) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await free.wait()

    async with Server(redis_url).running(handle):
        await wait_until(lambda: OVER in caplog.text)
        free.set()
    text = f"{OVER}, but its handler catches its cancellation; it keeps its slot until it ends"
    assert text in caplog.text
    assert "failed" not in caplog.text


async def test_a_handler_that_ends_when_it_is_cancelled_is_not_named(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)

    async def handle(_task: ActiveTask) -> None:
        await asyncio.Event().wait()

    await run_burst(Server(redis_url, burst=True), handle)
    assert OVER not in caplog.text


async def test_slots_that_hang_can_be_seen_in_the_metrics(
    client: Client, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    registry, hanging, mux = CollectorRegistry(), Hanging(), Mux()
    mux.use(TaskMetrics(registry))
    mux.handle("t")(hanging)
    labels = {"queue": "default", "type": "t"}
    await client.enqueue(Task("t"), task_id="hung", timeout=SECOND)
    async with Server(redis_url).running(mux):
        await wait_until(lambda: OVER in caplog.text)
        assert registry.get_sample_value("pyasynq_tasks_overdue", labels) == 1
        hanging.release()
    assert registry.get_sample_value("pyasynq_tasks_overdue", labels) == 0


async def test_a_handler_is_stopped_at_the_end_of_its_lease_by_the_workers_own_clock(
    client: Client, redis_url: str
) -> None:
    await client.enqueue(Task("t"), task_id="lost")
    handler = Handler(hold=True)
    async with Server(redis_url).running(handler) as server:
        await handler.wait_for_tasks()
        runner = actors_of(server).runner
        [run] = runner.runs
        run.lease.expires_at = 0.0
        runner._deadlines.watch(run)
        assert await handler.wait_for_cancelled() == ["lost"]
        handler.release()
