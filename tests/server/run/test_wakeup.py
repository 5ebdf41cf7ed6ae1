"""A queue that answers, but cannot be waited on, is asked less and less often."""

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


class NoWaiting:
    """A path on which nobody can wait, until told otherwise."""

    def __init__(self) -> None:
        self.refuses = True
        self.waited = asyncio.Event()

    async def wait(self, _queue: str) -> bool:
        if self.refuses:
            msg = "Redis: a replica"
            raise BrokerReadOnlyError(msg)
        self.waited.set()
        return await asyncio.Future[bool]()


class Asking:
    """What a processor does with one empty queue."""

    def __init__(self) -> None:
        self.path, self.clock, self.rung = NoWaiting(), HastyClock(), asyncio.Event()
        path = cast("WorkPort", self.path)
        self.wakeup = Wakeup("q", path, self.rung, clock=self.clock, outages=OutageLog())

    async def ask(self) -> None:
        """Find nothing, and return once the queue is to be asked again."""
        self.rung.clear()
        self.find_nothing()
        await self.rung.wait()

    def find_nothing(self) -> None:
        self.wakeup.answered(at_work=False)
        self.wakeup.emptied(took_some=False)


@pytest.fixture
async def asking() -> AsyncIterator[Asking]:
    asking = Asking()
    job = asyncio.ensure_future(asking.wakeup.run())
    yield asking
    job.cancel()
    with suppress(asyncio.CancelledError):
        await job


async def test_the_waits_between_two_questions_grow(asking: Asking) -> None:
    for _ in range(6):
        await asking.ask()
    pauses = [pause for pause in asking.clock.sleeps if pause > 0.05]
    assert pauses[-1] > 8 * pauses[0]


async def test_it_is_complained_about_once(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "pyasynq"):
        await asking.ask()
        await asking.ask()
    assert caplog.messages == ["Redis: a replica; trying again until it works"]


async def test_it_is_well_again_once_it_can_be_waited_on(
    asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    await asking.ask()
    asking.path.refuses = False
    asking.find_nothing()
    await asking.path.waited.wait()
    assert not asking.wakeup.failing
