"""Actors go on after errors, and together log an outage once."""

import asyncio
import logging
from collections.abc import Iterator

import pytest

from pyasynq import BrokerUnavailableError, Clock
from pyasynq.core.errors import BrokerAuthError
from pyasynq.runtime.actor import (
    Actor,
    Backoff,
    OutageLog,
    StepSignal,
    Wakeable,
    cancel_and_wait,
    run_forever,
)
from pyasynq.runtime.waiting import wait_for_first
from tests.support.clocks import HastyClock
from tests.support.waiting import wait_until


class Steps(Actor):
    """An actor whose steps raise or return what the test gave."""

    name = "stepper"

    def __init__(self, clock: Clock, *ends: Exception | float) -> None:
        super().__init__(clock=clock, outages=OutageLog())
        self._ends: Iterator[Exception | float] = iter(ends)

    async def step(self) -> float:
        end = next(self._ends)
        if isinstance(end, Exception):
            raise end
        return end


async def run_out(actor: Actor) -> None:
    """Run *actor* until it has no more steps."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await actor.run()


async def test_an_actor_waits_as_long_as_its_step_says_less_some_jitter() -> None:
    clock = HastyClock()
    await run_out(Steps(clock, 10.0, 20.0))
    assert 9 <= clock.sleeps[0] <= 10
    assert 18 <= clock.sleeps[1] <= 20


async def test_an_actor_waits_longer_and_longer_while_redis_is_away() -> None:
    clock = HastyClock()
    await run_out(Steps(clock, *[BrokerUnavailableError("away")] * 10))
    assert clock.sleeps[0] <= 0.1
    assert 0.9 <= clock.sleeps[-1] <= 2


async def test_an_actor_waits_little_again_after_redis_was_back() -> None:
    clock = HastyClock()
    away = [BrokerUnavailableError("away")] * 10
    await run_out(Steps(clock, *away, 5.0, BrokerUnavailableError("away")))
    assert clock.sleeps[-1] <= 0.1


async def test_an_actor_says_which_errors_are_outages() -> None:
    class Reader(Steps):
        failures = (OSError,)

    clock = HastyClock()
    await run_out(Reader(clock, OSError("away"), OSError("away"), 5.0))
    assert len(clock.sleeps) == 3
    with pytest.raises(BrokerUnavailableError):
        await Reader(clock, BrokerUnavailableError("away")).run()


async def test_each_step_is_counted_whether_it_works_or_not() -> None:
    actor = Steps(HastyClock(), 1.0, BrokerUnavailableError("away"), 1.0)
    await run_out(actor)
    assert actor.steps.count == 3


async def test_the_end_of_a_step_can_be_awaited() -> None:
    steps = StepSignal()
    waiting = asyncio.ensure_future(steps.next())
    await asyncio.sleep(0)
    steps.finish()
    await asyncio.wait_for(waiting, 20)


def test_waits_after_failures_grow_to_two_seconds() -> None:
    backoff = Backoff()
    waits = [backoff.next_s() for _ in range(20)]
    assert 0.05 <= waits[0] <= 0.1
    assert 1 <= waits[-1] <= 2


@pytest.mark.parametrize("error", [ValueError(), asyncio.CancelledError()], ids=repr)
async def test_a_crash_is_logged_and_the_actor_starts_again(
    error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    class Fragile:
        name = "fragile one"

        def __init__(self) -> None:
            self.starts = 0

        async def run(self) -> None:
            self.starts += 1
            if self.starts == 1:
                raise error

    fragile = Fragile()
    await run_forever(fragile)
    assert fragile.starts == 2
    assert caplog.text.count("the fragile one crashed; it starts again") == 1


async def test_jobs_that_swallow_their_first_cancellation_are_cancelled_again() -> None:
    async def stubborn() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.Event().wait()

    job = asyncio.create_task(stubborn())
    await asyncio.sleep(0)
    await cancel_and_wait([job])
    assert job.done()


# -- the log of outages ----------------------------------------------------------------------------


def test_many_actors_say_once_that_redis_is_away(caplog: pytest.LogCaptureFixture) -> None:
    outages = OutageLog("Redis")
    outages.record_failure("one", BrokerUnavailableError("away"))
    outages.record_failure("two", BrokerUnavailableError("away"))
    outages.record_failure("one", BrokerUnavailableError("away"))
    assert caplog.messages == ["away; trying again until it works"]


def test_one_line_says_that_redis_answers_again_once_it_does_for_all_actors(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    outages = OutageLog("Redis")
    outages.record_failure("one", BrokerUnavailableError("away"))
    outages.record_failure("two", BrokerUnavailableError("away"))
    outages.record_success("one")
    outages.record_success("three")
    outages.record_success("two")
    outages.record_success("one")
    assert caplog.messages == ["away; trying again until it works", "Redis answers again"]


def test_another_kind_of_error_is_logged_as_well(caplog: pytest.LogCaptureFixture) -> None:
    outages = OutageLog("Redis")
    outages.record_failure("one", BrokerUnavailableError("away"))
    outages.record_failure("one", BrokerAuthError("wrong password"))
    assert len(caplog.messages) == 2


def test_an_outage_can_be_reported_elsewhere(caplog: pytest.LogCaptureFixture) -> None:
    reported: list[Exception | None] = []
    away = OSError("away")
    outages = OutageLog(report=reported.append)
    outages.record_failure("one", away)
    outages.record_failure("one", away)
    outages.record_success("one")
    assert (reported, caplog.messages) == ([away, None], [])


# -- actors that can be woken ----------------------------------------------------------------------


class Sleepy(Wakeable):
    """An actor that would sleep for an hour after each step."""

    name = "sleeper"

    async def step(self) -> float:
        return 3600


async def test_a_sleeping_actor_can_be_woken() -> None:
    actor = Sleepy(clock=Clock(), outages=OutageLog())
    job = asyncio.create_task(actor.run())
    await actor.steps.next()
    actor.wake()
    await actor.steps.next()
    await cancel_and_wait([job])


async def test_an_actor_that_was_woken_sleeps_again() -> None:
    clock = HastyClock()
    actor = Sleepy(clock=clock, outages=OutageLog())
    actor.wake()
    job = asyncio.create_task(actor.run())
    await actor.steps.next()
    await actor.steps.next()
    await actor.steps.next()
    await cancel_and_wait([job])
    assert min(clock.sleeps) > 3000


async def test_a_cancelled_actor_leaves_nothing_behind() -> None:
    before = asyncio.all_tasks()
    actor = Sleepy(clock=Clock(), outages=OutageLog())
    job = asyncio.create_task(actor.run())
    await actor.steps.next()
    await cancel_and_wait([job])
    await wait_until(lambda: asyncio.all_tasks() <= before)


class Slow(Sleepy):
    """An actor whose steps wait until a test sets `goes_on`."""

    def __init__(self) -> None:
        super().__init__(clock=Clock(), outages=OutageLog())
        self.begun = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def step(self) -> float:
        self.begun.set()
        await self.goes_on.wait()
        return 0


async def test_finish_waits_for_a_running_step_and_no_other_begins() -> None:
    actor = Slow()
    job = asyncio.create_task(actor.run())
    await actor.begun.wait()
    finishing = asyncio.create_task(actor.finish())
    await asyncio.sleep(0)
    assert not finishing.done()
    actor.goes_on.set()
    await finishing
    actor.wake()
    assert not await wait_for_first(actor.steps.next(), within_s=0.05)
    await cancel_and_wait([job])


async def test_an_actor_may_be_finished_twice() -> None:
    actor = Sleepy(clock=Clock(), outages=OutageLog())
    await actor.finish()
    await actor.finish()
