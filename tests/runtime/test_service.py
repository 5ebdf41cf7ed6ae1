"""A service runs once, and stops in order, whatever stops it."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from pyasynq import Clock, ServerStateError
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.service import Service
from tests.support.waiting import wait_until


class Worker(Actor):
    """An actor that records its begin and end."""

    name = "worker"

    def __init__(self, events: list[str]) -> None:
        super().__init__(clock=Clock(), outages=OutageLog())
        self.events = events

    async def run(self) -> None:
        self.events.append("began")
        try:
            await super().run()
        finally:
            self.events.append("ended")

    async def step(self) -> float:
        return 3600

    def close(self) -> None:
        self.events.append("closed")


class Trial:
    """A service with one worker, and the events of both."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.service = Service()
        self.worker = Worker(self.events)

    async def drain(self) -> None:
        self.events.append("drained")

    async def clean_up(self) -> None:
        self.events.append("cleaned up")

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Run the service until the block ends."""
        async with self.service.running([self.worker], drain=self.drain, cleanup=self.clean_up):
            await self.worker.steps.next()
            yield


@pytest.fixture
def trial() -> Trial:
    return Trial()


async def test_actors_work_until_running_work_has_ended(trial: Trial) -> None:
    async with trial.running():
        assert trial.events == ["began"]
    assert trial.events == ["began", "drained", "ended", "closed", "cleaned up"]


async def test_a_service_is_new_then_active_then_closed(trial: Trial) -> None:
    states = [trial.service.state]
    async with trial.running():
        states.append(trial.service.state)
    assert [*states, trial.service.state] == ["new", "active", "closed"]


async def test_a_service_is_closed_before_running_work_has_ended(trial: Trial) -> None:
    states: list[str] = []

    async def drain() -> None:
        states.append(trial.service.state)

    async with trial.service.running([], drain=drain):
        pass
    assert states == ["closed"]


async def test_a_service_that_runs_or_has_run_is_not_a_new_one(trial: Trial) -> None:
    trial.service.check_new(ServerStateError)
    async with trial.running():
        with pytest.raises(ServerStateError, match="this one is active"):
            trial.service.check_new(ServerStateError)
    with pytest.raises(ServerStateError, match="this one is closed"):
        trial.service.check_new(ServerStateError)


async def test_an_error_of_the_block_is_raised_unchanged_after_the_cleanup(trial: Trial) -> None:
    with pytest.raises(ZeroDivisionError):
        async with trial.running():
            raise ZeroDivisionError
    assert trial.events == ["began", "drained", "ended", "closed", "cleaned up"]


async def test_a_service_that_is_cancelled_ends_in_order(trial: Trial) -> None:
    async def work() -> None:
        async with trial.running():
            await asyncio.Event().wait()

    job = asyncio.create_task(work())
    await wait_until(lambda: trial.worker.steps.count)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert trial.events == ["began", "drained", "ended", "closed", "cleaned up"]


async def test_a_cancellation_of_a_draining_service_forces_its_end(trial: Trial) -> None:
    draining = asyncio.Event()

    async def drain() -> None:
        draining.set()
        await trial.service.force_requested.wait()

    async def work() -> None:
        async with trial.service.running([], drain=drain):
            pass

    job = asyncio.create_task(work())
    await draining.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job


async def test_a_context_around_the_actors_is_left_after_them(trial: Trial) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        trial.events.append("opened")
        yield
        trial.events.append("shut")

    actors = [trial.worker]
    async with trial.service.running(
        actors, drain=trial.drain, cleanup=trial.clean_up, lifespan=lifespan
    ):
        await trial.worker.steps.next()
    assert trial.events == ["opened", "began", "drained", "ended", "shut", "closed", "cleaned up"]


async def test_actors_are_closed_although_the_lifespan_failed(trial: Trial) -> None:
    @asynccontextmanager
    async def lifespan() -> AsyncGenerator[None]:
        msg = "no database"
        raise KeyError(msg)
        yield

    with pytest.raises(KeyError, match="no database"):
        async with trial.service.running(
            [trial.worker], drain=trial.drain, cleanup=trial.clean_up, lifespan=lifespan
        ):
            pass
    assert trial.events == ["closed", "cleaned up"]


async def test_a_runnable_that_is_no_actor_runs_as_well(trial: Trial) -> None:
    class Other:
        name = "other"

        def __init__(self) -> None:
            self.begun = asyncio.Event()

        async def run(self) -> None:
            self.begun.set()
            await asyncio.Event().wait()

    other = Other()
    async with trial.service.running([other], drain=trial.drain):
        await other.begun.wait()
        assert not trial.service.jobs[other].done()
    assert trial.service.jobs[other].done()


def test_a_second_stop_request_forces_the_end(trial: Trial) -> None:
    trial.service.shut_down()
    assert (trial.service.stop_requested.is_set(), trial.service.force_requested.is_set()) == (
        True,
        False,
    )
    trial.service.shut_down()
    assert trial.service.force_requested.is_set()


async def test_an_actor_that_starts_later_ends_alone_or_with_the_service(trial: Trial) -> None:
    early, late = Worker([]), Worker([])
    async with trial.running():
        for worker in (early, late):
            trial.service.start(worker)
            await worker.steps.next()
        await trial.service.end([early])
        assert early.events == ["began", "ended", "closed"]
        assert late.events == ["began"]
    assert late.events == ["began", "ended", "closed"]
    assert early.events.count("closed") == 1
