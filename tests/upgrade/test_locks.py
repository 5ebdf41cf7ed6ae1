"""The other version respects a unique lock, and releases it."""

import pytest

from tests.support.servers import wait_for
from tests.upgrade.queue import Queue
from tests.upgrade.sides import CALL, RefusedError, Side

HOUR_S = 3600


def test_a_lock_holds_against_the_other_version(before: Side, after: Side) -> None:
    before.enqueue("t", unique=HOUR_S)
    with pytest.raises(RefusedError, match="DuplicateTaskError"):
        after.enqueue("t", unique=HOUR_S)


def test_a_lock_of_a_typed_call_holds_against_the_other_version(before: Side, after: Side) -> None:
    before.call(*CALL, unique=HOUR_S)
    with pytest.raises(RefusedError, match="DuplicateTaskError"):
        after.call(*CALL, unique=HOUR_S)


def test_a_lock_of_a_row_that_was_relayed_holds_against_the_other_version(
    before: Side, after: Side, database: str
) -> None:
    before.write(database, 1, unique=HOUR_S)
    before.relay(database)
    with pytest.raises(RefusedError, match="DuplicateTaskError"):
        after.enqueue("t", unique=HOUR_S)


def test_a_task_done_by_the_other_version_gives_its_lock_back(
    before: Side, after: Side, queue: Queue
) -> None:
    before.enqueue("t", unique=HOUR_S)
    after.work()
    wait_for(lambda: queue.counted("processed") == 1, "the task to be done")
    assert queue.locks() == 0


def test_a_lock_outlives_a_retry_and_a_killed_worker(
    before: Side, after: Side, queue: Queue
) -> None:
    (task_id,) = before.enqueue("t", unique=HOUR_S)
    before.work(holding=True)
    wait_for(lambda: before.began() == [task_id], "the task to run")
    before.kill()
    queue.end_leases()
    after.work(holding=True)
    wait_for(lambda: after.began() == [task_id], "the task to run again")
    with pytest.raises(RefusedError, match="DuplicateTaskError"):
        after.enqueue("t", unique=HOUR_S)
