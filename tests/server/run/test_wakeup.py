"""A queue that answers, but on which the server cannot block, is asked less and less often."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from pyasynq.core.errors import BrokerReadOnlyError
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.run.wakeup import Wakeup
from tests.support.clocks import HastyClock

if TYPE_CHECKING:
    from pyasynq.broker import WorkPort


class RefusingPort:
    """A work port that refuses to wait while `refuses` is set."""

    def __init__(self) -> None:
        self.refuses = True
        self.waited = asyncio.Event()

    async def wait(self, _queue: str) -> bool:
        if self.refuses:
            msg = "Redis: a replica"
            raise BrokerReadOnlyError(msg)
        self.waited.set()
        return await asyncio.Future[bool]()


class EmptyQueue:
    """An empty queue, and what a processor does with it."""

    def __init__(self) -> None:
        self.port, self.clock, self.notified = RefusingPort(), HastyClock(), asyncio.Event()
        port = cast("WorkPort", self.port)
        self.wakeup = Wakeup(
            "q", port=port, notified=self.notified, clock=self.clock, outages=OutageLog()
        )

    async def ask(self) -> None:
        """Find nothing, and return once the queue is ready again."""
        self.notified.clear()
        self.find_nothing()
        await self.notified.wait()

    def find_nothing(self) -> None:
        self.wakeup.on_answer(at_work=False)
        self.wakeup.on_empty(took_some=False)


@pytest.fixture
async def queue() -> AsyncIterator[EmptyQueue]:
    queue = EmptyQueue()
    job = asyncio.ensure_future(queue.wakeup.run())
    yield queue
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job


async def test_the_waits_between_two_dequeues_grow(queue: EmptyQueue) -> None:
    for _ in range(6):
        await queue.ask()
    pauses = [pause for pause in queue.clock.sleeps if pause > 0.05]
    assert pauses[-1] > 8 * pauses[0]


async def test_a_queue_that_cannot_be_waited_on_is_logged_once(
    queue: EmptyQueue, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pyasynq"):
        await queue.ask()
        await queue.ask()
    assert caplog.messages == ["Redis: a replica; trying again until it works"]


async def test_the_queue_works_again_once_it_can_be_waited_on(
    queue: EmptyQueue, caplog: pytest.LogCaptureFixture
) -> None:
    await queue.ask()
    queue.port.refuses = False
    queue.find_nothing()
    await queue.port.waited.wait()
    assert queue.wakeup.error is None
