"""An inspector groups failed tasks by their errors, and moves those of a group."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import ErrorGroup, Inspector, OptionError, QueueNotFoundError
from pyasynq.broker import Broker
from pyasynq.broker.sqlite import in_memory
from pyasynq.core.message import with_outcome
from pyasynq.core.verdict import Archive, Retry
from tests.support.factories import a_lease, a_pending, settle

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    broker = in_memory()
    yield broker
    await broker.aclose()


@pytest.fixture
async def inspector(broker: Broker) -> AsyncIterator[Inspector]:
    async with Inspector(broker) as inspector:
        yield inspector


async def fail(
    broker: Broker,
    task_id: str,
    error: str,
    *,
    type: str = "t",
    ago: timedelta = HOUR,
    retry: bool = False,
) -> None:
    """Let a task fail *ago*, and wait for a retry or be archived."""
    lease = await a_lease(broker, a_pending(task_id, type=type))
    message = with_outcome(lease.message, error=error, failed_at=NOW - ago)
    again = Retry(message=message, at=NOW + HOUR, failed=True)
    await settle(broker, lease, again if retry else Archive(message=message))


async def test_failures_are_counted_by_type_and_first_line(
    broker: Broker, inspector: Inspector
) -> None:
    await fail(broker, "1", "ValueError: no\nfirst", ago=3 * HOUR)
    await fail(broker, "2", "ValueError: no\nsecond", ago=HOUR, retry=True)
    await fail(broker, "3", "ValueError: no\nthird", ago=2 * HOUR)
    await fail(broker, "4", "ValueError: no", type="u")
    await fail(broker, "5", "KeyError")
    first, *others = await inspector.errors("q")
    assert first == ErrorGroup(
        type="t",
        error="ValueError: no",
        count=3,
        first_failed_at=NOW - 3 * HOUR,
        last_failed_at=NOW - HOUR,
        task_id="2",
    )
    assert {(group.type, group.error, group.count) for group in others} == {
        ("u", "ValueError: no", 1),
        ("t", "KeyError", 1),
    }


async def test_the_failures_in_one_state_are_counted(broker: Broker, inspector: Inspector) -> None:
    await fail(broker, "1", "no", retry=True)
    await fail(broker, "2", "no")
    await fail(broker, "3", "no")
    assert [group.count for group in await inspector.errors("q", "retry")] == [1]
    assert [group.count for group in await inspector.errors("q", "archived")] == [2]


async def test_more_failures_than_one_call_reads_are_counted(
    broker: Broker, inspector: Inspector
) -> None:
    for number in range(600):
        await fail(broker, str(number), f"error {number % 2}")
    assert [group.count for group in await inspector.errors("q")] == [300, 300]


async def test_a_queue_or_state_that_does_not_exist_is_refused(inspector: Inspector) -> None:
    with pytest.raises(QueueNotFoundError):
        await inspector.errors("q")
    with pytest.raises(OptionError, match="state"):
        await inspector.errors("q", "failed")


async def test_the_tasks_of_a_group_are_run_archived_or_deleted(
    broker: Broker, inspector: Inspector
) -> None:
    for number in range(9):
        await fail(broker, str(number), f"error {number % 3}", retry=True)
    counts: list[int] = []
    assert await inspector.run_all("q", "retry", error="error 0", progress=counts.append) == 3
    assert await inspector.archive_all("q", "retry", type="t", error="error 1") == 3
    assert await inspector.delete_all("q", "archived", error="nothing") == 0
    assert await inspector.delete_all("q", "archived", error="error 1") == 3
    info = await inspector.queue_info("q")
    assert (info.pending, info.retry, info.archived, counts) == (3, 3, 0, [3])


async def test_old_failures_are_told_from_new_ones(broker: Broker, inspector: Inspector) -> None:
    await fail(broker, "old", "no", ago=2 * HOUR)
    await fail(broker, "new", "no", ago=timedelta(0))
    assert await inspector.delete_all("q", "archived", older=HOUR) == 1
    assert [task.id for task in await inspector.list_tasks("q", "archived")] == ["new"]


async def test_a_task_that_never_failed_is_not_old(broker: Broker, inspector: Inspector) -> None:
    await a_lease(broker, a_pending("1"))
    assert await inspector.find_tasks("q", "active", older=timedelta(0)) == []


async def test_thousands_are_moved_and_the_others_stay(
    broker: Broker, inspector: Inspector
) -> None:
    for number in range(2500):
        await fail(broker, str(number), f"error {number % 2}")
    assert await inspector.run_all("q", "archived", error="error 1") == 1250
    left = await inspector.errors("q")
    assert [(group.error, group.count) for group in left] == [("error 0", 1250)]


async def test_a_criterion_that_does_not_exist_is_refused(
    broker: Broker, inspector: Inspector
) -> None:
    await fail(broker, "1", "no")
    with pytest.raises(TypeError, match="color"):
        await inspector.run_all("q", "archived", color="red")  # pyright: ignore[reportCallIssue]
    with pytest.raises(OptionError, match="older"):
        await inspector.run_all("q", "archived", older=3600)  # pyright: ignore[reportArgumentType]
    assert (await inspector.queue_info("q")).archived == 1
