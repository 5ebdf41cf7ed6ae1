"""Hooks of the worker are called in order, some at once; a slow one fills no memory."""

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from pyasynq import Hooks, Outcome
from pyasynq.server.run import notifier as module
from pyasynq.server.run.notifier import CALLS_AT_ONCE, Notifier
from tests.support.waiting import wait_until


def an_outcome(task_id: str) -> Outcome:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Outcome(id=task_id, queue="q", type="t", payload=b"", outcome="succeeded", ended_at=now)


class Slow:
    """A hook that waits until the test releases it."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.released = asyncio.Event()
        self.hooks = Hooks()
        self.hooks.on("succeeded")(self)

    async def __call__(self, outcome: Outcome) -> None:
        self.begun.append(outcome.id)
        await self.released.wait()


@pytest.fixture
def slow() -> Slow:
    return Slow()


@pytest.fixture
async def notifier(slow: Slow) -> AsyncIterator[Notifier]:
    notifier = Notifier(slow.hooks)
    job = asyncio.create_task(notifier.run())
    yield notifier
    job.cancel()
    await asyncio.wait([job])
    notifier.close()


async def test_some_hooks_run_at_once_and_the_others_wait_in_order(
    notifier: Notifier, slow: Slow
) -> None:
    names = [f"{n}" for n in range(CALLS_AT_ONCE + 3)]
    for name in names:
        notifier.add(an_outcome(name))
    await wait_until(lambda: len(slow.begun) == CALLS_AT_ONCE)
    assert slow.begun == names[:CALLS_AT_ONCE]
    slow.released.set()
    await notifier.wait_until_called()
    assert slow.begun == names


async def test_outcomes_are_dropped_and_reported_once_when_hooks_are_too_slow(
    notifier: Notifier,
    slow: Slow,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    with caplog.at_level(logging.ERROR, "pyasynq.server"):
        for name in "abcd":
            notifier.add(an_outcome(name))
    slow.released.set()
    await notifier.wait_until_called()
    assert slow.begun == ["a", "b"]
    assert [record.message for record in caplog.records] == [
        "functions on outcomes are too slow: calls are dropped from now on"
    ]


async def test_without_outcomes_there_is_nothing_to_wait_for(notifier: Notifier) -> None:
    await notifier.wait_until_called()
    assert notifier.steps.count == 0
