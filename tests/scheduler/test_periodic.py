"""A manager's entries are what its provider returns, now and later."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import timedelta
from typing import Any, cast

import pytest

from pyasynq import OptionError, PeriodicTask, PeriodicTaskManager, SchedulerStateError, Task
from pyasynq.broker import Broker
from tests.support.clocks import SteeredClock
from tests.support.pools import full_default_pool
from tests.support.queue_view import QueueView
from tests.support.waiting import wait_until

Manage = Callable[[Any], PeriodicTaskManager]

ONE = PeriodicTask(spec="@hourly", task=Task("one"))
TWO = PeriodicTask(spec="@daily", task=Task("two"), options={"queue": "low"})
BAD = PeriodicTask(spec="nonsense", task=Task("bad"))


class Provider:
    """A provider that returns or raises the `answer` that a test has set."""

    def __init__(self, *wanted: PeriodicTask) -> None:
        self.answer: Any = wanted
        self.calls = 0

    def __call__(self) -> Sequence[PeriodicTask]:
        self.calls += 1
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


def registered_types(manager: PeriodicTaskManager) -> list[str]:
    """Return the types of the tasks that are registered."""
    return sorted(entry.task.type for entry in manager._scheduler._entries.values())


async def sync_again(manager: PeriodicTaskManager) -> None:
    await manager._syncer.step()
    await manager._syncer.step()


@pytest.fixture
def manage(redis_url: str, clock: SteeredClock) -> Manage:
    """Return a function that makes managers with the clock of the test."""
    return lambda provider: PeriodicTaskManager(redis_url, provider, clock=clock)


async def test_tasks_that_the_provider_returns_are_registered(
    manage: Manage, broker: Broker
) -> None:
    async with manage(Provider(ONE, TWO)).running():
        await wait_until(lambda: _has_entries(broker, 2))
        entries = await broker.schedules.entries()
    assert {entry.task.type for entry in entries} == {"one", "two"}


async def test_a_provider_may_be_async(manage: Manage) -> None:
    async def provider() -> list[PeriodicTask]:
        await asyncio.sleep(0)
        return [ONE]

    async with manage(provider).running() as manager:
        assert registered_types(manager) == ["one"]


async def test_a_provider_does_not_wait_for_other_work_in_threads(manage: Manage) -> None:
    with full_default_pool():
        async with manage(Provider(ONE)).running() as manager:
            assert registered_types(manager) == ["one"]


async def test_a_provider_is_called_in_the_context_of_its_manager(manage: Manage) -> None:
    seen: list[str] = []
    tenant: ContextVar[str] = ContextVar("tenant")
    tenant.set("mine")
    async with manage(lambda: seen.append(tenant.get()) or []).running():
        assert seen == ["mine"]


async def test_a_provider_that_blocks_is_called_in_a_thread(manage: Manage) -> None:
    threads: list[threading.Thread] = []

    def provider() -> list[PeriodicTask]:
        threads.append(threading.current_thread())
        return [ONE]

    async with manage(provider).running():
        assert threads[0] is not threading.main_thread()


async def test_entries_come_and_go_with_the_provider(manage: Manage) -> None:
    provider = Provider(ONE)
    manager = manage(provider)
    await manager._syncer.begin()
    provider.answer = [TWO]
    await sync_again(manager)
    assert registered_types(manager) == ["two"]


async def test_entries_that_stay_are_not_touched(manage: Manage) -> None:
    provider = Provider(ONE)
    manager = manage(provider)
    await manager._syncer.begin()
    (before,) = manager._scheduler._entries.values()
    provider.answer = [ONE, TWO]
    await sync_again(manager)
    assert before in manager._scheduler._entries.values()


async def test_equal_tasks_count_once(manage: Manage) -> None:
    provider = Provider(ONE, ONE)
    manager = manage(provider)
    await manager._syncer.begin()
    assert registered_types(manager) == ["one"]
    provider.answer = []
    await sync_again(manager)
    assert registered_types(manager) == []


async def test_tasks_that_differ_in_their_own_options_are_two(manage: Manage) -> None:
    other = PeriodicTask(spec="@hourly", task=Task("one", queue="low"))
    manager = manage(Provider(ONE, other))
    await manager._syncer.begin()
    assert registered_types(manager) == ["one", "one"]


async def test_the_provider_is_called_each_interval(manage: Manage, clock: SteeredClock) -> None:
    provider = Provider(ONE)
    async with manage(provider).running() as manager:
        await wait_until(lambda: manager._syncer.steps.count == 1)
        assert provider.calls == 1
        clock.advance(minutes=3)
        await wait_until(lambda: provider.calls == 2)


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError(),
        StopIteration(),
        SystemExit(1),
        GeneratorExit(),
        asyncio.CancelledError(),
    ],
    ids=repr,
)
async def test_a_provider_that_fails_changes_nothing(
    error: BaseException, manage: Manage, caplog: pytest.LogCaptureFixture
) -> None:
    provider = Provider(ONE)
    manager = manage(provider)
    await manager._syncer.begin()
    provider.answer = error
    await sync_again(manager)
    assert registered_types(manager) == ["one"]
    assert "the entries stay as they are" in caplog.text


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        "text",
        PeriodicTask(spec="", task=Task("t")),
        PeriodicTask(spec="@daily", task=cast("Task", None)),
    ],
)
async def test_a_value_that_is_no_periodic_task_changes_nothing(
    wrong: object, manage: Manage
) -> None:
    provider = Provider(ONE)
    manager = manage(provider)
    await manager._syncer.begin()
    provider.answer = [TWO, wrong]
    await sync_again(manager)
    assert registered_types(manager) == ["one"]


async def test_an_invalid_spec_is_logged_and_the_others_are_registered(
    manage: Manage, caplog: pytest.LogCaptureFixture
) -> None:
    manager = manage(Provider(BAD, ONE))
    await manager._syncer.begin()
    assert registered_types(manager) == ["one"]
    assert "'nonsense' is not registered" in caplog.text


async def test_a_provider_that_fails_at_the_start_ends_it(manage: Manage) -> None:
    provider = Provider()
    provider.answer = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError):
        await manage(provider).run()


async def test_an_answer_that_is_wrong_at_the_start_ends_it(manage: Manage) -> None:
    with pytest.raises(OptionError, match="provider must be"):
        await manage(lambda: ["text"]).run()


async def test_a_manager_runs_until_it_is_shut_down(manage: Manage) -> None:
    manager = manage(Provider(ONE))
    running = asyncio.create_task(manager.run())
    await wait_until(lambda: manager._syncer.steps.count)
    manager.shut_down()
    await running
    with pytest.raises(SchedulerStateError):
        await manager.run()


async def test_a_manager_that_is_run_twice_at_once_runs_once(
    manage: Manage, caplog: pytest.LogCaptureFixture
) -> None:
    manager = manage(Provider(ONE))
    both = [asyncio.create_task(manager.run()) for _ in range(2)]
    (refused,), (running,) = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    assert isinstance(refused.exception(), SchedulerStateError)
    await sync_again(manager)
    assert (registered_types(manager), "failed" in caplog.text) == (["one"], False)
    manager.shut_down()
    await running


async def test_a_manager_that_has_ended_releases_the_thread_of_its_provider(
    manage: Manage,
) -> None:
    threads: list[threading.Thread] = []

    def provider() -> list[PeriodicTask]:
        threads.append(threading.current_thread())
        return [ONE]

    async with manage(provider).running():
        assert threads[0].is_alive()
    await asyncio.to_thread(threads[0].join, 60)
    assert not threads[0].is_alive()


async def test_a_manager_enqueues(redis_url: str, queue: QueueView) -> None:
    often = PeriodicTask(spec="@every 1s", task=Task("often"))
    async with PeriodicTaskManager(redis_url, lambda: [often]).running():
        await wait_until(queue.pending_ids)


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1), 180])
def test_an_interval_that_cannot_work_is_refused(interval: object) -> None:
    with pytest.raises(OptionError, match="sync_interval must be"):
        PeriodicTaskManager("localhost", list, sync_interval=cast("timedelta", interval))


def test_a_value_that_is_no_provider_is_refused() -> None:
    with pytest.raises(OptionError, match="provider must be"):
        PeriodicTaskManager("localhost", cast("Any", [ONE]))


async def _has_entries(broker: Broker, count: int) -> bool:
    return len(await broker.schedules.entries()) == count
