"""Runs of tasks are counted and timed by queue and type."""

import asyncio
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from pyasynq import (
    ActiveTask,
    Client,
    HandlerNotFoundError,
    Mux,
    PayloadError,
    RetryIn,
    RevokeTask,
    Server,
    SkipRetry,
    Snooze,
    Task,
)
from pyasynq.metrics import TaskMetrics, tasks


@pytest.fixture
def registry() -> CollectorRegistry:
    """Return an empty registry."""
    return CollectorRegistry()


async def work(redis_url: str, mux: Mux, *types: str) -> None:
    """Run one task of each type with *mux*."""
    async with Client(redis_url) as client:
        await client.enqueue_many([Task(type, max_retry=0) for type in types])
    await Server(redis_url, burst=True).run(mux)


def count(registry: CollectorRegistry, type: str, outcome: str) -> float | None:
    """Return the number of runs of *type* with this *outcome*."""
    labels = {"queue": "default", "type": type, "outcome": outcome}
    return registry.get_sample_value("pyasynq_tasks_total", labels)


class Bare(RetryIn):
    """A signal whose author forgot to call the base class."""

    def __init__(self) -> None:
        pass


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "succeeded"),
        (ValueError("no"), "failed"),
        (RetryIn(timedelta(hours=1)), "failed"),
        (SkipRetry("no"), "archived"),
        (RevokeTask("no"), "revoked"),
        (Snooze(timedelta(hours=1)), "snoozed"),
        (Bare(), "failed"),
        (PayloadError("t", "no"), "archived"),
        (PayloadError("another", "no"), "failed"),
        (ExceptionGroup("", [ValueError("no"), SkipRetry("no")]), "archived"),
        (ExceptionGroup("", [ValueError("no"), Snooze(timedelta(hours=1))]), "failed"),
        (BaseExceptionGroup("", [RevokeTask("no"), KeyboardInterrupt()]), "revoked"),
        (HandlerNotFoundError("t"), "unknown"),
        (HandlerNotFoundError("another"), "failed"),
        (SystemExit(1), "failed"),
        (asyncio.CancelledError(), "failed"),
    ],
    ids=repr,
)
async def test_a_run_is_counted_by_its_outcome(
    redis_url: str, registry: CollectorRegistry, error: BaseException | None, outcome: str
) -> None:
    mux = Mux()
    mux.use(TaskMetrics(registry))

    @mux.handle("t")
    async def handle(_task: ActiveTask) -> None:
        if error is not None:
            raise error

    await work(redis_url, mux, "t")
    assert count(registry, "t", outcome) == 1


async def test_a_run_that_was_stopped_is_counted_as_stopped(
    redis_url: str, registry: CollectorRegistry
) -> None:
    mux = Mux()
    mux.use(TaskMetrics(registry))

    @mux.handle("t")
    async def handle(_task: ActiveTask) -> None:
        await asyncio.Event().wait()

    async with Client(redis_url) as client:
        await client.enqueue(Task("t"), timeout=timedelta(seconds=1))
    await Server(redis_url, burst=True).run(mux)
    assert count(registry, "t", "stopped") == 1


async def test_runs_are_timed(redis_url: str, registry: CollectorRegistry) -> None:
    mux = Mux()
    mux.use(TaskMetrics(registry, buckets=(0.001, 60)))
    seen: list[float | None] = []
    labels = {"queue": "default", "type": "t"}

    @mux.handle("t")
    async def handle(_task: ActiveTask) -> None:
        seen.append(registry.get_sample_value("pyasynq_tasks_running", labels))

    await work(redis_url, mux, "t", "t")
    buckets = {**labels, "le": "60.0"}
    assert registry.get_sample_value("pyasynq_task_duration_seconds_bucket", buckets) == 2
    assert registry.get_sample_value("pyasynq_task_duration_seconds_count", labels) == 2
    assert max(value or 0 for value in seen) >= 1
    assert registry.get_sample_value("pyasynq_tasks_running", labels) == 0


async def test_types_without_end_do_not_make_series_without_end(
    redis_url: str, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_KINDS", 2)
    mux = Mux()
    mux.use(TaskMetrics(registry))

    @mux.handle("t")
    async def handle(_task: ActiveTask) -> None:
        pass

    await work(redis_url, mux, "t1", "t2", "t3", "t4")
    assert count(registry, "(other)", "succeeded") == 2


async def test_a_run_of_a_type_beyond_the_limit_makes_no_series(
    redis_url: str, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tasks, "MOST_KINDS", 0)
    made: list[object] = []
    series = tasks._Series
    monkeypatch.setattr(tasks, "_Series", lambda *parts: made.append(parts) or series(*parts))
    mux = Mux()
    mux.use(TaskMetrics(registry))

    @mux.handle("t")
    async def handle(_task: ActiveTask) -> None:
        pass

    await work(redis_url, mux, "t1", "t2", "t3")
    assert len(made) == 1
